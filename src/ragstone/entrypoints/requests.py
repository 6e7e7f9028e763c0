"""Reading what callers send: filters and search requests, checked once for every door."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar, get_args

from ragstone.errors import InvalidFilter, InvalidRequest
from ragstone.settings import Settings
from ragstone.types import (
    DEFAULT_COLLECTION,
    ChunkingSpec,
    ChunkingStrategy,
    Combine,
    Compare,
    Expansion,
    Filter,
    FilterOp,
    Fusion,
    JobState,
    JsonValue,
    SearchMode,
    SearchRequest,
    Weights,
)

COMPARISONS: tuple[FilterOp, ...] = get_args(FilterOp)
COMBINATIONS = ("and", "or", "not")
MODES: tuple[SearchMode, ...] = get_args(SearchMode)
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)
JOB_STATES: tuple[JobState, ...] = get_args(JobState)
STRATEGIES: tuple[ChunkingStrategy, ...] = get_args(ChunkingStrategy)
LEAST_CHUNK_TOKENS, MOST_CHUNK_TOKENS = 16, 8192
MOST_NEIGHBOURS = 10
Choice = TypeVar("Choice", bound=str)
LARGEST_TOP_K = 100
MOST_WARMED = 1_000
LONGEST_SHOWN = 60
LARGEST_WEIGHT = 100
DEEPEST_FILTER = 16
LONGEST_LIST = 500
SCALAR_OPS = ("eq", "ne", "gt", "gte", "lt", "lte")


def read_filter(wire: object, depth: int = 0) -> Filter:
    """A filter in OpenAI's shape, plus `not` and `exists`.

    `{"type": "eq", "key": "year", "value": 2024}`, `{"type": "and", "filters": [...]}`.

    Raises:
        InvalidFilter: naming what is wrong and what would be right.
    """
    if not isinstance(wire, Mapping):
        raise InvalidFilter(f"A filter is an object with a type, not {wire!r}.")
    if depth > DEEPEST_FILTER:
        raise InvalidFilter(f"Filters nest more than {DEEPEST_FILTER} deep; flatten them.")
    kind = wire.get("type")
    if kind in COMBINATIONS:
        return _combination(wire, depth)
    for op in COMPARISONS:
        if kind == op:
            return _comparison(op, wire)
    known = ", ".join((*COMPARISONS, *COMBINATIONS))
    if kind is None:
        raise InvalidFilter(f"A filter needs a type, one of {known}.")
    raise InvalidFilter(f"There is no filter type {kind!r}; there are {known}.")


def search_request(  # noqa: PLR0913 (one parameter for each field of the wire)
    settings: Settings,
    query: str,
    *,
    collections: Sequence[str] | None = None,
    mode: str = "hybrid",
    top_k: int | None = None,
    filters: object = None,
    weights: Mapping[str, float] | None = None,
    fusion: str | None = None,
    expand: object = None,
) -> SearchRequest:
    """A search request from plain values; one name for `collections` is a list of one.

    Raises:
        InvalidRequest: a value is unknown or out of range.
    """
    wanted = whole_number("top_k", settings.search.top_k if top_k is None else top_k)
    if not 1 <= wanted <= LARGEST_TOP_K:
        raise InvalidRequest(f"top_k is {wanted}; it must lie between 1 and {LARGEST_TOP_K}.", top_k=wanted)
    if collections is not None and not collections:
        raise InvalidRequest("collections is empty; name at least one, or leave it out.")
    named = (collections,) if isinstance(collections, str) else tuple(collections or (DEFAULT_COLLECTION,))
    return SearchRequest(
        query=text_of("query", query),
        collections=tuple(text_of("collections", name) for name in named),
        mode=_one_of("mode", mode, MODES),
        top_k=wanted,
        filters=None if filters is None else read_filter(filters),
        weights=None if weights is None else _weights(weights),
        fusion=None if fusion is None else _one_of("fusion", fusion, FUSIONS),
        expand=None if expand is None else read_expansion(expand),
    )


def text_of(name: str, value: object) -> str:
    """The value of an argument that is a text.

    Raises:
        InvalidRequest: it is none.
    """
    if isinstance(value, str):
        return value
    raise InvalidRequest(f"{name} is {_shown(value)}; it must be a text.")


def whole_number(name: str, value: object) -> int:
    """The value of an argument that is a whole number.

    Raises:
        InvalidRequest: it is none.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise InvalidRequest(f"{name} is {_shown(value)}; it must be a whole number.")


def read_top(value: object) -> int:
    """How many of the most asked questions are warmed.

    Raises:
        InvalidRequest: it is no whole number, or out of range.
    """
    top = whole_number("top", value)
    if 1 <= top <= MOST_WARMED:
        return top
    raise InvalidRequest(f"top is {top}; it must lie between 1 and {MOST_WARMED}.", top=top)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}... ({type(value).__name__})"


def read_expansion(wire: object) -> Expansion:
    """What to read around a hit: `"section"`, or `{"neighbours": n}`.

    Raises:
        InvalidRequest: it is neither, or n is out of range.
    """
    if wire == "section":
        return Expansion(is_section=True)
    count = wire.get("neighbours") if isinstance(wire, Mapping) and len(wire) == 1 else None
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_NEIGHBOURS:
        raise InvalidRequest(
            f'expand is {wire!r}; it is "section" or {{"neighbours": n}} with n from 0 to {MOST_NEIGHBOURS}.'
        )
    return Expansion(neighbours=count)


