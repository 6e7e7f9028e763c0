"""Real Redis servers of a test's own: one, one behind Sentinels, a cluster of six."""

from __future__ import annotations

import ipaddress
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.waiting import wait_until

START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0
SERVICE = "cache"
NODES = 6
FAILOVER_MS = 1_000
_BUS_OFFSET = 10_000
_PORTS = (10_000, 22_000)
"""Those of a cluster's bus, too, lie below what Linux gives to connections and to who asks for any port."""
_CHOICE = random.SystemRandom()
"""Not the common generator: pytest-randomly seeds that alike in every process."""


@dataclass
class RedisServer:
    """A `redis-server` process on a port of its own."""

    port: int
    folder: Path
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """As `cache.redis_url` has it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, on the same port each time, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [_program("redis-server"), *self._words()], stdout=log, stderr=log, cwd=self.folder
            )
        # Without a password it answers, too: that it wants one.
        wait_until(lambda: self.answers("PING") or None, START_LIMIT_S)

    def _words(self) -> list[str]:
        plain = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        return [*plain, "--repl-diskless-sync-delay", "0", *self.options]

    def answers(self, *words: str) -> str:
        """What `redis-cli` prints."""
        command = [_program("redis-cli"), "-p", str(self.port), *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=STOP_LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout.strip()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone; stopped or running."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_LIMIT_S)
            self.process = None


@dataclass
class RedisSetup:
    """Servers that belong together, and the URL that leads to them."""

    url: str
    servers: list[RedisServer]

    def flush(self) -> None:
        """Forget every key; replicas refuse and follow."""
        for server in self.servers:
            server.answers("FLUSHALL")


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    """One server, ended at the end."""
    server = RedisServer(free_port(), folder, options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def write_certificate(folder: Path) -> tuple[str, ...]:
    """`folder/cert.pem` for 127.0.0.1, which vouches for itself; options of a server with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    files = ("--tls-cert-file", str(folder / "cert.pem"), "--tls-key-file", str(folder / "key.pem"))
    return (*files, "--tls-ca-cert-file", str(folder / "cert.pem"), "--tls-auth-clients", "no")


@contextmanager
def running_sentinel(folder: Path) -> Iterator[RedisSetup]:
    """A master, its replica, and one Sentinel that watches them and is not listed."""
    with ExitStack() as stack:
        master = stack.enter_context(running_redis(folder / "master"))
        replica = stack.enter_context(
            running_redis(folder / "replica", "--replicaof", "127.0.0.1", str(master.port))
        )
        watch = folder / "watch.conf"
        watch.write_text(
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} {FAILOVER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        sentinel = RedisServer(free_port(), folder / "sentinel", ("--sentinel",))
        sentinel._words = lambda: [str(watch), "--port", str(sentinel.port), "--sentinel"]  # type: ignore[method-assign]
        stack.callback(sentinel.kill)
        sentinel.start()
        wait_until(
            lambda: True if "master_link_status:up" in replica.answers("INFO") else None, START_LIMIT_S
        )
        wait_until(
            lambda: True if str(replica.port) in sentinel.answers("SENTINEL", "REPLICAS", SERVICE) else None,
            START_LIMIT_S,
        )
        yield RedisSetup(f"redis+sentinel://127.0.0.1:{sentinel.port}/{SERVICE}", [master, replica])


@contextmanager
def running_cluster(folder: Path) -> Iterator[RedisSetup]:
    """Three primaries with a replica each."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(FAILOVER_MS))
    with ExitStack() as stack:
        servers = []
        for number in range(NODES):
            server = RedisServer(free_port(bus=True), folder / str(number), options)
            stack.callback(server.kill)
            server.start()
            servers.append(server)
        addresses = [f"127.0.0.1:{server.port}" for server in servers]
        made = [_program("redis-cli"), "--cluster", "create", *addresses, "--cluster-replicas", "1"]
        subprocess.run([*made, "--cluster-yes"], check=True, capture_output=True, timeout=START_LIMIT_S)
        wait_until(lambda: True if all(map(_is_ready, servers)) else None, START_LIMIT_S)
        yield RedisSetup(f"redis+cluster://{addresses[0]},{addresses[1]}", servers)


def _is_ready(server: RedisServer) -> bool:
    nodes = server.answers("CLUSTER", "NODES")
    is_whole = nodes.count("slave") == nodes.count("connected") // 2 == NODES // 2
    link = server.answers("INFO", "replication")
    is_following = "role:master" in link or "master_link_status:up" in link
    return "cluster_state:ok" in server.answers("CLUSTER", "INFO") and is_whole and is_following


def free_port(*, bus: bool = False) -> int:
    """A port that nobody has, with the cluster's second one when asked for."""
    while True:
        port = _CHOICE.randint(*_PORTS)
        if all(_is_free(wanted) for wanted in ((port, port + _BUS_OFFSET) if bus else (port,))):
            return port


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed (Debian: sudo apt-get install redis-server)")
    return found
