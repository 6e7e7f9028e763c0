"""What of an HTML page is not its content: menus, cookie bars, footers, asides (pure).

It is cut out of the source before a parser sees it, so that every parser agrees.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

_MAX_CHARS = 10_000_000
"""A longer page is left as it is: reading it here would take longer than parsing may."""
_ALWAYS = frozenset({"script", "style", "nav", "noscript", "template", "button", "svg", "iframe", "dialog"})
_OUTER_ROLES = frozenset({"banner", "complementary"})
_CONTENT = frozenset({"main", "article"})
_NEVER = frozenset({"html", "head", "title", "body", "main", "article", "h1", "h2", "h3", "h4", "h5", "h6"})
_ROLES = frozenset(
    {"navigation", "contentinfo", "search", "menu", "menubar", "dialog", "alertdialog", "toolbar"}
)
_CONSENT = frozenset({"cookie", "cookies", "consent", "gdpr", "ccpa"})
_FRAMES = frozenset(
    {"banner", "bar", "notice", "popup", "modal", "overlay", "wall", "message", "law", "consent", "dialog"}
)
_VENDORS = frozenset({"onetrust", "cybot", "cookiebot", "didomi", "usercentrics", "quantcast", "truste"})
_NAMES = frozenset(
    {"breadcrumb", "breadcrumbs", "sidebar", "dropdown", "noprint", "editsection", "navbar", "newsletter",
     "pagination", "skiplink"}
)  # fmt: skip
_PAIRS = frozenset(
    {("skip", "link"), ("skip", "to"), ("share", "buttons"), ("social", "share"), ("share", "links"),
     ("site", "footer"), ("page", "footer"), ("site", "nav"), ("nav", "menu"), ("main", "menu"),
     ("edit", "section")}
)  # fmt: skip
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_VOID = frozenset(
    "area base br col embed hr img input link meta param source track wbr".split()  # noqa: SIM905
)


@dataclass(slots=True)
class _Open:
    """An element that is not closed yet."""

    tag: str
    start: int
    is_cut: bool
    is_certain: bool
    """Whether it goes whatever it holds; others stay when they hold the page's content or main heading."""
    is_content: bool
    holds_content: bool = False


class _Cutter(HTMLParser):
    """Finds what is to be cut: character ranges of the source."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.ranges: list[tuple[int, int]] = []
        self._text = text
        self._stack: list[_Open] = []
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        is_content = tag in _CONTENT or given.get("role") == "main"
        if is_content or tag == "h1":
            for outer in self._stack:
                outer.holds_content = True
        if tag in _VOID:
            return
        is_within = any(outer.is_content for outer in self._stack)
        is_certain = tag in _ALWAYS or given.get("role") in _ROLES
        is_cut = (
            not is_content
            and tag not in _NEVER
            and (
                is_certain
                or _is_hidden(given)
                or _is_named_so(given, is_within=is_within)
                or (tag == "footer" and not self._is_in("blockquote"))
                or (not is_within and (tag == "aside" or given.get("role") in _OUTER_ROLES))
            )
        )
        self._stack.append(_Open(tag, self._at(), is_cut, is_certain, is_content))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<div/>` opens an element in HTML; in SVG and the like it is empty, and nothing is lost."""
        if tag not in _VOID and tag not in ("path", "circle", "rect", "use", "line", "polygon", "g"):
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        depth = next((n for n in range(len(self._stack) - 1, -1, -1) if self._stack[n].tag == tag), None)
        if depth is None:
            return
        end = self._text.find(">", self._at()) + 1 or len(self._text)
        closed = self._stack[depth]
        del self._stack[depth:]
        if closed.is_cut and (closed.is_certain or not closed.holds_content):
            self.ranges.append((closed.start, end))

    def _is_in(self, tag: str) -> bool:
        return any(outer.tag == tag for outer in self._stack)

    def _at(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column


def without_boilerplate(html: str) -> str:
    """The page without what is not its content. Where nothing would be left, the page as it is.

    Cut are navigation, buttons, dialogs and what is hidden; footers but those of quotations; asides outside
    of `main` and `article`; what is named as a cookie bar, breadcrumbs, a sidebar and the like, unless it
    holds the page's main heading or content: pages are known to call their whole body `with-sidebar`.
    """
    if len(html) > _MAX_CHARS:
        return html
    cutter = _Cutter(html)
    cutter.feed(html)
    cutter.close()
    kept = _cut(html, cutter.ranges)
    return kept if _has_text(kept) else html


def _cut(html: str, ranges: Sequence[tuple[int, int]]) -> str:
    kept: list[str] = []
    at = 0
    for start, end in sorted(ranges):
        if start >= at:
            kept.append(html[at:start])
            kept.append(" ")
        at = max(at, end)
    return "".join([*kept, html[at:]])


def _has_text(html: str) -> bool:
    reader = _Text()
    reader.feed(html)
    reader.close()
    return reader.has_text


class _Text(HTMLParser):
    """Whether there is anything to read besides the title."""

    has_text = False
    _is_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._is_title = tag == "title"

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._is_title = False

    def handle_data(self, data: str) -> None:
        self.has_text = self.has_text or (not self._is_title and bool(data.strip()))


def _is_hidden(given: Mapping[str, str]) -> bool:
    is_invisible = _INVISIBLE.search(given.get("style", "")) is not None
    return is_invisible or "hidden" in given or given.get("aria-hidden") == "true"


def _is_named_so(given: Mapping[str, str], *, is_within: bool) -> bool:
    """By the words of each class, such as `cookie-banner`; outside of the content by those of the id, too.

    Within it an id is an anchor made of a heading: "pagination" is what the section is about.
    """
    names = given.get("class", "").split()
    if not is_within:
        names.append(given.get("id", ""))
    return any(_is_frame([word.lower() for word in _WORD.findall(name)]) for name in names)


def _is_frame(words: Sequence[str]) -> bool:
    has = set(words)
    is_consent = "consent" in has or bool(has & _CONSENT and has & _FRAMES)
    return is_consent or bool(has & (_VENDORS | _NAMES)) or not _PAIRS.isdisjoint(itertools.pairwise(words))
