"""`ragstone sources`, and `ragstone add` for pages, sites and folders that are watched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragstone import Ragstone
from tests.requirements import verifies
from tests.support.process import Finished, run_command
from tests.support.site import Site, running_site
from tests.support.watched import WatchedProcess


@pytest.fixture
def site() -> Iterator[Site]:
    """A site of three pages."""
    with running_site() as site:
        site.html("/", '<h1>Zoo</h1><p>Tickets at the gate.</p><a href="/lions">l</a>', etag='"1"')
        site.html("/lions", '<h1>Lions</h1><p>The lions are fed at four.</p><a href="/bears">b</a>')
        site.html("/bears", "<h1>Bears</h1><p>The bears sleep in winter.</p>")
        yield site


def opened(site: Site, root: Path) -> dict[str, str]:
    """Settings that let the command at the site and the folder."""
    return {
        "RAGSTONE_INGEST__ALLOWED_ROOTS": str(root),
        "RAGSTONE_SECURITY__FETCH_ALLOWED_NETWORKS": "127.0.0.0/8",
        "RAGSTONE_SECURITY__FETCH_ALLOWED_PORTS": f"80,443,{site.port}",
        "RAGSTONE_SOURCES__CRAWL_DELAY_S": "0",
        "RAGSTONE_SOURCES__WATCH_DEBOUNCE_S": "0.1",
    }


@verifies("ING-15")
def test_sources_are_listed_synced_and_shown(site: Site, home: Path, tmp_path: Path) -> None:
    """A catalogue from nothing to status; a source that fails makes the exit code 1, the others go on."""
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.md").write_text("The otter swims.")
    home.mkdir()

    def run(*words: str) -> Finished:
        return run_command("sources", *words, home=home, environ=opened(site, tmp_path))

    empty = run()
    (home / "sources.toml").write_text(
        f'[texts]\nkind = "folder"\npath = "{texts}"\n'
        f'[zoo]\nkind = "web"\nurl = "{site.url}"\n'
        '[away]\nkind = "web"\nurl = "http://10.0.0.1/"\n'
    )
    synced = run("sync", "--all", "--json")
    status = run("status", "away")
    nobody = run("sync", "nobody")
    nothing = run("sync")

    assert "sources.toml" in empty.stdout
    runs = synced.json["runs"]
    assert isinstance(runs, list)
    assert [(one["source"], one["state"], one["counts"]) for one in runs] == [
        ("texts", "done", {"added": 1}),
        ("zoo", "done", {"added": 3}),
        ("away", "failed", {}),
    ]
    assert (synced.exit_code, nobody.exit_code, nothing.exit_code) == (1, 3, 2)
    assert "10.0.0.1" in status.stdout and "failed" in status.stdout
    with Ragstone(home) as rag:
        listed = {found.entry.name: found.state.document_count for found in rag.sources()}
    assert listed == {"texts": 1, "zoo": 3, "away": 0}


@verifies("ING-13")
def test_add_takes_pages_and_sites(site: Site, home: Path, tmp_path: Path) -> None:
    """One page beside a file; a site to a depth, twice, the second time nothing new."""
    (tmp_path / "a.md").write_text("The otter swims.")
    environ = opened(site, tmp_path)

    page = run_command("add", tmp_path / "a.md", site.url + "bears", "--json", home=home, environ=environ)
    crawled = [
        run_command("add", site.url, "--crawl", "--depth", "1", "--json", home=home, environ=environ)
        for _ in range(2)
    ]
    refused = run_command("add", "http://169.254.169.254/", home=home, environ=environ)

    results = page.json["results"]
    assert isinstance(results, list)
    assert {(result["path"], result["status"]) for result in results} == {
        (str(tmp_path / "a.md"), "added"),
        (site.url + "bears", "added"),
    }
    assert [done.json["counts"] for done in crawled] == [{"added": 2}, {"unchanged": 2}]
    assert (refused.exit_code, "fetch_allowed_networks" in refused.stdout) == (1, True)


@verifies("ING-16")
def test_add_watch_follows_a_folder_until_it_is_ended(site: Site, home: Path, tmp_path: Path) -> None:
    """What is there is added, what changes is followed; a plain add sees the same documents."""
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.md").write_text("The otter swims.")
    process = WatchedProcess("add", texts, "--watch", "--json", home=home, environ=opened(site, tmp_path))
    process.wait_for('"added":1')
    (texts / "b.md").write_text("The beaver builds.")
    process.wait_for('"unchanged":1,"added":1')
    process.end()

    again = run_command("add", texts, "--json", home=home)

    results = again.json["results"]
    assert isinstance(results, list)
    assert [result["status"] for result in results] == ["unchanged", "unchanged"], json.dumps(results)
