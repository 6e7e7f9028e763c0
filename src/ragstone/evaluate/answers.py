"""Extractive answer quality: is a known answer within the sentences that were quoted?"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from ragstone.deadline import Deadline
from ragstone.evaluate.corpus import SEARCHES_IN_FLIGHT, each, ingest, open_temporary_engine
from ragstone.evaluate.datasets import SQUAD, AnsweredQuestion, read_answered_questions, read_dataset
from ragstone.evaluate.metrics import Interval, interval_of_mean, mean
from ragstone.types import AnswerRequest, SearchRequest

if TYPE_CHECKING:
    from rich.table import Table

    from ragstone.runtime.engine import Engine
    from ragstone.settings import Settings
    from ragstone.types import Answer

MOST_QUOTES, MOST_CHARS = 3, 600
"""A longer answer does not count: quoting everything would contain any answer."""
ANSWER_BUDGET_S = 60.0
COLLECTION = "evaluated"
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class AnswersReport:
    """Shares of the questions, 0..1, with the 95 % interval of `contained`.

    `contained`: an answer lies within a quote. `in_words`: and not as a part of a longer word.
    `in_first_quote`: within the best quote. `retrieved`: within
    the text of any hit, which is the most that quoting could reach.
    """

    dataset: str
    question_count: int
    contained: float
    contained_interval: Interval
    in_words: float
    in_first_quote: float
    retrieved: float
    mean_quote_chars: float
    degraded_count: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    contained: bool
    in_words: bool
    in_first_quote: bool
    retrieved: bool
    quote_chars: int
    is_degraded: bool


async def evaluate_answers(
    settings: Settings, folder: Path, *, every: int, language: str = "en"
) -> AnswersReport:
    """Ingest the corpus at `folder` and ask every `every`-th question of its `dev-v1.1.json`.

    Raises:
        PathNotFound: the folder or one of its files is not there.
        InvalidRequest: a file does not follow the format.
    """
    dataset = await to_thread.run_sync(read_dataset, folder, "test")
    questions = await to_thread.run_sync(read_answered_questions, folder / SQUAD)
    async with open_temporary_engine(settings) as engine:
        await engine.collections.create(COLLECTION, language)
        await ingest(engine, COLLECTION, dataset.corpus)
        return await measure_answers(engine, COLLECTION, questions[::every], dataset.name)


async def measure_answers(
    engine: Engine, collection: str, questions: Sequence[AnsweredQuestion], name: str
) -> AnswersReport:
    """Ask `questions` of a filled collection."""
    outcomes: list[_Outcome] = []
    await each(questions, partial(_ask, engine, collection, outcomes), SEARCHES_IN_FLIGHT, "Asking")
    contained = [float(outcome.contained) for outcome in outcomes]
    return AnswersReport(
        dataset=name,
        question_count=len(outcomes),
        contained=mean(contained),
        contained_interval=interval_of_mean(contained),
        in_words=mean([float(outcome.in_words) for outcome in outcomes]),
        in_first_quote=mean([float(outcome.in_first_quote) for outcome in outcomes]),
        retrieved=mean([float(outcome.retrieved) for outcome in outcomes]),
        mean_quote_chars=mean([float(outcome.quote_chars) for outcome in outcomes]),
        degraded_count=sum(outcome.is_degraded for outcome in outcomes),
    )


def normalise_answer(text: str) -> str:
    """Lower case, without punctuation, articles and extra white space (pure).

    Source: SQuAD's evaluation script, version 1.1.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def contains_answer(text: str, answers: Sequence[str], *, in_words: bool = False) -> bool:
    """Whether one of the answers stands in the text, normalised; `in_words`: not within a longer word.

    The looser reading is the usual one: "10" counts in "24–10", and, wrongly, in "1910".
    """
    edge = " " if in_words else ""
    said = f"{edge}{normalise_answer(text)}{edge}"
    return any(f"{edge}{wanted}{edge}" in said for answer in answers if (wanted := normalise_answer(answer)))


def answers_wire(report: AnswersReport) -> dict[str, object]:
    """The report as plain dictionaries."""
    interval = report.contained_interval
    return {
        "dataset": report.dataset,
        "questions": report.question_count,
        "contained": round(report.contained, 4),
        "contained_interval": [round(interval.low, 4), round(interval.high, 4)],
        "in_words": round(report.in_words, 4),
        "in_first_quote": round(report.in_first_quote, 4),
        "retrieved": round(report.retrieved, 4),
        "mean_quote_chars": round(report.mean_quote_chars, 1),
        "degraded_answers": report.degraded_count,
    }


def answers_table(report: AnswersReport) -> Table:
    """The report as a table for people."""
    from rich.table import Table

    interval = report.contained_interval
    table = Table(title=f"{report.dataset}: answers to {report.question_count} questions")
    table.add_column("an answer lies within")
    table.add_column("share", justify="right")
    table.add_row(
        f"the quotes (at most {MOST_QUOTES} sentences, {MOST_CHARS} characters)",
        f"{report.contained:.3f} ({interval.low:.3f} to {interval.high:.3f})",
    )
    table.add_row("the same, in whole words", f"{report.in_words:.3f}")
    table.add_row("the first quote", f"{report.in_first_quote:.3f}")
    table.add_row("the hits", f"{report.retrieved:.3f}")
    return table


async def _ask(engine: Engine, collection: str, outcomes: list[_Outcome], question: AnsweredQuestion) -> None:
    request = AnswerRequest(SearchRequest(question.text, (collection,)))
    answer = await engine.answers.ask(request, Deadline.after(ANSWER_BUDGET_S))
    outcomes.append(_outcome(answer, question.answers))


def _outcome(answer: Answer, answers: Sequence[str]) -> _Outcome:
    quotes = [citation.quote for citation in answer.citations]
    size = sum(map(len, quotes))
    is_short = len(quotes) <= MOST_QUOTES and size <= MOST_CHARS
    return _Outcome(
        contained=is_short and any(contains_answer(quote, answers) for quote in quotes),
        in_words=is_short and any(contains_answer(quote, answers, in_words=True) for quote in quotes),
        in_first_quote=bool(quotes) and contains_answer(quotes[0], answers),
        retrieved=any(contains_answer(hit.text, answers) for hit in answer.hits),
        quote_chars=size,
        is_degraded=bool(answer.degraded),
    )
