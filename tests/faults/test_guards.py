"""Breakers, retries, fallbacks and places, as a client and an operator see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from ragstone.models.hardware import usable_cores
from tests.faults.proxy import FaultProxy, running_proxy
from tests.requirements import verifies
from tests.support.generator import GeneratorDouble, running_generator
from tests.support.process import Server, running_server
from tests.support.redis import running_redis
from tests.support.waiting import wait_until

WAIT_S = 60.0
GUARDS = {
    "RAGSTONE_RESILIENCE__BREAKER_FAILURES": "2",
    "RAGSTONE_RESILIENCE__BREAKER_OPEN_S": "1",
    "RAGSTONE_RESILIENCE__RETRY_FIRST_S": "0.05",
}


@pytest.fixture(scope="module")
def generator() -> Iterator[GeneratorDouble]:
    """Answers well as `good`, and as `held` when it may."""
    with running_generator() as double:
        yield double
        double.may_go.set()


@pytest.fixture(scope="module")
def proxy(generator: GeneratorDouble) -> Iterator[FaultProxy]:
    """The way to the first generator."""
    with running_proxy(port_of(generator), delay_s=0.0) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def server(
    generator: GeneratorDouble, proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with two generators, the first one behind the proxy."""
    folder = tmp_path_factory.mktemp("guards")
    fallback = {"base_url": generator.base_url, "model": "spare", "api_key": "s3cret-fallback"}
    with running_redis(folder / "redis") as redis:
        environ = {
            **GUARDS,
            "RAGSTONE_GENERATOR__BASE_URL": f"http://127.0.0.1:{proxy.port}/v1",
            "RAGSTONE_GENERATOR__MODEL": "good",
            "RAGSTONE_GENERATOR__PROBE_EVERY_S": "0",  # the looks of health would be counted, too
            "RAGSTONE_GENERATOR__FALLBACKS": json.dumps([fallback]),
            "RAGSTONE_CACHE__REDIS_URL": redis.url,
            "RAGSTONE_CACHE__REDIS_CONNECTIONS": "7",
            "RAGSTONE_CACHE__REDIS_TIMEOUT_S": "5",
            "RAGSTONE_STORE__POOL_SIZE": "11",
            "RAGSTONE_STORE__MAX_OVERFLOW": "3",
        }
        with running_server(folder / "home", environ) as server:
            server.client.post("/v1/documents", json={"text": "The heron waits by the river."})
            yield server


@verifies("RES-01")
def test_a_failing_generator_is_replaced_left_alone_and_taken_back(server: Server, proxy: FaultProxy) -> None:
    """The fallback answers under its own name; health and metrics show the breaker open, then closed."""
    proxy.become("error")
    told = [ask(server, f"Where does the heron wait, {number}?") for number in range(3)]
    connections = proxy.connections
    left_alone = wait_until(lambda: breaker(server, "open"), WAIT_S)
    health = server.client.get("/health").json()
    metrics = server.client.get("/metrics").text
    proxy.become("well")
    back = wait_until(lambda: answered_by(server, "good"), WAIT_S)

    assert {(one["mode"], one["model"]) for one in told} == {("generated", "spare")}
    assert all(one["degraded"] == ["generator:fallback"] for one in told)
    assert connections <= 6
    assert left_alone["opened"] >= 1
    assert "left alone" in health["components"]["generator"]["detail"]
    assert health["status"] == "degraded"
    assert 'ragstone_breaker_state{dependency="generator",state="open"} 1.0' in metrics
    assert 'ragstone_breaker_state{dependency="generator_fallback_1",state="closed"} 1.0' in metrics
    assert back["degraded"] == []
    assert breaker(server, "closed")


@verifies("RES-02")
def test_a_passing_failure_is_tried_again(server: Server, proxy: FaultProxy) -> None:
    """The first connection is reset, the second one carries the answer: nothing is degraded."""
    wait_until(lambda: answered_by(server, "good"), WAIT_S)
    proxy.become("flapping")
    before = proxy.connections + proxy.connections % 2
    while proxy.connections % 2:
        with pytest.raises((httpx2.HTTPError, OSError)):
            httpx2.get(f"http://127.0.0.1:{proxy.port}/", timeout=WAIT_S, trust_env=False).raise_for_status()
    answer = ask(server, "What does the heron do by the river?")
    proxy.become("well")

    assert (answer["model"], answer["degraded"]) == ("good", [])
    assert proxy.connections >= before + 2


