"""The outline of source code by its syntax tree: classes and functions as sections, places to cut.

Needs the extra `code`: tree-sitter and one grammar a language. Without it, and in other languages, code is
cut by its indentation and has no sections.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ragstone.ingest.seams import indentation_breaks
from ragstone.types import Break, SectionSpan, Span

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Tree

MAX_SYNTAX_CHARS = 500_000
"""Longer files are cut by indentation: a tree costs up to 250 bytes a character (November 2026)."""
MAX_PARSE_S = 2.0
"""Half a million characters of real code take 0.1 s; of bash made for it, hours: heredocs are quadratic."""
_READ_BYTES = 65_536
INSTALL = "pip install 'ragstone[code]'"
_MODULES: Mapping[str, tuple[str, str]] = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "java": ("tree_sitter_java", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "csharp": ("tree_sitter_c_sharp", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "bash": ("tree_sitter_bash", "language"),
}
GRAMMARS = tuple(sorted({module for module, _ in _MODULES.values()}))
_CONTAINERS = frozenset(
    {
        "class_definition", "class_declaration", "abstract_class_declaration", "class", "class_specifier",
        "struct_specifier", "struct_declaration", "union_specifier", "interface_declaration",
        "enum_declaration", "record_declaration", "trait_declaration", "annotation_type_declaration",
        "impl_item", "trait_item", "mod_item", "module", "singleton_class", "internal_module",
        "namespace_definition", "namespace_declaration",
    }
)  # fmt: skip
_FUNCTIONS = frozenset(
    {
        "function_definition", "function_declaration", "generator_function_declaration", "function_item",
        "method_definition", "method_declaration", "method", "singleton_method", "constructor_declaration",
        "compact_constructor_declaration", "destructor_declaration", "operator_declaration",
        "property_declaration", "delegate_declaration", "struct_item", "enum_item", "enum_specifier",
        "type_declaration", "type_alias_declaration", "type_item", "macro_definition",
    }
)  # fmt: skip
_WRAPPERS = frozenset(
    {
        "decorated_definition", "export_statement", "template_declaration", "lexical_declaration",
        "variable_declaration", "ambient_declaration", "expression_statement", "linkage_specification",
    }
)  # fmt: skip
_CLOSURES = frozenset({"arrow_function", "function_expression", "function", "class", "class_expression"})
_NAME_FIELDS = ("name", "declarator", "type")
_SAYS_SOMETHING = re.compile(r"\b(?!(?:end|fi|done|esac)\b)\w")
_HEADS_THE_NEXT = ("comment", "attribute", "decorator")
_MAX_NAME_CHARS = 120
_MAX_TREE_DEPTH = 64
_MAX_WRAPPERS = 8


@dataclass(frozen=True, slots=True)
class Outline:
    """Sections (qualified names as paths) and breaks of a source file, in code points, and what was lost."""

    sections: tuple[SectionSpan, ...]
    breaks: tuple[Break, ...]
    warnings: tuple[str, ...] = ()


def outline(text: str, language: str | None, suffix: str = "") -> Outline:
    """The outline of `text`, by its syntax tree where there is one.

    Grammars are native code, which a text may crash or occupy: the server has it run in a parser process.
    """
    grammar = _grammar(language, suffix)
    parser = _parser(grammar) if has_tree(text, language, suffix) else None
    if parser is None:
        return outline_by_lines(text, language, suffix)
    content = text.encode()
    tree = _parse(parser, content)
    if tree is None:
        warning = f"Cut by indentation: its syntax was not parsed within {MAX_PARSE_S:g} s."
        return Outline((), tuple(indentation_breaks(text)), (warning,))
    offsets = _CodePoints(content)
    breaks = tuple(Break(offsets.of(at), depth) for at, depth in sorted(_breaks(tree.root_node).items()))
    members = [(path, offsets.of(start), offsets.of(end)) for path, start, end in _members(tree.root_node)]
    return Outline(_sections(text, members), breaks or tuple(indentation_breaks(text)))


def has_tree(text: str, language: str | None, suffix: str) -> bool:
    """Whether a grammar is known and installed, and the text short enough; nothing is loaded."""
    module = _MODULES.get(_grammar(language, suffix))
    return module is not None and len(text) <= MAX_SYNTAX_CHARS and _are_installed(module[0])


def outline_by_lines(text: str, language: str | None, suffix: str) -> Outline:
    """No sections, breaks by indentation; with a warning where the grammar is known but not installed."""
    module = _MODULES.get(_grammar(language, suffix))
    breaks = tuple(indentation_breaks(text))
    if module is None or len(text) > MAX_SYNTAX_CHARS or _are_installed(module[0]):
        return Outline((), breaks)
    warning = f"Cut by indentation: the grammar of {language} is not installed ({INSTALL})."
    return Outline((), breaks, (warning,))


def missing_grammars() -> list[str]:
    """Packages of the extra `code` that are not installed."""
    return [name for name in ("tree_sitter", *GRAMMARS) if find_spec(name) is None]


def _grammar(language: str | None, suffix: str) -> str:
    return "tsx" if suffix == ".tsx" else language or ""


@cache
def _are_installed(module: str) -> bool:
    return all(find_spec(name) is not None for name in ("tree_sitter", module))


@cache
def _parser(grammar: str) -> Parser | None:
    try:
        from tree_sitter import Language, Parser

        module, function = _MODULES[grammar]
        return Parser(Language(getattr(import_module(module), function)()))
    except ImportError:
        return None


def _parse(parser: Parser, content: bytes) -> Tree | None:
    """The syntax tree; None when it took too long. Other threads get their turns meanwhile."""
    give_up_at = time.monotonic() + MAX_PARSE_S
    try:
        return parser.parse(
            lambda offset, _point: content[offset : offset + _READ_BYTES],
            progress_callback=lambda _offset, _has_error: time.monotonic() > give_up_at,
        )
    except ValueError:  # how the binding says that the callback stopped it
        parser.reset()
        return None


class _CodePoints:
    """Byte offsets of UTF-8 to code points; cheapest when asked in order."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._is_ascii = content.isascii()
        self._bytes = self._points = 0

    def of(self, offset: int) -> int:
        """How many code points lie before the byte."""
        if self._is_ascii:
            return offset
        if offset < self._bytes:
            self._bytes = self._points = 0
        self._points += len(self._content[self._bytes : offset].decode("utf-8", "ignore"))
        self._bytes = offset
        return self._points


