"""Health says which part is wrong, and never takes long to say it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.asking import chain_of, no_cache
from tests.support.corpus import WRITER_MEMORY_MB, Parts, open_parts
from tests.support.waiting import until

from ragstone.errors import DependencyFailed
from ragstone.index.follower import open_follower
from ragstone.index.slot import take_slot
from ragstone.models.fakes import HashEmbedder, PretendedGpu, ScriptedGenerator
from ragstone.models.local import LocalModelOptions, open_local_embedder
from ragstone.models.ports import Embedder, Generator
from ragstone.models.unavailable import UnavailableEmbedder
from ragstone.operate.health import Health, HealthParts, HealthReport
from ragstone.operate.look import GIVE_UP_S, Look, Seen
from ragstone.resilience.breaker import Breakers
from ragstone.settings import StoreSettings
from ragstone.store.database import open_database

pytestmark = pytest.mark.anyio


LIMIT_S = 30.0
COMPONENTS = ("store", "indexes", "embedder", "gpu", "generator", "cache")


@asynccontextmanager
async def watched(
    parts: Parts,
    embedder: Embedder | None = None,
    generator: Generator | None = None,
    reach: Callable[[], Awaitable[Seen]] | None = None,
) -> AsyncIterator[Health]:
    """The health of open parts."""
    health = Health(
        HealthParts(
            parts.database,
            parts.follower,
            embedder or HashEmbedder(),
            None if generator is None else chain_of(generator),
            no_cache(),
            Breakers(),
            () if reach is None else (reach,),
        )
    )
    yield health
    await health.aclose()


def statuses(report: HealthReport) -> dict[str, str]:
    """Status by component."""
    return {part.name: part.status for part in report.components}


@pytest.mark.parametrize("generator", [None, ScriptedGenerator()])
async def test_all_is_well(tmp_path: Path, generator: ScriptedGenerator | None) -> None:
    """Every component is ok, the version is the applied one, and a missing generator is no fault."""
    async with open_parts(tmp_path) as parts, watched(parts, generator=generator) as health:
        await parts.create("books")

        report = await health.report()

    assert (report.status, report.phase, report.is_ready) == ("ok", "serving", True)
    assert report.corpus_version == 1
    assert statuses(report) == dict.fromkeys(COMPONENTS, "ok")


async def test_a_missing_model_degrades(tmp_path: Path) -> None:
    """Words are still searched: requests may come; the reason is told."""
    missing: Embedder = UnavailableEmbedder("no model.onnx")
    async with open_parts(tmp_path) as parts, watched(parts, missing) as health:
        report = await health.readiness()

    assert (report.status, statuses(report)["embedder"], report.is_ready) == ("degraded", "degraded", True)
    assert "no model.onnx" in report.components[2].detail


async def test_a_broken_index_degrades(tmp_path: Path) -> None:
    """The collection without its lexical leg is named."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
    folder = tmp_path / "index" / "0" / books.id
    shutil.rmtree(folder)
    folder.write_text("a file stands in the way")

    async with open_parts(tmp_path) as parts, watched(parts) as health:
        report = await health.report()

    assert (report.status, statuses(report)["indexes"]) == ("degraded", "degraded")
    assert "books" in report.components[1].detail


async def test_a_gpu_that_was_given_up_degrades(tmp_path: Path) -> None:
    """The model goes on with the processor, and health says why."""
    gpu = PretendedGpu()
    embedder = await open_local_embedder(LocalModelOptions(runtime="onnxruntime", accelerator=gpu))
    gpu.is_failing = True
    await embedder.embed_passages(["owl"])

    async with open_parts(tmp_path) as parts, watched(parts, embedder) as health:
        report = await health.report()

    assert (report.status, statuses(report)["gpu"], report.is_ready) == ("degraded", "degraded", True)
    assert "out of memory" in report.components[3].detail
    await embedder.aclose()


async def test_a_store_without_a_free_connection_is_slow_then_down(tmp_path: Path) -> None:
    """The report does not wait for it: degraded at first, failed when it stays silent, then well again."""
    database = await open_database(tmp_path / "a.db", StoreSettings(pool_size=1, max_overflow=0))
    follower = await open_follower(database, take_slot(tmp_path / "index"), WRITER_MEMORY_MB)
    now = 0.0
    parts = HealthParts(database, follower, HashEmbedder(), None, no_cache(), Breakers())
    health = Health(parts, clock=lambda: now)

    async with database.read():
        slow = await health.readiness()
        now = GIVE_UP_S
        down = await health.readiness()
    await until(lambda: is_ready(health), LIMIT_S)

    assert (slow.status, statuses(slow)["store"], slow.is_ready) == ("degraded", "degraded", True)
    assert (down.status, statuses(down)["store"], down.is_ready) == ("failed", "failed", False)
    assert "no answer for 1000 ms" in down.components[0].detail
    await health.aclose()
    await follower.aclose()
    await database.aclose()


async def is_ready(health: Health) -> bool:
    """Whether it may be sent requests."""
    return (await health.report()).is_ready


async def test_draining_is_not_ready_and_not_unwell(tmp_path: Path) -> None:
    """A load balancer sends nothing more; nothing is wrong."""
    async with open_parts(tmp_path) as parts, watched(parts) as health:
        health.begin_draining()

        report = await health.readiness()

    assert (report.status, report.phase, report.is_ready) == ("ok", "draining", False)


async def test_the_generators_server_is_asked_in_the_background(tmp_path: Path) -> None:
    """Nobody waits for it, and it is asked once for all who look."""
    asked = 0
    may_answer = asyncio.Event()

    async def reach() -> Seen:
        nonlocal asked
        asked += 1
        await may_answer.wait()
        return "degraded", "does not answer"

    async with (
        open_parts(tmp_path) as parts,
        watched(parts, generator=ScriptedGenerator(), reach=reach) as health,
    ):
        first = await health.report()
        may_answer.set()
        await until(lambda: told(health, "generator", "degraded"), LIMIT_S)
        for _ in range(3):
            last = await health.report()

    assert (statuses(first)["generator"], statuses(last)["generator"]) == ("ok", "degraded")
    assert last.components[4].detail == "scripted does not answer; answers quote the documents meanwhile"
    assert (last.is_ready, asked) == (True, 1)


async def told(health: Health, name: str, status: str) -> bool:
    """Whether a component is said to be so."""
    return statuses(await health.report())[name] == status


async def test_what_was_seen_a_moment_ago_is_not_looked_at_again() -> None:
    """Until it is older than who asks will have it; a failure is told in its words."""
    looks = 0
    now = 0.0

    async def see() -> Seen:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise DependencyFailed("gone")
        return "ok", "there"

    look = Look("x", see, clock=lambda: now)
    first = await look.ask(LIMIT_S, kept_s=1.0)
    now = 0.9
    kept = await look.ask(LIMIT_S, kept_s=1.0)
    now = 1.0
    after = await look.ask(LIMIT_S, kept_s=1.0)

    assert (first.detail, kept, looks) == ("there", first, 2)
    assert (after.status, after.detail) == ("failed", "gone")


async def test_a_look_that_breaks_is_a_failed_component() -> None:
    """Looking must not take the report down."""

    async def see() -> Seen:
        raise ZeroDivisionError

    found = await Look("x", see).ask(LIMIT_S)

    assert (found.status, "ZeroDivisionError" in found.detail) == ("failed", True)
