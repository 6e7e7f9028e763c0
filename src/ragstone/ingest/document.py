"""From extracted text to a `ParsedDocument`: normalise, join the pages, find the sections (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from ragstone.errors import EmptyDocument
from ragstone.ingest.extraction import Extraction
from ragstone.ingest.normalise import normalise
from ragstone.ingest.sections import markdown_headings, markdown_title, sections_of
from ragstone.types import PageSpan, ParsedDocument, RawFile, Span

_PAGE_BREAK = "\n\n"


def document_of(extraction: Extraction, name: str, media_type: str) -> ParsedDocument:
    """The document that an extraction's Markdown amounts to.

    Raises:
        EmptyDocument: no page holds a visible character; the extraction's warnings say why.
    """
    texts = [normalise(text).strip() for text in extraction.texts]
    text = _PAGE_BREAK.join(texts)
    if not text.strip():
        raise EmptyDocument(" ".join([f"Nothing readable is in {name!r}.", *extraction.warnings]), name=name)
    return ParsedDocument(
        text=text,
        media_type=media_type,
        title=_title(extraction.title) or markdown_title(text) or PurePath(name).stem or None,
        pages=_page_spans(texts) if extraction.unit else (),
        sections=sections_of(markdown_headings(text), len(text)),
        metadata=extraction.metadata,
        warnings=extraction.warnings,
        enclosed=tuple(RawFile(part.content, part.name) for part in extraction.enclosed),
    )


def _title(declared: str | None) -> str | None:
    return " ".join(normalise(declared or "").split()) or None


def _page_spans(texts: Sequence[str]) -> tuple[PageSpan, ...]:
    """Pages in order; each but the last includes the blank line after it, so no character lies outside."""
    spans: list[PageSpan] = []
    start = 0
    for number, text in enumerate(texts, start=1):
        end = start + len(text) + (len(_PAGE_BREAK) if number < len(texts) else 0)
        spans.append(PageSpan(number, Span(start, end)))
        start = end
    return tuple(spans)
