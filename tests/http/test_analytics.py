"""What the log tells over HTTP: statistics, questions, documents, relevance, patterns, errors, files."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pyarrow.parquet
import pytest

from tests.requirements import verifies
from tests.support.waiting import wait_until

Wire = dict[str, Any]
LIMIT_S = 60.0
TABLES = ("query_logs", "document_accesses", "error_logs", "system_metrics")


@pytest.fixture
def word() -> str:
    """A word that no other test asks for."""
    return f"w{uuid4().hex[:12]}"


@pytest.fixture
def asked(client: httpx2.Client, collection: str, word: str) -> list[Wire]:
    """Rows of: a question answered twice, a search, one without hits, one that failed; the newest first."""
    body = {"text": f"# Mill {word}\n\nThe mill {word} grinds at dawn.", "collection": collection}
    assert client.post("/v1/documents", json={**body, "title": f"Mill {word}"}).status_code == 201
    question = {"question": f"When does mill {word} grind?", "collections": [collection]}
    for _ in range(3):
        assert client.post("/v1/ask", json=question).status_code == 200
    wanted = {"query": f"mill {word}", "collections": [collection], "mode": "lexical"}
    assert client.post("/v1/search", json=wanted).json()["hits"]
    nothing = {"query": f"unheard {uuid4().hex}", "collections": [collection], "mode": "lexical"}
    assert client.post("/v1/search", json=nothing).json()["hits"] == []
    client.post("/v1/search", json={"query": f"lost {word}", "collections": [f"no-{word}"]})
    return wait_until(
        lambda: found if len(found := rows_of(client, collection, word)) == 6 else None, LIMIT_S
    )


@pytest.fixture
def failed(client: httpx2.Client) -> None:
    """A row of an error that is older than whatever is asked after it."""
    assert client.post("/v1/search", json={"query": "lost", "collections": ["nowhere"]}).status_code == 404


def get(client: httpx2.Client, report: str, **query: str) -> Wire:
    """A report."""
    response = client.get(f"/v1/analytics/{report}", params=query)
    assert response.status_code == 200, response.text
    found: Wire = response.json()
    return found


def rows_of(client: httpx2.Client, collection: str, word: str) -> list[Wire]:
    """The logged requests of one test, the newest first."""
    found = get(client, "requests", limit="1000")["requests"]
    return [row for row in found if row["collections"] in ([collection], [f"no-{word}"])]


@verifies("ANA-01")
def test_every_request_has_a_row_that_tells_what_it_was(asked: list[Wire], word: str) -> None:
    """Text, hash, door, client, times, sources, relevance, features, cache, success, error."""
    failed, nothing, searched, again, second, first = asked

    assert first["question"] == f"When does mill {word} grind?"
    assert (first["kind"], first["door"], first["client"], first["mode"]) == (
        "ask",
        "http",
        "127.0.0.1",
        "hybrid",
    )
    assert first["is_success"] and first["source_count"] == 1 and first["citation_count"] == 1
    assert 0 < first["best_relevance"] <= 1 and first["relevance_scores"] == [first["best_relevance"]]
    assert first["total_ms"] > first["retrieval_ms"] > 0
    assert first["generation_ms"] > 0
    assert (first["cache"], again["cache"]) == ("miss", "hit")
    assert {one["question_hash"] for one in (first, second, again)} == {first["question_hash"]}
    assert again["hits_of"] in (first["id"], second["id"]) and again["retrieval_ms"] is None
    assert (searched["mode"], searched["is_hybrid"], searched["answer_id"]) == ("lexical", False, None)
    assert (nothing["source_count"], nothing["best_relevance"]) == (0, None)
    assert (failed["is_success"], failed["error_code"]) == (False, "collection_not_found")
    assert len({one["request_id"] for one in asked}) == 6


@verifies("ANA-02")
def test_statistics_count_a_period(client: httpx2.Client, asked: list[Wire]) -> None:
    """From the first request of the test to its last: counts, rates, percentiles, groups."""
    period = {"since": asked[-1]["time"], "until": "2999-01-01"}
    found = get(client, "statistics", **period)

    assert found["asked"] >= 6 and found["succeeded"] < found["asked"]
    assert found["answers"] >= 3 and found["without_hits"] >= 1
    assert found["success_rate"] == round(found["succeeded"] / found["asked"], 4)
    times = found["total_ms"]
    assert times["count"] == found["asked"] and times["p50"] <= times["p95"] <= times["p99"] <= times["max"]
    assert {group["value"] for group in found["by_cache"]} >= {"hit", "miss"}
    assert sum(group["asked"] for group in found["by_door"]) == found["asked"]
    assert sum(day["asked"] for day in found["by_day"]) == found["asked"]
    assert found["features"]["hybrid"] < found["asked"]
    assert get(client, "statistics", since="2001-01-01", until="2001-01-02")["asked"] == 0


@verifies("ANA-02", "ANA-04")
@pytest.mark.parametrize(
    ("kind", "expected"),
    [("without_hits", "unheard"), ("failed", "lost"), ("low_relevance", None), ("slow", "")],
)
def test_questions_are_found_by_what_came_of_them(
    client: httpx2.Client, asked: list[Wire], kind: str, expected: str | None
) -> None:
    """Without hits, failed, ill answered: the ones of this test are among them, others are not."""
    found = get(client, "questions", kind=kind, limit="1000")["questions"]
    mine = [
        row["question"] for row in asked if row["question_hash"] in {one["question_hash"] for one in found}
    ]

    assert all(one["asked"] >= 1 and one["last_asked_at"] >= one["first_asked_at"] for one in found)
    if expected is None:
        assert all(one["best_relevance"] < 0.3 for one in found)
    else:
        assert any(question.startswith(expected) for question in mine)
    if expected:
        assert all(question.startswith(expected) for question in mine)


@verifies("ANA-04")
def test_an_answer_without_evidence_is_unanswered(client: httpx2.Client, collection: str, word: str) -> None:
    """A question for which nothing was found is listed, until it is answered it stays there."""
    client.post("/v1/collections", json={"name": collection})
    question = f"Where is {word}?"
    body = {"question": question, "collections": [collection]}
    assert client.post("/v1/ask", json=body).json()["citations"] == []

    def unanswered() -> Wire | None:
        found = get(client, "questions", kind="unanswered", limit="1000")["questions"]
        return next((one for one in found if one["question"] == question), None)

    assert wait_until(unanswered, LIMIT_S)["asked"] == 1


@verifies("ANA-03")
def test_documents_are_ranked_by_the_requests_that_found_them(
    client: httpx2.Client, asked: list[Wire], word: str, collection: str
) -> None:
    """A repeated response counts, too; a removed document keeps its use and loses its name."""
    assert asked

    def use() -> Wire:
        found = get(client, "documents", limit="1000")["documents"]
        return next(one for one in found if one["document_id"] == document_id)

    document_id = client.get("/v1/documents", params={"collection": collection}).json()["documents"][0]["id"]
    named = use()
    client.delete(f"/v1/documents/{document_id}")
    gone = use()

    assert (named["title"], named["collection"], named["queries"]) == (f"Mill {word}", collection, 4)
    assert (named["citations"], named["mean_rank"]) == (3, 1.0)
    assert (gone["title"], gone["source"], gone["queries"]) == (None, None, 4)
    exported = client.get("/v1/analytics/export/document_accesses", params={"format": "jsonl"}).text
    assert document_id in exported and f"Mill {word}" not in exported


@verifies("ANA-03")
def test_relevance_is_spread_over_ten_bins(client: httpx2.Client, asked: list[Wire]) -> None:
    """Every request that searched and found something is in one of them."""
    found = get(client, "relevance")

    assert asked and len(found["bins"]) == 10
    assert sum(one["count"] for one in found["bins"]) == found["relevance"]["count"] >= 3
    assert 0 <= found["low"] <= found["relevance"]["count"]


@verifies("ANA-04")
def test_patterns_show_words_hours_and_lengths(client: httpx2.Client, asked: list[Wire], word: str) -> None:
    """The words of questions without function words, when they are asked, how long they are."""
    found = get(client, "patterns", limit="1000")

    terms = {one["term"]: one["asked"] for one in found["terms"]}
    assert terms[word] == 5 and "when" not in terms
    assert sum(one["asked"] for one in found["hours"]) >= len(asked)
    assert sum(one["asked"] for one in found["lengths"]) >= len(asked)
    assert found["mean_words"] > 1


@verifies("ANA-04")
def test_questions_that_mean_the_same_are_one_group(
    client: httpx2.Client, collection: str, word: str
) -> None:
    """Two wordings are together, another question is not with them."""
    client.post("/v1/collections", json={"name": collection})
    alike = [
        f"How do I reset the password of my {word} account?",
        f"How can I reset my {word} account password?",
    ]
    for question in (*alike, f"What does a ticket to {word} zoo cost?"):
        client.post("/v1/search", json={"query": question, "collections": [collection]})

    def group() -> set[str] | None:
        for one in get(client, "clusters", limit="1000")["clusters"]:
            found = {member["question"] for member in one["questions"]}
            if alike[0] in found:
                return found
        return None

    assert wait_until(group, LIMIT_S) == set(alike)


@verifies("ANA-01")
def test_errors_are_kept_without_words_of_the_request(
    client: httpx2.Client, asked: list[Wire], word: str
) -> None:
    """Type, code, service, operation, severity, where in the code; nothing of what was asked."""
    assert asked
    client.get(f"/v1/documents/{word}")
    operation = "GET /v1/documents/{document_id}"

    def newest() -> list[Wire] | None:
        found = get(client, "errors", limit="1000", service="http")["newest"]
        kinds = {(one["type"], one["operation"]) for one in found}
        is_there = ("DocumentNotFound", operation) in kinds and any(
            kind == "CollectionNotFound" for kind, _ in kinds
        )
        return found if is_there else None

    found = wait_until(newest, LIMIT_S)
    lost = next(one for one in found if (one["type"], one["operation"]) == ("DocumentNotFound", operation))

    assert (lost["message"], lost["severity"]) == ("No live document has this id.", "warning")
    assert "ragstone/service/documents.py:" in lost["stack"]
    assert word not in json.dumps(found)
    groups = get(client, "errors", type="DocumentNotFound")["groups"]
    assert any(one["type"] == "CollectionNotFound" and one["count"] >= 1 for one in groups)
    assert get(client, "errors", severity="critical")["newest"] == []


@verifies("ANA-06")
@pytest.mark.usefixtures("failed")  # first
@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_exported_in_every_format(client: httpx2.Client, asked: list[Wire], table: str) -> None:
    """CSV, JSON lines and Parquet hold the same rows, of the period that was asked for."""
    assert asked
    query = {"until": asked[0]["time"]}
    url = f"/v1/analytics/export/{table}"
    lines = client.get(url, params={**query, "format": "jsonl"}).text.splitlines()
    rows = [json.loads(line) for line in lines]
    table_of_csv = list(csv.DictReader(io.StringIO(client.get(url, params=query).text)))
    parquet = client.get(url, params={**query, "format": "parquet"}).content
    columns = pyarrow.parquet.read_table(io.BytesIO(parquet))

    key = "query_id" if table == "document_accesses" else "id"
    assert [row[key] for row in rows] == [row[key] for row in table_of_csv] == columns[key].to_pylist()
    assert columns.column_names[0] == "time" and (table == "system_metrics" or rows)
    assert all(row["time"] < asked[0]["time"] for row in rows)


@verifies("ANA-06")
def test_a_spreadsheet_works_nothing_out_of_an_export(client: httpx2.Client, word: str) -> None:
    """A question that begins like a formula is quoted in CSV, and as it was in JSON lines."""
    client.post("/v1/search", json={"query": f"=HYPERLINK({word})"})
    url = "/v1/analytics/export/query_logs"
    text = wait_until(lambda: found if word in (found := client.get(url).text) else None, LIMIT_S)

    (row,) = [row for row in csv.DictReader(io.StringIO(text)) if word in row["question"]]
    assert row["question"] == f"'=HYPERLINK({word})"
    assert f'"=HYPERLINK({word})"' in client.get(url, params={"format": "jsonl"}).text


@verifies("OPS-12")
def test_the_log_of_another_system_is_taken_in_once(client: httpx2.Client, word: str) -> None:
    """By columns that are mapped; what is no row is counted with its reason; a second time adds nothing."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    old = yesterday.isoformat(timespec="seconds")
    older, too_old = (int((yesterday - timedelta(days=days)).timestamp()) for days in (1, 365))
    lines = [
        json.dumps({"user_input": f"Old {word}?", "at": old, "latency_ms": 12, "user": word}),
        json.dumps({"user_input": f"Older {word}?", "at": older}),
        json.dumps({"user_input": f"Oldest {word}?", "at": too_old}),
        json.dumps({"user_input": "", "at": older}),
        json.dumps({"user_input": "No time?"}),
        "no json",
    ]
    query = {"format": "jsonl", "mapping": json.dumps({"question": "user_input", "time": "at"})}
    url, body = "/v1/analytics/import", "\n".join(lines)
    tried = client.post(url, params={**query, "dry_run": "true"}, content=body).json()
    known_before = get(client, "requests", user=word)["requests"]
    first = client.post(url, params=query, content=body).json()
    again = client.post(url, params=query, content=body).json()

    refused = {one["reason"]: one["lines"] for one in first["refused"]}
    assert (tried["is_dry_run"], tried["added"], known_before) == (True, first["added"], [])
    assert (first["read"], first["added"], again["added"], again["known"]) == (6, 2, 0, 2)
    assert refused == {
        "older than analytics.retention_days": [3],
        "no question": [4],
        "no time": [5],
        "not a JSON object": [6],
    }
    (row,) = get(client, "requests", user=word)["requests"]
    assert (row["question"], row["total_ms"], row["door"]) == (f"Old {word}?", 12, "import")
    assert client.delete("/v1/queries", params={"user": word}).json()["logged"] == 1


