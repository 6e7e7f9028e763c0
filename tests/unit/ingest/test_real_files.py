"""Every real file gives its golden phrase at its place; every hostile one ends as it should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragstone.deadline import Deadline
from ragstone.errors import DocumentRejected
from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.parse import DocumentParser
from ragstone.types import ParsedDocument, RawFile

_EXPECTED = Path(__file__).parents[2] / "fixtures" / "parsing"
_GOLDEN: dict[str, dict[str, object]] = json.loads((_EXPECTED / "golden.json").read_text("utf-8"))
_HOSTILE: dict[str, str] = json.loads((_EXPECTED / "hostile.json").read_text("utf-8"))
_HAS_OCR = ParsingLimits().find_tessdata() is not None
_OCR_ONLY = (
    "jpg/", "png/", "pdf/kreuzberg-ocr", "pdf/markitdown-medical", "pdf/unstructured-single_table",
    "pdf/unstructured-table-multi",
)  # fmt: skip
_OCR_ONLY_HOSTILE = ("pdfjs-scan-bad.pdf", "tika-testJPEG_EXIF_emptyDateTime.jpg")


def _misses(parsed: ParsedDocument, expected: dict[str, object]) -> str | None:
    """What of the expectation does not hold: white space within the phrase is free."""
    if "attachment" in expected:
        parsed = next(a.document for a in parsed.attachments if a.file.name == expected["attachment"])
    text = " ".join(parsed.text.split())
    phrase = str(expected["phrase"])
    if phrase not in text:
        return f"no {phrase!r}"
    pages = [p.page for p in parsed.pages if phrase in " ".join(p.span.of(parsed.text).split())]
    if "page" in expected and expected["page"] not in pages:
        return f"on pages {pages}"
    paths = [list(s.path) for s in parsed.sections if phrase in " ".join(s.span.of(parsed.text).split())]
    if "section" in expected and expected["section"] not in paths:
        return f"in sections {paths}"
    return None


def _is_sound(parsed: ParsedDocument) -> bool:
    """Spans lie in order within the text, and the text can be stored."""
    parsed.text.encode("utf-8")
    for spans in ([p.span for p in parsed.pages], [s.span for s in parsed.sections]):
        edges = [edge for span in spans for edge in (span.start, span.end)]
        if edges != sorted(edges) or any(edge > len(parsed.text) for edge in edges):
            return False
    return "\r" not in parsed.text and "\x00" not in parsed.text


@pytest.mark.anyio
async def test_every_real_file_says_what_it_says(parser: DocumentParser, data_folder: Path) -> None:
    """87 documents of 22 formats: the phrase is there, on its page, under its headings."""
    failures: dict[str, str] = {}
    for name, expected in _GOLDEN.items():
        if name.startswith(_OCR_ONLY) and not _HAS_OCR:
            continue
        parsed = await parser.parse(
            RawFile((data_folder / "files" / name).read_bytes(), name), Deadline.after(120)
        )
        if missed := _misses(parsed, expected) or (None if _is_sound(parsed) else "unsound spans"):
            failures[name] = missed

    assert failures == {}
    assert {f"{p.parent.name}/{p.name}" for p in (data_folder / "files").glob("*/*")} == set(_GOLDEN)


@pytest.mark.anyio
async def test_every_hostile_file_is_refused_or_read_and_the_next_one_read(
    parser: DocumentParser, data_folder: Path
) -> None:
    """42 encrypted, truncated, fuzzed, recursive files: a result or the right refusal; the pool survives."""
    outcomes: dict[str, str] = {}
    for name in _HOSTILE:
        content = (data_folder / "hostile" / name).read_bytes()
        try:
            parsed = await parser.parse(RawFile(content, name), Deadline.after(60))
            outcomes[name] = "parsed" if _is_sound(parsed) else "unsound spans"
        except DocumentRejected as rejected:
            outcomes[name] = rejected.code if name in rejected.message else "unnamed"

    if not _HAS_OCR:
        outcomes |= dict.fromkeys(_OCR_ONLY_HOSTILE, "parsed")
    assert outcomes == _HOSTILE
    assert {path.name for path in (data_folder / "hostile").iterdir()} == set(_HOSTILE)
    after = await parser.parse(RawFile(b"<p>Still here.</p>", "after.html"), Deadline.after(60))
    assert after.text == "Still here."
