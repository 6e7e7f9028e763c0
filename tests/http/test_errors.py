"""Bad input over HTTP: the right status, a stable code, a sentence that names the value and the fix."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from tests.http.test_documents import add, hits
from tests.requirements import verifies
from tests.support.waiting import wait_until
from tests.support.wellness import all_well

Wire = dict[str, object]
JOB_LIMIT_S = 120.0

HUGE_CURSOR = base64.urlsafe_b64encode(json.dumps(["size_bytes", 10**40, 1]).encode()).decode()
HUGE_KEY_CURSOR = base64.urlsafe_b64encode(json.dumps(["title", "a", 10**40]).encode()).decode()

DEEP: dict[str, object] = {"type": "eq", "key": "k", "value": 1}
for _ in range(300):
    DEEP = {"type": "and", "filters": [DEEP]}

ERRORS_PAGE = Path(__file__).parents[2] / "docs" / "errors.md"

CASES: list[tuple[str, str, object, int, str, str]] = [
    ("POST", "/v1/search", {"query": ""}, 422, "invalid_request", "empty"),
    ("POST", "/v1/search", {"query": "x" * 9000}, 422, "invalid_request", "9000"),
    ("POST", "/v1/search", {"query": "a", "mode": "psychic"}, 422, "invalid_request", "psychic"),
    ("POST", "/v1/search", {"query": "a", "top_k": 0}, 422, "invalid_request", "top_k"),
    ("POST", "/v1/search", {"query": "a", "top_k": 101}, 422, "invalid_request", "101"),
    (
        "POST",
        "/v1/search",
        {"query": "a", "collections": ["nowhere"]},
        404,
        "collection_not_found",
        "nowhere",
    ),
    ("POST", "/v1/search", {"query": "a", "filters": {"type": "like"}}, 422, "invalid_filter", "like"),
    (
        "POST",
        "/v1/search",
        {"query": "a", "filters": {"type": "eq", "key": "k"}},
        422,
        "invalid_filter",
        "value",
    ),
    ("POST", "/v1/search", {"query": "a", "bogus": 1}, 422, "invalid_request", "bogus"),
    (
        "POST",
        "/v1/search",
        {"query": "a", "weights": {"lexical": 0, "dense": 0}},
        422,
        "invalid_request",
        "weights",
    ),
    ("POST", "/v1/search", {}, 422, "invalid_request", "query"),
    ("POST", "/v1/ask", {"question": " "}, 422, "invalid_request", "empty"),
    ("POST", "/v1/documents", {"text": "   "}, 422, "empty_document", "white space"),
    (
        "POST",
        "/v1/documents",
        {"text": "a", "collection": "Not A Name"},
        422,
        "invalid_request",
        "Not A Name",
    ),
    (
        "POST",
        "/v1/documents",
        {"text": "a", "metadata": {"x": "y" * 70_000}},
        422,
        "invalid_request",
        "metadata",
    ),
    ("GET", "/v1/documents/nope", None, 404, "document_not_found", "nope"),
    ("PUT", "/v1/documents/nope", {"text": "a"}, 404, "document_not_found", "nope"),
    ("DELETE", "/v1/documents/nope", None, 404, "document_not_found", "nope"),
    ("GET", "/v1/documents?cursor=banana", None, 422, "invalid_request", "banana"),
    ("GET", f"/v1/documents?sort=size_bytes&cursor={HUGE_CURSOR}", None, 422, "invalid_request", "cursor"),
    ("GET", f"/v1/documents?sort=title&cursor={HUGE_KEY_CURSOR}", None, 422, "invalid_request", "cursor"),
    ("POST", "/v1/documents/import", {"path": "a\0b"}, 422, "invalid_request", "no path"),
    ("POST", "/v1/documents/import", {"path": "~nobody-here/a"}, 422, "invalid_request", "no path"),
    ("GET", "/v1/chunks/nope", None, 404, "chunk_not_found", "nope"),
    ("GET", "/v1/jobs/nope", None, 404, "job_not_found", "nope"),
    ("DELETE", "/v1/collections/nowhere", None, 404, "collection_not_found", "nowhere"),
    ("GET", "/v1/nothing-here", None, 404, "not_found", "nothing-here"),
    (
        "POST",
        "/v1/search",
        {"query": "a", "expand": "x"},
        422,
        "invalid_request",
        "expand is 'x'; it is \"sec",
    ),
    ("POST", "/v1/search", {"query": "a", "filters": DEEP}, 422, "invalid_filter", "flatten"),
    (
        "POST",
        "/v1/search",
        {"query": "a", "filters": {"type": "ne", "key": "$sorce", "value": "a"}},
        422,
        "invalid_filter",
        "There is no '$sorce'; did you mean '$source'?",
    ),
    ("GET", "/v1/collections/default/statistics?by=$mood", None, 422, "invalid_filter", "no '$mood'"),
    ("POST", "/v1/search", {"query": None}, 422, "invalid_request", "query is null"),
    (
        "POST",
        "/v1/documents",
        ["a"],
        422,
        "invalid_request",
        "The body is ['a']: Input should be a JSON object.",
    ),
    ("GET", "/v1/documents?limit=0", None, 422, "invalid_request", "limit is '0'"),
    ("GET", "/v1/queries/similar", None, 422, "invalid_request", "The parameter 'q' is missing."),
    ("DELETE", "/v1/queries?q=a&user=b", None, 422, "invalid_request", "Name one of q, client and user."),
    (
        "GET",
        "/v1/analytics/statistics?since=2030-01-01&until=2020-01-01",
        None,
        422,
        "invalid_request",
        "begins at 2030-01-01T00:00:00+00:00 and ends at 2020-",
    ),
    ("GET", "/v1/documents?colection=a", None, 422, "invalid_request", "did you mean 'collection'?"),
    (
        "GET",
        "/v1/analytics/errors?kind=a",
        None,
        422,
        "invalid_request",
        "There are: days, since, until, limit,",
    ),
    ("GET", "/v1/collections?limit=2", None, 422, "invalid_request", "takes none"),
    ("PATCH", "/v1/search", {}, 405, "method_not_allowed", "PATCH"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code", "fragment"), CASES)
def test_bad_request_is_one_problem(
    client: httpx2.Client, method: str, path: str, body: object, status: int, code: str, fragment: str
) -> None:
    """Every refusal is problem+json with status, code, request id, and a detail that names the value."""
    response = client.request(method, path, json=body, headers={"x-request-id": "test-42"})

    problem = response.json()
    assert (response.status_code, problem["code"], problem["status"]) == (status, code, status)
    assert fragment in problem["detail"]
    assert f"| `{code}` | {status} |" in ERRORS_PAGE.read_text("utf-8")
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == response.headers["x-request-id"] == "test-42"
    assert problem["path"] == path.partition("?")[0]
    assert problem["retryable"] is False


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        (b"{broken", "application/json", 400, "invalid_json"),
        (b"[" * 100_000, "application/json", 400, "invalid_json"),
        (b"\xff\xfe\x00", "application/json", 400, "invalid_json"),
        (b"hello", "text/plain", 415, "invalid_media_type"),
        (b"", "multipart/form-data; boundary=x", 422, "invalid_request"),
    ],
)
def test_bodies_that_are_not_what_they_say(
    client: httpx2.Client, content: bytes, content_type: str, status: int, code: str
) -> None:
    """Malformed bodies are refused before anything is stored."""
    response = client.post("/v1/documents", content=content, headers={"content-type": content_type})

    assert (response.status_code, response.json()["code"]) == (status, code)


def test_a_misspelt_parameter_does_not_widen_a_removal(client: httpx2.Client, collection: str) -> None:
    """Without the refusal the filter would remove from the default collection, and every cache be emptied."""
    added = client.post("/v1/documents", json={"text": f"The bittern of {collection} booms."}).json()
    chosen = json.dumps({"type": "eq", "key": "$document_id", "value": added["id"]})

    removal = client.delete("/v1/documents", params={"filter": chosen, "colection": collection})
    clearing = client.delete("/v1/cache", params={"caches": "answer"})

    assert (removal.status_code, clearing.status_code) == (422, 422)
    assert "did you mean 'collection'?" in removal.json()["detail"]
    assert client.delete(f"/v1/documents/{added['id']}").status_code == 200


def test_a_misspelt_property_removes_nothing(client: httpx2.Client, collection: str) -> None:
    """No document has it as metadata, so every one would have another value than the one named."""
    added = client.post("/v1/documents", json={"text": "The ruff leks.", "collection": collection}).json()
    chosen = json.dumps({"type": "ne", "key": "$sorce", "value": "a"})

    removal = client.delete("/v1/documents", params={"filter": chosen, "collection": collection})

    assert (removal.status_code, removal.json()["code"]) == (422, "invalid_filter")
    assert client.get(f"/v1/documents/{added['id']}").status_code == 200


def test_the_type_of_a_body_is_read_without_regard_to_case(client: httpx2.Client, collection: str) -> None:
    """Media types are the same in capitals (RFC 9110, 8.3.1)."""
    body = json.dumps({"text": "The curlew calls.", "collection": collection})

    response = client.post("/v1/documents", content=body, headers={"content-type": "Application/JSON"})

    assert response.status_code == 201


def test_foreign_hosts_and_pages_are_refused(client: httpx2.Client) -> None:
    """Without keys the server answers only to loopback names, and never to pages of other sites."""
    rebound = client.get("/v1/collections", headers={"host": "evil.example"})
    foreign = client.post("/v1/documents", json={"text": "a"}, headers={"origin": "https://evil.example"})
    own = client.get("/v1/collections", headers={"origin": "http://localhost:3000"})

    assert (rebound.status_code, rebound.json()["code"]) == (421, "refused")
    assert (foreign.status_code, foreign.json()["code"]) == (403, "refused")
    assert own.status_code == 200
    assert not [name for name in own.headers if name.startswith("access-control")]


def test_several_files_give_one_result_each(
    client: httpx2.Client, collection: str, data_folder: Path
) -> None:
    """A broken, an encrypted and an unknown file fail with their reason; the files next to them get in."""
    hostile = data_folder / "hostile"
    files = [
        ("file", ("good.md", b"# Good\n\nThe axolotl regrows limbs.")),
        ("file", ("empty.txt", b"")),
        ("file", ("unknown.bin", bytes(range(256)) * 8)),
        (
            "file",
            ("secret.pdf", (hostile / "pypdf-sample-files-libreoffice-writer-password.pdf").read_bytes()),
        ),
        ("file", ("broken.docx", (hostile / "tika-testWORD_truncated.docx").read_bytes())),
        ("file", ("program.pdf", b"MZ" + bytes(2000))),
        ("file", ("also-good.txt", b"The platypus lays eggs.")),
    ]

    response = client.post("/v1/documents", files=files, data={"collection": collection})

    results = {result["name"]: result for result in response.json()["results"]}
    assert response.status_code == 207
    codes = {
        name: result["error"]["code"] for name, result in results.items() if result["status"] == "failed"
    }
    assert codes == {
        "empty.txt": "empty_document",
        "unknown.bin": "invalid_file_type",
        "secret.pdf": "encrypted_document",
        "broken.docx": "broken_document",
        "program.pdf": "invalid_file_type",
    }
    listed = client.get("/v1/documents", params={"collection": collection}).json()["documents"]
    assert sorted(document["source"] for document in listed) == ["also-good.txt", "good.md"]
    assert hits(client, collection, "axolotl")[0]["title"] == "Good"


def test_zip_bomb_is_refused(client: httpx2.Client, collection: str) -> None:
    """300 MB of zeros inside a DOCX are refused by their size, and the server goes on."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", bytes(300 * 2**20))

    response = client.post(
        "/v1/documents", files={"file": ("bomb.docx", packed.getvalue())}, data={"collection": collection}
    )

    assert (response.status_code, response.json()["code"]) == (422, "parser_limit_exceeded")
    assert all_well(client)["ready"] is True
    assert client.get("/v1/documents", params={"collection": collection}).status_code == 404


