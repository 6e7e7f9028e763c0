"""The main parser: xberg, called in the parser process only, on local bytes only.

Everything in xberg that could open a connection or load a model stays off: its cache, post-processors,
layout, and OCR unless the caller found Tesseract's language files on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import io
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ragstone.errors import DocumentRejected, EmptyDocument, ParserLimitExceeded
from ragstone.ingest.boilerplate import without_boilerplate
from ragstone.ingest.extraction import Enclosure, Extraction, PageUnit, ParseRequest
from ragstone.ingest.legibility import is_blank, is_legible
from ragstone.ingest.mail_parts import MAIL, OUTLOOK, enclosed_in, without_inner_messages
from ragstone.ingest.markdown_text import unescaped, without_link_targets
from ragstone.ingest.normalise import decode
from ragstone.ingest.refusals import broken, encrypted

if TYPE_CHECKING:
    from xberg._xberg import ExtractedDocument, PageContent
    from xberg.options import ExtractionConfig

Progress = Callable[[int, int], None]
"""Called with the number of pages, and of pages that OCR will read."""

_PDF = "application/pdf"
_HTML = "text/html"
_UNIT_BY_MEDIA_TYPE: Mapping[str, PageUnit] = {
    _PDF: "page",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "slide",
    "application/vnd.ms-powerpoint": "slide",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "sheet",
    "application/vnd.ms-excel": "sheet",
    "application/vnd.oasis.opendocument.spreadsheet": "sheet",
}
_HTML_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset=["']?([\w.:-]{1,40})""", re.IGNORECASE)
_HTML_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,1000})", re.IGNORECASE)
_HEAD_CHARS = 65_536
_INSTALL = (
    "To read scans, install Tesseract with the files of its languages (ingest.ocr_language) and set "
    "ingest.ocr to auto."
)
_LISTED_PAGES = 10
_ANY = 1_000_000_000
_UNTOLD_WARNINGS = frozenset({"exif", "ocr"})
"""Sources whose warnings speak of what nobody asked for (camera data, a check of glyph maps)."""


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
    marker = uuid.uuid4().hex  # random: a document must not be able to write its own page breaks
    document = _extracted(request, _config(request, marker, is_ocr=is_image))
    texts = _texts(document, request, marker)
    told = (w for w in document.processing_warnings if w.source not in _UNTOLD_WARNINGS)
    warnings = [f"{warning.source}: {warning.message}" for warning in told]
    if request.media_type == _PDF:
        warnings += _read_scans(texts, request, on_progress)
    enclosed: tuple[Enclosure, ...] = ()
    if request.media_type in (MAIL, OUTLOOK):
        enclosed, lost = enclosed_in(request)
        warnings += lost
    return Extraction(
        texts=tuple(texts),
        unit=_UNIT_BY_MEDIA_TYPE.get(request.media_type),
        title=_title(document, request),
        metadata=_metadata(document, enclosed),
        warnings=tuple(warnings),
        enclosed=enclosed,
    )


def _page_count(request: ParseRequest) -> int:
    from xberg import XbergError, _xberg

    if request.media_type != _PDF:
        return 0
    try:
        return int(_xberg.pdf_page_count(request.content))
    except (XbergError, RuntimeError, ValueError):
        return 0  # damaged or encrypted: extraction will say so


def _extracted(request: ParseRequest, config: ExtractionConfig) -> ExtractedDocument:
    import xberg

    content = _readable(request)
    source = xberg.ExtractInput(
        kind="bytes", bytes=content, filename=request.name, mime_type=request.media_type
    )
    try:
        result = asyncio.run(xberg.extract(source, config))
    except (xberg.XbergError, RuntimeError, ValueError, OSError) as error:
        raise _translated(str(error), request.name) from error
    if not result.results:
        raise _translated("; ".join(e.message for e in result.errors) or "no result", request.name)
    return result.results[0]


def _readable(request: ParseRequest) -> bytes:
    """What xberg is given of the file."""
    if request.media_type == _HTML:
        return _page(request.content)
    if request.media_type == MAIL:
        with contextlib.suppress(Exception):  # a message that cannot be taken apart is given whole
            return without_inner_messages(request.content)
    return request.content


def _page(content: bytes) -> bytes:
    """A page without its boilerplate, in UTF-8 and marked so."""
    return b"\xef\xbb\xbf" + without_boilerplate(_html_text(content)).encode("utf-8", "replace")


def _html_text(content: bytes) -> str:
    declared = _HTML_CHARSET.search(content[:4096])
    return decode(content, declared[1].decode("ascii") if declared else None).text


def _config(request: ParseRequest, marker: str, *, is_ocr: bool = False) -> ExtractionConfig:
    import xberg

    ocr = xberg.OcrConfig(
        backend="tesseract", language=list(request.ocr_languages), tessdata_path=request.tessdata
    )
    return xberg.ExtractionConfig(
        use_cache=False,
        max_archive_depth=0,  # attachments are documents of their own, see `mail_parts`
        enable_quality_processing=False,
        extraction_timeout_secs=None,
        output_format="markdown",
        escape_markdown=False,
        disable_ocr=not is_ocr,
        force_ocr=is_ocr,
        ocr=ocr if is_ocr else None,
        ocr_embedded_images=False,
        pages=xberg.PageConfig(
            extract_pages=True,
            insert_page_markers=request.media_type == _PDF,
            marker_format=f"\n\n<!-- {marker} {{page_num}} -->\n\n",
        ),
        postprocessor=xberg.PostProcessorConfig(enabled=False),
        html_options=xberg.ConversionOptions(
            skip_images=True,
            compact_tables=True,
            extract_metadata=False,
            preprocessing=xberg.PreprocessingOptions(enabled=False),
        ),
        security_limits=xberg.SecurityLimits(
            max_archive_size=request.max_unpacked_bytes,
            max_content_size=request.max_unpacked_bytes,
            max_compression_ratio=_ANY,  # sizes, time and memory are walled; honest sheets pack 200 to 1
            max_table_cells=_ANY,
        ),
    )


