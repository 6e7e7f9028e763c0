"""The semantic cache over HTTP: off unless set; serves another wording of a question, no other question."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx2
import pytest

from tests.http.test_ask import ask, assert_resolves, citations_of, stream
from tests.http.test_documents import add
from tests.requirements import verifies
from tests.support.generator import GeneratorDouble, running_generator
from tests.support.process import Server, running_server

TEXT = """# Lighthouse

The Cordouan lighthouse stands in the Gironde estuary. It was finished in 1611 by Louis de Foix.
Planier lighthouse was finished in 1774.
"""
QUESTION = "Who finished the Cordouan lighthouse in 1611?"
REWORDED = "In 1611, who finished Cordouan Lighthouse"
ON = {"RAGSTONE_CACHE__SEMANTIC": "true"}


@pytest.fixture(scope="module")
def semantic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A server with the semantic cache on."""
    with running_server(tmp_path_factory.mktemp("semantic") / "home", ON) as server:
        yield server.client


@pytest.fixture(scope="module")
def generator() -> Iterator[GeneratorDouble]:
    """A generator of the tests' own."""
    with running_generator() as double:
        yield double


@pytest.fixture(scope="module")
def generating(generator: GeneratorDouble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the semantic cache on that generates."""
    settings = ON | {
        "RAGSTONE_GENERATOR__BASE_URL": generator.base_url,
        "RAGSTONE_GENERATOR__MODEL": "good",
    }
    with running_server(tmp_path_factory.mktemp("generating") / "home", settings) as server:
        add(server.client, "default", TEXT)
        yield server


@pytest.fixture
def filled(semantic: httpx2.Client) -> str:
    """A collection with the text, in which the question was answered."""
    name = f"c-{uuid4().hex[:12]}"
    # A text of its own, so that no other test's evidence is this one's.
    add(semantic, name, f"{TEXT}\nShelf {name}.")
    assert ask(semantic, QUESTION, name)["cache"] == "miss"
    return name


@verifies("CAC-08")
def test_it_is_off_by_default(client: httpx2.Client, collection: str) -> None:
    """Without the setting another wording is answered anew."""
    add(client, collection, TEXT)
    ask(client, QUESTION, collection)

    assert ask(client, REWORDED, collection)["cache"] == "miss"


@verifies("CAC-08")
def test_another_wording_is_served_with_exact_citations(semantic: httpx2.Client, filled: str) -> None:
    """The answer is the one to the first wording, says where it came from, and its quotes resolve."""
    first = ask(semantic, QUESTION, filled)

    answer = ask(semantic, REWORDED, filled)

    assert (answer["cache"], answer["degraded"]) == ("semantic", [])
    assert answer["answer"] == first["answer"]
    assert citations_of(answer) == citations_of(first)
    for citation in citations_of(answer):
        assert_resolves(semantic, citation)
    caches = {row["name"]: row for row in semantic.get("/v1/cache").json()["caches"]}
    assert caches["semantic"]["hits"]["memory"] >= 1


@verifies("CAC-08")
def test_a_served_answer_streams_like_any_other(semantic: httpx2.Client, filled: str) -> None:
    """The same sequence of events; the end says `semantic`."""
    events = stream(semantic, REWORDED, filled)

    assert [event["event"] for event in events][:3] == ["started", "retrieved", "delta"]
    assert events[-1]["cache"] == "semantic"


@verifies("CAC-08")
@pytest.mark.parametrize(
    "question",
    [
        "Who did not finish the Cordouan lighthouse in 1611?",
        "Who finished the Cordouan lighthouse in 1612?",
        "Who finished the Planier lighthouse in 1611?",
        "Who finished the Cordouan lighthouse before 1611?",
        "When was the Cordouan lighthouse finished in 1611?",
        "Wer hat Cordouan lighthouse finished in 1611?",
    ],
)
def test_another_question_is_never_served(semantic: httpx2.Client, filled: str, question: str) -> None:
    """Negation, number, name, relation, question word and language: each alone means a new answer."""
    assert ask(semantic, question, filled)["cache"] == "miss"


@verifies("CAC-08")
def test_nothing_is_served_once_the_document_changed(semantic: httpx2.Client, filled: str) -> None:
    """The new wording after an edit gets what the document says now."""
    listed = semantic.get("/v1/documents", params={"collection": filled}).json()["documents"]
    edited = TEXT.replace("Louis de Foix", "Claude Chastillon")
    replaced = semantic.put(f"/v1/documents/{listed[0]['id']}", json={"text": edited})
    assert replaced.status_code == 200

    answer = ask(semantic, REWORDED, filled)

    assert answer["cache"] == "miss"
    assert "Claude Chastillon" in str(answer["answer"])
    assert "Louis de Foix" not in str(answer["answer"])


@verifies("CAC-08")
def test_a_caller_may_refuse_it(semantic: httpx2.Client, filled: str) -> None:
    """`cache: false` makes the answer anew and remembers nothing of it."""
    body = {"question": REWORDED, "collections": [filled], "cache": False}

    assert semantic.post("/v1/ask", json=body).json()["cache"] == "off"


@verifies("CAC-08")
def test_a_generated_text_is_served_without_the_generator(
    generating: Server, generator: GeneratorDouble
) -> None:
    """The generator is asked once for both wordings; markers lead to the passages that it had."""
    generator.requests.clear()
    first = ask(generating.client, QUESTION, "default")

    answer = ask(generating.client, REWORDED, "default")

    assert len(generator.requests) == 1
    assert (answer["mode"], answer["cache"]) == ("generated", "semantic")
    assert answer["answer"] == first["answer"]
    assert citations_of(answer) == citations_of(first)
    for citation in citations_of(answer):
        assert_resolves(generating.client, citation)
