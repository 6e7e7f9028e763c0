"""Source code has sections named by what it defines, and places to cut, in every language with a grammar."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from ragstone.ingest.chunk import chunk
from ragstone.ingest.syntax import outline
from ragstone.models.fakes import WordCounter
from ragstone.types import ChunkingSpec, ParsedDocument

SOURCES: Mapping[str, tuple[str, str]] = {
    "python": (
        "class A:\n    def b(self):\n        pass\n\n@c\ndef d():\n    pass\n",
        "A  A.b  d",
    ),
    "javascript": (
        "class A {\n  b() {}\n}\nexport const c = () => {\n};\n",
        "A  A.b  c",
    ),
    "typescript": (
        "interface A {\n  x: number\n}\nexport class B {\n  c(): void {}\n}\n",
        "A  B  B.c",
    ),
    "go": (
        "package p\n\ntype A struct {\n}\n\nfunc (a *A) B() {\n}\n",
        "A  A.B",
    ),
    "rust": (
        "impl A {\n    fn b() {\n    }\n}\nfn c() {\n}\n",
        "A  A.b  c",
    ),
    "java": (
        "class A {\n  int x;\n  void b() {\n  }\n}\n",
        "A  A.b",
    ),
    "c": (
        "int *a(void) {\n  return 0;\n}\nstruct B {\n  int x;\n};\n",
        "a  B",
    ),
    "cpp": (
        "namespace n {\nclass A {\n  int b() { return 1; }\n};\n}\n",
        "n  n.A  n.A.b",
    ),
    "csharp": (
        "namespace N {\nclass A {\n  void B() {\n  }\n}\n}\n",
        "N  N.A  N.A.B",
    ),
    "ruby": (
        "module M\n  class C\n    def a\n    end\n  end\nend\n",
        "M  M.C  M.C.a",
    ),
    "php": (
        "<?php\nclass A {\n  function b() {\n  }\n}\n",
        "A  A.b",
    ),
    "bash": (
        "a() {\n  echo 1\n}\n",
        "a",
    ),
}
"""Sources and the qualified names in them."""


@pytest.mark.parametrize("language", SOURCES)
def test_definitions_are_sections_under_their_qualified_names(language: str) -> None:
    """Classes hold their members; closing brackets belong to what they close."""
    text, paths = SOURCES[language]
    found = outline(text, language)

    assert [".".join(section.path) for section in found.sections] == paths.split()
    assert found.sections[-1].span.end == len(text)
    assert found.warnings == ()


def test_offsets_count_code_points() -> None:
    """The tree counts bytes; spans do not."""
    text = "größe = '🌷'\n\ndef höhe():\n    return größe\n"
    (section,) = outline(text, "python").sections

    assert section.path == ("höhe",)
    assert section.span.of(text).startswith("def höhe")


def test_comments_and_decorators_stay_with_what_they_are_about() -> None:
    """A comment right above a function is cut off from it nowhere."""
    text = "x = 1\n\n# Adds.\n@cached\ndef add(a, b):\n    return a + b\n"
    (section,) = outline(text, "python").sections

    assert section.span.of(text).startswith("# Adds.\n@cached")
    assert text.index("@cached") not in [found.offset for found in outline(text, "python").breaks]


def test_functions_that_fit_are_whole_chunks() -> None:
    """Two functions that do not fit one chunk together are cut between them, not where the budget ends."""
    body = "\n".join(f"    value_{n} = compute({n})" for n in range(8))
    text = f"def first():\n{body}\n\n\ndef second():\n{body}\n"
    document = _document(text)
    drafts = chunk(document, ChunkingSpec(34), WordCounter())

    assert [draft.heading_path for draft in drafts] == [("first",), ("second",)]
    assert [draft.span.of(text).splitlines()[0] for draft in drafts] == ["def first():", "def second():"]


def test_a_long_function_is_cut_at_its_outer_statements() -> None:
    """Before a statement of the function, not inside the loop that would fill the chunk better."""
    loop = "    for x in y:\n" + "".join(f"        step_{n}(x)\n" for n in range(5))
    text = f"def long():\n{loop}    middle()\n{loop}"
    drafts = chunk(_document(text), ChunkingSpec(22), WordCounter())

    assert [draft.span.of(text).strip().splitlines()[0] for draft in drafts] == ["def long():", "for x in y:"]
    assert all(draft.heading_path == ("long",) for draft in drafts)


def test_without_grammars_code_is_cut_by_indentation_and_says_so() -> None:
    """The extra is optional: the text is cut at its outer lines, and the warning names the extra."""
    program = (
        "import sys; sys.modules['tree_sitter'] = None\n"
        "from ragstone.ingest.syntax import outline\n"
        "found = outline('def a():\\n    b()\\n\\n\\ndef c():\\n    d()\\n', 'python')\n"
        "outer = min(found.breaks[1:], key=lambda each: each.depth)\n"
        "print(found.sections, outer.depth, outer.offset, *found.warnings)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.startswith("() 0 19 Cut by indentation: the grammar of python is not installed")
    assert "ragstone[code]" in done.stdout


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("template<class T>\n" * 20_000 + "class A{};", "cpp"),
        ("(" * 400_000, "python"),
        ("class A {\n" * 40_000, "java"),
        ("int " + "*" * 400_000 + "a(void) {}", "c"),
    ],
)
def test_hostile_nesting_ends(text: str, language: str) -> None:
    """Depth costs neither the stack nor a crash: there is an outline, if a poor one."""
    assert all(section.path for section in outline(text, language).sections)


def test_code_that_takes_too_long_to_parse_is_cut_by_indentation() -> None:
    """Heredocs within heredocs cost hours; the parser is stopped, and the next file is parsed as ever."""
    found = outline("<<A\n" * 100_000, "bash")

    assert (found.sections, len(found.breaks)) == ((), 100_000)
    assert found.warnings == ("Cut by indentation: its syntax was not parsed within 2 s.",)
    assert outline("a() {\n  echo 1\n}\n", "bash").sections[0].path == ("a",)


_FRAGMENTS = ("def a():", "class B:", "  x", "\n", "{", "}", "é", "fn f() {", "# c\n", "(", '"""', "@d\n")


@settings(max_examples=150, deadline=None)
@given(
    text=st.lists(st.sampled_from(_FRAGMENTS)).map("".join),
    language=st.sampled_from(sorted(SOURCES)),
)
def test_any_text_has_a_sound_outline(text: str, language: str) -> None:
    """However broken the code: sections are disjoint and in order, and breaks are starts of lines."""
    found = outline(text, language)

    for before, after in pairwise(found.sections):
        assert before.span.end <= after.span.start
    for section in found.sections:
        assert 0 <= section.span.start < section.span.end <= len(text)
        assert section.path
    offsets = [each.offset for each in found.breaks]
    assert offsets == sorted(set(offsets))
    assert all(offset == 0 or text[offset - 1] == "\n" for offset in offsets)


def _document(text: str) -> ParsedDocument:
    found = outline(text, "python")
    return ParsedDocument(text, "text/x-source", sections=found.sections, breaks=found.breaks)
