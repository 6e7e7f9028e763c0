"""The page docs/formats.md, made from what `measure_formats.py` kept of its run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

Facts = Mapping[str, object]
INTRODUCTION = (
    "What is read of each format, counted over the real files of the test data.",
    "`scripts/measure_formats.py` parses every file as the server does, walls and OCR included.",
    "A test parses the smallest file of each format anew and compares.",
    "How files are read, and what is done with attachments and scans, is on [the page on ingest](ingest.md).",
    "",
    "The figures are numbers of files: how many gave text, a title that is not the file's name, and so on.",
    "Slides and sheets count as pages.",
    "",
)
COLUMNS: Sequence[tuple[str, Callable[[Facts], bool]]] = (
    ("text", lambda facts: "refused" not in facts),
    ("title", lambda facts: bool(facts.get("has_title"))),
    ("pages", lambda facts: bool(facts.get("pages"))),
    ("sections", lambda facts: bool(facts.get("sections"))),
    ("tables", lambda facts: bool(facts.get("tables"))),
    ("metadata", lambda facts: bool(facts.get("metadata"))),
    ("attachments", lambda facts: bool(facts.get("attachments"))),
    ("notes", lambda facts: bool(facts.get("notes"))),
    ("OCR", lambda facts: bool(facts.get("is_read_by_ocr"))),
    ("warnings", lambda facts: bool(facts.get("warnings"))),
)


def formats_page(kept: Mapping[str, Facts], generated: str) -> str:
    """The whole page."""
    by_format: dict[str, list[Facts]] = defaultdict(list)
    for name, facts in kept.items():
        if name.startswith("files/"):
            by_format[name.split("/")[1]].append(facts)
    heads = [head for head, _ in COLUMNS]
    lines = ["# Formats", "", generated, *INTRODUCTION, _row(["format", "files", *heads])]
    lines.append(_row(["---"] * (len(heads) + 2)))
    for name, found in sorted(by_format.items()):
        counts = [sum(holds(facts) for facts in found) for _, holds in COLUMNS]
        lines.append(_row([name.upper(), str(len(found)), *(str(count or "") for count in counts)]))
    return "\n".join([*lines, "", *_hostile(kept)]) + "\n"


def _hostile(kept: Mapping[str, Facts]) -> list[str]:
    """Each hostile file and how it ended."""
    lines = ["## Hostile files", "", _row(["file", "outcome"]), _row(["---", "---"])]
    for name, facts in sorted(kept.items()):
        if name.startswith("hostile/"):
            outcome = f"refused: `{facts['refused']}`" if "refused" in facts else "read"
            lines.append(_row([f"`{name.removeprefix('hostile/')}`", outcome]))
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
