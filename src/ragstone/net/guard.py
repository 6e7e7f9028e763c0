"""Which addresses this server may fetch from: public ones, and what the settings allow besides."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ragstone.errors import FetchFailed, FetchRefused, InvalidSetting
from ragstone.net.target import Address, Target, read_target
from ragstone.settings import SecuritySettings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Not global by their registries, but by some versions of the standard library; or tunnels into networks
# that cannot be told from here.
_NEVER: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4", "::/96", "64:ff9b:1::/48",
        "100::/64", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
    )
)  # fmt: skip
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
MOST_ADDRESSES = 16
"""Addresses looked at for one name; more serve nobody but an attacker."""


class Resolver(Protocol):
    """Turns a host name into addresses."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a name, best first.

        Raises:
            FetchFailed: it has none, or the name servers do not answer.
        """
        ...


class SystemResolver:
    """The resolver of the operating system."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a name, best first; see `Resolver`."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=1)  # SOCK_STREAM
        except OSError as error:
            raise FetchFailed(f"The host {host!r} has no address: {error.strerror or error}.") from error
        return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


@dataclass(frozen=True, slots=True)
class FetchRules:
    """What is allowed beyond public addresses, and which ports."""

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset({80, 443})

    @classmethod
    def from_settings(cls, settings: SecuritySettings) -> FetchRules:
        """The rules of the settings.

        Raises:
            InvalidSetting: a network that is none.
        """
        try:
            networks = tuple(ipaddress.ip_network(network) for network in settings.fetch_allowed_networks)
        except ValueError as error:
            raise InvalidSetting(
                f"security.fetch_allowed_networks: {error}; write networks such as 10.1.0.0/16."
            ) from error
        hosts = frozenset(host.lower().removesuffix(".") for host in settings.fetch_allowed_hosts)
        return cls(networks, hosts, frozenset(settings.fetch_allowed_ports))


@dataclass(frozen=True, slots=True)
class Checked:
    """A target with the addresses that were looked at: a connection goes to one of these, nowhere else."""

    target: Target
    addresses: tuple[Address, ...]


class AddressGuard:
    """Looks at a URL before anything is sent.

    A name is resolved once, and what was checked is what is connected to: a name server that answers
    differently the second time is not asked a second time.
    """

    def __init__(self, resolver: Resolver, rules: FetchRules) -> None:
        self._resolver = resolver
        self._rules = rules

    async def check(self, url: str) -> Checked:
        """The target of `url` with its addresses.

        Raises:
            InvalidRequest: the URL cannot be read in one way only.
            FetchRefused: its port or one of its addresses is not allowed.
            FetchFailed: its host has no address.
        """
        target = read_target(url)
        if target.port not in self._rules.ports:
            raise FetchRefused(
                f"{target.url!r} is not fetched: port {target.port} is not in security.fetch_allowed_ports."
            )
        if target.literal is not None:
            found: Sequence[Address] = (target.literal,)
        else:
            found = await self._resolver.resolve(target.host, target.port)
        addresses = tuple(dict.fromkeys(found))[:MOST_ADDRESSES]
        if not addresses:
            raise FetchFailed(f"The host {target.host!r} has no address.")
        if target.host not in self._rules.hosts:
            for address in addresses:
                self._check_address(target, address)
        return Checked(target, addresses)

    def _check_address(self, target: Target, address: Address) -> None:
        if is_public(address) or any(address in network for network in self._rules.networks):
            return
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        if mapped is not None and any(mapped in network for network in self._rules.networks):
            return
        raise FetchRefused(
            f"{target.url!r} is not fetched: {target.host} leads to {address}, which is no public address. "
            "If that is meant, list its network in security.fetch_allowed_networks.",
            host=target.host,
        )


def is_public(address: Address) -> bool:
    """Whether anyone on the internet could reach this address; never true of what only we can reach."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if any(address in network for network in _NEVER if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
