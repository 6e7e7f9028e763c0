"""Health, doctor and support bundle as an operator uses them, on real servers."""

from __future__ import annotations

import socket
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from ragstone.models.onnx_encoder import Cuda
from tests.requirements import verifies
from tests.support.process import Finished, run_command, running_server
from tests.support.redis import free_port

Wire = dict[str, object]

KEY, PASSWORD, USER, TOKEN = "canary-key-5170", "canary:p@ss/5171", "canary-user-5172", "canary-token-5173"
TEXT, QUESTION, TITLE = "canary-text-5174", "canary-question-5175", "canary-title-5176"
SECRETS = {
    "RAGSTONE_SERVER__PORT": "0",
    "RAGSTONE_GENERATOR__API_KEY": KEY,
    "RAGSTONE_GENERATOR__MODEL": "some",
    "RAGSTONE_GENERATOR__BASE_URL": f"http://{USER}:canary%3Ap%40ss%2F5171@127.0.0.1:9/v1?key={TOKEN}",
    "RAGSTONE_CACHE__REDIS_URL": "redis://:canary%3Ap%40ss%2F5171@127.0.0.1:9/0",
}
CANARIES = (KEY, PASSWORD, "canary%3Ap%40ss%2F5171", USER, TOKEN)


@verifies("OBS-01")
def test_health_asks_the_running_server(home: Path) -> None:
    """Exit code 0 while it is well, with every part for people and the whole report for machines; then 1."""
    with running_server(home):
        shown = run_command("health", home=home)
        ready = run_command("health", "--ready", "--json", home=home)
    gone = run_command("health", home=home, environ={"RAGSTONE_SERVER__PORT": str(free_port())})

    assert (shown.exit_code, ready.exit_code, gone.exit_code) == (0, 0, 1)
    assert all(name in shown.stdout for name in ("store", "indexes", "embedder", "generator", "cache"))
    assert (ready.json["ready"], ready.json["phase"]) == (True, "serving")
    assert "ragstone serve" in gone.stderr


