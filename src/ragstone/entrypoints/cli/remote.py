"""The commands' work done by a running server, over its HTTP interface."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from ragstone.entrypoints.cli.analytics_backend import RemoteAnalytics
from ragstone.entrypoints.cli.query_backend import RemoteQueries
from ragstone.errors import DependencyFailed, RagstoneError
from ragstone.home import Home, read_server_url
from ragstone.telemetry.spans import TRACEPARENT, present_span

if TYPE_CHECKING:
    from ragstone.entrypoints.cli.analytics_backend import AnalyticsCalls
    from ragstone.entrypoints.cli.backend import AddFile, ChunkingOptions, DocumentChoice, Question
    from ragstone.entrypoints.cli.chunks import PreviewFile
    from ragstone.entrypoints.cli.query_backend import QueryCalls
    from ragstone.entrypoints.wire import Wire
    from ragstone.types import JsonValue

ANSWER_TIMEOUT_S = 600.0
UPLOAD_WAIT_S = 300.0
POLL_S = 1.0
QUEUE_WAITS_S = (1.0, 2.0, 4.0, *(8.0,) * 70)
"""Together about ten minutes."""
HELLO_TIMEOUT_S = 2.0


class ServerError(RagstoneError):
    """A problem that the server reported; its code and message are kept."""

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


async def find_server(home: Path) -> str | None:
    """The address of the server that runs on this home and answers."""
    url = read_server_url(Home(home))
    if url is None:
        return None
    try:
        async with httpx2.AsyncClient(trust_env=False) as client:
            response = await client.get(f"{url}/health/live", timeout=HELLO_TIMEOUT_S)
            return url if response.status_code == httpx2.codes.OK else None
    except httpx2.HTTPError:
        return None


class RemoteBackend:
    """A running server."""

    def __init__(self, client: httpx2.AsyncClient, url: str) -> None:
        self._client = client
        self.place = url
        self.queries: QueryCalls = RemoteQueries(self._call)
        self.analytics: AnalyticsCalls = RemoteAnalytics(client, self._call)

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str) -> AsyncIterator[RemoteBackend]:
        """A backend on the server at `url`."""
        limits = httpx2.Timeout(ANSWER_TIMEOUT_S, connect=HELLO_TIMEOUT_S)
        here = present_span()
        headers = {} if here is None else {TRACEPARENT: here.traceparent}
        async with httpx2.AsyncClient(
            base_url=url, timeout=limits, trust_env=False, headers=headers
        ) as client:
            yield cls(client, url)

    async def add(self, added: AddFile) -> Wire:
        """Take one file in, however long it takes."""
        form = {"collection": added.collection, "source": added.source, "wait_s": str(UPLOAD_WAIT_S)}
        if added.title is not None:
            form["title"] = added.title
        if added.metadata:
            form["metadata"] = json.dumps(added.metadata)
        if added.is_bulk:
            form["priority"] = "bulk"
        done = await self._upload(form, {"file": (added.file.name, added.file.content)})
        return await self._finished(done) if "job_id" in done else done

    async def _upload(self, form: Mapping[str, str], files: Mapping[str, tuple[str, bytes]]) -> Wire:
        """A full queue empties: the upload waits for its turn, with an end."""
        for wait_s in QUEUE_WAITS_S:
            try:
                return await self._call("POST", "/v1/documents", data=form, files=files)
            except ServerError as error:
                if error.code != "queue_full":
                    raise
                await asyncio.sleep(wait_s)
        return await self._call("POST", "/v1/documents", data=form, files=files)

    async def _finished(self, accepted: Wire) -> Wire:
        """What became of an upload that takes longer than the server lets a request wait."""
        while True:
            job = await self._call("GET", f"/v1/jobs/{accepted['job_id']}")
            if job["state"] in ("queued", "running"):
                await asyncio.sleep(POLL_S)
                continue
            if job["state"] == "ready":
                result = job["result"] if isinstance(job["result"], dict) else {}
                return {**await self.get_document(str(job["document_id"])), **result}
            if job["state"] == "cancelled":
                raise ServerError("conflict", str(job["explanation"]), retryable=False)
            error = job["error"] if isinstance(job["error"], dict) else {}
            raise ServerError(str(error.get("code")), str(error.get("message")), retryable=False)

    async def fetch(self, url: str, collection: str, metadata: Mapping[str, JsonValue]) -> Wire:
        """Take one page in."""
        body = {"url": url, "collection": collection, "metadata": dict(metadata)}
        return await self._call("POST", "/v1/documents/fetch", body=body)

    async def sources(self) -> Wire:
        """Every source of the catalogue."""
        return await self._call("GET", "/v1/sources")

    async def get_source(self, name: str) -> Wire:
        """One source with its newest runs."""
        return await self._call("GET", f"/v1/sources/{name}")

    async def sync_source(self, name: str, *, is_forced: bool) -> Wire:
        """Sync a source to its end, however long it takes."""
        body = {"force": is_forced, "wait_s": UPLOAD_WAIT_S}
        run = await self._call("POST", f"/v1/sources/{name}/sync", body=body)
        while run["state"] == "running":
            await asyncio.sleep(POLL_S)
            runs = (await self.get_source(name))["runs"]
            found = [one for one in runs if one["id"] == run["id"]] if isinstance(runs, list) else []
            run = found[0] if found else run
        return run

    async def search(self, question: Question) -> Wire:
        """Search."""
        return await self._call("POST", "/v1/search", body={"query": question.text, **_options(question)})

    async def ask(self, question: Question) -> AsyncGenerator[Wire, None]:
        """The events of an answer, as they come."""
        body = {"question": question.text, "stream": True, **_options(question)}
        headers = {"accept": "application/x-ndjson"}
        try:
            async with self._client.stream("POST", "/v1/ask", json=body, headers=headers) as response:
                if response.is_error:
                    await response.aread()
                    raise problem_of(response)
                async for line in response.aiter_lines():
                    if line:
                        yield json.loads(line)
        except httpx2.HTTPError as error:
            raise self._lost(error) from error

    async def list_documents(self, wanted: DocumentChoice, cursor: str | None, limit: int) -> Wire:
        """A page of documents."""
        query = {"collection": wanted.collection, "cursor": cursor, "limit": str(limit), "sort": wanted.sort}
        if wanted.filters is not None:
            query["filter"] = json.dumps(wanted.filters)
        return await self._call("GET", "/v1/documents", query=query)

    async def get_document(self, document_id: str) -> Wire:
        """One document."""
        return await self._call("GET", f"/v1/documents/{document_id}")

    async def read_document(self, document_id: str, start: int, end: int) -> Wire:
        """Characters of a document."""
        query = {"start": str(start), "end": str(end)}
        return await self._call("GET", f"/v1/documents/{document_id}/text", query=query)

    async def remove_document(self, document_id: str) -> Wire:
        """Remove a document."""
        return await self._call("DELETE", f"/v1/documents/{document_id}")

    async def remove_matching(self, collection: str, filters: JsonValue) -> Wire:
        """Remove the documents that a filter matches."""
        query = {"collection": collection, "filter": json.dumps(filters)}
        return await self._call("DELETE", "/v1/documents", query=query)

    async def count_documents(self, name: str, key: str, limit: int) -> Wire:
        """A collection's documents by the values of a key."""
        query = {"by": key, "limit": str(limit)}
        return await self._call("GET", f"/v1/collections/{name}/statistics", query=query)

    async def collections(self) -> Wire:
        """Every collection."""
        return await self._call("GET", "/v1/collections")

    async def create_collection(self, name: str, language: str, chunking: ChunkingOptions) -> Wire:
        """Make a collection."""
        body = {"name": name, "language": language, **chunking.wire()}
        return await self._call("POST", "/v1/collections", body=body)

    async def preview_chunks(self, asked: PreviewFile) -> Wire:
        """How a file would be cut."""
        form = {"limit": str(asked.limit), **asked.chunking.wire()}
        files = {"file": (asked.name, asked.content)}
        return await self._call("POST", "/v1/chunk-preview", data=form, files=files)

    async def collection_statistics(self, name: str) -> Wire:
        """Figures of a collection's chunks."""
        return await self._call("GET", f"/v1/collections/{name}/chunk-statistics")

    async def document_statistics(self, document_id: str) -> Wire:
        """Figures of a document's chunks."""
        return await self._call("GET", f"/v1/documents/{document_id}/chunk-statistics")

    async def read_chunk(self, chunk_id: str, neighbours: int, is_section: bool) -> Wire:
        """A chunk with what stands around it."""
        query = {"expand": "section"} if is_section else {"neighbours": str(neighbours)}
        return await self._call("GET", f"/v1/chunks/{chunk_id}", query=query)

    async def remove_collection(self, name: str) -> Wire:
        """Remove a collection."""
        return await self._call("DELETE", f"/v1/collections/{name}")

    async def list_jobs(
        self, state: str | None, collection: str | None, cursor: str | None, limit: int
    ) -> Wire:
        """A page of jobs."""
        query = {"state": state, "collection": collection, "cursor": cursor, "limit": str(limit)}
        return await self._call("GET", "/v1/jobs", query=query)

    async def get_job(self, job_id: str) -> Wire:
        """One job."""
        return await self._call("GET", f"/v1/jobs/{job_id}")

    async def retry_job(self, job_id: str) -> Wire:
        """Try a failed job again."""
        return await self._call("POST", f"/v1/jobs/{job_id}/retry")

    async def cancel_job(self, job_id: str) -> Wire:
        """Cancel a job."""
        return await self._call("POST", f"/v1/jobs/{job_id}/cancel")

    async def cache_statistics(self) -> Wire:
        """Figures of the caches."""
        return await self._call("GET", "/v1/cache")

    async def clear_cache(self, name: str | None, pattern: str, collection: str | None) -> Wire:
        """Forget entries."""
        query = {"cache": name, "pattern": pattern, "collection": collection}
        return await self._call("DELETE", "/v1/cache", query=query)

    async def call(self, method: str, path: str) -> Wire:
        """What a route without parameters answers."""
        return await self._call(method, path)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | None] | None = None,
        data: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
        content: AsyncIterator[bytes] | None = None,
    ) -> Wire:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            response = await self._client.request(
                method, path, json=body, params=given, data=data, files=files, content=content
            )
        except httpx2.HTTPError as error:
            raise self._lost(error) from error
        if response.is_error:
            raise problem_of(response)
        answer: Wire = response.json()
        return answer

    def _lost(self, error: httpx2.HTTPError) -> DependencyFailed:
        return DependencyFailed(
            f"The server at {self.place} stopped answering ({type(error).__name__}: {error}); start it again."
        )


def _options(question: Question) -> Wire:
    options: Wire = {"mode": question.mode, "explain": question.explain}
    for name, value in (
        ("collections", question.collections),
        ("top_k", question.top_k),
        ("filters", question.filters),
        ("weights", question.weights),
        ("fusion", question.fusion),
        ("expand", question.expand),
        ("cache", None if question.use_cache else False),
    ):
        if value is not None:
            options[name] = value
    return options


def problem_of(response: httpx2.Response) -> RagstoneError:
    """What an error of the server says."""
    try:
        found = response.json()
        code, message = str(found["code"]), str(found["detail"])
    except (ValueError, KeyError, TypeError):
        return DependencyFailed(f"The server answered {response.status_code} without saying why.")
    return ServerError(code, message, retryable=bool(found.get("retryable")))
