"""The main parser: xberg, called in the parser process only, on local bytes only.

Everything in xberg that could open a connection or load a model stays off: its cache, post-processors,
layout, and OCR unless the caller found Tesseract's language files on this machine.
"""

from __future__ import annotations

import asyncio
import html
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ragstone.errors import DocumentRejected, EmptyDocument
from ragstone.ingest.extraction import Extraction, PageUnit, ParseRequest
from ragstone.ingest.normalise import decode
from ragstone.ingest.refusals import broken, encrypted, over_limit

if TYPE_CHECKING:
    import xberg

Progress = Callable[[int, int], None]
"""Called with the number of pages, and of pages that OCR will read."""

_PDF = "application/pdf"
_HTML = "text/html"
_MAIL = frozenset({"message/rfc822", "application/vnd.ms-outlook"})
_UNIT_BY_MEDIA_TYPE: Mapping[str, PageUnit] = {
    _PDF: "page",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "slide",
    "application/vnd.ms-powerpoint": "slide",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "sheet",
    "application/vnd.ms-excel": "sheet",
    "application/vnd.oasis.opendocument.spreadsheet": "sheet",
}
_BOILERPLATE = (
    "nav", "footer", "aside", "noscript", "template", "button", "[hidden]",
    "[role=navigation]", "[role=banner]", "[role=contentinfo]", "[role=search]", "[role=menu]",
    "[class*=cookie]", "[id*=cookie]", "[class*=consent]", "[id*=consent]",
    "[class*=dropdown]", "[class*=sidebar]", "[class*=breadcrumb]", "[class*=noprint]", "[class*=editsection]",
)  # fmt: skip
_ESCAPE = re.compile(r"\\([!#$%&()*+,\-./:;<=>?@\[\]^_`{}~])")
_FENCE = re.compile(r" {0,3}(?:`{3,}|~{3,})")
_IMAGE = re.compile(r"!\[([^\[\]]*)\]\([^()\n]*\)")
_LINK = re.compile(r"\[([^\[\]]*)\]\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)")
_HTML_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset=["']?([\w.:-]{1,40})""", re.IGNORECASE)
_HTML_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,1000})", re.IGNORECASE)
_HEAD_BYTES = 65_536
_TEXT_LAYER_MIN_CHARS = 8
"""A page with fewer visible characters has no text layer worth the name (a stamp, a page number)."""


def extract_with_xberg(request: ParseRequest, on_progress: Progress) -> Extraction:
    """The text of one file as Markdown, pages apart where the format has them.

    Raises:
        DocumentRejected: encrypted, broken, over a limit or empty, as xberg tells them apart.
        ImportError: xberg is not installed.
    """
    is_image = request.media_type.startswith("image/")
    if is_image and request.tessdata is None:
        raise EmptyDocument(
            f"{request.name!r} is an image; to read it, install Tesseract with its language files and "
            "set ingest.ocr to auto.",
            name=request.name,
        )
    on_progress(1 if is_image else _page_count(request), int(is_image))
    document, texts = _read(request, ocr_pages=[1] if is_image else [])
    warnings = [f"{warning.source}: {warning.message}" for warning in document.processing_warnings]
    scanned = _pages_without_text(texts) if request.media_type == _PDF else []
    if scanned and request.tessdata:
        on_progress(len(texts), len(scanned))
        document, texts = _read(request, ocr_pages=scanned)
    elif scanned:
        warnings.append(_no_text_layer(scanned))
    return Extraction(
        texts=tuple(texts),
        unit=_UNIT_BY_MEDIA_TYPE.get(request.media_type),
        title=_title(document, request),
        metadata=_metadata(document),
        warnings=tuple(warnings),
    )


def _page_count(request: ParseRequest) -> int:
    if request.media_type != _PDF:
        return 0
    from xberg import _xberg

    try:
        return int(_xberg.pdf_page_count(request.content))
    except (RuntimeError, ValueError):
        return 0  # a damaged PDF: extraction will say so


def _read(request: ParseRequest, ocr_pages: list[int]) -> tuple[xberg.ExtractedDocument, list[str]]:
    import xberg

    marker = uuid.uuid4().hex  # random: a document must not be able to write its own page breaks
    content = _as_utf8(request.content) if request.media_type == _HTML else request.content
    source = xberg.ExtractInput(
        kind="bytes", bytes=content, filename=request.name, mime_type=request.media_type
    )
    try:
        result = asyncio.run(xberg.extract(source, _config(request, ocr_pages, marker)))
    except (RuntimeError, ValueError, OSError) as error:
        raise _translated(str(error), request.name) from error
    if not result.results:
        raise _translated("; ".join(e.message for e in result.errors) or "no result", request.name)
    document = result.results[0]
    return document, _texts(document, request, marker)


def _as_utf8(content: bytes) -> bytes:
    declared = _HTML_CHARSET.search(content[:4096])
    decoded = decode(content, declared[1].decode("ascii") if declared else None)
    return b"\xef\xbb\xbf" + decoded.text.encode("utf-8", "replace")


