"""Each answer explained: what was found, read, cached and cited, and how long it took."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from mcp import Client
from ragstone.entrypoints.python_blocking import Ragstone
from tests.http.test_documents import add
from tests.requirements import verifies
from tests.support.generator import running_generator
from tests.support.process import Server, run_command, running_server
from tests.support.waiting import wait_until

LIMIT_S = 60.0
TEXT = "# Hours\n\nThe heronry opens at seven. The gate is green."
OTHER = "# Pool\n\nThe pool is closed on Mondays."
QUESTION = "When does the  heronry open?"

Wire = dict[str, Any]


@pytest.fixture(scope="module")
def generating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a generator."""
    home = tmp_path_factory.mktemp("traces") / "home"
    with running_generator() as double:
        environment = {
            "RAGSTONE_GENERATOR__BASE_URL": double.base_url,
            "RAGSTONE_GENERATOR__MODEL": "good",
        }
        with running_server(home, environment) as server:
            yield server


def ask(client: httpx2.Client, question: str, collection: str, **options: object) -> Wire:
    """The answer."""
    asked = {"question": question, "collections": [collection], **options}
    answer: Wire = client.post("/v1/ask", json=asked).raise_for_status().json()
    return answer


def trace(client: httpx2.Client, answer_id: str) -> Wire:
    """Its trace."""
    found: Wire = client.get(f"/v1/answers/{answer_id}/trace").raise_for_status().json()
    return found


def test_an_answer_that_was_made_has_its_whole_story(generating: Server, collection: str) -> None:
    """The normal question, both legs, fusion, passages, prompt, model, tokens, times, caches, quotes."""
    client = generating.client
    document = add(client, collection, TEXT)
    add(client, collection, OTHER)

    answer = ask(client, QUESTION, collection)
    found = trace(client, answer["answer_id"])

    assert found["question"] == "When does the heronry open?"
    assert found["request_id"] == answer["request_id"]
    assert (found["door"], found["mode"], found["model"]) == ("http", "generated", "good")
    assert found["prompt_version"] == "grounded-1"
    assert found["usage"] == {"prompt_tokens": 120, "completion_tokens": 9}
    search = found["search"]
    assert search["weights"] == {"lexical": 1.0, "dense": 1.0}
    assert search["legs"]["dense"]["count"] == 2
    assert search["legs"]["lexical"]["first"][0]["document_id"] == document["id"]
    assert search["ranking"]["first"][0]["lexical_rank"] == 1
    assert found["passages"][0]["text"] == TEXT
    assert [one["state"] for one in found["citations"]] == ["exact"]
    assert found["citations"][0]["quote"] == answer["citations"][0]["quote"]
    decisions = {one["level"]: one["outcome"] for one in found["caches"]}
    assert decisions["answer"] == decisions["retrieval"] == decisions["generation"] == "miss"
    assert decisions["semantic"] == "off"
    stages = {run["name"]: run for run in found["stages"]}
    assert stages["lexical"]["start_ms"] >= stages["retrieve"]["start_ms"]
    end_ms = max(run["start_ms"] + run["duration_ms"] for run in found["stages"])
    assert end_ms <= found["duration_ms"] + 1


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_repeat_is_explained_by_the_answer_that_was_made(
    generating: Server, collection: str, is_streamed: bool
) -> None:
    """From the cache, and as bytes that were rendered before: each names the first one, with its evidence."""
    client = generating.client
    add(client, collection, TEXT)
    made = ask(client, QUESTION, collection)

    repeated = [ask(client, QUESTION, collection) for _ in range(3)]
    if is_streamed:
        asked = {"question": QUESTION, "collections": [collection], "stream": True}
        lines = client.post("/v1/ask", json=asked, headers={"accept": "application/x-ndjson"}).text
        repeated = [json.loads(lines.splitlines()[-1])]

    for again in repeated:
        found = trace(client, again["answer_id"])
        assert found["cache"] == "hit"
        assert found["caches"][0]["outcome"] == "hit"
        assert found["repeats"] is not None
        assert found["search"] == trace(client, made["answer_id"])["search"]
        assert found["passages"][0]["text"] == TEXT
    levels = {trace(client, again["answer_id"])["caches"][0]["level"] for again in repeated}
    assert levels == ({"answer"} if is_streamed else {"answer", "rendered"})


def test_text_that_was_removed_does_not_come_back(client: httpx2.Client, collection: str) -> None:
    """Neither as passage nor as quote, nor as title: the trace says that it was removed."""
    document = add(client, collection, TEXT)
    answer = ask(client, QUESTION, collection)
    assert "heronry" in json.dumps(trace(client, answer["answer_id"])["passages"])
    client.delete(f"/v1/documents/{document['id']}").raise_for_status()

    found = trace(client, answer["answer_id"])

    told = json.dumps({name: value for name, value in found.items() if name != "question"})
    assert "heronry" not in told
    assert "Hours" not in told
    assert found["passages"][0]["is_removed"] is True
    assert {one["state"] for one in found["citations"]} == {"removed"}


