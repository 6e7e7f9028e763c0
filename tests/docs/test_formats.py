"""docs/formats.md says what was measured, and what was measured still holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripts.measure_formats import KEPT, Facts, facts_of

from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.parse import DocumentParser, build_parser

EXTRACTED: dict[str, Facts] = json.loads(KEPT.read_text("utf-8"))
FORMATS = sorted({name.split("/")[1] for name in EXTRACTED if name.startswith("files/")})
HAS_OCR = ParsingLimits().find_tessdata() is not None


@pytest.fixture
async def parser() -> AsyncIterator[DocumentParser]:
    """The parser as the server builds it."""
    built = build_parser(ParsingLimits())
    yield built
    await built.aclose()


def test_every_file_of_the_data_was_measured(data_folder: Path) -> None:
    """None is missing from the table, none in it is gone from the data."""
    there = [*(data_folder / "files").glob("*/*"), *(data_folder / "hostile").iterdir()]

    assert set(EXTRACTED) == {path.relative_to(data_folder).as_posix() for path in there}


@pytest.mark.anyio
async def test_the_smallest_file_of_each_format_gives_what_the_page_says(
    parser: DocumentParser, data_folder: Path
) -> None:
    """Measured anew: type, title, pages, sections, tables, metadata, attachments, warnings; or a refusal."""
    changed: dict[str, Facts] = {}
    for name in FORMATS:
        path = min((data_folder / "files" / name).iterdir(), key=lambda file: file.stat().st_size)
        kept = EXTRACTED[path.relative_to(data_folder).as_posix()]
        if kept.get("is_read_by_ocr") and not HAS_OCR:
            continue
        fresh = await facts_of(parser, path)
        if fresh != kept:
            changed[path.name] = fresh

    assert changed == {}
