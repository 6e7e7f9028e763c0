"""The MCP tools through the official client, over stdio and over streamable HTTP."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.mcp.conftest import Connect, Wire, call, complaint, over_http, over_stdio
from tests.requirements import verifies
from tests.support.process import START_LIMIT_S, Server
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TOOLS = {
    "search",
    "ask",
    "get_answer_trace",
    "read_passage",
    "list_collections",
    "collection_stats",
    "job_status",
    "add_document",
    "delete_document",
    "popular_queries",
    "autocomplete",
    "similar_queries",
    "get_cache_stats",
    "get_cache_warming_stats",
    "get_query_statistics",
    "get_document_popularity",
    "health_check",
    "verify_gpu_acceleration",
}
READERS = TOOLS - {"add_document", "delete_document"}
TEXT = "# Harbour\n\n## Tides\n\nThe ferry sails at high tide.\n\n## Fares\n\nChildren travel free."


async def test_the_tools_are_listed_with_schemas_and_hints(connect: Connect) -> None:
    """Each tool says what it does and takes, and whether it only reads; the server introduces itself."""
    async with connect() as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        info, instructions = client.server_info, client.instructions

    assert set(tools) == TOOLS
    for name, tool in tools.items():
        assert tool.description
        assert all(field.get("description") for field in tool.input_schema["properties"].values())
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (name in READERS)
        assert tool.annotations.destructive_hint is (name == "delete_document")
    assert info is not None
    assert (info.name, info.version) == ("ragstone", "0.1.0")
    assert instructions is not None
    assert "search" in instructions


async def test_a_document_lives_and_dies_through_the_tools(connect: Connect, collection: str) -> None:
    """Added, searched, asked about, read, counted, replaced by its source and deleted."""
    async with connect() as client:
        added = await call(
            client,
            "add_document",
            text=TEXT,
            title="Harbour guide",
            collection=collection,
            source="harbour",
            metadata={"year": 2024},
        )
        found = await call(
            client, "search", query="When does the ferry sail?", collections=[collection], explain=True
        )
        answered = await call(client, "ask", question="When does the ferry sail?", collections=[collection])
        (citation, *_) = answered["citations"]
        passage = await call(client, "read_passage", document_id=added["id"], **citation["span"])
        stats = await call(client, "collection_stats", collection=collection)
        listed = await call(client, "list_collections")
        again = await call(
            client, "add_document", text="The ferry is sunk.", collection=collection, source="harbour"
        )
        after = await call(client, "search", query="ferry", collections=[collection])
        deleted = await call(client, "delete_document", document_id=added["id"])
        gone = await call(client, "search", query="ferry", collections=[collection])

    assert (added["status"], added["version"]) == ("added", 1)
    best: Wire = found["hits"][0]
    assert best["document_id"] == added["id"]
    assert (best["title"], best["section"], best["metadata"]) == (
        "Harbour guide",
        ["Harbour"],
        {"year": 2024},
    )
    assert citation["section"] == ["Harbour", "Tides"]
    assert best["scores"]["lexical"]["rank"] == best["scores"]["dense"]["rank"] == 1
    assert answered["mode"] == "extractive"
    assert citation["quote"] == passage["text"] == "The ferry sails at high tide."
    assert (stats["document_count"], stats["name"]) == (1, collection)
    assert stats.pop("chunks")["chunk_count"] == stats["chunk_count"]
    assert stats in listed["collections"]
    assert (again["id"], again["status"], again["version"]) == (added["id"], "replaced", 2)
    assert [hit["text"] for hit in after["hits"]] == ["The ferry is sunk."]
    assert deleted["status"] == "removed"
    assert gone["hits"] == []


async def test_the_job_of_an_upload_is_explained(
    connect: Connect, mcp_server: tuple[Path, Server], collection: str
) -> None:
    """By its id, over either transport; an unknown one is a tool error."""
    _, server = mcp_server
    form = {"collection": collection, "wait_s": "0"}
    files = {"file": ("a.md", b"Herons wait.")}
    accepted = server.client.post("/v1/documents", files=files, data=form).json()
    async with connect() as client:
        job = await call(client, "job_status", job_id=accepted["job_id"])
        unknown = await complaint(client, "job_status", job_id="nope")

    assert (job["id"], job["document_id"]) == (accepted["job_id"], accepted["document_id"])
    assert "a.md" in job["explanation"]
    assert "'nope'" in unknown and "[job_not_found]" in unknown


@verifies("ANA-05", "CAC-14")
@pytest.mark.usefixtures("one_day")
async def test_what_was_asked_is_told(connect: Connect, collection: str) -> None:
    """Asked through the tools, a question is popular, completed, similar to others; warming is told of."""
    async with connect() as client:
        await call(client, "add_document", text=TEXT, collection=collection)
        question = f"When does ferry {collection} sail?"
        await call(client, "search", query=question, collections=[collection])
        await call(client, "ask", question=question, collections=[collection])

        async def popular() -> list[tuple[str, int]]:
            found = await call(client, "popular_queries", collection=collection, days=1)
            return [(one["query"], one["count"]) for one in found["queries"]]

        async def is_stored() -> bool:  # each asking a moment after it
            return await popular() == [(question, 2)]

        await until(is_stored, START_LIMIT_S)
        completed = await call(client, "autocomplete", prefix=question[:20].upper(), limit=1)
        similar = await call(client, "similar_queries", question=f"Does the ferry {collection} run?")
        warming = await call(client, "get_cache_warming_stats")

    assert completed["completions"] == [{"query": question, "count": 2}]
    assert similar["queries"][0]["query"] == question
    assert (warming["is_running"], warming["warmed_count"]) == (False, 0)


async def test_search_obeys_mode_top_k_and_filters(connect: Connect, collection: str) -> None:
    """The arguments reach the search."""
    async with connect() as client:
        for year in (2023, 2024):
            text = f"The ferry of {year} is ISSUE-{year}."
            await call(client, "add_document", text=text, collection=collection, metadata={"year": year})
        asked = {"collections": [collection], "explain": True}
        lexical = await call(client, "search", query="ISSUE-2024", mode="lexical", top_k=1, **asked)
        dense = await call(client, "search", query="ship", mode="dense", top_k=1, **asked)
        only = {"type": "lt", "key": "year", "value": 2024}
        filtered = await call(client, "search", query="ferry", filters=only, **asked)

    assert "ISSUE-2024" in lexical["hits"][0]["text"]
    assert lexical["hits"][0]["scores"]["dense"] is None
    assert (len(dense["hits"]), dense["hits"][0]["scores"]["lexical"]) == (1, None)
    assert [hit["metadata"]["year"] for hit in filtered["hits"]] == [2023]


async def test_errors_are_sentences_with_a_code(connect: Connect, collection: str) -> None:
    """A failing tool names the value, the fix and the code, so that an assistant can correct itself."""
    unknown = "0192f0c4-6a6e-7cc1-9d2e-3f1f5a0c9b11"
    async with connect() as client:
        no_collection = await complaint(client, "search", query="x", collections=[collection])
        no_document = await complaint(client, "read_passage", document_id=unknown)
        not_there = await complaint(client, "delete_document", document_id=unknown)
        no_text = await complaint(client, "add_document", text="  ", collection=collection)
        no_filter = await complaint(client, "search", query="x", filters={"type": "near"})
        no_mode = await complaint(client, "search", query="x", mode="psychic")

    assert f"'{collection}'" in no_collection and "[collection_not_found]" in no_collection
    for said in (no_document, not_there):
        assert unknown in said and "[document_not_found]" in said
    assert "[empty_document]" in no_text
    assert "'near'" in no_filter and "[invalid_filter]" in no_filter
    assert "hybrid" in no_mode
    assert not any("Traceback" in said for said in (no_collection, no_document, no_text, no_mode))


async def test_both_transports_give_equal_results(mcp_server: tuple[Path, Server], collection: str) -> None:
    """One question over stdio and HTTP, two processes over one home: the same hits and the same answer."""
    home, server = mcp_server
    asked = {"collections": [collection], "mode": "hybrid"}
    async with over_stdio(home)() as local, over_http(server)() as remote:
        for n in range(6):
            client = (local, remote)[n % 2]
            await call(client, "add_document", text=f"Pier {n} has {n + 3} berths.", collection=collection)
        results = [
            await call(client, "search", query="How many berths?", explain=True, **asked)
            for client in (local, remote)
        ]
        answers = [
            await call(client, "ask", question="How many berths has pier 4?", **asked)
            for client in (local, remote)
        ]

    assert results[0]["hits"] == results[1]["hits"]
    assert len(results[0]["hits"]) == 6
    assert [stable(answer) for answer in answers] == [stable(answers[0])] * 2


async def test_a_foreign_host_is_refused(mcp_server: tuple[Path, Server]) -> None:
    """A request with another Host header, as DNS rebinding sends it, does not reach the tools."""
    _, server = mcp_server
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    headers = {"host": "evil.example", "accept": "application/json, text/event-stream"}

    async with httpx2.AsyncClient(timeout=START_LIMIT_S, trust_env=False) as client:
        refused = await client.post(f"{server.url}/mcp", json=body, headers=headers)

    assert refused.status_code in (400, 403, 421)
    assert "search" not in refused.text


def stable(answer: Wire) -> Wire:
    """An answer without what differs from call to call."""
    return {name: value for name, value in answer.items() if name not in ("answer_id", "timings", "cache")}


@verifies("OBS-01", "EMB-07")
async def test_an_assistant_sees_health_and_devices(connect: Connect) -> None:
    """Every dependency with its status; the devices and what the model runs on, measured when asked for."""
    async with connect() as client:

        async def is_well() -> bool:  # in time, that is: a busy machine may have a slow part for a while
            return bool((await call(client, "health_check"))["status"] == "ok")

        await until(is_well, START_LIMIT_S)
        health = await call(client, "health_check")
        report = await call(client, "verify_gpu_acceleration")

    assert health["ready"] is True
    assert {"store", "indexes", "embedder", "gpu", "generator", "cache"} == set(health["components"])
    assert "The embedding model runs on" in report["verdict"]
    assert "benchmark" not in report
