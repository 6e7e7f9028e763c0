"""A leg that is really broken: the other one answers, and the response says so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from ragstone.models.card import BUNDLED_FOLDER
from tests.support.process import Server, run_command, running_server

TEXT = "The quokka sleeps in the afternoon."


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    """A server of the test's own: its index will be broken."""
    with running_server(home) as server:
        yield server


def test_a_broken_lexical_index_leaves_the_dense_leg(home: Path, server: Server) -> None:
    """With the index's folder replaced by a file, writes still succeed and meaning still finds them.

    Health says it, and a restart with the obstacle gone rebuilds the index.
    """
    client = server.client
    add(client, "The narwhal swims under the ice.")
    break_lexical_index(home)

    added = add(client, TEXT)

    found = search(client, "quokka")
    assert found["degraded"] == ["lexical:failed"]
    assert hit_ids(found)[0] == added["id"]
    assert search(client, "quokka", mode="dense")["degraded"] == []
    refused = client.post("/v1/search", json={"query": "quokka", "mode": "lexical"})
    assert (refused.status_code, refused.json()["code"]) == (503, "index_failed")
    answer = client.post("/v1/ask", json={"question": "When does the quokka sleep?"}).json()
    assert answer["degraded"] == ["lexical:failed"]
    assert answer["citations"][0]["quote"] == TEXT
    assert health(client)["components"]["indexes"]["status"] == "degraded"  # type: ignore[index]


def test_a_lexical_index_heals_when_the_obstacle_is_gone(home: Path, server: Server) -> None:
    """The next write after the obstacle is removed rebuilds the index; nothing is degraded any more."""
    obstacle = break_lexical_index(home)
    add(server.client, TEXT)
    assert search(server.client, "quokka")["degraded"] == ["lexical:failed"]

    obstacle.unlink()
    added = add(server.client, "The narwhal swims under the ice.")

    for query, count in (("quokka", 1), ("narwhal", 1)):
        found = search(server.client, query, mode="lexical")
        assert (found["degraded"], len(hit_ids(found))) == ([], count)
    assert hit_ids(search(server.client, "narwhal"))[0] == added["id"]
    assert health(server.client)["status"] == "ok"


def test_a_broken_model_leaves_the_lexical_leg(home: Path, tmp_path: Path) -> None:
    """A server whose model file is cut off finds words, refuses meaning and documents, and says why."""
    assert run_command("add", write(tmp_path / "animals.md", TEXT), home=home).exit_code == 0
    broken = cut_model(tmp_path / "model")

    with running_server(home, {"RAGSTONE_MODELS__EMBEDDING_PATH": str(broken)}) as server:
        client = server.client
        found = search(client, "quokka")
        dense = client.post("/v1/search", json={"query": "quokka", "mode": "dense"})
        added = client.post("/v1/documents", json={"text": "The narwhal swims under the ice."})
        uploaded = client.post("/v1/documents", files={"file": ("narwhal.md", b"The narwhal swims.")})
        documents = client.get("/v1/documents").json()["documents"]
        reported = health(client)

    assert found["degraded"] == ["dense:failed"]
    assert len(hit_ids(found)) == 1
    assert (dense.status_code, dense.json()["code"]) == (503, "embedding_failed")
    assert str(broken) in dense.json()["detail"]
    for refused in (added, uploaded):
        assert refused.status_code >= 400, refused.text
        assert refused.json()["code"] in ("embedding_failed", "model_mismatch")
    assert [document["title"] for document in documents] == ["animals.md"]
    assert reported["status"] == "degraded"
    assert str(broken) in str(reported)
    assert run_command("check", home=home).exit_code == 0


def test_a_broken_model_on_a_new_home_stores_nothing(home: Path, tmp_path: Path) -> None:
    """The first start of all, with a broken model: adding fails with the reason, exit code 1."""
    broken = {"RAGSTONE_MODELS__EMBEDDING_PATH": str(cut_model(tmp_path / "model"))}

    added = run_command("add", write(tmp_path / "animals.md", TEXT), "--json", home=home, environ=broken)

    assert added.exit_code == 1
    (result,) = cast("list[dict[str, Any]]", added.json["results"])
    assert result["status"] == "failed"
    assert result["error"]["code"] == "embedding_failed"
    assert "model.onnx" in result["error"]["message"]
    listed = run_command("docs", "list", "--json", home=home)
    assert listed.json == {"documents": []}
    assert run_command("add", tmp_path / "animals.md", home=home).exit_code == 0


def break_lexical_index(home: Path) -> Path:
    """Put a file where the running server keeps the only collection's lexical index."""
    (folder,) = (path for path in (home / "index" / "0").iterdir() if path.is_dir())
    shutil.rmtree(folder)
    folder.write_bytes(b"in the way")
    return folder


def cut_model(folder: Path) -> Path:
    """A copy of the bundled model whose graph file is cut off."""
    shutil.copytree(BUNDLED_FOLDER, folder)
    with (folder / "model.onnx").open("r+b") as graph:
        graph.truncate(100_000)
    return folder


def write(path: Path, text: str) -> Path:
    """A file with a text."""
    path.write_text(text, "utf-8")
    return path


def add(client: httpx2.Client, text: str) -> dict[str, object]:
    """Add a text; the response's body."""
    response = client.post("/v1/documents", json={"text": text})
    assert response.status_code == 201, response.text
    added: dict[str, object] = response.json()
    return added


def search(client: httpx2.Client, query: str, mode: str = "hybrid") -> dict[str, object]:
    """The result of a search."""
    response = client.post("/v1/search", json={"query": query, "mode": mode})
    assert response.status_code == 200, response.text
    result: dict[str, object] = response.json()
    return result


def hit_ids(result: dict[str, object]) -> list[object]:
    """The documents of the hits."""
    return [hit["document_id"] for hit in result["hits"]]  # type: ignore[attr-defined]


def health(client: httpx2.Client) -> dict[str, object]:
    """What /health says."""
    found: dict[str, object] = client.get("/health").json()
    return found
