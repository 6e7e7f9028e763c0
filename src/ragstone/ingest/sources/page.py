"""What a crawler reads in a page: links, the canonical address, what robots are asked not to do (pure)."""

from __future__ import annotations

import html
import itertools
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field

from ragstone.ingest.normalise import decode
from ragstone.ingest.sources.urls import normal_url, site_of

MOST_LINKS = 2000
"""Links kept of one page."""
_READ_BYTES = 4 * 2**20
_MOST_TAGS = 20_000
_LONGEST_TAG = 4000
_TAG = re.compile(r"<(a|base|link|meta)(?=[\s/])", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""[\s/]*+([^\s=<>"'/]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s<>"']++)))?+""")
_MOST_ATTRIBUTES = 20
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class PageHead:
    """The links of a page, in order, each once, and what it says about itself."""

    links: tuple[str, ...] = ()
    canonical: str | None = None
    """On the same site; None when it names none."""
    is_indexed: bool = True
    """False when its author asks that it be left out of indexes."""


def read_page(content: bytes, url: str, robots_tag: str, agent: str) -> PageHead:
    """Read a page's HTML; never fails.

    `robots_tag` is the X-Robots-Tag header: the words for all robots or for `agent` count.
    """
    text = decode(content[:_READ_BYTES]).text
    reader = _Tags(("robots", agent.lower()))
    reader.read(_without(_without(text, "<!--", "-->"), "<script", "</script"))
    words = reader.words | _header_words(robots_tag, agent)
    base = normal_url(reader.base, url) if reader.base else url
    links: dict[str, None] = {}
    if not words & {"nofollow", "none"}:
        for href in reader.hrefs:
            link = normal_url(href, base or url)
            if link is not None and len(links) < MOST_LINKS:
                links[link] = None
    canonical = normal_url(reader.canonical, base or url) if reader.canonical else None
    if canonical is not None and site_of(canonical) != site_of(url):
        canonical = None
    return PageHead(tuple(links), canonical, is_indexed=not words & {"noindex", "none"})


@dataclass(slots=True)
class _Tags:
    """What matters of a page's tags.

    Read with bounded steps, not with a parser: hostile pages are read in the server's own process, and the
    standard library's parser takes quadratic time on some.
    """

    robots_names: tuple[str, str]
    hrefs: list[str] = field(default_factory=list)
    base: str | None = None
    canonical: str | None = None
    words: set[str] = field(default_factory=set)

    def read(self, text: str) -> None:
        """Go through the tags of a page without comments and scripts."""
        for found in itertools.islice(_TAG.finditer(text), _MOST_TAGS):
            start = found.end()
            self._take(found[1].lower(), _attributes(text[start : start + _LONGEST_TAG]))

    def _take(self, tag: str, given: Mapping[str, str]) -> None:
        relations = given.get("rel", "").lower().split()
        href = given.get("href")
        if tag == "a" and href and "nofollow" not in relations:
            self.hrefs.append(href)
        elif tag == "base" and self.base is None:
            self.base = href
        elif tag == "link" and "canonical" in relations and self.canonical is None:
            self.canonical = href
        elif tag == "meta" and given.get("name", "").lower() in self.robots_names:
            self.words |= _words(given.get("content", ""))


def _attributes(text: str) -> dict[str, str]:
    """The attributes at the beginning of `text`, up to the end of their tag, or a name that comes twice."""
    given: dict[str, str] = {}
    at = 0
    while len(given) < _MOST_ATTRIBUTES and (found := _ATTRIBUTE.match(text, at)) is not None:
        at = found.end()
        value = next((part for part in found.groups()[1:] if part is not None), "")
        name = found[1].lower()
        if name in given:
            break  # nobody writes so but to keep readers busy
        given[name] = html.unescape(value)
    return given


def _without(text: str, opening: str, closing: str) -> str:
    """The text without what stands between two marks, in linear time; an open end is dropped."""
    lower = text.lower() if text.isascii() else _ascii_lower(text)
    kept: list[str] = []
    at = 0
    while (start := lower.find(opening, at)) >= 0:
        kept.append(text[at:start])
        end = lower.find(closing, start + len(opening))
        if end < 0:
            return "".join(kept)
        at = end + len(closing)
    return "".join([*kept, text[at:]])


def _ascii_lower(text: str) -> str:
    """Lower case that keeps every character at its place, which str.lower does not for all."""
    return text.translate(_LOWER)


def _header_words(header: str, agent: str) -> set[str]:
    """`noindex, otherbot: nofollow` says nofollow to another robot only."""
    found: set[str] = set()
    is_for_us = True
    for part in header.split(","):
        name, colon, rest = part.partition(":")
        if colon and name.strip().lower() not in ("unavailable_after", "max-snippet", "max-image-preview"):
            is_for_us = name.strip().lower() == agent.lower()
            part = rest
        if is_for_us:
            found |= _words(part)
    return found


def _words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.replace(",", " ").split()}
