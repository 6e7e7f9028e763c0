"""What a reader may see, and what it must see, given every write so far and when it was acknowledged.

Each text, title and metadata value holds words that no other value ever holds (markers), so whatever a door
returns tells which value it comes from. A place (a source in a collection) has a register for each of the
three. Concurrent writes make several values possible; the rules lean to the safe side, so that a reported
violation is one whatever the true order was.
"""

from __future__ import annotations

import itertools
import math
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

MARKER = re.compile(r"zu(?:[bcdfghjklm]u)+x")
DIGITS = "bcdfghjklm"


class Violation(AssertionError):
    """A door returned what it must not, or held back what it must return."""


class Stale(Violation):
    """Text that was replaced or removed before the read began."""


class Missing(Violation):
    """Text that was acknowledged before the read began, and not touched since."""


class Foreign(Violation):
    """Text of one document under another's name, or a hit without the word that was asked for."""


class Torn(Violation):
    """A text that the document had at no moment of the read."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a register may hold; `text` is None where there is no document."""

    text: str | None = None

    @property
    def markers(self) -> frozenset[str]:
        """The words that stand in it and in no other value of another place."""
        return frozenset(MARKER.findall(self.text or ""))


ABSENT = Value()


@dataclass(slots=True, eq=False)
class Write:
    """A value on its way into a register. Times are ticks of the history's clock.

    `order` is the corpus version of an acknowledged change: where two writes have one, it decides.
    """

    value: Value
    begin: int
    end: float = math.inf
    order: int | None = None
    is_acknowledged: bool = False
    is_void: bool = False
    """It was refused, or cancelled before it was stored: it never happened."""

    def acknowledge(self, end: int, order: int | None = None) -> None:
        """It happened before `end`."""
        self.end, self.order, self.is_acknowledged = end, order, True

    def is_after(self, other: Write) -> bool:
        """Whether it certainly happened after the other one."""
        if self.order is not None and other.order is not None:
            return self.order > other.order
        return self.begin >= other.end


class Register:
    """One value with its writes."""

    def __init__(self) -> None:
        first = Write(ABSENT, -1)
        first.acknowledge(0)
        self._writes = [first]

    def add(self, write: Write) -> None:
        """A write begins."""
        self._writes.append(write)

    def possible(self, begin: int, end: int) -> list[Value]:
        """Every value that the register may have held at some moment between two ticks."""
        happened = [write for write in self._writes if not write.is_void and write.begin < end]
        final = [write for write in happened if write.is_acknowledged and write.end <= begin]
        return [
            write.value
            for write in happened
            if not any(later is not write and later.is_after(write) for later in final)
        ]

    def forget(self, begin: int) -> None:
        """Drop the writes that no read that begins at `begin` or later may see."""
        values = self.possible(begin, begin + 1)
        kept = [write for write in self._writes if not write.is_void and write.value in values]
        self._writes = kept + [write for write in self._writes if write.begin > begin and write not in kept]

    @property
    def newest(self) -> Value:
        """What was written last, as far as the writers know."""
        return next(write.value for write in reversed(self._writes) if not write.is_void)


@dataclass(slots=True)
class Place:
    """A source in a collection: where a document is, was or will be."""

    collection: str
    source: str
    text: Register = field(default_factory=Register)
    title: Register = field(default_factory=Register)
    tag: Register = field(default_factory=Register)
    paragraphs: list[str] = field(default_factory=list)
    """Every paragraph that it ever had."""
    document_id: str | None = None
    """As the last acknowledged write said."""

    @property
    def registers(self) -> tuple[Register, Register, Register]:
        """Text, title and metadata."""
        return self.text, self.title, self.tag


@dataclass(frozen=True, slots=True)
class Reading:
    """What was possible between the begin and the end of a read."""

    allowed: Mapping[str, str]
    """Markers that may be returned, with the source of the place that they may be returned for."""
    required: Mapping[str, str]
    """Markers of texts that must be found."""
    begin: int

    def check_seen(self, shown: str) -> None:
        """No marker of a value that is gone is in what a door returned."""
        for marker in MARKER.findall(shown):
            if marker not in self.allowed:
                raise Stale(f"{marker} was returned, but gone at {self.begin}: {shown[:600]}")

    def check_of(self, shown: str, source: str) -> None:
        """What a door returned for one document is of that document."""
        self.check_seen(shown)
        for marker in MARKER.findall(shown):
            if self.allowed[marker] != source:
                raise Foreign(f"{marker} of {self.allowed[marker]} was returned for {source}")

    def check_complete(self, shown: str) -> None:
        """Everything that must be found is there."""
        missing = self.required.keys() - set(MARKER.findall(shown))
        if missing:
            raise Missing(f"{sorted(missing)} are missing at {self.begin} in: {shown[:600]}")


class History:
    """All places, their writes and a clock. Threads may share it."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = {(place.collection, place.source): place for place in places}
        self.lock = threading.RLock()
        self._clock = itertools.count(1)
        self._made = itertools.count(1)

    def tick(self) -> int:
        """A moment, later than every one before."""
        with self.lock:
            return next(self._clock)

    def marker(self) -> str:
        """A word that was never used."""
        with self.lock:
            number = next(self._made)
        return "zu" + "".join(f"{DIGITS[int(digit)]}u" for digit in str(number)) + "x"

    def begin(self, values: Sequence[tuple[Register, Value]]) -> list[Write]:
        """Writes begin; call it before the request is sent."""
        with self.lock:
            begin = next(self._clock)
            writes = [Write(value, begin) for _, value in values]
            for (register, _), write in zip(values, writes, strict=True):
                register.add(write)
            return writes

    def acknowledge(self, writes: Iterable[Write], order: int | None = None) -> None:
        """They happened; call it after the response came."""
        with self.lock:
            end = next(self._clock)
            for write in writes:
                write.acknowledge(end, order)

    def refuse(self, writes: Iterable[Write]) -> None:
        """They did not happen and never will."""
        with self.lock:
            for write in writes:
                write.is_void = True

    def lose(self, writes: Iterable[Write]) -> None:
        """They happened or not, but will not from now on: whoever worked on them is dead."""
        with self.lock:
            end = next(self._clock)
            for write in writes:
                write.end = end

    def reading(self, begin: int, collections: Sequence[str], *, source: str | None = None) -> Reading:
        """What a read that began at `begin` and ended now may have seen; call it after the response."""
        allowed: dict[str, str] = {}
        required: dict[str, str] = {}
        with self.lock:
            end = next(self._clock)
            for place in self.places.values():
                if place.collection not in collections or source not in (None, place.source):
                    continue
                for register in place.registers:
                    for value in register.possible(begin, end):
                        allowed |= dict.fromkeys(value.markers, place.source)
                texts = [value.markers for value in place.text.possible(begin, end)]
                required |= dict.fromkeys(frozenset.intersection(*texts), place.source)
        return Reading(allowed, required, begin)

    def forget(self) -> None:
        """Drop what no read to come may see; call it while nothing reads."""
        with self.lock:
            begin = next(self._clock)
            for place in self.places.values():
                for register in place.registers:
                    register.forget(begin)
