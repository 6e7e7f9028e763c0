"""The commands as a person and as a script use them, each in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from tests.cli.conftest import Filled
from tests.requirements import verifies
from tests.support.process import Finished, run_command

Wire = dict[str, object]

ANY_PORT = {"RAGSTONE_SERVER__PORT": "0"}
"""Somebody may run a server on the usual one."""


def test_add_takes_what_the_globs_say_and_reports_each_file(filled: Filled) -> None:
    """A line per file with its outcome, the good ones in beside the bad one, which makes the exit code 1."""
    added = filled.added

    assert added.exit_code == 1
    lines = added.stdout.splitlines()
    for name in ("guide.md", "atlas.pdf", "notes.txt"):
        assert any(line.startswith("added") and name in line for line in lines), added.stdout
    assert any(line.startswith("failed") and "empty.txt" in line and "empty" in line for line in lines)
    assert not any(name in added.stdout for name in ("draft.md", "code.py"))
    assert "3 added, 1 failed in collection 'default'." in added.stderr


def test_add_again_says_what_it_did_for_machines(filled: Filled, home: Path, tmp_path: Path) -> None:
    """`--json`: added, then unchanged, then updated by new metadata, then replaced by new text; exit 0."""
    path = tmp_path / "a.md"
    path.write_text("The owl hoots.", "utf-8")
    done = [run_command("add", path, "-c", "birds", "--json", home=home)]
    done.append(run_command("add", path, "-c", "birds", "--json", home=home))
    done.append(run_command("add", path, "-c", "birds", "-m", "seen=true", "--json", home=home))
    path.write_text("The owl sleeps.", "utf-8")

    done.append(run_command("add", path, "-c", "birds", "--json", home=home))

    assert [command.exit_code for command in done] == [0, 0, 0, 0]
    results = [one(command.json["results"]) for command in done]
    assert [result["status"] for result in results] == ["added", "unchanged", "updated", "replaced"]
    assert len({result["id"] for result in results}) == 1
    assert [result["version"] for result in results] == [1, 1, 1, 2]
    assert results[0]["path"] == str(path.resolve())
    assert done[3].json["summary"] == {"replaced": 1, "not_done": 0}


def test_search_prints_place_text_and_scores(filled: Filled) -> None:
    """For people: file, section and snippet of each hit; `--explain` shows rank and score of each leg."""
    done = search(filled, "When does the library open?", "--explain")

    assert done.exit_code == 0
    first = done.stdout.splitlines()[:3]
    assert first[0].startswith("1. ") and "guide.md, Library guide" in first[0]
    assert "lexical #1" in first[1] and "dense #1" in first[1] and "fused" in first[1]
    assert "The library opens at nine." in first[2]
    assert "midnight" not in done.stdout


def test_search_obeys_mode_top_k_and_filter(filled: Filled) -> None:
    """The flags reach the search: an identifier by words alone, one hit only, none with a foreign filter."""
    year = '{"type": "eq", "key": "year", "value": %d}'

    lexical = search(filled, "ISSUE-1234", "--mode", "lexical", "--explain", "--json").json
    dense = search(filled, "mountain height", "--mode", "dense", "-k", "1", "--explain", "--json").json
    same_year = search(filled, "library", "--filter", year % 2024, "--json").json
    other_year = search(filled, "library", "--filter", year % 1999, "--json").json

    (hit,) = hits(lexical)
    assert "ISSUE-1234" in str(hit["text"])
    assert hit["metadata"] == {"year": 2024, "shelf": "north"}
    assert cast("Wire", hit["scores"])["dense"] is None
    (hit,) = hits(dense)
    assert (hit["page"], "4810" in str(hit["text"])) == (1, True)
    assert cast("Wire", hit["scores"])["lexical"] is None
    assert (len(hits(same_year)) > 0, hits(other_year)) == (True, [])


@verifies("GEN-02", "GEN-04")
def test_ask_quotes_with_page_and_section_and_says_that_it_quotes(filled: Filled) -> None:
    """Without a generator the answer is the best sentences, each with file, page or section, and said so."""
    done = run_command("ask", "When does the library open?", home=filled.home)
    paged = run_command("ask", "How high is the summit?", "--json", home=filled.home).json

    assert done.exit_code == 0
    assert "The library opens at nine." in done.stdout.split("[1]")[0]
    assert "guide.md" in done.stdout and "Opening hours" in done.stdout
    assert "“The library opens at nine.”" in done.stdout
    assert "Quoted from the documents" in done.stdout
    assert paged["mode"] == "extractive"
    citation = one([found for found in citations(paged) if "4810" in str(found["quote"])])
    assert (citation["page"], citation["quote"]) == (2, "The summit is 4810 metres high.")
    span = cast("dict[str, int]", citation["span"])
    bounds = ["--start", str(span["start"]), "--end", str(span["end"])]
    shown = run_command("docs", "show", str(citation["document_id"]), *bounds, "--json", home=filled.home)
    assert cast("Wire", shown.json["passage"])["text"] == citation["quote"]


def test_documents_are_listed_shown_and_removed(home: Path, tmp_path: Path) -> None:
    """`docs list`, `docs show` and `docs remove` by id and by filter; what is removed is found no more."""
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.md").write_text(f"The {name} swallow returns in spring.", "utf-8")
    added = run_command("add", tmp_path, "-i", "*.md", "-m", "kind=bird", "--json", home=home)
    ids = {Path(str(result["path"])).stem: result["id"] for result in several(added.json["results"])}

    listed = run_command("docs", "list", home=home)
    shown = run_command("docs", "show", str(ids["one"]), home=home)
    removed = run_command("docs", "remove", str(ids["one"]), home=home)
    left = run_command("docs", "list", "--json", home=home)
    by_filter = run_command(
        "docs", "remove", "--filter", '{"type": "eq", "key": "kind", "value": "bird"}', "--json", home=home
    )
    found = run_command("search", "swallow", "--json", home=home)

    assert [command.exit_code for command in (listed, shown, removed, left, by_filter, found)] == [0] * 6
    assert all(str(document_id) in listed.stdout for document_id in ids.values())
    assert "The one swallow returns in spring." in shown.stdout
    assert removed.stdout.splitlines()[0].startswith(f"removed {ids['one']}  ")
    assert "1 document with 1 chunk" in removed.stdout
    assert {document["id"] for document in several(left.json["documents"])} == {ids["two"], ids["three"]}
    assert one(by_filter.json["results"])["removed"] == 2
    assert hits(found.json) == []


def test_what_came_from_a_path_is_removed_by_it(home: Path, tmp_path: Path) -> None:
    """`docs remove --source` takes the path or URL that a document came from, and no other document."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.md").write_text(f"The {name} wagtail nests in walls.", "utf-8")
    run_command("add", tmp_path, "-i", "*.md", "-c", "walls", home=home)

    removed = run_command(
        "docs", "remove", "--source", str(tmp_path / "one.md"), "-c", "walls", "--json", home=home
    )
    left = run_command("docs", "list", "-c", "walls", "--json", home=home)

    assert one(removed.json["results"])["removed"] == 1
    assert [Path(str(found["source"])).name for found in several(left.json["documents"])] == ["two.md"]


