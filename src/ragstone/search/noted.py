"""What a search notes of its way, for the trace of an answer (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragstone.telemetry.trail import KEPT_CANDIDATES, LegNote

if TYPE_CHECKING:
    from ragstone.search.legs import LegResults, Plan
    from ragstone.search.trim import Ranked
    from ragstone.telemetry.trail import SearchNote
    from ragstone.types import Fusion


def note(noted: SearchNote, plan: Plan, legs: LegResults, ranked: Ranked, fusion: Fusion) -> None:
    """One attempt: what the legs gave and how it was ranked; it stands in the place of an earlier one."""
    noted.collections, noted.weights, noted.fusion = plan.collections, plan.weights, fusion
    noted.depth = plan.depth
    noted.attempts += 1
    given = {leg: LegNote(len(found), tuple(found[:KEPT_CANDIDATES])) for leg, found in legs.found.items()}
    failed = {leg: LegNote(0, (), error.code) for leg, error in legs.failures.items()}
    noted.legs = given | failed
    noted.ranked_count = len(ranked)
    noted.ranked = tuple(ranked[:KEPT_CANDIDATES])
