"""Metrics: using the product moves every declared one, and the dashboards' queries read them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
import yaml

from ragstone.telemetry.families import FAMILIES
from tests.http.tour import Tour, touring
from tests.requirements import verifies
from tests.support.process import COMMAND, environment, running_server
from tests.support.redis import free_port
from tests.support.waiting import wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
LIMIT_S = 60.0
WITHOUT_GPU = {"ragstone_gpu_memory_bytes", "ragstone_gpu_busy_ratio", "ragstone_embedder_fallbacks"}
"""Proved with a double of the driver: this machine need not have one."""


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    """A server on which everything was used once."""
    with touring(tmp_path_factory.mktemp("tour")) as tour:
        yield tour


@verifies("OBS-02")
def test_every_declared_metric_moves_when_the_product_is_used(tour: Tour) -> None:
    """Through HTTP, MCP and the library; nothing else is exposed, and no label value is made of user text."""
    assert tour.unmoved([name for name in FAMILIES if name not in WITHOUT_GPU]) == []
    assert set(tour.seen.families) <= set(FAMILIES)
    assert len(FAMILIES) >= 50
    assert "heron" not in tour.client.get("/metrics").text


@verifies("OBS-02")
def test_every_series_has_the_declared_labels(tour: Tour) -> None:
    """No series has a label that its declaration does not name."""
    for family in FAMILIES.values():
        for name, labels in tour.seen.families[family.name]:
            shown = {label for label, _ in labels if label != "le"}
            assert family.kind == "info" or shown == set(family.labels), name


@verifies("OBS-06")
def test_every_query_of_every_dashboard_and_rule_reads_the_running_server(tour: Tour, tmp_path: Path) -> None:
    """A real Prometheus scrapes the server: no query is wrong, and none about what was moved is empty."""
    with Prometheus(tour, tmp_path) as prometheus:
        for title, expr in _dashboard_queries():
            found = _query(prometheus, expr)
            assert found or _may_be_empty(expr), f"{title}: {expr}"
        for name, expr in _rule_queries():
            assert _query(prometheus, expr) is not None, name


class Prometheus:
    """A real Prometheus that scrapes the server every second, with the rules of deploy/."""

    def __init__(self, tour: Tour, folder: Path) -> None:
        self._port = free_port()
        self.client = httpx2.Client(
            base_url=f"http://127.0.0.1:{self._port}", timeout=LIMIT_S, trust_env=False
        )
        self._folder = folder
        self._config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(DEPLOY / "prometheus" / name) for name in ("recording.yml", "alerts.yml")],
            "scrape_configs": [
                {
                    "job_name": "ragstone",
                    "static_configs": [{"targets": [tour.server.url.removeprefix("http://")]}],
                }
            ],
        }
        self._tour = tour
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> httpx2.Client:
        config = self._folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._config))
        words = [f"--config.file={config}", f"--storage.tsdb.path={self._folder / 'data'}"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["prometheus", *words, f"--web.listen-address=127.0.0.1:{self._port}"], stdout=log, stderr=log
            )
        wait_until(self._has_scraped, LIMIT_S)
        return self.client

    def _has_scraped(self) -> bool | None:
        """Two scrapes, between which the server was asked: rates want two."""
        self._tour.client.post("/v1/search", json={"query": "Who waits?", "cache": False})
        try:
            counted = _query(self.client, "count_over_time(ragstone_corpus_version[1m])")
        except httpx2.TransportError:
            return None
        return bool(counted and float(counted[0]["value"][1]) >= 3) or None

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(LIMIT_S)


def _query(prometheus: httpx2.Client, expr: str) -> list[dict[str, list[str]]]:
    """The result of a query; a wrong one fails the test."""
    response = prometheus.get("/api/v1/query", params={"query": expr})
    assert response.status_code == 200, f"{expr}: {response.text}"
    found: list[dict[str, list[str]]] = response.json()["data"]["result"]
    return found


def _dashboard_queries() -> Iterator[tuple[str, str]]:
    """Every query of every dashboard, its variables set."""
    values = {"$job": "ragstone", "$instance": ".*", "$__rate_interval": "1m"}
    for file in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(file.read_text("utf-8"))["panels"]:
            for target in panel["targets"]:
                expr = target["expr"]
                for name, value in values.items():
                    expr = expr.replace(name, value)
                yield f"{file.stem}: {panel['title']}", expr


def _rule_queries() -> Iterator[tuple[str, str]]:
    for name in ("recording.yml", "alerts.yml"):
        for group in yaml.safe_load((DEPLOY / "prometheus" / name).read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                yield rule.get("record") or rule["alert"], rule["expr"]


def _may_be_empty(expr: str) -> bool:
    """Without a GPU there is no series of one; a share of what rested just now is nothing."""
    return "ragstone_gpu" in expr or "> 0)" in expr


@verifies("OBS-02")
def test_every_process_has_metrics_of_its_own(home: Path) -> None:
    """A server without a door for users' metrics, and two workers: the attempts of all add up to the jobs."""
    ports = [free_port() for _ in range(3)]
    with ExitStack() as stack:
        server = stack.enter_context(
            running_server(
                home, {"RAGSTONE_TELEMETRY__METRICS_PORT": str(ports[0]), "RAGSTONE_INGEST__WORKERS": "0"}
            )
        )
        for port in ports[1:]:
            stack.enter_context(_running_worker(home, port))
        files = [
            ("file", (f"{at}.md", f"# {at}\n\nThe otter sleeps.".encode(), "text/markdown"))
            for at in range(20)
        ]
        server.client.post("/v1/documents", files=files, data={"wait_s": "60"}).raise_for_status()

        wait_until(lambda: sum(_attempts(port) for port in ports) == len(files) or None, LIMIT_S)
        assert _attempts(ports[0]) == 0
        url = f"http://127.0.0.1:{ports[0]}/v1/documents"
        assert httpx2.get(url, timeout=LIMIT_S, trust_env=False).status_code == 404


@contextmanager
def _running_worker(home: Path, port: int) -> Iterator[None]:
    words = ["worker", "--places", "1", "--metrics-port", str(port)]
    process = subprocess.Popen([*COMMAND, *words], env=environment(home, None), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(port) or None, LIMIT_S)
        yield
    finally:
        process.terminate()
        process.wait(LIMIT_S)


def _answers(port: int) -> str:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT_S, trust_env=False).text
    except httpx2.TransportError:
        return ""


def _attempts(port: int) -> int:
    """Attempts that were done, by one process' own count."""
    prefix = 'ragstone_job_attempts_total{outcome="ready"} '
    found = [line for line in _answers(port).splitlines() if line.startswith(prefix)]
    return int(float(found[0].removeprefix(prefix))) if found else 0
