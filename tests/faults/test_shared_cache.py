"""What servers share of their caches: answers after a restart, one generation for all, a Redis that dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.requirements import verifies
from tests.support.generator import GeneratorDouble, running_generator
from tests.support.process import COMMAND_LIMIT_S, Server, running_server, start_server
from tests.support.redis import RedisServer, running_redis
from tests.support.waiting import wait_until

TEXT = "The Cordouan lighthouse stands in the Gironde estuary. It was finished in 1611 by Louis de Foix."
QUESTION = "Who finished the Cordouan lighthouse?"
ASKERS = 20
LIMIT_S = 60.0

Answer = dict[str, Any]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    with running_redis(tmp_path / "redis") as redis:
        yield redis


@pytest.fixture
def generator() -> Iterator[GeneratorDouble]:
    """A generator that waits for the test."""
    with running_generator() as double:
        yield double
        double.may_go.set()


@verifies("CAC-10")
def test_a_restart_is_warm(tmp_path: Path) -> None:
    """Without a Redis, a new process finds the answer of the old one in the file beside the documents."""
    home = tmp_path / "home"
    with running_server(home) as server:
        add(server, TEXT)
        first = ask(server)
    with running_server(home) as server:
        second = ask(server)
        found = server.client.get("/v1/cache").json()

    assert (first["cache"], second["cache"]) == ("miss", "hit")
    assert second["answer"] == first["answer"]
    assert second["citations"] == first["citations"]
    [figures] = [cache for cache in found["caches"] if cache["name"] == "answer"]
    assert figures["hits"] == {"sqlite": 1}
    assert figures["saved_ms"] > 0


@verifies("CAC-12")
def test_equal_questions_to_two_servers_cost_one_generation(
    tmp_path: Path, redis: RedisServer, generator: GeneratorDouble
) -> None:
    """Everyone gets the same answer, whichever server was asked, and the generator is asked once."""
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(tmp_path / "home", redis, generator)) for _ in range(2)]
        add(servers[0], TEXT)
        with ThreadPoolExecutor(ASKERS) as pool:
            asked = [pool.submit(ask, servers[at % 2]) for at in range(ASKERS)]
            wait_until(lambda: sum(map(answer_misses, servers)) >= ASKERS or None, LIMIT_S)
            generator.may_go.set()
            answers = results(asked)

    assert len(generator.requests) == 1
    assert len({answer["answer"] for answer in answers}) == 1
    assert len({answer["answer_id"] for answer in answers}) == ASKERS
    outcomes = Counter(answer["cache"] for answer in answers)
    assert outcomes["miss"] == 1
    assert outcomes["shared"] >= ASKERS - 3


@verifies("CAC-12")
def test_a_killed_server_hands_the_question_over(
    tmp_path: Path, redis: RedisServer, generator: GeneratorDouble
) -> None:
    """The other server waits for it, and answers itself when it is gone."""
    home = tmp_path / "home"
    first = start_server(home, settings(redis, generator))
    with serving(home, redis, generator) as second, ThreadPoolExecutor(2) as pool:
        add(first, TEXT)
        lost = pool.submit(ask, first)
        assert generator.asked.wait(LIMIT_S)
        waiting = pool.submit(ask, second)
        wait_until(lambda: answer_misses(second) or None, LIMIT_S)
        assert len(generator.requests) == 1

        first.kill()
        generator.may_go.set()
        answer = waiting.result(COMMAND_LIMIT_S)
        assert lost.exception(COMMAND_LIMIT_S) is not None

    assert (answer["cache"], answer["mode"], answer["degraded"]) == ("miss", "generated", [])
    assert len(generator.requests) == 2


@verifies("CAC-10")
def test_a_missing_redis_is_named_and_used_when_it_comes(tmp_path: Path, redis: RedisServer) -> None:
    """Requests are answered without it and say so; health says so; nothing is restarted when it is back."""
    redis.kill()
    retry = {"RAGSTONE_CACHE__REDIS_URL": redis.url, "RAGSTONE_CACHE__REDIS_RETRY_S": "0.1"}
    with running_server(tmp_path / "home", retry) as server:
        add(server, TEXT)
        without = [ask(server), ask(server)]
        health = server.client.get("/health/detailed").json()
        redis.start()
        wait_until(lambda: _is_whole(server), LIMIT_S)
        healed = server.client.get("/health/detailed").json()
        add(server, "Another text, so that the next answer is made anew.")
        ask(server)
        stored = wait_until(lambda: redis.answers("DBSIZE").strip() not in ("0", "") or None, LIMIT_S)

    assert [answer["degraded"] for answer in without] == [["cache:redis"], ["cache:redis"]]
    assert [answer["cache"] for answer in without] == ["miss", "hit"]
    assert health["components"]["cache"]["status"] == "degraded"
    assert "127.0.0.1" in health["components"]["cache"]["detail"]
    assert healed["components"]["cache"]["status"] == "ok"
    assert stored


def _is_whole(server: Server) -> bool | None:
    """A search that was not asked before looks into Redis."""
    body = {"query": f"lighthouse {len(server.log)}"}
    server.log.append("asked")
    return not server.client.post("/v1/search", json=body).json()["degraded"] or None


def serving(home: Path, redis: RedisServer, generator: GeneratorDouble) -> Any:
    """A server that shares a Redis and waits for a generator."""
    return running_server(home, settings(redis, generator))


def settings(redis: RedisServer, generator: GeneratorDouble) -> dict[str, str]:
    """Of such a server."""
    return {
        "RAGSTONE_CACHE__REDIS_URL": redis.url,
        # On a busy machine Redis may take long; that it is left alone then is tested elsewhere.
        "RAGSTONE_CACHE__REDIS_TIMEOUT_S": "10",
        "RAGSTONE_GENERATOR__BASE_URL": generator.base_url,
        "RAGSTONE_GENERATOR__MODEL": "held",
    }


def add(server: Server, text: str) -> None:
    """Add a text."""
    server.client.post("/v1/documents", json={"text": text}).raise_for_status()


def ask(server: Server) -> Answer:
    """The answer to the question."""
    answer: Answer = server.client.post("/v1/ask", json={"question": QUESTION}).raise_for_status().json()
    return answer


def answer_misses(server: Server) -> int:
    """How many questions looked for a kept answer and found none."""
    caches = server.client.get("/v1/cache").json()["caches"]
    return sum(cache["misses"] for cache in caches if cache["name"] == "answer")


def results(asked: Sequence[Future[Answer]]) -> list[Answer]:
    """What everyone got."""
    return [future.result(COMMAND_LIMIT_S) for future in asked]
