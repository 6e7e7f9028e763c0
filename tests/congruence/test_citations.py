"""Every citation at every door resolves: `stored_text[start:end] == quote`, whatever the text is made of."""

from __future__ import annotations

import unicodedata
from uuid import uuid4

from hypothesis import given, settings, strategies as st

from tests.congruence.conftest import Doors
from tests.congruence.test_doors import call_tool, events
from tests.requirements import verifies
from tests.support.process import run_command

WORDS = (
    "harbour", "ferry", "Größe", "naïve", "图书馆", "図書館は九時", "한국어", "🌷", "👩‍👩‍👧", "🇩🇪",
    "e\u0301te\u0301", "A\u030angstro\u0308m", "שלום", "مرحبا", "snake_case", "C#", "ISSUE-12", "\u200bzero",
    "ﬁne", "Ⅳ", "\u1100\u1161\u11a8", "𝒳", "nul\x00byte", "\ufeffmark", "\U00020000", "a\u0323\u0307",
)  # fmt: skip
ENDS = (
    ". ",
    "! ",
    "? ",
    "。",
    ".\r\n",
    ".\n\n",
    ".\r\r",
    "\n\n# Heading\r\n\n",
    "\r\n- ",
    ".\n\n| a | b |\n|---|---|\n| ",
)

sentences = st.tuples(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), st.sampled_from(ENDS))
texts = st.lists(sentences, min_size=1, max_size=40).map(
    lambda parts: "The harbour ferry. " + "".join(" ".join(words) + end for words, end in parts)
)


@verifies("GEN-04")
@given(
    text=texts, asked=st.sampled_from(("harbour ferry", "Größe 図書館", "C# ISSUE-12 snake_case", "🌷 ete"))
)
@settings(max_examples=settings().max_examples // 2)
def test_quotes_and_hits_are_the_stored_text_of_their_span(doors: Doors, text: str, asked: str) -> None:
    """Hits and citations of HTTP and of the library, over emoji, CJK, CRLF, combining marks, NUL and BOM."""
    collection = f"p-{uuid4().hex[:12]}"
    added = doors.client.post("/v1/documents", json={"text": text, "collection": collection})
    assert added.status_code == 201, added.text
    document_id = added.json()["id"]
    stored = doors.library.read(document_id).text

    answer = doors.client.post("/v1/ask", json={"question": asked, "collections": [collection]}).json()
    streamed = events(doors.client, {"question": asked, "collections": [collection]}, "application/x-ndjson")
    by_library = doors.library.ask(asked, collections=[collection])

    assert stored == expected(text)
    assert answer["hits"]
    for found, quote in [
        *((hit["span"], hit["text"]) for hit in answer["hits"]),
        *((citation["span"], citation["quote"]) for citation in answer["citations"]),
        *(
            (event["citation"]["span"], event["citation"]["quote"])
            for event in streamed
            if event["event"] == "cited"
        ),
    ]:
        assert stored[found["start"] : found["end"]] == quote
    for citation in by_library.citations:
        assert stored[citation.span.start : citation.span.end] == citation.quote
    assert doors.client.delete(f"/v1/collections/{collection}").status_code == 200


def test_quotes_resolve_through_the_command_line_and_mcp(doors: Doors) -> None:
    """The same for one text of everything at once, read back through each door's own reader."""
    collection = "everything"
    sentences = [f"The {word} lies at the harbour number {n}." for n, word in enumerate(WORDS)]
    text = "\ufeff# Harbour \U0001f30a\r\n\r\n" + "\r\n\r\n".join(sentences)
    added = doors.client.post("/v1/documents", json={"text": text, "collection": collection}).json()
    stored = doors.library.read(added["id"]).text
    cited = 0

    for question in (
        "Where does the 図書館は九時 lie?",
        "été harbour",
        "nul byte harbour",
        "🇩🇪 harbour number 9",
    ):
        over_mcp = call_tool(doors, "ask", {"question": question, "collections": [collection]})
        by_command = run_command("ask", question, "-c", collection, "--json", home=doors.home).json
        for citation in (*over_mcp["citations"], *by_command["citations"]):  # type: ignore[misc]
            span = citation["span"]
            assert stored[span["start"] : span["end"]] == citation["quote"]
            assert (
                call_tool(doors, "read_passage", {"document_id": added["id"], **span})["text"]
                == citation["quote"]
            )
            cited += 1

    assert cited >= 8
    assert stored == expected(text)


def expected(text: str) -> str:
    """The stored form that DESIGN.md promises: no BOM, no NUL, one kind of line end, NFC."""
    dropped = text.replace("\ufeff", "").replace("\x00", "")
    return unicodedata.normalize("NFC", dropped.replace("\r\n", "\n").replace("\r", "\n"))
