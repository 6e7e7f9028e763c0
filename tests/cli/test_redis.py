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
        good = run_command("doctor", home=home, environ={URL: url, "RAGSTONE_SERVER__PORT": "0", **slow})
    bad = run_command("doctor", home=home, environ={URL: f"redis://:s3cret@127.0.0.1:{free_port()}"})

    assert (good.exit_code, bad.exit_code) == (0, 1)
    assert f"Redis at 127.0.0.1:{server.port}: 0 keys" in good.stdout
    assert "mend cache.redis_url" in bad.stdout
    assert "s3cret" not in good.stdout + bad.stdout


def test_without_redis_the_doctor_names_the_file(home: Path) -> None:
    """Memory and a bounded file."""
    doctor = run_command("doctor", home=home)

    assert "memory and a file of at most 256 MiB" in doctor.stdout