@verifies("ING-18")
def test_the_same_text_twice_is_one_document(client: httpx2.Client, collection: str) -> None:
    """Equal bytes are one document; a changed source replaces; a delete does not stand in the way."""
    first = add(client, collection, "The same text.")
    again = client.post("/v1/documents", json={"text": "The same text.", "collection": collection})
    client.delete(f"/v1/documents/{first['id']}")
    after = add(client, collection, "The same text.")

    assert (again.status_code, again.json()["id"], again.json()["status"]) == (200, first["id"], "unchanged")
    assert after["id"] != first["id"]
    sourced = add(client, collection, "Version one.", source="page")
    replaced = client.post(
        "/v1/documents", json={"text": "Version two.", "collection": collection, "source": "page"}
    )
    assert (replaced.status_code, replaced.json()["id"], replaced.json()["version"]) == (
        200,
        sourced["id"],
        2,
    )


@pytest.mark.parametrize("field", ["collection", "source"])
def test_a_replacement_does_not_move_a_document(client: httpx2.Client, collection: str, field: str) -> None:
    """A field that a replacement would not heed is refused, in a form as in JSON."""
    written = add(client, collection, "Whales sing.")
    files = {"file": ("whales.md", b"Whales dive.")}

    refused = client.put(f"/v1/documents/{written['id']}", files=files, data={field: "elsewhere"})

    assert refused.status_code == 422
    assert field in refused.json()["detail"]


