"""docs/semantic-cache.md says what was measured, and the product is what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ragstone.answer.semantic import LEADING
from ragstone.settings import CacheSettings
from tests.requirements import verifies

ROOT = Path(__file__).parents[2]
FIGURES: dict[str, Any] = json.loads((ROOT / "benchmarks/results/semantic_cache.json").read_text("utf-8"))
PAGE = (ROOT / "docs/semantic-cache.md").read_text("utf-8")
UNSAFE_LIMIT, HIT_TARGET = 0.005, 0.10


@verifies("CAC-08")
def test_the_page_says_what_was_measured() -> None:
    """Every rate stands there with its count and its interval, and so do the rules that were tried."""
    reported = FIGURES["reported"]

    missing = [row for row in (*rate_rows(reported), *rule_rows(FIGURES["tuning"])) if row not in PAGE]
    assert missing == []


@verifies("CAC-08")
def test_it_stays_off_while_a_target_is_missed() -> None:
    """On by default only once few are unsafe and enough paraphrases are served; the page says which fails."""
    reported = FIGURES["reported"]
    is_safe = reported["unsafe_of_near_misses"]["share"] < UNSAFE_LIMIT
    is_useful = reported["hit_rate_on_paraphrases"]["share"] >= HIT_TARGET

    assert is_safe
    assert not any(kind["count"] for kind in reported["never"].values())
    assert not any(group["count"] for group in reported["asked_though_words_differ"].values())
    assert is_useful or "The second target is missed" in PAGE
    assert not CacheSettings().semantic


def test_the_product_is_what_was_measured() -> None:
    """The committed figures are those of the rule in force."""
    rule = FIGURES["rule"]

    assert rule["leading_passages"] == LEADING
    assert rule["threshold"] == CacheSettings().semantic_threshold


def rate_rows(reported: dict[str, Any]) -> Iterator[str]:
    """The rows of the page's table of rates."""
    names = {
        "hit_rate_on_paraphrases": "paraphrases served",
        "unsafe_of_near_misses": "near misses served (unsafe), of all near misses",
        "unsafe_of_served": "near misses served (unsafe), of all that was served",
        "hit_rate_on_rewordings": "rewordings by rule served",
        "words_of_rewordings_agree": "rewordings by rule whose words agree",
    }
    for name, title in names.items():
        yield row(title, reported[name])
    for name, kind in reported["kinds"].items():
        if name != "paraphrase":
            yield row(f"unsafe: {name}", kind)
    for name, kind in reported["never"].items():
        yield row(f"never: {name}", kind)
    for name, group in reported["asked_though_words_differ"].items():
        yield row(f"asked though words differ: {name.replace('_', ' ')}", group)


def rule_rows(tuning: dict[str, Any]) -> Iterator[str]:
    """The rows of the page's table of rules, at the threshold in force."""
    for rule in tuning["rules"]:
        if rule["threshold"] == CacheSettings().semantic_threshold and rule["leading_passages"] <= 6:
            right = f"{rule['paraphrases_served']} of {tuning['paraphrases']}"
            wrong = f"{rule['unsafe_served']} of {tuning['near_misses']}"
            yield f"| {rule['words_that_differ']} | {rule['leading_passages']} | {right} | {wrong} |"


def row(title: str, rate: dict[str, Any]) -> str:
    """A rate as the page shows it."""
    low, high = rate["interval"]
    return (
        f"| {title} | {rate['count']} of {rate['of']} | {100 * rate['share']:.2f} % "
        f"| {100 * low:.2f} to {100 * high:.2f} % |"
    )
