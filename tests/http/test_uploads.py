"""Files over HTTP: limits while streaming, encodings, originals that come and go with their documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.http.test_documents import hits
from tests.requirements import verifies
from tests.support.process import running_server

LIMITS = {"RAGSTONE_INGEST__MAX_FILE_BYTES": "20000", "RAGSTONE_LIMITS__REQUEST_MAX_BYTES": "60000"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx2.Client, Path]]:
    """A server with small limits, and its home."""
    home = tmp_path_factory.mktemp("small") / "home"
    with running_server(home, LIMITS) as server:
        yield server.client, home


@verifies("ING-10")
def test_sizes_and_types_are_checked(small: tuple[httpx2.Client, Path]) -> None:
    """A file over its limit, a body over the whole limit (with or without a length), and a type that the
    content does not have are refused; nothing is stored.
    """
    client, home = small

    large = client.post("/v1/documents", files={"file": ("a.txt", b"word " * 5_000)})
    huge = client.post("/v1/documents", files={"file": ("b.txt", b"word " * 20_000)})
    streamed = client.post(
        "/v1/documents", content=_endless(), headers={"content-type": "multipart/form-data; boundary=x"}
    )
    lying = client.post("/v1/documents", files={"file": ("c.pdf", b"\x7fELF" + bytes(400))})

    assert (large.status_code, large.json()["code"]) == (413, "file_too_large")
    assert (huge.status_code, huge.json()["code"]) == (413, "request_too_large")
    assert (streamed.status_code, streamed.json()["code"]) == (413, "request_too_large")
    assert (lying.status_code, lying.json()["code"]) == (415, "invalid_file_type")
    assert client.get("/v1/documents").json()["documents"] == []
    assert _originals(home) == []


@verifies("ING-09")
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1", "cp1252", "shift_jis", "koi8-r"])
def test_encodings_are_detected(client: httpx2.Client, collection: str, encoding: str) -> None:
    """A text is found by its words whatever its encoding; broken bytes cost a warning, not the document."""
    texts = {
        "shift_jis": "図書館は九時に開きます。" * 20,
        "koi8-r": "Библиотека открывается в девять часов. " * 20,
    }
    text = texts.get(encoding, "Die Bücherei öffnet früh; das Café später. " * 20)
    word = {"shift_jis": "図書館", "koi8-r": "библиотека"}.get(encoding, "bücherei")

    written = client.post(
        "/v1/documents",
        files={"file": ("a.txt", text.encode(encoding))},
        data={"collection": collection},
    )
    broken = client.post(
        "/v1/documents",
        files={"file": ("b.txt", b"Badgers dig \xff\xfe\x80 setts. " * 5)},
        data={"collection": collection},
    )

    assert written.status_code == 201
    assert word in str(hits(client, collection, word, mode="lexical")[0]["text"]).lower()
    assert broken.status_code == 201
    assert "Badgers dig" in str(hits(client, collection, "badgers", mode="lexical")[0]["text"])


@verifies("ING-22")
def test_deletes_leave_nothing_behind(small: tuple[httpx2.Client, Path]) -> None:
    """By id, by filter or with its collection: no row, no hit in any mode, no original on the disk."""
    client, home = small
    for name in ("one", "two", "three"):
        form = {"collection": "gone", "metadata": f'{{"name": "{name}"}}'}
        added = client.post(
            "/v1/documents", files={"file": (f"{name}.txt", f"Secret {name}.".encode())}, data=form
        )
        assert added.status_code == 201
    listed = client.get("/v1/documents", params={"collection": "gone"}).json()["documents"]
    assert len(_originals(home)) == 3

    by_id = client.delete(f"/v1/documents/{listed[0]['id']}")
    by_filter = client.delete(
        "/v1/documents",
        params={"collection": "gone", "filter": '{"type": "eq", "key": "name", "value": "two"}'},
    )

    assert by_filter.json()["removed"] == 1
    for removed, gone in ((by_id, listed[0]), (by_filter, listed[1])):
        receipt = removed.json()["receipt"]
        assert [found["id"] for found in receipt["documents"]] == [gone["id"]]
        assert (receipt["document_count"], receipt["chunk_count"], len(receipt["originals"])) == (1, 1, 1)
        assert receipt["corpus_version"] == removed.json()["corpus_version"]
    for mode in ("lexical", "dense", "hybrid"):
        assert [hit["text"] for hit in hits(client, "gone", "secret", mode=mode)] == ["Secret three."]
    assert len(_originals(home)) == 1
    removed = client.delete("/v1/collections/gone")
    assert removed.status_code == 200
    assert [found["id"] for found in removed.json()["receipt"]["documents"]] == [listed[2]["id"]]
    assert len(removed.json()["receipt"]["originals"]) == 1
    assert client.post("/v1/search", json={"query": "secret", "collections": ["gone"]}).status_code == 404
    assert _originals(home) == []


def _originals(home: Path) -> list[Path]:
    return [path for path in (home / "blobs").rglob("*") if path.is_file()]


def _endless() -> Iterator[bytes]:
    yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    for _ in range(100):
        yield b"word " * 1_000
