"""Search over HTTP: identifiers, scripts, filters, weights, scores, timings."""

from __future__ import annotations

import httpx2
import pytest

from tests.http.test_documents import add, hits
from tests.requirements import verifies
from tests.support.process import Server

IDENTIFIERS = {
    "snake_case": "Set max_retry_count in the job table.",
    "C#": "The service was rewritten in C# last year.",
    "C++": "The parser core is C++ without exceptions.",
    "k8s": "We deploy on k8s with two replicas.",
    "ISSUE-1234": "ISSUE-1234 tracks the broken login.",
    "ISSUE-1235": "ISSUE-1235 tracks the slow login.",
    "zh": "檢索增強生成結合了搜尋引擎與語言模型。",
    "ja": "東京都の図書館は月曜日に休みます。",
    "ko": "도서관은 월요일에 문을 닫습니다.",
}


@pytest.fixture(scope="module")
def mixed(server: Server) -> str:
    """A collection with identifiers and several scripts."""
    for name, text in IDENTIFIERS.items():
        add(server.client, "mixed", text, title=name)
    return "mixed"


@verifies("RET-03")
@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("max_retry_count", "snake_case"),
        ("C#", "C#"),
        ("C++", "C++"),
        ("k8s", "k8s"),
        ("ISSUE-1234", "ISSUE-1234"),
        ("issue-1235", "ISSUE-1235"),
        ("語言模型", "zh"),
        ("図書館", "ja"),
        ("도서관", "ko"),
    ],
)
def test_identifiers_and_cjk_words_are_found(
    client: httpx2.Client, mixed: str, query: str, title: str
) -> None:
    """The exact identifier or word ranks first, by words alone and in hybrid."""
    for mode in ("lexical", "hybrid"):
        assert hits(client, mixed, query, mode=mode)[0]["title"] == title


@verifies("RET-07")
@pytest.mark.parametrize("mode", ["hybrid", "lexical", "dense"])
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"type": "eq", "key": "year", "value": 2023}, {"b"}),
        ({"type": "ne", "key": "year", "value": 2023}, {"a", "c", "d"}),
        ({"type": "gt", "key": "year", "value": 2022}, {"b", "c"}),
        ({"type": "lte", "key": "year", "value": 2022.5}, {"a"}),
        ({"type": "in", "key": "tag", "value": ["x", "z"]}, {"a", "c"}),
        ({"type": "nin", "key": "tag", "value": ["x", "z"]}, {"b", "d"}),
        ({"type": "exists", "key": "year", "value": False}, {"d"}),
        ({"type": "eq", "key": "deep.er", "value": True}, {"c"}),
        ({"type": "eq", "key": "$title", "value": "a"}, {"a"}),
        (
            {
                "type": "and",
                "filters": [
                    {"type": "gte", "key": "year", "value": 2022},
                    {"type": "not", "filters": [{"type": "eq", "key": "tag", "value": "x"}]},
                ],
            },
            {"b", "c"},
        ),
        (
            {
                "type": "or",
                "filters": [
                    {"type": "eq", "key": "tag", "value": "x"},
                    {"type": "eq", "key": "tag", "value": "y"},
                ],
            },
            {"a", "b"},
        ),
    ],
)
def test_filters_hold_in_both_legs(
    client: httpx2.Client, filtered: str, mode: str, filters: object, expected: set[str]
) -> None:
    """Only documents that match come back, in every mode, and all of them do."""
    found = hits(client, filtered, "otters swim in rivers", mode=mode, filters=filters)

    assert {hit["title"] for hit in found} == expected


@pytest.fixture(scope="module")
def filtered(server: Server) -> str:
    """Four documents that differ in metadata."""
    for title, metadata in (
        ("a", {"year": 2022, "tag": "x"}),
        ("b", {"year": 2023, "tag": "y"}),
        ("c", {"year": 2024, "tag": "z", "deep": {"er": True}}),
        ("d", {}),
    ):
        add(
            server.client, "filtered", f"Otters swim in rivers, says {title}.", title=title, metadata=metadata
        )
    return "filtered"


def test_scores_explain_the_ranking(client: httpx2.Client, mixed: str) -> None:
    """With explain each hit shows rank, score and share in each leg; the fused score is the mean share."""
    found = hits(client, mixed, "broken login", explain=True)

    assert found[0]["title"] == "ISSUE-1234"
    for hit in found:
        scores = hit["scores"]
        assert isinstance(scores, dict)
        shares = [scores[leg]["share"] if scores[leg] else 0.0 for leg in ("lexical", "dense")]
        assert all(0 <= share <= 1 for share in shares)
        assert hit["score"] == scores["fused"] == pytest.approx(sum(shares) / 2)
    fused = [float(str(hit["score"])) for hit in found]
    assert fused == sorted(fused, reverse=True)


