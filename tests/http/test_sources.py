"""Documents that the server gets by itself: pages, folders, the sources of its catalogue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.http.test_documents import hits
from tests.requirements import verifies
from tests.support.process import running_server
from tests.support.repository import make_repository
from tests.support.site import Page, Site, running_site
from tests.support.waiting import wait_until

LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class World:
    """A server, a site that it may fetch from, and a folder that it may read."""

    client: httpx2.Client
    site: Site
    root: Path
    home: Path

    def catalogue(self, text: str) -> None:
        """Write the catalogue."""
        (self.home / "sources.toml").write_text(text)

    def sync(self, name: str, **body: object) -> dict[str, object]:
        """Sync to the end; the run."""
        response = self.client.post(f"/v1/sources/{name}/sync", json={"wait_s": 60, **body})
        assert response.status_code == 200, response.text
        run: dict[str, object] = response.json()
        return run

    def until(self, look: Callable[[], bool]) -> None:
        """Wait until it is so."""
        wait_until(lambda: True if look() else None, LIMIT_S)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One server for all tests here; each uses names of its own."""
    folder = tmp_path_factory.mktemp("sources")
    root, home = folder / "root", folder / "home"
    root.mkdir()
    with running_site() as site:
        settings = {
            "RAGSTONE_INGEST__ALLOWED_ROOTS": str(root),
            "RAGSTONE_SECURITY__FETCH_ALLOWED_NETWORKS": "127.0.0.0/8",
            "RAGSTONE_SECURITY__FETCH_ALLOWED_PORTS": f"80,443,{site.port}",
            "RAGSTONE_SOURCES__CRAWL_DELAY_S": "0",
            "RAGSTONE_SOURCES__WATCH_DEBOUNCE_S": "0.1",
        }
        with running_server(home, settings) as server:
            yield World(server.client, site, root, home)


@verifies("ING-02", "ING-13")
def test_a_page_is_fetched_and_found_without_its_frame(world: World, collection: str) -> None:
    """Title, canonical address and text; the same page again is unchanged, a new one replaces it."""
    world.site.html(
        "/hours",
        "<nav>Menu entry</nav><div class='cookie-banner'>We use cookies</div><h1>Hours</h1>"
        "<p>The aviary opens at dawn.</p><aside>Related pages</aside><footer>Imprint</footer>",
        head="<title>Aviary</title><link rel=canonical href='/hours-canonical'>",
    )
    body = {
        "url": world.site.url + "hours?utm_source=x",
        "collection": collection,
        "metadata": {"team": "birds"},
    }
    world.site.pages["/hours?utm_source=x"] = world.site.pages["/hours"]

    first = world.client.post("/v1/documents/fetch", json=body)
    again = world.client.post("/v1/documents/fetch", json=body)

    assert (first.status_code, again.status_code, again.json()["status"]) == (201, 200, "unchanged")
    (hit,) = hits(world.client, collection, "aviary dawn")
    assert (hit["title"], hit["source"]) == ("Aviary", world.site.url + "hours-canonical")
    for frame in ("Menu entry", "cookies", "Related", "Imprint"):
        assert frame not in str(hit["text"])
    metadata = hit["metadata"]
    assert isinstance(metadata, dict) and metadata["team"] == "birds" and metadata["fetched_at"]


@verifies("SEC-06")
@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("http://10.0.0.1/", 403, "fetch_refused"),
        ("http://169.254.169.254/latest/meta-data/", 403, "fetch_refused"),
        ("http://[::1]/", 403, "fetch_refused"),
        ("http://[::ffff:10.0.0.1]/", 403, "fetch_refused"),
        ("http://[64:ff9b::a00:1]/", 403, "fetch_refused"),
        ("http://8.8.8.8:22/", 403, "fetch_refused"),
        ("http://2130706433/", 422, "invalid_request"),
        ("http://0177.0.0.1/", 422, "invalid_request"),
        ("http://0x7f.1/", 422, "invalid_request"),
        ("http://user@example.org/", 422, "invalid_request"),
        ("file:///etc/passwd", 422, "invalid_request"),
    ],
)
def test_addresses_that_only_the_server_can_reach_are_refused(
    world: World, url: str, status: int, code: str
) -> None:
    """As given, and as the end of a redirect."""
    world.site.redirect("/away", url)

    direct = world.client.post("/v1/documents/fetch", json={"url": url})
    redirected = world.client.post("/v1/documents/fetch", json={"url": world.site.url + "away"})

    for response in (direct, redirected):
        assert (response.status_code, response.json()["code"]) == (status, code)


def test_a_page_that_is_not_there_is_a_bad_gateway(world: World) -> None:
    """404 of the site is no 404 of ours; a film is no document."""
    world.site.pages["/film"] = Page(b"x", headers={"content-type": "video/mp4"})

    missing = world.client.post("/v1/documents/fetch", json={"url": world.site.url + "missing"})
    film = world.client.post("/v1/documents/fetch", json={"url": world.site.url + "film"})

    assert (missing.status_code, missing.json()["code"]) == (502, "fetch_failed")
    assert (missing.json()["retryable"], film.status_code) == (False, 415)


