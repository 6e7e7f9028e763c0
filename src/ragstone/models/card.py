"""The model folder: which model lies in it, and whether it is whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ragstone.errors import NotReady

BUNDLED_FOLDER = Path(__file__).parent / "bundled"
GRAPH_FILE, TOKENIZER_FILE, CARD_FILE = "model.onnx", "tokenizer.json", "model.json"
REINSTALL = "install Ragstone again (in a checkout: `pip install -e .`)"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The identity and limits of an embedding model."""

    model_id: str
    revision: str
    dim: int
    max_tokens: int
    size_bytes: int
    """Of the graph file; a file of another size was cut off."""
    languages: tuple[str, ...] = ("en",)
    """ISO 639-1 codes of the languages it was trained on."""


def read_card(folder: Path) -> ModelCard:
    """The card of the model in `folder`, after a look at its files.

    Raises:
        NotReady: a file is missing or damaged.
    """
    for name in (CARD_FILE, TOKENIZER_FILE, GRAPH_FILE):
        if not (folder / name).is_file():
            raise NotReady(f"The embedding model's file {folder / name} is missing; {REINSTALL}.")
    try:
        card = ModelCard(**json.loads((folder / CARD_FILE).read_bytes()))
    except (ValueError, TypeError) as error:
        raise damaged(folder / CARD_FILE, error) from error
    size_bytes = (folder / GRAPH_FILE).stat().st_size
    if size_bytes != card.size_bytes:
        raise damaged(folder / GRAPH_FILE, f"{size_bytes} bytes instead of {card.size_bytes}")
    return card


def damaged(path: Path, reason: object) -> NotReady:
    """The error for a model file that cannot be read."""
    return NotReady(f"The embedding model's file {path} is damaged ({reason}); {REINSTALL}.", path=str(path))
