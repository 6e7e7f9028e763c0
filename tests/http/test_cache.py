"""Repeated questions over HTTP: equal, never of what is gone; and the operator's view of the caches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import httpx2
import pytest

from ragstone.entrypoints.python import AsyncRagstone
from tests.http.test_ask import ask, stream
from tests.http.test_documents import add
from tests.mcp.conftest import call, over_http
from tests.requirements import verifies
from tests.support.generator import GeneratorDouble, running_generator
from tests.support.process import Server, run_command, running_server

OWN = ("answer_id", "timings", "request_id", "cache")
"""What every response has for itself."""
QUESTION = "Where does the heron wait?"
REPETITIONS = 4
"""The third response is the first one that needs no framework."""
AT_ONCE = 40
LIMIT_S = 60.0

Wire = dict[str, object]


@pytest.fixture(scope="module")
def generating_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the server that generates."""
    return tmp_path_factory.mktemp("cache") / "home"


@pytest.fixture(scope="module")
def generating(generating_home: Path) -> Iterator[tuple[Server, GeneratorDouble]]:
    """A server that generates, and what it asks."""
    with running_generator() as double:
        environ = {
            "RAGSTONE_GENERATOR__BASE_URL": double.base_url,
            "RAGSTONE_GENERATOR__MODEL": "good",
            "RAGSTONE_GENERATOR__API_KEY": "k",
        }
        with running_server(generating_home, environ) as server:
            yield server, double


@verifies("CAC-03", "CAC-06")
def test_a_repeated_question_has_the_same_answer(client: httpx2.Client, collection: str) -> None:
    """In everything but what a response has for itself; searches, too. `"cache": false` makes it anew."""
    add(client, collection, "The heron waits by the pond. The stork nests on the roof.")

    answers = [ask(client, QUESTION, collection) for _ in range(REPETITIONS)]
    results = [search(client, collection) for _ in range(REPETITIONS)]
    anew = search(client, collection, cache=False)

    for bodies in (answers, results):
        assert [body["cache"] for body in bodies] == ["miss"] + ["hit"] * (REPETITIONS - 1)
        assert all(shared(body) == shared(bodies[0]) for body in bodies)
    assert len({str(answer["answer_id"]) for answer in answers}) == REPETITIONS
    assert anew["cache"] == "off"
    assert shared(anew) == shared(results[0])


@verifies("CAC-06")
def test_whatever_is_asked_otherwise_is_answered_by_itself(client: httpx2.Client, collection: str) -> None:
    """Query, filter, top_k, mode, weights, fusion and what is read around: none is another's hit."""
    add(client, collection, "The heron waits. The heron flies.", metadata={"year": 1999})
    search(client, collection)
    year = {"type": "eq", "key": "year", "value": 1999}
    others: list[Wire] = [
        {"query": "heron?"},
        {"top_k": 1},
        {"mode": "lexical"},
        {"weights": {"lexical": 2, "dense": 1}},
        {"fusion": "rrf"},
        {"filters": year},
        {"filters": year | {"value": 1999.5}},
        {"filters": year | {"value": "1999"}},
        {"expand": "section"},
    ]

    assert [search(client, collection, **other)["cache"] for other in others] == ["miss"] * len(others)
    assert [search(client, collection, **other)["cache"] for other in others] == ["hit"] * len(others)
    assert search(client, collection, query="  the \n heron ")["cache"] == "hit"


@verifies("CAC-03", "CAC-07")
def test_a_write_to_its_collection_ends_an_answer_and_one_elsewhere_does_not(
    client: httpx2.Client, collection: str
) -> None:
    """After the write its own text answers; after an unrelated one the same passages are not read anew."""
    add(client, collection, "The heron waits by the pond.")
    for _ in range(REPETITIONS):
        ask(client, QUESTION, collection)

    add(client, f"{collection}-other", "The heron waits by the sea.")
    assert ask(client, QUESTION, collection)["cache"] == "hit"

    written = add(client, collection, "Quite another text about printing.", source="other")
    again = ask(client, QUESTION, collection)
    assert again["cache"] in ("miss", "evidence")
    assert int(str(again["corpus_version"])) >= int(str(written["corpus_version"]))

    add(client, collection, "The heron waits in the reeds.", source="news")
    assert "reeds" in str(ask(client, QUESTION, collection)["hits"])


