"""What everything else stands on: the home, the database, indexes, models, caches."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog
from anyio import to_thread

from ragstone.cache.cache import Cache, limits_of
from ragstone.cache.shared import SharedCache, open_shared_cache
from ragstone.config import Loaded
from ragstone.errors import NotReady
from ragstone.home import Home, open_home
from ragstone.index.follower import IndexFollower, open_follower
from ragstone.index.slot import Slot, take_slot
from ragstone.index.vector import ParallelProducts
from ragstone.models.batching import BatchingLimits, LocalEmbedder
from ragstone.models.card import BUNDLED_FOLDER
from ragstone.models.embedding_cache import CachingEmbedder
from ragstone.models.hardware import usable_cores
from ragstone.models.local import LocalModelOptions, open_local_embedder
from ragstone.models.unavailable import UnavailableEmbedder
from ragstone.runtime.guarding import Guards, guarded, open_generators, open_guards
from ragstone.settings import Settings
from ragstone.store.database import Database, open_database
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.percentiles import Percentiles
from ragstone.telemetry.resources import ResourceReader

if TYPE_CHECKING:
    from ragstone.cache.ports import Tier
    from ragstone.models.generator_chain import GeneratorChain
    from ragstone.models.ports import Embedder, Generator

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Base:
    """What everything else stands on."""

    settings: Settings
    home: Home
    slot: Slot
    database: Database
    follower: IndexFollower
    embedder: Embedder
    generator: GeneratorChain | None
    cache: Cache
    metrics: Metrics
    guards: Guards
    resources: ResourceReader


async def open_base(
    stack: AsyncExitStack,
    loaded: Loaded,
    embedder: Embedder | None,
    generator: Generator | None,
    tier: Tier | None,
) -> Base:
    """Open the home, the database, the indexes, the models and the caches.

    Raises:
        HomeMismatch: the home is of another version or damaged.
        InvalidSetting: the generator's settings do not fit together.
    """
    settings = loaded.settings
    home = await to_thread.run_sync(open_home, loaded.home)
    # The model loads beside the rest: 0.3 s, most of it outside the interpreter.
    opening = asyncio.create_task(_open_embedder(settings, embedder))
    stack.push_async_callback(_close_opened, opening)
    metrics = Metrics(version("ragstone"), Percentiles(is_on=settings.telemetry.percentiles))
    resources = ResourceReader(home.folder)
    metrics.watch_resources(resources.latest)
    database = await open_database(home.database, settings.store, metrics)
    stack.push_async_callback(database.aclose)
    metrics.watch_connections(database.pool_figures)
    slot = await to_thread.run_sync(take_slot, home.index)
    follower = await _open_follower(stack, database, slot, settings)
    guards = open_guards(settings, metrics)
    chain = open_generators(settings, generator, guards, metrics)
    if chain is not None:
        stack.push_async_callback(chain.aclose)
    cache = _open_cache(stack, settings, home, metrics, tier, guards)
    return Base(
        settings=settings,
        home=home,
        slot=slot,
        database=database,
        follower=follower,
        embedder=_watched(await opening, cache, metrics, guards),
        generator=chain,
        cache=cache,
        metrics=metrics,
        guards=guards,
        resources=resources,
    )


async def _open_embedder(settings: Settings, given: Embedder | None) -> Embedder:
    if given is not None:
        return given
    models = settings.models
    options = LocalModelOptions(
        folder=models.embedding_path or BUNDLED_FOLDER,
        runtime=models.runtime,
        threads=models.threads,
        device=models.device,
        limits=BatchingLimits(waiting_queries=models.waiting_queries, bulk_callers=models.bulk_callers),
    )
    try:
        return await open_local_embedder(options)
    except NotReady as error:
        log.warning("embedder_unavailable", error=error.message)
        return UnavailableEmbedder(error.message)


async def _close_opened(opening: asyncio.Task[Embedder]) -> None:
    await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().aclose()


def _open_cache(
    stack: AsyncExitStack,
    settings: Settings,
    home: Home,
    metrics: Metrics,
    tier: Tier | None,
    guards: Guards,
) -> Cache:
    given = None if tier is None else SharedCache(tier)
    shared = given or open_shared_cache(settings.cache, home.cache, metrics, guards.breakers)
    cache = Cache(limits_of(settings.cache), shared.tier, shared.claims)
    stack.push_async_callback(cache.aclose)
    metrics.watch_caches(cache.statistics)
    return cache


def _watched(embedder: Embedder, cache: Cache, metrics: Metrics, guards: Guards) -> Embedder:
    """The embedder behind its breaker; the model of this machine behind its cache, too."""
    metrics.watch_embedder(embedder.statistics)
    behind = guarded(embedder, guards)
    if not isinstance(embedder, LocalEmbedder):
        return behind
    caching = CachingEmbedder(behind, cache)
    metrics.watch_query_embeddings(caching.lookups)
    return caching


async def _open_follower(
    stack: AsyncExitStack, database: Database, slot: Slot, settings: Settings
) -> IndexFollower:
    products = ParallelProducts(usable_cores())
    stack.callback(products.close)
    try:
        follower = await open_follower(database, slot, settings.index.writer_memory_mb, products)
    except BaseException:
        slot.release()
        raise
    stack.push_async_callback(follower.aclose)
    return follower
