"""The configured generator and those that stand in for it, each behind its breaker and its places."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import structlog

from ragstone.errors import BreakerOpen, GeneratorFailed, Overloaded, PromptRefused, RagstoneError
from ragstone.models.ports import Delta, GenerationOptions, Prompt
from ragstone.types import Usage

if TYPE_CHECKING:
    from ragstone.deadline import Deadline
    from ragstone.models.ports import Generator
    from ragstone.resilience.breaker import Breaker
    from ragstone.resilience.limiter import Limiter
    from ragstone.resilience.retry import Retry

log = structlog.get_logger(__name__)

FALLBACK = "generator:fallback"


def breaker_name(place: int) -> str:
    """What the breaker and the places of a generator are called, by where it stands in the chain."""
    return f"generator_fallback_{place}" if place else "generator"


@dataclass(frozen=True, slots=True)
class Link:
    """One generator with what guards it."""

    generator: Generator
    breaker: Breaker
    places: Limiter


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which model answers; said once, before its first delta. `degraded` names it when it is a fallback."""

    model: str
    degraded: tuple[str, ...] = ()


Said: TypeAlias = Chosen | Delta | Usage


class NoGeneratorAnswered(GeneratorFailed):
    """None of the chain said a word; `degraded` holds what happened to them, each thing once."""

    def __init__(self, message: str, degraded: tuple[str, ...]) -> None:
        super().__init__(message)
        self.degraded = degraded


class GeneratorChain:
    """Asks one generator after the other until one speaks; what it then says is its own.

    A generator is tried again only before its first delta, and only for errors that another moment may
    mend. Once a delta was given out no other generator is asked: an error from there on is the chain's.
    """

    def __init__(self, links: Sequence[Link], retry: Retry) -> None:
        self._links = tuple(links)
        self._retry = retry

    @property
    def model(self) -> str:
        """The configured model's name."""
        return self._links[0].generator.model

    @property
    def models(self) -> tuple[str, ...]:
        """All of them, in the order in which they are asked."""
        return tuple(link.generator.model for link in self._links)

    async def stream(
        self, prompt: Prompt, options: GenerationOptions, deadline: Deadline
    ) -> AsyncGenerator[Said, None]:
        """Who answers, then deltas, then usage when known. Close it to stop the generation.

        Raises:
            DeadlineExceeded: no time was left to begin.
            NoGeneratorAnswered: nobody said a word.
            GeneratorFailed: one began and did not end.
        """
        happened: dict[str, str] = {}
        for link in self._links:
            if happened:
                deadline.check("the next generator was asked")
            is_begun = False
            try:
                async with aclosing(self._of(link, prompt, options, deadline)) as parts:
                    async for part in parts:
                        if not is_begun:
                            is_begun = True
                            yield Chosen(link.generator.model, (FALLBACK,) if happened else ())
                        yield part
                return
            except (GeneratorFailed, BreakerOpen, Overloaded) as error:
                if is_begun:
                    raise
                log.warning("generator_skipped", model=link.generator.model, code=error.code)
                happened.setdefault(_what(error), error.message)
        raise NoGeneratorAnswered(" ".join(happened.values()), tuple(happened))

    async def aclose(self) -> None:
        """Close the connections of each."""
        for link in self._links:
            await link.generator.aclose()

    async def _of(
        self, link: Link, prompt: Prompt, options: GenerationOptions, deadline: Deadline
    ) -> AsyncGenerator[Delta | Usage, None]:
        with link.places.place():
            attempt = partial(_attempt, link, prompt, options, deadline)
            async with aclosing(self._retry.stream(attempt, deadline)) as parts:
                async for part in parts:
                    yield part


async def _attempt(
    link: Link, prompt: Prompt, options: GenerationOptions, deadline: Deadline
) -> AsyncGenerator[Delta | Usage, None]:
    with _counted(link.breaker):
        async with aclosing(link.generator.stream(prompt, options, deadline)) as parts:
            async for part in parts:
                yield part


@contextmanager
def _counted(breaker: Breaker) -> Iterator[None]:
    """One call under the breaker: a prompt that is refused says nothing against the generator."""
    permit = breaker.admit()
    try:
        yield
    except GeneratorFailed as error:
        if isinstance(error, PromptRefused):
            permit.succeeded()
        else:
            permit.failed(error.reason)
        raise
    except BaseException:
        permit.abandoned()
        raise
    permit.succeeded()


def _what(error: RagstoneError) -> str:
    if isinstance(error, BreakerOpen):
        return "generator:open"
    return "generator:overloaded" if isinstance(error, Overloaded) else "generator:failed"


def what_happened(error: RagstoneError) -> tuple[str, ...]:
    """What `degraded` says when no generator gave an answer."""
    return error.degraded if isinstance(error, NoGeneratorAnswered) else ("generator:failed",)
