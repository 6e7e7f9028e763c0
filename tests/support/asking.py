"""Search and answer pipelines over open parts, with caches that are off unless a test gives one."""

from __future__ import annotations

from ragstone.answer.cached import CachingAnswers
from ragstone.answer.evidence import Evidence
from ragstone.answer.pipeline import AnswerPipeline
from ragstone.answer.recipes import Recipes
from ragstone.answer.semantic import SemanticCache
from ragstone.cache.cache import Cache, limits_of
from ragstone.models.fakes import HashEmbedder
from ragstone.models.generator_chain import GeneratorChain, Link
from ragstone.models.ports import Generator
from ragstone.resilience.breaker import BreakerRules, Breakers
from ragstone.resilience.limiter import Limiter
from ragstone.resilience.retry import Retry, RetryRules
from ragstone.search.cached import CachingSearch
from ragstone.search.pipeline import SearchPipeline
from ragstone.search.standing import Standings
from ragstone.settings import CacheSettings, SearchSettings, Settings
from tests.support.corpus import Parts

QUERY_MAX_CHARS = 1000


def no_cache() -> Cache:
    """One that keeps nothing."""
    return Cache(limits_of(CacheSettings(enabled=False)))


def chain_of(*generators: Generator, attempts: int = 1) -> GeneratorChain:
    """Generators one after the other, tried again without pauses."""

    async def go_on(_pause_s: float) -> None:
        return None

    breakers = Breakers(BreakerRules(failures=100))
    links = [
        Link(
            generator, breakers.add(f"generator {number}"), Limiter("answers", 8, "generator.max_concurrent")
        )
        for number, generator in enumerate(generators)
    ]
    return GeneratorChain(links, Retry(RetryRules(attempts=attempts), go_on))


def search_over(
    parts: Parts, embedder: HashEmbedder | None = None, settings: SearchSettings | None = None
) -> SearchPipeline:
    """A search without caches."""
    standings = Standings(parts.database, parts.follower, QUERY_MAX_CHARS)
    return SearchPipeline(
        parts.database, parts.follower, embedder or HashEmbedder(), settings or SearchSettings(), standings
    )


def answers_over(
    parts: Parts,
    generator: Generator | None = None,
    embedder: HashEmbedder | None = None,
    cache: Cache | None = None,
    settings: Settings | None = None,
) -> tuple[AnswerPipeline, CachingAnswers]:
    """The pipeline itself, and behind its caches; extractive without a generator."""
    model, caches, configured = embedder or HashEmbedder(), cache or no_cache(), settings or Settings()
    standings = Standings(parts.database, parts.follower, QUERY_MAX_CHARS)
    recipes = Recipes.of(configured, model)
    found = CachingSearch(search_over(parts, model, configured.search), standings, caches, recipes.retrieval)
    semantic = SemanticCache(standings, caches, model, configured.cache, recipes.answer)
    evidence = Evidence(standings, caches, recipes.answer, semantic)
    chain = None if generator is None else chain_of(generator)
    pipeline = AnswerPipeline(parts.database, found, model, chain, configured, evidence)
    return pipeline, CachingAnswers(pipeline, standings, caches, recipes)
