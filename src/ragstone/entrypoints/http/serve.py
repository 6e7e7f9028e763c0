"""Running the server: loopback only, one card in the home, a clean end on Ctrl-C."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from ragstone.config import Loaded
from ragstone.entrypoints.http.app import build_app
from ragstone.entrypoints.http.exporter import exporting
from ragstone.entrypoints.http.listen import listen_on
from ragstone.errors import Refused
from ragstone.home import remove_server_card, write_server_card
from ragstone.runtime import Engine, open_engine
from ragstone.telemetry.tracing import open_tracing


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
    """Serve until SIGINT or SIGTERM; requests in flight get `server.shutdown_grace_s` to finish.

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
        with open_tracing(loaded.settings.telemetry) as tracing:
            async with open_engine(loaded, tracing=tracing) as engine:
                await _serve(engine, listener, lambda: announce(url), url)
    finally:
        listener.close()


async def _serve(engine: Engine, listener: socket.socket, ready: Callable[[], None], url: str) -> None:
    grace_s = engine.settings.server.shutdown_grace_s
    config = uvicorn.Config(
        build_app(engine),
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=int(grace_s) or 1,
        server_header=False,
    )
    server = _AnnouncingServer(config, ready)
    write_server_card(engine.home, url)
    try:
        async with exporting(engine):
            await server.serve(sockets=[listener])
    finally:
        remove_server_card(engine.home)


class _AnnouncingServer(uvicorn.Server):
    """Tells when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end. Uvicorn would raise the signal again at its end, before the engine is closed."""
        super().handle_exit(sig, frame)
        self._captured_signals.clear()
