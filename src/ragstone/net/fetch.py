"""Fetching pages of others: every hop checked and pinned, every byte and second counted."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urljoin

import httpx2

from ragstone.deadline import Deadline
from ragstone.errors import FetchFailed, FetchRefused, FileTooLarge, InvalidFileType, InvalidRequest
from ragstone.net.guard import AddressGuard, Checked
from ragstone.net.target import Address
from ragstone.net.transport import NOT_OPENED, tls_context
from ragstone.resilience.retry import Retry, RetryRules
from ragstone.settings import Settings

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({429, 502, 503, 504})
_CONNECT_TIMEOUT_S = 10.0
_TRIED_ADDRESSES = 3
_UNPACKED_AT_ONCE = 256 * 1024
_MEDIA_TYPES = (
    "text/", "application/pdf", "application/json", "application/xml", "application/xhtml+xml",
    "application/rtf", "application/msword", "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.", "application/vnd.ms-", "application/epub+zip", "application/yaml",
    "application/toml", "application/x-ndjson", "application/octet-stream", "message/rfc822",
)  # fmt: skip
HTML_TYPES = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What fetching one page may cost."""

    max_bytes: int
    """Counted as received and once more as unpacked."""
    timeout_s: float = 30.0
    """For the whole page, redirects included."""
    max_redirects: int = 5
    user_agent: str = "ragstone"

    @classmethod
    def from_settings(cls, settings: Settings) -> FetchLimits:
        """As configured."""
        configured = settings.sources
        return cls(
            max_bytes=settings.ingest.max_file_bytes,
            timeout_s=configured.fetch_timeout_s,
            max_redirects=configured.max_redirects,
            user_agent=configured.user_agent,
        )


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server said of the copy that we have, to ask whether it still holds."""

    etag: str | None = None
    last_modified: str | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """As request headers."""
        given = {"if-none-match": self.etag, "if-modified-since": self.last_modified}
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer; `content` is unpacked, and empty unless the status is 200."""

    url: str
    """Where the redirects ended."""
    status: int
    media_type: str
    content: bytes
    validators: Validators
    robots_tag: str = ""


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What to fetch, and what makes the answer useless."""

    url: str
    validators: Validators = Validators()
    media_types: tuple[str, ...] = _MEDIA_TYPES
    """Beginnings of the media types that are read; others are refused before their body comes."""
    may_follow: Callable[[str], bool] | None = None
    """Asked before a redirect is followed; None follows everywhere that the guard allows."""
    max_bytes: int | None = None
    """Less than the limits allow."""


class _InTrouble(FetchFailed):
    """A site that may do better in a moment, with what it said now."""

    def __init__(self, fetched: Fetched) -> None:
        super().__init__(f"{fetched.url!r} answered with status {fetched.status}.")
        self.fetched = fetched


class Fetcher:
    """The client for pages of others. Close it with `aclose`."""

    def __init__(self, guard: AddressGuard, limits: FetchLimits, retry: Retry | None = None) -> None:
        """Fetch within the limits; without `retry` each page is asked for once."""
        self.guard = guard
        self._limits = limits
        self._retry = retry or Retry(RetryRules(attempts=1))
        self._transport: httpx2.AsyncHTTPTransport | None = None
        self._opening = asyncio.Lock()

    async def fetch(self, request: FetchRequest) -> Fetched:
        """One GET, redirects followed; an answer of any status that is not a redirect.

        An address that takes no connection, and a site that is overloaded or in trouble (429, 502, 503, 504),
        are asked again while the page has time.

        Raises:
            InvalidRequest: the URL cannot be read.
            FetchRefused: it, or where it redirects to, is not allowed.
            FetchFailed: nobody answers, too slowly, or with redirects without end.
            FileTooLarge: the body is over the limit, as sent or as unpacked.
            InvalidFileType: the body is of a type that is not read.
        """
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                deadline = Deadline.after(self._limits.timeout_s)
                return await self._retry.call(lambda: self._followed(request), deadline)
        except _InTrouble as trouble:
            return trouble.fetched
        except TimeoutError as error:
            raise FetchFailed(
                f"{request.url!r} was not fetched within {self._limits.timeout_s:g} s "
                "(sources.fetch_timeout_s)."
            ) from error

    async def aclose(self) -> None:
        """Close what is open."""
        if self._transport is not None:
            await self._transport.aclose()

    async def _followed(self, request: FetchRequest) -> Fetched:
        fetched = await self._follow(request)
        if fetched.status in _PASSING:
            raise _InTrouble(fetched)
        return fetched

    async def _follow(self, request: FetchRequest) -> Fetched:
        url = request.url
        for _ in range(self._limits.max_redirects + 1):
            checked = await self.guard.check(url)
            found = await self._get(checked, request)
            if isinstance(found, Fetched):
                return found
            if request.may_follow is not None and not request.may_follow(found):
                raise FetchRefused(f"{url!r} redirects to {found!r}, which is outside of what is fetched.")
            url = found
        raise FetchFailed(
            f"{request.url!r} redirects more than {self._limits.max_redirects} times "
            "(sources.max_redirects).",
            retryable=False,
        )

    async def _get(self, checked: Checked, request: FetchRequest) -> Fetched | str:
        """The answer, or the URL that it redirects to."""
        response = await self._send(checked, request)
        try:
            location = response.headers.get("location")
            if response.status_code in _REDIRECTS and location:
                return urljoin(checked.target.url, location)
            return await self._read(checked, request, response)
        except (httpx2.HTTPError, ValueError) as error:
            raise _failed(checked.target.url, error) from error
        finally:
            await response.aclose()

    async def _send(self, checked: Checked, request: FetchRequest) -> httpx2.Response:
        """The response's head, from the first of the checked addresses that takes a connection."""
        transport = await self._opened()
        failure: Exception | None = None
        for address in checked.addresses[:_TRIED_ADDRESSES]:
            try:
                return await transport.handle_async_request(self._pinned(checked, address, request))
            except NOT_OPENED as error:
                failure = error
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise _failed(checked.target.url, error) from error
        raise _failed(checked.target.url, failure) from failure

    def _pinned(self, checked: Checked, address: Address, request: FetchRequest) -> httpx2.Request:
        """A request that goes to `address` itself, and speaks (Host, TLS) to the name."""
        target = checked.target
        shown = f"[{address}]" if address.version == 6 else str(address)
        headers = {
            "host": target.authority,
            "user-agent": self._limits.user_agent,
            "accept": "text/html, application/xhtml+xml, text/*;q=0.9, */*;q=0.8",
            "accept-encoding": "gzip",
            "connection": "close",
            **request.validators.headers,
        }
        seconds = self._limits.timeout_s
        timeout = {
            "connect": min(_CONNECT_TIMEOUT_S, seconds),
            "read": seconds,
            "write": seconds,
            "pool": seconds,
        }
        extensions: dict[str, object] = {"timeout": timeout}
        if target.literal is None:
            extensions["sni_hostname"] = target.host
        url = f"{target.scheme}://{shown}:{target.port}{target.path}"
        return httpx2.Request("GET", url, headers=headers, extensions=extensions)

    async def _read(self, checked: Checked, request: FetchRequest, response: httpx2.Response) -> Fetched:
        url, headers = checked.target.url, response.headers
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        content = b""
        if response.status_code == HTTPStatus.OK:
            if media_type and not media_type.startswith(request.media_types):
                raise InvalidFileType(f"{url!r} is of the type {media_type!r}, which is not read.", url=url)
            limit = min(request.max_bytes or self._limits.max_bytes, self._limits.max_bytes)
            content = await _read_body(url, response, limit)
        return Fetched(
            url=url,
            status=response.status_code,
            media_type=media_type,
            content=content,
            validators=Validators(headers.get("etag"), headers.get("last-modified")),
            robots_tag=headers.get("x-robots-tag", ""),
        )

    async def _opened(self) -> httpx2.AsyncHTTPTransport:
        """The transport, made at the first fetch.

        It keeps no connection: two names at one address would share it, and with it the first one's proof
        of identity.
        """
        async with self._opening:
            if self._transport is None:
                context = await tls_context()
                limits = httpx2.Limits(max_connections=100, max_keepalive_connections=0)
                self._transport = httpx2.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits)
            return self._transport


