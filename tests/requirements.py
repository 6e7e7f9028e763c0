"""The ids of FEATURES.md that are done; `@verifies` marks the tests that prove them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

Test = TypeVar("Test", bound=Callable[..., object])

DONE: Mapping[str, str] = MappingProxyType(
    {
        "ING-11": "Inline text with metadata is added over the API and searchable when the call returns.",
    }
)


def verifies(*ids: str) -> Callable[[Test], Test]:
    """Mark a test as a proof of these requirements; only tests that enter through a door may carry one."""

    def mark(test: Test) -> Test:
        test.requirement_ids = ids  # type: ignore[attr-defined]
        return test

    return mark
