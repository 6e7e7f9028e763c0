"""Every statement as a span and, at level debug, as a line of the log: its text, never its values."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import event

from ragstone.telemetry.spans import begin_span, failure_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, ExecutionContext
    from sqlalchemy.engine import ExceptionContext

    from ragstone.telemetry.spans import Span

log = structlog.get_logger(__name__)

LONGEST_CHARS = 2_000
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+\"?(\w+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Running:
    """A statement on its way."""

    statement: str
    span: Span | None
    began: float

    @property
    def operation(self) -> str:
        return self.statement.split(None, 1)[0].upper()

    def end(self, failure: str | None = None) -> None:
        """Tell what became of it."""
        spent_ms = (time.perf_counter() - self.began) * 1000
        log.debug(
            "database_query",
            operation=self.operation,
            statement=self.statement[:LONGEST_CHARS],
            duration_ms=round(spent_ms, 3),
            failure=failure,
        )
        if self.span is not None:
            if failure is not None:
                self.span.fail(failure)
            self.span.end()


def watch_statements(engine: Engine) -> None:
    """Watch what this engine runs; 2 us a statement where nothing is traced."""
    event.listen(engine, "before_cursor_execute", _begin)
    event.listen(engine, "after_cursor_execute", _end)
    event.listen(engine, "handle_error", _fail)


def _begin(
    connection: Connection,
    _cursor: object,
    statement: str,
    _parameters: object,
    _context: ExecutionContext | None,
    _many: bool,
) -> None:
    connection.info["ragstone_running"] = _Running(statement, _span(statement), time.perf_counter())


def _end(
    connection: Connection,
    _cursor: object,
    _statement: str,
    _parameters: object,
    _context: ExecutionContext | None,
    _many: bool,
) -> None:
    running = connection.info.pop("ragstone_running", None)
    if running is not None:
        running.end()


def _fail(context: ExceptionContext) -> None:
    running = None if context.connection is None else context.connection.info.pop("ragstone_running", None)
    if running is not None:
        running.end(failure_of(context.original_exception))


def _span(statement: str) -> Span | None:
    """Named as OpenTelemetry's conventions for databases say: the operation and its table."""
    begun = begin_span("SQL", "client")
    if begun is None:
        return None
    operation, table = statement.split(None, 1)[0].upper(), _TABLE.search(statement)
    summary = operation if table is None else f"{operation} {table[1]}"
    begun.rename(summary)
    begun.set(
        {
            "db.system.name": "sqlite",
            "db.operation.name": operation,
            "db.query.summary": summary,
            "db.query.text": statement[:LONGEST_CHARS],
        }
    )
    if table is not None:
        begun.set({"db.collection.name": table[1]})
    return begun