async def _read_body(url: str, response: httpx2.Response, limit: int) -> bytes:
    encoding = response.headers.get("content-encoding", "identity").strip().lower() or "identity"
    unpack = _Unpacker(url, encoding, limit)
    received = 0
    body = bytearray()
    async for part in response.aiter_raw():
        received += len(part)
        if received > limit:
            raise _too_large(url, limit)
        body += unpack.feed(part)
        if len(body) > limit:
            raise _too_large(url, limit)
    return bytes(body)


class _Unpacker:
    """Undoes a content encoding in pieces of bounded size; a bomb goes off one byte over the limit."""

    def __init__(self, url: str, encoding: str, limit: int) -> None:
        if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
            raise FetchFailed(
                f"{url!r} came packed as {encoding!r}, which was not asked for.", retryable=False
            )
        # 32 + 15 bits of window: gzip and zlib are told apart by their first bytes.
        self._inner = None if encoding == "identity" else zlib.decompressobj(wbits=47)
        self._url, self._limit, self._unpacked = url, limit, 0

    def feed(self, part: bytes) -> bytes:
        """What the next bytes unpack to."""
        if self._inner is None:
            return part
        found = bytearray()
        waiting = part
        try:
            while waiting and not self._inner.eof:
                found += self._inner.decompress(waiting, _UNPACKED_AT_ONCE)
                waiting = self._inner.unconsumed_tail
                if self._unpacked + len(found) > self._limit:
                    raise _too_large(self._url, self._limit)
        except zlib.error as error:
            raise FetchFailed(f"{self._url!r} cannot be unpacked: {error}.") from error
        self._unpacked += len(found)
        return bytes(found)


def _too_large(url: str, limit: int) -> FileTooLarge:
    return FileTooLarge(f"{url!r} has more than {limit:,} bytes, the most that is fetched.", url=url)


def _failed(url: str, error: BaseException | None) -> FetchFailed:
    return FetchFailed(f"{url!r} could not be fetched ({type(error).__name__}: {error}).")


def require_page(found: Fetched) -> Fetched:
    """Go on only with a page that is there.

    Raises:
        FetchFailed: the status is not 200; retryable when the server itself is in trouble.
    """
    if found.status != HTTPStatus.OK:
        is_passing = found.status >= HTTPStatus.INTERNAL_SERVER_ERROR or found.status in (408, 425, 429)
        raise FetchFailed(f"{found.url!r} answered with status {found.status}.", retryable=is_passing)
    if not found.content:
        raise InvalidRequest(f"{found.url!r} is an empty page.")
    return found
