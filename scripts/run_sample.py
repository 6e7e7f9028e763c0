"""Serves Ragstone's own documentation as a sample, asks it a question, and goes on until Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RAGSTONE = Path(sys.executable).with_name("ragstone")
QUESTION = "How does Ragstone make sure that deleted text cannot be found?"
START_LIMIT_S = 60.0


def main() -> int:
    """Run the sample; the exit code of the server."""
    home = Path(os.environ.get("RAGSTONE_HOME", ROOT / ".run" / "home"))
    print(f"Starting the server on {home} ...", flush=True)
    # Its request log would stand between the question and the answer.
    quiet = {**os.environ, "RAGSTONE_TELEMETRY__LOG_LEVEL": "warning"}
    port = os.environ.get("PORT", "8321")
    server = subprocess.Popen([RAGSTONE, "serve", "--home", home, "--port", port], env=quiet)
    try:
        url = wait_until_ready(server, home)
        print("Adding Ragstone's own documentation ...", flush=True)
        pages = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "docs")]
        subprocess.run([RAGSTONE, "add", "--home", home, *pages, "--include", "*.md"], check=True)
        print(f"\nQuestion: {QUESTION}\n", flush=True)
        subprocess.run([RAGSTONE, "ask", "--home", home, QUESTION, "-k", "5"], check=True)
        print(f"\nRagstone answers at {url} (try {url}/health). Ctrl-C stops it.", flush=True)
        return server.wait()
    except KeyboardInterrupt:
        print("\nStopping ...", flush=True)
        return 0
    except (RuntimeError, subprocess.CalledProcessError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    finally:
        stop(server)


def wait_until_ready(server: subprocess.Popen[bytes], home: Path) -> str:
    """The server's address once it answers."""
    give_up_at = time.monotonic() + START_LIMIT_S
    while time.monotonic() < give_up_at:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with {server.returncode}; the lines above say why")
        try:
            card = json.loads((home / "server.json").read_text("utf-8"))
            if card["pid"] == server.pid:
                with urllib.request.urlopen(f"{card['url']}/health/live", timeout=1):
                    return str(card["url"])
        except (OSError, ValueError, KeyError, urllib.error.URLError):
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the server did not answer within {START_LIMIT_S:g} s")


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server in order; Ctrl-C has reached it already when it shares the terminal."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(timeout=30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
