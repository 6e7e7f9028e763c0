"""What an answer says while it is made: one typed sequence, rendered alike by every door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from ragstone.types import Answer, AnswerId, AnswerMode, Citation, Hit


@dataclass(frozen=True, slots=True)
class Started:
    """The question was taken; `answer_id` names the answer from here on."""

    name: ClassVar[str] = "started"
    seq: int
    answer_id: AnswerId
    mode: AnswerMode


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The passages that the answer will rest on, best first."""

    name: ClassVar[str] = "retrieved"
    seq: int
    hits: tuple[Hit, ...]
    corpus_version: int
    degraded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of text; with `restarts`, what came before is void (the generator failed)."""

    name: ClassVar[str] = "delta"
    seq: int
    text: str
    restarts: bool = False


@dataclass(frozen=True, slots=True)
class Cited:
    """A marker of the text was bound to an exact quote."""

    name: ClassVar[str] = "cited"
    seq: int
    citation: Citation


@dataclass(frozen=True, slots=True)
class Checked:
    """How many citations were read again from the store, and how many of them still hold."""

    name: ClassVar[str] = "checked"
    seq: int
    citation_count: int
    exact_count: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole answer; the last event of a success."""

    name: ClassVar[str] = "finished"
    seq: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer could not be made; the last event of a failure."""

    name: ClassVar[str] = "failed"
    seq: int
    code: str
    message: str
    retryable: bool


AnswerEvent: TypeAlias = Started | Retrieved | Delta | Cited | Checked | Finished | Failed
