"""Several processes over one home: two servers, commands through a server and beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import httpx2
import pytest

from tests.support.process import COMMAND_LIMIT_S, Finished, Server, run_command, running_server

MODES = ("hybrid", "lexical", "dense")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home that all processes of this module share."""
    return tmp_path_factory.mktemp("processes") / "home"


@pytest.fixture(scope="module")
def servers(shared: Path) -> Iterator[tuple[Server, Server]]:
    """Two servers over one home."""
    with running_server(shared) as first, running_server(shared) as second:
        yield first, second


def test_a_write_through_one_server_is_found_through_the_other(servers: tuple[Server, Server]) -> None:
    """Added, replaced and removed: the other server's very next answer has the new state, in every mode."""
    one, other = (server.client for server in servers)
    for n in range(5):
        written = post(one, f"Falcon {n} nests on the cathedral.", "falcons")
        assert seen(other, "falcons", f"Falcon {n}", str(written["id"])) == dict.fromkeys(MODES, True)

        replaced = f"Falcon {n} moved to the lighthouse."
        assert other.put(f"/v1/documents/{written['id']}", json={"text": replaced}).status_code == 200
        for mode in MODES:
            texts = [
                text for text in found_texts(one, "falcons", f"Falcon {n}", mode) if f"Falcon {n}" in text
            ]
            assert texts == [replaced]

        assert one.delete(f"/v1/documents/{written['id']}").status_code == 200
        assert seen(other, "falcons", f"Falcon {n}", str(written["id"])) == dict.fromkeys(MODES, False)


def test_a_collection_made_or_removed_in_one_server_is_so_in_the_other(
    servers: tuple[Server, Server],
) -> None:
    """A new collection can be searched at once by the other server, a removed one is unknown at once."""
    one, other = (server.client for server in servers)
    post(one, "The kestrel hovers.", "kestrels")

    assert found_texts(other, "kestrels", "kestrel", "hybrid") == ["The kestrel hovers."]
    assert other.delete("/v1/collections/kestrels").status_code == 200
    gone = one.post("/v1/search", json={"query": "kestrel", "collections": ["kestrels"]})
    assert (gone.status_code, gone.json()["code"]) == (404, "collection_not_found")


def test_no_reader_sees_old_text_after_an_acknowledged_replace(servers: tuple[Server, Server]) -> None:
    """Readers of both servers, in every mode, never get a state older than what was acknowledged before.

    Each reader notes the acknowledged number before it asks; what it finds must not be lower.
    """
    one, other = (server.client for server in servers)
    written = post(one, numbered(0), "heron")
    acknowledged, is_over = [0], threading.Event()

    def read(url: str, mode: str) -> int:
        answers = 0
        with httpx2.Client(base_url=url, timeout=COMMAND_LIMIT_S, trust_env=False) as client:
            while not is_over.is_set() or not answers:
                at_least = acknowledged[0]
                (text,) = found_texts(client, "heron", "heron", mode)
                assert number_in(text) >= at_least, f"{mode} gave {text!r} after {at_least}"
                answers += 1
        return answers

    with ThreadPoolExecutor(len(MODES) * 2) as pool:
        readers = [pool.submit(read, server.url, mode) for server in servers for mode in MODES]
        try:
            for n in range(1, 31):
                writer = (one, other)[n % 2]
                replaced = writer.put(f"/v1/documents/{written['id']}", json={"text": numbered(n)})
                assert replaced.status_code == 200, replaced.text
                acknowledged[0] = n
        finally:
            is_over.set()
        answers = [reader.result(COMMAND_LIMIT_S) for reader in readers]

    assert min(answers) > 1, "every reader must have read beside the writes"


def test_commands_work_through_and_beside_the_servers(
    shared: Path, servers: tuple[Server, Server], tmp_path: Path
) -> None:
    """`add` goes through the running server; without its card the same commands work locally beside it."""
    path = tmp_path / "heron.md"
    path.write_text("The bittern booms in the reeds.", "utf-8")
    card = (shared / "server.json").read_bytes()

    added = run_command("add", path, "-c", "reeds", "--json", home=shared)
    searched = run_command("search", "bittern", "-c", "reeds", "--json", home=shared)
    (shared / "server.json").unlink()
    found_locally = run_command("search", "bittern", "-c", "reeds", "--json", home=shared)
    path.write_text("The bittern is silent now.", "utf-8")
    replaced_locally = run_command("add", path, "-c", "reeds", "--json", home=shared)
    (shared / "server.json").write_bytes(card)

    assert result_of(added)["status"] == "added"
    assert (hit_texts(searched), hit_texts(found_locally)) == (["The bittern booms in the reeds."],) * 2
    assert result_of(replaced_locally)["status"] == "replaced"
    assert result_of(replaced_locally)["id"] == result_of(added)["id"]
    for server in servers:
        for mode in MODES:
            assert found_texts(server.client, "reeds", "bittern", mode) == ["The bittern is silent now."]