@verifies("ING-20")
def test_metadata_is_edited_without_embedding(client: httpx2.Client, collection: str) -> None:
    """PATCH changes title and metadata, at once visible in hits and filters, and embeds nothing."""
    written = add(client, collection, "Whales sing.", metadata={"year": 2020})
    embedded = _stage_count(client, "embed")

    edited = client.patch(
        f"/v1/documents/{written['id']}", json={"title": "Song", "metadata": {"year": 2024}}
    )

    assert (edited.json()["title"], edited.json()["metadata"]) == ("Song", {"year": 2024})
    found = hits(client, collection, "whales", filters={"type": "gte", "key": "year", "value": 2024})
    assert [hit["title"] for hit in found] == ["Song"]
    assert hits(client, collection, "whales", filters={"type": "eq", "key": "year", "value": 2020}) == []
    assert _stage_count(client, "embed") == embedded


def test_slow_upload_becomes_a_job(client: httpx2.Client, collection: str, data_folder: Path) -> None:
    """With wait_s=0 an upload is answered with 202 and ends ready under the id that was promised."""
    content = (data_folder / "files/pdf/unstructured-layout-parser-paper-with-table.pdf").read_bytes()

    response = client.post(
        "/v1/documents",
        files={"file": (f"{uuid4().hex}.pdf", content)},
        data={"collection": collection, "wait_s": "0"},
    )

    accepted = response.json()
    assert response.status_code == 202
    job = _finished_job(client, accepted["job_id"])
    assert (job["state"], job["document_id"]) == ("ready", accepted["document_id"])
    assert client.get(f"/v1/documents/{accepted['document_id']}").status_code == 200


def _finished_job(client: httpx2.Client, job_id: str) -> Wire:
    def look() -> Wire | None:
        job: Wire = client.get(f"/v1/jobs/{job_id}").json()
        return None if job["state"] in ("queued", "running") else job

    return wait_until(look, JOB_LIMIT_S)


def _stage_count(client: httpx2.Client, stage: str) -> float:
    name = f'ragstone_stage_duration_seconds_count{{operation="ingest",stage="{stage}"}}'
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))
