"""Listening on an address, with a sentence when that does not work."""

from __future__ import annotations

import socket

from ragstone.errors import InvalidSetting


def listen_on(host: str, port: int, setting: str) -> socket.socket:
    """A socket that listens; 0 takes a free port.

    Raises:
        InvalidSetting: the address is in use or not this machine's; `setting` names the port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise InvalidSetting(
            f"The server cannot listen on {host}:{port}: {error.strerror}. "
            f"Stop what listens there, or choose another port ({setting})."
        ) from error
    listener.listen(2048)
    return listener
