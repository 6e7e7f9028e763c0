"""One spelling for each page: URLs in their normal form, and which site they belong to (pure)."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit

from ragstone.errors import InvalidRequest
from ragstone.net.target import read_target

_TRACKING = re.compile(r"utm_\w+|gclid|fbclid|msclkid|mc_[ce]id|igshid\Z")
_KEPT = "/:@!$&'()*+,;=-._~"


def normal_url(url: str, base: str | None = None) -> str | None:
    """The one spelling of a page's URL, joined to `base`; None for what is no page (mailto:, fragments).

    Lower-case host, no default port, no dot segments, no fragment, no parameters of advertisers; escapes
    only where they are needed, in capitals.
    """
    try:
        joined = urljoin(base, url.strip()) if base else url.strip()
        target = read_target(joined.partition("#")[0].replace(" ", "%20"))
    except (InvalidRequest, ValueError):
        return None
    parts = urlsplit(target.path)
    path = quote(
        unquote(_without_dots(parts.path), "utf-8", "surrogateescape"), _KEPT, errors="surrogateescape"
    )
    query = _query(parts.query)
    return f"{target.scheme}://{target.authority}{path}{'?' + query if query else ''}"


def site_of(url: str) -> tuple[str, int | None]:
    """Host (without www.) and port other than the usual ones: equal for pages of one site."""
    target = read_target(url)
    port = None if target.port in (80, 443) else target.port
    return target.host.removeprefix("www."), port


def file_name(url: str, media_type: str) -> str:
    """A name for a page's file, by whose suffix its format is told."""
    path = unquote(urlsplit(url).path)
    name = path.rstrip("/").rpartition("/")[2] or urlsplit(url).netloc
    if media_type in ("text/html", "application/xhtml+xml") and not name.lower().endswith((".html", ".htm")):
        return f"{name}.html"
    return name


def _without_dots(path: str) -> str:
    """Dot segments resolved, as RFC 3986 (5.2.4) says; urljoin leaves those of an absolute URL."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _query(query: str) -> str:
    if not _TRACKING.search(query):
        return query
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if not _TRACKING.match(pair[0])]
    return urlencode(pairs)