def read_chunking(
    settings: Settings,
    strategy: str | None = None,
    max_tokens: int | None = None,
    overlap_tokens: int | None = None,
) -> ChunkingSpec:
    """How to cut; what is left out is as the settings say.

    Raises:
        InvalidRequest: a value is unknown or out of range.
    """
    ingest = settings.ingest
    tokens = ingest.chunk_max_tokens if max_tokens is None else max_tokens
    overlap = ingest.chunk_overlap_tokens if overlap_tokens is None else overlap_tokens
    if not LEAST_CHUNK_TOKENS <= tokens <= MOST_CHUNK_TOKENS:
        raise InvalidRequest(
            f"A chunk of {tokens} tokens is not made; it must lie between {LEAST_CHUNK_TOKENS} and "
            f"{MOST_CHUNK_TOKENS}."
        )
    if overlap < 0:
        raise InvalidRequest(f"The overlap is {overlap} tokens; it must be 0 or more.")
    chosen = ingest.chunk_strategy if strategy is None else _one_of("chunking", strategy, STRATEGIES)
    return ChunkingSpec(tokens, overlap, chosen)


def read_metadata(wire: object, settings: Settings) -> dict[str, JsonValue]:
    """Metadata as given by a caller: a JSON object of bounded size.

    Raises:
        InvalidRequest: it is no object, not JSON, or too large.
    """
    if not isinstance(wire, Mapping):
        raise InvalidRequest(f"metadata is a JSON object, not {wire!r}.")
    try:
        size = len(json.dumps(wire, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"metadata is not JSON: {error}.") from error
    limit = settings.limits.metadata_max_bytes
    if size > limit:
        raise InvalidRequest(
            f"metadata takes {size} bytes; at most {limit} are kept (limits.metadata_max_bytes)."
        )
    return dict(wire)


def read_mapping(text: str | None) -> dict[str, str]:
    """Our fields to another system's columns, as a JSON object of texts; empty without one.

    Raises:
        InvalidRequest: it is no such object.
    """
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidRequest(
            f"The mapping {text[:200]!r} is not a JSON object of column names, such as "
            '{"question": "user_input", "time": "created"}.'
        )
    return found


def read_job_state(text: str) -> JobState:
    """The state of a job, as given by a caller.

    Raises:
        InvalidRequest: there is no such state.
    """
    return _one_of("state", text, JOB_STATES)


def _one_of(name: str, given: str, known: tuple[Choice, ...]) -> Choice:
    for choice in known:
        if given == choice:
            return choice
    raise InvalidRequest(f"There is no {name} {given!r}; there are {', '.join(known)}.")


def _combination(wire: Mapping[str, object], depth: int) -> Combine:
    kind = str(wire["type"])
    _only(wire, "type", "filters")
    parts = wire.get("filters")
    if not isinstance(parts, Sequence) or isinstance(parts, str) or not parts:
        raise InvalidFilter(f"A filter of type {kind!r} needs a non-empty list of filters.")
    if kind == "not" and len(parts) != 1:
        raise InvalidFilter(f"A filter of type 'not' takes exactly one filter, not {len(parts)}.")
    if len(parts) > LONGEST_LIST:
        raise InvalidFilter(
            f"A filter of type {kind!r} has {len(parts)} parts; at most {LONGEST_LIST} are taken."
        )
    read = tuple(read_filter(part, depth + 1) for part in parts)
    if kind == "and":
        return Combine("and", read)
    return Combine("or", read) if kind == "or" else Combine("not", read)


def _comparison(op: FilterOp, wire: Mapping[str, object]) -> Compare:
    _only(wire, "type", "key", "value")
    key = wire.get("key")
    if not isinstance(key, str) or not key or any(not part for part in key.split(".")):
        raise InvalidFilter(f"A filter of type {op!r} needs a key, a name of metadata; it has {key!r}.")
    if op == "exists":
        return Compare(op, key, _boolean(wire.get("value", True)))
    if "value" not in wire:
        raise InvalidFilter(f"The filter {op!r} on {key!r} has no value.")
    value = wire["value"]
    if op in SCALAR_OPS:
        return Compare(op, key, _scalar(key, value))
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidFilter(f"The filter {op!r} on {key!r} needs a list of values, not {value!r}.")
    if len(value) > LONGEST_LIST:
        raise InvalidFilter(
            f"The filter {op!r} on {key!r} lists {len(value)} values; at most {LONGEST_LIST} are taken."
        )
    return Compare(op, key, [_scalar(key, part) for part in value])


def _scalar(key: str, value: object) -> str | int | float | bool:
    if isinstance(value, str | int | float | bool):
        return value
    raise InvalidFilter(f"{key!r} is compared with {value!r}; use a string, a number or a boolean.")


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidFilter(f"The filter 'exists' takes true or false, not {value!r}.")


def _only(wire: Mapping[str, object], *known: str) -> None:
    unknown = [key for key in wire if key not in known]
    if unknown:
        raise InvalidFilter(f"A filter has no {unknown[0]!r}; it has {', '.join(known)}.")


def _weights(wire: Mapping[str, float]) -> Weights:
    unknown = [leg for leg in wire if leg not in ("lexical", "dense")]
    if unknown:
        raise InvalidRequest(f"There is no leg {unknown[0]!r} to weigh; there are lexical and dense.")
    weights = Weights(wire.get("lexical", 1.0), wire.get("dense", 1.0))
    for leg, weight in (("lexical", weights.lexical), ("dense", weights.dense)):
        if not 0 <= weight <= LARGEST_WEIGHT:
            raise InvalidRequest(
                f"The weight of {leg} is {weight}; it must lie between 0 and {LARGEST_WEIGHT}."
            )
    if weights.lexical == weights.dense == 0:
        raise InvalidRequest("Both weights are 0; give at least one leg a weight.")
    return weights
