"""How tracked questions and warming look in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from ragstone.entrypoints.wire import Wire


def query_table(found: Wire, name: str, columns: Sequence[str]) -> Table:
    """The list `name` of an answer, one entry a row."""
    table = Table(box=None, header_style="bold")
    for column in columns:
        is_text = column in ("query", "date", "last_asked_at")
        table.add_column(column.replace("_", " "), overflow="fold", justify="left" if is_text else "right")
    for one in cast("list[Wire]", found[name]):
        table.add_row(*(escape(str(one[column])) for column in columns))
    return table


def warming_line(found: Wire) -> str:
    """How the last warming went."""
    run = cast("Wire", found["last"])
    said = f"{run['state']}: {run['warmed']} of {run['planned']} questions warmed in {run['duration_s']} s"
    left = [f"{run[name]} {name}" for name in ("failed", "skipped") if run[name]]
    return f"{said}, {', '.join(left)}" if left else said