@verifies("ANA-06")
def test_one_question_is_erased_from_the_log(client: httpx2.Client, asked: list[Wire], word: str) -> None:
    """Its rows and accesses go, in every export; the others stay."""
    question = asked[-1]["question"]
    tracked = {"prefix": question, "limit": "1"}
    wait_until(lambda: client.get("/v1/queries/popular", params=tracked).json()["queries"] or None, LIMIT_S)
    erased = client.delete("/v1/queries", params={"q": question}).json()
    left = client.get("/v1/analytics/export/query_logs", params={"format": "jsonl"}).text
    accesses = client.get("/v1/analytics/export/document_accesses", params={"format": "jsonl"}).text

    assert (erased["erased"], erased["logged"]) == (1, 3)
    assert question not in left and f"lost {word}" in left
    assert not any(row["id"] in accesses for row in asked[-3:])


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("questions", {"kind": "odd"}, "kind"),
        ("statistics", {"since": "2026-01-02", "until": "2026-01-01"}, "empty"),
        ("statistics", {"dayz": "3"}, "dayz"),
        ("documents", {"limit": "0"}, "limit"),
        ("export/secrets", {}, "table"),
        ("export/query_logs", {"format": "xml"}, "format"),
    ],
)
def test_wrong_requests_are_refused(
    client: httpx2.Client, path: str, query: dict[str, str], said: str
) -> None:
    """With the value and the fix."""
    refused = client.get(f"/v1/analytics/{path}", params=query)

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert said in refused.json()["detail"]


def test_a_mapping_of_unknown_fields_is_refused(client: httpx2.Client) -> None:
    """The answer names the fields that there are."""
    url = "/v1/analytics/import"
    unknown = client.post(url, params={"mapping": '{"qestion": "x"}'}, content="{}")
    broken = client.post(url, params={"mapping": "[1]"}, content="{}")
    two = client.delete("/v1/queries", params={"user": "a", "client": "b"})

    assert "'qestion'" in unknown.json()["detail"] and "question" in unknown.json()["detail"]
    assert "JSON object" in broken.json()["detail"]
    assert (two.status_code, "Name one" in two.json()["detail"]) == (422, True)
