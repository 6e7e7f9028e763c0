"""Markdown as parsers write it, made to read as the document did (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_ESCAPE = re.compile(r"\\([!#$%&()*+,\-./:;<=>?@\[\\\]^_`{}~])")
_FENCE = re.compile(r" {0,3}(?:`{3,}|~{3,})")
_IMAGE = re.compile(r"!\[([^\[\]]*)\]\([^()\n]*\)")
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)")


def unescaped(markdown: str) -> str:
    """Without backslash escapes and image targets, so that quotes read as printed.

    Code fences are left alone, and so is the escaped bar, which a table row needs.
    """
    return _outside_code(markdown, lambda line: _IMAGE.sub(r"\1", _ESCAPE.sub(r"\1", line)))


def without_link_targets(markdown: str) -> str:
    """Link words only: on web pages the addresses outweigh the text (Wikipedia: 3 to 1)."""
    return _outside_code(markdown, lambda line: _LINK.sub(r"\1", line) if "](" in line else line)


def _outside_code(markdown: str, clean: Callable[[str], str]) -> str:
    return "\n".join(line if in_code else clean(line) for line, in_code in _lines(markdown))


def _lines(markdown: str) -> Iterator[tuple[str, bool]]:
    in_code = False
    for line in markdown.split("\n"):
        is_fence = bool(_FENCE.match(line))
        yield line, in_code or is_fence
        in_code ^= is_fence
