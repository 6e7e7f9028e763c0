"""Every documented setting is read by the product while it works, not only by what shows settings."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import httpx2

from ragstone.config import setting_names
from tests.requirements import verifies
from tests.support.generator import running_generator
from tests.support.process import START_LIMIT_S, STOP_LIMIT_S, environment
from tests.support.redis import free_port
from tests.support.waiting import wait_until

CATALOGUE = """
[[source]]
name = "texts"
kind = "folder"
path = "{folder}"

[[source]]
name = "code"
kind = "git"
url = "{folder}"
"""


@verifies("OPS-09")
def test_every_setting_is_read_while_the_product_works(home: Path, tmp_path: Path) -> None:
    """A server whose settings note their readers is used by all its routes; what nobody read is dead."""
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "owl.md").write_text("# Owl\n\nThe owl hoots at night.", "utf-8")
    home.mkdir()
    (home / "sources.toml").write_text(CATALOGUE.format(folder=texts), "utf-8")
    with running_generator() as double:
        environ = {
            "RAGSTONE_SERVER__PORT": "0",
            "RAGSTONE_GENERATOR__BASE_URL": double.base_url,
            "RAGSTONE_GENERATOR__MODEL": "garbage",
            "RAGSTONE_GENERATOR__FALLBACKS": json.dumps([{"base_url": double.base_url, "model": "good"}]),
            "RAGSTONE_INGEST__ALLOWED_ROOTS": str(texts),
            "RAGSTONE_CACHE__SEMANTIC": "true",
            "RAGSTONE_TELEMETRY__LOG_FILE": str(tmp_path / "server.log"),
        }
        reads = use(home, tmp_path / "first.json", environ, texts)
    quoting = {"RAGSTONE_SERVER__PORT": "0"}
    reads |= use(tmp_path / "quoting", tmp_path / "second.json", quoting, texts)
    in_trouble = {
        "RAGSTONE_SERVER__PORT": "0",
        "RAGSTONE_CACHE__REDIS_URL": f"redis://127.0.0.1:{free_port()}",
        "RAGSTONE_MODELS__EMBEDDING_PATH": str(tmp_path / "nowhere"),
    }
    reads |= use(tmp_path / "other", tmp_path / "third.json", in_trouble, texts)

    unread = sorted(set(setting_names()) - set(reads))
    assert not unread, unread


def use(home: Path, output: Path, environ: Mapping[str, str], texts: Path) -> dict[str, str]:
    """Run the server, ask all there is to ask, end it; which settings were read, and by whom."""
    log = output.with_suffix(".log")
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.recorded_server", str(home), str(output)],
            stderr=stderr,
            env=environment(home, environ),
        )
    try:
        url = wait_until(lambda: announced(log), START_LIMIT_S)
        with httpx2.Client(base_url=url, timeout=START_LIMIT_S, trust_env=False) as client:
            ask_everything(client, texts)
            # Nothing can be kept of an unfinished job any more: its attempts fail, and are counted.
            shutil.rmtree(home / "checkpoints", ignore_errors=True)
            (home / "checkpoints").write_text("a file stands in the way")
            upload(client, "b.md")
    finally:
        process.terminate()
        process.wait(STOP_LIMIT_S)
    return cast("dict[str, str]", json.loads(output.read_text("utf-8")))


def ask_everything(client: httpx2.Client, texts: Path) -> None:
    """Every kind of work; whether it succeeds is for other tests to say."""
    text = {"text": "The library opens at nine.", "metadata": {"year": 2024}}
    client.post("/v1/documents", json=text)
    upload(client, "a.md")
    client.post("/v1/documents/import", json={"path": str(texts)})
    client.post("/v1/documents/fetch", json={"url": "http://127.0.0.1:9/"})
    client.post("/v1/sources/texts/sync", json={"wait_s": 30})
    client.post("/v1/sources/code/sync", json={"wait_s": 30})
    client.post("/v1/chunk-preview", json={"text": "The wren sings."})
    for path in ("/v1/search", "/v1/ask"):
        asked = {"query" if path.endswith("search") else "question": "When does it open?"}
        client.post(path, json=asked)
        client.post(path, json={**asked, "fusion": "rrf"})
    client.get("/v1/queries/similar", params={"q": "When does it open?"})
    client.get("/v1/queries/statistics")
    client.post("/v1/cache/warm", json={"wait": True})
    for path in ("/health", "/metrics", "/v1/gpu", "/v1/cache"):
        client.get(path)
    for report in ("statistics", "questions", "relevance", "patterns", "costs", "system"):
        client.get(f"/v1/analytics/{report}")
    # What is noted is stored a moment later, and what is old is looked for then.
    until_shown(client, 'log_rows_total{outcome="stored",table="query_logs"}')
    until_shown(client, 'answer_traces_total{outcome="kept"}')


def until_shown(client: httpx2.Client, series: str) -> None:
    """Wait until the metrics have a series."""
    wait_until(lambda: series in client.get("/metrics").text or None, START_LIMIT_S)


def upload(client: httpx2.Client, name: str) -> None:
    """Upload a file, and wait until an attempt at its job has ended, well or not."""
    file = {"file": (name, f"# {name}\n\nThe wren sings.".encode())}
    accepted = client.post("/v1/documents", files=file, data={"wait_s": "0"}).json()
    job = accepted.get("job_id")  # it may have been quicker

    def was_tried() -> bool | None:
        found = client.get(f"/v1/jobs/{job}").json()
        return True if found["history"] or found["state"] == "ready" else None

    if job is not None:
        wait_until(was_tried, START_LIMIT_S)


def announced(log: Path) -> str | None:
    """The address of the server once it serves."""
    for line in log.read_text("utf-8", "replace").splitlines():
        if line.startswith("Ragstone answers at "):
            return line.split()[3]
    return None
