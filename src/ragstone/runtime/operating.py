"""What operators look at."""

from __future__ import annotations

from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import TYPE_CHECKING

from ragstone.net.probe import probe
from ragstone.operate.health import Health, HealthParts

if TYPE_CHECKING:
    from ragstone.operate.drain import Drain
    from ragstone.operate.look import Seen
    from ragstone.runtime.base import Base
    from ragstone.settings import GeneratorSettings

REFUSED_KEY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def open_health(stack: AsyncExitStack, base: Base, drain: Drain) -> Health:
    """What says how this process is; its looks end with the stack."""
    configured = base.settings.generator

    async def reach() -> Seen:
        return await reach_generator(configured)

    is_reached = configured.base_url is not None and configured.probe_every_s > 0
    health = Health(
        HealthParts(
            database=base.database,
            follower=base.follower,
            embedder=base.embedder,
            generator=base.generator,
            cache=base.cache,
            breakers=base.guards.breakers,
            reach_generator=reach if is_reached else None,
            reach_every_s=configured.probe_every_s,
        )
    )
    stack.push_async_callback(health.aclose)
    drain.on_begin(health.begin_draining)
    base.metrics.watch_health(health.seen)
    return health


async def reach_generator(configured: GeneratorSettings) -> Seen:
    """Whether the generator's server answers; its list of models costs nothing, a generation would."""
    url = f"{(configured.base_url or '').rstrip('/')}/models"
    found = await probe(url, configured.api_key.get_secret_value())
    if found.status is None:
        return "degraded", f"{found.problem}; answers quote the documents meanwhile"
    if found.status in REFUSED_KEY:
        return "degraded", f"refuses the key (status {found.status}); set generator.api_key"
    # A server without a list of models says 404, and is there.
    if found.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "degraded", f"answers with status {found.status}"
    return "ok", "answers"
