"""A document that would make too many chunks is refused before the costly work begins."""

from __future__ import annotations

import pytest

from ragstone.deadline import Deadline
from ragstone.errors import DocumentRejected
from ragstone.ingest.parse import ParsingLimits, build_parser
from ragstone.ingest.prepare import Cut, Preparation
from ragstone.ingest.request import inline_file
from ragstone.models.fakes import HashEmbedder
from ragstone.settings import IngestSettings
from ragstone.telemetry.stages import StageTimer
from ragstone.types import ChunkingSpec

pytestmark = pytest.mark.anyio
LIMIT = 10


class _Counting:
    """Counts words and how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def count(self, text: str) -> int:
        self.calls += 1
        return len(text.split())


async def _cut(text: str, embedder: HashEmbedder, spec: ChunkingSpec) -> Cut:
    parser = build_parser(ParsingLimits())
    preparation = Preparation(parser, embedder, IngestSettings(max_chunks_per_document=LIMIT))
    timer = StageTimer("test", lambda *_: None)
    try:
        return await preparation.cut(inline_file(text, 10**9), None, spec, Deadline.after(60), timer)
    finally:
        await parser.aclose()


@pytest.mark.parametrize("text", ["word " * 16 * (LIMIT + 2), "図" * 16 * (LIMIT + 2)])
async def test_a_giant_text_is_refused_before_it_is_tokenised(text: str) -> None:
    """The words alone are too many; the message has the number, the limit and the setting."""
    embedder = HashEmbedder()
    embedder.tokens = tokens = _Counting()

    with pytest.raises(DocumentRejected, match=r"at least 12 chunks; at most 10.*max_chunks_per_document"):
        await _cut(text, embedder, ChunkingSpec(16))

    assert tokens.calls == 0
    assert embedder.statistics().texts == 0


async def test_a_semantic_cut_counts_tokens_before_it_embeds() -> None:
    """Few words but many tokens: nothing is embedded for a document that is refused."""
    embedder = HashEmbedder()

    with pytest.raises(DocumentRejected, match="at least 12 chunks"):
        await _cut("a-b-c-d " * 4 * (LIMIT + 2), embedder, ChunkingSpec(16, 0, "semantic"))

    assert embedder.statistics().texts == 0


async def test_a_text_at_the_limit_is_cut() -> None:
    """The estimate refuses nothing that would fit."""
    cut = await _cut("word " * 16 * LIMIT, HashEmbedder(), ChunkingSpec(16))

    assert len(cut.drafts) == LIMIT


async def test_only_a_semantic_cut_embeds_sentences() -> None:
    """The other strategies cost no embedding before the chunks are known."""
    text = "One two three four. " * 20
    by_structure, by_meaning = HashEmbedder(), HashEmbedder()
    await _cut(text, by_structure, ChunkingSpec(16))
    await _cut(text, by_meaning, ChunkingSpec(16, 0, "semantic"))

    assert by_structure.statistics().texts == 0
    assert by_meaning.statistics().texts == 20
