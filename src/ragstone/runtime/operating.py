"""What operators look at."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from ragstone.operate.generators import configured_generators, reach_generator
from ragstone.operate.health import Health, HealthParts

if TYPE_CHECKING:
    from ragstone.operate.drain import Drain
    from ragstone.runtime.base import Base


def open_health(stack: AsyncExitStack, base: Base, drain: Drain) -> Health:
    """What says how this process is; its looks end with the stack."""
    configured = base.settings.generator

    reached = configured_generators(configured) if configured.probe_every_s > 0 else []
    health = Health(
        HealthParts(
            database=base.database,
            follower=base.follower,
            embedder=base.embedder,
            generator=base.generator,
            cache=base.cache,
            breakers=base.guards.breakers,
            reach_generators=[partial(reach_generator, one) for one in reached],
            reach_every_s=configured.probe_every_s,
        )
    )
    stack.push_async_callback(health.aclose)
    drain.on_begin(health.begin_draining)
    base.metrics.watch_health(health.seen)
    return health
