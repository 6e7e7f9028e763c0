"""Whether every response was fresh, whole and the reader's own, given what was written and when (pure).

Every change has a version, and versions are in the order in which the changes happened. So a value that a
change made is gone for good once a later change of the same place has been acknowledged. Where the order of
two writes is not known, both values count as possible: what is reported is wrong whatever the order was.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults.freshness.records import Begun, Ended, Lost, Read, Record
from tests.faults.freshness.texts import Token

NEVER = 2**63
States = Mapping[str, frozenset[str | None]]
"""What each place may hold; None stands for no document."""


class Violation(AssertionError):
    """A response that must not have been given."""


class Stale(Violation):
    """It is older than a write that was acknowledged before it was asked for."""


class Missing(Violation):
    """A text that was acknowledged before and is there still is not in it."""


class Foreign(Violation):
    """It holds, or was made from, what its reader may not see."""


class Torn(Violation):
    """Its parts do not fit together, or it is not what it repeats."""


@dataclass(slots=True, eq=False)
class Write:
    """A value on its way into a place."""

    token: str | None
    begun: int
    ended: int = NEVER
    version: int | None = None
    is_acknowledged: bool = False

    def is_before(self, final: Write) -> bool:
        """Whether it certainly happened before the other one, which is acknowledged."""
        if self is final:
            return False
        if self.version is not None and final.version is not None:
            return self.version < final.version
        return self.ended <= final.begun


@dataclass(slots=True)
class Place:
    """One source of one collection, as time goes on."""

    tenant: str
    collection: str
    live: list[Write] = field(default_factory=list)
    """Writes begun so far whose value may still be there."""
    coming: list[Write] = field(default_factory=list)
    """The others, by the time of their begin."""

    def begin(self, until: int) -> None:
        """Take in the writes that have begun before a moment."""
        while self.coming and self.coming[0].begun < until:
            self.live.append(self.coming.pop(0))

    def settle(self, final: Write) -> None:
        """A write was acknowledged: what was there before it is gone."""
        self.begin(final.ended)
        self.live = [write for write in self.live if not write.is_before(final)]

    def possible(self, sent: int, ended: int) -> set[str | None]:
        """Values that it may have had at some moment between; `sent` only ever rises."""
        self.begin(sent)
        upto = bisect_left(self.coming, ended, key=lambda write: write.begun)
        return {write.token for write in (*self.live, *self.coming[:upto])}


class Checker:
    """Takes records in any order, then tells what is wrong with the reads among them."""

    def __init__(self, initial: States | None = None) -> None:
        self._initial = initial or {}
        self._writes: dict[int, Write] = {}
        self._places: dict[str, Place] = {}
        self._of: dict[int, str] = {}
        self.reads: list[Read] = []

    def take(self, records: Iterable[Record]) -> None:
        """Take records in; those of one write in their order."""
        for record in records:
            match record:
                case Read():
                    self.reads.append(record)
                case Begun():
                    self._begin(record)
                case Ended(write=number, version=None):
                    self._forget(number)
                case Ended(write=number, at=at, version=version):
                    write = self._writes[number]
                    write.ended, write.version, write.is_acknowledged = at, version, True
                case Lost(write=number, at=at):
                    self._writes[number].ended = at

    def check(self) -> States:
        """Look at all reads; what the places may hold at the end. To be called once.

        Raises:
            Violation: the first one in the order in which responses were asked for.
        """
        self._seed()
        acknowledged = [
            (write.ended, number) for number, write in self._writes.items() if write.is_acknowledged
        ]
        heapq.heapify(acknowledged)
        newest: dict[tuple[str, str], int] = {}
        answers: dict[str, Read] = {}
        for read in sorted(self.reads, key=lambda found: found.sent):
            self._settle(acknowledged, read.sent, newest)
            self._check_version(read, newest)
            self._check_texts(read)
            _check_answer(read, answers)
        self._settle(acknowledged, NEVER, newest)
        return {name: frozenset(place.possible(NEVER, NEVER)) for name, place in self._places.items()}

    @property
    def writes(self) -> Sequence[tuple[Place, Write]]:
        """Every write that was sent, with its place."""
        return [(self._places[self._of[number]], write) for number, write in self._writes.items()]

    def _begin(self, record: Begun) -> None:
        write = Write(record.token, record.at)
        self._writes[record.write] = write
        self._of[record.write] = record.place
        insort(self._place(record.place).coming, write, key=lambda found: found.begun)

    def _forget(self, number: int) -> None:
        self._place(self._of.pop(number)).coming.remove(self._writes.pop(number))

    def _place(self, name: str) -> Place:
        if name not in self._places:
            tenant, collection, _ = name.split("/")
            self._places[name] = Place(tenant, collection)
        return self._places[name]

    def _seed(self) -> None:
        for name in (*self._places, *self._initial):
            place = self._place(name)
            if not any(write.ended < 0 for write in place.live):
                values = self._initial.get(name, frozenset({None}))
                place.live += [Write(token, -1, -1) for token in values]

    def _settle(
        self, acknowledged: list[tuple[int, int]], until: int, newest: dict[tuple[str, str], int]
    ) -> None:
        while acknowledged and acknowledged[0][0] <= until:
            _, number = heapq.heappop(acknowledged)
            write, place = self._writes[number], self._places[self._of[number]]
            place.settle(write)
            scope = (place.tenant, place.collection)
            newest[scope] = max(newest.get(scope, 0), write.version or 0)

    def _check_version(self, read: Read, newest: Mapping[tuple[str, str], int]) -> None:
        least = max((newest.get((read.tenant, name), 0) for name in read.collections), default=0)
        if read.version < least:
            raise Stale(f"version {read.version} answered after {least} was acknowledged: {read}")

    def _check_texts(self, read: Read) -> None:
        groups = None if read.groups is None else frozenset(read.groups)
        shown = set(read.shown)
        for token in shown | set(read.said):
            if not Token.parse(token).is_for(read.tenant, groups):
                raise Foreign(f"{token} was shown to {read.tenant} with {read.groups}: {read}")
        if not set(read.said) <= shown:
            raise Torn(f"{set(read.said) - shown} was said, but is in no passage: {read}")
        left = set(shown)
        for place in self._places.values():
            if place.tenant == read.tenant and place.collection in read.collections:
                possible = place.possible(read.sent, read.ended)
                left -= possible
                _check_found(read, possible, shown, groups)
        if left:
            raise Stale(f"{sorted(left)} was shown, but gone or in no collection asked for: {read}")


def _check_found(
    read: Read, possible: set[str | None], shown: set[str], groups: frozenset[str] | None
) -> None:
    """Whatever the place held during the read, a part of it must be there."""
    if not read.finds_all or read.degraded or possible & shown:
        return
    if all(token is not None and Token.parse(token).is_for(read.tenant, groups) for token in possible):
        raise Missing(f"one of {possible} must be shown: {read}")


def _check_answer(read: Read, answers: dict[str, Read]) -> None:
    """The response is whole, and the same text was never given to another reader or with other citations."""
    if read.faults:
        raise Torn(f"{read.faults}: {read}")
    if read.generation is None:
        return
    first = answers.setdefault(read.generation, read)
    if (first.tenant, first.groups, first.question) != (read.tenant, read.groups, read.question):
        raise Foreign(f"{read.generation} was made for {first}, but given to {read}")
    if first.text != read.text and not (first.degraded or read.degraded):
        raise Torn(f"{read.generation} was repeated with another text: {first}, {read}")
    if read.cache == "hit":
        # Each process ranks with statistics of its own, so only its own answers are the same to the end.
        place = (read.process, read.kind, read.generation, read.collections, read.version)
        first = answers.setdefault(repr(place), read)
        if first.whole != read.whole:
            raise Torn(f"{read.generation} was replayed in another way: {first}, {read}")
