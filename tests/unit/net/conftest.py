"""A site to fetch from, and fetchers that are let in there."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

import pytest
from tests.support.site import Site, running_site

from ragstone.net.fakes import TableResolver
from ragstone.net.fetch import Fetcher, FetchLimits
from ragstone.net.guard import AddressGuard, FetchRules

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
MakeFetcher = Callable[..., Fetcher]


@pytest.fixture
def site() -> Iterator[Site]:
    """An empty site."""
    with running_site() as site:
        yield site


@pytest.fixture
async def make_fetcher(site: Site) -> AsyncIterator[MakeFetcher]:
    """Builds fetchers for which names lead where `table` says."""
    made: list[Fetcher] = []

    def make(
        table: Mapping[str, Sequence[Sequence[str]]] | None = None,
        *,
        is_open: bool = True,
        ports: Sequence[int] = (),
        **limits: float,
    ) -> Fetcher:
        rules = FetchRules((LOOPBACK,) if is_open else (), ports=frozenset({80, 443, site.port, *ports}))
        guard = AddressGuard(TableResolver(table or {}), rules)
        found = {"max_bytes": 100_000, "timeout_s": 30.0, **limits}
        made.append(Fetcher(guard, FetchLimits(**found)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for fetcher in made:
        await fetcher.aclose()
