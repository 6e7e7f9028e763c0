"""What the parser process hands back, and what it is handed: plain structs, light to import.

The parent normalises the text of documents and counts their offsets itself: extractions carry no position.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ragstone.types import Break, SectionSpan

Engine = Literal["auto", "xberg", "fallback"]
PageUnit = Literal["page", "slide", "sheet"]


class ParseRequest(msgspec.Struct, frozen=True, tag="parse"):
    """One file for the parser process. `tessdata=None` means no OCR."""

    content: bytes
    name: str
    media_type: str
    engine: Engine = "auto"
    tessdata: str | None = None
    ocr_languages: tuple[str, ...] = ("eng",)
    max_unpacked_bytes: int = 200 * 2**20
    cpu_s: float = 600.0
    """Processor time that the file may take."""


class OutlineRequest(msgspec.Struct, frozen=True, tag="outline"):
    """Source code whose syntax is wanted: normalised text, its language, and its name's suffix."""

    text: str
    name: str
    language: str | None
    suffix: str
    cpu_s: float = 600.0


Request = ParseRequest | OutlineRequest


class Outlined(msgspec.Struct, frozen=True, tag="outlined"):
    """The outline of source code; positions count code points of the text that was sent."""

    sections: tuple[SectionSpan, ...]
    breaks: tuple[Break, ...]
    warnings: tuple[str, ...] = ()


class Enclosure(msgspec.Struct, frozen=True):
    """A file that lay inside another, as it was put in."""

    name: str
    content: bytes


class Extraction(msgspec.Struct, frozen=True, tag="extraction"):
    """The text of a file as Markdown: one string a page, slide or sheet, or one in all."""

    texts: tuple[str, ...]
    unit: PageUnit | None = None
    """What each of `texts` is; None when the format has no pages."""
    title: str | None = None
    metadata: dict[str, str | list[str]] = {}
    warnings: tuple[str, ...] = ()
    enclosed: tuple[Enclosure, ...] = ()


class Walls(msgspec.Struct, frozen=True, tag="walls"):
    """Sent once at the start: which walls the process stands behind."""

    network: Literal["own namespace", "open"]
    memory_bytes: int
    system_calls: Literal["filtered", "open"] = "open"
    """Filtered: no sockets, no programs, no signals to others, no file opened for writing."""


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """Sent when a request was read and again when its size is known, so that time can be allowed."""

    pages: int = 0
    ocr_pages: int = 0


class Rejection(msgspec.Struct, frozen=True, tag="rejection"):
    """The document was refused, under the code of one of the `DocumentRejected` errors."""

    code: str
    message: str


Answer = Extraction | Outlined | Rejection
Reply = Walls | Begun | Answer
