"""One generator after the other until one speaks."""

from __future__ import annotations

from contextlib import aclosing

import pytest
from tests.support.asking import chain_of

from ragstone.deadline import Deadline
from ragstone.errors import GeneratorFailed, PromptRefused
from ragstone.models.fakes import ScriptedGenerator
from ragstone.models.generator_chain import Chosen, GeneratorChain, Link, NoGeneratorAnswered, Said
from ragstone.models.ports import Delta, GenerationOptions, Prompt
from ragstone.resilience.breaker import Breaker, BreakerRules
from ragstone.resilience.limiter import Limiter
from ragstone.resilience.retry import Retry, RetryRules

pytestmark = pytest.mark.anyio

PROMPT = Prompt("", "What?")


async def said(chain: GeneratorChain) -> list[Said]:
    """All that the chain says."""
    async with aclosing(chain.stream(PROMPT, GenerationOptions(), Deadline.never())) as parts:
        return [part async for part in parts]


async def test_the_first_answers_alone() -> None:
    """The second is not asked, and nothing is degraded."""
    second = ScriptedGenerator(model="second")

    parts = await said(chain_of(ScriptedGenerator(["a"], model="first"), second))

    assert parts[:2] == [Chosen("first"), Delta("a")]
    assert second.prompts == []


async def test_a_fallback_is_named() -> None:
    """The first fails every time: the second answers, under its own name."""
    first = ScriptedGenerator.failing()

    parts = await said(chain_of(first, ScriptedGenerator(["b"], model="second"), attempts=3))

    assert parts[:2] == [Chosen("second", ("generator:fallback",)), Delta("b")]
    assert len(first.prompts) == 3


async def test_nobody_is_asked_after_a_word() -> None:
    """What was said cannot be taken back: the error is the chain's."""
    second = ScriptedGenerator(model="second")

    with pytest.raises(GeneratorFailed, match="broke off"):
        await said(chain_of(ScriptedGenerator(["a", GeneratorFailed("broke off")]), second))
    assert second.prompts == []


async def test_all_that_happened_is_told_once() -> None:
    """Two fail, one is left alone: each thing is in `degraded` once."""
    breaker = Breaker("x", BreakerRules(failures=1))
    breaker.admit().failed("it was down")
    left_alone = Link(ScriptedGenerator(), breaker, Limiter("answers", 1, "x"))
    failing = chain_of(ScriptedGenerator.failing(), ScriptedGenerator.failing())._links
    chain = GeneratorChain([*failing, left_alone], Retry(RetryRules(attempts=1)))

    with pytest.raises(NoGeneratorAnswered, match="it was down") as caught:
        await said(chain)

    assert caught.value.degraded == ("generator:failed", "generator:open")


async def test_a_full_generator_is_passed_over() -> None:
    """While its places are taken the next one is asked, and its breaker hears nothing of it."""
    breaker = Breaker("x", BreakerRules(failures=1))
    places = Limiter("answers", 1, "generator.max_concurrent")
    chain = GeneratorChain([Link(ScriptedGenerator(), breaker, places)], Retry(RetryRules()))

    with places.place(), pytest.raises(NoGeneratorAnswered) as caught:
        await said(chain)

    assert caught.value.degraded == ("generator:overloaded",)
    assert breaker.figures().state == "closed"
    assert await said(chain)


async def test_a_refused_prompt_is_not_held_against_the_generator() -> None:
    """Too long a prompt is the caller's: the breaker stays closed, and the prompt is not sent again."""
    breaker = Breaker("x", BreakerRules(failures=1))
    generator = ScriptedGenerator([PromptRefused("too long")])
    link = Link(generator, breaker, Limiter("answers", 1, "x"))

    with pytest.raises(NoGeneratorAnswered):
        await said(GeneratorChain([link], Retry(RetryRules(attempts=3))))

    assert breaker.figures().state == "closed"
    assert len(generator.prompts) == 1


async def test_who_leaves_frees_place_and_probe() -> None:
    """A caller that goes in the middle is nobody's failure: the next call tries the generator."""
    now = 0.0
    breaker = Breaker("x", BreakerRules(failures=1, open_s=1.0), clock=lambda: now)
    breaker.admit().failed("down")
    now = 2.0
    link = Link(ScriptedGenerator(["a", "b"]), breaker, Limiter("answers", 1, "x"))
    chain = GeneratorChain([link], Retry(RetryRules()))

    async with aclosing(chain.stream(PROMPT, GenerationOptions(), Deadline.never())) as parts:
        assert await anext(parts) == Chosen("scripted")
        assert breaker.figures().state == "half_open"

    assert len(await said(chain)) == 4
    assert breaker.figures().state == "closed"
