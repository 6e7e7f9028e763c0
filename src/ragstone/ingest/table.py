"""Tables as Markdown (pure)."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first row is the header.

    Short rows stay short: filling them to the widest would let a small file grow without bound.
    """
    header, *body = [_row(row) for row in rows]
    return "\n".join([header, "|" + " --- |" * len(rows[0]), *body]) + "\n"


def _row(row: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
