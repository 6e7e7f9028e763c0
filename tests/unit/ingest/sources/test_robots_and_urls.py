"""robots.txt as RFC 9309 reads it, and one spelling for each page."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ragstone.ingest.sources.page import read_page
from ragstone.ingest.sources.robots import read_robots
from ragstone.ingest.sources.urls import file_name, normal_url, site_of

HOST = "https://example.org"


@pytest.mark.parametrize(
    ("rules", "path", "is_allowed"),
    [
        ("", "/a", True),
        ("User-agent: *\nDisallow: /", "/a", False),
        ("User-agent: *\nDisallow:", "/a", True),
        ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", True),
        ("User-agent: *\nAllow: /a\nDisallow: /a", "/a", True),
        ("User-agent: *\nDisallow: /*.pdf$", "/x/y.pdf", False),
        ("User-agent: *\nDisallow: /*.pdf$", "/x/y.pdf?z", True),
        ("User-agent: *\nDisallow: /a*c", "/abbbc/d", False),
        ("User-agent: *\nDisallow: /a*c$", "/acbc", False),
        ("User-agent: *\nDisallow: /a$", "/ab", True),
        ("User-agent: *\nDisallow: /ab*b$", "/ab", True),
        ("User-agent: *\nDisallow: /" + "*a" * 60, "/" + "a" * 59 + "b" * 3000, True),
        ("User-agent: other\nDisallow: /", "/a", True),
        ("User-agent: Ragstone\nDisallow: /x\n\nUser-agent: *\nDisallow: /", "/a", True),
        ("User-agent: other\nUser-agent: ragstone\nDisallow: /x", "/x", False),
        ("User-agent: ragstone\nDisallow: /x\nUser-agent: ragstone\nDisallow: /y", "/y", False),
        ("user-agent:*\n disallow : /a # no", "/a", False),
        ("User-agent: *\nDisallow: /%7Ejoe", "/~joe/x", False),
        ("User-agent: *\nDisallow: /a?b=", "/a?b=c", False),
        ("Disallow: /\nUser-agent: *\nNonsense\nAllow: /", "/a", True),
        ("\ufeffUser-agent: *\nDisallow: /a", "/a", False),
    ],
)
def test_the_longest_rule_that_fits_decides(rules: str, path: str, is_allowed: bool) -> None:
    """Groups by name, else for everyone; wildcards and ends; equal rules allow."""
    assert read_robots(rules.encode(), "ragstone").allows(HOST + path) is is_allowed


@pytest.mark.parametrize(("asked", "given_s"), [("2", 2.0), ("9999", 30.0), ("-1", 0.0), ("soon", 0.0)])
def test_the_delay_is_obeyed_within_reason(asked: str, given_s: float) -> None:
    """Up to half a minute; what is no number is none."""
    robots = read_robots(f"User-agent: *\nCrawl-delay: {asked}".encode(), "ragstone")

    assert robots.delay_s == given_s


@given(st.binary(max_size=300), st.text(max_size=50))
def test_no_robots_txt_is_too_strange(content: bytes, path: str) -> None:
    """Any bytes are read, any path is judged."""
    assert read_robots(b"User-agent: *\n" + content, "ragstone").allows(f"{HOST}/{path}") in (True, False)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://Example.ORG:80/a/../b/./c", "http://example.org/b/c"),
        ("https://example.org", "https://example.org/"),
        ("https://example.org/a b", "https://example.org/a%20b"),
        ("https://example.org/%7ejoe/%c3%bc", "https://example.org/~joe/%C3%BC"),
        ("https://example.org/?utm_source=a&x=1&gclid=2", "https://example.org/?x=1"),
        ("https://example.org/a#b", "https://example.org/a"),
        ("https://example.org/../../a", "https://example.org/a"),
        ("mailto:a@b", None),
        ("javascript:void(0)", None),
        ("https://user@example.org/", None),
        ("http://[", None),
    ],
)
def test_a_page_has_one_spelling(url: str, normal: str | None) -> None:
    """Case, ports, dots, escapes, trackers and fragments."""
    assert normal_url(url) == normal


@given(st.text(max_size=60))
def test_normal_is_normal(text: str) -> None:
    """Bringing a URL to its normal form twice changes nothing more, and never fails."""
    once = normal_url(text, f"{HOST}/a/b")

    assert once is None or normal_url(once) == once


def test_sites_and_names() -> None:
    """www. and the scheme make no other site, a port does; HTML without a suffix gets one."""
    assert site_of("http://www.example.org/a") == site_of("https://example.org/") != site_of(f"{HOST}:8443/")
    assert file_name(f"{HOST}/guide", "text/html") == "guide.html"
    assert file_name(f"{HOST}/", "text/html") == "example.org.html"
    assert file_name(f"{HOST}/a%20b.pdf", "application/pdf") == "a b.pdf"


@given(st.binary(max_size=400))
def test_no_page_is_too_strange(content: bytes) -> None:
    """Any bytes are read for links."""
    read_page(b'<a href="' + content, HOST, "", "ragstone")


def test_base_counts_for_links() -> None:
    """<base href> moves relative links."""
    head = read_page(b'<base href="/x/"><a href="y">y</a>', HOST, "", "ragstone")

    assert head.links == (f"{HOST}/x/y",)


def test_links_are_read_as_browsers_would() -> None:
    """Quotes of any kind, entities, capitals, > in values; comments and scripts do not count."""
    page = b"""<A HREF='/one?a=1&amp;b=2'>1</A><a class="x > y" title=z href=/two>2</a><abbr href=/no>
    <!-- <a href="/comment">x</a> --><SCRIPT>"<a href='/script'>"</script><a
    href = "/three"/><a href>x</a>"""
    head = read_page(page, f"{HOST}/", "", "ragstone")

    assert head.links == (f"{HOST}/one?a=1&b=2", f"{HOST}/two", f"{HOST}/three")


@pytest.mark.parametrize(
    "piece", [b"<!--", b"<a '", b'<a "', b"<script", b"<a href=", b"<a x=", b"<!", b"<a <"]
)
def test_a_hostile_page_is_read_in_bounded_steps(piece: bytes) -> None:
    """Four megabytes of what makes naive readers quadratic; pytest's limit would end the test."""
    read_page(piece * (4_000_000 // len(piece)), HOST, "", "ragstone")
