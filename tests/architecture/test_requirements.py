"""The manifest of requirements and the tests that prove them agree."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import pytest

from tests.architecture.sources import ROOT
from tests.requirements import DONE

TESTS = ROOT / "tests"
FEATURES = ROOT.parent / "shared" / "FEATURES.md"
DOORS = ("http", "mcp", "cli", "faults", "congruence", "docs", "browser")
ID = re.compile(r"[A-Z]{2,4}-\d{2}\Z")
LIBRARY = {"Ragstone", "AsyncRagstone"}


@dataclass(frozen=True, slots=True)
class Proof:
    """A test that says which requirement it proves."""

    requirement_id: str
    path: str
    test: str
    uses_library: bool


@cache
def proofs() -> Sequence[Proof]:
    """Every `@verifies` in the tests."""
    return tuple(_proofs())


def _proofs() -> Iterator[Proof]:
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        uses_library = not LIBRARY.isdisjoint(_imported_from(tree, "ragstone"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            for marked in _marks(node):
                yield Proof(marked, path.relative_to(TESTS).as_posix(), node.name, uses_library)


def test_every_done_requirement_has_a_proof() -> None:
    """An id in DONE without a test is a claim without evidence."""
    proved = {proof.requirement_id for proof in proofs()}

    assert sorted(DONE.keys() - proved) == []


def test_no_test_proves_what_is_not_done() -> None:
    """A mark names an id of DONE; a mistyped id would prove nothing."""
    unknown = [
        f"{proof.path}:{proof.test} names {proof.requirement_id}"
        for proof in proofs()
        if proof.requirement_id not in DONE
    ]

    assert unknown == []


def test_proofs_enter_through_a_door() -> None:
    """Only tests of HTTP, MCP, the command line, faults, docs and the public library carry an id."""
    inside = [
        f"{proof.path}:{proof.test}"
        for proof in proofs()
        if proof.path.split("/")[0] not in DOORS and not proof.uses_library
    ]

    assert inside == []


def test_every_done_requirement_is_said_in_a_sentence() -> None:
    """Ids look like ids, and what is done is a sentence."""
    assert [done for done in DONE if not ID.match(done)] == []
    assert [done for done, sentence in DONE.items() if not sentence.endswith(".")] == []


def test_done_requirements_are_in_the_list() -> None:
    """Every id in DONE is a row of FEATURES.md, which lies beside the repository where it is developed."""
    if not FEATURES.is_file():
        if os.environ.get("CI"):
            pytest.fail("FEATURES.md is not at ../shared")
        pytest.skip("FEATURES.md is not beside this clone")
    listed = set(re.findall(r"^\| ([A-Z]{2,4}-\d{2}) \|", FEATURES.read_text("utf-8"), re.MULTILINE))

    assert listed
    assert sorted(DONE.keys() - listed) == []


def _marks(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "verifies":
            for argument in decorator.args:
                assert isinstance(argument, ast.Constant), f"{node.name}: write the ids out"
                yield str(argument.value)


def _imported_from(tree: ast.Module, module: str) -> set[str]:
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    }
