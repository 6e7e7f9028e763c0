"""The attachments of an Outlook message (MSG); runs in the parser process.

The format is [MS-OXMSG]: an OLE file with a storage for each attachment and a stream for each property.
"""

from __future__ import annotations

import io
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from ragstone.ingest.extraction import Enclosure

if TYPE_CHECKING:
    from olefile import OleFileIO

_ATTACHMENT = "__attach_version1.0_#"
_MAX_DEPTH = 4
_CONTENT = "37010102"
_MESSAGE = "__substg1.0_3701000D"
_LONG_NAME, _SHORT_NAME, _SHOWN_NAME = "3707", "3704", "3001"
_SUBJECT, _BODY, _HTML, _SENDER, _SENDER_ADDRESS, _SHOWN_TO = "0037", "1000", "1013", "0C1A", "0C1F", "0E04"

Storage = tuple[str, ...]


def outlook_attachments(content: bytes) -> list[Enclosure]:
    """Files as they were attached; messages within as e-mail files of their own, their files in them."""
    import olefile

    with olefile.OleFileIO(io.BytesIO(content)) as file:
        return _Reader(file).attachments((), 0)


class _Reader:
    """One OLE file with the storages that it holds."""

    def __init__(self, file: OleFileIO) -> None:
        self._file = file
        self._entries = [tuple(entry) for entry in file.listdir(streams=True, storages=True)]

    def attachments(self, inside: Storage, depth: int) -> list[Enclosure]:
        """Those of the message at this place."""
        size = len(inside)
        places = {
            entry
            for entry in self._entries
            if len(entry) == size + 1 and entry[:size] == inside and entry[size].startswith(_ATTACHMENT)
        }
        found = [self._attachment(place, depth) for place in sorted(places)]
        return [part for part in found if part is not None]

    def _attachment(self, place: Storage, depth: int) -> Enclosure | None:
        names = (self._text(place, tag) for tag in (_LONG_NAME, _SHORT_NAME, _SHOWN_NAME))
        name = next((name for name in names if name), "unnamed")
        if self._file.exists([*place, _MESSAGE]):
            if depth >= _MAX_DEPTH:
                return None
            return Enclosure(f"{name}.eml", self._message((*place, _MESSAGE), depth + 1).as_bytes())
        content = self._bytes(place, _CONTENT)
        return None if content is None else Enclosure(name, content)

    def _message(self, place: Storage, depth: int) -> EmailMessage:
        message = EmailMessage()
        sender = self._text(place, _SENDER) or self._text(place, _SENDER_ADDRESS)
        for header, value in (
            ("Subject", self._text(place, _SUBJECT)),
            ("From", sender),
            ("To", self._text(place, _SHOWN_TO)),
        ):
            if value:
                message[header] = " ".join(value.split())
        html = self._bytes(place, f"{_HTML}0102")
        if body := self._text(place, _BODY):
            message.set_content(body)
        elif html:
            message.set_content(html.decode("utf-8", "replace"), subtype="html")
        else:
            message.set_content("")
        for part in self.attachments(place, depth):
            kind: dict[str, Any] = {"maintype": "application", "subtype": "octet-stream"}
            message.add_attachment(part.content, filename=part.name, **kind)
        return message

    def _text(self, place: Storage, tag: str) -> str:
        """A property that is text: UTF-16, or Windows' code page in old files."""
        if (wide := self._bytes(place, f"{tag}001F")) is not None:
            return wide.decode("utf-16-le", "replace").strip("\x00")
        return (self._bytes(place, f"{tag}001E") or b"").decode("cp1252", "replace").strip("\x00")

    def _bytes(self, place: Storage, tag: str) -> bytes | None:
        path = [*place, f"__substg1.0_{tag}"]
        if not self._file.exists(path):
            return None
        return bytes(self._file.openstream(path).read())
