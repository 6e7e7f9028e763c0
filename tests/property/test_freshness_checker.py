"""The checker of freshness, on made-up histories: it accepts what may happen, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, strategies as st
from tests.faults.freshness.checker import Checker, Foreign, Missing, Stale, Torn, Violation
from tests.faults.freshness.records import Begun, Ended, Lost, Read, Record
from tests.faults.freshness.texts import TENANTS, Place, Token

PLACE = Place(0, 0, 0)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "remove", "read", "late read", "lost write"]),
        st.integers(0, 1),
        st.integers(0, 1),
        st.integers(0, 2),
    ),
    max_size=40,
)


@dataclass
class World:
    """A database that does one thing after another, and tells of it truly."""

    at: int = 0
    version: int = 0
    serial: int = 0
    live: dict[Place, Token] = field(default_factory=dict)
    newest: dict[tuple[int, int], int] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)

    def now(self) -> int:
        """A later moment."""
        self.at += 1
        return self.at

    def write(self, place: Place, group: int = 0, *, is_removal: bool = False, is_lost: bool = False) -> None:
        """A write that happens, and is acknowledged unless it is lost."""
        self.serial += 1
        token = Token(place, group, self.serial)
        self.records.append(Begun(self.serial, self.now(), str(place), None if is_removal else str(token)))
        self.version += 1
        self.newest[place.tenant, place.collection] = self.version
        self.live.pop(place, None)
        if not is_removal:
            self.live[place] = token
        if is_lost:
            self.records.append(Lost(self.serial, self.now(), "killed"))
        else:
            self.records.append(Ended(self.serial, self.now(), self.version))

    def read(self, tenant: int = 0, sent: int | None = None, **changes: object) -> Read:
        """A true response, sent now or before."""
        tokens = tuple(
            str(token)
            for place, token in self.live.items()
            if (place.tenant, place.collection) == (tenant, 0)
        )
        read = Read(
            kind="ask",
            process=1,
            sent=self.now() if sent is None else sent,
            ended=self.now(),
            tenant=TENANTS[tenant],
            groups=None,
            collections=("alpha",),
            question="q",
            finds_all=True,
            version=self.newest.get((tenant, 0), 0),
            cache="miss",
            degraded=(),
            shown=tokens,
        )
        return msgspec.structs.replace(read, **changes)


def check(records: Sequence[Record]) -> None:
    """Raise the first violation."""
    checker = Checker()
    checker.take(records)
    checker.check()


@given(STEPS)
def test_what_a_true_database_tells_is_accepted(steps: Sequence[tuple[str, int, int, int]]) -> None:
    """In whatever order things happen; a read that was sent long before it was answered, too."""
    world = World()
    for name, tenant, document, group in steps:
        place = Place(tenant, 0, document)
        if name == "read":
            world.records.append(world.read(tenant))
        elif name == "late read":
            world.records.append(world.read(tenant, sent=world.at // 2))
        else:
            world.write(place, group, is_removal=name == "remove", is_lost=name == "lost write")

    check(world.records)


@given(STEPS, st.data())
def test_what_was_true_before_an_acknowledged_write_is_refused(
    steps: Sequence[tuple[str, int, int, int]], data: st.DataObject
) -> None:
    """A response from before, given after the write came back."""
    world = World()
    for name, tenant, document, group in steps:
        if name in ("write", "remove"):
            world.write(Place(tenant, 0, document), group, is_removal=name == "remove")
    world.write(PLACE)
    old = world.read()
    world.write(PLACE, is_removal=data.draw(st.booleans()))
    now = world.read()
    stale = msgspec.structs.replace(old, sent=now.sent, ended=now.ended)
    if data.draw(st.booleans()):
        stale = msgspec.structs.replace(stale, version=now.version)

    with pytest.raises((Stale, Missing)):
        check([*world.records, stale])


def test_a_write_under_way_may_be_seen_or_not() -> None:
    """Until it is acknowledged both values may answer; afterwards the old one may not."""
    world = World()
    world.write(PLACE)
    old = world.read()
    world.write(PLACE)
    begun, ended = world.records[-2:]
    assert isinstance(begun, Begun) and isinstance(ended, Ended)
    beside = msgspec.structs.replace(old, sent=begun.at - 1, ended=ended.at + 5)

    check([*world.records, beside, msgspec.structs.replace(world.read(), sent=begun.at - 1)])
    with pytest.raises(Stale):
        check([*world.records, msgspec.structs.replace(beside, sent=ended.at + 1)])


def test_a_write_that_a_kill_cut_off_may_have_happened_or_not() -> None:
    """Until a later one is acknowledged; then neither it nor what was there before it may answer."""
    world = World()
    world.write(PLACE)
    before = world.read()
    world.write(PLACE, is_lost=True)
    lost = world.read(version=before.version)

    check([*world.records, lost, msgspec.structs.replace(before, sent=lost.sent, ended=lost.ended)])
    world.write(PLACE)
    later = world.read()
    for gone in (before, lost):
        with pytest.raises((Stale, Missing)):
            check([*world.records, msgspec.structs.replace(later, shown=gone.shown)])


def test_a_write_that_changed_nothing_is_none() -> None:
    """What it would have written is refused, what is there stays required."""
    world = World()
    world.write(PLACE)
    number = world.serial + 1
    world.records += [Begun(number, world.now(), str(PLACE), None), Ended(number, world.now(), None)]

    check([*world.records, world.read()])
    with pytest.raises(Missing):
        check([*world.records, world.read(shown=())])


WRONG: Sequence[tuple[type[Violation], dict[str, object]]] = (
    (Stale, {"version": 1}),
    (Missing, {"shown": ("x0c0d0g0n1x",)}),
    (Foreign, {"tenant": "other"}),
    (Foreign, {"groups": ("blue",)}),
    (Stale, {"collections": ("beta",)}),
    (Torn, {"said": ("x0c0d2g0n9x",)}),
    (Torn, {"faults": ("a quote is in no chunk",)}),
)


@pytest.mark.parametrize(("violation", "changes"), WRONG)
def test_each_kind_of_wrong_response_is_refused(
    violation: type[Violation], changes: dict[str, object]
) -> None:
    """Too old, too little, another's, of no collection asked for, of other passages, not whole."""
    world = World()
    world.write(PLACE)
    world.write(Place(0, 0, 1), group=1)
    right = world.read()

    check([*world.records, right])
    with pytest.raises(violation):
        check([*world.records, msgspec.structs.replace(right, **changes)])


@pytest.mark.parametrize(
    ("violation", "changes"),
    [
        (Foreign, {"groups": ("red",)}),
        (Foreign, {"question": "another"}),
        (Torn, {"text": "another"}),
        (Torn, {"whole": "another"}),
    ],
)
def test_a_repeated_answer_is_the_same_for_the_same_reader(
    violation: type[Violation], changes: dict[str, object]
) -> None:
    """What was generated is given again to whom it was generated for, to the last event."""
    first = World().read(cache="hit", generation="made1x1", text="t", whole="w")

    check([first, first])
    with pytest.raises(violation):
        check([first, msgspec.structs.replace(first, sent=first.sent + 1, **changes)])
