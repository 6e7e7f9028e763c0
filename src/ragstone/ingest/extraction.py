"""What the parser process hands back, and what it is handed: plain structs, light to import.

The parent normalises the text and counts the offsets itself, so nothing here carries a position.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Engine = Literal["auto", "xberg", "fallback"]
PageUnit = Literal["page", "slide", "sheet"]


class ParseRequest(msgspec.Struct, frozen=True):
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


Reply = Walls | Begun | Extraction | Rejection
