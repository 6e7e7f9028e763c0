"""What a crawler reads in a page: links, the canonical address, what robots are asked not to do (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser

from ragstone.ingest.normalise import decode
from ragstone.ingest.sources.urls import normal_url, site_of

MOST_LINKS = 2000
"""Links kept of one page."""


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
    reader = _Reader(agent)
    reader.feed(decode(content).text)
    reader.close()
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


class _Reader(HTMLParser):
    """Collects what matters of the tags."""

    def __init__(self, agent: str) -> None:
        super().__init__(convert_charrefs=True)
        self.hrefs: list[str] = []
        self.base: str | None = None
        self.canonical: str | None = None
        self.words: set[str] = set()
        self._robots_names = ("robots", agent.lower())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        relations = given.get("rel", "").lower().split()
        if tag == "a" and given.get("href") and "nofollow" not in relations:
            self.hrefs.append(given["href"])
        elif tag == "base" and self.base is None:
            self.base = given.get("href")
        elif tag == "link" and "canonical" in relations and self.canonical is None:
            self.canonical = given.get("href")
        elif tag == "meta" and given.get("name", "").lower() in self._robots_names:
            self.words |= _words(given.get("content", ""))


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
