"""Formats over HTTP, each found by what only it holds."""

from __future__ import annotations

import httpx2
import pytest

from tests.fixtures.parsing.small_files import pptx
from tests.http.test_documents import hits
from tests.requirements import verifies

TEXTS = {
    "settings.json": ('{"otter": {"river": "quiet", "depth_m": 4}}\n', "application/json"),
    "settings.yaml": ("otter:\n  river: quiet\n", "application/yaml"),
    "theme.css": (".otter-card { color: teal; }\n", "text/css"),
    "feed.xml": ('<?xml version="1.0"?>\n<otters><otter river="quiet"/></otters>\n', "application/xml"),
    "server.log": ("2026-11-21T04:00:00Z WARN otter left the river\n" * 3, "text/plain"),
}


def upload(client: httpx2.Client, collection: str, name: str, content: bytes) -> dict[str, object]:
    """Add a file; the document it became."""
    files = {"file": (name, content)}
    written = client.post("/v1/documents", files=files, data={"collection": collection}).json()
    document: dict[str, object] = client.get(f"/v1/documents/{written['id']}").json()
    return document


@verifies("ING-04")
@pytest.mark.parametrize("name", sorted(TEXTS))
def test_data_and_logs_are_documents_as_they_are_written(
    client: httpx2.Client, collection: str, name: str
) -> None:
    """Found by a word, under their own type, with every character where it was."""
    text, media_type = TEXTS[name]

    document = upload(client, collection, name, text.encode())

    (hit,) = hits(client, collection, "otter")
    assert (document["media_type"], document["title"], document["warnings"]) == (media_type, name, [])
    whole = {"start": 0, "end": len(text)}
    assert client.get(f"/v1/documents/{document['id']}/text", params=whole).json()["text"] == text
    assert "otter" in str(hit["text"])


@verifies("ING-04", "ING-25")
def test_entities_of_xml_are_neither_expanded_nor_fetched(client: httpx2.Client, collection: str) -> None:
    """A file that would grow a billionfold, or read the server's password file, is its own text."""
    bomb = '<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
    text = f"{bomb}\n<laugh>otter &b; &f;</laugh>\n"

    document = upload(client, collection, "bomb.xml", text.encode())

    (hit,) = hits(client, collection, "otter")
    assert document["char_count"] == len(text)
    assert "&b; &f;" in str(hit["text"])
    assert "root:" not in str(hit["text"])


@verifies("ING-06", "ING-23")
def test_speaker_notes_are_found_on_their_slide(client: httpx2.Client, collection: str) -> None:
    """What was only said is found, with the number of its slide."""
    slides = [(f"Slide {n} on rivers. " * 60, "") for n in range(1, 4)]
    upload(client, collection, "talk.pptx", pptx([*slides, ("Last slide. " * 60, "Mention the otters.")]))

    hit = next(hit for hit in hits(client, collection, "mention the otters") if "otters" in str(hit["text"]))
    assert hit["page"] == 4
