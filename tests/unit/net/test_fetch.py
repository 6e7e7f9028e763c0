"""Fetching: every hop checked and pinned, every byte and second counted."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest
from tests.support.site import Handler, Page, Site
from tests.unit.net.conftest import MakeFetcher

from ragstone.errors import FetchFailed, FetchRefused, FileTooLarge, InvalidFileType, RagstoneError
from ragstone.net.fetch import FetchRequest, Validators, require_page
from ragstone.resilience.retry import Retry, RetryRules

pytestmark = pytest.mark.anyio
LIMIT_S = 30.0


async def test_a_page_comes_with_what_is_needed_to_ask_again(site: Site, make_fetcher: MakeFetcher) -> None:
    """Content, type and validators; asked with them, the server says that nothing changed."""
    site.html("/", "Hello.", etag='"v1"')
    fetcher = make_fetcher()

    first = await fetcher.fetch(FetchRequest(site.url))
    again = await fetcher.fetch(FetchRequest(site.url, first.validators))

    assert (first.status, first.media_type, b"Hello." in first.content) == (200, "text/html", True)
    assert first.validators == Validators('"v1"', None)
    assert (again.status, again.content) == (304, b"")
    assert site.requests[0][1]["user-agent"] == "ragstone"


async def test_a_name_that_leads_elsewhere_the_second_time_changes_nothing(
    site: Site, make_fetcher: MakeFetcher
) -> None:
    """Rebinding: the connection goes to the address that was checked, and the name is asked once a hop."""
    site.html("/", "Allowed.")
    fetcher = make_fetcher({"rebind.example": [["127.0.0.1"], ["127.0.0.99"]]})

    fetched = await fetcher.fetch(FetchRequest(f"http://rebind.example:{site.port}/"))

    assert b"Allowed." in fetched.content
    assert fetcher.guard._resolver.asked == ["rebind.example"]  # type: ignore[attr-defined]
    assert site.requests[0][1]["host"] == f"rebind.example:{site.port}"


async def test_a_name_that_turns_private_is_refused(site: Site, make_fetcher: MakeFetcher) -> None:
    """First public, then private: the second fetch checks anew and refuses; nothing is asked there."""
    fetcher = make_fetcher({"turn.example": [["192.0.2.1"], ["10.0.0.5"]]})

    for _ in range(2):
        with pytest.raises(FetchRefused):
            await fetcher.fetch(FetchRequest("http://turn.example/"))
    assert site.requests == []


@pytest.mark.parametrize(
    "location",
    ["http://10.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest/", "//192.168.0.1/", "http://0x7f.1/",
     "http://inside.example/", "file:///etc/passwd", "ftp://8.8.8.8/", "http://8.8.8.8:22/"],
)  # fmt: skip
async def test_a_redirect_to_where_we_do_not_fetch_is_not_followed(
    site: Site, make_fetcher: MakeFetcher, location: str
) -> None:
    """Every hop is looked at like the first one."""
    site.redirect("/", location)
    fetcher = make_fetcher({"inside.example": [["192.168.0.7"]]})

    with pytest.raises(RagstoneError) as failure:
        await fetcher.fetch(FetchRequest(site.url))

    assert failure.value.code in ("fetch_refused", "invalid_request")
    assert site.paths == ["/"]


async def test_redirects_are_followed_and_counted(site: Site, make_fetcher: MakeFetcher) -> None:
    """Relative ones, too; those without end are given up."""
    site.redirect("/a", "b?x=1")
    site.html("/b?x=1", "There.")
    site.redirect("/loop", "/loop")
    fetcher = make_fetcher(max_redirects=3)

    there = await fetcher.fetch(FetchRequest(site.url + "a"))

    assert there.url == f"{site.url}b?x=1"
    with pytest.raises(FetchFailed, match="redirects more than 3 times"):
        await fetcher.fetch(FetchRequest(site.url + "loop"))
    assert site.paths.count("/loop") == 4


async def test_a_bomb_goes_off_at_the_limit(site: Site, make_fetcher: MakeFetcher) -> None:
    """20 MB of zeros in 20 kB of gzip: refused after the limit, whatever the length says."""
    packed = gzip.compress(b"\0" * 20_000_000)
    site.pages["/"] = Page(packed, headers={"content-type": "text/html", "content-encoding": "gzip"})

    with pytest.raises(FileTooLarge, match="100,000 bytes"):
        await make_fetcher().fetch(FetchRequest(site.url))

    assert len(packed) < 100_000


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_packed_pages_are_unpacked(site: Site, make_fetcher: MakeFetcher, pack: object) -> None:
    """gzip and deflate come out as they went in; another packing is refused."""
    body = b"<p>" + b"word " * 9_000
    name = "gzip" if pack is gzip.compress else "deflate"
    packed = pack(body)  # type: ignore[operator]
    site.pages["/"] = Page(packed, headers={"content-type": "text/html", "content-encoding": name})
    site.pages["/br"] = Page(b"x", headers={"content-type": "text/html", "content-encoding": "br"})
    fetcher = make_fetcher()

    assert (await fetcher.fetch(FetchRequest(site.url))).content == body
    with pytest.raises(FetchFailed, match="packed as 'br'"):
        await fetcher.fetch(FetchRequest(site.url + "br"))


async def test_a_body_without_end_is_cut_off(site: Site, make_fetcher: MakeFetcher) -> None:
    """A server that never stops sending meets the size limit; one that hardly sends, the time limit."""
    site.pages["/endless"] = _endless
    site.pages["/slow"] = _silent

    with pytest.raises(FileTooLarge):
        await make_fetcher().fetch(FetchRequest(site.url + "endless"))
    with pytest.raises(FetchFailed, match=r"within 0\.3 s"):
        async with asyncio.timeout(LIMIT_S):
            await make_fetcher(timeout_s=0.3).fetch(FetchRequest(site.url + "slow"))


async def test_what_is_not_read_is_refused_before_its_body(site: Site, make_fetcher: MakeFetcher) -> None:
    """A film is refused by its type."""
    site.pages["/"] = Page(b"x" * 90_000, headers={"content-type": "video/mp4"})

    with pytest.raises(InvalidFileType, match="video/mp4"):
        await make_fetcher().fetch(FetchRequest(site.url))


async def test_https_goes_to_the_checked_address_and_speaks_to_the_name(make_fetcher: MakeFetcher) -> None:
    """The TLS hello arrives at the pinned address and carries the name that was asked for."""
    hello: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.set_result(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        fetcher = make_fetcher({"tls.example": [["127.0.0.1"]]}, ports=[port])
        with pytest.raises(FetchFailed):
            await fetcher.fetch(FetchRequest(f"https://tls.example:{port}/"))

        assert b"tls.example" in await asyncio.wait_for(hello, LIMIT_S)


async def test_the_environment_has_no_say(
    site: Site, make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment would undo the pinning; it is not used."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    site.html("/", "Direct.")

    assert b"Direct." in (await make_fetcher().fetch(FetchRequest(site.url))).content


async def test_a_status_that_is_no_page_says_whether_to_try_again(
    site: Site, make_fetcher: MakeFetcher
) -> None:
    """404 is final, 503 passes."""
    site.pages["/busy"] = Page(b"", 503)
    fetcher = make_fetcher()

    for path, is_passing in (("missing", False), ("busy", True)):
        fetched = await fetcher.fetch(FetchRequest(site.url + path))
        with pytest.raises(FetchFailed) as failure:
            require_page(fetched)
        assert failure.value.retryable is is_passing


def _endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "text/html")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 8192)
    except OSError:
        return


def _silent(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "text/html")
    handler.end_headers()
    handler.wfile.write(b"<p>")
    handler.rfile.read(1)  # until the client goes


@pytest.mark.parametrize(("passing", "asked", "status"), [(503, 3, 200), (429, 3, 200), (500, 1, 500)])
async def test_a_site_in_passing_trouble_is_asked_again(
    site: Site, make_fetcher: MakeFetcher, passing: int, asked: int, status: int
) -> None:
    """Twice overloaded, then well: the page comes. What is broken for good is asked once."""
    left = [Page(b"", passing), Page(b"", passing), Page(b"Hello.")]

    def answer(handler: Handler) -> None:
        page = left.pop(0)
        handler.send_response(page.status)
        handler.send_header("content-length", str(len(page.body)))
        handler.end_headers()
        handler.wfile.write(page.body)

    site.pages["/"] = answer
    fetcher = make_fetcher()
    fetcher._retry = Retry(RetryRules(first_s=0.001))

    fetched = await fetcher.fetch(FetchRequest(site.url))

    assert (fetched.status, len(site.requests)) == (status, asked)


async def test_a_site_that_stays_in_trouble_says_so(site: Site, make_fetcher: MakeFetcher) -> None:
    """After the last attempt its answer is what is told."""
    site.pages["/"] = Page(b"", 503)
    fetcher = make_fetcher()
    fetcher._retry = Retry(RetryRules(attempts=2, first_s=0.001))

    fetched = await fetcher.fetch(FetchRequest(site.url))

    assert (fetched.status, len(site.requests)) == (503, 2)
