"""Whatever the text: nothing is lost, nothing is too long, offsets are exact."""

from __future__ import annotations

import itertools
from typing import get_args

import numpy as np
from hypothesis import example, given, settings, strategies as st

from ragstone.ingest.chunk import chunk, embedding_text, lay_out
from ragstone.ingest.normalise import normalise
from ragstone.ingest.seams import indentation_breaks
from ragstone.ingest.sections import markdown_headings, sections_of
from ragstone.ingest.table import markdown_table
from ragstone.types import ChunkDraft, ChunkingSpec, ChunkingStrategy, ParsedDocument, TokenCounter

_ALPHABETS = (
    st.sampled_from("abc d. \n#-|*`"),
    st.sampled_from("猫は水を飲む。、 \n"),
    st.sampled_from("🎉👩\u200d🔬🏽é\u0301\u0323\u2028\u2029\u0085 \t\n"),
    st.characters(exclude_categories=["Cs"]),
)
_WORDS = st.one_of(*(st.text(alphabet, max_size=40) for alphabet in _ALPHABETS), st.just("x" * 300))
_LINES = st.lists(
    st.sampled_from(["# A\n", "## B\n", "### C\n", "# D\n", "```\n", "| a | b |\n", "\n\n", " "]), max_size=3
)
_TEXTS = st.lists(st.one_of(_WORDS, _LINES.map("".join)), max_size=25).map("".join).map(normalise)


_STRATEGIES: tuple[ChunkingStrategy, ...] = get_args(ChunkingStrategy)
_CELLS = st.text(st.sampled_from("ab. 猫-"), max_size=8)
_ROWS = st.lists(st.lists(_CELLS, min_size=2, max_size=4), min_size=1, max_size=12)
_TABLES = st.lists(
    st.tuples(_ROWS, st.sampled_from(["", "Prose. More of it.\n\n", "# A\n\n"])), max_size=4
).map(lambda parts: normalise("\n".join(before + markdown_table(rows) for rows, before in parts)))


class _Characters:
    """Every visible character is a token, as for Chinese; white space is none."""

    def count(self, text: str) -> int:
        return sum(not character.isspace() for character in text)

    def starts(self, text: str) -> list[int]:
        return [index for index, character in enumerate(text) if not character.isspace()]


class _LongWords:
    """A word is one token a four letters begun, as pieces of words are."""

    def count(self, text: str) -> int:
        return sum(-(-len(word) // 4) for word in text.split())


def _document(text: str, *, is_code: bool = False) -> ParsedDocument:
    sections = sections_of(markdown_headings(text), len(text))
    breaks = tuple(indentation_breaks(text)) if is_code else ()
    return ParsedDocument(text, "text/markdown", sections=sections, breaks=breaks)


def _drafts(
    document: ParsedDocument,
    spec: ChunkingSpec,
    tokens: TokenCounter,
    *,
    title: str | None = None,
    window_tokens: int | None = None,
) -> list[ChunkDraft]:
    """The chunks, cut by vectors of chance where meaning decides."""
    layout = lay_out(document, spec, tokens, title=title, window_tokens=window_tokens)
    rows = np.random.default_rng(len(document.text)).normal(size=(len(layout.units), 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return layout.drafts(rows if len(rows) else None)


@settings(max_examples=300, deadline=None)
@given(
    text=_TEXTS,
    tokens=st.sampled_from([_Characters(), _LongWords()]),
    max_tokens=st.integers(1, 60),
    overlap=st.integers(0, 10),
    strategy=st.sampled_from(_STRATEGIES),
    is_code=st.booleans(),
)
@example(
    text="# A\n\n## B\n", tokens=_Characters(), max_tokens=1, overlap=0, strategy="structure", is_code=False
)
def test_chunks_lose_nothing_and_fit(
    text: str,
    tokens: _Characters | _LongWords,
    max_tokens: int,
    overlap: int,
    strategy: ChunkingStrategy,
    is_code: bool,
) -> None:
    """Between chunks lies only white space; each keeps its budget; neighbours share what was declared."""
    document = _document(text, is_code=is_code)
    drafts = _drafts(document, ChunkingSpec(max_tokens, overlap, strategy), tokens)

    spans = [draft.span for draft in drafts]
    position = 0
    for span in spans:
        assert not text[position : span.start].strip()
        position = max(position, span.end)
    assert not text[position:].strip()
    for draft in drafts:
        body = draft.span.of(text)
        assert tokens.count(body) <= max_tokens or len(body) == 1
        assert draft.token_count == tokens.count(body)
        assert body.strip()
    for before, after in itertools.pairwise(spans):
        assert before.start < after.start
        assert before.end < after.end
        shared = text[after.start : before.end] if after.start < before.end else ""
        assert tokens.count(shared) <= overlap


@settings(max_examples=150, deadline=None)
@given(
    text=st.one_of(_TEXTS, _TABLES),
    title=st.text(st.sampled_from("ab "), max_size=12),
    max_tokens=st.integers(8, 60),
    strategy=st.sampled_from(_STRATEGIES),
)
def test_heading_line_and_text_fit_the_window(
    text: str, title: str, max_tokens: int, strategy: ChunkingStrategy
) -> None:
    """What is embedded is never cut off by the model, a table's header included."""
    tokens = _Characters()
    window = max_tokens + 14
    spec = ChunkingSpec(max_tokens, 0, strategy)
    drafts = _drafts(_document(text), spec, tokens, title=title, window_tokens=window)

    for draft in drafts:
        embedded = embedding_text(title, draft.heading_path, draft.span.of(text))
        assert tokens.count(embedded) <= window - 2


@settings(max_examples=150, deadline=None)
@given(text=_TEXTS, max_tokens=st.integers(1, 40))
def test_no_chunk_mixes_top_level_sections_unless_both_are_tiny(text: str, max_tokens: int) -> None:
    """A chunk's path is a prefix of the path of every section that it touches, heading-only ones aside."""
    document = _document(text)
    for draft in chunk(document, ChunkingSpec(max_tokens), _Characters()):
        touched = [
            section
            for section in document.sections
            if section.span.start < draft.span.end and draft.span.start < section.span.end
        ]
        with_body = [s for s in touched if s.span.of(text).strip().count("\n")]
        for section in with_body:
            assert section.path[: len(draft.heading_path)] == draft.heading_path


@settings(max_examples=200, deadline=None)
@given(
    text=_TABLES,
    max_tokens=st.integers(1, 60),
    overlap=st.integers(0, 8),
    strategy=st.sampled_from(("structure", "semantic", "table")),
)
def test_tables_are_cut_between_rows(
    text: str, max_tokens: int, overlap: int, strategy: ChunkingStrategy
) -> None:
    """A chunk begins inside a row only when that alone is over the budget, and carries the header."""
    tokens = _Characters()
    for draft in _drafts(_document(text), ChunkingSpec(max_tokens, overlap, strategy), tokens):
        start = text.rfind("\n", 0, draft.span.start) + 1
        header = _header_above(text, start)
        if header is None:
            continue
        row = text[start : text.find("\n", start)]
        if text[start : draft.span.start].strip():
            assert tokens.count(row) > max_tokens - overlap
        assert not header or draft.heading_path[-1:] == (header,)


def _header_above(text: str, row_start: int) -> str | None:
    """The cells of the header of the table that a row below it belongs to; None for any other line."""
    above = list(
        itertools.takewhile(lambda line: line.startswith("|"), reversed(text[:row_start].split("\n")[:-1]))
    )
    if len(above) < 2 or not text.startswith("|", row_start):
        return None
    return " | ".join(words for cell in above[-1].split("|") if (words := " ".join(cell.split())))
