"""A part is down, or a file is poison: what another time may mend is waited out, the rest is set aside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ragstone.config import load
from ragstone.deadline import Deadline
from ragstone.errors import DocumentRejected, EmbeddingFailed
from ragstone.ingest.queue import Accepted
from ragstone.ingest.request import IngestRequest
from ragstone.models.fakes import HashEmbedder
from ragstone.runtime.engine import Engine, open_engine
from ragstone.types import Matrix, RawFile, SearchRequest, Written
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

WAIT_S = 60.0
QUICK = {"ingest.retry_backoff_s": 0.05, "ingest.lease_s": 60}
POISON = "arsenic"
DOCUMENTS = 40


class ChokingEmbedder(HashEmbedder):
    """Breaks in a way that nobody foresaw on texts with the poison in them."""

    is_choking = True

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """As `HashEmbedder`, but for poison."""
        if self.is_choking and any(POISON in text for text in texts):
            raise ZeroDivisionError
        return await super().embed_passages(texts)


async def test_an_outage_of_the_embedder_is_waited_out(home: Path) -> None:
    """While it lasts, jobs wait and are not held against their files; who waits for one is told at once.
    Afterwards every document is there, parsed once.
    """
    embedder = HashEmbedder()
    async with opened(home, embedder, QUICK) as engine:
        embedder.is_failing = True
        queued = [await enqueue(engine, f"Heron {n} waits.") for n in range(DOCUMENTS)]
        told = [await engine.jobs.outcome(accepted, Deadline.after(WAIT_S)) for accepted in queued]
        embedder.is_failing = False

        jobs = [await engine.jobs.wait(accepted.job_id, Deadline.after(WAIT_S)) for accepted in queued]

        assert told == queued
        assert {job.state for job in jobs} == {"ready"}
        assert {job.failures for job in jobs} == {0}
        assert all(attempt.code == "embedding_failed" for job in jobs for attempt in job.history)
        assert all(attempt.stage == "embed" for job in jobs for attempt in job.history)
        documents = (await engine.documents.list(limit=200)).documents
        assert len(documents) == DOCUMENTS
        assert parses(engine) == DOCUMENTS


async def test_an_outage_without_end_fails_the_job_and_keeps_its_file(home: Path) -> None:
    """After ingest.retry_for_s the job fails with the part's own error, and can be tried again."""
    embedder = HashEmbedder()
    async with opened(home, embedder, {**QUICK, "ingest.retry_for_s": 0}) as engine:
        embedder.is_failing = True
        accepted = await enqueue(engine, "Herons wait.")
        failed = await engine.jobs.wait(accepted.job_id, Deadline.after(WAIT_S))
        embedder.is_failing = False
        await engine.jobs.retry(accepted.job_id)
        retried = await engine.jobs.wait(accepted.job_id, Deadline.after(WAIT_S))

    assert (failed.state, failed.error_code, failed.stage) == ("failed", "embedding_failed", "embed")
    assert failed.is_original_kept
    assert (retried.state, retried.error_code) == ("ready", None)


async def test_poison_is_set_aside_and_the_others_get_in(home: Path) -> None:
    """A file that breaks the pipeline is tried `ingest.max_attempts` times and then set aside with the
    stage; its neighbours are ready. Mended and tried again, it gets in.
    """
    embedder = ChokingEmbedder()
    async with opened(home, embedder, QUICK) as engine:
        poison = await enqueue(engine, f"A little {POISON}.")
        others = [await enqueue(engine, f"Heron {n} waits.") for n in range(DOCUMENTS)]

        failed = await engine.jobs.wait(poison.job_id, Deadline.after(WAIT_S))
        jobs = [await engine.jobs.wait(other.job_id, Deadline.after(WAIT_S)) for other in others]

        assert (failed.state, failed.stage, failed.error_code) == ("failed", "embed", "internal")
        assert failed.attempts == failed.failures == engine.settings.ingest.max_attempts
        assert {(job.state, job.attempts) for job in jobs} == {("ready", 1)}
        embedder.is_choking = False
        await engine.jobs.retry(poison.job_id)
        assert (await engine.jobs.wait(poison.job_id, Deadline.after(WAIT_S))).state == "ready"


