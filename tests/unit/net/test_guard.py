"""What may be fetched: public addresses under names that can be read in one way only."""

from __future__ import annotations

import ipaddress

import pytest

from ragstone.errors import FetchFailed, FetchRefused, InvalidRequest, InvalidSetting
from ragstone.net.fakes import TableResolver
from ragstone.net.guard import AddressGuard, FetchRules, SystemResolver, is_public
from ragstone.net.target import read_target
from ragstone.settings import SecuritySettings

pytestmark = pytest.mark.anyio

PRIVATE = (
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "192.0.0.8", "192.0.2.1", "192.168.1.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "fc00::1",
    "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "5f00::1", "3fff::1",
)  # fmt: skip
PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")


@pytest.mark.parametrize("address", PRIVATE)
def test_what_only_we_can_reach_is_not_public(address: str) -> None:
    """Private, local, shared, documentation, multicast and tunnelled addresses, however written."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_everyone_can_reach_is_public(address: str) -> None:
    """IPv4, IPv6, and IPv4 inside IPv6."""
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://017700000001/", "http://0177.0.0.1/",
        "http://127.1/", "http://127.0.1/", "http://127.0.0.1.0x1/", "http://1.2.3.4.5/", "http://256.1.1.1/",
        "http://127.0.0.01/", "http://１２７.1/", "http://0x/", "http://127.0.0.1%00.example.com/",
        "http://[::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::ffff:127.0.0.1/", "http://[v1.x]/",
        "http://user@example.com/", "http://user:pass@127.0.0.1/", "http://example.com@127.0.0.1/",
        "http://example.com\\@127.0.0.1/", "http://exam ple.com/", "http://example.com\n/", "http://ex\tample.com/",
        "http:///path", "http://", "http://.example.com/", "http://a..b/", "http://-a.example/", "http://%31/",
        "http://example.com:99999/", "http://example.com:x/", "ftp://example.com/", "file:///etc/passwd",
        "gopher://example.com/", "javascript:alert(1)", "//example.com/", "example.com",
        "http://" + "a" * 64 + ".com",
    ],
)  # fmt: skip
def test_a_url_that_could_be_read_in_two_ways_is_refused(url: str) -> None:
    """Numbers that are no dotted quad, user names, control characters, zones, other schemes."""
    with pytest.raises(InvalidRequest, match="cannot be fetched"):
        read_target(url)


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://Example.COM", "example.com", 80, "/"),
        ("https://example.com./a?b=c#d", "example.com", 443, "/a?b=c"),
        ("http://bücher.example/x", "xn--bcher-kva.example", 80, "/x"),
        ("http://１２７.０.０.１/", "127.0.0.1", 80, "/"),
        ("http://[2001:DB8::1]:8080/", "2001:db8::1", 8080, "/"),
        ("http://my_host.example:80/", "my_host.example", 80, "/"),
    ],
)
def test_a_url_is_brought_to_one_spelling(url: str, host: str, port: int, path: str) -> None:
    """Case, trailing dots, IDNA and full-width digits are undone before anything is decided."""
    target = read_target(url)

    assert (target.host, target.port, target.path) == (host, port, path)
    assert read_target(target.url) == target


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:10.1.2.3]", "169.254.169.254"]
)
async def test_a_private_address_is_refused_by_name_and_as_itself(address: str) -> None:
    """The message names the address and the setting that would allow it."""
    guard = AddressGuard(TableResolver({"inside.example": [[address.strip("[]")]]}), FetchRules())

    for url in (f"http://{address}/", "http://inside.example/"):
        with pytest.raises(FetchRefused, match=r"no public address.*fetch_allowed_networks"):
            await guard.check(url)


async def test_one_private_address_among_public_ones_is_enough() -> None:
    """A name that leads to both is refused: nobody says which one would be connected to."""
    guard = AddressGuard(TableResolver({"mixed.example": [["8.8.8.8", "192.168.0.1"]]}), FetchRules())

    with pytest.raises(FetchRefused, match=r"192\.168\.0\.1"):
        await guard.check("https://mixed.example/")


async def test_settings_open_networks_hosts_and_ports() -> None:
    """An intranet by its network or its name; IPv4 inside IPv6 counts as IPv4; other ports by the list."""
    settings = SecuritySettings(
        fetch_allowed_networks=("10.1.0.0/16",),
        fetch_allowed_hosts=("Wiki.Example.",),
        fetch_allowed_ports=(80, 443, 8080),
    )
    table = {"wiki.example": [["192.168.7.7"]], "mapped.example": [["::ffff:10.1.2.3"]]}
    guard = AddressGuard(TableResolver(table), FetchRules.from_settings(settings))

    for url in ("http://10.1.2.3:8080/", "http://wiki.example/", "http://mapped.example/"):
        assert (await guard.check(url)).addresses
    for url in ("http://10.2.0.1/", "http://10.1.2.3:22/", "http://other.example/"):
        with pytest.raises((FetchRefused, FetchFailed)):
            await guard.check(url)


async def test_a_network_that_is_none_is_an_invalid_setting() -> None:
    """Said by name, when the server starts."""
    with pytest.raises(InvalidSetting, match=r"security\.fetch_allowed_networks"):
        FetchRules.from_settings(SecuritySettings(fetch_allowed_networks=("10.1.2.3/8",)))


async def test_the_system_resolves_names() -> None:
    """The real resolver knows localhost, and says so of a name that cannot exist."""
    found = await SystemResolver().resolve("localhost", 80)

    assert all(address.is_loopback for address in found)
    with pytest.raises(FetchFailed, match="has no address"):
        await SystemResolver().resolve("no-such-host.invalid", 80)
