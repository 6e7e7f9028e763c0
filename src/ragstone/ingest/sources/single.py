"""Documents without a catalogue: one page, or the files of a folder, taken in once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from ragstone.errors import RagstoneError
from ragstone.ingest.load import FoundFile, read
from ragstone.ingest.request import IngestRequest
from ragstone.ingest.sources.page import read_page
from ragstone.ingest.sources.urls import normal_url
from ragstone.ingest.sources.web import raw_file
from ragstone.net.fetch import HTML_TYPES, Fetcher, FetchRequest, require_page
from ragstone.types import Metadata, Written

if TYPE_CHECKING:
    from ragstone.ingest.sources.ports import Intake


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """What became of a file."""

    path: str
    outcome: Written | RagstoneError


async def page_request(
    fetcher: Fetcher, url: str, collection: str, title: str | None, metadata: Metadata
) -> IngestRequest:
    """Fetch a page and ask for it to be taken in, under its canonical address.

    Raises:
        InvalidRequest: the URL cannot be read.
        FetchRefused: it leads to where this server does not fetch from.
        FetchFailed: it does not answer, or not with a page.
        DocumentRejected: it is too large or of a type that is not read.
    """
    fetched = require_page(await fetcher.fetch(FetchRequest(url)))
    canonical = None
    if fetched.media_type in ("", *HTML_TYPES):
        canonical = (await to_thread.run_sync(read_page, fetched.content, fetched.url, "", "")).canonical
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return IngestRequest(
        file=raw_file(fetched),
        collection=collection,
        title=title,
        source=canonical or normal_url(fetched.url) or fetched.url,
        metadata={**metadata, "url": fetched.url, "fetched_at": now},
    )


async def import_files(
    intake: Intake, found: Sequence[FoundFile], collection: str, metadata: Metadata, limits: tuple[int, int]
) -> list[ImportedFile]:
    """Take files in, in order of their outcome; `limits`: bytes of a file, documents at once."""
    max_file_bytes, concurrency = limits
    places = anyio.Semaphore(concurrency)
    results: list[ImportedFile] = []

    async def take_in(file: FoundFile) -> None:
        try:
            raw = await to_thread.run_sync(read, file, max_file_bytes)
            request = IngestRequest(raw, collection, source=file.source, metadata=metadata or None)
            results.append(ImportedFile(file.source, await intake.submit(request)))
        except RagstoneError as error:
            results.append(ImportedFile(file.source, error))
        finally:
            places.release()

    async with anyio.create_task_group() as group:
        for file in found:
            await places.acquire()
            group.start_soon(take_in, file)
    return results
