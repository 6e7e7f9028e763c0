"""One question, four doors: HTTP, MCP, command line and library give the same hits and the same answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import httpx2
import pytest

from mcp import Client
from ragstone.entrypoints.wire import chunk_preview, chunking
from ragstone.types import Answer, Citation, Hit, ScoreBreakdown
from tests.congruence.conftest import Doors
from tests.support.process import run_command

Wire = dict[str, Any]

COLLECTION = "doors"
QUESTIONS = (
    ("When does the museum open on Sundays?", "hybrid"),
    ("ISSUE-77", "lexical"),
    ("a place to eat", "dense"),
    ("図書館", "hybrid"),
    ("Größe der Halle", "hybrid"),
)
TEXTS = (
    (
        "# Museum\n\n## Hours\n\nThe museum opens at ten on Sundays. On weekdays it opens at nine.\n\n"
        "## Café\n\nThe café serves soup until three. ISSUE-77 asks for later hours."
    ),
    "# 図書館\n\n図書館は九時に開きます。\n本は三週間借りられます。",
    "# Halle\n\nDie Größe der Halle beträgt 40 Meter. Die Höhe ist 12 Meter.",
    "The garden 🌷 closes at dusk. 👩‍👩‍👧 Families enter free.",
)


@pytest.fixture(scope="module", autouse=True)
def _texts(doors: Doors) -> None:
    for number, text in enumerate(TEXTS):
        body = {"text": text, "collection": COLLECTION, "metadata": {"number": number}}
        assert doors.client.post("/v1/documents", json=body).status_code == 201


@pytest.mark.parametrize(("question", "mode"), QUESTIONS)
def test_every_door_finds_the_same_hits(doors: Doors, question: str, mode: str) -> None:
    """Ids, spans, texts, places, scores and each leg's rank: all equal, to the last digit."""
    asked = {"query": question, "collections": [COLLECTION], "mode": mode, "top_k": 5, "explain": True}

    over_http = doors.client.post("/v1/search", json=asked).json()
    over_mcp = call_tool(doors, "search", asked)
    by_command = run_command(
        *("search", question, "-c", COLLECTION, "--mode", mode, "-k", "5", "--explain", "--json"),
        home=doors.home,
    ).json
    by_library = doors.library.search(question, collections=[COLLECTION], mode=mode, top_k=5)

    assert over_http["hits"]
    assert over_mcp["hits"] == over_http["hits"]
    assert by_command["hits"] == over_http["hits"]
    assert [wire_hit(hit) for hit in by_library.hits] == over_http["hits"]
    assert {over_http["corpus_version"], over_mcp["corpus_version"], by_command["corpus_version"]} == {
        by_library.corpus_version
    }


@pytest.mark.parametrize("question", [question for question, _ in QUESTIONS])
def test_every_door_gives_the_same_answer(doors: Doors, question: str) -> None:
    """Text, mode and citations are equal; streamed as SSE or NDJSON or whole, the answer is the same."""
    asked = {"question": question, "collections": [COLLECTION]}

    whole = doors.client.post("/v1/ask", json=asked).json()
    over_mcp = call_tool(doors, "ask", asked)
    by_command = run_command("ask", question, "-c", COLLECTION, "--json", home=doors.home).json
    by_library = doors.library.ask(question, collections=[COLLECTION])
    streams = [
        events(doors.client, asked, accept) for accept in ("text/event-stream", "application/x-ndjson")
    ]

    for answer in (over_mcp, by_command, streams[0][-1], streams[1][-1]):
        assert essence(answer) == essence(whole)
    assert wire_answer(by_library) == essence(whole)
    assert by_command["hits"] == streams[0][-1]["hits"] == whole["hits"]
    for happened in streams:
        assert_tells_the_answer(happened, whole)
        assert_is_exact(doors, happened[-1]["citations"])


def assert_tells_the_answer(happened: list[Wire], whole: Wire) -> None:
    """The events come in their order, and what they say bit by bit is what the last one says."""
    names = [event["event"] for event in happened]
    assert [event["seq"] for event in happened] == list(
        range(happened[0]["seq"], happened[0]["seq"] + len(names))
    )
    assert names[:2] == ["started", "retrieved"]
    assert names[-2:] == ["checked", "finished"]
    assert "".join(event["text"] for event in happened if event["event"] == "delta") == whole["answer"]
    cited = [event["citation"] for event in happened if event["event"] == "cited"]
    assert cited == whole["citations"]
    assert happened[1]["hits"] == whole["hits"]
    assert happened[-2]["citation_count"] == happened[-2]["exact_count"] == len(cited)
    assert happened[0]["answer_id"] == happened[-1]["answer_id"]


def assert_is_exact(doors: Doors, citations: list[Wire]) -> None:
    """Each quote is the stored text of its span."""
    for citation in citations:
        span = citation["span"]
        passage = doors.client.get(f"/v1/documents/{citation['document_id']}/text", params=span).json()
        assert passage["text"] == citation["quote"]


