"""`ragstone check` sees damage in every store, and `--repair` mends what the truth still knows."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import pytest

from ragstone import Ragstone
from ragstone.index.lexical import TantivyIndex
from ragstone.store.passages import IndexedChunk
from ragstone.types import ChunkKey, DocumentKey
from tests.support.process import run_command

MODES = ("hybrid", "lexical", "dense")
WORDS = ("quokka", "narwhal", "axolotl", "pangolin", "capybara")
DIM = 384

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a file for each animal; tests damage copies of it."""
    folder = tmp_path_factory.mktemp("check")
    (folder / "texts").mkdir()
    for word in WORDS:
        (folder / "texts" / f"{word}.md").write_text(f"The {word} sleeps in the afternoon.\n", "utf-8")
    with Ragstone(folder / "home") as rag:
        assert len(rag.add(folder / "texts")) == len(WORDS)
    return folder / "home"


@pytest.fixture
def copy(healthy: Path, home: Path) -> Path:
    """A copy of the healthy home."""
    shutil.copytree(healthy, home)
    return home


def test_a_healthy_home_passes(copy: Path) -> None:
    """Exit code 0, and the counts of what was looked at."""
    done = run_command("check", "--json", home=copy)

    assert done.exit_code == 0
    assert done.json == {
        "ok": True,
        "document_count": 5,
        "chunk_count": 5,
        "log_layout": None,
        "problems": [],
    }


def damage_vectors(home: Path) -> None:
    """One vector gone, one cut short, one without length, one of things that are no numbers."""
    nan = struct.pack(f"<{DIM}f", *[float("nan")] * DIM)
    with database(home) as connection:
        connection.execute("DELETE FROM vectors WHERE chunk_key = 1")
        connection.execute("UPDATE vectors SET embedding = substr(embedding, 1, 100) WHERE chunk_key = 2")
        connection.execute(f"UPDATE vectors SET embedding = zeroblob({DIM * 4}) WHERE chunk_key = 3")
        connection.execute("UPDATE vectors SET embedding = ? WHERE chunk_key = 4", (nan,))


def damage_the_lexical_index(home: Path) -> None:
    """A lexical index that opens well, has lost a document and has a chunk that no row knows."""
    index = TantivyIndex(lexical_folder(home), "en", 15)
    index.apply([DocumentKey(1)], [IndexedChunk(ChunkKey(4711), DocumentKey(4711), "Nobody", "Nobody's.")])
    index.commit()
    index.close()


def keep_an_original_of_nobody(home: Path) -> None:
    """A file among the originals that no document names."""
    path = home / "blobs" / "ab" / ("ab" * 32)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"nobody's")


@pytest.mark.parametrize(
    ("damage", "store", "problem_count"),
    [
        (damage_vectors, "vectors", 4),
        (damage_the_lexical_index, "lexical", 1),
        (keep_an_original_of_nobody, "blobs", 1),
    ],
)
def test_repairable_damage_is_reported_and_mended(
    copy: Path, damage: Damage, store: str, problem_count: int
) -> None:
    """The check names the store and exits with 1; after the repair all agrees and every mode finds all."""
    damage(copy)

    found = run_command("check", "--json", home=copy)
    mended = run_command("check", "--repair", "--json", home=copy)

    assert found.exit_code == 1
    assert [(problem["store"], problem["repairable"]) for problem in problems(found.json)] == [
        (store, True)
    ] * problem_count
    assert (mended.exit_code, mended.json["problems"]) == (0, [])
    with Ragstone(copy) as rag:
        assert {mode: found_words(rag, mode) for mode in MODES} == {mode: set(WORDS) for mode in MODES}


def test_a_damaged_vector_does_not_displace_sound_ones(copy: Path) -> None:
    """Before any repair the dense leg finds the chunks whose vectors are sound, best first."""
    damage_vectors(copy)

    with Ragstone(copy) as rag:
        assert found_words(rag, "dense", top_k=1) == {word_of_chunk(rag, copy, 5)}
        assert found_words(rag, "hybrid") == set(WORDS)