def test_a_quote_that_was_replaced_is_told_apart(client: httpx2.Client, collection: str) -> None:
    """Other text in its place is not shown as the quote."""
    document = add(client, collection, TEXT)
    answer = ask(client, QUESTION, collection)
    longer = {"text": "# Hours\n\nNothing is known of any opening of any sort, whatever was said before."}
    client.put(f"/v1/documents/{document['id']}", json=longer).raise_for_status()

    found = trace(client, answer["answer_id"])

    assert {one["state"] for one in found["citations"]} == {"changed"}
    assert {one["quote"] for one in found["citations"]} == {None}


def test_a_request_that_failed_is_found_by_its_own_id(client: httpx2.Client, collection: str) -> None:
    """It never got an answer's id; its problem names the request."""
    asked = {"question": "Who?", "collections": [f"{collection}-none"]}
    problem = client.post("/v1/ask", json=asked, headers={"x-request-id": f"lost-{collection}"})

    found = trace(client, f"lost-{collection}")

    assert problem.status_code == 404
    assert found["error_code"] == "collection_not_found"
    assert found["question"] == "Who?"
    assert found["citations"] == []


def test_an_unknown_answer_is_a_404_that_says_why(client: httpx2.Client) -> None:
    """With the settings that say how many are kept."""
    found = client.get("/v1/answers/none-such/trace")

    assert (found.status_code, found.json()["code"]) == (404, "answer_not_found")
    assert "telemetry.answer_traces" in found.json()["detail"]


@pytest.mark.parametrize("is_stored", [True, False])
def test_erasing_a_question_erases_its_traces(tmp_path: Path, is_stored: bool) -> None:
    """One that waits to be stored, and one that is."""
    home = tmp_path / "home"
    with running_server(home) as server:
        add(server.client, "default", TEXT)
        answer = ask(server.client, QUESTION, "default")
        kept = ask(server.client, "Which colour is the gate?", "default")
    # A server that ended has stored all.
    with running_server(home) as server:
        assert trace(server.client, answer["answer_id"])["question"].endswith("open?")
        if not is_stored:
            answer = ask(server.client, QUESTION, "default", cache=False)

        server.client.delete("/v1/queries", params={"q": QUESTION}).raise_for_status()

        assert server.client.get(f"/v1/answers/{answer['answer_id']}/trace").status_code == 404
        assert trace(server.client, kept["answer_id"])["answer_id"] == kept["answer_id"]
        server.client.delete("/v1/queries").raise_for_status()
        assert server.client.get(f"/v1/answers/{kept['answer_id']}/trace").status_code == 404
    assert b"does the heronry" not in (home / "ragstone.db").read_bytes()


@verifies("OBS-03")
def test_every_door_tells_the_same_story(tmp_path: Path) -> None:
    """HTTP, MCP, the command with and without a server, and the library."""
    home = tmp_path / "home"
    with running_server(home) as server:
        add(server.client, "default", TEXT)
        answer_id = ask(server.client, QUESTION, "default")["answer_id"]
        over_http = trace(server.client, answer_id)
        by_command = run_command("trace", answer_id, "--json", home=home).json

        async def call() -> object:
            async with Client(f"{server.url}/mcp", read_timeout_seconds=60) as client:
                return (
                    await client.call_tool("get_answer_trace", {"answer_id": answer_id})
                ).structured_content

        by_assistant = anyio.run(call)
    alone = run_command("trace", answer_id, "--json", home=home).json
    shown = run_command("trace", answer_id, home=home).stdout
    with Ragstone(home) as rag:
        by_library = rag.trace(answer_id)

    assert over_http == by_command == by_assistant == alone
    assert by_library.record.question == over_http["question"]
    assert [cited.quote for cited in by_library.citations] == [one["quote"] for one in over_http["citations"]]
    for word in ("lexical", "embed_query", "hydrate", "Hours", "exact", "█"):
        assert word in shown


def test_the_newest_traces_are_kept(tmp_path: Path) -> None:
    """As many as the setting says; none with 0."""
    home = tmp_path / "home"
    with running_server(home, {"RAGSTONE_TELEMETRY__ANSWER_TRACES": "2"}) as server:
        ids = [
            ask(server.client, f"Question {number}?", "default", cache=False)["answer_id"]
            for number in range(4)
        ]

        def gone() -> bool | None:
            found = server.client.get(f"/v1/answers/{ids[0]}/trace").status_code
            return True if found == 404 else None

        assert wait_until(gone, LIMIT_S)
        assert trace(server.client, ids[3])["answer_id"] == ids[3]
    with running_server(home, {"RAGSTONE_TELEMETRY__ANSWER_TRACES": "0"}) as server:
        answer_id = ask(server.client, "Question 9?", "default")["answer_id"]
        assert server.client.get(f"/v1/answers/{answer_id}/trace").status_code == 404