def test_health_does_not_take_another_program_for_ragstone(home: Path) -> None:
    """What answers must answer as Ragstone does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.listen()
        port = str(listener.getsockname()[1])
        done = run_command("health", home=home, environ={"RAGSTONE_SERVER__PORT": port})

    assert (done.exit_code, "does not answer" in done.stderr) == (1, True)


@verifies("OPS-08")
def test_the_doctor_names_what_is_wrong_with_its_fix(home: Path) -> None:
    """A taken port, settings that contradict each other, a home open to all: each with what to do."""
    home.mkdir()
    home.chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environ = {
            "RAGSTONE_SERVER__PORT": str(listener.getsockname()[1]),
            "RAGSTONE_GENERATOR__MODEL": "some",
            "RAGSTONE_CACHE__ENABLED": "false",
            "RAGSTONE_CACHE__WARM_AT_START": "true",
            "RAGSTONE_INGEST__ALLOWED_ROOTS": str(home / "nowhere"),
        }
        done = run_command("doctor", "--json", home=home, environ=environ)
        shown = run_command("doctor", home=home, environ=environ)

    found = findings(done)
    assert (done.exit_code, done.json["ok"]) == (1, False)
    assert {name for name, one in found.items() if one["status"] == "failed"} == {"port", "permissions"}
    for name in ("port", "permissions", "generator.base_url", "cache.enabled", "ingest.allowed_roots"):
        assert found[name]["fix"], name
        assert str(found[name]["fix"]) in shown.stdout
    assert "in use" in str(found["port"]["detail"])
    assert str(home / "nowhere") in str(found["ingest.allowed_roots"]["detail"])


@verifies("OPS-08")
def test_the_doctor_looks_at_everything_and_knows_our_own_server(home: Path) -> None:
    """The port of the running server is not a taken one."""
    with running_server(home) as server:
        done = run_command("doctor", "--json", home=home)

    found = findings(done)
    assert done.exit_code == 0
    assert {
        *("versions", "machine", "memory", "configuration", "home", "permissions", "disk", "server", "port"),
        *("embedding model", "GPU", "OCR", "parser processes", "grammars", "generator", "cache"),
    } <= set(found)
    assert server.url in str(found["server"]["detail"])
    assert found["port"]["status"] == "ok"


@verifies("OPS-08", "OPS-09")
def test_settings_that_cannot_be_read_are_a_finding(home: Path) -> None:
    """The doctor does not give up: the unknown key with the nearest one, and what else can be said."""
    done = run_command("doctor", "--json", home=home, environ={"RAGSTONE_GENERATOR__APIKEY": KEY})

    found = findings(done)
    assert done.exit_code == 1
    assert found["configuration"]["status"] == "failed"
    assert "Did you mean 'generator.api_key'?" in str(found["configuration"]["detail"])
    assert {"versions", "machine"} <= set(found)
    assert KEY not in done.stdout + done.stderr


@verifies("OPS-08", "OPS-09")
@pytest.mark.parametrize(
    "words", [("doctor",), ("doctor", "--json"), ("config", "explain"), ("config", "explain", "--json")]
)
def test_no_command_prints_a_secret(home: Path, words: tuple[str, ...]) -> None:
    """Neither a key nor what stands in an address; that there is one is told."""
    done = run_command(*words, home=home, environ=SECRETS)

    assert leaked(done.stdout + done.stderr, CANARIES) == []
    assert "generator.api_key" in done.stdout
    assert "127.0.0.1:9" in done.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RAGSTONE_GENERATOR__MAX_TOKENS", "http://u:canary-key-5170@host/?a=canary-token-5173"),
        ("RAGSTONE_CACHE__REDIS_URL", "redis+wrong://:canary-key-5170@127.0.0.1"),
    ],
)
@verifies("OPS-09")
def test_a_refused_setting_prints_no_secret(home: Path, name: str, value: str) -> None:
    """The error says what is wrong without the part that gives access."""
    done = run_command("search", "owl", home=home, environ={name: value})

    assert done.exit_code == 2
    assert leaked(done.stdout + done.stderr, CANARIES) == []


@verifies("OPS-08")
def test_the_support_bundle_holds_what_helps_and_no_secret(home: Path, tmp_path: Path) -> None:
    """Findings, settings, versions, sizes, what the running server says; no text, question, title or key."""
    path = tmp_path / "bundle.tar.gz"
    (tmp_path / f"{TITLE}.md").write_text(f"# {TITLE}\n\nThe {TEXT} hoots at night.", "utf-8")
    with running_server(home, SECRETS) as server:
        run_command("add", tmp_path / f"{TITLE}.md", home=home, environ=SECRETS)
        server.client.post("/v1/ask", json={"question": f"What hoots, {QUESTION}?"})
        server.client.post("/v1/search", json={"query": QUESTION, "mode": "nonsense"})

        done = run_command("support-bundle", "-o", path, "--json", home=home, environ=SECRETS)

    files = unpacked(path)
    assert (done.exit_code, done.json["files"]) == (0, sorted(files))
    assert set(files) == {
        *("README.txt", "doctor.json", "configuration.json", "versions.json", "home.json"),
        *("health.json", "gpu.json", "metrics.txt"),
    }
    assert '"name": "generator.api_key"' in files["configuration.json"]
    assert "ragstone_documents 1.0" in files["metrics.txt"]
    assert '"components"' in files["health.json"] and '"devices"' in files["gpu.json"]
    assert "ragstone.db" in files["home.json"]
    whole = "\n".join([*files, *files.values()])
    assert leaked(whole, (*CANARIES, TEXT, QUESTION, TITLE)) == []
    assert path.stat().st_mode & 0o077 == 0


@verifies("EMB-07")
def test_gpu_tells_of_this_machine_or_of_the_running_server(home: Path) -> None:
    """The same report either way, and in words for people."""
    alone = run_command("gpu", "--json", home=home)
    shown = run_command("gpu", home=home)
    with running_server(home, {"RAGSTONE_MODELS__DEVICE": "cpu"}):
        served = run_command("gpu", "--json", home=home)

    assert (alone.exit_code, shown.exit_code, served.exit_code) == (0, 0, 0)
    assert (alone.json["wanted"], served.json["wanted"]) == ("auto", "cpu")
    assert set(alone.json) == set(served.json)
    assert str(alone.json["verdict"]) in shown.stdout and "onnxruntime can use:" in shown.stdout


@verifies("EMB-04")
def test_a_gpu_that_is_wanted_and_missing_is_told_with_the_fix(home: Path) -> None:
    """`cuda` without CUDA is refused, where the settings insist on it."""
    if Cuda().is_there():
        pytest.skip("this onnxruntime knows CUDA")
    done = run_command("gpu", home=home, environ={"RAGSTONE_MODELS__DEVICE": "cuda"})

    assert (done.exit_code, "onnxruntime-gpu" in done.stderr) == (1, True)


def test_a_bundle_that_cannot_be_written_says_so(home: Path, tmp_path: Path) -> None:
    """With the path and the option that chooses another."""
    done = run_command("support-bundle", "-o", tmp_path / "no" / "x.tar.gz", home=home)

    assert (done.exit_code, "choose another with -o" in done.stderr) == (2, True)


def findings(done: Finished) -> dict[str, Wire]:
    """By name."""
    return {str(one["name"]): one for one in cast("list[Wire]", done.json["findings"])}


def unpacked(path: Path) -> Mapping[str, str]:
    """The files of a bundle as text."""
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            content = archive.extractfile(member)
            assert content is not None
            found[member.name.removeprefix("ragstone-support/")] = content.read().decode()
    return found


def leaked(text: str, canaries: tuple[str, ...]) -> list[str]:
    """Which canaries are in a text."""
    return [canary for canary in canaries if canary in text]