def _texts(document: ExtractedDocument, request: ParseRequest, marker: str) -> list[str]:
    """One Markdown text a page, slide or sheet; one in all for formats without pages."""
    match _UNIT_BY_MEDIA_TYPE.get(request.media_type):
        case "page":
            return _pdf_pages(document, marker)
        case "slide" if document.pages:
            return [_slide(page) for page in document.pages]
        case "sheet" if document.pages:
            return [_sheet(page) for page in document.pages]
    if request.media_type == _HTML:
        return [without_link_targets(document.content)]
    return [unescaped(document.content)]


def _pdf_pages(document: ExtractedDocument, marker: str) -> list[str]:
    """By the markers in the text: xberg's byte boundaries belong to another rendering of it (1.3.9)."""
    before, *rest = re.split(rf"<!-- {marker} (\d+) -->", document.content)
    numbers = [int(number) for number in rest[::2]]
    structure = document.metadata.pages
    pages = [""] * max([structure.total_count if structure else 0, 1, *numbers])
    pages[0] = before
    for number, text in zip(numbers, rest[1::2], strict=True):
        pages[number - 1] += unescaped(text)
    return pages


def _slide(page: PageContent) -> str:
    text = unescaped(page.content).strip()
    notes = (page.speaker_notes or "").strip()
    return f"{text}\n\nNotes: {notes}" if notes and notes not in text else text


def _sheet(page: PageContent) -> str:
    name = page.sheet_name or f"Sheet {page.page_number}"
    text = unescaped(page.content).strip()
    return f"## {name}\n\n{text}" if text else ""


def _read_scans(texts: list[str], request: ParseRequest, on_progress: Progress) -> list[str]:
    """Read by OCR the pages whose text layer is missing or illegible, or say which they are."""
    wanted = [n for n, text in enumerate(texts) if is_blank(text) or not is_legible(text)]
    shown, content = _only_scanned(request.content, wanted)
    if not shown:
        return []
    if request.tessdata is None:
        return _not_read(texts, shown)
    on_progress(len(texts), len(shown))
    marker = uuid.uuid4().hex
    part = ParseRequest(content, request.name, _PDF, "xberg", request.tessdata, request.ocr_languages)
    pages = _pdf_pages(_extracted(part, _config(part, marker, is_ocr=True)), marker)
    read: list[int] = []
    for index, page in zip(shown, pages, strict=False):
        # What OCR makes of a page of codes and numbers is no better than its layer, which may be right.
        if page.strip() if is_blank(texts[index]) else not is_blank(page) and is_legible(page):
            texts[index] = page
            read.append(index)
    garbled = [n for n in shown if n not in read and not is_blank(texts[n])]
    told = (
        ("Read by OCR, which may err", read),
        ("Garbled text layer, kept as OCR read no better", garbled),
    )
    return [f"{what}: {_listed(found)}." for what, found in told if found]


def _only_scanned(content: bytes, candidates: Sequence[int]) -> tuple[list[int], bytes]:
    """Those of the pages that show anything, and a PDF of them alone.

    OCR on the whole file would read the 600 pages beside the one scan a second time.
    """
    if not candidates:
        return [], b""
    import pypdfium2

    try:
        source = pypdfium2.PdfDocument(content)
        scanned = [index for index in candidates if next(source[index].get_objects(max_depth=1), None)]
        target = pypdfium2.PdfDocument.new()
        target.import_pages(source, scanned)
        buffer = io.BytesIO()
        target.save(buffer)
    except (pypdfium2.PdfiumError, IndexError):
        return list(candidates), content
    return scanned, buffer.getvalue()


def _not_read(texts: Sequence[str], pages: Sequence[int]) -> list[str]:
    """Without OCR: which pages have no text layer, and which one that nobody can read."""
    blank = [index for index in pages if is_blank(texts[index])]
    garbled = [index for index in pages if index not in blank]
    kinds = (("No text layer", blank), ("Garbled text layer", garbled))
    return [f"{what}: {_listed(found)}. {_INSTALL}" for what, found in kinds if found]


def _listed(pages: Sequence[int]) -> str:
    numbers = ", ".join(str(index + 1) for index in pages[:_LISTED_PAGES])
    return f"page {numbers}" + (f" and {len(pages) - _LISTED_PAGES} more" if pages[_LISTED_PAGES:] else "")


def _title(document: ExtractedDocument, request: ParseRequest) -> str | None:
    metadata = document.metadata
    if request.media_type == _HTML:
        found = _HTML_TITLE.search(_html_text(request.content)[:_HEAD_CHARS])
        return html.unescape(found[1]) if found else None
    if request.media_type in (MAIL, OUTLOOK):
        return metadata.subject or metadata.title
    return metadata.title or metadata.additional.get("directive_title", "").strip('"') or None


def _metadata(document: ExtractedDocument, enclosed: Sequence[Enclosure]) -> dict[str, str | list[str]]:
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
        "attachments": [part.name for part in enclosed],
    }
    return {key: value for key, value in found.items() if value}


def _translated(message: str, name: str) -> DocumentRejected:
    """What xberg meant; only the words of its errors tell the reasons apart."""
    words = message.lower()
    if "encrypted" in words or "password" in words:
        return encrypted(name)
    if any(word in words for word in ("limit", "too large", "exceed", "timed out", "bomb")):
        return ParserLimitExceeded(f"{name!r} is over a limit of the parser: {message}.", name=name)
    return broken(name, message.removeprefix("Parsing error: "))
