"""One sync: what the source lists against what is stored; new, changed, moved, vanished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import structlog
from anyio import to_thread

from ragstone.errors import DocumentRejected, RagstoneError, TooManyVanished
from ragstone.ingest.originals import content_hash
from ragstone.ingest.request import IngestRequest
from ragstone.ingest.sources.ports import FailedItem, Incomplete, Intake, Source, SourceItem
from ragstone.ingest.sources.vanished import Vanished
from ragstone.store.documents import find_in_collection
from ragstone.store.sources import KnownItem, delete_items, is_shared, known_items, put_items
from ragstone.types import DEFAULT_TENANT, DocumentId, Principal, RawFile

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from ragstone.analytics.error_log import FailureSink
    from ragstone.ingest.sources.catalogue import Entry
    from ragstone.store.database import Database

log = structlog.get_logger(__name__)

TOLD_FAILURES = 20
PRINCIPAL = Principal(DEFAULT_TENANT)


@dataclass(frozen=True, slots=True)
class SyncLimits:
    """How many documents at once, and how many may go at once."""

    concurrency: int = 8
    max_vanished_share: float = 0.3
    always_removed: int = 5


@dataclass(slots=True)
class Tally:
    """What a sync did, as it goes on."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Mapping[str, str]] = field(default_factory=list)
    note: str | None = None
    guard: TooManyVanished | None = None

    def fail(self, uri: str, error: RagstoneError) -> bool:
        """Count an item that could not be taken in; whether it is one of the first, which are told of."""
        self.counts["failed"] += 1
        is_told = len(self.failures) < TOLD_FAILURES
        if is_told:
            self.failures.append({"uri": uri, "code": error.code, "message": error.message})
        return is_told


