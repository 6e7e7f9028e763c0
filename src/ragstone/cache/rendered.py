"""Responses as they were sent, by the key of what they say: a repeated question costs no encoding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ragstone.cache.cache import Kind
from ragstone.types import AnswerId


class Rendering(msgspec.Struct, array_like=True):
    """The bytes of a response, and how many hits it shows."""

    body: bytes
    hit_count: int
    answer_id: str | None = None
    """The answer that was rendered; None of a search."""


RENDERED = Kind("rendered", msgspec.msgpack.encode, msgspec.msgpack.Decoder(Rendering).decode, keep="here")
"""Made from values that are kept themselves."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A kept response with the timings of the request that found it."""

    body: bytes
    timings_ms: Mapping[str, float]
    answer_id: AnswerId | None = None
    """Of an answer: every response has one of its own."""
