"""A site on loopback whose pages a test writes, and which remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

from tests.support.serving import handling


@dataclass(frozen=True, slots=True)
class Page:
    """What a path answers with; `etag` makes it answer 304 to who has it."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/html"})
    etag: str | None = None


Answer = Page | Callable[["Handler"], None]


@dataclass(slots=True)
class Site:
    """The pages by path, and the requests so far."""

    port: int
    pages: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its first page."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [path for path, _ in self.requests]

    def html(self, path: str, body: str, *, head: str = "", etag: str | None = None) -> None:
        """Put an HTML page."""
        text = f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"
        self.pages[path] = Page(text.encode(), etag=etag)

    def redirect(self, path: str, location: str, status: int = 302) -> None:
        """Put a redirect."""
        self.pages[path] = Page(status=status, headers={"location": location})


class Handler(BaseHTTPRequestHandler):
    """Answers from the site's pages."""

    site: ClassVar[Site]

    def do_GET(self) -> None:
        """Answer."""
        self.site.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        page = self.site.pages.get(self.path, Page(b"gone", 404))
        if callable(page):
            page(self)
            return
        is_same = page.etag is not None and self.headers.get("if-none-match") == page.etag
        self.send_response(304 if is_same else page.status)
        headers = dict(page.headers) | ({"etag": page.etag} if page.etag else {})
        body = b"" if is_same else page.body
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
        """Say nothing."""


@contextmanager
def running_site() -> Iterator[Site]:
    """A site that answers until the end."""

    class OwnHandler(Handler):
        pass

    with handling(OwnHandler) as port:
        OwnHandler.site = Site(port)
        yield OwnHandler.site
