"""A page or a site as a source: fetched politely, each page once, under its canonical address."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

import anyio
from anyio import to_thread

from ragstone.errors import (
    FetchFailed,
    FetchRefused,
    FileTooLarge,
    InvalidFileType,
    InvalidRequest,
    RagstoneError,
)
from ragstone.ingest.patterns import Patterns
from ragstone.ingest.sources.page import PageHead, read_page
from ragstone.ingest.sources.ports import FailedItem, Incomplete, Listed, SourceItem
from ragstone.ingest.sources.robots import LARGEST_BYTES, Robots, read_robots
from ragstone.ingest.sources.urls import file_name, normal_url, site_of
from ragstone.net.fetch import HTML_TYPES, Fetched, Fetcher, FetchRequest, Validators, require_page
from ragstone.store.sources import KnownItem
from ragstone.types import RawFile

_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


@dataclass(frozen=True, slots=True)
class CrawlOptions:
    """How far a crawl goes."""

    depth: int = 0
    max_pages: int = 500
    max_bytes: int = 500 * 2**20
    delay_s: float = 0.5
    takes_documents: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    user_agent: str = "ragstone"


@dataclass(slots=True)
class _Crawl:
    """One crawl on its way."""

    known_by_url: Mapping[str, KnownItem]
    queue: deque[tuple[str, int]]
    queued: set[str]
    named: set[str] = field(default_factory=set)
    """Uris that were listed already: two addresses may have one canonical."""
    contents: set[str] = field(default_factory=set)
    """Fingerprints that were listed already: a page under two addresses is taken once, as first found."""
    page_count: int = 0
    byte_count: int = 0
    robots: dict[str, Robots] = field(default_factory=dict)

    def is_new(self, item: SourceItem) -> bool:
        """Whether neither this uri nor this content was listed before; from here on it was."""
        is_new = item.uri not in self.named and item.fingerprint not in self.contents
        self.named.add(item.uri)
        self.contents.add(item.fingerprint)
        return is_new


@dataclass(frozen=True, slots=True)
class _Visit:
    """What came of one page."""

    listed: Listed | None = None
    links: Sequence[str] = ()


class WebSource:
    """Pages of one site, breadth first from the first one."""

    finds_moves = False

    def __init__(self, url: str, fetcher: Fetcher, options: CrawlOptions) -> None:
        self._url = url
        self._fetcher = fetcher
        self._options = options
        self._patterns = Patterns(options.include, options.exclude)

    async def items(self, known: Mapping[str, KnownItem]) -> AsyncGenerator[Listed, None]:
        """Every page that the first one leads to; see `Source`.

        Raises:
            InvalidRequest: the first URL cannot be read.
            FetchFailed: the first page, or the site's robots.txt, cannot be fetched.
        """
        first = normal_url(self._url)
        if first is None:
            await self._fetcher.guard.check(self._url)  # says what is wrong with it
            raise InvalidRequest(f"{self._url!r} is no page.")
        crawl = _Crawl(
            {str(item.memo.get("url")): item for item in known.values()}, deque([(first, 0)]), {first}
        )
        while crawl.queue:
            if self._is_over(crawl):
                yield Incomplete(self._limit_note(crawl))
                return
            url, depth = crawl.queue.popleft()
            visit = await self._visit(crawl, url, is_first=depth == 0)
            if visit.listed is not None:
                yield visit.listed
            if depth < self._options.depth:
                for link in self._new_links(crawl, visit.links):
                    crawl.queued.add(link)
                    crawl.queue.append((link, depth + 1))

    def _is_over(self, crawl: _Crawl) -> bool:
        options = self._options
        return crawl.page_count >= options.max_pages or crawl.byte_count >= options.max_bytes

    def _limit_note(self, crawl: _Crawl) -> str:
        return (
            f"The crawl ended after {crawl.page_count} pages and {crawl.byte_count:,} bytes with "
            f"{len(crawl.queue)} links left (max_pages, sources.crawl_max_bytes)."
        )

    def _new_links(self, crawl: _Crawl, links: Sequence[str]) -> Iterator[str]:
        site = site_of(self._url)
        for link in links:
            if link not in crawl.queued and site_of(link) == site and self._is_wanted(link):
                yield link

    def _is_wanted(self, url: str) -> bool:
        path = urlsplit(url).path.lstrip("/")
        if self._patterns.excludes(path):
            return False
        return path == "" or path.endswith("/") or self._patterns.includes(path)

    async def _visit(self, crawl: _Crawl, url: str, *, is_first: bool) -> _Visit:
        """Fetch a page. One in trouble keeps what is known of it, links included."""
        row = crawl.known_by_url.get(url)
        try:
            await self._wait_politely(crawl, url)
            fetched = await self._fetch(crawl, url, _validators(row))
        except (FetchFailed, FileTooLarge) as error:
            if is_first:
                raise
            return _Visit(FailedItem(url if row is None else row.uri, error), _known_links(row))
        except (InvalidFileType, FetchRefused, InvalidRequest):
            if is_first:
                raise
            return _Visit()  # an image, a link out of the site: not what was asked for
        return await self._read(crawl, url, row, fetched, is_first=is_first)

    async def _wait_politely(self, crawl: _Crawl, url: str) -> None:
        robots = await self._robots(crawl, url)
        if not robots.allows(url):
            raise FetchRefused(f"{url!r} is not fetched: its site's robots.txt asks not to.")
        await anyio.sleep(max(robots.delay_s, self._options.delay_s) if crawl.page_count else 0)
        crawl.page_count += 1

    async def _fetch(self, crawl: _Crawl, url: str, validators: Validators) -> Fetched:
        site, options = site_of(self._url), self._options
        request = FetchRequest(url, validators, may_follow=lambda found: _is_on(found, site))
        if not options.takes_documents and options.depth:
            request = FetchRequest(url, validators, HTML_TYPES, request.may_follow)
        fetched = await self._fetcher.fetch(request)
        crawl.byte_count += len(fetched.content)
        return fetched

    async def _read(
        self, crawl: _Crawl, url: str, row: KnownItem | None, fetched: Fetched, *, is_first: bool
    ) -> _Visit:
        if fetched.status == HTTPStatus.NOT_MODIFIED and row is not None:
            item = _unchanged(row, self._reload(url))
            return _Visit(item if crawl.is_new(item) else None, _known_links(row))
        if fetched.status in _GONE and not is_first:
            return _Visit()
        try:
            require_page(fetched)
        except RagstoneError as error:
            if is_first:
                raise
            return _Visit(FailedItem(url if row is None else row.uri, error), _known_links(row))
        head = PageHead()
        if fetched.media_type in ("", *HTML_TYPES):
            agent = self._options.user_agent
            head = await to_thread.run_sync(
                read_page, fetched.content, fetched.url, fetched.robots_tag, agent
            )
        uri = head.canonical or normal_url(fetched.url) or url
        item = _item(uri, url, fetched, head)
        return _Visit(item if head.is_indexed and crawl.is_new(item) else None, head.links)

    def _reload(self, url: str) -> _Reload:
        return _Reload(self._fetcher, url)

    async def _robots(self, crawl: _Crawl, url: str) -> Robots:
        """The rules of the page's host; a host whose rules cannot be read is left alone (RFC 9309, 2.3)."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in crawl.robots:
            request = FetchRequest(urljoin(origin, "/robots.txt"), media_types=("",), max_bytes=LARGEST_BYTES)
            fetched = await self._fetcher.fetch(request)
            if fetched.status >= HTTPStatus.INTERNAL_SERVER_ERROR or fetched.status == 429:
                raise FetchFailed(f"{request.url!r} answered with status {fetched.status}.")
            content = fetched.content if fetched.status == HTTPStatus.OK else b""
            crawl.robots[origin] = read_robots(content, self._options.user_agent)
        return crawl.robots[origin]


