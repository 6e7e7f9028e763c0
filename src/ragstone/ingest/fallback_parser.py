"""The small parser: pypdfium2 and the standard library, for when xberg is missing or stumbles.

It keeps text, pages, headings and tables, and no more. It runs in the parser process like the other.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from xml.etree import ElementTree as ET

from ragstone.errors import DocumentRejected
from ragstone.ingest.extraction import Extraction, ParseRequest
from ragstone.ingest.fallback_html import html_to_markdown
from ragstone.ingest.fallback_mail import mail_to_markdown
from ragstone.ingest.fallback_office import read_docx, read_pptx, read_xlsx
from ragstone.ingest.mail_parts import enclosed_in, parse_mail
from ragstone.ingest.normalise import decode
from ragstone.ingest.refusals import broken, encrypted

_OOXML = "application/vnd.openxmlformats-officedocument."
USED = "Read by the fallback parser, which keeps less of the layout."


def extract_with_fallback(request: ParseRequest) -> Extraction:
    """The text of a PDF, DOCX, PPTX, XLSX, HTML or EML file.

    Raises:
        DocumentRejected: encrypted, broken, or of another type.
    """
    read = _READERS.get(request.media_type)
    if read is None:
        raise broken(request.name, f"the fallback parser does not read {request.media_type}")
    try:
        extraction = read(request)
    except DocumentRejected:
        raise
    except (
        zipfile.BadZipFile, ET.ParseError, KeyError, IndexError, ValueError, NotImplementedError,
        RuntimeError, OSError, EOFError,
    ) as error:  # fmt: skip
        raise broken(request.name, f"{type(error).__name__}: {error}") from error
    return Extraction(
        extraction.texts,
        extraction.unit,
        extraction.title,
        extraction.metadata,
        (*extraction.warnings, USED),
        extraction.enclosed,
    )


def _read_pdf(request: ParseRequest) -> Extraction:
    import pypdfium2

    try:
        with pypdfium2.PdfDocument(request.content) as document:
            pages = tuple(page.get_textpage().get_text_bounded() for page in document)
            title = document.get_metadata_value("Title")
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise encrypted(request.name) from error
        raise broken(request.name, str(error)) from error
    return Extraction(pages, "page", title or None)


def _read_html(request: ParseRequest) -> Extraction:
    title, text = html_to_markdown(decode(request.content).text)
    return Extraction((text,), title=title)


def _read_mail(request: ParseRequest) -> Extraction:
    enclosed, lost = enclosed_in(request)
    return mail_to_markdown(parse_mail(request.content), enclosed, lost)


def _open_zip(read: Callable[[zipfile.ZipFile], Extraction]) -> Callable[[ParseRequest], Extraction]:
    def opened(request: ParseRequest) -> Extraction:
        with zipfile.ZipFile(io.BytesIO(request.content)) as archive:
            return read(archive)

    return opened


_READERS: Mapping[str, Callable[[ParseRequest], Extraction]] = {
    "application/pdf": _read_pdf,
    "text/html": _read_html,
    "message/rfc822": _read_mail,
    _OOXML + "wordprocessingml.document": _open_zip(read_docx),
    _OOXML + "presentationml.presentation": _open_zip(read_pptx),
    _OOXML + "spreadsheetml.sheet": _open_zip(read_xlsx),
}
