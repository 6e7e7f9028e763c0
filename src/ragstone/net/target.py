"""Where a URL leads: scheme, host and port, read so strictly that nobody reads them differently (pure)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import idna

from ragstone.errors import InvalidRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_URL = 4000
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_NUMBER = re.compile(r"(?:\d+|0x[0-9a-f]*)\Z")
"""A last label like this makes browsers and C libraries read the whole host as an IPv4 address."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart; `url` is put together again from the parts, so that both say the same."""

    scheme: str
    host: str
    """ASCII, lower case, without a trailing dot; an IPv6 address without brackets."""
    port: int
    path: str
    """Path and query, never empty."""
    literal: Address | None
    """The address that the host is, when it is not a name."""

    @property
    def authority(self) -> str:
        """Host and port as in a Host header: brackets around IPv6, no default port."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return shown if self.port == DEFAULT_PORTS[self.scheme] else f"{shown}:{self.port}"

    @property
    def url(self) -> str:
        """The URL."""
        return f"{self.scheme}://{self.authority}{self.path}"


def read_target(url: str) -> Target:
    """Where `url` leads.

    Raises:
        InvalidRequest: no http or https URL, or one whose host could be read in two ways: with a user name,
            control characters, numbers that are no dotted quad, an IPv6 zone.
    """
    if len(url) > LONGEST_URL:
        raise InvalidRequest(f"The URL has {len(url)} characters; at most {LONGEST_URL} are taken.")
    if _UNSAFE.search(url):
        raise _invalid(url, "it holds a space, a backslash or a control character")
    parts = _split(url)
    if parts.scheme not in DEFAULT_PORTS:
        raise _invalid(url, f"its scheme is {parts.scheme!r}, not http or https")
    if "@" in parts.netloc:
        raise _invalid(url, "it holds a user name; leave it out")
    host, literal = _read_host(url, parts.hostname or "", is_bracketed="[" in parts.netloc)
    port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    query = f"?{parts.query}" if parts.query else ""
    return Target(parts.scheme, host, port, (parts.path or "/") + query, literal)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read here, where its ValueError is expected
        return parts
    except ValueError as error:
        raise _invalid(url, str(error)) from error


def _read_host(url: str, host: str, *, is_bracketed: bool) -> tuple[str, Address | None]:
    if is_bracketed or ":" in host:
        return _read_ipv6(url, host)
    name = _to_ascii(url, host.removesuffix("."))
    labels = name.split(".")
    if _NUMBER.match(labels[-1]):
        try:
            address = ipaddress.IPv4Address(name)
        except ValueError as error:
            raise _invalid(url, f"its host {host!r} is a number but no dotted IPv4 address") from error
        return str(address), address
    if not all(_LABEL.match(label) for label in labels) or len(name) > 253:
        raise _invalid(url, f"its host {host!r} is no host name")
    return name, None


def _read_ipv6(url: str, host: str) -> tuple[str, Address]:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError as error:
        raise _invalid(url, f"its host {host!r} is no IPv6 address") from error
    if address.scope_id is not None:
        raise _invalid(url, f"its host {host!r} names a zone of this machine")
    return str(address), address


def _to_ascii(url: str, host: str) -> str:
    """The host as it goes over the wire: full-width digits become digits before numbers are looked for."""
    if host.isascii():
        return host.lower()
    try:
        return idna.encode(host, uts46=True).decode("ascii").lower().removesuffix(".")
    except (idna.IDNAError, UnicodeError) as error:
        raise _invalid(url, f"its host {host!r} is no host name") from error


def _invalid(url: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{url[:200]!r} cannot be fetched: {why}.", url=url[:200])
