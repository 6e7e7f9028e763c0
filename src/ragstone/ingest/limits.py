"""What parsing one file may cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ragstone.settings import IngestSettings

_PER_PAGE_S = 0.1
_PER_OCR_PAGE_S = 5.0
_TESSDATA_PLACES = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
)


@dataclass(frozen=True, slots=True)
class ParsingLimits:
    """The walls around parsing one file, and whether scans are read."""

    workers: int = 1
    timeout_s: float = 20.0
    """Wall clock for one file; 0.1 s more for each PDF page and 5 s for each page that OCR reads."""
    max_timeout_s: float = 600.0
    """The wall clock that no number of pages lifts."""
    memory_mb: int = 2048
    """Address space of a parser process; xberg maps 370 to 500 MB before it reads a byte (November 2026)."""
    max_unpacked_bytes: int = 200 * 2**20
    """What a ZIP-based file may unpack to."""
    max_attachments: int = 100
    """How many files inside one file are taken out of it, however deep they lie."""
    ocr: Literal["auto", "off"] = "auto"
    ocr_language: str = "eng"
    """Tesseract's language codes, joined by +."""

    @classmethod
    def from_settings(cls, settings: IngestSettings) -> ParsingLimits:
        """As configured."""
        return cls(
            workers=settings.parse_workers,
            timeout_s=settings.parse_timeout_s,
            memory_mb=settings.parse_memory_mb,
            max_unpacked_bytes=settings.max_unpacked_bytes,
            max_attachments=settings.max_attachments,
            ocr=settings.ocr,
            ocr_language=settings.ocr_language,
        )

    def allowed_s(self, pages: int, ocr_pages: int) -> float:
        """Seconds for a file of so many pages, of which OCR reads so many."""
        return min(self.timeout_s + pages * _PER_PAGE_S + ocr_pages * _PER_OCR_PAGE_S, self.max_timeout_s)

    @property
    def ocr_languages(self) -> tuple[str, ...]:
        """The language codes apart."""
        return tuple(self.ocr_language.split("+"))

    def find_tessdata(self) -> str | None:
        """The folder that holds the data of every OCR language; None when OCR is off or one is missing."""
        if self.ocr == "off":
            return None
        for place in _TESSDATA_PLACES:
            if all(Path(place, f"{language}.traineddata").is_file() for language in self.ocr_languages):
                return place
        return None
