"""Opening the local embedder, and what goes wrong on the way."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from ragstone.errors import NotReady
from ragstone.models.card import BUNDLED_FOLDER, CARD_FILE, GRAPH_FILE, TOKENIZER_FILE, read_card
from ragstone.models.hardware import multiplies_bf16, usable_cores
from ragstone.models.local import load_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the bundled model's folder that may be damaged."""
    for name in (CARD_FILE, GRAPH_FILE, TOKENIZER_FILE):
        shutil.copy(BUNDLED_FOLDER / name, tmp_path / name)
    return tmp_path


def test_the_bundled_model_has_an_identity() -> None:
    """The card names the model, its weights and its limits."""
    card = read_card(BUNDLED_FOLDER)

    assert (card.model_id, card.dim, card.max_tokens) == ("all-MiniLM-L6-v2", 384, 256)
    assert card.revision == "53aa51172d14"


@pytest.mark.parametrize("name", [CARD_FILE, GRAPH_FILE, TOKENIZER_FILE])
def test_a_missing_file_is_named_with_the_fix(folder: Path, name: str) -> None:
    """The error holds the path and what to do."""
    (folder / name).unlink()

    with pytest.raises(NotReady, match=rf"{folder / name} is missing; install Ragstone again"):
        load_encoder(folder)


@pytest.mark.parametrize("name", [CARD_FILE, GRAPH_FILE, TOKENIZER_FILE])
def test_a_cut_file_is_called_damaged(folder: Path, name: str) -> None:
    """A file that lost its second half is found out when the model is opened."""
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])

    with pytest.raises(NotReady, match=rf"{folder / name} is damaged"):
        load_encoder(folder)


def test_a_scrambled_graph_of_the_right_size_is_called_damaged(folder: Path) -> None:
    """Size alone does not decide."""
    (folder / GRAPH_FILE).write_bytes(b"\xff" * (folder / GRAPH_FILE).stat().st_size)

    with pytest.raises(NotReady, match="is damaged"):
        load_encoder(folder)


def test_a_tokenizer_of_another_kind_is_refused(folder: Path) -> None:
    """A tokenizer without BERT's special tokens does not belong to this model."""
    text = (folder / TOKENIZER_FILE).read_text().replace("[CLS]", "<cls>")
    (folder / TOKENIZER_FILE).write_text(text)

    with pytest.raises(NotReady, match=r"no \[CLS\] token"):
        load_encoder(folder)


def test_asking_for_openvino_without_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed

    with pytest.raises(NotReady, match=r"pip install ragstone\[openvino\]"):
        load_encoder(runtime="openvino")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx2 avx512_bf16", True), ("fpu amx_bf16", True), ("fpu avx2 avx512f", False), ("", False)],
)
def test_bf16_is_read_from_the_processors_flags(tmp_path: Path, flags: str, expected: bool) -> None:
    """Whole words of the flags line decide."""
    (tmp_path / "cpuinfo").write_text(f"model name\t: X\nflags\t\t: {flags}\n")

    assert multiplies_bf16(tmp_path / "cpuinfo") is expected


def test_a_machine_without_cpuinfo_has_no_bf16(tmp_path: Path) -> None:
    """Other systems than Linux take the default runtime."""
    assert not multiplies_bf16(tmp_path / "none")


def test_a_containers_quota_limits_the_threads(tmp_path: Path) -> None:
    """Half a core rounds up to one; no quota leaves the affinity."""
    quota = tmp_path / "cpu.max"
    cores = usable_cores(tmp_path / "none")

    quota.write_text("50000 100000\n")
    half = usable_cores(quota)
    quota.write_text("max 100000\n")

    assert half == 1
    assert usable_cores(quota) == cores >= 1