def test_collections_are_made_listed_and_removed(home: Path) -> None:
    """With a language of their own; removing asks first, and `--yes` answers."""
    made = run_command("collections", "create", "briefe", "--language", "de", home=home)
    listed = run_command("collections", "--json", home=home)
    unsure = run_command("collections", "remove", "briefe", home=home, stdin="n\n")
    removed = run_command("collections", "remove", "briefe", "--yes", home=home)
    left = run_command("collections", "list", home=home)

    assert made.stdout == ("created briefe (language de; chunks by structure, 220 tokens, 0 shared)\n")
    found = {row["name"]: row["language"] for row in several(listed.json["collections"])}
    assert found == {"briefe": "de", "default": "en"}
    assert unsure.exit_code == 1
    assert (removed.exit_code, removed.stdout) == (0, "0 documents with 0 chunks removed from briefe.\n")
    assert "default" in left.stdout and "briefe" not in left.stdout


@verifies("OPS-09")
def test_config_explain_shows_value_and_origin(home: Path) -> None:
    """File, environment and default are told apart; the environment wins over the file."""
    home.mkdir()
    (home / "ragstone.toml").write_text("[search]\ntop_k = 7\nrrf_k = 30\n[server]\nport = 9999\n", "utf-8")
    environ = {"RAGSTONE_SEARCH__RRF_K": "99"}

    done = run_command("config", "explain", "search", "--json", home=home, environ=environ)
    shown = run_command("config", "explain", "search.rrf_k", home=home, environ=environ)

    found = {row["name"]: (row["value"], row["origin"]) for row in several(done.json["settings"])}
    assert found["search.top_k"] == (7, str(home / "ragstone.toml"))
    assert found["search.rrf_k"] == (99, "RAGSTONE_SEARCH__RRF_K")
    assert found["search.candidates"] == (100, "default")
    assert "server.port" not in found
    assert "99" in shown.stdout and "RAGSTONE_SEARCH__RRF_K" in shown.stdout


