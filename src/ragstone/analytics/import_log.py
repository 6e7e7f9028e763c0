"""Query logs of other systems, as JSON lines or CSV: lines become rows, or say why they cannot."""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from ragstone.analytics.words import digest_of
from ragstone.errors import InvalidRequest
from ragstone.store.log_tables import NUMBER_BITS
from ragstone.store.query_log import QueryRow, RowId
from ragstone.types import TenantId

ImportFormat = Literal["jsonl", "csv"]

ALIASES: Mapping[str, tuple[str, ...]] = {
    "question": ("question", "query", "query_text", "prompt", "input", "text", "q"),
    "time": ("time", "timestamp", "created_at", "asked_at", "date", "ts", "at_ms", "datetime"),
    "client": ("client", "client_id", "ip", "client_ip"),
    "user": ("user", "user_id", "username"),
    "kind": ("kind",),
    "total_ms": ("total_ms", "latency_ms", "duration_ms", "response_time_ms", "total_time_ms"),
    "retrieval_ms": ("retrieval_ms", "retrieval_time_ms"),
    "generation_ms": ("generation_ms", "generation_time_ms"),
    "source_count": ("source_count", "sources", "hits", "num_sources", "result_count", "results"),
    "relevance": ("relevance", "mean_relevance", "score", "avg_relevance_score"),
    "model": ("model", "model_name", "llm_model"),
    "prompt_tokens": ("prompt_tokens", "input_tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens"),
    "cost": ("cost", "cost_usd"),
    "success": ("success", "is_success", "ok"),
    "error_code": ("error_code", "error"),
    "request_id": ("request_id", "trace_id"),
}
"""Our fields, and the names that other systems have for them; the first one present counts."""

LONGEST = 200
LONGEST_CODE = 64
SECONDS_UNTIL = 100_000_000_000
"""A number of a time below this counts seconds since 1970, above milliseconds."""
FALSE = frozenset({"false", "0", "no", "n", "f", "failed", "error"})
EXAMPLES = 5
DOOR = "import"


@dataclass(slots=True)
class ImportReport:
    """What became of the lines; `refused` counts reasons, `examples` names the first lines of each."""

    is_dry_run: bool
    read: int = 0
    added: int = 0
    known: int = 0
    """Rows that an earlier import brought: same question, same time."""
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[int]] = field(default_factory=dict)
    """Numbers of lines from 1; never their text."""

    def refuse(self, reason: str, line: int) -> None:
        """Count a line that is no row."""
        self.refused[reason] += 1
        lines = self.examples.setdefault(reason, [])
        if len(lines) < EXAMPLES:
            lines.append(line)


@dataclass(frozen=True, slots=True)
class ImportRules:
    """What every row of an import has in common."""

    tenant_id: TenantId
    audience: str
    normalise: Callable[[str], str]
    """The normal form of a question; raises `InvalidRequest` when it is none."""
    is_text_stored: bool
    earliest_ms: int
    """Older rows would be removed at once."""
    latest_ms: int
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Our field to their column, where the aliases do not find it."""


class _Refused(Exception):
    """A line is no row; the reason is constant text."""


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Refuse fields that there are not.

    Raises:
        InvalidRequest: naming the ones there are.
    """
    unknown = sorted(set(mapping) - set(ALIASES))
    if unknown:
        raise InvalidRequest(
            f"There is no field {unknown[0]!r} to map a column to; there are: {', '.join(ALIASES)}."
        )


def rows_of(
    lines: Iterable[str], form: ImportFormat, rules: ImportRules, report: ImportReport
) -> Iterator[QueryRow]:
    """The rows of a file's lines; what is refused is counted in `report`."""
    records = _json_records(lines, report) if form == "jsonl" else _csv_records(lines)
    for number, record in records:
        report.read += 1
        try:
            yield _row(record, rules)
        except _Refused as refused:
            report.refuse(str(refused), number)


def _json_records(lines: Iterable[str], report: ImportReport) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            yield number, record
        else:
            report.read += 1
            report.refuse("not a JSON object", number)


