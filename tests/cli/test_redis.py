"""`ragstone doctor` looks at the Redis that is configured."""

from __future__ import annotations

from pathlib import Path

from tests.support.process import run_command
from tests.support.redis import free_port, running_redis

URL = "RAGSTONE_CACHE__REDIS_URL"


def test_doctor_looks_at_redis(home: Path, tmp_path: Path) -> None:
    """It answers: a line with its place; it does not: exit code 1 and what to do. Never the password."""
    slow = {"RAGSTONE_CACHE__REDIS_TIMEOUT_S": "10"}
    with running_redis(tmp_path, "--requirepass", "s3cret") as server:
        url = server.url.replace("redis://", "redis://:s3cret@")
        good = run_command("doctor", home=home, environ={URL: url, **slow})
    bad = run_command("doctor", home=home, environ={URL: f"redis://:s3cret@127.0.0.1:{free_port()}"})
    wrong = run_command("doctor", home=home, environ={URL: "redis://:s3cret@"})

    assert (good.exit_code, bad.exit_code, wrong.exit_code) == (0, 1, 1)
    assert f"Redis at 127.0.0.1:{server.port}: 0 keys" in good.stdout
    assert "mend cache.redis_url" in bad.stdout
    assert "a host is missing" in wrong.stdout
    assert "s3cret" not in good.stdout + bad.stdout + wrong.stdout


def test_without_redis_the_doctor_names_the_file(home: Path) -> None:
    """Memory and a bounded file, or memory alone."""
    usual = run_command("doctor", home=home)
    less = run_command("doctor", home=home, environ={"RAGSTONE_CACHE__DISK_MAX_BYTES": "0"})

    assert "memory and a file of at most 256 MiB" in usual.stdout
    assert "a file of at most" not in less.stdout
