"""Where `cache.redis_url` leads (pure).

    redis://[user[:password]@]host[:6379][/db]                                 one server; rediss:// over TLS
    redis+sentinel://[user[:password]@]host[:26379][,host...]/service[?db=n]   a service that Sentinels watch
    redis+cluster://[user[:password]@]host[:6379][,host...]                    a cluster, by some of its nodes

`rediss+sentinel` and `rediss+cluster` do the same over TLS. `?ca_file=` names the authority of a private
certificate, `?sentinel_user=` and `?sentinel_password=` the account at the Sentinels themselves. What stands
in user and password is percent-encoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ragstone.errors import InvalidSetting

RedisKind = Literal["single", "sentinel", "cluster"]

_KINDS: dict[str, RedisKind] = {"": "single", "sentinel": "sentinel", "cluster": "cluster"}
_PORTS: dict[RedisKind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_OPTIONS: dict[RedisKind, frozenset[str]] = {
    "single": frozenset({"db", "ca_file"}),
    "sentinel": frozenset({"db", "ca_file", "sentinel_user", "sentinel_password"}),
    "cluster": frozenset({"ca_file"}),
}
_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A Redis, a service watched by Sentinels, or a cluster."""

    kind: RedisKind
    hosts: tuple[tuple[str, int], ...]
    """The server, the Sentinels, or nodes of the cluster."""
    username: str | None = None
    password: str | None = None
    database: int = 0
    service: str = ""
    """What the Sentinels call the servers."""
    is_tls: bool = False
    ca_file: str | None = None
    sentinel_user: str | None = None
    sentinel_password: str | None = None

    @property
    def place(self) -> str:
        """Hosts and ports for messages, without credentials."""
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"{hosts}/{self.service}" if self.service else hosts


def read_redis_url(url: str) -> RedisAddress:
    """The address in the URL.

    Raises:
        InvalidSetting: it is none; the message holds no part of the URL but what is wrong and not secret.
    """
    parts = _split(url)
    protocol, _, suffix = parts.scheme.partition("+")
    kind = _KINDS.get(suffix)
    if protocol not in ("redis", "rediss") or kind is None:
        raise _invalid(f"its scheme is {parts.scheme!r}")
    userinfo, _, hosts = parts.netloc.rpartition("@")
    username, _, password = (unquote(part) for part in userinfo.partition(":"))
    options = _read_options(parts.query, kind)
    path = unquote(parts.path.strip("/"))
    if kind == "sentinel" and not path:
        raise _invalid("it names no service: redis+sentinel://host:26379/service")
    if kind == "cluster" and path not in ("", "0"):
        raise _invalid("a cluster has only the database 0")
    return RedisAddress(
        kind,
        tuple(_read_host(host, _PORTS[kind]) for host in hosts.split(",")),
        username or None,
        password or None,
        _read_database(options.get("db") or (path if kind == "single" else "") or "0"),
        path if kind == "sentinel" else "",
        protocol == "rediss",
        options.get("ca_file"),
        options.get("sentinel_user"),
        options.get("sentinel_password"),
    )


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise _invalid("it is no URL") from error


def _read_options(query: str, kind: RedisKind) -> dict[str, str]:
    options = dict(parse_qsl(query))
    for name in options:
        if name not in _OPTIONS[kind]:
            raise _invalid(f"it has no option {name!r}; there are {', '.join(sorted(_OPTIONS[kind]))}")
    return options


def _read_host(written: str, default_port: int) -> tuple[str, int]:
    if written.startswith("["):
        host, _, rest = written[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = written.partition(":")
    if not host:
        raise _invalid("a host is missing")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT):
        raise _invalid(f"{port!r} is no port")
    return host.lower(), int(port or default_port)


def _read_database(written: str) -> int:
    if not (written.isascii() and written.isdigit()):
        raise _invalid(f"{written!r} is no number of a database")
    return int(written)


def _invalid(reason: str) -> InvalidSetting:
    return InvalidSetting(
        f"cache.redis_url is no address of a Redis: {reason}. Write redis://host:6379/0, rediss://..., "
        "redis+sentinel://host:26379/service or redis+cluster://host:6379."
    )
