"""What Ragstone does when a part goes wrong: `test_matrix` proves it, docs/operations.md shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dependency = Literal["database", "disk", "redis", "generator", "embedder", "parser"]
Fault = Literal["slow", "error", "garbage", "stopped", "flapping"]

MEANINGS: dict[Dependency, str] = {
    "database": "another process holds SQLite's write lock",
    "disk": "the disk of the home is full",
    "redis": "Redis, behind a faulty network",
    "generator": "the language model's server, behind a faulty network",
    "embedder": "an embedding model, behind a faulty network",
    "parser": "the process that parses files",
}
FAULTS: dict[Fault, str] = {
    "slow": "answers, but late",
    "error": "refuses or breaks off at once",
    "garbage": "answers with bytes that mean nothing",
    "stopped": "takes the call and never answers",
    "flapping": "fails every other time",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One part in one kind of trouble.

    `ask` and `add` are the statuses of a question and of a new document meanwhile, `code` is the document's
    error; one that `queues` behind another write may be refused for that (429) first. A question's
    `degraded` is exactly the one given, or none or that one where it `may` be.
    """

    dependency: Dependency
    fault: Fault
    then: str
    ask: int = 200
    degraded: tuple[str, ...] = ()
    may: bool = False
    add: int = 201
    code: str = ""
    queues: bool = False


CELLS = (
    Cell("database", "slow", "writes wait for the lock, reads do not notice"),
    Cell(
        "database",
        "error",
        "writes fail after `store.busy_timeout_s`, questions are answered",
        add=503,
        code="store_failed",
        queues=True,
    ),
    Cell(
        "database",
        "flapping",
        "writes wait for the moments in between",
    ),
    Cell(
        "disk",
        "error",
        "what finds no room is refused whole, questions are answered",
        add=507,
        code="store_full",
    ),
    Cell("redis", "slow", "answers are made anew", degraded=("cache:redis",)),
    Cell("redis", "error", "answers are made anew", degraded=("cache:redis",)),
    Cell("redis", "garbage", "answers are made anew", degraded=("cache:redis",)),
    Cell("redis", "stopped", "answers are made anew", degraded=("cache:redis",)),
    Cell("redis", "flapping", "it is used whenever it answers", degraded=("cache:redis",), may=True),
    Cell(
        "generator",
        "slow",
        "after `generator.timeout_s` the documents are quoted",
        degraded=("generator:failed",),
    ),
    Cell("generator", "error", "after the retries the documents are quoted", degraded=("generator:failed",)),
    Cell("generator", "garbage", "the documents are quoted", degraded=("generator:failed",)),
    Cell(
        "generator",
        "stopped",
        "after `generator.timeout_s` the documents are quoted",
        degraded=("generator:failed",),
    ),
    Cell("generator", "flapping", "a retry gets the answer"),
    Cell(
        "embedder",
        "slow",
        "words alone after `search.leg_timeout_s`, then at once; new documents take longer",
        degraded=("dense:timeout",),
    ),
    Cell(
        "embedder",
        "error",
        "words alone; files wait in their jobs, inline texts are refused",
        degraded=("dense:failed",),
        add=503,
        code="embedding_failed",
    ),
    Cell(
        "embedder",
        "garbage",
        "words alone; files wait in their jobs, inline texts are refused",
        degraded=("dense:failed",),
        add=503,
        code="embedding_failed",
    ),
    Cell(
        "embedder",
        "stopped",
        "words alone after `search.leg_timeout_s`, then at once; inline texts are refused",
        degraded=("dense:timeout",),
        add=503,
        code="embedding_failed",
    ),
    Cell(
        "embedder",
        "flapping",
        "both legs or words alone, from question to question; inline texts are stored or refused",
        degraded=("dense:failed",),
        may=True,
        add=0,
    ),
    Cell("parser", "slow", "the file waits for it, up to `ingest.parse_timeout_s`"),
    Cell(
        "parser",
        "error",
        "a process that dies before it has read the file is replaced, and the file is taken in",
    ),
    Cell(
        "parser",
        "garbage",
        "a file that is not what it says is refused",
        add=422,
        code="broken_document",
    ),
    Cell(
        "parser",
        "stopped",
        "the process is ended after `ingest.parse_timeout_s`, the file is refused",
        add=422,
        code="parser_limit_exceeded",
    ),
    Cell("parser", "flapping", "a process that dies between two files is replaced"),
)

NOT_POSSIBLE: dict[tuple[Dependency, Fault], str] = {
    ("database", "garbage"): "a damaged file is refused at the start, as `home_mismatch`",
    ("database", "stopped"): "a lock that is never given back is the error above",
    ("disk", "slow"): "writes take as long as the disk does; reads do not wait for them",
    ("disk", "garbage"): "`ragstone check` finds what a disk gave back wrong",
    ("disk", "stopped"): "the kernel does not come back from the call; readiness fails within its limit",
    ("disk", "flapping"): "as soon as there is room, the next write is stored",
}
"""Cells that nothing is to be promised for, and why."""