@verifies("CAC-03")
def test_a_generation_is_used_again_after_an_unrelated_write(
    generating: tuple[Server, GeneratorDouble], collection: str
) -> None:
    """Retrieval runs again and brings the same passages: the model is not asked a second time."""
    client, generator = generating[0].client, generating[1]
    add(client, collection, f"The heron of {collection} waits by the pond.")
    body: Wire = {"question": "heron", "collections": [collection], "mode": "lexical"}
    first = post(client, "/v1/ask", body)
    asked = len(generator.requests)

    add(client, collection, "Printing presses were built here.")
    second = post(client, "/v1/ask", body)

    assert (first["cache"], second["cache"]) == ("miss", "evidence")
    assert len(generator.requests) == asked
    assert (second["answer"], second["citations"]) == (first["answer"], first["citations"])


@verifies("CAC-07")
@pytest.mark.parametrize("way", ["removed", "replaced"])
def test_text_that_is_gone_never_answers(client: httpx2.Client, collection: str, way: str) -> None:
    """However often it was asked for before: whole, streamed, searched."""
    document = add(client, collection, "The heron waits by the pond.", source="a")
    for _ in range(REPETITIONS):
        ask(client, QUESTION, collection)
        stream(client, QUESTION, collection)
        search(client, collection)

    if way == "removed":
        assert client.delete(f"/v1/documents/{document['id']}").status_code == 200
    else:
        body = {"text": "The heron has left.", "collection": collection, "source": "a"}
        assert client.post("/v1/documents", json=body).json()["status"] == "replaced"

    for _ in range(REPETITIONS):
        assert "pond" not in str(ask(client, QUESTION, collection))
        assert "pond" not in str(stream(client, QUESTION, collection))
        assert "pond" not in str(search(client, collection))


@verifies("CAC-03")
def test_a_streamed_answer_is_replayed_as_it_came(
    generating: tuple[Server, GeneratorDouble], collection: str
) -> None:
    """The same events with the same numbers, pieces and citations, under an id of its own."""
    client = generating[0].client
    add(client, collection, f"The heron of {collection} waits by the pond.")

    first, second = (stream(client, QUESTION, collection) for _ in range(2))

    assert [shared(event) for event in first] == [shared(event) for event in second]
    assert [event["cache"] for event in (first[-1], second[-1])] == ["miss", "hit"]
    assert sum(event["event"] == "delta" for event in second) > 1
    assert first[0]["answer_id"] != second[0]["answer_id"] == second[-1]["answer_id"]
    whole = ask(client, QUESTION, collection)
    assert whole["cache"] == "hit"
    assert whole["citations"] == [event["citation"] for event in first if event["event"] == "cited"]