def events(client: httpx2.Client, asked: Mapping[str, object], accept: str) -> list[Wire]:
    """The events of a streamed answer."""
    body = {**asked, "stream": True}
    with client.stream("POST", "/v1/ask", json=body, headers={"accept": accept}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(accept)
        lines = [line for line in response.iter_lines() if line]
    payloads = lines if accept.endswith("ndjson") else [line for line in lines if line.startswith("data: ")]
    return [json.loads(payload.removeprefix("data: ")) for payload in payloads]


def call_tool(doors: Doors, tool: str, arguments: Mapping[str, object]) -> Wire:
    """The structured result of an MCP tool."""

    async def called() -> Wire:
        async with Client(f"{doors.server.url}/mcp", read_timeout_seconds=60) as client:
            result = await client.call_tool(tool, dict(arguments))
            return cast("Wire", cast("Any", result).structured_content)

    return anyio.run(called)


def essence(answer: Wire) -> Wire:
    """What every door says of an answer, without what differs from call to call."""
    return {
        name: answer[name] for name in ("answer", "mode", "citations", "corpus_version", "degraded", "usage")
    }


def wire_answer(answer: Answer) -> Wire:
    """The library's answer as it looks on the wire."""
    return {
        "answer": answer.text,
        "mode": answer.mode,
        "citations": [wire_citation(citation) for citation in answer.citations],
        "corpus_version": answer.corpus_version,
        "degraded": list(answer.degraded),
        "usage": answer.usage,
    }


def wire_citation(citation: Citation) -> Wire:
    """A citation as it looks on the wire."""
    return {
        "marker": citation.marker,
        "document_id": citation.document_id,
        "chunk_id": citation.chunk_id,
        "title": citation.title,
        "source": citation.source,
        "quote": citation.quote,
        "span": {"start": citation.span.start, "end": citation.span.end},
        "page": citation.page,
        "section": list(citation.section) or None,
    }


def wire_hit(hit: Hit) -> Wire:
    """A hit as it looks on the wire."""
    return {
        "chunk_id": hit.chunk_id,
        "document_id": hit.document_id,
        "collection": hit.collection,
        "title": hit.title,
        "source": hit.source,
        "text": hit.text,
        "score": hit.score,
        "span": {"start": hit.span.start, "end": hit.span.end},
        "page": hit.page,
        "section": list(hit.section) or None,
        "metadata": dict(hit.metadata),
        "scores": wire_scores(hit.scores),
    }


def wire_scores(scores: ScoreBreakdown) -> Wire:
    """A score breakdown as it looks on the wire."""
    legs = {"lexical": scores.lexical, "dense": scores.dense}
    shown: Wire = {
        name: None if leg is None else {"rank": leg.rank, "score": leg.score, "share": leg.share}
        for name, leg in legs.items()
    }
    return shown | {"fused": scores.fused}


@pytest.mark.parametrize("strategy", ["structure", "semantic", "code", "table"])
def test_every_door_previews_the_same_chunks(doors: Doors, tmp_path: Path, strategy: str) -> None:
    """HTTP, the command line with and without a server, and the library: equal to the last token."""
    path = tmp_path / "museum.md"
    path.write_text("\n\n".join(TEXTS) + "\n\n| a | b |\n| --- | --- |\n" + "| one | two |\n" * 30, "utf-8")
    fields = {"chunk_strategy": strategy, "chunk_max_tokens": "32", "chunk_overlap_tokens": "4"}
    flags = ("--chunking", strategy, "--chunk-tokens", "32", "--chunk-overlap", "4", "--limit", "1000")
    words = ("chunks", "preview", path, *flags, "--json")

    file = {"file": (path.name, path.read_bytes())}
    over_http = doors.client.post("/v1/chunk-preview", files=file, data=fields).json()
    by_command = run_command(*words, home=doors.home).json
    alone = run_command(*words, home=tmp_path / "home").json
    by_library = doors.library.preview(path, chunking=strategy, chunk_tokens=32, chunk_overlap=4)

    assert over_http["statistics"]["chunk_count"] > 10
    assert by_command == alone == chunk_preview(by_library) == over_http


def test_every_door_makes_and_measures_the_same_collection(doors: Doors, tmp_path: Path) -> None:
    """A collection made at one door is the same at the others, and so are its figures."""
    options = ("--chunking", "semantic", "--chunk-tokens", "48", "--chunk-overlap", "6")
    by_command = run_command("collections", "create", "cut", *options, "--json", home=doors.home).json
    asked = {"chunk_strategy": "semantic", "chunk_max_tokens": 48, "chunk_overlap_tokens": 6}
    over_http = doors.client.post("/v1/collections", json={"name": "cut", **asked})
    by_library = doors.library.create_collection("cut", chunking="semantic", chunk_tokens=48, chunk_overlap=6)
    other = doors.client.post("/v1/collections", json={"name": "cut", **asked, "chunk_strategy": "table"})
    doors.library.add_text(TEXTS[0] * 8, collection="cut")

    counted = doors.client.get("/v1/collections/cut/chunk-statistics").json()

    assert (over_http.status_code, other.status_code) == (201, 409)
    assert "by semantic of 48 tokens" in other.json()["detail"]
    assert by_command["chunking"] == over_http.json()["chunking"] == chunking(by_library.chunking)
    assert counted["chunk_count"] > 4
    assert run_command("chunks", "stats", "-c", "cut", "--json", home=doors.home).json == counted
    assert call_tool(doors, "collection_stats", {"collection": "cut"})["chunks"] == counted


def test_every_door_expands_hits_alike(doors: Doors) -> None:
    """With the section or neighbours around them."""
    for expand, flag in (("section", "section"), ({"neighbours": 2}, "2")):
        asked = {"query": "soup", "collections": [COLLECTION], "top_k": 2, "expand": expand}

        over_http = doors.client.post("/v1/search", json=asked).json()["hits"]
        over_mcp = call_tool(doors, "search", asked)["hits"]
        words = ("search", "soup", "-c", COLLECTION, "-k", "2", "--expand", flag, "--json")
        by_command = run_command(*words, home=doors.home).json["hits"]
        by_library = doors.library.search("soup", collections=[COLLECTION], top_k=2, expand=expand)

        assert "café" in over_http[0]["surroundings"]["text"]
        assert over_mcp == by_command == over_http
        assert [hit.surroundings.text for hit in by_library.hits if hit.surroundings] == [
            hit["surroundings"]["text"] for hit in over_http
        ]
