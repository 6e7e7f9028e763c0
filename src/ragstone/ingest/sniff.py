"""What a file is, by its bytes first and its name second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

import puremagic

from ragstone.errors import EmptyDocument, InvalidFileType

Reader = Literal["text", "markdown", "rst", "csv", "code", "sandbox"]
"""Which parser reads it; `sandbox` is the separate process."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A media type, who reads it, and the programming language of source code."""

    media_type: str
    reader: Reader
    language: str | None = None


_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_SLIDES = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_SHEETS = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_OLE_BY_SUFFIX = {
    ".msg": "application/vnd.ms-outlook",
    ".doc": "application/msword",
    ".ppt": "application/vnd.ms-powerpoint",
    ".xls": "application/vnd.ms-excel",
    ".docx": _WORD,
    ".pptx": _SLIDES,
    ".xlsx": _SHEETS,
}
_ZIP_BY_SUFFIX = {
    ".docx": _WORD,
    ".pptx": _SLIDES,
    ".xlsx": _SHEETS,
    ".odt": _OPEN_DOCUMENT + "text",
    ".ods": _OPEN_DOCUMENT + "spreadsheet",
    ".odp": _OPEN_DOCUMENT + "presentation",
    ".epub": "application/epub+zip",
}
_ZIP_BY_ENTRY = (
    (b"word/document.xml", _WORD),
    (b"ppt/presentation.xml", _SLIDES),
    (b"xl/workbook.xml", _SHEETS),
)
_OPEN_DOCUMENT_TYPES = tuple(_OPEN_DOCUMENT + kind for kind in ("text", "spreadsheet", "presentation"))
_MIMETYPE_BYTES = 128
_TEXT_BY_SUFFIX: dict[str, FileFormat] = {
    ".txt": FileFormat("text/plain", "text"),
    ".log": FileFormat("text/plain", "text"),
    ".md": FileFormat("text/markdown", "markdown"),
    ".markdown": FileFormat("text/markdown", "markdown"),
    ".mdx": FileFormat("text/markdown", "markdown"),
    ".rst": FileFormat("text/x-rst", "rst"),
    ".csv": FileFormat("text/csv", "csv"),
    ".tsv": FileFormat("text/tab-separated-values", "csv"),
    ".json": FileFormat("application/json", "text"),
    ".jsonl": FileFormat("application/x-ndjson", "text"),
    ".ndjson": FileFormat("application/x-ndjson", "text"),
    ".yaml": FileFormat("application/yaml", "text"),
    ".yml": FileFormat("application/yaml", "text"),
    ".toml": FileFormat("application/toml", "text"),
    ".xml": FileFormat("application/xml", "text"),
    ".htm": FileFormat("text/html", "sandbox"),
    ".html": FileFormat("text/html", "sandbox"),
    ".xhtml": FileFormat("text/html", "sandbox"),
    ".eml": FileFormat("message/rfc822", "sandbox"),
    ".org": FileFormat("text/org", "sandbox"),
    ".rtf": FileFormat("application/rtf", "sandbox"),
}
_LANGUAGE_BY_SUFFIX = {
    ".py": "python", ".pyi": "python", ".js": "javascript", ".mjs": "javascript", ".jsx": "javascript",
    ".ts": "typescript", ".tsx": "typescript", ".java": "java", ".kt": "kotlin", ".scala": "scala",
    ".c": "c", ".h": "c", ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hpp": "cpp", ".cs": "csharp",
    ".go": "go", ".rs": "rust", ".rb": "ruby", ".php": "php", ".swift": "swift", ".m": "objective-c",
    ".lua": "lua", ".pl": "perl", ".r": "r", ".jl": "julia", ".hs": "haskell", ".ml": "ocaml",
    ".ex": "elixir", ".exs": "elixir", ".erl": "erlang", ".clj": "clojure", ".dart": "dart",
    ".sh": "bash", ".bash": "bash", ".zsh": "bash", ".fish": "fish", ".ps1": "powershell",
    ".sql": "sql", ".css": "css", ".scss": "scss", ".less": "less", ".vue": "vue", ".svelte": "svelte",
    ".zig": "zig", ".nim": "nim", ".proto": "protobuf", ".tf": "terraform", ".graphql": "graphql",
}  # fmt: skip
_MEDIA_TYPE_BY_MAGIC = (
    (b"%PDF-", "application/pdf"),
    (b"{\\rtf", "application/rtf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"BM", "image/bmp"),
    (b"GIF8", "image/gif"),
)
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP_MAGIC = b"PK\x03\x04"
_HTML_OPENINGS = (b"<!doctype html", b"<html", b"<head", b"<body")
_MAIL_HEADERS = (b"received:", b"return-path:", b"mime-version:", b"message-id:", b"delivered-to:")
_UTF_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\r\f\b\x1b\x0b\x1a"))
_PDF_HEADER_WITHIN = 1024
_SAMPLE_BYTES = 8192
READABLE = (
    "text, Markdown, reStructuredText, source code, JSON, YAML, XML, CSV, HTML, PDF, Word, PowerPoint, "
    "Excel, OpenDocument, EPUB, RTF, Org, e-mail (EML, MSG), PNG, JPEG, TIFF"
)


def sniff(content: bytes, name: str) -> FileFormat:
    """The format of a file.

    Bytes win over the name where they are sure (PDF, Office, images); among text formats the name
    decides, and text under an unknown name is plain text.

    Raises:
        EmptyDocument: there are no bytes.
        InvalidFileType: nothing here reads such a file; the message says what it is.
    """
    if not content:
        raise EmptyDocument(f"{name!r} is empty (0 bytes).", name=name)
    suffix = PurePath(name).suffix.lower()
    media_type = _binary_media_type(content, suffix)
    if media_type:
        return FileFormat(media_type, "sandbox")
    if not _looks_like_text(content):
        raise _unreadable(content, name)
    return _text_format(content, suffix)


def _binary_media_type(content: bytes, suffix: str) -> str | None:
    for magic, media_type in _MEDIA_TYPE_BY_MAGIC:
        is_text = magic == b"BM" and _looks_like_text(content)
        if content.startswith(magic) and not is_text:
            return media_type
    if content.startswith(_ZIP_MAGIC):
        return _zip_media_type(content, suffix)
    if content.startswith(_OLE_MAGIC):
        return _OLE_BY_SUFFIX.get(suffix)
    # Mailers and printers leave junk before the header; readers accept it in the first kilobyte.
    if suffix == ".pdf" and b"%PDF-" in content[:_PDF_HEADER_WITHIN]:
        return "application/pdf"
    return None


def _zip_media_type(content: bytes, suffix: str) -> str | None:
    """By the names of the entries, which a ZIP holds in clear.

    The archive is not opened here: its directory may list millions of entries, and this runs in the
    server's own process.
    """
    if content[30:38] == b"mimetype":  # OpenDocument and EPUB put it first and uncompressed
        declared = content[38 : 38 + _MIMETYPE_BYTES].split(b"PK", 1)[0].decode("ascii", "replace")
        for media_type in ("application/epub+zip", *_OPEN_DOCUMENT_TYPES):
            if declared.startswith(media_type):
                return media_type
    for entry, media_type in _ZIP_BY_ENTRY:
        if entry in content:
            return media_type
    return _ZIP_BY_SUFFIX.get(suffix)


def _looks_like_text(content: bytes) -> bool:
    """Few control bytes, or UTF-16: binary files have NULs and controls early."""
    sample = content[:_SAMPLE_BYTES]
    if sample.startswith(_UTF_MARKS):
        return True
    nul_even, nul_odd = sample[::2].count(0), sample[1::2].count(0)
    half = max(1, len(sample) // 2)
    if max(nul_even, nul_odd) > half * 0.6 and min(nul_even, nul_odd) < half * 0.1:
        return True
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls <= len(sample) * 0.02


def _text_format(content: bytes, suffix: str) -> FileFormat:
    if suffix in _LANGUAGE_BY_SUFFIX:
        media_type = "text/css" if suffix == ".css" else "text/x-source"
        return FileFormat(media_type, "code", _LANGUAGE_BY_SUFFIX[suffix])
    if suffix in _TEXT_BY_SUFFIX:
        return _TEXT_BY_SUFFIX[suffix]
    start = content[:_SAMPLE_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(_HTML_OPENINGS):
        return _TEXT_BY_SUFFIX[".html"]
    if start.startswith(b"<?xml"):
        return _TEXT_BY_SUFFIX[".xml"]
    if start.startswith(_MAIL_HEADERS):
        return _TEXT_BY_SUFFIX[".eml"]
    return _TEXT_BY_SUFFIX[".txt"]


def _unreadable(content: bytes, name: str) -> InvalidFileType:
    detected = _detected_kind(content)
    return InvalidFileType(
        f"{name!r} is {detected}, which Ragstone does not read. It reads {READABLE}.",
        name=name,
        detected=detected,
    )


def _detected_kind(content: bytes) -> str:
    if content.startswith(_ZIP_MAGIC):
        return "a ZIP archive (unpack it first)"
    try:
        matches = puremagic.magic_string(content[: 64 * 1024])
    except (puremagic.PureError, ValueError):
        return "an unknown binary file"
    if not matches:
        return "an unknown binary file"
    kind = matches[0].name.strip() or matches[0].mime_type or matches[0].extension
    return f"a file of the kind {kind!r}"
