"""Reading test collections: BEIR folders, and the answers of SQuAD files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ragstone.errors import InvalidRequest, PathNotFound
from ragstone.evaluate.metrics import Judgments

CORPUS, QUERIES, QRELS = "corpus.jsonl", "queries.jsonl", "qrels"
SQUAD = "dev-v1.1.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """A document of a test collection."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Documents, the questions that have judgments, and the judgments by question.

    Every question has at least one relevant document; the others of queries.jsonl are left out.
    """

    name: str
    corpus: tuple[Entry, ...]
    queries: Mapping[str, str]
    judgments: Mapping[str, Judgments]


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """A question with the wordings that count as its answer."""

    id: str
    text: str
    answers: tuple[str, ...]


def read_dataset(folder: Path, split: str) -> Dataset:
    """The BEIR folder at `folder` with the judgments of `qrels/SPLIT.tsv`.

    Raises:
        PathNotFound: the folder or one of its files is not there.
        InvalidRequest: a line does not follow the format; file and line are named.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise PathNotFound(f"There is no folder {str(folder)!r}; name one with {CORPUS}.", path=str(folder))
    corpus = tuple(
        Entry(_text(row, "_id", at), _text(row, "title", at, default=""), _text(row, "text", at, default=""))
        for at, row in _rows(folder / CORPUS)
    )
    judgments = read_judgments(folder / QRELS / f"{split}.tsv")
    texts = {_text(row, "_id", at): _text(row, "text", at) for at, row in _rows(folder / QUERIES)}
    judged = [query for query, grades in judgments.items() if any(grade > 0 for grade in grades.values())]
    missing = [query for query in judged if query not in texts]
    if missing:
        raise InvalidRequest(f"{folder / QUERIES} lacks the query {missing[0]!r}, which has judgments.")
    return Dataset(
        folder.resolve().name,
        corpus,
        {query: texts[query] for query in judged},
        {query: judgments[query] for query in judged},
    )


def read_judgments(path: Path) -> Mapping[str, Judgments]:
    """Judgments by query from tab-separated lines `query-id corpus-id score` below a header.

    Raises:
        PathNotFound: there is no such file; the splits there are, are named.
        InvalidRequest: a line has another form.
    """
    if not path.is_file():
        there = ", ".join(sorted(found.stem for found in path.parent.glob("*.tsv"))) or "none"
        raise PathNotFound(f"There is no {path}; splits there are: {there}.", path=str(path))
    judgments: dict[str, dict[str, int]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split("\t")
        if number == 1 and fields[-1].strip() == "score":
            continue
        if not line.strip():
            continue
        query, document, grade = _judgment(fields, f"{path}, line {number}")
        judgments.setdefault(query, {})[document] = grade
    return judgments


def read_answered_questions(path: Path) -> list[AnsweredQuestion]:
    """The questions of a SQuAD 1.1 file, in its order.

    Raises:
        PathNotFound: there is no such file.
        InvalidRequest: it is not in SQuAD's form.
    """
    if not path.is_file():
        raise PathNotFound(f"There is no {path}.", path=str(path))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [
            AnsweredQuestion(
                question["id"],
                question["question"],
                tuple(dict.fromkeys(answer["text"] for answer in question["answers"])),
            )
            for article in content["data"]
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f"{path} is not in the form of SQuAD 1.1: {error!r}.") from error


def _judgment(fields: list[str], place: str) -> tuple[str, str, int]:
    try:
        query, document, grade = fields
        return query, document, int(grade)
    except ValueError as error:
        raise InvalidRequest(
            f"{place}: expected query-id, corpus-id and a whole number, separated by tabs."
        ) from error


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The objects of a JSON-lines file, each with its place for messages."""
    if not path.is_file():
        raise PathNotFound(f"There is no {path}; a BEIR folder has {CORPUS}, {QUERIES} and {QRELS}/.")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                place = f"{path}, line {number}"
                yield place, _object(line, place)


def _object(line: str, place: str) -> Mapping[str, object]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InvalidRequest(f"{place}: not JSON ({error}).") from error
    if not isinstance(row, dict):
        raise InvalidRequest(f"{place}: expected an object with _id and text.")
    return cast("Mapping[str, object]", row)


def _text(row: Mapping[str, object], key: str, place: str, default: str | None = None) -> str:
    value = row.get(key, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise InvalidRequest(f"{place}: {key!r} must be a text.")
    return value
