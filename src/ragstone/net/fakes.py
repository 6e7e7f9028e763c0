"""Doubles for tests: names that lead where the test says."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from ragstone.errors import FetchFailed
from ragstone.net.target import Address


class TableResolver:
    """Resolves from a table; a name with several answers gives the next one each time it is asked.

    The last answer stays. `asked` lists the names in the order they were asked for.
    """

    def __init__(self, table: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._answers = {host: list(answers) for host, answers in table.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """The next answer of the table."""
        del port
        self.asked.append(host)
        answers = self._answers.get(host)
        if not answers:
            raise FetchFailed(f"The host {host!r} has no address: it is not in the table.")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ipaddress.ip_address(address) for address in answer]
