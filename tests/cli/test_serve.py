"""`ragstone serve` from its start to its end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.process import STOP_LIMIT_S, run_command, running_server


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_cleanly(home: Path, by: signal.Signals) -> None:
    """Exit code 0, no traceback, the card gone, the index slot released, nothing lost."""
    with running_server(home) as server:
        added = server.client.post("/v1/documents", json={"text": "The lamp is lit."})
        assert (home / "server.json").is_file()

        server.process.send_signal(by)
        exit_code = server.process.wait(STOP_LIMIT_S)

    assert exit_code == 0
    log = (home.parent / f"{home.name}-server.log").read_text("utf-8")
    assert "Traceback" not in log
    assert "Error" not in log
    assert not (home / "server.json").exists()
    assert (home / "index" / "0" / "lock").read_text("utf-8") == ""
    shown = run_command("docs", "show", str(added.json()["id"]), home=home)
    assert "The lamp is lit." in shown.stdout


def test_a_card_of_a_dead_server_is_ignored(home: Path) -> None:
    """After kill -9 the commands work in their own process, although the card still names the server."""
    with running_server(home) as server:
        server.client.post("/v1/documents", json={"text": "The lamp is lit."})
        server.kill()

    done = run_command("search", "lamp", home=home)

    assert done.exit_code == 0
    assert "The lamp is lit." in done.stdout