@verifies("ING-12", "SEC-06")
def test_a_folder_of_the_server_is_imported_and_no_other(world: World, collection: str) -> None:
    """Recursive, with globs and .gitignore; links out of it and paths around it lead nowhere."""
    folder = world.root / "import"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.md").write_text("The heron fishes.")
    (folder / "sub" / "b.md").write_text("The stork nests.")
    (folder / "sub" / "c.log").write_text("Left out by the glob.")
    (folder / "ignored.md").write_text("Left out by .gitignore.")
    (folder / ".gitignore").write_text("ignored.md\n")
    (folder / "link.md").symlink_to("/etc/hostname")
    (folder / "empty.md").write_text("")
    body = {"path": str(folder), "collection": collection, "include": ["*.md"], "metadata": {"kind": "bird"}}

    response = world.client.post("/v1/documents/import", json=body)

    results = {Path(result["path"]).name: result for result in response.json()["results"]}
    assert response.status_code == 207
    assert {name: result["status"] for name, result in results.items()} == {
        "a.md": "added",
        "b.md": "added",
        "empty.md": "failed",
    }
    assert hits(world.client, collection, "stork")[0]["source"] == str((folder / "sub" / "b.md").resolve())
    for path in ("/etc", str(folder / ".." / ".."), str(folder / "link.md"), "~root", "/"):
        refused = world.client.post("/v1/documents/import", json={"path": path})
        assert (refused.status_code, refused.json()["code"]) == (403, "refused"), path
    missing = world.client.post("/v1/documents/import", json={"path": str(folder / "missing")})
    assert missing.status_code == 404


@verifies("ING-15", "ING-13", "ING-14")
def test_sources_of_every_kind_are_synced_by_name(world: World, collection: str) -> None:
    """Folder, site and repository: listed, synced, changed, synced again; each does only what is needed."""
    folder = world.root / "handbook"
    folder.mkdir()
    (folder / "a.md").write_text("The kestrel hovers.")
    (folder / "b.md").write_text("The buzzard circles.")
    repository = make_repository(world.root / "git")
    repository.commit({"docs/g.md": "The owl hunts at night.", "src/x.py": "left_out = 1"})
    world.site.html("/birds/", '<p>The swift sleeps in the air. <a href="martin">m</a></p>', etag='"1"')
    world.site.html("/birds/martin", "<p>The martin builds with mud.</p>", etag='"2"')
    shared = f'collection = "{collection}"\nmetadata = {{ team = "raptors" }}\n'
    world.catalogue(
        f'[folder1]\nkind = "folder"\npath = "{folder}"\n{shared}'
        f'[site1]\nkind = "web"\nurl = "{world.site.url}birds/"\n{shared}'
        f'[git1]\nkind = "git"\nurl = "{repository.bare}"\npaths = ["docs"]\n{shared}'
    )

    first = [world.sync(name)["counts"] for name in ("folder1", "site1", "git1")]
    (folder / "b.md").rename(folder / "c.md")
    commit = repository.commit({"docs/h.md": "The eagle soars."})
    world.site.html("/birds/martin", "<p>The martin builds with clay.</p>", etag='"3"')
    second = [world.sync(name)["counts"] for name in ("folder1", "site1", "git1")]

    assert first == [{"added": 2}, {"added": 2}, {"added": 1}]
    assert second == [
        {"unchanged": 1, "moved": 1},
        {"unchanged": 1, "replaced": 1},
        {"unchanged": 1, "added": 1},
    ]
    (eagle, *_) = hits(world.client, collection, "eagle")
    assert eagle["source"] == "git1/docs/h.md"
    metadata = eagle["metadata"]
    assert isinstance(metadata, dict)
    assert (metadata["commit"], metadata["source_name"], metadata["team"]) == (commit, "git1", "raptors")
    assert hits(world.client, collection, "buzzard")[0]["source"] == "folder1/c.md"
    listed = world.client.get("/v1/sources").json()["sources"]
    assert [(one["name"], one["kind"], one["document_count"]) for one in listed] == [
        ("folder1", "folder", 2),
        ("site1", "web", 2),
        ("git1", "git", 2),
    ]
    assert [run["state"] for run in world.client.get("/v1/sources/git1").json()["runs"]] == ["done", "done"]
    metrics = world.client.get("/metrics").text
    assert 'ragstone_source_items_total{outcome="moved"}' in metrics


