"""Any sequence of writes, questions and reopenings: nothing stale answers, nothing acknowledged is lost."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ragstone import Ragstone
from ragstone.types import DocumentId, Hit, JsonValue, SearchResult

MODES = ("hybrid", "lexical", "dense")
WHOLE_TOP_K = 100
"""More than a home of these tests ever holds, so that whatever is live must come back."""
SENTENCES = (
    "The heron waits by the river.",
    "Granite is a rock. 🦀",
    "Ünder the bridge, 漢字.",
    "x = snake_case(1)",
)

STEPS_BETWEEN_OPENINGS = 12
IS_LONG = os.environ.get("RAGSTONE_PROFILE") == "nightly"
LENGTH = settings(
    max_examples=40 if IS_LONG else 5, stateful_step_count=200 if IS_LONG else 40, deadline=None
)


@dataclass(slots=True)
class Held:
    """What the model knows of a live document; `marker` is a word of its text and of no other text, ever."""

    id: DocumentId
    text: str
    marker: str
    metadata: Mapping[str, JsonValue]


@dataclass(slots=True)
class Model:
    """What must be there, by source, and the markers of all text that must not."""

    live: dict[str, Held] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    made: int = 0

    def text(self, sentences: list[str]) -> tuple[str, str]:
        """A new text with its marker at the beginning and the end."""
        self.made += 1
        marker = f"zq{self.made:05d}x"
        return f"{marker} {' '.join(sentences)} {marker}", marker

    def put(self, source: str, held: Held) -> None:
        """A text takes the place of the one with the same source."""
        self.bury(source)
        self.live[source] = held

    def bury(self, source: str) -> None:
        """A text is gone for good."""
        if source in self.live:
            self.dead.add(self.live.pop(source).marker)

    def check(self, result: SearchResult) -> None:
        """Every hit is of a live text, with its metadata, and its span is exact."""
        held = {found.id: found for found in self.live.values()}
        for hit in result.hits:
            assert hit.document_id in held, f"a hit of the removed document {hit.document_id}"
            document = held[hit.document_id]
            assert hit.span.of(document.text) == hit.text
            assert dict(hit.metadata) == dict(document.metadata)
            assert hit.span.end <= len(document.text)
            assert not any(marker in hit.text for marker in self.dead)
        self.check_disjoint(result)
        assert result.degraded == ()

    def check_disjoint(self, result: SearchResult) -> None:
        """No two hits of a document share a character: a chunk of an older version would."""
        places = sorted((hit.document_id, hit.span) for hit in result.hits)
        for (document_id, span), (next_id, next_span) in itertools.pairwise(places):
            assert document_id != next_id or span.end <= next_span.start, f"overlapping hits of {document_id}"

    def check_complete(self, result: SearchResult, wanted: Held) -> None:
        """A live text that was asked for by its marker is among the hits."""
        self.check(result)
        assert any(wanted.marker in hit.text for hit in result.hits), f"{wanted.marker} is missing"


class LibraryMachine(RuleBasedStateMachine):
    """Drives the public library on one home."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.model = Model()
        self.steps = 0
        self.opened_at = 0
        self.rag = Ragstone(Path(self.folder.name))
        self.rag.__enter__()

    def teardown(self) -> None:
        """Close what is open."""
        self.rag.__exit__(None, None, None)
        self.folder.cleanup()

    @rule(
        source=st.sampled_from("abcde"),
        sentences=st.lists(st.sampled_from(SENTENCES), max_size=4),
        year=st.integers(2020, 2023),
    )
    def add_or_replace(self, source: str, sentences: list[str], year: int) -> None:
        """The same source again replaces."""
        text, marker = self.model.text(sentences)

        written = self.rag.add_text(text, source=source, metadata={"year": year})

        old = self.model.live.get(source)
        assert written.status == ("added" if old is None else "replaced")
        assert old is None or written.document_id == old.id
        kept = {} if old is None else old.metadata
        self.model.put(source, Held(written.document_id, text, marker, {**kept, "year": year}))

    @precondition(lambda self: self.model.live)
    @rule(at=st.integers(0, 4), year=st.integers(2020, 2023))
    def edit(self, at: int, year: int) -> None:
        """The same text again with other metadata changes the metadata only."""
        source, held = self.pick(at)

        written = self.rag.add_text(held.text, source=source, metadata={"year": year})

        assert written.status == ("unchanged" if held.metadata["year"] == year else "updated")
        held.metadata = {**held.metadata, "year": year}

    @precondition(lambda self: self.model.live)
    @rule(at=st.integers(0, 4))
    def remove(self, at: int) -> None:
        """Gone when the call returns."""
        source, held = self.pick(at)

        self.rag.remove(held.id)

        self.model.bury(source)

    @precondition(lambda self: self.model.live)
    @rule(at=st.integers(0, 4), mode=st.sampled_from(MODES))
    def ask_for_a_live_text(self, at: int, mode: str) -> None:
        """Acknowledged text is found by every mode."""
        _, held = self.pick(at)

        self.model.check_complete(self.rag.search(held.marker, mode=mode, top_k=WHOLE_TOP_K), held)

        assert self.rag.read(held.id).text == held.text

    @precondition(lambda self: self.model.dead)
    @rule(at=st.integers(0, 99), mode=st.sampled_from(MODES), top_k=st.sampled_from([1, 10, WHOLE_TOP_K]))
    def ask_for_a_dead_text(self, at: int, mode: str, top_k: int) -> None:
        """Replaced and removed text is found by none."""
        dead = sorted(self.model.dead)

        self.model.check(self.rag.search(dead[at % len(dead)], mode=mode, top_k=top_k))

    @rule(year=st.integers(2020, 2023), mode=st.sampled_from(MODES))
    def ask_with_a_filter(self, year: int, mode: str) -> None:
        """The filter sees the present metadata: of the right documents all, of the others none."""
        condition: Mapping[str, JsonValue] = {"type": "eq", "key": "year", "value": year}
        words = " ".join(held.marker for held in self.model.live.values()) or "nothing"

        result = self.rag.search(words, mode=mode, top_k=WHOLE_TOP_K, filters=condition)

        self.model.check(result)
        expected = {held.id for held in self.model.live.values() if held.metadata["year"] == year}
        assert {hit.document_id for hit in result.hits} == expected

    @precondition(lambda self: self.model.live)
    @rule(at=st.integers(0, 4))
    def ask_for_an_answer(self, at: int) -> None:
        """Citations are exact and of live text."""
        _, held = self.pick(at)
        live = {found.id: found.text for found in self.model.live.values()}

        for citation in self.rag.ask(f"What about {held.marker}?").citations:
            assert citation.span.of(live[citation.document_id]) == citation.quote

    @invariant()
    def what_went_is_gone_and_what_came_is_there(self) -> None:
        """After every step, in one mode after the other: the newest dead text and every live one."""
        self.steps += 1
        mode = MODES[self.steps % len(MODES)]
        if self.model.dead:
            self.model.check(self.rag.search(max(self.model.dead), mode=mode, top_k=WHOLE_TOP_K))
        if self.model.live:
            _, held = self.pick(self.steps)
            self.model.check_complete(self.rag.search(held.marker, mode=mode, top_k=WHOLE_TOP_K), held)

    @precondition(lambda self: self.steps - self.opened_at >= STEPS_BETWEEN_OPENINGS)
    @rule()
    def reopen(self) -> None:
        """Everything is as it was."""
        self.opened_at = self.steps
        self.rag.__exit__(None, None, None)
        self.rag = Ragstone(Path(self.folder.name))
        self.rag.__enter__()

        documents = {document.id: document for document in self.rag.documents()}
        assert documents.keys() == {held.id for held in self.model.live.values()}
        for held in self.model.live.values():
            assert dict(documents[held.id].metadata) == dict(held.metadata)

    def pick(self, at: int) -> tuple[str, Held]:
        """One of the live documents."""
        return sorted(self.model.live.items())[at % len(self.model.live)]