def _csv_records(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, object]]]:
    rows = iter(lines)
    first = next(rows, "").removeprefix("\ufeff")
    reader = csv.DictReader(itertools.chain([first], rows))
    for record in reader:
        yield reader.line_num, {str(name): value for name, value in record.items()}


def _row(record: Mapping[str, object], rules: ImportRules) -> QueryRow:
    found = _Fields(record, rules.mapping)
    question, at_ms = _question(found, rules), _time(found, rules)
    digest = digest_of(question)
    success = found.text("success", LONGEST)
    error_code = found.text("error_code", LONGEST_CODE)
    is_success = success.lower() not in FALSE if success else not error_code
    relevance = found.number("relevance")
    return QueryRow(
        # The same line again has the same number: an import may be repeated.
        id=RowId((at_ms << NUMBER_BITS) | (int.from_bytes(digest, "big") & ((1 << NUMBER_BITS) - 1))),
        at_ms=at_ms,
        tenant_id=rules.tenant_id,
        audience=rules.audience,
        question=question if rules.is_text_stored else None,
        question_hash=digest.hex(),
        kind="search" if found.text("kind", LONGEST) == "search" else "ask",
        request_id=found.text("request_id", 128),
        door=DOOR,
        client=found.text("client", LONGEST),
        user_id=found.text("user", LONGEST) or None,
        retrieval_ms=found.number("retrieval_ms"),
        generation_ms=found.number("generation_ms"),
        total_ms=found.number("total_ms"),
        source_count=found.count("source_count") if found.value("source_count") is not None else None,
        mean_relevance=relevance,
        best_relevance=relevance,
        model=found.text("model", LONGEST) or None,
        prompt_tokens=found.count("prompt_tokens"),
        completion_tokens=found.count("completion_tokens"),
        cost=found.number("cost"),
        mode="unknown",
        is_hybrid=False,
        is_success=is_success,
        error_code=error_code or None if not is_success else None,
        metadata={"imported": True},
    )


class _Fields:
    """The values of a record by our names."""

    def __init__(self, record: Mapping[str, object], mapping: Mapping[str, str]) -> None:
        self._record = record
        self._mapping = mapping

    def value(self, name: str) -> object:
        """Of a field; None when it is not there."""
        given = self._mapping.get(name)
        columns = ALIASES[name] if given is None else (given,)
        values = (self._record.get(column) for column in columns)
        return next((value for value in values if value not in (None, "")), None)

    def text(self, name: str, longest: int) -> str:
        """As text, cut; empty when it is not there."""
        value = self.value(name)
        return "" if value is None else str(value)[:longest]

    def number(self, name: str) -> float | None:
        """As a number; None when it is not there or none."""
        value = self.value(name)
        try:
            found = float(value) if isinstance(value, int | float | str) else None
        except ValueError:
            return None
        return found if found is not None and 0 <= found < float("inf") else None

    def count(self, name: str) -> int:
        """As a whole number; a list counts its items."""
        value = self.value(name)
        return len(value) if isinstance(value, list) else int(self.number(name) or 0)


def _question(found: _Fields, rules: ImportRules) -> str:
    value = found.value("question")
    if not isinstance(value, str):
        raise _Refused("no question")
    try:
        return rules.normalise(value)
    except InvalidRequest as error:
        raise _Refused("the question is empty or too long") from error


def _time(found: _Fields, rules: ImportRules) -> int:
    value = found.value("time")
    if value is None:
        raise _Refused("no time")
    at_ms = _milliseconds(value)
    if at_ms is None:
        raise _Refused("the time cannot be read; ISO 8601 and seconds or milliseconds since 1970 can")
    if at_ms > rules.latest_ms:
        raise _Refused("the time is in the future")
    if at_ms < rules.earliest_ms:
        raise _Refused("older than analytics.retention_days")
    return at_ms


def _milliseconds(value: object) -> int | None:
    try:
        number = float(value) if isinstance(value, int | float | str) else float("nan")
    except ValueError:
        return _iso(str(value))
    if not 0 <= number < float("inf"):
        return None
    return int(number * 1000) if number < SECONDS_UNTIL else int(number)


def _iso(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)
