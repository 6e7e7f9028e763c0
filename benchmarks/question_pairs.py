"""Pairs of questions from SQuAD 1.1 dev, and rules that edit and reword a question."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast

from ragstone.answer.agreement import folded
from ragstone.evaluate.answers import normalise_answer
from ragstone.evaluate.datasets import SQUAD


@dataclass(frozen=True, slots=True)
class Question:
    """A question on a paragraph with the answers that count."""

    text: str
    answers: tuple[str, ...]
    paragraph: str

    @property
    def wanted(self) -> frozenset[str]:
        """Its answers, normalised."""
        return frozenset(map(normalise_answer, self.answers))


Pair = tuple[Question, Question]
Edit = Callable[[str, str], str | None]
"""From a question and its paragraph to a question that asks for something else (or is worded otherwise)."""


@dataclass(frozen=True, slots=True)
class Half:
    """Half of the articles."""

    articles: int
    questions: tuple[Question, ...]
    paraphrases: tuple[Pair, ...]
    near_misses: tuple[Pair, ...]
    unclear: int
    """Pairs whose known answers share words without being the same."""

    def edited(self, edits: Mapping[str, Edit]) -> Iterator[tuple[str, Pair]]:
        """Each question with what each rule makes of it."""
        for question in self.questions:
            for name, edit in edits.items():
                changed = edit(question.text, question.paragraph)
                if changed is not None and folded(changed) != folded(question.text):
                    yield name, (question, Question(changed, question.answers, question.paragraph))


def read_halves(folder: Path) -> tuple[Half, Half]:
    """The articles by the first bit of a hash of their titles: for choosing, for reporting."""
    content = json.loads((folder / SQUAD).read_text("utf-8"))
    articles = cast("list[dict[str, object]]", content["data"])
    sides: tuple[list[dict[str, object]], list[dict[str, object]]] = ([], [])
    for article in articles:
        sides[hashlib.sha256(str(article["title"]).encode()).digest()[0] % 2].append(article)
    return _half(sides[0]), _half(sides[1])


def _half(articles: Sequence[dict[str, object]]) -> Half:
    asked: list[Question] = []
    paraphrases: list[Pair] = []
    near_misses: list[Pair] = []
    unclear = 0
    for paragraph in (
        part for article in articles for part in cast("list[dict[str, object]]", article["paragraphs"])
    ):
        questions = list(_questions(paragraph))
        asked += questions
        for a, b in itertools.combinations(questions, 2):
            if folded(a.text) == folded(b.text):
                continue
            if a.wanted & b.wanted:
                paraphrases.append((a, b))
            elif _words(a).isdisjoint(_words(b)):
                near_misses.append((a, b))
            else:
                unclear += 1
    return Half(len(articles), tuple(asked), tuple(paraphrases), tuple(near_misses), unclear)


def _questions(paragraph: dict[str, object]) -> Iterator[Question]:
    for row in cast("list[dict[str, object]]", paragraph["qas"]):
        answers = cast("list[dict[str, str]]", row["answers"])
        yield Question(
            str(row["question"]).strip(),
            tuple(answer["text"] for answer in answers),
            str(paragraph["context"]),
        )


def _words(question: Question) -> set[str]:
    return {word for answer in question.wanted for word in answer.split()}


_AUXILIARY = re.compile(r"\b(is|are|was|were|did|does|do|has|have|had|can|could|will|would)\b", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b")
_OPPOSITES = (
    "more less",
    "most least",
    "before after",
    "first last",
    "largest smallest",
    "larger smaller",
    "highest lowest",
    "higher lower",
    "earliest latest",
    "minimum maximum",
    "increase decrease",
    "begin end",
    "north south",
    "east west",
    "above below",
    "best worst",
    "win lose",
    "won lost",
)
_OPPOSITE = {
    word: other
    for pair in _OPPOSITES
    for first, second in [pair.split()]
    for word, other in ((first, second), (second, first))
}
_COMPARED = re.compile(rf"\b({'|'.join(_OPPOSITE)})\b", re.IGNORECASE)
_ASKED = re.compile(r"\b(who|when|where|why|how many)\b", re.IGNORECASE)
_ASKED_INSTEAD = {"who": "when", "when": "where", "where": "when", "why": "when", "how many": "which"}


def _negated(question: str, _paragraph: str) -> str | None:
    """`not` behind the first auxiliary."""
    changed, count = _AUXILIARY.subn(r"\1 not", question, count=1)
    return changed if count else None


def _other_number(question: str, _paragraph: str) -> str | None:
    """The first number plus one."""
    changed, count = _DIGITS.subn(lambda found: str(int(found[0]) + 1), question, count=1)
    return changed if count else None


def _other_name(question: str, paragraph: str) -> str | None:
    """The first capitalised word inside, by the first of the paragraph that the question lacks."""
    found = _NAME.search(question)
    others: list[str] = [
        name for name in _NAME.findall(paragraph) if name.casefold() not in question.casefold()
    ]
    if found is None or not others:
        return None
    return question[: found.start()] + others[0] + question[found.end() :]


def _other_comparison(question: str, _paragraph: str) -> str | None:
    """The first comparative or direction by its opposite."""
    changed, count = _COMPARED.subn(lambda found: _OPPOSITE[str(found[0]).lower()], question, count=1)
    return changed if count else None


def _other_question_word(question: str, _paragraph: str) -> str | None:
    """`who` by `when`, `when` by `where`, and so on."""
    changed, count = _ASKED.subn(lambda found: _ASKED_INSTEAD[found[0].lower()], question, count=1)
    return changed if count else None


def _polite(question: str, _paragraph: str) -> str:
    """`Can you tell me` before it, no mark behind it."""
    return f"Can you tell me {question[0].lower()}{question[1:].rstrip('? ')}"


def _contracted(question: str, _paragraph: str) -> str | None:
    """`What's` for `What is`, and the like."""
    changed, count = re.subn(
        r"^(what|who|where|when|how) is\b", r"\1's", question, count=1, flags=re.IGNORECASE
    )
    return changed if count else None


def _fronted(question: str, _paragraph: str) -> str | None:
    """A year or date at the end goes to the front."""
    found = re.search(r"\A(.*\S) (in \d{4})\s*\?*\Z", question, re.IGNORECASE)
    return None if found is None else f"{found[2].capitalize()}, {found[1][0].lower()}{found[1][1:]}?"


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        "negated": _negated,
        "another number": _other_number,
        "another name": _other_name,
        "the opposite comparison": _other_comparison,
        "another question word": _other_question_word,
    }
)
REWORDINGS: Mapping[str, Edit] = MappingProxyType(
    {"polite": _polite, "contracted": _contracted, "year first": _fronted}
)