class Sync:
    """One sync of one source. Whatever ends it half way, the next one takes up where it was."""

    def __init__(
        self, database: Database, intake: Intake, entry: Entry, limits: SyncLimits, note_failure: FailureSink
    ) -> None:
        self._database = database
        self._intake = intake
        self._entry = entry
        self._limits = limits
        self._note_in_log = note_failure
        self._places = anyio.Semaphore(limits.concurrency)
        self._digest = entry.digest
        self._known: dict[str, KnownItem] = {}
        self._seen: set[str] = set()
        self._moved: set[str] = set()
        self.tally = Tally()

    async def run(self, source: Source, *, is_forced: bool = False) -> Tally:
        """Bring the store to what the source holds; failing items are counted, the others go on.

        Raises:
            RagstoneError: the source cannot be listed; what came before that is in, nothing is removed.
        """
        async with self._database.read() as connection:
            rows = await known_items(connection, PRINCIPAL.tenant_id, self._entry.name)
        self._known = {row.uri: row for row in rows}
        usable = {row.uri: row for row in rows if self._is_current(row)}
        failure: RagstoneError | None = None
        waiting: list[SourceItem] = []
        async with anyio.create_task_group() as group:
            try:
                waiting = await self._read(source, usable, group)
            except RagstoneError as error:  # raised below: a group would wrap it
                failure = error
        if failure is not None:
            raise failure
        await self._finish(waiting, is_forced=is_forced)
        return self.tally

    async def _read(
        self, source: Source, usable: Mapping[str, KnownItem], group: TaskGroup
    ) -> list[SourceItem]:
        """Take in what changed as it is listed; the items that may turn out to be moved ones wait."""
        waiting: list[SourceItem] = []
        async with aclosing(source.items(usable)) as listing:
            async for listed in listing:
                if isinstance(listed, Incomplete):
                    self.tally.note = listed.reason
                elif isinstance(listed, FailedItem):
                    self._seen.add(listed.uri)
                    self._fail(listed.uri, listed.error, listed.error)
                elif self._is_unchanged(listed, usable):
                    self.tally.counts["unchanged"] += 1
                elif source.finds_moves and listed.uri not in self._known:
                    waiting.append(listed)
                else:
                    await self._places.acquire()
                    group.start_soon(self._take_in, listed)
        return waiting

    def _is_current(self, row: KnownItem) -> bool:
        """Whether the row says all that a listing would make of it, if the item is still the same."""
        is_settled = row.is_stored or row.error is not None
        is_same_entry = row.entry_digest == self._digest and row.collection == self._entry.collection
        return is_settled and is_same_entry and bool(row.fingerprint)

    def _is_unchanged(self, item: SourceItem, usable: Mapping[str, KnownItem]) -> bool:
        self._seen.add(item.uri)
        row = usable.get(item.uri)
        return row is not None and row.fingerprint == item.fingerprint

    async def _finish(self, waiting: list[SourceItem], *, is_forced: bool) -> None:
        """After the listing: what is new, which may be what was moved; then what vanished."""
        vanished = Vanished(row for uri, row in self._known.items() if uri not in self._seen)
        await self._begin(waiting)
        async with anyio.create_task_group() as group:
            for item in waiting:
                await self._places.acquire()
                group.start_soon(self._take_in, item, vanished)
        if self.tally.note is None:
            await self._drop(vanished, is_forced=is_forced)

    async def _begin(self, items: list[SourceItem]) -> None:
        """Write down what will be taken in: no document of a sync cut off is left without an owner."""
        pending = [self._row(item, "", "") for item in items]
        async with self._database.write() as connection:
            await put_items(connection, PRINCIPAL.tenant_id, self._entry.name, pending)

    async def _take_in(self, item: SourceItem, vanished: Vanished | None = None) -> None:
        try:
            await self._settle(item, vanished)
        except RagstoneError as error:
            self._fail(item.uri, error, error)
            await self._note_failure(item, error)
        except Exception as error:  # a worker: the other items go on
            log.exception("source_item_failed", source=self._entry.name)
            told = RagstoneError("Ragstone failed on this item; the log has the details.")
            self._fail(item.uri, told, error)
        finally:
            self._places.release()

    def _fail(self, uri: str, told: RagstoneError, cause: Exception) -> None:
        if self.tally.fail(uri, told):
            self._note_in_log(cause, "item", service="sync", tenant_id=PRINCIPAL.tenant_id)

    async def _settle(self, item: SourceItem, vanished: Vanished | None) -> None:
        old = self._known.get(item.uri)
        if old is None and vanished is None:
            await self._begin([item])
        file = await item.load()
        content_sha256 = await to_thread.run_sync(content_hash, file.content)
        if old is not None and self._is_current(old) and old.content_sha256 == content_sha256:
            await self._put(replace(old, fingerprint=item.fingerprint, memo=item.memo))
            self.tally.counts["unchanged"] += 1
            return
        moved = None if vanished is None else vanished.take_same(item.uri, content_sha256)
        written = await self._intake.submit(self._request(item, file, moved))
        row = self._row(item, item.fingerprint, content_sha256, written.document_id)
        await self._put(row, gone=None if moved is None else moved.uri)
        if old is not None and old.document_id not in (None, written.document_id) and old.is_stored:
            await self._remove_document(old)
        self.tally.counts["moved" if moved is not None else written.status] += 1

    def _request(self, item: SourceItem, file: RawFile, moved: KnownItem | None) -> IngestRequest:
        found = {"source_name": self._entry.name, "fetched_at": _now()}
        return IngestRequest(
            file=file,
            collection=self._entry.collection,
            source=item.uri,
            metadata={**self._entry.metadata, **item.metadata, **found},
            document_id=None if moved is None else moved.document_id,
            principal=PRINCIPAL,
        )

    def _row(
        self, item: SourceItem, fingerprint: str, sha256: str, document_id: DocumentId | None = None
    ) -> KnownItem:
        return KnownItem(
            uri=item.uri,
            collection=self._entry.collection,
            fingerprint=fingerprint,
            content_sha256=sha256,
            entry_digest=self._digest,
            document_id=document_id,
            memo=item.memo,
        )

    async def _put(self, row: KnownItem, gone: str | None = None) -> None:
        async with self._database.write() as connection:
            name = self._entry.name
            await put_items(connection, PRINCIPAL.tenant_id, name, [row])
            if gone is not None:
                await delete_items(connection, PRINCIPAL.tenant_id, name, [gone])

    async def _note_failure(self, item: SourceItem, error: RagstoneError) -> None:
        """A document that was refused is tried again when it changes, any other failure at the next sync."""
        old = self._known.get(item.uri)
        is_final = isinstance(error, DocumentRejected)
        row = self._row(item, item.fingerprint if is_final else "", "", old.document_id if old else None)
        try:
            await self._put(replace(row, error=(error.code, error.message)))
        except RagstoneError:
            log.warning("source_item_not_noted", source=self._entry.name, exc_info=True)

    async def _drop(self, vanished: Vanished, *, is_forced: bool) -> None:
        count, total = len(vanished.rows), len(self._known)
        limits = self._limits
        if not is_forced and count > max(limits.always_removed, limits.max_vanished_share * total):
            self.tally.counts["kept"] += count
            self.tally.guard = TooManyVanished(
                f"{count} of {total} documents of source {self._entry.name!r} have vanished, more than "
                f"sources.max_vanished_share ({limits.max_vanished_share:g}) lets go at once; none was "
                "removed. If they are meant to go, sync with force."
            )
            return
        for row in vanished.rows:
            await self._remove_document(row)
            async with self._database.write() as connection:
                await delete_items(connection, PRINCIPAL.tenant_id, self._entry.name, [row.uri])
            self.tally.counts["removed"] += row.is_stored

    async def _remove_document(self, row: KnownItem) -> None:
        document_id = row.document_id
        async with self._database.read() as connection:
            if document_id is None:
                found = await find_in_collection(connection, PRINCIPAL.tenant_id, row.collection, row.uri)
                document_id = None if found is None else found.id
            is_kept = document_id is None or await is_shared(connection, self._entry.name, document_id)
        if document_id is not None and not is_kept:
            await self._intake.remove(document_id)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
