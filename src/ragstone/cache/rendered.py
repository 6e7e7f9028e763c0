"""Responses as they were sent, by the key of what they say: a repeated question costs no encoding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ragstone.cache.cache import Kind


def _as_is(payload: bytes) -> bytes:
    return payload


RENDERED = Kind("rendered", _as_is, _as_is, is_shared=False)
"""Made from values that are kept themselves."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A kept response with the timings of the request that found it."""

    body: bytes
    timings_ms: Mapping[str, float]
