"""The sizes and names that STYLE.md sets. An exception holds the present size, so that it can only shrink."""

from __future__ import annotations

import ast
import io
import statistics
import tokenize
from collections.abc import Mapping

import pytest

from tests.architecture.sources import Module, argument_count, line_count, modules

FUNCTION_LINES = 60
SHORT_FUNCTION_LINES = 30
MEDIAN_FUNCTION_LINES = 10
FILE_LINES = 400
PIPELINE_LINES = 220
SERVICE_LINES = 250
ARGUMENTS = 6
BANNED_NAMES = ("util", "utils", "common", "helper", "helpers", "manager", "misc")

LONG_PIPELINES: Mapping[str, int] = {}
LONG_SERVICES: Mapping[str, int] = {}
LONG_FUNCTIONS: Mapping[str, int] = {
    # A migration is a list of tables.
    "store/migrations/versions/0001_first_schema.py:upgrade": 148,
}
MANY_ARGUMENTS: Mapping[str, int] = {
    # One parameter for each field of the wire.
    "entrypoints/requests.py:search_request": 9,
    "entrypoints/python.py:search": 8,
    "entrypoints/python_blocking.py:search": 8,
    "entrypoints/mcp/server.py:search": 7,
}

MODULES = modules()


def over(sizes: Mapping[str, int], limit: int, exceptions: Mapping[str, int]) -> dict[str, int]:
    """What is above its limit, and exceptions that are larger than they need be."""
    too_large = {name: size for name, size in sizes.items() if size > exceptions.get(name, limit)}
    stale = {name: sizes.get(name, 0) for name, size in exceptions.items() if sizes.get(name, 0) < size}
    return too_large | stale


def test_files_are_short() -> None:
    """No file is longer than 400 lines."""
    sizes = {module.name: module.line_count for module in MODULES}

    assert over(sizes, FILE_LINES, {}) == {}


def test_pipelines_read_as_a_table_of_contents() -> None:
    """A pipeline.py has at most 220 lines; the exceptions only shrink."""
    sizes = {module.name: module.line_count for module in MODULES if module.name.endswith("/pipeline.py")}

    assert sizes
    assert over(sizes, PIPELINE_LINES, LONG_PIPELINES) == {}


def test_services_only_delegate() -> None:
    """A service has at most 250 lines; the exceptions only shrink."""
    sizes = {module.name: module.line_count for module in MODULES if module.name.startswith("service/")}

    assert sizes
    assert over(sizes, SERVICE_LINES, LONG_SERVICES) == {}


def test_functions_are_short() -> None:
    """No function is longer than 60 lines; the exceptions only shrink."""
    sizes = {
        f"{module.name}:{function.name}": line_count(function)
        for module in MODULES
        for function in module.functions()
    }

    assert over(sizes, FUNCTION_LINES, LONG_FUNCTIONS) == {}


def test_most_functions_are_very_short() -> None:
    """The median function is under 10 lines, nine of ten are under 30; docstrings do not count."""
    sizes = sorted(
        line_count(function) - _docstring_lines(function.body)
        for module in MODULES
        for function in module.functions()
    )

    assert statistics.median(sizes) < MEDIAN_FUNCTION_LINES
    assert sizes[len(sizes) * 9 // 10] < SHORT_FUNCTION_LINES


def test_functions_take_few_arguments() -> None:
    """At most 6, except commands of the CLI (every option is one) and the listed ones, which only shrink."""
    sizes = {
        f"{module.name}:{function.name}": argument_count(function)
        for module in MODULES
        for function in module.functions()
        if not module.name.startswith("entrypoints/cli/")
    }

    assert over(sizes, ARGUMENTS, MANY_ARGUMENTS) == {}


def test_no_module_is_a_drawer() -> None:
    """Modules and folders have names that say what is in them."""
    parts = {part.removesuffix(".py") for module in MODULES for part in module.name.split("/")}

    assert parts.isdisjoint(BANNED_NAMES)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_nothing_is_left_for_later(module: Module) -> None:
    """No TODO and FIXME in comments, no `raise NotImplementedError`."""
    comments = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline)
        if token.type == tokenize.COMMENT
    ]
    raised = {
        name.id
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Raise) and node.exc is not None
        for name in ast.walk(node.exc)
        if isinstance(name, ast.Name)
    }

    assert [comment for comment in comments if "TODO" in comment or "FIXME" in comment] == []
    assert "NotImplementedError" not in raised


def _docstring_lines(body: list[ast.stmt]) -> int:
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return (first.end_lineno or first.lineno) - first.lineno + 1
    return 0
