"""Scanned pages over HTTP: read by Tesseract where it is there, named in a warning where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from ragstone.ingest.limits import ParsingLimits
from tests.fixtures.parsing.small_files import scanned_pdf
from tests.http.test_documents import hits
from tests.requirements import verifies
from tests.support.process import run_command, running_server

SHOWN = "The otters sleep beside the quiet river."
GARBLED = "7KH RWWHUV VOHHS EHVLGH WKH TXLHW ULYHU. " * 4
needs_ocr = pytest.mark.skipif(ParsingLimits().find_tessdata() is None, reason="no Tesseract data")


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A server for whose language Tesseract has no files."""
    environ = {"RAGSTONE_INGEST__OCR_LANGUAGE": "tlh"}
    with running_server(tmp_path_factory.mktemp("blind") / "home", environ) as server:
        yield server.client


def upload(client: httpx2.Client, collection: str, text_layer: str) -> dict[str, object]:
    """Add a page with this text layer; what was written."""
    response = client.post(
        "/v1/documents",
        files={"file": ("scan.pdf", scanned_pdf(SHOWN, text_layer))},
        data={"collection": collection},
    )
    written: dict[str, object] = response.json()
    return written


@needs_ocr
@verifies("ING-08")
@pytest.mark.parametrize("text_layer", ["", GARBLED], ids=["no text layer", "a garbled one"])
def test_what_a_page_shows_is_found(client: httpx2.Client, collection: str, text_layer: str) -> None:
    """OCR reads it, the garbled layer is gone, and a warning says that it was OCR."""
    written = upload(client, collection, text_layer)

    (hit,) = hits(client, collection, "otters asleep by the river")
    assert "otters sleep beside the quiet river" in str(hit["text"])
    assert (hit["page"], "RWWHUV" in str(hit["text"])) == (1, False)
    assert written["warnings"] == ["Read by OCR, which may err: page 1."]


@needs_ocr
@verifies("ING-08")
def test_a_sound_text_layer_is_not_read_again(client: httpx2.Client, collection: str) -> None:
    """OCR is used only where the layer is missing or not meaningful."""
    layer = "Invoice four hundred and twelve is for the beavers and was paid on the first of May. " * 2

    written = upload(client, collection, layer)

    (hit,) = hits(client, collection, "beavers invoice")
    assert "otters" not in str(hit["text"])
    assert written["warnings"] == []


@verifies("ING-08")
def test_without_tesseract_the_document_and_doctor_say_so(
    blind: httpx2.Client, collection: str, home: Path
) -> None:
    """A garbled page is kept with a warning, a scan refused with the reason; doctor names the language."""
    kept = upload(blind, collection, GARBLED)
    refused = upload(blind, collection, "")
    doctor = run_command("doctor", home=home, environ={"RAGSTONE_INGEST__OCR_LANGUAGE": "tlh"})

    assert "Garbled text layer: page 1." in str(kept["warnings"])
    assert (refused["code"], "install Tesseract" in str(refused["detail"])) == ("empty_document", True)
    assert "no Tesseract data for 'tlh'" in doctor.stdout
