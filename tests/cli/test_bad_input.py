"""What a command says about wrong input: one sentence with the value and the fix, and the right exit code."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.cli.conftest import Filled
from tests.requirements import verifies
from tests.support.process import run_command

FAILED, USAGE, NOT_FOUND = 1, 2, 3
UNKNOWN_ID = "0192f0c4-6a6e-7cc1-9d2e-3f1f5a0c9b11"


@verifies("SEC-09")
@pytest.mark.parametrize("host", ["0.0.0.0", "ragstone.example"])
def test_no_address_but_loopback_is_listened_on(home: Path, host: str) -> None:
    """There are no secrets that could guard it, so every other address is refused, and nothing is made."""
    done = run_command("serve", "--host", host, "--port", "0", home=home)

    assert done.exit_code == FAILED
    assert repr(host) in done.stderr
    assert "[refused]" in done.stderr
    assert not home.exists()


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (("add", "no/such/path"), NOT_FOUND, ("no/such/path", "[path_not_found]")),
        (("add", ".", "-c", "Not Allowed"), USAGE, ("'Not Allowed'", "lower-case", "[invalid_request]")),
        (("add", "ftp://example.org/a"), USAGE, ("'ftp://example.org/a'", "https://")),
        (("add", ".", "-m", "year"), USAGE, ("'year'", "KEY=VALUE")),
        (("search", "x", "--mode", "psychic"), USAGE, ("psychic", "hybrid")),
        (("search", "x", "-k", "0"), USAGE, ("top_k is 0", "1 and 100")),
        (("search", "x", "--filter", "{year"), USAGE, ("{year", "not JSON")),
        (("search", "x", "--filter", '{"type": "near"}'), USAGE, ("near", "[invalid_filter]")),
        (("search", "  "), USAGE, ("[invalid_request]",)),
        (("search", "x", "-c", "nowhere"), NOT_FOUND, ("'nowhere'", "default", "[collection_not_found]")),
        (("ask", "x", "-c", "nowhere"), NOT_FOUND, ("'nowhere'", "[collection_not_found]")),
        (("docs", "show", UNKNOWN_ID), NOT_FOUND, (UNKNOWN_ID, "[document_not_found]")),
        (("docs", "remove", UNKNOWN_ID), NOT_FOUND, (UNKNOWN_ID, "[document_not_found]")),
        (("docs", "remove"), USAGE, ("--filter",)),
        (("collections", "create", "Not Allowed"), USAGE, ("Not Allowed",)),
        (("collections", "remove", "nowhere", "-y"), NOT_FOUND, ("'nowhere'",)),
        (("config", "explain", "serch"), USAGE, ("'serch'", "config explain")),
        (("--config", "no/such.toml", "config", "explain"), USAGE, ("no/such.toml",)),
        (("serve", "--port", "70000"), USAGE, ("70000", "server.port", "--port")),
        (("eval", "no/such/folder"), NOT_FOUND, ("no/such/folder",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_input_is_refused_with_its_value(
    filled: Filled, words: tuple[str, ...], exit_code: int, said: tuple[str, ...]
) -> None:
    """The message is on stderr, nothing on stdout, no traceback."""
    done = run_command(*words, home=filled.home)

    assert done.exit_code == exit_code, done.stderr
    assert all(part in done.stderr for part in said), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@verifies("OPS-09")
def test_a_port_in_use_is_named(home: Path) -> None:
    """`serve` on a port where another listens ends with the port and the fix; the flag beats the variable."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_command("serve", "--port", str(port), home=home, environ={"RAGSTONE_SERVER__PORT": "0"})

    assert done.exit_code == USAGE
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
