"""Each part in each kind of trouble: what `matrix_table` states is what happens, and all mends by itself."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx2
import pytest

from tests.faults.matrix_server import Stage, running_stage
from tests.faults.matrix_table import CELLS, FAULTS, MEANINGS, NOT_POSSIBLE, Cell
from tests.requirements import verifies
from tests.support.waiting import wait_until

BACK_S = 60.0
BRIEFLY_S = 0.4


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One server for all cells: each leaves it as it found it."""
    with running_stage(tmp_path_factory.mktemp("matrix")) as stage:
        assert stage.upload().status_code == 201
        wait_until(lambda: is_well(stage), BACK_S)
        yield stage


@verifies("RES-04", "RES-05")
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.dependency}-{cell.fault}")
def test_what_is_stated_is_what_happens(stage: Stage, cell: Cell) -> None:
    """A question and a new document during the fault; afterwards all is as before, without a restart."""
    if cell.dependency == "disk" and not stage.is_disk_small:
        pytest.skip("this system lets nobody mount a small disk")
    with TROUBLE[cell.dependency](stage, cell):
        asked = stage.ask()
        added = upload(stage, cell) if cell.dependency in ("parser", "disk") else stage.add()

    assert asked.status_code == cell.ask, asked.text
    assert said(asked) in ({(), cell.degraded} if cell.may else {cell.degraded})
    if cell.add:
        refused = {(cell.add, cell.code)} | ({(429, "overloaded")} if cell.queues else set())
        assert (added.status_code, code_of(added)) in refused, added.text
    wait_until(lambda: is_well(stage), BACK_S)


def test_every_cell_is_stated() -> None:
    """Each part in each trouble once: proved, or with the reason why nothing is promised."""
    stated = [(cell.dependency, cell.fault) for cell in CELLS] + list(NOT_POSSIBLE)

    assert sorted(stated) == sorted((part, fault) for part in MEANINGS for fault in FAULTS)


def said(response: httpx2.Response) -> tuple[str, ...]:
    """What an answer says was missing."""
    return tuple(response.json().get("degraded", ()))


def code_of(response: httpx2.Response) -> str:
    """The code of an error; empty for a success."""
    return "" if response.is_success else str(response.json()["code"])


def is_well(stage: Stage) -> bool | None:
    """Whether a question is answered with nothing missing, and documents are taken in again."""
    asked = stage.ask()
    is_whole = asked.status_code == 200 and said(asked) == () and asked.json()["mode"] == "generated"
    return (is_whole and stage.add().status_code == 201 and stage.upload().status_code == 201) or None


@contextmanager
def behind_proxy(stage: Stage, cell: Cell) -> Iterator[None]:
    """The network to the part is at fault. Redis is lost before the question: a lookup finds it out."""
    proxy = stage.proxies[cell.dependency]
    proxy.become(cell.fault)
    try:
        if cell.dependency == "redis" and not cell.may:
            wait_until(lambda: said(stage.ask()) != () or None, BACK_S)
        yield
    finally:
        proxy.become("well")


@contextmanager
def locked(stage: Stage, cell: Cell) -> Iterator[None]:
    """The lock is held for a moment, for good, or again and again."""
    if cell.fault == "error":
        with stage.locked():
            yield
        return
    is_over, is_held = threading.Event(), threading.Event()

    def hold() -> None:
        while not is_over.is_set():
            with stage.locked():
                is_held.set()
                is_over.wait(BRIEFLY_S)
            if cell.fault == "slow":
                return
            is_over.wait(BRIEFLY_S / 4)

    holder = threading.Thread(target=hold)
    holder.start()
    assert is_held.wait(BACK_S)
    try:
        yield
    finally:
        is_over.set()
        holder.join(BACK_S)


@contextmanager
def full(stage: Stage, _cell: Cell) -> Iterator[None]:
    """No byte is left on the disk."""
    with stage.full():
        yield


@contextmanager
def parser(stage: Stage, cell: Cell) -> Iterator[None]:
    """Processes that parse are held, killed, or killed while they are held."""
    (child, *_) = wait_until(lambda: stage.parsers() or None, BACK_S)
    if cell.fault == "flapping":
        os.kill(child, signal.SIGKILL)
    elif cell.fault != "garbage":
        os.kill(child, signal.SIGSTOP)
    later = {"slow": signal.SIGCONT, "error": signal.SIGKILL}.get(cell.fault)
    timer = threading.Timer(2 * BRIEFLY_S, os.kill, (child, later)) if later else None
    if timer is not None:
        timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.join(BACK_S)


def upload(stage: Stage, cell: Cell) -> httpx2.Response:
    """A page; for garbage, a file that says it is a PDF."""
    return (
        stage.upload(b"%PDF-1.7\n" + bytes(400), "broken.pdf") if cell.fault == "garbage" else stage.upload()
    )


TROUBLE: dict[str, Callable[[Stage, Cell], AbstractContextManager[None]]] = {
    "database": locked,
    "disk": full,
    "redis": behind_proxy,
    "generator": behind_proxy,
    "embedder": behind_proxy,
    "parser": parser,
}