async def test_a_refused_file_is_not_tried_twice(home: Path) -> None:
    """A program among the files: refused once, its bytes gone; whoever waits gets the reason."""
    async with opened(home, HashEmbedder(), QUICK) as engine:
        request = IngestRequest(RawFile(b"\x7fELF" + bytes(400), "a.pdf"), source="a.pdf")
        accepted = await engine.jobs.enqueue(request)

        with pytest.raises(DocumentRejected, match="ELF"):
            await engine.jobs.outcome(accepted, Deadline.after(WAIT_S))

        job = await engine.jobs.get(accepted.job_id)
        assert (job.state, job.attempts, job.error_code) == ("failed", 1, "invalid_file_type")
        assert not job.is_original_kept
    assert [path for path in (home / "blobs").rglob("*") if path.is_file()] == []


async def test_what_came_later_wins(home: Path) -> None:
    """A job is dropped when its document was replaced or removed after it was queued."""
    async with opened(home, HashEmbedder(), QUICK, places=0) as engine:
        first = await add(engine, "First.", "a.md")
        await add(engine, "First.", "b.md")
        replaced = await enqueue(engine, "Queued before.", "a.md")
        removed = await enqueue(engine, "Queued before, too.", "b.md")
        await add(engine, "Second.", "a.md")
        (_, second) = (await engine.documents.list()).documents
        await engine.documents.remove(second.id)
        engine.worker.start(2)

        jobs = [await engine.jobs.wait(one.job_id, Deadline.after(WAIT_S)) for one in (replaced, removed)]

        assert [(job.state, job.error_code) for job in jobs] == [("failed", "conflict")] * 2
        (left,) = (await engine.documents.list()).documents
        assert (await engine.documents.read(left.id)).text == "Second."
        assert left.id == first.document_id


async def test_jobs_of_one_document_run_one_after_the_other(home: Path) -> None:
    """While one is embedded a newer one of the same source waits, and then replaces what the first stored."""
    embedder = HashEmbedder()
    async with opened(home, embedder, QUICK, places=0) as engine:
        older = await enqueue(engine, "Old news.", "news.md")
        embedder.is_failing = True
        engine.worker.start(4)
        held_up = await engine.jobs.outcome(older, Deadline.after(WAIT_S))
        newer = await enqueue(engine, "New news.", "news.md")
        embedder.is_failing = False

        last = await engine.jobs.wait(newer.job_id, Deadline.after(WAIT_S))

        assert held_up == older
        assert last.state == "ready"
        assert (await engine.jobs.wait(older.job_id, Deadline.after(WAIT_S))).is_over
        (document,) = (await engine.documents.list()).documents
        assert (await engine.documents.read(document.id)).text == "New news."


async def test_reports_do_not_shut_searches_off(home: Path) -> None:
    """However often grouping questions fails, the embedder is asked again by the next search."""
    embedder = HashEmbedder()
    async with opened(home, embedder, {"cache.enabled": False}, places=0) as engine:
        await add(engine, "The heron waits.", "heron")
        await engine.search.search(SearchRequest("Where is the heron?"))
        await until(lambda: is_logged(engine), WAIT_S)
        embedder.is_failing = True
        for _ in range(20):
            with pytest.raises(EmbeddingFailed):
                await engine.analytics.clusters()
        embedder.is_failing = False

        found = await engine.search.search(SearchRequest("Where does the heron wait?", mode="dense"))

    assert (len(found.hits), found.degraded) == (1, ())


async def is_logged(engine: Engine) -> bool:
    """Whether the log has a question."""
    return bool(await engine.analytics.questions())


@asynccontextmanager
async def opened(
    home: Path, embedder: HashEmbedder, flags: Mapping[str, float | int | str], *, places: int = 4
) -> AsyncIterator[Engine]:
    """An engine on the home whose worker runs."""
    async with open_engine(load(home, environ={}, flags=dict(flags)), embedder) as engine:
        if places:
            engine.worker.start(places)
        yield engine


async def enqueue(engine: Engine, text: str, source: str | None = None) -> Accepted:
    """Queue a text under a source of its own."""
    name = source or f"{text}.md"
    return await engine.jobs.enqueue(IngestRequest(RawFile(text.encode(), name), source=name))


async def add(engine: Engine, text: str, source: str) -> Written:
    """Add a text at once, past the queue."""
    return await engine.documents.add(
        IngestRequest(RawFile(text.encode(), source), source=source), Deadline.never()
    )


def parses(engine: Engine) -> int:
    """How often something was parsed."""
    found = engine.metrics.registry.get_sample_value(
        "ragstone_stage_duration_seconds_count", {"operation": "ingest", "stage": "parse"}
    )
    return int(found or 0)
