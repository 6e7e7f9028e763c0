"""Answers over HTTP: extractive and generated, whole and streamed, with quotes that resolve exactly."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.http.test_documents import add
from tests.requirements import verifies
from tests.support.generator import GeneratorDouble, running_generator
from tests.support.process import START_LIMIT_S, Server, running_server
from tests.support.wellness import all_well

LIMIT_S = 60.0
TEXT = """# Lighthouse

The Cordouan lighthouse stands in the Gironde estuary. It was finished in 1611 by Louis de Foix.

## Keepers

Keepers lived on the rock until 2012. Visitors come by boat at low tide.
"""

Wire = dict[str, object]


@pytest.fixture(scope="module")
def generator() -> Iterator[GeneratorDouble]:
    """A generator of the tests' own."""
    with running_generator() as double:
        yield double


@pytest.fixture(scope="module", params=["good"])
def generating(generator: GeneratorDouble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that generates with the well-behaved model."""
    with running_server(tmp_path_factory.mktemp("good") / "home", _settings(generator, "good")) as server:
        add(server.client, "default", TEXT)
        yield server


@verifies("GEN-02", "GEN-04")
def test_extractive_answer_quotes_exactly(client: httpx2.Client, collection: str) -> None:
    """Without a generator the answer quotes at most 3 sentences, and every quote resolves exactly."""
    add(client, collection, TEXT)

    answer = ask(client, "Who finished the Cordouan lighthouse?", collection)

    assert answer["mode"] == "extractive"
    citations = citations_of(answer)
    assert any("Louis de Foix" in str(citation["quote"]) for citation in citations)
    assert citations[0]["section"] == ["Lighthouse"]
    assert 1 <= len(citations) <= 3
    for citation in citations:
        assert_resolves(client, citation)
        assert f"[{citation['marker']}]" in str(answer["answer"])


def test_nothing_found_is_said_plainly(client: httpx2.Client, collection: str) -> None:
    """A question to an empty collection is answered with no evidence, not with an error."""
    client.post("/v1/collections", json={"name": collection})

    answer = ask(client, "What is the airspeed of a swallow?", collection)

    assert answer["citations"] == []
    assert "No passage" in str(answer["answer"])


def test_stream_is_the_documented_sequence(client: httpx2.Client, collection: str) -> None:
    """Events are numbered from 1, begin with started, end with finished, and add up to the whole answer."""
    add(client, collection, TEXT)

    events = stream(client, "When did keepers leave the rock?", collection)

    names = [event["event"] for event in events]
    assert names == [
        "started",
        "retrieved",
        "delta",
        *["cited"] * names.count("cited"),
        "checked",
        "finished",
    ]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    finished = events[-1]
    assert "".join(str(event["text"]) for event in events if event["event"] == "delta") == finished["answer"]
    assert [event["citation"] for event in events if event["event"] == "cited"] == finished["citations"]


def test_stream_as_ndjson(client: httpx2.Client, collection: str) -> None:
    """Accept: application/x-ndjson gives the same events, one JSON object a line."""
    add(client, collection, TEXT)
    body = {"question": "When did keepers leave?", "collections": [collection], "stream": True}

    response = client.post("/v1/ask", json=body, headers={"accept": "application/x-ndjson"})

    events = [json.loads(line) for line in response.text.splitlines()]
    assert [event["event"] for event in events][:3] == ["started", "retrieved", "delta"]


def test_generated_answer_cites_passages(generating: Server, generator: GeneratorDouble) -> None:
    """The generator's text comes through with valid markers only, bound to exact quotes, with its usage."""
    answer = ask(generating.client, "Who finished the lighthouse?", "default")

    assert answer["mode"] == "generated"
    assert answer["answer"] == "The answer is in the passage [1]. Nothing else  is known."
    citations = citations_of(answer)
    assert [citation["marker"] for citation in citations] == [1]
    assert_resolves(generating.client, citations[0])
    assert answer["usage"] == {"prompt_tokens": 120, "completion_tokens": 9}
    prompt = json.dumps(generator.requests[-1])
    assert "[1] Lighthouse" in prompt
    assert "Louis de Foix" in prompt


@pytest.mark.parametrize("model", ["garbage", "cut", "locked"])
def test_failing_generator_means_quotes(
    generator: GeneratorDouble, model: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A generator that fails, even in the middle, costs its words, not the answer; the answer says so."""
    home = tmp_path_factory.mktemp(model) / "home"
    with running_server(home, _settings(generator, model)) as server:
        add(server.client, "default", TEXT)

        answer = ask(server.client, "Who finished the lighthouse?", "default")
        events = stream(server.client, "Who finished the lighthouse?", "default")

    assert answer["mode"] == "extractive"
    assert answer["degraded"] == ["generator:failed"]
    assert "Louis de Foix" in str(answer["answer"])
    text = ""
    for event in events:
        if event["event"] == "delta":
            text = str(event["text"]) if event["restarts"] else text + str(event["text"])
    assert text == events[-1]["answer"]


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_leaving_client_stops_the_generator(
    generator: GeneratorDouble, is_streamed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A client that disconnects, streaming or not, ends the generation at the generator's server."""
    generator.left.clear()
    home = tmp_path_factory.mktemp("slow") / "home"
    with running_server(home, _settings(generator, "slow")) as server:
        add(server.client, "default", TEXT)
        body = json.dumps({"question": "Who finished it?", "stream": is_streamed})
        address = urlsplit(server.url)
        generator.asked.clear()

        with socket.create_connection((address.hostname, address.port)) as leaving:
            head = f"POST /v1/ask HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
            leaving.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            assert generator.asked.wait(START_LIMIT_S)

        assert generator.left.wait(LIMIT_S)
        assert all_well(server.client)["ready"] is True


def ask(client: httpx2.Client, question: str, collection: str) -> Wire:
    """A whole answer."""
    response = client.post("/v1/ask", json={"question": question, "collections": [collection]})
    assert response.status_code == 200, response.text
    answer: Wire = response.json()
    return answer


def stream(client: httpx2.Client, question: str, collection: str) -> list[Wire]:
    """The events of an answer, read as server-sent events."""
    body = {"question": question, "collections": [collection], "stream": True}
    response = client.post("/v1/ask", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in response.text.split("\n\n") if block]
    events: list[Wire] = []
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        event: Wire = json.loads(fields["data"])
        assert (fields["event"], int(fields["id"])) == (event["event"], event["seq"])
        events.append(event)
    return events


def citations_of(answer: Wire) -> list[Wire]:
    """An answer's citations."""
    found = answer["citations"]
    assert isinstance(found, list)
    return found


def assert_resolves(client: httpx2.Client, citation: Wire) -> None:
    """The stored text holds the quote at its span."""
    text = client.get(f"/v1/documents/{citation['document_id']}/text").json()["text"]
    span = citation["span"]
    assert isinstance(span, dict)
    assert text[span["start"] : span["end"]] == citation["quote"]


def _settings(generator: GeneratorDouble, model: str) -> dict[str, str]:
    return {"RAGSTONE_GENERATOR__BASE_URL": generator.base_url, "RAGSTONE_GENERATOR__MODEL": model}