@verifies("OPS-09")
def test_unknown_settings_are_refused_with_the_nearest_name(home: Path) -> None:
    """In the file and in the environment, with the place where it stands; exit code 2."""
    home.mkdir()
    (home / "ragstone.toml").write_text("[search]\ntopk = 7\n", "utf-8")
    in_file = run_command("config", "explain", home=home)
    (home / "ragstone.toml").unlink()
    in_environment = run_command("config", "explain", home=home, environ={"RAGSTONE_SERVER__PROT": "1"})
    out_of_range = run_command("config", "explain", home=home, environ={"RAGSTONE_SEARCH__TOP_K": "0"})

    assert (in_file.exit_code, in_environment.exit_code, out_of_range.exit_code) == (2, 2, 2)
    assert "'search.topk'" in in_file.stderr and "Did you mean 'search.top_k'?" in in_file.stderr
    assert str(home / "ragstone.toml") in in_file.stderr
    assert "Did you mean 'server.port'?" in in_environment.stderr
    assert "RAGSTONE_SERVER__PROT" in in_environment.stderr
    assert "search.top_k (from RAGSTONE_SEARCH__TOP_K) is '0'" in out_of_range.stderr


def test_doctor_and_check_find_a_filled_home_healthy(filled: Filled) -> None:
    """Exit code 0; the doctor names versions, home, disk, model and generator."""
    doctor = run_command("doctor", "--json", home=filled.home, environ=ANY_PORT)
    shown = run_command("doctor", home=filled.home, environ=ANY_PORT)
    check = run_command("check", home=filled.home)

    assert (doctor.exit_code, shown.exit_code, check.exit_code) == (0, 0, 0)
    findings = {row["name"]: row["status"] for row in several(doctor.json["findings"])}
    assert {"versions", "machine", "home", "disk", "server", "embedding model", "generator"} <= set(findings)
    assert "failed" not in findings.values()
    assert "all-MiniLM-L6-v2" in shown.stdout
    assert check.stdout.startswith("3 documents") and "everything agrees" in check.stdout


def test_a_doctor_without_a_model_says_so(home: Path, tmp_path: Path) -> None:
    """A folder without a model and a generator that is not there: exit code 1, both named with the fix."""
    environ = {
        **ANY_PORT,
        "RAGSTONE_MODELS__EMBEDDING_PATH": str(tmp_path / "nowhere"),
        "RAGSTONE_GENERATOR__BASE_URL": "http://127.0.0.1:9/v1",
        "RAGSTONE_GENERATOR__MODEL": "some",
    }

    done = run_command("doctor", "--json", home=home, environ=environ)

    assert done.exit_code == 1
    failed = {
        row["name"]: f"{row['detail']} {row['fix']}"
        for row in several(done.json["findings"])
        if row["status"] == "failed"
    }
    assert set(failed) == {"embedding model", "generator"}
    assert str(tmp_path / "nowhere") in str(failed["embedding model"])
    assert "generator.base_url" in str(failed["generator"])


COMMANDS = (
    (),
    ("add",),
    ("search",),
    ("ask",),
    ("docs",),
    ("docs", "list"),
    ("docs", "show"),
    ("docs", "remove"),
    ("collections",),
    ("collections", "list"),
    ("collections", "create"),
    ("collections", "remove"),
    ("serve",),
    ("mcp",),
    ("check",),
    ("doctor",),
    ("health",),
    ("support-bundle",),
    ("gpu",),
    ("config",),
    ("config", "explain"),
    ("eval",),
    ("bench",),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(home: Path, words: tuple[str, ...]) -> None:
    """`--help` says what the command does, exits with 0 and makes no home."""
    done = run_command(*words, "--help", home=home)

    assert (done.exit_code, done.stderr) == (0, "")
    assert "Usage: " in done.stdout and "--help" in done.stdout
    assert not home.exists()


def test_the_version_is_the_distribution_s(home: Path) -> None:
    """`--version` prints name and version."""
    done = run_command("--version", home=home)

    assert (done.exit_code, done.stdout) == (0, "ragstone 0.1.0\n")


def test_a_command_logs_nothing_of_what_it_takes(filled: Filled) -> None:
    """Whoever waits for it sees that; a line for operators would stand in the answer."""
    slow = {"RAGSTONE_TELEMETRY__SLOW_REQUEST_MS": "0.001"}
    done = run_command("ask", "When does it open?", home=filled.home, environ=slow)

    assert (done.exit_code, done.stderr) == (0, "")


def test_a_piped_table_has_one_line_for_each_document(filled: Filled) -> None:
    """What is piped into grep holds the whole path, not a part of it folded into a column."""
    listed = run_command("docs", "list", home=filled.home, environ={"COLUMNS": "80"})
    lines = listed.stdout.splitlines()

    assert len(lines) == 4
    for name in ("guide.md", "atlas.pdf", "notes.txt"):
        assert any(str(filled.texts / name) in line for line in lines)


def search(filled: Filled, *words: str) -> Finished:
    """Search on the filled home."""
    return run_command("search", *words, home=filled.home)


def hits(result: Wire) -> list[Wire]:
    """The hits of a search."""
    return several(result["hits"])


def citations(answer: Wire) -> list[Wire]:
    """The citations of an answer."""
    return several(answer["citations"])


def several(value: object) -> list[Wire]:
    """A list of objects."""
    return cast("list[Wire]", value)


def one(value: object) -> Wire:
    """The only one of a list."""
    (found,) = several(value)
    return found