def _breaks(root: Node) -> dict[int, int]:
    """Byte offset of each line that begins a node, and how deep the node lies.

    Comments and decorators stay with what directly follows them. Nodes of one line are not looked into.
    """
    found: dict[int, int] = {}
    attached: set[int] = set()
    waiting: list[tuple[Node, int]] = [(root, 0)]
    while waiting:
        parent, depth = waiting.pop()
        before: Node | None = None
        for node in parent.children:
            row, column = node.start_point
            is_first = before is None or before.end_point[0] < row
            line = node.start_byte - column
            if _belongs_to(before, row):
                attached.add(line)
            elif node.is_named and is_first and line not in attached:
                found.setdefault(line, depth)
            if node.end_point[0] > row and depth < _MAX_TREE_DEPTH:
                waiting.append((node, depth + 1))
            before = node
    return found


def _belongs_to(before: Node | None, row: int) -> bool:
    return (
        before is not None
        and any(kind in before.type for kind in _HEADS_THE_NEXT)
        and before.end_point[0] + (before.end_point[1] > 0) >= row
    )


def _members(root: Node) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """Paths and byte spans of classes and functions, outer ones before what lies in them.

    A span begins with its first line's indentation and with the comments right above it.
    """
    waiting: list[tuple[Node, tuple[str, ...]]] = [(root, ())]
    while waiting:
        parent, path = waiting.pop()
        before: list[Node] = []
        for node in parent.children:
            row = node.start_point[0]
            if before and not _belongs_to(before[-1], row):
                before.clear()
            if definition := _definition(node):
                name = _name(definition)
                first = before[0] if before else node
                inner = (*path, name) if name else path
                if name:
                    yield inner, first.start_byte - first.start_point[1], node.end_byte
                if definition.type in _CONTAINERS and len(inner) < _MAX_TREE_DEPTH:
                    waiting.extend((body, inner) for body in definition.children if body.is_named)
            elif node.type in _WRAPPERS or node.type.startswith("preproc"):
                waiting.append((node, path))
            before.append(node)


