"""Retrieval quality on a BEIR folder, through the whole product."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from ragstone.deadline import Deadline
from ragstone.evaluate.answers import AnswersReport, answers_wire, measure_answers
from ragstone.evaluate.corpus import (
    SEARCHES_IN_FLIGHT,
    Filled,
    each,
    ingest,
    open_temporary_engine,
    store_whole,
)
from ragstone.evaluate.datasets import SQUAD, Dataset, read_answered_questions, read_dataset
from ragstone.evaluate.metrics import Interval, interval_of_mean, mean, ndcg, recall, reciprocal_rank
from ragstone.types import SearchMode, SearchRequest

if TYPE_CHECKING:
    from rich.table import Table

    from ragstone.runtime.engine import Engine
    from ragstone.settings import Settings

MODES: tuple[SearchMode, ...] = ("hybrid", "lexical", "dense")
DEPTH = 100
"""Hits of a search, the most that a client can ask for."""
SEARCH_BUDGET_S = 60.0
PRODUCT, CONTROL = "evaluated", "one-chunk"


@dataclass(frozen=True, slots=True)
class ModeQuality:
    """Means over the questions, 0..1, and the 95 % interval of nDCG@10."""

    ndcg_at_10: float
    ndcg_at_10_interval: Interval
    recall_at_10: float
    recall_at_100: float
    mrr_at_10: float


Qualities = Mapping[SearchMode, ModeQuality]


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """How well each mode finds the relevant documents; a document's rank is that of its best chunk.

    `one_chunk` is the control: each document as a single chunk of which the model sees the beginning. It
    tells what chunking gains or costs; None when it was left out.
    """

    dataset: str
    split: str
    language: str
    modes: Qualities
    one_chunk: Qualities | None
    document_count: int
    chunk_count: int
    query_count: int
    skipped_count: int
    """Documents without text."""
    degraded_count: int
    """Searches in which a leg failed; with any, the figures are not to be trusted."""
    seconds: Mapping[str, float]
    answers: AnswersReport | None = None


@dataclass(frozen=True, slots=True)
class RetrievalOptions:
    """What may be left out of an evaluation to save time."""

    has_control: bool = True
    query_step: int = 1
    """Every how many-th question is asked."""
    answers_every: int = 0
    """Every how many-th question of `dev-v1.1.json`, when it is there, is answered; 0 answers none."""


async def evaluate_retrieval(
    settings: Settings,
    folder: Path,
    *,
    split: str = "test",
    language: str = "en",
    options: RetrievalOptions | None = None,
) -> RetrievalReport:
    """Ingest the corpus at `folder` into an engine of its own and ask every question in every mode.

    Cost: embedding the corpus once, or twice where documents are longer than a chunk, and six searches a
    question.

    Raises:
        PathNotFound: the folder or one of its files is not there.
        InvalidRequest: a file does not follow the format.
    """
    options = options or RetrievalOptions()
    dataset = await to_thread.run_sync(read_dataset, folder, split)
    dataset = _thinned(dataset, options.query_step)
    clock = _Clock()
    async with open_temporary_engine(settings) as engine:
        await engine.collections.create(PRODUCT, language)
        filled = await ingest(engine, PRODUCT, dataset.corpus)
        clock.lap("ingest")
        modes, degraded_count = await measure(engine, PRODUCT, dataset)
        clock.lap("search")
        answers = await _answers(engine, folder, dataset.name, options.answers_every)
        one_chunk = None
        if options.has_control:
            control = await engine.collections.create(CONTROL, language)
            await store_whole(engine, control, dataset.corpus, filled)
            one_chunk, more = await measure(engine, CONTROL, dataset)
            degraded_count += more
            clock.lap("control")
    report = _report(dataset, split, language, (modes, one_chunk), filled, (degraded_count, clock.seconds))
    return replace(report, answers=answers)


async def measure(engine: Engine, collection: str, dataset: Dataset) -> tuple[Qualities, int]:
    """The quality of each mode on a filled collection, and how many searches were degraded."""
    qualities: dict[SearchMode, ModeQuality] = {}
    degraded_count = 0
    for mode in MODES:
        rankings: dict[str, Sequence[str]] = {}
        degraded: list[str] = []
        await each(
            list(dataset.queries.items()),
            partial(_rank, engine, (collection, mode), rankings, degraded),
            SEARCHES_IN_FLIGHT,
            f"Searching, {mode}",
        )
        qualities[mode] = quality(rankings, dataset)
        degraded_count += len(degraded)
    return qualities, degraded_count


def quality(rankings: Mapping[str, Sequence[str]], dataset: Dataset) -> ModeQuality:
    """The means over the dataset's questions (pure); a question without a ranking scores 0."""
    pairs = [(rankings.get(query, ()), judgments) for query, judgments in dataset.judgments.items()]
    gains = [ndcg(ranking, judgments, 10) for ranking, judgments in pairs]
    return ModeQuality(
        ndcg_at_10=mean(gains),
        ndcg_at_10_interval=interval_of_mean(gains),
        recall_at_10=mean([recall(ranking, judgments, 10) for ranking, judgments in pairs]),
        recall_at_100=mean([recall(ranking, judgments, 100) for ranking, judgments in pairs]),
        mrr_at_10=mean([reciprocal_rank(ranking, judgments, 10) for ranking, judgments in pairs]),
    )


