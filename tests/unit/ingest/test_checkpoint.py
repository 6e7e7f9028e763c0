"""What a checkpoint keeps is not done again; what is torn or of another making is."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from ragstone.deadline import Deadline
from ragstone.errors import EmbeddingFailed
from ragstone.ingest.checkpoint import Checkpoint, Checkpoints, NoCheckpoint
from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.parse import build_parser
from ragstone.ingest.prepare import EMBEDDED_AT_ONCE, Earlier, Preparation, Prepared, Run
from ragstone.ingest.request import IngestRequest
from ragstone.models.fakes import HashEmbedder
from ragstone.settings import IngestSettings
from ragstone.telemetry.stages import StageTimer
from ragstone.types import (
    Break,
    ChunkDraft,
    ChunkingSpec,
    JobId,
    Matrix,
    PageSpan,
    ParsedDocument,
    RawFile,
    SectionSpan,
    Span,
)

pytestmark = pytest.mark.anyio

JOB = JobId("j-1")
PARSED = ParsedDocument(
    "Zwölf Reiher.",
    "application/pdf",
    "Reiher",
    None,
    (PageSpan(1, Span(0, 13)),),
    (SectionSpan(("Teich", "Vögel"), Span(0, 13)),),
    (Break(6, 1),),
    {"authors": ["A", "B"], "year": 2024, "nested": {"x": None}},
    ("a warning",),
)
DRAFTS = (ChunkDraft(Span(0, 5), ("Teich",), 1), ChunkDraft(Span(6, 13)))
TEXT = "\n\n".join(f"Heron {n} waits by pond {n}." for n in range(3 * EMBEDDED_AT_ONCE))
SPEC = ChunkingSpec(max_tokens=16)


class FailingSecond(HashEmbedder):
    """Fails on its second call."""

    calls = 0

    async def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """As `HashEmbedder`."""
        self.calls += 1
        self.is_failing = self.calls == 2
        return await super().embed_passages(texts)


async def test_everything_comes_back_as_it_went_in(tmp_path: Path) -> None:
    """A parsed document with its pages, sections and metadata, drafts, vectors of several slices."""
    kept = Checkpoints(tmp_path, "1").of(JOB)
    await kept.keep_parsed(PARSED)
    await kept.keep_drafts("a", DRAFTS)
    await kept.keep_vectors("m", {b"1": b"one"})
    await kept.keep_vectors("m", {b"2": b"two"})

    found = Checkpoints(tmp_path, "1").of(JOB)

    assert await found.parsed() == PARSED
    assert await found.drafts("a") == DRAFTS
    assert await found.vectors("m") == {b"1": b"one", b"2": b"two"}
    await found.keep_vectors("m", {b"3": b"three"})
    assert len(await kept.vectors("m")) == 3


async def test_what_was_made_otherwise_is_not_taken(tmp_path: Path) -> None:
    """By another version, cut in another way, by another model."""
    kept = Checkpoints(tmp_path, "1").of(JOB)
    await kept.keep_parsed(PARSED)
    await kept.keep_drafts("a", DRAFTS)
    await kept.keep_vectors("m", {b"1": b"one"})

    other = Checkpoints(tmp_path, "2").of(JOB)

    assert await other.parsed() is None
    assert await other.drafts("a") is None
    assert await kept.drafts("b") is None
    assert await kept.vectors("n") == {}


@pytest.mark.parametrize("keep", [0, 3, 40])
async def test_what_is_torn_is_not_taken(tmp_path: Path, keep: int) -> None:
    """As a power cut leaves it: the digest tells, whatever is left of the file."""
    kept = Checkpoints(tmp_path, "1").of(JOB)
    await kept.keep_parsed(PARSED)
    path = tmp_path / JOB / "parsed"

    path.write_bytes(path.read_bytes()[:keep])

    assert await kept.parsed() is None


async def test_the_stage_outlives_the_process_and_all_goes_at_the_end(tmp_path: Path) -> None:
    """Whoever finds the job abandoned reads where it was; before the first stage that is `parse`."""
    checkpoints = Checkpoints(tmp_path, "1")
    assert checkpoints.stage_of(JOB) == "parse"

    await checkpoints.of(JOB).enter("embed", 7)

    assert Checkpoints(tmp_path, "1").stage_of(JOB) == "embed"
    assert checkpoints.names() == {JOB}
    checkpoints.drop(JOB)
    checkpoints.drop(JOB)
    assert checkpoints.names() == set()


async def test_a_second_attempt_embeds_only_what_is_missing(tmp_path: Path) -> None:
    """The model fails after the first slice; the next attempt neither parses nor cuts, embeds the rest, and
    makes what one undisturbed attempt makes.
    """
    embedder = FailingSecond()
    checkpoints = Checkpoints(tmp_path, "1")
    stages: list[str] = []
    with pytest.raises(EmbeddingFailed):
        await prepare(embedder, checkpoints.of(JOB), stages)
    assert stages == ["parse", "chunk", "embed"]
    assert embedder.statistics().texts == EMBEDDED_AT_ONCE
    stages.clear()

    second = checkpoints.of(JOB)
    prepared = await prepare(embedder, second, stages)

    assert stages == ["embed"]
    assert embedder.statistics().texts == prepared.embedded_count == len(prepared.chunks)
    assert (second.done, second.total) == (len(prepared.chunks), len(prepared.chunks))
    assert prepared == await prepare(HashEmbedder(), NoCheckpoint(), [])


async def prepare(embedder: HashEmbedder, checkpoint: Checkpoint, stages: list[str]) -> Prepared:
    """The text prepared; `stages` notes what ran."""
    parser = build_parser(ParsingLimits())
    timer = StageTimer("ingest", lambda _operation, stage, _seconds: stages.append(stage))
    request = IngestRequest(RawFile(TEXT.encode(), "herons.md"))
    run = Run(timer, checkpoint)
    try:
        return await Preparation(parser, embedder, IngestSettings()).prepare(
            request, SPEC, Earlier(), Deadline.never(), run
        )
    finally:
        await parser.aclose()


async def test_a_folder_that_another_process_drops_meanwhile_fails_nothing(tmp_path: Path) -> None:
    """The job was cancelled there; here it learns of that when it next renews its lease."""
    checkpoints, is_over = Checkpoints(tmp_path, "1"), threading.Event()
    kept = checkpoints.of(JOB)

    def drop() -> None:
        while not is_over.wait(0.0005):
            checkpoints.drop(JOB)

    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, drop)
        try:
            for _ in range(300):
                await kept.enter("embed")
        finally:
            is_over.set()
