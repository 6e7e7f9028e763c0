"""What all HTTP clients of this package share: certificates, and the errors of connections that break."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Final

import httpx2
from anyio import to_thread

NOT_OPENED: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, AttributeError)
"""There is no connection. A reset right after the handshake is an AttributeError: httpcore2 (2.16) then asks
a transport without a socket for the address of its peer."""
BROKEN: Final = (httpx2.HTTPError, AttributeError)
"""There was no answer, or not all of it."""


async def tls_context() -> ssl.SSLContext:
    """The certificates that are trusted; read once, in a thread, because that takes 20 ms and more."""
    return await to_thread.run_sync(_read_certificates)


@cache
def _read_certificates() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)
