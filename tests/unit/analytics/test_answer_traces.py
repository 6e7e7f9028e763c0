"""Traces of answers are kept for their tenant and readers, bounded, and gone once erased."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.corpus import open_store

from ragstone.analytics.answer_traces import BUFFERED, REPEATS, AnswerTraces
from ragstone.analytics.asked import Asked, present_ms
from ragstone.analytics.asking import Asking
from ragstone.analytics.words import digest_of
from ragstone.settings import TelemetrySettings
from ragstone.store.answer_traces import erase_traces
from ragstone.store.database import Database
from ragstone.store.queries import note_erasure
from ragstone.telemetry.caller import Caller
from ragstone.telemetry.metrics import Metrics
from ragstone.telemetry.trail import Trail
from ragstone.types import AnswerId, Principal, SearchRequest, TenantId

pytestmark = pytest.mark.anyio

BIRDS, FISH = TenantId("birds"), TenantId("fish")
QUESTION = "Where is the heron?"


def asked(name: str, principal: Principal, *, repeats: str | None = None, question: str = QUESTION) -> Asked:
    """An answer that was given."""
    trail = Trail(repeats=repeats)
    if repeats is not None:
        trail.decide("rendered", "hit")
    return Asked(
        Asking("ask", SearchRequest(question, principal=principal)),
        {"total": 1.0},
        answer_id=AnswerId(name),
        caller=Caller("http", f"request-{name}"),
        trail=trail,
    )


def traces_on(database: Database, **changed: object) -> AnswerTraces:
    """Not started, so that nothing is stored unasked."""
    return AnswerTraces(database, TelemetrySettings.model_validate(changed), Metrics("0"))


@pytest.mark.parametrize("is_stored", [True, False])
async def test_another_tenant_and_another_audience_find_nothing(tmp_path: Path, is_stored: bool) -> None:
    """Whether it waits or is stored, by its id and by its request's; who reads everything finds it."""
    nurses = Principal(BIRDS, frozenset({"nurses"}))
    async with open_store(tmp_path / "a.db") as database:
        traces = traces_on(database)
        traces(asked("a", nurses))
        if is_stored:
            await traces.flush()

        for name in ("a", "request-a"):
            assert await traces.find(name, nurses) is not None
            assert await traces.find(name, Principal(BIRDS)) is not None
            assert await traces.find(name, Principal(FISH)) is None
            assert await traces.find(name, Principal(BIRDS, frozenset({"cooks"}))) is None


@pytest.mark.parametrize("is_stored", [True, False])
async def test_without_texts_there_is_no_question(tmp_path: Path, is_stored: bool) -> None:
    """Neither it nor the request that holds it; all else is there."""
    async with open_store(tmp_path / "a.db") as database:
        traces = AnswerTraces(database, TelemetrySettings(), Metrics("0"), are_texts_kept=False)
        traces(asked("a", Principal(BIRDS)))
        if is_stored:
            await traces.flush()

        found = await traces.find("a", Principal(BIRDS))

    assert found is not None
    assert (found.question, found.request, found.door) == ("", None, "http")
    assert QUESTION.encode() not in (tmp_path / "a.db").read_bytes()


async def test_what_waits_is_bounded_and_repeats_more_so(tmp_path: Path) -> None:
    """Beyond, a trace is dropped and counted; those that wait are stored all the same."""
    async with open_store(tmp_path / "a.db") as database:
        metrics = Metrics("0")
        traces = AnswerTraces(database, TelemetrySettings(), metrics)
        for number in range(REPEATS + 3):
            traces(asked(f"repeat-{number}", Principal(BIRDS), repeats="a"))
        for number in range(BUFFERED):
            traces(asked(f"made-{number}", Principal(BIRDS)))

        dropped = metrics.answer_traces.labels("dropped")._value.get()
        await traces.flush()

        assert dropped == 3 + REPEATS
        assert metrics.answer_traces.labels("kept")._value.get() == BUFFERED
        assert await traces.find("made-0", Principal(BIRDS)) is not None


async def test_an_erasure_of_another_process_reaches_what_waits_here(tmp_path: Path) -> None:
    """The trace was noted before the erasure and is stored after it: it is not."""
    async with open_store(tmp_path / "a.db") as database:
        traces = traces_on(database)
        traces(asked("gone", Principal(BIRDS)))
        traces(asked("kept", Principal(BIRDS), question="Where is the crane?"))
        async with database.write() as connection:
            await note_erasure(connection, BIRDS, digest_of(QUESTION), present_ms())
            await erase_traces(connection, BIRDS, [digest_of(QUESTION)])

        await traces.flush()

        assert await traces.find("gone", Principal(BIRDS)) is None
        assert await traces.find("kept", Principal(BIRDS)) is not None
