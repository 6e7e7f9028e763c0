"""Reading test collections, and saying what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragstone.errors import InvalidRequest, PathNotFound
from ragstone.evaluate.datasets import Entry, read_answered_questions, read_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small BEIR folder: two documents, two questions, one of them judged relevant somewhere."""
    lines = [{"_id": "a", "title": "Walls", "text": "Stone walls last."}, {"_id": "b", "text": ""}]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    queries = [{"_id": "1", "text": "what lasts"}, {"_id": "2", "text": "what else"}]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t0\n2\tb\t0\n")
    return tmp_path


def test_a_folder_is_read_with_its_judged_questions(folder: Path) -> None:
    """A question without a relevant document cannot be scored and is left out."""
    dataset = read_dataset(folder, "test")

    assert dataset.corpus == (Entry("a", "Walls", "Stone walls last."), Entry("b", "", ""))
    assert dataset.queries == {"1": "what lasts"}
    assert dataset.judgments == {"1": {"a": 2, "b": 0}}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """The message holds the path that was given."""
    with pytest.raises(PathNotFound, match="nowhere"):
        read_dataset(tmp_path / "nowhere", "test")


def test_a_missing_split_is_answered_with_those_there_are(folder: Path) -> None:
    """The next attempt can be right."""
    with pytest.raises(PathNotFound, match="splits there are: test"):
        read_dataset(folder, "dev")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("corpus.jsonl", '{"_id": "a", "text": "x"}\nnot json\n', "corpus.jsonl, line 2: not JSON"),
        ("corpus.jsonl", "[1]\n", "corpus.jsonl, line 1: expected an object"),
        ("corpus.jsonl", '{"text": "x"}\n', "corpus.jsonl, line 1: '_id' must be a text"),
        ("queries.jsonl", '{"_id": "1", "text": 7}\n', "queries.jsonl, line 1: 'text' must be a text"),
        ("queries.jsonl", '{"_id": "2", "text": "x"}\n', "lacks the query '1'"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n1\ta\n", "test.tsv, line 2: expected query-id"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n1\ta\thigh\n", "test.tsv, line 2: expected"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(folder: Path, name: str, content: str, message: str) -> None:
    """Whoever made the file can go to the place."""
    (folder / name).write_text(content)

    with pytest.raises(InvalidRequest, match=message):
        read_dataset(folder, "test")


def test_a_missing_file_is_named(folder: Path) -> None:
    """The message says what a BEIR folder has."""
    (folder / "queries.jsonl").unlink()

    with pytest.raises(PathNotFound, match=r"queries\.jsonl"):
        read_dataset(folder, "test")


def test_answers_are_read_once_each(tmp_path: Path) -> None:
    """Annotators often agree; a wording counts once."""
    question = {"id": "7", "question": "Who?", "answers": [{"text": "Ann"}, {"text": "Ann"}, {"text": "Bo"}]}
    content = {"data": [{"paragraphs": [{"context": "Ann and Bo.", "qas": [question]}]}]}
    (tmp_path / "dev.json").write_text(json.dumps(content))

    found = read_answered_questions(tmp_path / "dev.json")

    assert [(entry.id, entry.text, entry.answers) for entry in found] == [("7", "Who?", ("Ann", "Bo"))]


def test_a_file_in_another_form_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "dev.json").write_text('{"version": "1.1"}')

    with pytest.raises(InvalidRequest, match=r"dev\.json is not in the form of SQuAD"):
        read_answered_questions(tmp_path / "dev.json")
