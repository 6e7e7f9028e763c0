"""The files inside an e-mail, as they were put in; runs in the parser process."""

from __future__ import annotations

import email
import email.policy
import mimetypes
from collections.abc import Iterator, Sequence
from email.message import EmailMessage, Message
from pathlib import PurePath
from typing import cast

from ragstone.ingest.extraction import Enclosure, ParseRequest
from ragstone.ingest.normalise import decode

MAIL = "message/rfc822"
OUTLOOK = "application/vnd.ms-outlook"
_MAX_NAME_CHARS = 200
_MAX_PART_DEPTH = 50
_POLICY = email.policy.default


def enclosed_in(request: ParseRequest) -> tuple[tuple[Enclosure, ...], tuple[str, ...]]:
    """The attachments of a message, inner messages whole, and what went wrong. Never fails."""
    try:
        if request.media_type == OUTLOOK:
            from ragstone.ingest.outlook import outlook_attachments

            found = outlook_attachments(request.content)
        else:
            found = list(_attachments(parse_mail(request.content)))
    except Exception as error:  # noqa: BLE001 - whatever is wrong inside, the message itself stays readable
        return (), (f"Its attachments were not taken out: {type(error).__name__}: {error}.",)
    return tuple(named_apart(found)), ()


def parse_mail(content: bytes) -> EmailMessage:
    """The message; the standard library reads bytes as ASCII, so wide encodings are narrowed first."""
    decoded = decode(content)
    is_wide = decoded.encoding.startswith(("utf-16", "utf-32"))
    narrow = decoded.text.encode("utf-8", "replace") if is_wide else content
    return email.message_from_bytes(narrow, policy=_POLICY)


def without_inner_messages(content: bytes) -> bytes:
    """The message alone: parsers add the text of messages in it, which are documents of their own."""
    message = parse_mail(content)
    if not any(part.get_content_type() == MAIL for part in message.walk()):
        return content
    _drop_inner(message, 0)
    return message.as_bytes()


def _drop_inner(part: Message, depth: int) -> None:
    parts = part.get_payload()
    if isinstance(parts, list) and depth < _MAX_PART_DEPTH:
        parts[:] = [inner for inner in parts if not _is_inner(inner)]
        for inner in parts:
            _drop_inner(cast("Message", inner), depth + 1)


def _is_inner(part: object) -> bool:
    return isinstance(part, Message) and part.get_content_type() == MAIL


def named_apart(found: Sequence[Enclosure]) -> Iterator[Enclosure]:
    """Each under a name of its own that is no path: the second `plan.pdf` is `plan (2).pdf`."""
    taken: set[str] = set()
    for part in found:
        flat = part.name.replace("/", "_").replace("\\", "_").replace("\x00", "")
        words = " ".join(flat.split())[-_MAX_NAME_CHARS:] or "unnamed"
        name, number = PurePath(words), 1
        while str(name) in taken:
            number += 1
            name = PurePath(f"{PurePath(words).stem} ({number}){PurePath(words).suffix}")
        taken.add(str(name))
        yield Enclosure(str(name), part.content)


def _attachments(part: Message, depth: int = 0) -> Iterator[Enclosure]:
    """Parts that are files; what lies in an inner message is that one's."""
    if part.get_content_type() == MAIL and depth:
        yield _inner_message(part)
    elif part.is_multipart():
        if depth < _MAX_PART_DEPTH:
            for inner in part.get_payload():
                yield from _attachments(cast("Message", inner), depth + 1)
    elif part.get_filename() or part.get_content_disposition() == "attachment":
        yield Enclosure(_name(part), _content(part))


def _inner_message(part: Message) -> Enclosure:
    payload = part.get_payload()
    inner = payload[0] if isinstance(payload, list) and payload else None
    if not isinstance(inner, Message):
        return Enclosure(_name(part), _content(part))
    title = part.get_filename() or str(inner["Subject"] or "message")
    name = title if title.lower().endswith(".eml") else f"{title}.eml"
    return Enclosure(name, inner.as_bytes())


def _name(part: Message) -> str:
    """With a suffix even where the sender gave none: among texts it says who reads them."""
    name = part.get_filename() or "unnamed"
    if PurePath(name).suffix:
        return name
    return name + (mimetypes.guess_extension(part.get_content_type()) or "")


def _content(part: Message) -> bytes:
    """The bytes; of text in a declared encoding UTF-8 with a mark, as the declaration stays behind."""
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    charset = part.get_content_charset()
    if part.get_content_maintype() != "text" or charset in (None, "utf-8", "us-ascii"):
        return content
    try:
        return content.decode(str(charset)).encode("utf-8-sig")
    except (LookupError, ValueError):
        return content
