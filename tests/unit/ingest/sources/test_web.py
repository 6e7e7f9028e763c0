"""A crawl: politely, each page once, within its site and its limits, and asking only for what changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.support.site import Page, Site

from ragstone.errors import FetchFailed, FetchRefused, InvalidRequest
from ragstone.ingest.sources.ports import FailedItem, Incomplete, Listed, SourceItem
from ragstone.ingest.sources.web import CrawlOptions, WebSource
from ragstone.net.fetch import Fetcher
from ragstone.store.sources import KnownItem

pytestmark = pytest.mark.anyio
PDF = {"content-type": "application/pdf"}


async def crawl(
    site: Site,
    fetcher: Fetcher,
    known: Mapping[str, KnownItem] | None = None,
    start: str = "",
    **options: Any,
) -> list[Listed]:
    """What one crawl lists."""
    wanted = CrawlOptions(**{"depth": 5, "delay_s": 0.0, **options})
    source = WebSource(site.url + start, fetcher, wanted)
    return [listed async for listed in source.items(known or {})]


def paths(site: Site, listed: list[Listed]) -> list[str]:
    """The paths of the items."""
    return [one.uri.removeprefix(site.url) for one in listed if isinstance(one, SourceItem)]


def known_from(listed: list[Listed]) -> dict[str, KnownItem]:
    """What a sync would store of the items."""
    return {
        one.uri: KnownItem(one.uri, "default", one.fingerprint, memo=one.memo, is_stored=True)
        for one in listed
        if isinstance(one, SourceItem)
    }


async def test_a_site_is_walked_breadth_first_and_not_left(site: Site, fetcher: Fetcher) -> None:
    """Links of the site are followed once each, to the depth; others are not even asked for."""
    site.html("/", '<a href="a">a</a> <a href="/b#part">b</a> <a href="http://elsewhere.example/">x</a>')
    site.html("/a", 'A <a href="/deep">d</a> <a href="/">home</a> <a href="mailto:x@y">m</a>')
    site.html("/b", 'B <a href="/a">a</a>')
    site.html("/deep", 'D <a href="/deeper">e</a>')

    listed = await crawl(site, fetcher, depth=2)

    assert paths(site, listed) == ["", "a", "b", "deep"]
    assert site.paths == ["/robots.txt", "/", "/a", "/b", "/deep"]


async def test_robots_txt_is_obeyed(site: Site, fetcher: Fetcher) -> None:
    """What it forbids is not asked for; a first page that it forbids is an error that says so."""
    site.pages["/robots.txt"] = Page(
        b"User-agent: *\nDisallow: /private\n", headers={"content-type": "text/plain"}
    )
    site.html("/", '<a href="/private/x">x</a> <a href="/open">o</a>')
    site.html("/open", "Open.")

    assert paths(site, await crawl(site, fetcher)) == ["", "open"]
    assert "/private/x" not in site.paths
    with pytest.raises(FetchRefused, match=r"robots\.txt"):
        await crawl(site, fetcher, start="private/x")


async def test_a_site_whose_robots_txt_fails_is_left_alone(site: Site, fetcher: Fetcher) -> None:
    """503 for robots.txt: nothing else is asked for."""
    site.pages["/robots.txt"] = Page(b"", 503)
    site.html("/", "Home.")

    with pytest.raises(FetchFailed, match="503"):
        await crawl(site, fetcher)
    assert site.paths == ["/robots.txt"]


async def test_authors_who_ask_not_to_be_indexed_or_followed_are_heard(site: Site, fetcher: Fetcher) -> None:
    """Meta tags, the header, rel=nofollow; a page without index still leads on."""
    site.html(
        "/", '<a href="/n">n</a> <a href="/f">f</a> <a href="/h">h</a> <a rel="nofollow" href="/r">r</a>'
    )
    site.html("/n", 'N <a href="/after">a</a>', head='<meta name="robots" content="noindex">')
    site.html("/f", 'F <a href="/not">a</a>', head='<meta name="Robots" content="index, NOFOLLOW">')
    site.pages["/h"] = Page(
        b"<p>H", headers={"content-type": "text/html", "x-robots-tag": "otherbot: none, noindex"}
    )
    site.html("/after", "After.")

    listed = await crawl(site, fetcher)

    assert paths(site, listed) == ["", "f", "h", "after"]
    assert not {"/not", "/r"} & set(site.paths)


async def test_one_page_is_one_document(site: Site, fetcher: Fetcher) -> None:
    """Canonical addresses, tracking parameters, dots and escapes, the same bytes twice."""
    site.html(
        "/",
        '<a href="/a?utm_source=x&id=1">1</a> <a href="/x/../a?id=1">2</a> <a href="/%61?id=1#top">3</a>'
        '<a href="/print">4</a> <a href="/same">5</a> <a href="/same2">6</a>',
    )
    site.html("/a?id=1", "A.")
    site.html("/print", "A, to print.", head='<link rel="canonical" href="/canonical">')
    site.html("/same", "Same.")
    site.html("/same2", "Same.")

    listed = await crawl(site, fetcher)

    assert paths(site, listed) == ["", "a?id=1", "canonical", "same"]


async def test_a_canonical_of_another_site_is_not_believed(site: Site, fetcher: Fetcher) -> None:
    """A page cannot speak for a foreign address."""
    site.html("/", "Mine.", head='<link rel="canonical" href="https://bank.example/">')

    assert paths(site, await crawl(site, fetcher)) == [""]


async def test_only_what_changed_comes_again(site: Site, fetcher: Fetcher) -> None:
    """Pages that answer 304 keep their fingerprint, and the pages behind them are still visited."""
    site.html("/", '<a href="/a">a</a>', etag='"1"')
    site.html("/a", 'A <a href="/b">b</a>', etag='"2"')
    site.html("/b", "B", etag='"3"')
    first = await crawl(site, fetcher)
    site.html("/b", "B, changed", etag='"4"')

    second = await crawl(site, fetcher, known_from(first))

    before, after = known_from(first), known_from(second)
    assert paths(site, second) == ["", "a", "b"]
    changed = {
        uri.removeprefix(site.url) for uri in after if after[uri].fingerprint != before[uri].fingerprint
    }
    assert changed == {"b"}
    assert [headers.get("if-none-match") for _, headers in site.requests[-3:]] == ['"1"', '"2"', '"3"']


async def test_a_page_in_trouble_stays_with_what_is_behind_it(site: Site, fetcher: Fetcher) -> None:
    """500 is a failure of the page alone; the pages that only it leads to are visited as before."""
    site.html("/", '<a href="/a">a</a>')
    site.html("/a", '<a href="/b">b</a>')
    site.html("/b", "B")
    first = await crawl(site, fetcher)
    site.pages["/a"] = Page(b"", 500)

    second = await crawl(site, fetcher, known_from(first))

    assert paths(site, second) == ["", "b"]
    assert [one.uri for one in second if isinstance(one, FailedItem)] == [site.url + "a"]


async def test_a_page_that_is_gone_is_not_listed(site: Site, fetcher: Fetcher) -> None:
    """404 for a link is no failure: the page vanishes."""
    site.html("/", '<a href="/gone">g</a>')

    assert [type(one) for one in await crawl(site, fetcher)] == [SourceItem]


@pytest.mark.parametrize("limit", [{"max_pages": 3}, {"max_bytes": 400}])
async def test_a_site_without_end_is_left_at_the_limit(
    site: Site, fetcher: Fetcher, limit: dict[str, Any]
) -> None:
    """A calendar of ever more pages: the crawl ends, and says that it is incomplete."""
    for n in range(50):
        site.html(f"/p{n}" if n else "/", f'Day {n} <a href="/p{n + 1}">next</a>{" " * 100}')

    listed = await crawl(site, fetcher, depth=50, **limit)

    assert isinstance(listed[-1], Incomplete)
    assert len(listed) <= 4


async def test_a_first_page_that_fails_is_an_error(site: Site, fetcher: Fetcher) -> None:
    """Nothing can be said about the site then, so nothing of it may be removed."""
    site.pages["/"] = Page(b"", 404)

    with pytest.raises(FetchFailed, match="404"):
        await crawl(site, fetcher)
    with pytest.raises(InvalidRequest):
        [one async for one in WebSource("http://0x7f.1/", fetcher, CrawlOptions()).items({})]


async def test_links_to_files_are_taken_when_asked_for(site: Site, fetcher: Fetcher) -> None:
    """PDF and the like with `documents`; pictures never."""
    site.html("/", '<a href="/m.pdf">m</a> <a href="/i.png">i</a>')
    site.pages["/m.pdf"] = Page(b"%PDF-1.4", headers=PDF)
    site.pages["/i.png"] = Page(b"png", headers={"content-type": "image/png"})

    assert paths(site, await crawl(site, fetcher)) == [""]
    listed = await crawl(site, fetcher, takes_documents=True)
    assert paths(site, listed) == ["", "m.pdf"]
    assert isinstance(listed[1], SourceItem)
    assert (await listed[1].load()).name == "m.pdf"


async def test_globs_keep_a_crawl_to_a_part(site: Site, fetcher: Fetcher) -> None:
    """include and exclude, on the path."""
    site.html("/", '<a href="/docs/a">a</a> <a href="/blog/b">b</a> <a href="/docs/old/c">c</a>')
    for path in ("/docs/a", "/blog/b", "/docs/old/c"):
        site.html(path, path)

    listed = await crawl(site, fetcher, include=["docs/"], exclude=["docs/old/"])

    assert paths(site, listed) == ["", "docs/a"]


async def test_a_redirect_out_of_the_site_is_not_followed(site: Site, fetcher: Fetcher) -> None:
    """Neither to another host nor to a private one."""
    site.html("/", '<a href="/out">o</a> <a href="/in">i</a>')
    site.redirect("/out", "http://elsewhere.example/")
    site.redirect("/in", "/there")
    site.html("/there", "There.")

    assert paths(site, await crawl(site, fetcher)) == ["", "there"]
