"""What is taken out of messages, and under which names."""

from __future__ import annotations

import io
from email.message import EmailMessage

import pytest

from ragstone.errors import BrokenDocument
from ragstone.ingest.attachments import MAX_DEPTH, read_attachments
from ragstone.ingest.extraction import Enclosure, ParseRequest
from ragstone.ingest.mail_parts import enclosed_in, named_apart, parse_mail, without_inner_messages
from ragstone.ingest.normalise import decode
from ragstone.ingest.outlook import _Reader
from ragstone.types import ParsedDocument, RawFile


def _message(*parts: tuple[str, bytes]) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Ponds"
    message.set_content("The body.")
    for name, content in parts:
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return message


def _enclosed(content: bytes) -> list[Enclosure]:
    return list(enclosed_in(ParseRequest(content, "a.eml", "message/rfc822"))[0])


def test_names_are_told_apart_and_are_no_paths() -> None:
    """Two of one name, and one that climbs out of folders."""
    found = [
        Enclosure("a.txt", b""),
        Enclosure("a.txt", b""),
        Enclosure("../../etc/x", b""),
        Enclosure("", b""),
    ]

    assert [part.name for part in named_apart(found)] == ["a.txt", "a (2).txt", ".._.._etc_x", "unnamed"]


def test_bytes_come_as_they_were_and_text_in_its_encoding() -> None:
    """A picture stays what it was; Russian text in KOI8-R reads as Russian."""
    message = _message(("dot.png", b"\x89PNG\r\n\x1a\n\x00"))
    message.add_attachment("Утки любят пруды.", charset="koi8-r", filename="ducks.txt")

    picture, text = _enclosed(message.as_bytes())

    assert picture == Enclosure("dot.png", b"\x89PNG\r\n\x1a\n\x00")
    assert decode(text.content).text.strip() == "Утки любят пруды."


def test_an_inner_message_is_one_file_and_leaves_the_outer_text() -> None:
    """Its attachments are its own; parsers see the outer message without it."""
    outer = _message(("a.txt", b"a"))
    outer.add_attachment(_message(("b.txt", b"b")))

    found = _enclosed(outer.as_bytes())
    alone = parse_mail(without_inner_messages(outer.as_bytes()))

    assert [part.name for part in found] == ["a.txt", "Ponds.eml"]
    assert [part.name for part in _enclosed(found[1].content)] == ["b.txt"]
    assert [part.get_content_type() for part in alone.walk()].count("message/rfc822") == 0
    assert "The body." in alone.as_string()


def test_a_message_nested_without_end_is_no_failure() -> None:
    """A thousand parts within parts cost the attachments, not the message."""
    lines = [f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}" for n in range(1000)]

    enclosed, warnings = enclosed_in(ParseRequest("\n".join(lines).encode(), "a.eml", "message/rfc822"))

    assert enclosed == ()
    assert len(warnings) <= 1


class _Storage:
    """An OLE file as far as it is asked: streams by path."""

    def __init__(self, streams: dict[str, bytes]) -> None:
        self._streams = {tuple(path.split("/")): content for path, content in streams.items()}

    def listdir(self, *, streams: bool, storages: bool) -> list[list[str]]:
        places = {path[:size] for path in self._streams for size in range(1, len(path) + 1)}
        return [list(place) for place in sorted(places)]

    def exists(self, path: list[str]) -> bool:
        return any(known[: len(path)] == tuple(path) for known in self._streams)

    def openstream(self, path: list[str]) -> io.BytesIO:
        return io.BytesIO(self._streams[tuple(path)])


def test_outlook_messages_within_become_mail_with_their_files() -> None:
    """Names in UTF-16 or a code page, the long one first; a message within is an e-mail file."""
    inner = "__attach_version1.0_#00000001/__substg1.0_3701000D"
    storage = _Storage(
        {
            "__attach_version1.0_#00000000/__substg1.0_37010102": b"plain",
            "__attach_version1.0_#00000000/__substg1.0_3704001E": b"SHORT~1.TXT",
            "__attach_version1.0_#00000000/__substg1.0_3707001F": "Größe.txt".encode("utf-16-le"),
            "__attach_version1.0_#00000001/__substg1.0_3001001E": b"Inner",
            f"{inner}/__substg1.0_0037001F": "Herons\nand more".encode("utf-16-le"),
            f"{inner}/__substg1.0_1000001F": "Herons wade.".encode("utf-16-le"),
            f"{inner}/__attach_version1.0_#00000000/__substg1.0_37010102": b"deep",
            f"{inner}/__attach_version1.0_#00000000/__substg1.0_3707001F": "deep.txt".encode("utf-16-le"),
        }
    )

    plain, message = _Reader(storage).attachments((), 0)

    assert plain == Enclosure("Größe.txt", b"plain")
    assert message.name == "Inner.eml"
    read = parse_mail(message.content)
    assert read["Subject"] == "Herons and more"
    body = read.get_body(("plain",))
    assert body is not None and "Herons wade." in body.get_content()
    assert _enclosed(message.content) == [Enclosure("deep.txt", b"deep")]


@pytest.mark.anyio
async def test_depth_and_number_are_bounded_and_each_failure_is_named() -> None:
    """Files that hold themselves end; what was left out is a warning."""

    async def parse(file: RawFile) -> ParsedDocument:
        if file.name.endswith("bad"):
            raise BrokenDocument(f"{file.name!r} is bad.", name=file.name)
        return ParsedDocument(
            "text", "message/rfc822", enclosed=(RawFile(b"", "in.eml"), RawFile(b"", "bad"))
        )

    whole = ParsedDocument("text", "message/rfc822", enclosed=(RawFile(b"", "in.eml"),))

    deep = await read_attachments(whole, parse, limit=100)
    few = await read_attachments(whole, parse, limit=2)

    assert [part.file.name for part in deep.attachments] == [
        "/".join(["in.eml"] * depth) for depth in range(1, MAX_DEPTH + 1)
    ]
    assert sum("is bad" in warning for warning in deep.warnings) == MAX_DEPTH - 1
    assert any("lie deeper than 3" in warning for warning in deep.warnings)
    assert len(few.attachments) == 2
    assert "ingest.max_attachments allows 2" in few.warnings[-1]
