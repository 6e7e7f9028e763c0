"""What the tests of evaluation share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TEXTS = {
    "moon": ("Tides", "The moon pulls the sea, and the sea rises twice a day."),
    "bread": ("Baking", "Bread rises because yeast makes gas in warm dough."),
    "code": ("", "def parse_config(path): read the settings from a TOML file"),
    "long": (
        "Ports",
        " ".join(f"Harbour number {number} has a lighthouse and a pier." for number in range(60)),
    ),
    "empty": ("Nothing", "  "),
}
QUESTIONS = {"q1": ("why does bread rise", "bread"), "q2": ("parse_config", "code"), "q3": ("tides", "moon")}


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The product runs on asyncio."""
    return "asyncio"


@pytest.fixture
def collection_folder(tmp_path: Path) -> Path:
    """A BEIR folder of five documents, one of them without text, with answers to one question."""
    corpus = [{"_id": id_, "title": title, "text": text} for id_, (title, text) in TEXTS.items()]
    queries = [{"_id": id_, "text": text} for id_, (text, _) in QUESTIONS.items()]
    qrels = ["query-id\tcorpus-id\tscore", *(f"{id_}\t{found}\t1" for id_, (_, found) in QUESTIONS.items())]
    answered = {"id": "a", "question": "What makes bread rise?", "answers": [{"text": "the yeast"}]}
    squad = {"data": [{"paragraphs": [{"context": TEXTS["bread"][1], "qas": [answered]}]}]}
    folder = tmp_path / "tiny"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (folder / "qrels" / "test.tsv").write_text("\n".join(qrels))
    (folder / "dev-v1.1.json").write_text(json.dumps(squad))
    return folder