def test_equal_questions_at_once_cost_one_generation(
    generating: tuple[Server, GeneratorDouble], collection: str
) -> None:
    """Whole and streamed, before and while the answer is made."""
    client, generator = generating[0].client, generating[1]
    add(client, collection, f"The heron of {collection} waits by the pond.")
    asked = len(generator.requests)
    together = threading.Barrier(AT_ONCE)

    def one(number: int) -> str:
        together.wait(LIMIT_S)
        if number % 2:
            return str(stream(client, QUESTION, collection)[-1]["answer"])
        return str(ask(client, QUESTION, collection)["answer"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = set(pool.map(one, range(AT_ONCE)))

    assert len(answers) == 1
    assert len(generator.requests) == asked + 1


def test_a_document_with_a_large_number_is_found(client: httpx2.Client, collection: str) -> None:
    """Numbers beyond 64 bits in metadata and filters cannot be remembered, and are no failure."""
    add(client, collection, "The heron waits.", metadata={"n": 2**70})

    for _ in range(REPETITIONS):
        assert len(str(search(client, collection)["hits"])) > 2
        large = {"type": "lt", "key": "n", "value": 10**30}
        assert search(client, collection, filters=large)["degraded"] == []


@verifies("CAC-15")
def test_every_door_shows_and_clears_the_same_caches(
    generating: tuple[Server, GeneratorDouble], generating_home: Path, collection: str, tmp_path: Path
) -> None:
    """HTTP, command line, MCP; and the library over an engine of its own."""
    server = generating[0]
    client = server.client
    home = generating_home
    add(client, collection, f"The heron of {collection} waits by the pond.")
    before = figures(client)["answer"]
    for _ in range(3):
        stream(client, QUESTION, collection)

    now = figures(client)["answer"]
    assert hits_of(now) == hits_of(before) + 2
    assert number(now, "sets") == number(before, "sets") + 1
    assert number(now, "saved_tokens") > number(before, "saved_tokens")
    assert number(now, "size_bytes") > 0
    shown = run_command("cache", "stats", "--json", home=home).json
    assert answers_in(shown) == now
    assert answers_in(anyio.run(by_mcp, server)) == now
    cleared = run_command("cache", "clear", "answer", "-c", collection, "--json", home=home)
    assert cleared.json == {"cleared": 1}
    assert stream(client, QUESTION, collection)[-1]["cache"] == "evidence"
    assert client.delete("/v1/cache", params={"collection": collection}).json()["cleared"] >= 1
    assert stream(client, QUESTION, collection)[-1]["cache"] == "miss"
    assert client.delete("/v1/cache", params={"cache": "nonsense"}).status_code == 422
    assert anyio.run(by_library, tmp_path / "own") == ["miss", "hit", "miss"]


@verifies("CAC-15")
def test_clearing_a_cache_clears_the_responses_made_of_it(client: httpx2.Client, collection: str) -> None:
    """What was kept as it was sent goes with what it says."""
    add(client, collection, "The heron waits by the pond.")
    for _ in range(REPETITIONS):
        ask(client, QUESTION, collection)
        search(client, collection)

    client.delete("/v1/cache", params={"cache": "answer", "collection": collection})
    assert ask(client, QUESTION, collection)["cache"] == "evidence"
    assert search(client, collection)["cache"] == "hit"
    nothing = client.delete("/v1/cache", params={"cache": "retrieval", "pattern": "nothing*"}).json()
    assert nothing == {"cleared": 0}
    assert search(client, collection)["cache"] == "hit"
    client.delete("/v1/cache", params={"cache": "retrieval", "pattern": "*"})
    assert search(client, collection)["cache"] == "miss"


async def by_mcp(server: Server) -> Wire:
    """The figures as an assistant sees them."""
    async with over_http(server)() as client:
        return await call(client, "get_cache_stats")


async def by_library(home: Path) -> list[str]:
    """Where the answers to one question came from, before and after clearing."""
    async with AsyncRagstone(home) as ragstone:
        await ragstone.add_text("The heron waits by the pond.")
        found = [(await ragstone.ask(QUESTION)).cache for _ in range(2)]
        assert sum(cache.sets for cache in (await ragstone.cache_statistics()).caches) > 0
        assert await ragstone.clear_cache() > 0
        return [*found, (await ragstone.ask(QUESTION)).cache]


def search(client: httpx2.Client, collection: str, **fields: object) -> Wire:
    """A whole search result."""
    return post(client, "/v1/search", {"query": "the heron", "collections": [collection], **fields})


def post(client: httpx2.Client, path: str, body: Wire) -> Wire:
    """The response's body."""
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    found: Wire = response.json()
    return found


def shared(body: Wire) -> Wire:
    """What equal requests have in common."""
    return {name: value for name, value in body.items() if name not in OWN}


def figures(client: httpx2.Client) -> dict[str, Wire]:
    """Of each cache by its name."""
    return {cache["name"]: cache for cache in client.get("/v1/cache").json()["caches"]}


def answers_in(report: Wire) -> Wire:
    """The figures of the answers in a report."""
    caches = report["caches"]
    assert isinstance(caches, list)
    found: Wire = next(cache for cache in caches if cache["name"] == "answer")
    return found


def number(found: Wire, name: str) -> float:
    """A figure."""
    return float(str(found[name]))


def hits_of(found: Wire) -> int:
    """Hits in all tiers."""
    hits = found["hits"]
    assert isinstance(hits, dict)
    return sum(hits.values())
