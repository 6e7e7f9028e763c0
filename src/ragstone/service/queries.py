"""Tracked questions: popular ones, completions, similar ones, figures, erasure; asking one again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ragstone.analytics.asked import present_ms
from ragstone.analytics.autocomplete import complete
from ragstone.analytics.erase import Erased, erase_all, erase_asker, erase_logged, erase_one
from ragstone.analytics.popular import most_popular, popular_in_days
from ragstone.analytics.similar import SimilarQuery, similar_to
from ragstone.analytics.tracker import QueryTracker
from ragstone.analytics.words import digest_of, fold, fold_prefix
from ragstone.errors import InvalidRequest
from ragstone.search.understand import normalise_query
from ragstone.store.queries import DAY_MS
from ragstone.store.query_log import Subject
from ragstone.store.query_reads import DayTotals, QueryFilter, TrackedQuery, totals_by_day
from ragstone.types import LOCAL_OWNER, AnswerRequest, CacheUse, Principal

if TYPE_CHECKING:
    from ragstone.analytics.answer_traces import AnswerTraces
    from ragstone.analytics.asking import Asking
    from ragstone.analytics.query_log import QueryLog
    from ragstone.service.answers import AnswerService
    from ragstone.service.search import SearchService
    from ragstone.settings import Settings
    from ragstone.store.database import Database

MOST_LISTED = 100


@dataclass(frozen=True, slots=True)
class PopularRequest:
    """Which questions are wanted; None is any.

    `days` counts today; without it the counts are of all time. `text` stands in the question, `prefix` at its
    beginning; `since_ms` is the earliest last asking. Case does not matter.
    """

    limit: int = 10
    days: int | None = None
    prefix: str | None = None
    text: str | None = None
    collection: str | None = None
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class QueryStatistics:
    """What was asked on the last `days` days, the oldest first; a day without questions is left out."""

    days: int
    tracked: int
    """Different questions that are kept now."""
    by_day: Sequence[DayTotals]


class QueryService:
    """Everything about tracked questions. What is asked is found some two seconds later."""

    def __init__(
        self,
        database: Database,
        tracker: QueryTracker,
        log: QueryLog,
        settings: Settings,
        traces: AnswerTraces,
    ) -> None:
        self._database = database
        self._log = log
        self._tracker = tracker
        self._traces = traces
        self._settings = settings

    async def popular(self, wanted: PopularRequest, principal: Principal = LOCAL_OWNER) -> list[TrackedQuery]:
        """The most asked questions that fit, most asked first.

        Raises:
            InvalidRequest: limit or days out of range.
        """
        _check_limit(wanted.limit)
        filter_ = QueryFilter(
            folded=None if wanted.text is None else fold(wanted.text),
            prefix=None if wanted.prefix is None else fold_prefix(wanted.prefix),
            collection=wanted.collection,
            since_ms=wanted.since_ms,
        )
        if wanted.days is not None:
            days = self._days(wanted.days)
            return await popular_in_days(self._database, principal, filter_, wanted.limit, days)
        if wanted.prefix is not None and replace(filter_, prefix=None).is_open:
            return await complete(self._database, principal, wanted.prefix, wanted.limit)
        return await most_popular(self._database, principal, filter_, wanted.limit)

    async def complete(
        self, prefix: str, limit: int = 10, principal: Principal = LOCAL_OWNER
    ) -> list[TrackedQuery]:
        """The most asked questions that begin with `prefix`; case does not matter.

        Raises:
            InvalidRequest: the limit is out of range, or the prefix longer than a question may be.
        """
        _check_limit(limit)
        if len(prefix) > self._settings.limits.query_max_chars:
            normalise_query(prefix, self._settings.limits.query_max_chars)
        return await complete(self._database, principal, prefix, limit)

    async def similar(
        self, question: str, limit: int = 10, principal: Principal = LOCAL_OWNER
    ) -> list[SimilarQuery]:
        """Tracked questions that share rare words with `question`, the most similar first.

        Raises:
            InvalidRequest: the question is empty or too long, or the limit out of range.
        """
        _check_limit(limit)
        normal = normalise_query(question, self._settings.limits.query_max_chars)
        return await similar_to(self._database, principal, normal, limit)

    async def statistics(
        self, days: int | None = None, principal: Principal = LOCAL_OWNER
    ) -> QueryStatistics:
        """What was asked, by day; `days` is `cache.query_days` when left out.

        Raises:
            InvalidRequest: more days than are kept.
        """
        wanted = self._days(self._settings.cache.query_days if days is None else days)
        async with self._database.read() as connection:
            tracked, totals = await totals_by_day(connection, principal, wanted[0])
        return QueryStatistics(len(wanted), tracked, totals)

    async def erase(self, question: str | None = None, principal: Principal = LOCAL_OWNER) -> Erased:
        """Forget one question of the tenant, or all of them; no process has it any more when this returns.

        Raises:
            InvalidRequest: the question is empty or too long.
            StoreFailed: the database or the log does not answer.
        """
        tenant_id = principal.tenant_id
        if question is None:
            erased = await erase_all(self._database, self._tracker, self._traces, tenant_id)
            subject = Subject("all")
        else:
            normal = normalise_query(question, self._settings.limits.query_max_chars)
            erased = await erase_one(self._database, self._tracker, self._traces, tenant_id, normal)
            subject = Subject("question", digest_of(normal).hex())
        gone = await erase_logged(self._log, tenant_id, subject)
        return Erased(erased.count, erased.is_log_empty and gone.is_log_empty, gone.logged)

    async def erase_asker(
        self, kind: Literal["client", "user"], name: str, principal: Principal = LOCAL_OWNER
    ) -> Erased:
        """Forget what a client or a user asked, and the questions that nobody else asked.

        What other askers had in common with them stays counted, without a name.

        Raises:
            InvalidRequest: the name is empty.
            StoreFailed: the database or the log does not answer.
        """
        if not name:
            raise InvalidRequest(f"The {kind} is empty; name whose questions are to be erased.")
        subject = Subject(kind, name)
        return await erase_asker(
            self._database, self._tracker, self._traces, self._log, principal.tenant_id, subject
        )

    def _days(self, count: int) -> range:
        kept = self._settings.cache.query_days
        if not 1 <= count <= kept:
            raise InvalidRequest(
                f"days is {count}; questions are counted for the last {kept} days (cache.query_days).",
                days=count,
            )
        today = present_ms() // DAY_MS
        return range(today - count + 1, today + 1)


class Repeater:
    """Asks questions again for a warming, without counting them.

    With a generator, questions for an answer are searched only, unless `answers_too` pays for their tokens.
    """

    def __init__(self, search: SearchService, answers: AnswerService, *, answers_too: bool) -> None:
        self._search = search
        self._answers = answers
        self._answers_too = answers_too

    async def __call__(self, asking: Asking) -> CacheUse:
        """Search or answer; see `operate.ask_again.AskAgain`."""
        if asking.kind == "ask" and self._answers_too:
            request = AnswerRequest(asking.search, asking.temperature)
            return (await self._answers.ask(request, is_tracked=False)).cache
        return (await self._search.search(asking.search, is_tracked=False)).cache


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MOST_LISTED:
        raise InvalidRequest(f"limit is {limit}; it must lie between 1 and {MOST_LISTED}.", limit=limit)
