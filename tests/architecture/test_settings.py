"""Every setting is described, and every setting does something."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache

import pytest

from ragstone.config import describe, setting_names
from ragstone.settings import Settings
from tests.architecture.sources import modules

UNREAD: Mapping[str, str] = {}
"""Settings that nothing reads yet, with the reason; the list only shrinks."""


@pytest.mark.parametrize("name", setting_names())
def test_every_setting_has_a_sentence(name: str) -> None:
    """`ragstone config explain` has something to say about each one."""
    sentence = describe(name)

    assert sentence.endswith(".")
    assert len(sentence) > len("Port.")


@pytest.mark.parametrize("name", setting_names())
def test_every_setting_is_read(name: str) -> None:
    """A module that has to do with its section takes the attribute."""
    section, key = name.split(".")
    section_class = type(getattr(Settings(), section)).__name__
    reads = [read for read in attributes_and_names() if section in read or section_class in read]

    is_read = any(key in read for read in reads)

    assert is_read == (name not in UNREAD)


@cache
def attributes_and_names() -> tuple[frozenset[str], ...]:
    """For each module but config.py: every attribute that it takes and every name that it uses."""
    return tuple(
        frozenset(
            node.attr if isinstance(node, ast.Attribute) else node.id
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load)
        )
        for module in modules()
        if module.name != "config.py"
    )
