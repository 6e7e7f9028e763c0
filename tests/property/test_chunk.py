"""Whatever the text: nothing is lost, nothing is too long, offsets are exact."""

from __future__ import annotations

import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ragstone.ingest.chunk import chunk, embedding_text
from ragstone.ingest.normalise import normalise
from ragstone.ingest.sections import markdown_headings, sections_of
from ragstone.types import ChunkingSpec, ParsedDocument

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


def _document(text: str) -> ParsedDocument:
    return ParsedDocument(text, "text/markdown", sections=sections_of(markdown_headings(text), len(text)))


@settings(max_examples=300, deadline=None)
@given(
    text=_TEXTS,
    tokens=st.sampled_from([_Characters(), _LongWords()]),
    max_tokens=st.integers(1, 60),
    overlap=st.integers(0, 10),
)
@example(text="# A\n\n## B\n", tokens=_Characters(), max_tokens=1, overlap=0)
def test_chunks_lose_nothing_and_fit(
    text: str, tokens: _Characters | _LongWords, max_tokens: int, overlap: int
) -> None:
    """Between chunks lies only white space; each keeps its budget; neighbours share what was declared."""
    document = _document(text)
    drafts = chunk(document, ChunkingSpec(max_tokens, overlap), tokens)

    spans = [draft.span for draft in drafts]
    position = 0
    for span in spans:
        assert not text[position : span.start].strip()
        position = max(position, span.end)
    assert not text[position:].strip()
    for span in spans:
        assert tokens.count(span.of(text)) <= max_tokens or span.end - span.start == 1
        assert span.of(text).strip()
    for before, after in itertools.pairwise(spans):
        assert before.start < after.start
        assert before.end < after.end
        shared = text[after.start : before.end] if after.start < before.end else ""
        assert tokens.count(shared) <= overlap


@settings(max_examples=150, deadline=None)
@given(text=_TEXTS, title=st.text(st.sampled_from("ab "), max_size=12), max_tokens=st.integers(8, 60))
def test_heading_line_and_text_fit_the_window(text: str, title: str, max_tokens: int) -> None:
    """What is embedded is never cut off by the model."""
    tokens = _Characters()
    window = max_tokens + 14
    drafts = chunk(_document(text), ChunkingSpec(max_tokens), tokens, title=title, window_tokens=window)

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
