"""Sentences and markers: whatever the text, spans are exact and pieces make the whole."""

from __future__ import annotations

import itertools
import re

from hypothesis import example, given, strategies as st
from tests.support.corpus import hit

from ragstone.answer.cite import MARKER, MarkerFilter, cite
from ragstone.answer.sentences import MOST_CHARS, sentences

prose = st.lists(
    st.one_of(
        st.sampled_from(
            [
                ". ",
                "? ",
                "! ",
                "…",
                "。",
                "！",
                "\n",
                "\n\n",
                "- ",
                "# ",
                "1. ",
                "e.g. ",
                "Dr. ",
                " ",
                "\t",
                '"',
                "|",
            ]
        ),
        st.text(max_size=12),
        st.just("word " * 300),
        st.just("x" * 1200),
    ),
    max_size=20,
).map("".join)
marked = st.lists(
    st.sampled_from(
        ["[", "]", "1", "2", "9", "[1]", "[2]", "[12]", "[0]", "[123", "4]", "a ", ". ", "[[", "]]"]
    ),
    max_size=20,
).map("".join)


@given(text=prose)
@example(text="word \t" * 400)
def test_sentences_cover_the_text(text: str) -> None:
    """In order, disjoint, bounded, without white space around them; only white space lies between them."""
    spans = sentences(text)

    end = 0
    for span in spans:
        assert text[end : span.start].strip() == ""
        assert span.start >= end
        assert span.of(text) == span.of(text).strip() != ""
        assert span.end - span.start <= MOST_CHARS
        end = span.end
    assert text[end:].strip() == ""


@given(text=marked, count=st.integers(0, 12), cuts=st.lists(st.integers(0, 60), max_size=8))
def test_any_split_of_a_stream_gives_the_same_text(text: str, count: int, cuts: list[int]) -> None:
    """Where the pieces of a generation end does not matter."""
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[start:end] for start, end in itertools.pairwise(places)] or [text]

    assert filtered(pieces, count) == filtered([text], count)


@given(text=marked, count=st.integers(0, 12))
def test_only_markers_of_passages_get_through(text: str, count: int) -> None:
    """Markers that name no passage are gone, everything else is untouched."""
    kept = filtered([text], count)

    expected = MARKER.sub(lambda found: found.group() if 1 <= int(found[1]) <= count else "", text)
    assert kept == expected


@given(text=marked, count=st.integers(1, 12))
def test_every_citation_is_exact_and_named_in_the_text(text: str, count: int) -> None:
    """One per marker used, by first use, quoting its passage character by character."""
    passages = [
        hit(f"First of {at}. Second of {at}.", document_id=f"d{at}", start=100) for at in range(count)
    ]

    citations = cite(text, passages)

    used = [int(found) for found in re.findall(r"\[(\d{1,3})\]", text) if 1 <= int(found) <= count]
    assert [citation.marker for citation in citations] == list(dict.fromkeys(used))
    for citation in citations:
        passage = passages[citation.marker - 1]
        assert passage.text[citation.span.start - 100 : citation.span.end - 100] == citation.quote


def filtered(pieces: list[str], count: int) -> str:
    """What comes out of the filter."""
    markers = MarkerFilter(count)
    return "".join(markers.feed(piece) for piece in pieces) + markers.finish()