def test_two_processes_write_at_once_and_nothing_is_lost(
    shared: Path, servers: tuple[Server, Server], tmp_path: Path
) -> None:
    """30 documents through a server and 30 by a local `add` at the same time: 60, all found, check agrees."""
    for n in range(30):
        (tmp_path / f"local-{n}.md").write_text(f"Local gull {n} circles.", "utf-8")
    card = (shared / "server.json").read_bytes()
    (shared / "server.json").unlink()

    with ThreadPoolExecutor(1) as pool:
        local = pool.submit(run_command, "add", tmp_path, "-c", "gulls", "--json", home=shared)
        for n in range(30):
            post(servers[0].client, f"Served gull {n} circles.", "gulls")
        done = local.result(COMMAND_LIMIT_S)
    (shared / "server.json").write_bytes(card)

    assert done.exit_code == 0, done.stdout
    page = servers[1].client.get("/v1/documents", params={"collection": "gulls", "limit": 200}).json()
    assert len(page["documents"]) == 60
    for server in servers:
        for mode in MODES:
            assert len(found_texts(server.client, "gulls", "gull circles", mode, top_k=100)) == 60
    assert run_command("check", home=shared).exit_code == 0


def test_a_home_that_cannot_be_read_is_refused_with_its_reason(home: Path) -> None:
    """Another format, and a file that is no database: one sentence with the fix, exit code 1."""
    home.mkdir()
    (home / "format").write_text("99\n", "ascii")
    newer = run_command("search", "anything", home=home)
    (home / "format").write_text("1\n", "ascii")
    (home / "ragstone.db").write_bytes(b"this is no database" * 1000)
    foreign = run_command("search", "anything", home=home)

    for done, words in ((newer, ("format", "99")), (foreign, ("ragstone.db", "not a database"))):
        assert done.exit_code == 1
        assert all(word in done.stderr for word in (*words, "--home", "[home_mismatch]"))
        assert "Traceback" not in done.stderr


def numbered(n: int) -> str:
    """A text with a number, the same words otherwise."""
    return f"The heron stands on stone number {n} of the river."


def number_in(text: str) -> int:
    """The number in it."""
    return int(text.split()[6])


def post(client: httpx2.Client, text: str, collection: str) -> dict[str, object]:
    """Add a text."""
    response = client.post("/v1/documents", json={"text": text, "collection": collection})
    assert response.status_code == 201, response.text
    return cast("dict[str, object]", response.json())


def search(client: httpx2.Client, collection: str, query: str, mode: str, top_k: int) -> list[dict[str, str]]:
    """The hits of a search."""
    asked = {"query": query, "collections": [collection], "mode": mode, "top_k": top_k}
    response = client.post("/v1/search", json=asked)
    assert response.status_code == 200, response.text
    return cast("list[dict[str, str]]", response.json()["hits"])


def found_texts(client: httpx2.Client, collection: str, query: str, mode: str, top_k: int = 10) -> list[str]:
    """The texts of the hits."""
    return [hit["text"] for hit in search(client, collection, query, mode, top_k)]


def seen(client: httpx2.Client, collection: str, query: str, document_id: str) -> dict[str, bool]:
    """Whether each mode finds the document."""
    return {
        mode: document_id in {hit["document_id"] for hit in search(client, collection, query, mode, 10)}
        for mode in MODES
    }


def hit_texts(done: Finished) -> list[str]:
    """The texts that a search on the command line found."""
    assert done.exit_code == 0, done.stderr
    return [hit["text"] for hit in cast("list[dict[str, str]]", done.json["hits"])]


def result_of(done: Finished) -> dict[str, object]:
    """The only result of an add on the command line."""
    assert done.exit_code == 0, done.stderr
    (result,) = cast("list[dict[str, object]]", done.json["results"])
    return result
