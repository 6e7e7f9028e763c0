"""How busy this process is: requests in flight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Load:
    """Counts the requests that are being answered."""

    def __init__(self) -> None:
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Requests being answered now."""
        return self._in_flight

    @contextmanager
    def request(self) -> Iterator[None]:
        """Around the answering of one request."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
