"""Servers that reset connections the moment they open: what httpx2 makes of them never leaves its callers."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import pytest
import uvloop

from ragstone.deadline import Deadline
from ragstone.errors import FetchFailed, GeneratorFailed
from ragstone.models.openai_generator import OpenAIGenerator, OpenAIOptions
from ragstone.models.ports import Delta, GenerationOptions, Prompt
from ragstone.net.fakes import TableResolver
from ragstone.net.fetch import Fetcher, FetchLimits, FetchRequest
from ragstone.net.guard import AddressGuard, FetchRules
from ragstone.net.probe import probe
from ragstone.types import Usage
from tests.requirements import verifies

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
RESET = struct.pack("ii", 1, 0)
ROUNDS, AT_ONCE = 12, 50
"""One attempt in a hundred met the gap between handshake and reset on two cores, on uvloop only."""

Call = Callable[[], Awaitable[object]]


@pytest.fixture
def port() -> Iterator[int]:
    """Where connections are taken and reset."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        threading.Thread(target=reset_all, args=(listener,), daemon=True).start()
        yield int(listener.getsockname()[1])


def reset_all(listener: socket.socket) -> None:
    """Until the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()


def test_a_probe_says_that_nobody_answers(port: int) -> None:
    """A finding, never an error."""

    async def run() -> list[object]:
        return await hammered(lambda: probe(f"http://127.0.0.1:{port}/"))

    found = uvloop.run(run())

    assert {getattr(one, "status", one) for one in found} == {None}


def test_a_page_could_not_be_fetched(port: int) -> None:
    """`FetchFailed`, whichever way the connection broke."""

    async def run() -> list[object]:
        fetcher = Fetcher(
            AddressGuard(TableResolver({}), FetchRules((LOOPBACK,), ports=frozenset({port}))),
            FetchLimits(1_000),
        )
        try:
            return await hammered(lambda: fetcher.fetch(FetchRequest(f"http://127.0.0.1:{port}/")))
        finally:
            await fetcher.aclose()

    assert {type(one) for one in uvloop.run(run())} == {FetchFailed}


@verifies("RES-02")
def test_a_generator_failed_and_may_be_asked_again(port: int) -> None:
    """`GeneratorFailed`, retryable, whichever way the connection broke."""

    async def run() -> list[object]:
        generator = OpenAIGenerator(OpenAIOptions(f"http://127.0.0.1:{port}/v1", "m"))
        prompt = Prompt("", "Who waits?")
        try:
            return await hammered(
                lambda: drained(generator.stream(prompt, GenerationOptions(), Deadline.after(30.0)))
            )
        finally:
            await generator.aclose()

    found = uvloop.run(run())

    assert {(type(one), getattr(one, "retryable", None)) for one in found} == {(GeneratorFailed, True)}


async def drained(parts: AsyncGenerator[Delta | Usage, None]) -> list[Delta | Usage]:
    """All that was said."""
    return [part async for part in parts]


async def hammered(call: Call) -> list[object]:
    """What many calls come to, errors included."""
    found: list[object] = []
    for _ in range(ROUNDS):
        found += await asyncio.gather(*(call() for _ in range(AT_ONCE)), return_exceptions=True)
    return found
