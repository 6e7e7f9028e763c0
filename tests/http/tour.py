"""A tour of the whole product through its doors, while the metrics of its server are watched."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from ragstone import Ragstone
from tests.mcp.conftest import call, over_http
from tests.support.generator import running_generator
from tests.support.process import Server, running_server
from tests.support.redis import RedisServer, running_redis
from tests.support.waiting import wait_until

LIMIT_S = 60.0
LOOK_S = 0.02
AT_ONCE = 12
TEXT = "The heron waits by the river. The fox waits for the heron. " * 30


Series = tuple[str, tuple[tuple[str, str], ...]]
"""A name with its labels."""


@dataclass
class Seen:
    """Every series with the values that it had: the least and the most of all scrapes."""

    least: dict[Series, float] = field(default_factory=dict)
    most: dict[Series, float] = field(default_factory=dict)
    families: dict[str, set[Series]] = field(default_factory=lambda: defaultdict(set))

    def take(self, exposition: str) -> None:
        """Note one scrape."""
        for family in text_string_to_metric_families(exposition):
            for sample in family.samples:
                if sample.name.endswith("_created"):
                    continue
                name = (sample.name, tuple(sorted(sample.labels.items())))
                self.families[family.name.removesuffix("_info")].add(name)
                self.least[name] = min(self.least.get(name, sample.value), sample.value)
                self.most[name] = max(self.most.get(name, sample.value), sample.value)

    def has_moved(self, family: str) -> bool:
        """Whether any series of the family was anything but 0."""
        return any(self.most[name] or self.least[name] for name in self.families.get(family, ()))


@dataclass
class Tour:
    """A server with everything that it can work with."""

    server: Server
    home: Path
    root: Path
    redis: RedisServer
    seen: Seen = field(default_factory=Seen)

    @property
    def client(self) -> httpx2.Client:
        """Of the server."""
        return self.server.client

    def go(self) -> None:
        """Use everything once."""
        with self._watching():
            self._take_in()
            self._take_in_at_once()
            self._ask()
            self._overload()
            asyncio.run(self._as_an_assistant())
            self._sync()
            self._warm()
            self._break_things()
            self._write_elsewhere()

    def unmoved(self, families: Collection[str]) -> list[str]:
        """Those that were never seen as anything but 0, also of what is stored and counted a moment later."""

        def look() -> bool | None:
            self.seen.take(self.client.get("/metrics").text)
            return all(map(self.seen.has_moved, families)) or None

        with suppress(TimeoutError):
            wait_until(look, LIMIT_S)
        return [name for name in families if not self.seen.has_moved(name)]

    @contextmanager
    def _watching(self) -> Iterator[None]:
        is_over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(is_over,))
        watcher.start()
        try:
            yield
        finally:
            is_over.set()
            watcher.join()

    def _watch(self, is_over: threading.Event) -> None:
        with httpx2.Client(base_url=self.server.url, timeout=LIMIT_S, trust_env=False) as client:
            while not is_over.wait(LOOK_S):
                self.seen.take(client.get("/metrics").text)

    def _take_in(self) -> None:
        self._post("/v1/documents", {"text": TEXT, "source": "river", "collection": "tour"}, 201)
        files = [("file", (f"{at}.md", f"# {at}\n\n{TEXT}".encode(), "text/markdown")) for at in range(12)]
        form = {"collection": "tour", "wait_s": "60"}
        self.client.post("/v1/documents", files=files, data=form).raise_for_status()

    def _take_in_at_once(self) -> None:
        """Texts that nobody embedded before, until a scrape sees some wait for the model."""
        numbers = count()

        def add(_: int) -> None:
            body = {"text": f"{next(numbers)} herons. {TEXT}", "collection": "crowd"}
            # Behind the others the turn to write may come too late.
            assert self.client.post("/v1/documents", json=body).status_code in (201, 429)

        def has_waited(pool: ThreadPoolExecutor) -> bool:
            list(pool.map(add, range(AT_ONCE)))
            return self.seen.has_moved("ragstone_embedding_queue")

        with ThreadPoolExecutor(AT_ONCE) as pool:
            wait_until(lambda: has_waited(pool) or None, LIMIT_S)

    def _ask(self) -> None:
        for _ in range(3):
            self._post("/v1/search", {"query": "Who waits by the river?", "collections": ["tour"]})
            self._post("/v1/ask", {"question": "Who waits for the heron?", "collections": ["tour"]})
        self._post("/v1/search", {"query": "Anything at all?"})  # the default collection is empty
        self._post("/v1/search", {"query": "Who?", "collections": ["nowhere"]}, 404)
        self.client.get("/openapi.json").raise_for_status()

    def _overload(self) -> None:
        """More searches at once than there is a place for, until one is refused."""

        def search(_: int) -> int:
            body = {"query": "Who waits by the river?", "collections": ["tour"], "cache": False}
            return self.client.post("/v1/search", json=body).status_code

        with ThreadPoolExecutor(AT_ONCE) as pool:
            wait_until(lambda: 429 in pool.map(search, range(AT_ONCE)) or None, LIMIT_S)

    async def _as_an_assistant(self) -> None:
        async with over_http(self.server)() as client:
            await call(client, "search", query="Who waits?", collections=["tour"])

    def _sync(self) -> None:
        (self.root / "note.md").write_text("The otter sleeps.")
        catalogue = f'[notes]\nkind = "folder"\npath = "{self.root}"\ncollection = "tour"\n'
        (self.home / "sources.toml").write_text(catalogue)
        self._post("/v1/sources/notes/sync", {"wait_s": 60})

    def _warm(self) -> None:
        wait_until(lambda: self.client.get("/v1/queries/popular").json()["queries"] or None, LIMIT_S)
        self._post("/v1/cache/warm", {"wait": True})
        # By now it is stored what follows it.
        self._post("/v1/search", {"query": "Who waits by the river?", "collections": ["tour"]})

    def _break_things(self) -> None:
        self.redis.kill()
        self._post("/v1/search", {"query": "Is Redis needed?", "collections": ["tour"]})
        with closing(sqlite3.connect(self.home / "ragstone.db", LIMIT_S, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            wait_until(lambda: self._is_locked_out() or None, LIMIT_S)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                wait_until(lambda: self._has_seen_a_queue_of_writes(pool) or None, LIMIT_S)
            other.execute("ROLLBACK")

    def _is_locked_out(self) -> bool:
        """A write meets the lock itself (503), not a write of the server's own that waits for it (429)."""
        status = self.client.post("/v1/documents", json={"text": "Locked out."}).status_code
        assert status in (429, 503)
        return status == 503

    def _has_seen_a_queue_of_writes(self, pool: ThreadPoolExecutor) -> bool:
        """Some more writes than the one that waits for the lock, until a scrape sees them in a row."""
        body = {"text": "Locked out."}
        refused = pool.map(lambda _: self.client.post("/v1/documents", json=body).status_code, range(AT_ONCE))
        assert set(refused) <= {429, 503}
        return self.seen.has_moved("ragstone_database_writes_waiting")

    def _write_elsewhere(self) -> None:
        with Ragstone(self.home) as elsewhere:
            elsewhere.add_text("The badger digs.", collection="elsewhere")
            self.seen.take(self.client.get("/metrics").text)

    def _post(self, path: str, body: dict[str, object], status: int | None = None) -> None:
        response = self.client.post(path, json=body)
        assert response.status_code == status if status else response.is_success, response.text


@contextmanager
def touring(
    folder: Path, environ: Mapping[str, str] | None = None, begin: Callable[[], None] | None = None
) -> Iterator[Tour]:
    """A server with a generator, Redis and a folder to sync, after the tour; `begin` is called before it."""
    home, root = folder / "home", folder / "root"
    root.mkdir(parents=True)
    with running_generator() as generator, running_redis(folder / "redis") as redis:
        settings = {
            "RAGSTONE_GENERATOR__BASE_URL": generator.base_url,
            "RAGSTONE_GENERATOR__MODEL": "good",
            "RAGSTONE_CACHE__REDIS_URL": redis.url,
            "RAGSTONE_INGEST__ALLOWED_ROOTS": str(root),
            "RAGSTONE_STORE__BUSY_TIMEOUT_S": "0.2",
            # One of them may be prefetching.
            "RAGSTONE_LIMITS__MAX_CONCURRENT_SEARCHES": "2",
            "RAGSTONE_CACHE__PREFETCH_FOLLOW_UPS": "1",
        }
        with running_server(home, settings | dict(environ or {})) as server:
            tour = Tour(server, home, root, redis)
            if begin is not None:
                begin()
            tour.go()
            yield tour
