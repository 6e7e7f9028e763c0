"""Running the server: loopback only, one card in the home, a clean end on Ctrl-C."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import FrameType

import uvicorn

from ragstone.config import Loaded
from ragstone.entrypoints.http.app import build_app
from ragstone.entrypoints.http.starting import answering_while_starting
from ragstone.errors import InvalidSetting, Refused
from ragstone.home import remove_server_card, write_server_card
from ragstone.runtime import open_engine


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
    listener = _listen(settings.host, settings.port)
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    try:
        async with AsyncExitStack() as stack:
            async with answering_while_starting(listener):
                engine = await stack.enter_async_context(open_engine(loaded))
            config = uvicorn.Config(
                build_app(engine),
                log_config=None,
                access_log=False,
                lifespan="on",
                timeout_graceful_shutdown=int(settings.shutdown_grace_s) or 1,
                server_header=False,
            )
            server = _AnnouncingServer(config, lambda: announce(url))
            write_server_card(engine.home, url)
            try:
                await server.serve(sockets=[listener])
            finally:
                remove_server_card(engine.home)
    finally:
        listener.close()


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


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise InvalidSetting(
            f"The server cannot listen on {host}:{port}: {error.strerror}. "
            "Stop what listens there, or choose another --port (0 takes a free one)."
        ) from error
    listener.listen(2048)
    return listener
