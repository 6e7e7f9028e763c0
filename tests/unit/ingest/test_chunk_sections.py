"""Chunks follow the document's structure and carry their headings."""

from __future__ import annotations

import itertools

from ragstone.ingest.chunk import chunk, embedding_text, heading_line
from ragstone.ingest.sections import markdown_headings, sections_of
from ragstone.types import ChunkDraft, ChunkingSpec, PageSpan, ParsedDocument, Span


class _Words:
    """A token is a word."""

    def count(self, text: str) -> int:
        return len(text.split())


def _document(text: str, **others: object) -> ParsedDocument:
    sections = sections_of(markdown_headings(text), len(text))
    return ParsedDocument(text, "text/markdown", sections=sections, **others)  # type: ignore[arg-type]


def _bodies(document: ParsedDocument, drafts: list[ChunkDraft]) -> list[str]:
    return [draft.span.of(document.text) for draft in drafts]


def _chunks(document: ParsedDocument, max_tokens: int, overlap_tokens: int = 0) -> list[ChunkDraft]:
    return chunk(document, ChunkingSpec(max_tokens, overlap_tokens), _Words())


def test_small_sections_under_one_parent_share_a_chunk() -> None:
    """Under the headings they have in common."""
    document = _document("# A\nintro words\n## B\nb\n## C\nc\n")
    drafts = _chunks(document, 30)

    assert [draft.heading_path for draft in drafts] == [("A",)]
    assert _bodies(document, drafts) == [document.text.strip()]


def test_large_sections_stay_apart() -> None:
    """A chunk of two topics answers neither."""
    document = _document("# A\n## B\n" + "b " * 40 + "\n## C\n" + "c " * 40)
    drafts = _chunks(document, 60)

    assert [draft.heading_path for draft in drafts] == [("A", "B"), ("A", "C")]


def test_a_heading_alone_goes_with_what_follows() -> None:
    """It would be a chunk without content."""
    document = _document("# A\n\n## B\n" + "word " * 50)
    drafts = _chunks(document, 20)

    assert all(draft.heading_path == ("A", "B") for draft in drafts)
    assert _bodies(document, drafts)[0].startswith("# A\n\n## B\nword")


def test_paragraphs_then_sentences_are_kept_whole() -> None:
    """The cut is at the best boundary in the second half of what fits."""
    document = _document("One two three four.\n\nFive six seven. Eight nine ten. Eleven twelve thirteen.")

    assert _bodies(document, _chunks(document, 7)) == [
        "One two three four.",
        "Five six seven. Eight nine ten.",
        "Eleven twelve thirteen.",
    ]


def test_table_rows_are_not_cut() -> None:
    """Each piece of a table is whole rows."""
    document = _document("| a | b |\n| --- | --- |\n" + "| one two. three | four |\n" * 12)

    for body in _bodies(document, _chunks(document, 20)):
        assert all(line.startswith("|") and line.endswith("|") for line in body.splitlines())


def test_overlap_repeats_whole_words_within_its_limit() -> None:
    """And only where a section was cut."""
    document = _document(" ".join(f"w{n}" for n in range(30)))
    bodies = _bodies(document, _chunks(document, 10, overlap_tokens=3))

    for before, after in itertools.pairwise(bodies):
        shared = [word for word in after.split() if word in before.split()]
        assert 1 <= len(shared) <= 3
        assert before.split()[-len(shared) :] == shared


def test_a_chunk_has_the_page_it_begins_on() -> None:
    """Also when it runs into the next."""
    text = "one two three\n\nfour five six"
    pages = (PageSpan(1, Span(0, 15)), PageSpan(2, Span(15, len(text))))
    drafts = _chunks(_document(text, pages=pages), 3)

    assert [draft.page for draft in drafts] == [1, 2]


def test_text_without_tokens_makes_no_chunk() -> None:
    """Nothing to embed, nothing to find."""
    assert _chunks(_document(" \n\n "), 10) == []
    assert _chunks(_document(""), 10) == []


def test_a_deep_path_loses_its_outermost_headings_before_the_window_overflows() -> None:
    """Heading line and text fit the window together; the nearest heading stays longest."""
    document = _document("# one two three four five\n## six seven\n### eight\n" + "word " * 40)
    drafts = chunk(document, ChunkingSpec(20), _Words(), title="The Title", window_tokens=29)

    assert drafts[-1].heading_path == ("six seven", "eight")
    for draft in drafts:
        assert (
            _Words().count(embedding_text("The Title", draft.heading_path, draft.span.of(document.text)))
            <= 27
        )


def test_the_heading_line_says_nothing_twice() -> None:
    """A title equal to the first heading, and headings that the text begins with, appear once."""
    assert heading_line("A", ("A", "B")) == "A > B"
    assert heading_line("T", ("A", "B")) == "T > A > B"
    assert heading_line("", ()) == ""
    assert embedding_text("T", ("A", "B"), "## B\n\ntext") == "T > A\n## B\n\ntext"
    assert embedding_text("A", ("A", "B"), "# A\n\n## B\n\ntext") == "# A\n\n## B\n\ntext"
    assert embedding_text("T", ("A", "B"), "text") == "T > A > B\ntext"
