"""The parser process by itself: frames in, frames out, and its end when nobody writes any more."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import pytest
from tests.fixtures.parsing import small_files

from ragstone.ingest.extraction import Begun, Engine, Extraction, ParseRequest, Rejection, Reply, Walls
from ragstone.ingest.limits import ParsingLimits
from ragstone.ingest.sniff import sniff

LENGTH = struct.Struct(">Q")
LIMIT_S = 120
READ_BY_OCR = ("jpg", "png")
MEMORY_BYTES = 2048 * 2**20
WORDS: Mapping[str, tuple[str, bytes, str]] = {
    "pdf": (
        "application/pdf",
        small_files.pdf("Ducks on page one.", "Geese on page two."),
        "Geese on page two",
    ),
    "docx": (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        small_files.docx(
            small_files.paragraph("Ponds", "Heading1") + small_files.paragraph("Ducks like ponds.")
        ),
        "Ducks like ponds",
    ),
    "pptx": (
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        small_files.pptx([("Ducks first", "Say hello"), ("Geese second", "")]),
        "Geese second",
    ),
    "xlsx": (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        small_files.xlsx({"Birds": [["Name", "Count"], ["Duck", "180"]]}),
        "180",
    ),
    "html": ("text/html", small_files.HTML, "Ducks"),
    "eml": ("message/rfc822", small_files.EML, "The ducks are well"),
}


@pytest.mark.parametrize("engine", ["auto", "xberg", "fallback"])
def test_every_format_is_read_and_what_is_broken_is_refused(engine: Engine) -> None:
    """One process reads file after file; a broken one between them costs only itself."""
    requests = [
        ParseRequest(content, f"birds.{ending}", media_type, engine)
        for ending, (media_type, content, _) in WORDS.items()
    ]
    broken = [
        ParseRequest(content[: len(content) // 3], f"broken.{ending}", media_type, engine)
        for ending, (media_type, content, _) in WORDS.items()
        if ending not in ("html", "eml")
    ]
    bomb = ParseRequest(WORDS["docx"][1], "bomb.docx", WORDS["docx"][0], engine, max_unpacked_bytes=10)

    walls, *replies = run_worker([*broken, bomb, *requests])

    assert isinstance(walls, Walls)
    assert walls.memory_bytes == MEMORY_BYTES
    answers = [reply for reply in replies if not isinstance(reply, Begun)]
    assert len(answers) == len(broken) + 1 + len(requests)
    for refused in answers[: len(broken)]:
        assert isinstance(refused, Rejection)
        assert refused.code == "broken_document"
    too_large = answers[len(broken)]
    assert isinstance(too_large, Rejection)
    assert (too_large.code, "max_unpacked_bytes" in too_large.message) == ("parser_limit_exceeded", True)
    for (_, _, words), read in zip(WORDS.values(), answers[len(broken) + 1 :], strict=True):
        assert isinstance(read, Extraction), read
        assert words in "\n".join(read.texts)


def run_worker(requests: Iterable[ParseRequest]) -> list[Reply]:
    """Everything that a worker says to these requests, until it ends by itself."""
    command = [sys.executable, "-m", "ragstone.ingest.parse_worker", str(MEMORY_BYTES), str(os.getpid())]
    frames = b"".join(framed(msgspec.msgpack.encode(request)) for request in requests)
    done = subprocess.run(command, input=frames, capture_output=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return list(replies_in(done.stdout))


def framed(message: bytes) -> bytes:
    """A message with its length before it."""
    return LENGTH.pack(len(message)) + message


def replies_in(output: bytes) -> Iterable[Reply]:
    """The replies in a worker's output."""
    decoder = msgspec.msgpack.Decoder(Reply)
    at = 0
    while at < len(output):
        (size,) = LENGTH.unpack_from(output, at)
        at += LENGTH.size
        yield decoder.decode(output[at : at + size])
        at += size


def test_real_files_of_every_format_are_read(data_folder: Path) -> None:
    """The smallest file of each format gives text, from one process."""
    smallest = {
        folder.name: min(
            (path for path in folder.iterdir() if path.is_file()), key=lambda path: path.stat().st_size
        )
        for folder in sorted((data_folder / "files").iterdir())
        if folder.is_dir()
    }
    tessdata = ParsingLimits().find_tessdata()
    requests = [
        ParseRequest(content, path.name, sniff(content, path.name).media_type, tessdata=tessdata)
        for path in smallest.values()
        for content in [path.read_bytes()]
    ]

    answers = [reply for reply in run_worker(requests)[1:] if not isinstance(reply, Begun)]

    refused = {
        name: answer.message
        for name, answer in zip(smallest, answers, strict=True)
        if isinstance(answer, Rejection) and (name not in READ_BY_OCR or tessdata)
    }
    assert refused == {}