def _definition(node: Node, wrappers: int = 0) -> Node | None:
    """The class or function that the node is or wraps, in so few wrappers that this ends."""
    if node.type in _CONTAINERS or node.type in _FUNCTIONS:
        return node if node.is_named else None
    if node.type not in _WRAPPERS or wrappers > _MAX_WRAPPERS:
        return None
    for child in node.named_children:
        value = child.child_by_field_name("value")
        if child.type == "variable_declarator" and value is not None and value.type in _CLOSURES:
            return child
        if found := _definition(child, wrappers + 1):
            return found
    return None


def _name(node: Node) -> str:
    """The name that a definition gives; a Go method's with its receiver's type, as `Type.method`."""
    specified = next((child for child in node.named_children if child.type == "type_spec"), node)
    for field in _NAME_FIELDS:
        found = specified.child_by_field_name(field)
        while found is not None and (inner := found.child_by_field_name("declarator")) is not None:
            found = inner
        if found is not None and found.text is not None:
            receiver = _receiver(node)
            words = " ".join(found.text.decode("utf-8", "replace").split())[:_MAX_NAME_CHARS]
            return f"{receiver}.{words}" if receiver else words
    return ""


def _receiver(node: Node) -> str:
    found = node.child_by_field_name("receiver")
    if found is None or found.text is None:
        return ""
    return found.text.decode("utf-8", "replace").strip("()").split(" ")[-1].lstrip("*")


def _sections(text: str, members: Sequence[tuple[tuple[str, ...], int, int]]) -> tuple[SectionSpan, ...]:
    """Disjoint spans, each under the innermost member around it; closing brackets go along."""
    ordered = sorted(members, key=lambda member: (member[1], -member[2]))
    spans: list[SectionSpan] = []
    open_members: list[tuple[tuple[str, ...], int]] = []
    position = 0

    def close_until(offset: int) -> None:
        nonlocal position
        while open_members and open_members[-1][1] <= offset:
            path, end = open_members.pop()
            _add(spans, text, path, Span(position, end))
            position = max(position, end)

    for path, start, end in ordered:
        close_until(start)
        if open_members:
            _add(spans, text, open_members[-1][0], Span(position, start))
        position = max(position, start)
        open_members.append((path, min(end, open_members[-1][1]) if open_members else end))
    close_until(len(text))
    ends = [span.span.start for span in spans[1:]] + [len(text)]
    return tuple(_stretched(text, span, end) for span, end in zip(spans, ends, strict=False))


def _stretched(text: str, section: SectionSpan, end: int) -> SectionSpan:
    if _SAYS_SOMETHING.search(text, section.span.end, end):
        return section
    return SectionSpan(section.path, Span(section.span.start, end))


def _add(spans: list[SectionSpan], text: str, path: tuple[str, ...], span: Span) -> None:
    if span.start >= span.end:
        return
    is_adjacent = bool(spans) and spans[-1].span.end == span.start
    if is_adjacent and not _SAYS_SOMETHING.search(text, span.start, span.end):
        spans[-1] = SectionSpan(spans[-1].path, Span(spans[-1].span.start, span.end))
    else:
        spans.append(SectionSpan(path, span))