@verifies("ING-15")
def test_an_emptied_source_keeps_its_documents_unless_forced(world: World, collection: str) -> None:
    """A mount that is empty for a while does not empty the collection: the run says what to do."""
    folder = world.root / "mount"
    folder.mkdir()
    for n in range(8):
        (folder / f"{n}.md").write_text(f"Text number {n}.")
    world.catalogue(f'[mount]\nkind = "folder"\npath = "{folder}"\ncollection = "{collection}"\n')
    world.sync("mount")
    for path in folder.iterdir():
        path.unlink()

    guarded = world.sync("mount")
    kept = world.client.get("/v1/sources/mount").json()["document_count"]
    forced = world.sync("mount", force=True)

    assert (guarded["state"], guarded["counts"], kept) == ("guarded", {"kept": 8}, 8)
    error = guarded["error"]
    assert isinstance(error, dict) and error["code"] == "too_many_vanished" and "force" in error["message"]
    assert (forced["state"], forced["counts"]) == ("done", {"removed": 8})


def test_what_is_wrong_with_the_catalogue_is_said(world: World) -> None:
    """An unknown key, an unknown source, a folder that the server may not read."""
    world.catalogue('[a]\nkind = "folder"\npaht = "/x"\n')
    misspelt = world.client.get("/v1/sources")
    world.catalogue('[a]\nkind = "folder"\npath = "/etc"\n')
    unknown = world.client.get("/v1/sources/b")
    outside = world.sync("a")

    assert (misspelt.status_code, misspelt.json()["code"]) == (422, "invalid_setting")
    assert "Did you mean 'path'" in misspelt.json()["detail"]
    assert (unknown.status_code, unknown.json()["code"]) == (404, "source_not_found")
    assert outside["state"] == "failed"
    assert "ingest.allowed_roots" in str(outside["error"])


@verifies("ING-16")
@pytest.mark.parametrize("name", ["watched"])
def test_a_watched_folder_is_followed_by_the_server(world: World, collection: str, name: str) -> None:
    """Create, change, rename, delete: each is found, or found no more, without a sync by hand."""
    folder = world.root / name
    folder.mkdir()
    world.catalogue(
        f'[{name}]\nkind = "folder"\npath = "{folder}"\ncollection = "{collection}"\nwatch = true\n'
    )

    def sources() -> dict[str, dict[str, object]]:
        listed = world.client.get("/v1/documents", params={"collection": collection})
        documents = listed.json()["documents"] if listed.status_code == 200 else []
        return {document["source"]: document for document in documents}

    (folder / "a.md").write_text("The lapwing calls.")
    world.until(lambda: set(sources()) == {f"{name}/a.md"})
    (folder / "a.md").write_text("The lapwing calls twice.")
    world.until(lambda: sources()[f"{name}/a.md"]["version"] == 2)
    before = sources()[f"{name}/a.md"]["id"]
    (folder / "a.md").rename(folder / "b.md")
    world.until(lambda: set(sources()) == {f"{name}/b.md"})

    assert sources()[f"{name}/b.md"]["id"] == before
    (folder / "b.md").unlink()
    world.until(lambda: sources() == {})


@verifies("ING-15")
def test_a_schedule_is_kept_by_the_server(world: World, collection: str) -> None:
    """A source with a schedule is synced when the server sees it, and due again an interval later."""
    folder = world.root / "scheduled"
    folder.mkdir()
    (folder / "a.md").write_text("The crane dances.")
    world.catalogue(
        f'[scheduled]\nkind = "folder"\npath = "{folder}"\ncollection = "{collection}"\nschedule = "10s"\n'
    )

    def runs() -> list[dict[str, object]]:
        found: list[dict[str, object]] = world.client.get("/v1/sources/scheduled").json()["runs"]
        return [run for run in found if run["state"] == "done"]

    world.until(lambda: len(runs()) >= 2)

    assert hits(world.client, collection, "crane")
    assert str(runs()[0]["started_at"]) > str(runs()[1]["started_at"])


def test_a_sync_outlives_the_wait_and_refuses_a_second(world: World, collection: str) -> None:
    """202 with a run that goes on; a second sync meanwhile is a conflict that may be tried again."""
    world.site.html("/slow/", "<p>Slow.</p>")

    def slowly(handler: object) -> None:
        released.wait(LIMIT_S)
        handler.send_response(404)  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]

    released = threading.Event()
    world.site.pages["/robots.txt"] = slowly
    world.catalogue(f'[slow]\nkind = "web"\nurl = "{world.site.url}slow/"\ncollection = "{collection}"\n')
    try:
        begun = world.client.post("/v1/sources/slow/sync", json={"wait_s": 0.1})
        second = world.client.post("/v1/sources/slow/sync")
        shown = world.client.get("/v1/sources/slow").json()
    finally:
        released.set()
        del world.site.pages["/robots.txt"]

    assert (begun.status_code, begun.json()["state"]) == (202, "running")
    assert (second.status_code, second.json()["code"], second.json()["retryable"]) == (
        409,
        "source_busy",
        True,
    )
    assert shown["is_running"] is True
    world.until(lambda: world.client.get("/v1/sources/slow").json()["runs"][0]["state"] == "done")
