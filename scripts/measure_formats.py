"""Parses every real and every hostile file of the test data and keeps what came out.

`python scripts/measure_formats.py` writes tests/fixtures/parsing/extracted.json, from which
`make docs` makes docs/formats.md. Needs RAGSTONE_DATA, and Tesseract for the scans.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anyio
from anyio import to_thread

from ragstone.deadline import Deadline
from ragstone.errors import DocumentRejected
from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.parse import DocumentParser, build_parser
from ragstone.ingest.table import Tables
from ragstone.types import RawFile, Span

KEPT = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "parsing" / "extracted.json"
LIMIT_S = 300.0
Facts = dict[str, object]


async def facts_of(parser: DocumentParser, path: Path) -> Facts:
    """What of one file was read, or the code of its refusal."""
    try:
        content = await to_thread.run_sync(path.read_bytes)
        found = await parser.parse(RawFile(content, path.name), Deadline.after(LIMIT_S))
    except DocumentRejected as rejected:
        return {"refused": rejected.code}
    return {
        "media_type": found.media_type,
        "has_title": bool(found.title) and found.title not in (path.name, path.stem),
        "pages": len(found.pages),
        "sections": len(found.sections),
        "tables": len(Tables(found.text).headers(Span(0, len(found.text)))),
        "metadata": sorted(found.metadata),
        "attachments": len(found.attachments),
        "notes": found.text.count("\n\nNotes: "),
        "is_read_by_ocr": found.media_type.startswith("image/") or "Read by OCR" in str(found.warnings),
        "warnings": len(found.warnings),
    }


async def measure(data: Path) -> dict[str, Facts]:
    """The facts of every file, by its path in the data."""
    parser = build_parser(ParsingLimits())
    found: dict[str, Facts] = {}
    try:
        for path in sorted([*(data / "files").glob("*/*"), *(data / "hostile").iterdir()]):
            found[path.relative_to(data).as_posix()] = await facts_of(parser, path)
    finally:
        await parser.aclose()
    return found


def main() -> int:
    """Measure and keep."""
    data = os.environ.get("RAGSTONE_DATA")
    if not data:
        print("RAGSTONE_DATA must name the folder of test data.")
        return 1
    found = anyio.run(measure, Path(data))
    KEPT.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(f"{len(found)} files; {KEPT.name} is written, now run `make docs`.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