LibraryMachine.TestCase.settings = LENGTH
TestLibrary = LibraryMachine.TestCase


class ForgetfulRagstone(Ragstone):
    """A planted bug: hits that were once seen come back as long as the question is the same."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.seen: dict[str, tuple[Hit, ...]] = {}

    def search(self, query: str, **options: object) -> SearchResult:
        """What was found the first time."""
        result = super().search(query, **options)  # type: ignore[arg-type]
        hits = self.seen.setdefault(query, result.hits)
        return SearchResult(hits, result.corpus_version, result.degraded, result.timings_ms)


@pytest.mark.parametrize("change", ["remove", "replace", "edit"])
def test_the_model_notices_stale_hits(home: Path, change: str) -> None:
    """Against a library that answers from memory the same checks fail, after every kind of change."""
    model = Model()
    text, marker = model.text(["Old."])
    with ForgetfulRagstone(home) as rag:
        written = rag.add_text(text, source="a", metadata={"year": 2020})
        held = Held(written.document_id, text, marker, {"year": 2020})
        model.put("a", held)
        model.check_complete(rag.search(marker), held)
        if change == "remove":
            rag.remove(written.document_id)
            model.bury("a")
        elif change == "replace":
            new, new_marker = model.text(["New."])
            rag.add_text(new, source="a", metadata={"year": 2020})
            model.put("a", Held(written.document_id, new, new_marker, {"year": 2020}))
        else:
            rag.add_text(text, source="a", metadata={"year": 2021})
            held.metadata = {"year": 2021}

        with pytest.raises(AssertionError):
            model.check(rag.search(marker))


def test_the_model_notices_missing_hits(home: Path) -> None:
    """A text that was acknowledged and does not come back fails the check."""
    model = Model()
    text, marker = model.text([])
    with ForgetfulRagstone(home) as rag:
        assert rag.search(marker).hits == ()
        held = Held(rag.add_text(text, source="a").document_id, text, marker, {})
        model.put("a", held)

        with pytest.raises(AssertionError, match="is missing"):
            model.check_complete(rag.search(marker), held)
