"""The tree of errors is the one in its picture, and every code is stable and unique."""

from __future__ import annotations

import re

import pytest

from ragstone import errors
from ragstone.errors import ChunkNotFound, CollectionNotFound, DocumentNotFound, JobNotFound, RagstoneError

LINE = re.compile(r"^ {4}((?:[│ ] {3})*(?:[├└]── )?)(\w+) +(\w+)(?:  .*)?$", re.MULTILINE)
RETRYABLE = {"deadline_exceeded", "overloaded", "shutting_down", "dependency_failed", "source_busy"}
"""Branches that the picture calls retryable."""
FINAL = {"prompt_refused"}
"""Their leaves that are not."""


def classes() -> list[type[RagstoneError]]:
    """Every error of the module."""
    return [
        found
        for found in vars(errors).values()
        if isinstance(found, type) and issubclass(found, RagstoneError)
    ]


def test_the_picture_shows_the_tree() -> None:
    """Names, parents and codes in the docstring are those of the classes, none missing."""
    drawn: dict[str, tuple[str, str]] = {}
    path: list[str] = []
    for branch, name, code in LINE.findall((errors.__doc__ or "").replace("code internal", "internal")):
        depth = len(branch) // 4
        path[depth:] = [name]
        drawn[name] = (path[depth - 1] if depth else "Exception", code)

    assert drawn == {found.__name__: (found.__bases__[0].__name__, found.code) for found in classes()}


def test_codes_are_unique_and_snake_case() -> None:
    """A client may switch on a code."""
    codes = [found.code for found in classes()]

    assert len(set(codes)) == len(codes)
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(_[a-z]+)*", code)] == []


def test_what_may_work_later_says_so() -> None:
    """Exactly the branches that the picture calls retryable, with all below them."""
    for found in classes():
        is_passing = any(getattr(parent, "code", "") in RETRYABLE for parent in found.__mro__)
        assert found.retryable == (is_passing and found.code not in FINAL)


@pytest.mark.parametrize(
    "error", [DocumentNotFound("d-1"), CollectionNotFound("d-1"), ChunkNotFound("d-1"), JobNotFound("d-1")]
)
def test_what_is_not_found_is_named(error: RagstoneError) -> None:
    """In the message and in the details."""
    assert "'d-1'" in error.message
    assert "d-1" in error.details.values()
    assert str(error) == error.message
