"""How a question was asked, as JSON, so that it can be asked again (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from ragstone.types import (
    Combine,
    Compare,
    Expansion,
    Filter,
    FilterOp,
    JsonValue,
    Principal,
    SearchRequest,
    Weights,
)

LONGEST_CHARS = 4_000
"""Of the JSON; a question with more filters than that is counted, but cannot be asked again."""

Kind = Literal["search", "ask"]
Wire = dict[str, object]


@dataclass(frozen=True, slots=True)
class Asking:
    """A search, or a question for an answer."""

    kind: Kind
    search: SearchRequest
    temperature: float | None = None


def asking_json(asking: Asking) -> str | None:
    """All but the question and who asked it; None when it is too long to be kept."""
    search = asking.search
    wire: Wire = {
        "kind": asking.kind,
        "collections": list(search.collections),
        "mode": search.mode,
        "top_k": search.top_k,
    }
    if search.filters is not None:
        wire["filters"] = _filter_wire(search.filters)
    if search.weights is not None:
        wire["weights"] = [search.weights.lexical, search.weights.dense]
    if search.fusion is not None:
        wire["fusion"] = search.fusion
    if search.expand is not None:
        wire["expand"] = [search.expand.neighbours, search.expand.is_section]
    if asking.temperature is not None:
        wire["temperature"] = asking.temperature
    text = json.dumps(wire, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= LONGEST_CHARS else None


def read_asking(text: str, question: str, principal: Principal) -> Asking:
    """What `asking_json` wrote.

    Raises:
        ValueError: another version of the product wrote it.
    """
    try:
        wire = json.loads(text)
        weights, expand = wire.get("weights"), wire.get("expand")
        filters = wire.get("filters")
        search = SearchRequest(
            query=question,
            collections=tuple(wire["collections"]),
            mode=wire["mode"],
            top_k=wire["top_k"],
            filters=None if filters is None else _read_filter(filters),
            weights=None if weights is None else Weights(*weights),
            fusion=wire.get("fusion"),
            principal=principal,
            expand=None if expand is None else Expansion(*expand),
        )
        return Asking(wire["kind"], search, wire.get("temperature"))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("a tracked request was written by another version") from error


def _filter_wire(filter_: Filter) -> Wire:
    if isinstance(filter_, Combine):
        return {"type": filter_.op, "filters": [_filter_wire(part) for part in filter_.filters]}
    return {"type": filter_.op, "key": filter_.key, "value": filter_.value}


def _read_filter(wire: Mapping[str, object]) -> Filter:
    # Written by ourselves, from a filter that a door had checked.
    if "filters" in wire:
        parts = cast("list[Mapping[str, object]]", wire["filters"])
        op = cast("Literal['and', 'or', 'not']", wire["type"])
        return Combine(op, tuple(_read_filter(part) for part in parts))
    compared = cast("JsonValue", wire["value"])
    return Compare(cast("FilterOp", wire["type"]), cast("str", wire["key"]), compared)
