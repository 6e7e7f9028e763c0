"""What load balancers and orchestrators ask: alive, ready, and how everything is."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import httpx2
import pytest

from ragstone.config import load
from ragstone.entrypoints.http.app import build_app
from ragstone.models.batching import LocalEmbedder
from ragstone.models.fakes import HashEmbedder, PretendedGpu
from ragstone.models.local import LocalModelOptions, open_local_embedder
from ragstone.models.ports import Embedder
from ragstone.runtime.engine import Engine, open_engine
from tests.requirements import verifies
from tests.support.generator import running_generator
from tests.support.process import COMMAND, environment, run_command, running_server
from tests.support.redis import free_port
from tests.support.waiting import until, wait_until
from tests.support.wellness import all_well

LIMIT_S = 60.0
START_LIMIT_S = 60.0
COMPONENTS = {"store", "indexes", "embedder", "gpu", "generator", "cache"}
FOREIGN = {"host": "10.1.2.3:8321"}


@verifies("OBS-01")
def test_liveness_is_told_to_everyone_and_tells_nothing_else(client: httpx2.Client) -> None:
    """Whatever Host a probe has, and without a body for HEAD; other methods are refused as everywhere."""
    told = client.get("/health/live", headers=FOREIGN)
    head = client.head("/health/live")

    assert (told.status_code, told.json()) == (200, {"status": "ok"})
    assert (head.status_code, head.content) == (200, b"")
    assert client.get("/health/ready", headers=FOREIGN).status_code == 421
    assert client.post("/health/live").status_code == 405
    assert 'route="/health/live"' in client.get("/metrics").text


@verifies("OBS-01")
def test_readiness_looks_at_every_dependency(client: httpx2.Client) -> None:
    """Each with its status, its latency and what to know; a missing generator is no fault."""
    found = all_well(client, "/health/ready")

    assert (found["ready"], found["phase"]) == (True, "serving")
    assert set(found["components"]) == COMPONENTS
    assert all(part["latency_ms"] >= 0 for part in found["components"].values())
    assert "all-MiniLM-L6-v2" in found["components"]["embedder"]["detail"]


def test_details_name_versions_caches_and_uptime(client: httpx2.Client) -> None:
    """What somebody asks first who looks into trouble."""
    found = client.get("/health/detailed").json()

    assert {"python", "sqlite", "ragstone", "onnxruntime"} <= set(found["versions"])
    assert found["uptime_s"] >= 0
    assert {"answer", "retrieval"} <= {cache["name"] for cache in found["caches"]}


def test_scrapes_show_every_dependency(client: httpx2.Client) -> None:
    """As numbers that an alert can be built on."""
    all_well(client)
    text = client.get("/metrics").text

    for name in COMPONENTS:
        assert f'ragstone_component_health{{component="{name}"}} 1.0' in text
        assert f'ragstone_component_look_seconds{{component="{name}"}}' in text
    assert "ragstone_embedder_fallbacks_total 0.0" in text


@verifies("OBS-01")
def test_a_starting_server_is_alive_and_not_ready(home: Path) -> None:
    """While the database is held by another program the process says both; then it serves."""
    home.mkdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with contextlib.closing(sqlite3.connect(home / "ragstone.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        words = [*COMMAND, "serve", "--port", str(port)]
        log = home.parent / "starting.log"
        with (
            log.open("wb") as stderr,
            subprocess.Popen(
                words, stdout=subprocess.DEVNULL, stderr=stderr, env=environment(home, None)
            ) as server,
        ):
            try:
                live = wait_until(lambda: answer(f"{url}/health/live"), START_LIMIT_S)
                early = wait_until(lambda: answer(f"{url}/health/ready"), START_LIMIT_S)
                other.execute("ROLLBACK")
                late = wait_until(lambda: succeeded(f"{url}/health/ready"), START_LIMIT_S)
            finally:
                server.terminate()

    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    assert (early.status_code, early.json()["code"], early.json()["phase"]) == (503, "not_ready", "starting")
    assert late.json()["ready"] is True


@pytest.mark.anyio
@verifies("OBS-01")
async def test_a_draining_server_is_not_ready_and_still_well(home: Path) -> None:
    """503 takes it out of the rotation; health itself is unchanged."""
    async with serving(home, HashEmbedder()) as (engine, client):
        engine.health.begin_draining()

        await until(lambda: is_well(client), LIMIT_S)
        ready, health = await client.get("/health/ready"), await client.get("/health")

    assert (ready.status_code, ready.json()["phase"]) == (503, "draining")
    assert (health.status_code, health.json()["ready"]) == (200, False)


@pytest.mark.anyio
@verifies("OBS-01")
async def test_a_store_that_does_not_answer_takes_the_server_out(home: Path) -> None:
    """503 at /health and /health/ready while every connection is taken; metrics are told all the same."""
    flags = {"store.pool_size": 1, "store.max_overflow": 0}
    async with serving(home, HashEmbedder(), **flags) as (engine, client):
        async with engine.database.read():
            await until(lambda: is_status(client, "/health/ready", 503), LIMIT_S)
            health = await client.get("/health")
        await until(lambda: is_status(client, "/health/ready", 200), LIMIT_S)

    assert (health.status_code, health.json()["components"]["store"]["status"]) == (503, "failed")


@verifies("OBS-01")
def test_a_generator_that_is_away_degrades_and_is_asked_for_nothing(tmp_path: Path) -> None:
    """Still ready; a server that is there is not asked to generate, and needs no list of models."""
    with running_generator() as double:
        there = {"RAGSTONE_GENERATOR__BASE_URL": double.base_url, "RAGSTONE_GENERATOR__MODEL": "good"}
        with running_server(tmp_path / "there", there) as server:
            well = wait_until(lambda: seen(server.client, "answers"), START_LIMIT_S)
    away = {**there, "RAGSTONE_GENERATOR__BASE_URL": f"http://127.0.0.1:{free_port()}/v1"}
    with running_server(tmp_path / "away", away) as server:
        unwell = wait_until(lambda: seen(server.client, "does not answer"), START_LIMIT_S)

    assert (well["ready"], well["status"], double.requests) == (True, "ok", [])
    assert (unwell["ready"], unwell["status"]) == (True, "degraded")


@verifies("OBS-01", "OPS-08")
def test_each_fallback_is_looked_at(tmp_path: Path) -> None:
    """One that is away degrades and takes nothing out; health and doctor name it, and hide its key."""
    key = "canary-key-5190"
    with running_generator() as double:
        away = f"http://user:{key}@127.0.0.1:{free_port()}/v1"
        fallbacks = [
            {"base_url": double.base_url, "model": "spare"},
            {"base_url": away, "model": "gone", "api_key": key},
        ]
        environ = {
            "RAGSTONE_GENERATOR__BASE_URL": double.base_url,
            "RAGSTONE_GENERATOR__MODEL": "good",
            "RAGSTONE_GENERATOR__FALLBACKS": json.dumps(fallbacks),
        }
        with running_server(tmp_path / "home", environ) as server:
            found = wait_until(lambda: seen(server.client, "does not answer"), START_LIMIT_S)
        doctor = run_command("doctor", "--json", home=tmp_path / "home", environ=environ)

    detail = components_of(found)["generator"]["detail"]
    assert (found["ready"], found["status"]) == (True, "degraded")
    assert detail.startswith("good answers, then spare answers, then gone does not answer")
    assert "quote" not in detail
    told = {one["name"]: one for one in json.loads(doctor.stdout)["findings"]}
    assert [told[name]["status"] for name in ("generator", "generator.fallbacks[0]")] == ["ok", "ok"]
    gone = told["generator.fallbacks[1]"]
    assert (gone["status"], "generator.fallbacks[1].base_url" in gone["fix"]) == ("note", True)
    assert key not in json.dumps(found) + doctor.stdout + doctor.stderr


@pytest.mark.anyio
@verifies("EMB-04")
async def test_a_failing_gpu_costs_no_request(home: Path) -> None:
    """The search is whole; health, the GPU report and the metrics say that the processor took over."""
    gpu = PretendedGpu()
    embedder = await open_local_embedder(LocalModelOptions(runtime="onnxruntime", accelerator=gpu))
    async with serving(home, embedder) as (_, client):
        added = await client.post("/v1/documents", json={"text": "The owl hoots at night."})
        gpu.is_failing = True

        found = await client.post("/v1/search", json={"query": "nocturnal bird", "mode": "dense"})
        health, metrics = await client.get("/health"), await client.get("/metrics")

    assert (added.status_code, found.status_code) == (201, 200)
    assert (len(found.json()["hits"]), found.json()["degraded"]) == (1, [])
    assert (health.status_code, health.json()["status"], health.json()["ready"]) == (200, "degraded", True)
    assert "out of memory" in health.json()["components"]["gpu"]["detail"]
    assert "ragstone_embedder_fallbacks_total 1.0" in metrics.text


@asynccontextmanager
async def serving(
    home: Path, embedder: Embedder | LocalEmbedder, **flags: int
) -> AsyncIterator[tuple[Engine, httpx2.AsyncClient]]:
    """The application around an engine in this process."""
    async with open_engine(load(home, environ={}, flags=flags), embedder) as engine:
        transport = httpx2.ASGITransport(build_app(engine))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield engine, client


async def is_well(client: httpx2.AsyncClient) -> bool:
    """Whether every part is, and answers in time."""
    return str((await client.get("/health")).json()["status"]) == "ok"


async def is_status(client: httpx2.AsyncClient, path: str, status: int) -> bool:
    """Whether a route answers so."""
    return (await client.get(path)).status_code == status


def answer(url: str) -> httpx2.Response | None:
    """What the server says, if it does."""
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(url, timeout=LIMIT_S, trust_env=False)
    return None


def succeeded(url: str) -> httpx2.Response | None:
    """A good answer, if it is one."""
    found = answer(url)
    return found if found is not None and found.status_code == 200 else None


def seen(client: httpx2.Client, words: str) -> dict[str, object] | None:
    """The report once it says this of the generator."""
    found: dict[str, object] = client.get("/health").json()
    return found if words in components_of(found)["generator"]["detail"] else None


def components_of(report: dict[str, object]) -> dict[str, dict[str, str]]:
    """The parts by name."""
    return cast("dict[str, dict[str, str]]", report["components"])
