"""Breakers, retries and places, as the settings say, around the models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ragstone.errors import InvalidSetting
from ragstone.models.generator_chain import GeneratorChain, Link, breaker_name
from ragstone.models.guarded import GuardedEmbedder
from ragstone.models.measured_generator import MeasuredGenerator
from ragstone.models.traced_generator import TracedGenerator
from ragstone.models.unavailable import UnavailableEmbedder
from ragstone.resilience.breaker import BreakerRules, Breakers
from ragstone.resilience.limiter import Limiter
from ragstone.resilience.retry import Retry, RetryRules

if TYPE_CHECKING:
    from ragstone.models.ports import Embedder, Generator
    from ragstone.settings import FallbackSettings, GeneratorSettings, Settings
    from ragstone.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Guards:
    """What guards the parts of one engine; health and metrics read it."""

    breakers: Breakers
    retry: Retry
    limiters: list[Limiter] = field(default_factory=list)


def open_guards(settings: Settings, metrics: Metrics) -> Guards:
    """Guards by the `resilience` section; what they guard adds itself."""
    configured = settings.resilience
    rules = BreakerRules(configured.breaker_failures, configured.breaker_open_s)
    guards = Guards(Breakers(rules), open_retry(settings))
    metrics.watch_breakers(guards.breakers.figures)
    metrics.watch_places(lambda: [limiter.figures() for limiter in guards.limiters])
    return guards


def open_retry(settings: Settings) -> Retry:
    """Retries by the `resilience` section."""
    configured = settings.resilience
    return Retry(RetryRules(configured.retry_attempts, configured.retry_first_s, configured.retry_max_s))


def guarded(embedder: Embedder, guards: Guards) -> Embedder:
    """The embedder behind its breaker; one that is not there at all fails at once as it is."""
    if isinstance(embedder, UnavailableEmbedder):
        return embedder
    return GuardedEmbedder(embedder, guards.breakers.add("embedder"))


def open_generators(
    settings: Settings, given: Generator | None, guards: Guards, metrics: Metrics
) -> GeneratorChain | None:
    """The given or the configured generator, then its fallbacks; None when there is none.

    Raises:
        InvalidSetting: the generator's settings do not fit together.
    """
    links = [
        Link(
            MeasuredGenerator(TracedGenerator(generator), metrics),
            guards.breakers.add(name),
            Limiter(name, settings.generator.max_concurrent, "generator.max_concurrent"),
        )
        for name, generator in _named(settings.generator, given)
    ]
    guards.limiters.extend(link.places for link in links)
    return GeneratorChain(links, guards.retry) if links else None


def _named(configured: GeneratorSettings, given: Generator | None) -> Iterator[tuple[str, Generator]]:
    """Each generator with the name that its breaker and its places have in health and metrics."""
    first = given or _open_configured(configured)
    if first is None:
        if configured.fallbacks:
            raise InvalidSetting(
                "generator.fallbacks names models, but generator.base_url is empty; "
                "name the first model there, for example RAGSTONE_GENERATOR__BASE_URL=http://127.0.0.1:11434/v1."
            )
        return
    yield breaker_name(0), first
    for place, fallback in enumerate(configured.fallbacks, start=1):
        yield breaker_name(place), _open(fallback.base_url, fallback)


def _open_configured(configured: GeneratorSettings) -> Generator | None:
    if configured.base_url is None:
        return None
    if not configured.model:
        raise InvalidSetting(
            f"generator.base_url is {configured.base_url!r}, but generator.model is empty; "
            "name the model, for example RAGSTONE_GENERATOR__MODEL=llama3.2."
        )
    return _open(configured.base_url, configured)


def _open(base_url: str, configured: GeneratorSettings | FallbackSettings) -> Generator:
    from ragstone.models.openai_generator import OpenAIGenerator, OpenAIOptions

    key = configured.api_key.get_secret_value()
    return OpenAIGenerator(OpenAIOptions(base_url, configured.model, key, configured.timeout_s))
