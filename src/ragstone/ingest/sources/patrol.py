"""The server's round: syncs that are due, folders that are watched, as the catalogue says at the moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog

from ragstone.cancellation import end_tasks
from ragstone.errors import InvalidSetting, SourceBusy
from ragstone.ingest.sources.catalogue import Catalogue, FolderEntry, SourceEntry
from ragstone.ingest.sources.sync import PRINCIPAL
from ragstone.ingest.sources.watch import WatchLimits, follow
from ragstone.store.database import now
from ragstone.store.sources import SourceRun, source_states

if TYPE_CHECKING:
    from ragstone.ingest.trouble import Rounds
    from ragstone.store.database import Database

log = structlog.get_logger(__name__)

ROUND_S = 2.0
BUSY_PAUSE_S = 1.0

SyncEntry = Callable[[SourceEntry], Awaitable[SourceRun]]


class Patrol:
    """Keeps the sources of the catalogue up to date until closed."""

    def __init__(
        self,
        database: Database,
        read: Callable[[], Awaitable[Catalogue]],
        sync: SyncEntry,
        limits: WatchLimits,
        rounds: Rounds,
    ) -> None:
        self._database = database
        self._rounds = rounds
        self._read = read
        self._sync = sync
        self._limits = limits
        self._round: asyncio.Task[None] | None = None
        self._syncing: dict[str, asyncio.Task[None]] = {}
        self._watching: dict[FolderEntryKey, asyncio.Task[None]] = {}
        self._complaint = ""

    def start(self) -> None:
        """Begin the rounds."""
        self._round = asyncio.create_task(self._go())

    async def aclose(self) -> None:
        """End the rounds, the watches and the syncs that they began."""
        tasks = [*self._syncing.values(), *self._watching.values()]
        if self._round is not None:
            tasks.append(self._round)
        await end_tasks(tasks)

    async def _go(self) -> None:
        while True:
            with self._rounds.round("look"):
                await self._look()
            await asyncio.sleep(ROUND_S)

    async def _look(self) -> None:
        try:
            entries = (await self._read()).entries
        except InvalidSetting as error:  # the sources go on as the catalogue last said
            if error.message != self._complaint:
                log.warning("catalogue_unreadable", error=error.message)
            self._complaint = error.message
            return
        await self._begin_due(list(entries.values()))
        self._watch([entry for entry in entries.values() if isinstance(entry, FolderEntry)])
        self._complaint = ""

    async def _begin_due(self, entries: list[SourceEntry]) -> None:
        scheduled = [entry for entry in entries if entry.schedule is not None]
        if not scheduled:
            return
        async with self._database.read() as connection:
            states = await source_states(connection, PRINCIPAL.tenant_id)
        present = now()
        for entry in scheduled:
            state = states.get(entry.name)
            is_due = state is None or (not state.is_running and (state.next_run_at or "") <= present)
            is_begun = entry.name in self._syncing and not self._syncing[entry.name].done()
            if is_due and not is_begun:
                self._syncing[entry.name] = asyncio.create_task(self._sync_due(entry))

    async def _sync_due(self, entry: SourceEntry) -> None:
        try:
            await self._sync(entry)
        except SourceBusy:  # by another process, or by hand: it is being done
            return
        except Exception:  # a worker: the next round tries again
            log.exception("source_not_synced", source=entry.name)

    def _watch(self, entries: list[FolderEntry]) -> None:
        """Begin the watches that are new, end those that the catalogue does not name any more."""
        wanted = {key_of(entry): entry for entry in entries if entry.watch}
        for key in self._watching.keys() - wanted.keys():
            self._watching.pop(key).cancel()
        for key, entry in wanted.items():
            if key not in self._watching or self._watching[key].done():
                self._watching[key] = asyncio.create_task(self.follow(entry))

    async def follow(self, entry: FolderEntry) -> None:
        """Sync a folder now and whenever it changes; never returns."""

        async def look() -> None:
            await sync_when_free(self._sync, entry)

        await follow(entry.path.expanduser(), look, self._limits)


FolderEntryKey = str


def key_of(entry: FolderEntry) -> FolderEntryKey:
    """Equal for entries that say the same."""
    return entry.model_dump_json()


async def sync_when_free(sync: SyncEntry, entry: SourceEntry) -> SourceRun | None:
    """Sync a source that another run may hold at the moment: a change is not lost to it.

    None when the sync could not even begin; the log says why.
    """
    while True:
        try:
            return await sync(entry)
        except SourceBusy:
            await asyncio.sleep(BUSY_PAUSE_S)
        except Exception:  # a worker loop: the next change tries again
            log.exception("source_not_synced", source=entry.name)
            return None