@dataclass(frozen=True, slots=True)
class _Reload:
    """Fetches a page again, whole."""

    fetcher: Fetcher
    url: str

    async def __call__(self) -> RawFile:
        fetched = require_page(await self.fetcher.fetch(FetchRequest(self.url)))
        return raw_file(fetched)


def raw_file(fetched: Fetched) -> RawFile:
    """A fetched page as a file to take in."""
    return RawFile(fetched.content, file_name(fetched.url, fetched.media_type), fetched.media_type or None)


def _item(uri: str, url: str, fetched: Fetched, head: PageHead) -> SourceItem:
    async def load() -> RawFile:
        return raw_file(fetched)

    return SourceItem(
        uri=uri,
        fingerprint=hashlib.sha256(fetched.content).hexdigest(),
        load=load,
        metadata={"url": fetched.url},
        memo={
            "url": url,
            "etag": fetched.validators.etag,
            "last_modified": fetched.validators.last_modified,
            "links": list(head.links),
        },
    )


def _unchanged(row: KnownItem, reload: _Reload) -> SourceItem:
    return SourceItem(row.uri, row.fingerprint, reload, memo=row.memo)


def _validators(row: KnownItem | None) -> Validators:
    if row is None:
        return Validators()
    etag, last_modified = row.memo.get("etag"), row.memo.get("last_modified")
    return Validators(str(etag) if etag else None, str(last_modified) if last_modified else None)


def _known_links(row: KnownItem | None) -> list[str]:
    links = [] if row is None else row.memo.get("links")
    return [str(link) for link in links] if isinstance(links, list) else []


def _is_on(url: str, site: tuple[str, int | None]) -> bool:
    try:
        return site_of(url) == site
    except InvalidRequest:
        return False
