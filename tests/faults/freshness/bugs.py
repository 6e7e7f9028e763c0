"""Bugs to plant in a process: each makes the caches serve what they must not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import msgspec

from ragstone.cache.keys import Reader, RetrievalKey
from ragstone.index.follower import IndexFollower
from ragstone.search.standing import Standing
from ragstone.types import CollectionId, Principal


def without_version() -> None:
    """Retrieval and answers are found whatever has changed."""
    _change_key(lambda key: msgspec.structs.replace(key, corpus_version=0))


def without_epoch() -> None:
    """A restored database finds what was made from the one before."""
    _change_key(
        lambda key: msgspec.structs.replace(key, reader=msgspec.structs.replace(key.reader, epoch=""))
    )


def _change_key(change: Callable[[RetrievalKey], RetrievalKey]) -> None:
    key = Standing.key
    Standing.key = lambda self, recipe: change(key(self, recipe))  # type: ignore[method-assign]


def _change_reader(**taken_out: object) -> None:
    of = Reader.of

    def less(epoch: str, principal: Principal) -> Reader:
        return msgspec.structs.replace(of(epoch, principal), **taken_out)

    Reader.of = staticmethod(less)  # type: ignore[method-assign]


def without_tenant() -> None:
    """Tenants with the same passages share what was made of them."""
    _change_reader(tenant_id="")


def without_groups() -> None:
    """A reader is served what one with other access groups asked for."""
    _change_reader(access_groups=None)


def with_version_of_the_truth() -> None:
    """The version of a key and of a result is read from the rows, not from what the indexes have applied."""
    statement = "SELECT coalesce(max(version), 0) FROM collections WHERE id IN ({})"
    opened: list[sqlite3.Connection] = []

    def newest(self: IndexFollower, ids: Iterable[CollectionId]) -> int:
        if not opened:
            opened.append(sqlite3.connect(self._database.path, isolation_level=None))
        wanted = list(ids)
        marks = ",".join("?" * len(wanted))
        return int(opened[0].execute(statement.format(marks), wanted).fetchone()[0])

    IndexFollower.corpus_version = newest  # type: ignore[method-assign]


BUGS: Mapping[str, Callable[[], None]] = MappingProxyType(
    {
        "no version": without_version,
        "no epoch": without_epoch,
        "no tenant": without_tenant,
        "no access groups": without_groups,
        "version beside the indexes": with_version_of_the_truth,
    }
)
