"""Running the server: loopback only, one card in the home, a clean end on Ctrl-C."""

from __future__ import annotations

import asyncio
import ipaddress
import linecache
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import FrameType

import uvicorn
from anyio import to_thread

from ragstone.config import Loaded
from ragstone.entrypoints.garbage import spare_what_is_here
from ragstone.entrypoints.http.app import build_app
from ragstone.entrypoints.http.exporter import exporting, watching_loop
from ragstone.entrypoints.http.listen import listen_on
from ragstone.entrypoints.http.starting import answering_while_starting
from ragstone.errors import Refused
from ragstone.home import remove_server_card, write_server_card
from ragstone.models.openai_generator import load_sdk
from ragstone.operate.drain import Drain
from ragstone.operate.signals import end_at_the_next_signal
from ragstone.runtime.engine import Engine, open_engine
from ragstone.telemetry.tracing import open_tracing

CUT_OFF_S = 1
_ROUTES = "ragstone.entrypoints.http."


def check_address(host: str) -> None:
    """Go on only for a loopback address: there are no keys yet that could guard another one.

    Raises:
        Refused: naming the address.
    """
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise Refused(
            f"The server does not listen on {host!r}: without API keys it would be open to everyone there. "
            "Use 127.0.0.1 (server.host) and put a proxy with authentication in front."
        )


async def serve(loaded: Loaded, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; what is under way then has `server.shutdown_grace_s` to end.

    A second signal ends the process at once: what it leaves is what a crash would leave, and mends alike.

    `announce` is called with the address once the server accepts connections.

    Raises:
        Refused: the address is not loopback.
        InvalidSetting: the address is in use or not this machine's.
    """
    settings = loaded.settings.server
    check_address(settings.host)
    listener = listen_on(settings.host, settings.port, "--port, server.port")
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    try:
        async with AsyncExitStack() as stack:
            tracing = stack.enter_context(open_tracing(loaded.settings.telemetry))
            async with answering_while_starting(listener):
                engine = await stack.enter_async_context(open_engine(loaded, tracing=tracing))
            await _serve(engine, listener, lambda: announce(url), url)
    finally:
        listener.close()


async def _serve(engine: Engine, listener: socket.socket, ready: Callable[[], None], url: str) -> None:
    config = uvicorn.Config(
        build_app(engine),
        log_config=None,
        access_log=False,
        lifespan="on",
        # The drain has waited already; what is left then are idle connections and cut streams.
        timeout_graceful_shutdown=CUT_OFF_S,
        server_header=False,
    )
    server = _DrainingServer(config, engine.drain, ready)
    write_server_card(engine.home, url)
    await to_thread.run_sync(_read_sources)
    if engine.settings.generator.base_url is not None:
        await to_thread.run_sync(load_sdk)
    try:
        async with exporting(engine), watching_loop(engine):
            await server.serve(sockets=[listener])
    finally:
        # Uvicorn has put back the handlers of before.
        end_at_the_next_signal()
        remove_server_card(engine.home)


def _read_sources() -> None:
    """FastAPI looks up where a route stands at its first request: the files are in memory then."""
    for name in [name for name in sys.modules if name.startswith(_ROUTES)]:
        linecache.getlines(sys.modules[name].__file__ or "")


class _DrainingServer(uvicorn.Server):
    """Tells when it is ready; when it is to end, answers newcomers with 503 until the others are done."""

    def __init__(self, config: uvicorn.Config, drain: Drain, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            spare_what_is_here()
            self._ready()

    async def main_loop(self) -> None:
        """Serve until told to end; then, with the door still open, wait for what is under way."""
        await super().main_loop()
        self._drain.begin()
        await self._drain.finished()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end. Uvicorn would raise the signal again at its end, before the engine is closed."""
        super().handle_exit(sig, frame)
        self._captured_signals.clear()
        end_at_the_next_signal()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._drain.begin)