@verifies("RES-07")
def test_pools_are_as_set_and_seen(server: Server) -> None:
    """Sizes come from the settings; what is in use, waits and is left shows in the metrics."""
    metrics = server.client.get("/metrics").text

    assert 'ragstone_database_connections{state="size"} 11.0' in metrics
    assert 'ragstone_database_connections{state="max_overflow"} 3.0' in metrics
    assert 'ragstone_database_connections{state="in_use"} ' in metrics
    assert "ragstone_database_writes_waiting 0.0" in metrics
    assert 'ragstone_redis_calls{state="limit"} 7.0' in metrics
    assert "ragstone_event_loop_lag_seconds_count" in metrics


@verifies("RES-03")
def test_beyond_the_places_there_is_an_answer_at_once(home: Path) -> None:
    """One question is in the making and no more may be: another is refused, a cached one is answered."""
    with running_generator() as generator:
        environ = {
            "RAGSTONE_GENERATOR__BASE_URL": generator.base_url,
            "RAGSTONE_GENERATOR__MODEL": "held",
            "RAGSTONE_LIMITS__MAX_CONCURRENT_ASKS": "1",
        }
        with running_server(home, environ) as server, ThreadPoolExecutor(1) as pool:
            server.client.post("/v1/documents", json={"text": "The heron waits by the river."})
            generator.may_go.set()
            known = ask(server, "Who waits?")
            generator.may_go.clear()
            generator.asked.clear()
            first = pool.submit(server.client.post, "/v1/ask", json={"question": "Where does it wait?"})
            assert generator.asked.wait(WAIT_S)

            refused = server.client.post("/v1/ask", json={"question": "Where else does it wait?"})
            streamed = server.client.post(
                "/v1/ask", json={"question": "Where else does it wait?", "stream": True}
            )
            again = [ask(server, "Who waits?")["cache"] for _ in range(3)]
            metrics = server.client.get("/metrics").text
            generator.may_go.set()
            told = first.result(WAIT_S)
            later = server.client.post("/v1/ask", json={"question": "Where else does it wait?"})

    for response in (refused, streamed):
        assert (response.status_code, response.json()["code"]) == (429, "overloaded")
        assert response.headers["retry-after"] == "1"
        assert "limits.max_concurrent_asks" in response.json()["detail"]
    assert (known["cache"], again) == ("miss", ["hit"] * 3)
    assert 'ragstone_places{of="asks",state="busy"} 1.0' in metrics
    assert 'ragstone_places_refused_total{of="asks"} 2.0' in metrics
    assert (told.status_code, told.json()["mode"]) == (200, "generated")
    assert later.status_code == 200


@verifies("RES-03")
def test_there_are_as_many_places_as_the_cores_serve(home: Path) -> None:
    """By default a storm piles up no work that only waits for other work; a generator is waited for."""
    with running_server(home) as server:
        alone = server.client.get("/metrics").text
    with running_generator() as generator:
        environ = {
            "RAGSTONE_GENERATOR__BASE_URL": generator.base_url,
            "RAGSTONE_GENERATOR__MODEL": "good",
        }
        with running_server(home, environ) as server:
            generating = server.client.get("/metrics").text

    cores = usable_cores()
    assert f'ragstone_places{{of="searches",state="limit"}} {max(8, 4 * cores)}.0' in alone
    assert f'ragstone_places{{of="asks",state="limit"}} {4 * cores}.0' in alone
    assert 'ragstone_places{of="asks",state="limit"} 32.0' in generating


def port_of(generator: GeneratorDouble) -> int:
    """Where it listens."""
    return int(generator.base_url.rpartition(":")[2].partition("/")[0])


def ask(server: Server, question: str) -> dict[str, object]:
    """The answer."""
    response = server.client.post("/v1/ask", json={"question": question})
    assert response.status_code == 200, response.text
    answer: dict[str, object] = response.json()
    return answer


def answered_by(server: Server, model: str) -> dict[str, object] | None:
    """An uncached answer, once this model gives it."""
    asked = {"question": "Where does the heron wait?", "cache": False}
    answer: dict[str, object] = server.client.post("/v1/ask", json=asked).json()
    return answer if answer["model"] == model else None


def breaker(server: Server, state: str) -> dict[str, int] | None:
    """The first generator's breaker, once it is in this state."""
    found = server.client.get("/health/detailed").json()["breakers"]["generator"]
    return found if found["state"] == state else None