def retrieval_wire(report: RetrievalReport) -> dict[str, object]:
    """The report as plain dictionaries; `one_chunk` is None when the control was left out."""
    return {
        "dataset": report.dataset,
        "split": report.split,
        "language": report.language,
        "modes": _qualities_wire(report.modes),
        "one_chunk": None if report.one_chunk is None else _qualities_wire(report.one_chunk),
        "documents": report.document_count,
        "chunks": report.chunk_count,
        "queries": report.query_count,
        "skipped_documents": report.skipped_count,
        "degraded_searches": report.degraded_count,
        "answers": None if report.answers is None else answers_wire(report.answers),
        "seconds": {stage: round(seconds, 2) for stage, seconds in report.seconds.items()},
    }


def retrieval_table(report: RetrievalReport) -> Table:
    """The report as a table for people."""
    from rich.table import Table

    table = Table(
        title=f"{report.dataset} ({report.split}): {report.query_count} questions, "
        f"{report.document_count} documents, {report.chunk_count} chunks",
        caption=_caption(report),
    )
    table.add_column("mode")
    for name in ("nDCG@10", "95 % interval", "recall@10", "recall@100", "MRR@10"):
        table.add_column(name, justify="right")
    for title, qualities in (("", report.modes), (", one chunk a document", report.one_chunk or {})):
        for mode, found in qualities.items():
            table.add_row(f"{mode}{title}", *_cells(found))
    return table


async def _rank(
    engine: Engine,
    where: tuple[str, SearchMode],
    rankings: dict[str, Sequence[str]],
    degraded: list[str],
    query: tuple[str, str],
) -> None:
    collection, mode = where
    request = SearchRequest(query[1], (collection,), mode, DEPTH)
    result = await engine.search.search(request, Deadline.after(SEARCH_BUDGET_S))
    rankings[query[0]] = list(dict.fromkeys(hit.source or "" for hit in result.hits))
    degraded.extend(result.degraded)


async def _answers(engine: Engine, folder: Path, name: str, every: int) -> AnswersReport | None:
    path = folder / SQUAD
    if not every or not path.is_file():
        return None
    questions = await to_thread.run_sync(read_answered_questions, path)
    return await measure_answers(engine, PRODUCT, questions[::every], name)


def _thinned(dataset: Dataset, step: int) -> Dataset:
    kept = list(dataset.queries)[::step]
    return Dataset(
        dataset.name,
        dataset.corpus,
        {query: dataset.queries[query] for query in kept},
        {query: dataset.judgments[query] for query in kept},
    )


def _report(
    dataset: Dataset,
    split: str,
    language: str,
    qualities: tuple[Qualities, Qualities | None],
    filled: Filled,
    run: tuple[int, Mapping[str, float]],
) -> RetrievalReport:
    return RetrievalReport(
        dataset=dataset.name,
        split=split,
        language=language,
        modes=qualities[0],
        one_chunk=qualities[1],
        document_count=len(filled.written),
        chunk_count=filled.chunk_count,
        query_count=len(dataset.queries),
        skipped_count=len(filled.skipped),
        degraded_count=run[0],
        seconds=run[1],
    )


def _qualities_wire(qualities: Qualities) -> dict[str, object]:
    return {
        mode: {
            "ndcg_at_10": round(found.ndcg_at_10, 4),
            "ndcg_at_10_interval": [
                round(found.ndcg_at_10_interval.low, 4),
                round(found.ndcg_at_10_interval.high, 4),
            ],
            "recall_at_10": round(found.recall_at_10, 4),
            "recall_at_100": round(found.recall_at_100, 4),
            "mrr_at_10": round(found.mrr_at_10, 4),
        }
        for mode, found in qualities.items()
    }


def _cells(found: ModeQuality) -> tuple[str, ...]:
    interval = found.ndcg_at_10_interval
    return (
        f"{found.ndcg_at_10:.3f}",
        f"{interval.low:.3f} to {interval.high:.3f}",
        f"{found.recall_at_10:.3f}",
        f"{found.recall_at_100:.3f}",
        f"{found.mrr_at_10:.3f}",
    )


def _caption(report: RetrievalReport) -> str:
    parts = [f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items()]
    if report.skipped_count:
        parts.append(f"{report.skipped_count} documents without text skipped")
    if report.degraded_count:
        parts.append(f"{report.degraded_count} searches lacked a leg: do not trust these figures")
    if report.answers is not None:
        parts.append(f"{report.answers.contained:.1%} of {report.answers.question_count} answers quoted")
    return ", ".join(parts)


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """What passed since the last lap belongs to `stage`."""
        now = time.perf_counter()
        self.seconds[stage] = now - self._last
        self._last = now
