"""The measures agree with trec_eval, by way of pytrec_eval."""

from __future__ import annotations

import pytest
import pytrec_eval
from hypothesis import given, settings, strategies as st

from ragstone.evaluate.metrics import interval_of_mean, mean, ndcg, recall, reciprocal_rank

DOCUMENTS = [f"d{number}" for number in range(30)]
rankings = st.lists(st.sampled_from(DOCUMENTS), unique=True, min_size=1)
judgments = st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 3), min_size=1).filter(
    lambda grades: any(grades.values())
)


def trec(ranking: list[str], grades: dict[str, int], measure: str, depth: int) -> float:
    """What trec_eval says of one ranking, cut at `depth`."""
    run = {"q": {document: float(-rank) for rank, document in enumerate(ranking[:depth])}}
    found = pytrec_eval.RelevanceEvaluator({"q": grades}, {measure}).evaluate(run)["q"]
    return float(next(iter(found.values())))


@settings(max_examples=200, deadline=None)
@given(rankings, judgments, st.sampled_from([1, 5, 10, 20]))
def test_ndcg_is_that_of_trec_eval(ranking: list[str], grades: dict[str, int], k: int) -> None:
    """Published nDCG@k figures are made with trec_eval, so ours compare with them."""
    assert ndcg(ranking, grades, k) == pytest.approx(trec(ranking, grades, f"ndcg_cut.{k}", 100))


@settings(max_examples=200, deadline=None)
@given(rankings, judgments, st.sampled_from([1, 5, 10, 20]))
def test_recall_is_that_of_trec_eval(ranking: list[str], grades: dict[str, int], k: int) -> None:
    """Recall@k counts relevant documents among the first k."""
    assert recall(ranking, grades, k) == pytest.approx(trec(ranking, grades, f"recall.{k}", 100))


@settings(max_examples=200, deadline=None)
@given(rankings, judgments, st.sampled_from([1, 5, 10, 20]))
def test_reciprocal_rank_is_that_of_trec_eval_on_the_cut_ranking(
    ranking: list[str], grades: dict[str, int], k: int
) -> None:
    """MRR@k is trec_eval's reciprocal rank of the first k documents."""
    assert reciprocal_rank(ranking, grades, k) == pytest.approx(trec(ranking, grades, "recip_rank", k))


def test_a_question_without_relevant_documents_scores_nothing() -> None:
    """No division by zero where nothing could be found."""
    assert ndcg(["a"], {"a": 0}, 10) == recall(["a"], {"a": 0}, 10) == reciprocal_rank(["a"], {}, 10) == 0.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_the_interval_holds_the_mean_and_repeats(values: list[float]) -> None:
    """A report made twice from the same values says the same."""
    interval = interval_of_mean(values)

    assert interval == interval_of_mean(values)
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9


def test_the_interval_is_as_wide_as_theory_says() -> None:
    """For many values the bootstrap agrees with 1.96 standard errors."""
    values = [float(number % 2) for number in range(1_000)]

    interval = interval_of_mean(values)

    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.5 / 1_000**0.5, rel=0.1)
    assert interval.low < mean(values) < interval.high


def test_nothing_measured_has_no_interval() -> None:
    """An empty report is a value, not an error."""
    assert (mean([]), interval_of_mean([]).low, interval_of_mean([]).high) == (0.0, 0.0, 0.0)