def _config(request: ParseRequest, ocr_pages: list[int], marker: str) -> xberg.ExtractionConfig:
    import xberg

    ocr = xberg.OcrConfig(
        backend="tesseract", language=list(request.ocr_languages), tessdata_path=request.tessdata
    )
    return xberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        extraction_timeout_secs=None,
        output_format="markdown",
        escape_markdown=False,
        disable_ocr=not ocr_pages,
        ocr=ocr if ocr_pages else None,
        ocr_embedded_images=False,
        force_ocr_pages=(ocr_pages or None) if request.media_type == _PDF else None,
        pages=xberg.PageConfig(
            extract_pages=True,
            insert_page_markers=request.media_type == _PDF,
            marker_format=f"\n\n<!-- {marker} {{page_num}} -->\n\n",
        ),
        postprocessor=xberg.PostProcessorConfig(enabled=False),
        html_options=xberg.ConversionOptions(
            exclude_selectors=list(_BOILERPLATE),
            skip_images=True,
            extract_metadata=False,
            preprocessing=xberg.PreprocessingOptions(preset="aggressive", remove_forms=False),
        ),
        security_limits=xberg.SecurityLimits(max_archive_size=request.max_unpacked_bytes),
    )


def _texts(document: xberg.ExtractedDocument, request: ParseRequest, marker: str) -> list[str]:
    """One Markdown text a page, slide or sheet; one in all for formats without pages."""
    match _UNIT_BY_MEDIA_TYPE.get(request.media_type):
        case "page":
            return _pdf_pages(document, marker)
        case "slide" if document.pages:
            return [_slide(page) for page in document.pages]
        case "sheet" if document.pages:
            return [_sheet(page) for page in document.pages]
    if request.media_type == _HTML:
        return [_without_link_targets(document.content)]
    if request.media_type in _MAIL:
        return [_unescaped(document.content)]
    return [_unescaped(_IMAGE.sub(r"\1", document.content), only_tables=True)]


def _pdf_pages(document: xberg.ExtractedDocument, marker: str) -> list[str]:
    """By the markers in the text: xberg's byte boundaries belong to another rendering of it (1.3.9)."""
    before, *rest = re.split(rf"<!-- {marker} (\d+) -->", document.content)
    numbers = [int(number) for number in rest[::2]]
    structure = document.metadata.pages
    count = max([structure.total_count if structure else 0, 1, *numbers])
    pages = [""] * count
    pages[0] = before
    for number, text in zip(numbers, rest[1::2], strict=True):
        pages[number - 1] += _unescaped(text, only_tables=True)
    return pages


def _slide(page: xberg.PageContent) -> str:
    text = _unescaped(page.content).strip()
    notes = (page.speaker_notes or "").strip()
    return f"{text}\n\nNotes: {notes}" if notes and notes not in text else text


def _sheet(page: xberg.PageContent) -> str:
    name = page.sheet_name or f"Sheet {page.page_number}"
    text = _unescaped(page.content).strip()
    return f"## {name}\n\n{text}" if text else ""


def _unescaped(markdown: str, *, only_tables: bool = False) -> str:
    """Without the backslashes that xberg writes even when told not to, so that quotes read as printed.

    Code fences are left alone, and so is the escaped bar, which a table row needs.
    """
    return "\n".join(
        line if in_code or (only_tables and not line.startswith("|")) else _image_text(_ESCAPE.sub(r"\1", line))
        for line, in_code in _lines(markdown)
    )


def _image_text(line: str) -> str:
    return _IMAGE.sub(r"\1", line) if "![" in line else line


def _without_link_targets(markdown: str) -> str:
    """Link words only: on web pages the addresses outweigh the text (Wikipedia: 3 to 1)."""
    return "\n".join(
        line if in_code or "](" not in line else _LINK.sub(r"\1", line) for line, in_code in _lines(markdown)
    )


def _lines(markdown: str) -> Iterator[tuple[str, bool]]:
    in_code = False
    for line in markdown.split("\n"):
        is_fence = bool(_FENCE.match(line))
        yield line, in_code or is_fence
        in_code ^= is_fence


def _pages_without_text(texts: list[str]) -> list[int]:
    return [n for n, text in enumerate(texts, 1) if len("".join(text.split())) < _TEXT_LAYER_MIN_CHARS]


def _no_text_layer(pages: list[int]) -> str:
    listed = ", ".join(map(str, pages[:10])) + (", ..." if len(pages) > 10 else "")  # noqa: PLR2004
    return (
        f"No text layer on {len(pages)} page(s): {listed}. To read scans, install Tesseract with its "
        "language files and set ingest.ocr to auto."
    )


def _title(document: xberg.ExtractedDocument, request: ParseRequest) -> str | None:
    metadata = document.metadata
    if request.media_type == _HTML:
        found = _HTML_TITLE.search(_as_utf8(request.content)[:_HEAD_BYTES].decode("utf-8", "replace"))
        return html.unescape(found[1]) if found else None
    if request.media_type in _MAIL:
        return metadata.subject or metadata.title
    return metadata.title


def _metadata(document: xberg.ExtractedDocument) -> dict[str, str | list[str]]:
    source = document.metadata
    email = source.format.email if source.format else None
    found: dict[str, str | list[str] | None] = {
        "authors": source.authors,
        "keywords": source.keywords,
        "subject": source.subject,
        "created_at": source.created_at,
        "modified_at": source.modified_at,
        "from": email.from_email if email else None,
        "to": email.to_emails if email else None,
        "cc": email.cc_emails if email else None,
        "attachments": email.attachments if email else None,
    }
    return {key: value for key, value in found.items() if value}


def _translated(message: str, name: str) -> DocumentRejected:
    """xberg raises RuntimeError for everything; only its words tell the reasons apart."""
    words = message.lower()
    if "encrypted" in words or "password" in words:
        return encrypted(name)
    if any(word in words for word in ("limit", "too large", "exceed", "timed out", "bomb")):
        return over_limit(name, f"was given up ({message})", "ingest.max_unpacked_bytes")
    return broken(name, message.removeprefix("Parsing error: "))