def scribble(log: Path) -> None:
    """Bytes that mean nothing in the middle of the file."""
    with log.open("r+b") as file:
        file.seek(log.stat().st_size // 2)
        file.write(b"\xa5" * 4096)


def replace(log: Path) -> None:
    """A file that is no database."""
    log.write_bytes(b"no database at all" * 1000)


def renumber(log: Path) -> None:
    """As a later version might leave it."""
    with closing(sqlite3.connect(log)) as connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize("damage", [scribble, replace, renumber])
def test_a_damaged_log_is_told_and_can_be_moved_away(copy: Path, damage: Damage) -> None:
    """By the check and by the doctor, who says what to do; without it all agrees, and a new one is made."""
    with Ragstone(copy) as rag:
        rag.search("quokka")
    whole, well = run_command("check", "--json", home=copy), log_finding(copy)
    damage(copy / "log.db")
    found, ill = run_command("check", "--json", home=copy), log_finding(copy)
    shown = run_command("check", home=copy).stdout
    for name in ("log.db", "log.db-wal", "log.db-shm"):
        (copy / name).unlink(missing_ok=True)
    moved = run_command("check", "--json", home=copy)
    with Ragstone(copy) as rag:
        rag.search("quokka")
    again = run_command("check", "--json", home=copy)

    assert (whole.exit_code, whole.json["log_layout"], well["status"]) == (0, 1, "ok")
    assert found.exit_code == 1
    assert {(problem["store"], problem["repairable"]) for problem in problems(found.json)} == {("log", False)}
    assert ill["status"] == "failed" and "log.db-wal" in str(ill["fix"])
    assert "log.db" in shown and "5 documents, 5 chunks" in shown
    assert (moved.exit_code, moved.json["log_layout"]) == (0, None)
    assert (again.exit_code, again.json["log_layout"]) == (0, 1)


def log_finding(home: Path) -> dict[str, object]:
    """What the doctor says of the log."""
    found = cast("list[dict[str, object]]", run_command("doctor", "--json", home=home).json["findings"])
    return next(one for one in found if one["name"] == "log")


def damage_rows(home: Path) -> None:
    """A chunk gone, a chunk gone without its vector, a text gone, a text cut short: one document each."""
    with database(home) as connection:
        connection.execute("DELETE FROM vectors WHERE chunk_key = 1")
        connection.execute("DELETE FROM chunks WHERE key IN (1, 2)")
        connection.execute(
            "DELETE FROM text_segments WHERE document_key = (SELECT document_key FROM chunks WHERE key = 3)"
        )
        connection.execute(
            "UPDATE text_segments SET text = substr(text, 1, 5) "
            "WHERE document_key = (SELECT document_key FROM chunks WHERE key = 4)"
        )


def damage_originals(home: Path) -> None:
    """One original gone, one with other bytes."""
    first, second, *_ = sorted(path for path in (home / "blobs").glob("*/*") if path.is_file())
    first.unlink()
    second.write_bytes(b"something else\n")


@pytest.mark.parametrize(
    ("damage", "store", "problem_count"), [(damage_rows, "rows", 5), (damage_originals, "blobs", 2)]
)
def test_damage_to_the_truth_is_reported_and_stays_reported(
    copy: Path, damage: Damage, store: str, problem_count: int
) -> None:
    """What no other store knows cannot be mended: check and repair exit with 1 and name it; search works."""
    damage(copy)

    found = run_command("check", "--json", home=copy)
    mended = run_command("check", "--repair", "--json", home=copy)

    assert (found.exit_code, mended.exit_code) == (1, 1)
    for report in (found, mended):
        named = [problem["store"] for problem in problems(report.json) if not problem["repairable"]]
        assert named == [store] * problem_count
    with Ragstone(copy) as rag:
        sound = word_of_chunk(rag, copy, 5)
        assert all(sound in found_words(rag, mode) for mode in MODES)


@pytest.mark.parametrize("name", ["meta.json", ".managed.json", "*.store", "*.fast", "*.term"])
@pytest.mark.parametrize("way", ["deleted", "overwritten"])
def test_damaged_lexical_files_heal_when_they_are_opened(copy: Path, name: str, way: str) -> None:
    """A derived file that is gone or garbage costs a rebuild at the next start, nothing else."""
    for path in lexical_folder(copy).glob(name):
        if way == "deleted":
            path.unlink()
        else:
            path.write_bytes(b"\x00garbage\xff" * 50)

    with Ragstone(copy) as rag:
        assert found_words(rag, "lexical") == set(WORDS)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 1, "epoch": "other", "version": 5}'])
def test_a_damaged_note_of_what_was_applied_costs_a_rebuild(copy: Path, content: str) -> None:
    """Garbage, or the note of another database, in `applied.json`: the index is built again."""
    damage_the_lexical_index(copy)
    (copy / "index" / "0" / "applied.json").write_text(content, "utf-8")

    with Ragstone(copy) as rag:
        assert found_words(rag, "lexical") == set(WORDS)


def test_a_damaged_database_page_is_an_error_not_a_traceback(copy: Path) -> None:
    """Garbage in the middle of the database file makes the check fail with one sentence."""
    path = copy / "ragstone.db"
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 6] = b"\xde\xad" * 4096 * 2
    path.write_bytes(content)

    done = run_command("check", home=copy)

    assert done.exit_code == 1
    assert "Traceback" not in done.stderr
    assert "malformed" in done.stdout + done.stderr or "rows:" in done.stdout


@contextmanager
def database(home: Path) -> Iterator[sqlite3.Connection]:
    """The database of a home that nothing runs on, without foreign keys; committed at the end."""
    connection = sqlite3.connect(home / "ragstone.db")
    try:
        yield connection
        connection.commit()
    finally:
        connection.close()


def lexical_folder(home: Path) -> Path:
    """The files of the only collection's index in the first slot."""
    (folder,) = (path for path in (home / "index" / "0").iterdir() if path.is_dir())
    return folder


def problems(report: dict[str, object]) -> list[dict[str, object]]:
    """The problems of a report."""
    return cast("list[dict[str, object]]", report["problems"])


def found_words(rag: Ragstone, mode: str, top_k: int = 10) -> set[str]:
    """Which of the animals a search for what they all do finds."""
    found = rag.search("sleeps in the afternoon", mode=mode, top_k=top_k)
    assert found.degraded == ()
    return {word for hit in found.hits for word in WORDS if word in hit.text}


def word_of_chunk(rag: Ragstone, home: Path, key: int) -> str:
    """The animal of the chunk with this key."""
    with database(home) as connection:
        query = "SELECT id FROM documents WHERE key = (SELECT document_key FROM chunks WHERE key = ?)"
        ((document_id,),) = connection.execute(query, (key,)).fetchall()
    text = rag.read(document_id).text
    return next(word for word in WORDS if word in text)
