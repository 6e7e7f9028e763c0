"""The small parser: pypdfium2 and the standard library, for when xberg is missing or stumbles."""

from __future__ import annotations

from ragstone.ingest.extraction import Extraction, ParseRequest
from ragstone.ingest.refusals import broken


def extract_with_fallback(request: ParseRequest) -> Extraction:
    """The text of one file."""
    raise broken(request.name, "no parser")
