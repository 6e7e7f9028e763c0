"""What was asked: popular questions, completions, similar ones, figures, erasure, over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.requirements import verifies
from tests.support.waiting import wait_until

Wire = dict[str, Any]
LIMIT_S = 60.0


@pytest.fixture
def word() -> str:
    """A word that no other test asks for."""
    return f"w{uuid4().hex[:12]}"


@pytest.fixture
def asked(client: httpx2.Client, collection: str, word: str, one_day: None) -> str:
    """A question that was searched twice and answered once, its answer streamed, and another one."""
    body = {"text": "The mill grinds at dawn.", "collection": collection}
    assert client.post("/v1/documents", json=body).status_code == 201
    question, other = f"When does mill {word} grind?", f"Who owns mill {word}?"
    for query in (question, f"  When does mill {word}\tgrind? ", other):
        client.post("/v1/search", json={"query": query, "collections": [collection]})
    streamed = {"question": question, "collections": [collection], "stream": True}
    assert "finished" in client.post("/v1/ask", json=streamed).text
    # Stored by and by: the first askings may be there before the last.
    wait_until(lambda: [one["count"] for one in popular(client, q=word)] == [3, 1] or None, LIMIT_S)
    return question


def popular(client: httpx2.Client, **query: str) -> list[Wire]:
    """The most asked questions that fit."""
    response = client.get("/v1/queries/popular", params=query)
    assert response.status_code == 200, response.text
    found: list[Wire] = response.json()["queries"]
    return found


@verifies("CAC-13", "ANA-05")
def test_every_answered_request_is_counted_once(
    client: httpx2.Client, collection: str, asked: str, word: str
) -> None:
    """Whole or streamed, however it is spaced; with first and last time, of all time and of today."""
    (most, other) = popular(client, q=word)

    assert (most["query"], most["count"], most["collections"]) == (asked, 3, [collection])
    assert most["first_asked_at"] < other["last_asked_at"] < most["last_asked_at"]
    assert other["count"] == 1
    assert [one["count"] for one in popular(client, q=word.upper(), days="1")] == [3, 1]


@verifies("CAC-13")
def test_filters_choose_among_popular_questions(
    client: httpx2.Client, collection: str, asked: str, word: str
) -> None:
    """By beginning, collection and time; what does not fit any more is left out."""
    assert [one["query"] for one in popular(client, prefix=f"when does mill {word}")] == [asked]
    assert len(popular(client, collection=collection)) == 2
    assert popular(client, q=word, since="2999-01-01T00:00:00Z") == []
    assert len(popular(client, q=word, since="2020-01-01T00:00:00", limit="1")) == 1


@verifies("ANA-05")
def test_completions_and_similar_questions_are_found(client: httpx2.Client, asked: str, word: str) -> None:
    """A beginning in any case is completed; a question with the same rare words is similar, itself is not."""
    completed = client.get("/v1/queries/autocomplete", params={"q": f"WHEN DOES MILL {word[:9]}"}).json()
    similar = client.get("/v1/queries/similar", params={"q": f"when does the mill {word} stop"}).json()
    own = client.get("/v1/queries/similar", params={"q": asked}).json()

    assert completed == {"completions": [{"query": asked, "count": 3}]}
    assert similar["queries"][0]["query"] == asked
    assert 0.3 <= similar["queries"][0]["similarity"] < 1
    assert asked not in [one["query"] for one in own["queries"]]


@verifies("CAC-13")
def test_days_are_added_up(client: httpx2.Client, asked: str) -> None:
    """What was asked today: in all, different ones, for an answer."""
    found = client.get("/v1/queries/statistics", params={"days": "7"}).json()

    today = found["by_day"][-1]
    assert asked and found["days"] == 7
    assert found["asked"] == sum(day["asked"] for day in found["by_day"]) >= 4
    assert 2 <= today["distinct"] <= today["asked"]
    assert 1 <= today["answers"] < today["asked"]


@verifies("CAC-13")
def test_requests_that_fail_are_not_counted(client: httpx2.Client, word: str) -> None:
    """A wrong collection or an empty question is no question that was asked; the next one is."""
    client.post("/v1/search", json={"query": f"Lost {word}?", "collections": ["no-such-collection"]})
    client.post("/v1/ask", json={"question": f"Lost {word}?", "collections": ["no-such-collection"]})
    client.post("/v1/search", json={"query": " "})
    client.post("/v1/search", json={"query": f"Found {word}?"})
    wait_until(lambda: popular(client, q=word) or None, LIMIT_S)

    assert [one["query"] for one in popular(client, q=word)] == [f"Found {word}?"]


@verifies("CAC-13")
def test_one_question_is_erased(client: httpx2.Client, asked: str, word: str) -> None:
    """It is gone at once, from every way of reading; the others stay; a second time there is nothing."""
    erased = client.delete("/v1/queries", params={"q": asked}).json()
    again = client.delete("/v1/queries", params={"q": asked}).json()

    assert erased == {"erased": 1, "logged": 3, "is_log_empty": True}
    assert again["erased"] == 0
    assert [one["query"] for one in popular(client, q=word)] == [f"Who owns mill {word}?"]
    assert [one["query"] for one in popular(client, q=word, days="1")] == [f"Who owns mill {word}?"]


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("popular", {"limit": "0"}, "limit"),
        ("popular", {"days": "9999"}, "cache.query_days"),
        ("popular", {"sort": "x"}, "sort"),
        ("similar", {"q": "x" * 9_000}, "limits.query_max_chars"),
        ("similar", {}, "q"),
        ("statistics", {"days": "99"}, "cache.query_days"),
    ],
)
def test_wrong_requests_are_refused(
    client: httpx2.Client, path: str, query: dict[str, str], said: str
) -> None:
    """With the value and the fix."""
    refused = client.get(f"/v1/queries/{path}", params=query)

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert said in refused.json()["detail"]
