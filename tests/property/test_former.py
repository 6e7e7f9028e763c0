"""An edited text is cut where it was cut before, and is still cut well."""

from __future__ import annotations

from hypothesis import example, given, strategies as st

from ragstone.ingest.chunk import lay_out
from ragstone.ingest.former import Former, former_ends
from ragstone.models.fakes import WordCounter
from ragstone.types import ChunkingSpec, ParsedDocument, Span

SPEC = ChunkingSpec(max_tokens=12)
words = st.lists(st.sampled_from(["heron", "stork.", "pond", "reed!", "nest"]), min_size=1, max_size=9)
paragraphs = st.lists(words.map(" ".join), min_size=1, max_size=30)


def cut(text: str, former: Former | None = None) -> list[Span]:
    """The chunks of a text, given the version before."""
    document = ParsedDocument(text, "text/plain")
    ends = () if former is None else former_ends(former, text)
    layout = lay_out(document, SPEC, WordCounter(), former_ends=ends)
    return [draft.span for draft in layout.drafts(None)]


@given(before=paragraphs, after=paragraphs)
@example(["heron"] * 3, ["stork.", *["heron"] * 3])
def test_no_character_is_lost_and_no_budget_broken(before: list[str], after: list[str]) -> None:
    """Whatever stood there before, the chunks cover the new text within the budget."""
    old, new = "\n\n".join(before), "\n\n".join(after)

    spans = cut(new, Former(old, cut(old)))

    edges = [0, *[edge for span in spans for edge in (span.start, span.end)], len(new)]
    gaps = [new[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    assert all(not gap.strip() for gap in gaps)
    assert all(WordCounter().count(span.of(new)) <= SPEC.max_tokens for span in spans)


@given(text=paragraphs)
def test_an_unchanged_text_is_cut_as_before(text: list[str]) -> None:
    """Former cuts are the cuts that would be made anyway."""
    whole = "\n\n".join(text)

    assert cut(whole, Former(whole, cut(whole))) == cut(whole)


@given(text=st.lists(words.map(" ".join), min_size=6, max_size=40), at=st.integers(0, 39), by=words)
@example(["a b c d e f"] * 30, 2, ["heron"])
def test_one_changed_paragraph_makes_few_new_chunks(text: list[str], at: int, by: list[str]) -> None:
    """At most three chunks have another text, however long the stretch is that has no heading."""
    old = "\n\n".join(f"{number} {paragraph}" for number, paragraph in enumerate(text))
    changed = list(text)
    changed[at % len(text)] = " ".join(by)
    new = "\n\n".join(f"{number} {paragraph}" for number, paragraph in enumerate(changed))
    before = cut(old)

    spans = cut(new, Former(old, before))

    known = {span.of(old) for span in before}
    assert len([span for span in spans if span.of(new) not in known]) <= 3


@given(text=paragraphs, more=paragraphs)
def test_ends_stand_where_the_same_chunk_ends(text: list[str], more: list[str]) -> None:
    """Each former end in the new text ends the text of a former chunk."""
    old, new = "\n\n".join(text), "\n\n".join([*more, *text[1:]])
    before = cut(old)

    ends = former_ends(Former(old, before), new)

    assert ends == sorted(set(ends))
    assert all(any(new[:end].endswith(span.of(old)) for span in before) for end in ends)
