"""Health says which part is wrong, and never takes long to say it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.asking import chain_of, no_cache
from tests.support.corpus import WRITER_MEMORY_MB, open_parts

from ragstone.index.follower import open_follower
from ragstone.index.slot import take_slot
from ragstone.models.fakes import HashEmbedder, ScriptedGenerator
from ragstone.models.ports import Embedder
from ragstone.models.unavailable import UnavailableEmbedder
from ragstone.operate.health import Health, HealthReport
from ragstone.resilience.breaker import Breakers
from ragstone.settings import StoreSettings
from ragstone.store.database import open_database

pytestmark = pytest.mark.anyio


def statuses(report: HealthReport) -> dict[str, str]:
    """Status by component."""
    return {part.name: part.status for part in report.components}


@pytest.mark.parametrize("generator", [None, ScriptedGenerator()])
async def test_all_is_well(tmp_path: Path, generator: ScriptedGenerator | None) -> None:
    """Every component is ok, the version is the applied one, and a missing generator is no fault."""
    async with open_parts(tmp_path) as parts:
        await parts.create("books")

        report = await Health(
            parts.database,
            parts.follower,
            HashEmbedder(),
            None if generator is None else chain_of(generator),
            no_cache(),
            Breakers(),
        ).report()

    assert report.status == "ok"
    assert report.corpus_version == 1
    assert statuses(report) == dict.fromkeys(("store", "indexes", "embedder", "generator", "cache"), "ok")


async def test_a_missing_model_degrades(tmp_path: Path) -> None:
    """Words are still searched; the reason is told."""
    missing: Embedder = UnavailableEmbedder("no model.onnx")
    async with open_parts(tmp_path) as parts:
        report = await Health(parts.database, parts.follower, missing, None, no_cache(), Breakers()).report()

    assert (report.status, statuses(report)["embedder"]) == ("degraded", "degraded")
    assert "no model.onnx" in report.components[2].detail


async def test_a_broken_index_degrades(tmp_path: Path) -> None:
    """The collection without its lexical leg is named."""
    async with open_parts(tmp_path) as parts:
        books = await parts.create("books")
    folder = tmp_path / "index" / "0" / books.id
    shutil.rmtree(folder)
    folder.write_text("a file stands in the way")

    async with open_parts(tmp_path) as parts:
        report = await Health(
            parts.database, parts.follower, HashEmbedder(), None, no_cache(), Breakers()
        ).report()

    assert (report.status, statuses(report)["indexes"]) == ("degraded", "degraded")
    assert "books" in report.components[1].detail


async def test_a_store_that_does_not_answer_in_time_is_degraded(tmp_path: Path) -> None:
    """While every connection is taken the report still comes, and says so."""
    database = await open_database(tmp_path / "a.db", StoreSettings(pool_size=1, max_overflow=0))
    follower = await open_follower(database, take_slot(tmp_path / "index"), WRITER_MEMORY_MB)

    async with database.read():
        report = await Health(database, follower, HashEmbedder(), None, no_cache(), Breakers()).report()

    assert (report.status, statuses(report)["store"]) == ("degraded", "degraded")
    assert "50 ms" in report.components[0].detail
    await follower.aclose()
    await database.aclose()
