"""Headings are found where a reader sees them, and nowhere else."""

from __future__ import annotations

import pytest

from ragstone.ingest.sections import markdown_headings, markdown_title, rst_headings, sections_of


def _headings(text: str) -> list[tuple[int, str]]:
    return [(heading.level, heading.text) for heading in markdown_headings(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# One\ntext\n## Two ##\n", [(1, "One"), (2, "Two")]),
        ("One\n===\n\nTwo\n---\n", [(1, "One"), (2, "Two")]),
        ("# *Big* `code` [link](http://x) {#id}\n", [(1, "Big code link")]),
        ("# C#\n## F# and C# ##\n", [(1, "C#"), (2, "F# and C#")]),
        ("```\n# comment\n```\n# Real\n", [(1, "Real")]),
        ("~~~~\n# a\n~~~\n# b\n~~~~\n# Real\n", [(1, "Real")]),
        ("<!--\n# hidden\n-->\n# Real\n", [(1, "Real")]),
        ("---\ntitle: x\n# not: heading\n---\n# Real\n", [(1, "Real")]),
        ("    # indented code\n#no space\n####### seven\n", []),
        ("- item\n---\n\n---\n| a |\n---\n", []),
        ("#\n## \n", []),
    ],
)
def test_markdown_headings_are_those_of_commonmark(text: str, expected: list[tuple[int, str]]) -> None:
    """ATX and setext, outside code, comments and front matter."""
    assert _headings(text) == expected


def test_sections_run_from_their_heading_to_the_next() -> None:
    """Paths run from the outermost heading inwards; spans are disjoint; a preface has none."""
    text = "preface\n# A\na\n### B\nb\n## C\nc\n# D\nd"
    sections = sections_of(markdown_headings(text), len(text))

    assert [section.path for section in sections] == [("A",), ("A", "B"), ("A", "C"), ("D",)]
    assert "".join(section.span.of(text) for section in sections) == text[len("preface\n") :]
    assert sections_of([], 10) == ()


def test_the_title_is_declared_or_the_first_heading_of_the_first_level() -> None:
    """Front matter wins."""
    assert markdown_title('---\ntitle: "Ducks: a study"\n---\n# Other') == "Ducks: a study"
    assert markdown_title("## Small\n# Big\n") == "Big"
    assert markdown_title("no heading") is None


def test_rst_levels_follow_the_order_of_their_adornments() -> None:
    """An overline makes a style of its own; tables and literal text are no titles."""
    text = (
        "=====\nTitle\n=====\n\nPart\n----\n\nx\n\nPoint\n~~~~~\n\nNext\n----\n\n===  ===\na    b\n===  ===\n"
    )

    assert [(h.level, h.text) for h in rst_headings(text)] == [
        (1, "Title"), (2, "Part"), (3, "Point"), (2, "Next"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line", ["# " + " " * 200_000 + "#x", "#" + "[" * 200_000, "# " + "{" * 200_000, "*" * 400_000]
)
def test_hostile_headings_do_not_stall(line: str) -> None:
    """Lines made for backtracking are read in linear time (the suite's limit would end a quadratic one)."""
    for _ in range(50):
        list(markdown_headings(line))
        list(rst_headings(line))
