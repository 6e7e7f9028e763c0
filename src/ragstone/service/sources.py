"""Sources of documents: list, sync, follow; single pages and folders on request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from ragstone.ingest.load import walk
from ragstone.ingest.originals import content_hash
from ragstone.ingest.sources.catalogue import Catalogue, FolderEntry, SourceEntry, read_catalogue
from ragstone.ingest.sources.folder import require_allowed
from ragstone.ingest.sources.patrol import Patrol, sync_when_free
from ragstone.ingest.sources.runs import SyncRunner
from ragstone.ingest.sources.single import ImportedFile, import_files, page_request
from ragstone.ingest.sources.watch import WatchLimits, follow
from ragstone.ingest.trouble import Rounds
from ragstone.store.documents import find_in_collection
from ragstone.store.sources import SourceRun, SourceState, source_runs_of, source_states
from ragstone.types import DEFAULT_COLLECTION, LOCAL_OWNER, JsonValue, Written

if TYPE_CHECKING:
    from ragstone.analytics.error_log import FailureSink
    from ragstone.ingest.request import IngestRequest
    from ragstone.ingest.sources.open import SourceOpener
    from ragstone.ingest.sources.ports import Intake
    from ragstone.net.fetch import Fetcher
    from ragstone.settings import Settings
    from ragstone.store.database import Database

SHOWN_RUNS = 10


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source of the catalogue, what is stored of it, and its newest runs, newest first."""

    entry: SourceEntry
    state: SourceState
    runs: Sequence[SourceRun]


@dataclass(frozen=True, slots=True)
class SourceParts:
    """What the service is made of."""

    database: Database
    intake: Intake
    fetcher: Fetcher
    opener: SourceOpener
    runner: SyncRunner
    catalogue: Path
    settings: Settings
    note_failure: FailureSink


class SourceService:
    """Everything about sources."""

    def __init__(self, parts: SourceParts) -> None:
        self._parts = parts
        self._running: set[asyncio.Task[SourceRun]] = set()
        watching = parts.settings.sources
        self._watch_limits = WatchLimits(
            watching.watch_debounce_s, watching.watch_rescan_s, watching.watch_polling
        )
        rounds = Rounds(parts.note_failure, "sync")
        self._patrol = Patrol(parts.database, self.catalogue, self.sync_entry, self._watch_limits, rounds)

    async def catalogue(self) -> Catalogue:
        """The catalogue as its file says now.

        Raises:
            InvalidSetting: the file cannot be read.
        """
        return await to_thread.run_sync(read_catalogue, self._parts.catalogue)

    async def list(self) -> list[SourceStatus]:
        """Every source of the catalogue with its newest run, in the catalogue's order.

        Raises:
            InvalidSetting: the catalogue cannot be read.
        """
        entries = (await self.catalogue()).entries.values()
        return [*await self._statuses(tuple(entries), 1)]

    async def get(self, name: str) -> SourceStatus:
        """One source with its newest runs.

        Raises:
            SourceNotFound: the catalogue does not name it.
        """
        (found,) = await self._statuses([(await self.catalogue()).get(name)], SHOWN_RUNS)
        return found

    async def sync(self, name: str, *, is_forced: bool = False, wait_s: float | None = None) -> SourceRun:
        """Sync a source of the catalogue; after `wait_s` seconds the run goes on by itself, `running`.

        Raises:
            SourceNotFound: the catalogue does not name it.
            SourceBusy: it is being synced already.
        """
        entry = (await self.catalogue()).get(name)
        run_id = await self._parts.runner.begin(entry)
        task = asyncio.create_task(self._run(entry, run_id, is_forced=is_forced))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            async with asyncio.timeout(wait_s):
                return await asyncio.shield(task)
        except TimeoutError:
            return SourceRun(run_id, name, "running")

    async def sync_entry(
        self, entry: SourceEntry, *, is_forced: bool = False, is_trusted: bool = False
    ) -> SourceRun:
        """Sync a source that need not be in the catalogue; a trusted one may be any folder.

        Raises:
            SourceBusy: it is being synced already.
        """
        run_id = await self._parts.runner.begin(entry)
        return await self._run(entry, run_id, is_forced=is_forced, is_trusted=is_trusted)

    async def follow(
        self, entry: FolderEntry, tell: Callable[[SourceRun], None], *, is_trusted: bool = False
    ) -> None:
        """Sync a folder now and whenever it changes, and tell of each run; ends when cancelled."""

        async def sync(found: SourceEntry) -> SourceRun:
            return await self.sync_entry(found, is_trusted=is_trusted)

        async def look() -> None:
            run = await sync_when_free(sync, entry)
            if run is not None:
                tell(run)

        await follow(entry.path.expanduser(), look, self._watch_limits)

    async def fetch(
        self,
        url: str,
        *,
        collection: str = DEFAULT_COLLECTION,
        title: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> Written:
        """Take one page in, or replace it; searchable when this returns.

        Raises:
            InvalidRequest: the URL cannot be read.
            FetchRefused: it leads to where this server does not fetch from.
            FetchFailed: it does not answer, or not with a page.
            DocumentRejected: the page cannot be taken in.
        """
        request = await page_request(self._parts.fetcher, url, collection, title, metadata or {})
        return await self._parts.intake.submit(await self._without_news(request))

    async def import_path(
        self,
        path: Path,
        *,
        collection: str = DEFAULT_COLLECTION,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> Sequence[ImportedFile]:
        """Take in a file or folder of this machine, once; one result for each file.

        Raises:
            Refused: it lies in no folder of `ingest.allowed_roots`.
            PathNotFound: it does not exist.
        """
        ingest = self._parts.settings.ingest
        place = await to_thread.run_sync(require_allowed, path, ingest.allowed_roots)
        found = await to_thread.run_sync(lambda: list(walk([place], include, exclude)))
        limits = (ingest.max_file_bytes, ingest.concurrency)
        return await import_files(self._parts.intake, found, collection, metadata or {}, limits)

    def start(self) -> None:
        """Keep the sources of the catalogue up to date, until closed."""
        self._patrol.start()

    async def aclose(self) -> None:
        """End what runs; the next sync takes up its work."""
        await self._patrol.aclose()
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(
        self, entry: SourceEntry, run_id: str, *, is_forced: bool = False, is_trusted: bool = False
    ) -> Coroutine[object, object, SourceRun]:
        opener = self._parts.opener
        return self._parts.runner.run(
            entry, run_id, lambda: opener.open(entry, is_trusted=is_trusted), is_forced=is_forced
        )

    async def _without_news(self, request: IngestRequest) -> IngestRequest:
        """The request; the same content as before keeps the time at which it was first fetched."""
        sha256 = await to_thread.run_sync(content_hash, request.file.content)
        async with self._parts.database.read() as connection:
            old = await find_in_collection(
                connection, LOCAL_OWNER.tenant_id, request.collection, request.source or ""
            )
        if old is None or old.content_sha256 != sha256:
            return request
        kept = {name: value for name, value in (request.metadata or {}).items() if name != "fetched_at"}
        return replace(request, metadata=kept)

    async def _statuses(self, entries: Sequence[SourceEntry], run_count: int) -> Sequence[SourceStatus]:
        tenant_id = LOCAL_OWNER.tenant_id
        async with self._parts.database.read() as connection:
            states = await source_states(connection, tenant_id)
            return [
                SourceStatus(
                    entry,
                    states.get(entry.name) or SourceState(entry.name, is_running=False, next_run_at=None),
                    await source_runs_of(connection, tenant_id, entry.name, run_count),
                )
                for entry in entries
            ]