def test_weights_move_the_ranking(client: httpx2.Client, mixed: str) -> None:
    """A leg of weight 0 has no say: the order is the other leg's."""
    for leg, other in (("lexical", "dense"), ("dense", "lexical")):
        weighted = hits(client, mixed, "slow login", weights={leg: 1, other: 0})
        alone = hits(client, mixed, "slow login", mode=leg)
        assert [hit["chunk_id"] for hit in weighted] == [hit["chunk_id"] for hit in alone]


@verifies("RET-08")
def test_several_collections_are_merged(client: httpx2.Client, collection: str) -> None:
    """A search over two collections finds both, each hit named with its collection."""
    add(client, collection, "The heron waits.", title="one")
    add(client, f"{collection}-2", "The heron strikes.", title="two")

    body = {"query": "heron", "collections": [collection, f"{collection}-2"]}
    found = client.post("/v1/search", json=body).json()["hits"]

    assert {(hit["title"], hit["collection"]) for hit in found} == {
        ("one", collection),
        ("two", f"{collection}-2"),
    }


def test_response_names_version_timings_and_headers(client: httpx2.Client, collection: str) -> None:
    """The version is that of the collection's last change; stages are timed in body, header and metrics."""
    written = add(client, collection, "Timing matters.")

    response = client.post("/v1/search", json={"query": "timing", "collections": [collection]})

    body = response.json()
    assert body["corpus_version"] == written["corpus_version"]
    assert body["degraded"] == []
    assert {"lexical", "dense", "embed_query", "fuse", "hydrate", "total"} <= body["timings"].keys()
    assert "lexical;dur=" in response.headers["server-timing"]
    assert float(response.headers["x-process-time"]) > 0
    metrics = client.get("/metrics").text
    assert 'ragstone_stage_duration_seconds_count{operation="search",stage="lexical"}' in metrics
    assert 'ragstone_http_requests_total{method="POST",route="/v1/search",status="200"}' in metrics


def test_spans_resolve_in_the_stored_text(client: httpx2.Client, collection: str) -> None:
    """stored_text[start:end] is the hit's text, in code points, whatever the characters."""
    text = (
        "# Überschrift 🦀\r\n\r\nA\u0301 🇩🇪 emoji \U0001f469\u200d\U0001f467 and 漢字.\r\n\r\n"
        "## Zwei\r\n\r\nMore \ufeff text\x00 here."
    )
    written = add(client, collection, text)
    stored = client.get(f"/v1/documents/{written['id']}/text").json()["text"]

    for hit in hits(client, collection, "emoji text"):
        span = hit["span"]
        assert isinstance(span, dict)
        assert stored[span["start"] : span["end"]] == hit["text"]
    assert "\r" not in stored
    assert "\x00" not in stored


@verifies("RET-04")
def test_ranks_can_be_fused_instead_of_scores(client: httpx2.Client, mixed: str) -> None:
    """With fusion rrf each score is the sum of weight / (60 + rank) over the legs."""
    weights = {"lexical": 2.0, "dense": 0.5}

    found = hits(client, mixed, "broken login", explain=True, fusion="rrf", weights=weights)

    for hit in found:
        scores = hit["scores"]
        assert isinstance(scores, dict)
        expected = sum(weight / (60 + scores[leg]["rank"]) for leg, weight in weights.items() if scores[leg])
        assert hit["score"] == pytest.approx(expected)


@verifies("RET-03")
def test_a_collection_is_stemmed_in_its_language(client: httpx2.Client, collection: str) -> None:
    """A German collection finds the plural by the singular, which an English stemmer does not."""
    client.post("/v1/collections", json={"name": collection, "language": "de"})
    add(client, collection, "Die alten Häuser stehen am Fluss.")
    add(client, f"{collection}-en", "Die alten Häuser stehen am Fluss.")

    assert len(hits(client, collection, "Haus", mode="lexical")) == 1
    assert hits(client, f"{collection}-en", "Haus", mode="lexical") == []


@verifies("CAC-01")
def test_a_repeated_query_is_not_embedded_again(client: httpx2.Client, collection: str) -> None:
    """The second time the query's vector comes from the cache, and gives the same scores."""
    add(client, collection, "Storks nest on chimneys.")
    before = _embeddings(client)

    # Another top_k, so that the second is no repeated search.
    first, second = (hits(client, collection, f"storks {collection}", top_k=top_k) for top_k in (10, 9))

    after = _embeddings(client)
    assert (after["model"] - before["model"], after["cache"] - before["cache"]) == (1, 1)
    assert [hit["score"] for hit in first] == [hit["score"] for hit in second]


def _embeddings(client: httpx2.Client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    name = "ragstone_query_embeddings_total"
    return {
        source: next(
            float(line.split()[1]) for line in lines if line.startswith(f'{name}{{source="{source}"}}')
        )
        for source in ("cache", "model")
    }
