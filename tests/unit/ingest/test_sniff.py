"""A file is what its bytes say; among texts, what its name says."""

from __future__ import annotations

import pytest

from ragstone.errors import EmptyDocument, InvalidFileType
from ragstone.ingest.sniff import sniff

_ODT = b"PK\x03\x04" + bytes(22) + b"\x08\x00\x00\x00mimetypeapplication/vnd.oasis.opendocument.textPK"


@pytest.mark.parametrize(
    ("content", "name", "media_type", "reader"),
    [
        (b"hello", "a.txt", "text/plain", "text"),
        (b"hello", "README", "text/plain", "text"),
        (b"hello", "notes.xyz", "text/plain", "text"),
        (b"# hi", "a.MD", "text/markdown", "markdown"),
        (b"%PDF-1.7 ...", "a.txt", "application/pdf", "sandbox"),
        (b"junk\n%PDF-1.7 ...", "a.pdf", "application/pdf", "sandbox"),
        (b"<!DOCTYPE html><p>", "page", "text/html", "sandbox"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><a/>", "feed", "application/xml", "text"),
        (b"Received: from a\r\n", "mail", "message/rfc822", "sandbox"),
        ("häh".encode("utf-16"), "a.txt", "text/plain", "text"),
        ("plain".encode("utf-16-le"), "a.txt", "text/plain", "text"),
        (_ODT, "renamed.zip", "application/vnd.oasis.opendocument.text", "sandbox"),
        (b"BM is a text", "a.txt", "text/plain", "text"),
    ],
)
def test_the_format_is_found(content: bytes, name: str, media_type: str, reader: str) -> None:
    """Media type and reader."""
    found = sniff(content, name)

    assert (found.media_type, found.reader) == (media_type, reader)


@pytest.mark.parametrize(("name", "language"), [("a.py", "python"), ("b.RS", "rust"), ("c.css", "css")])
def test_source_code_carries_its_language(name: str, language: str) -> None:
    """By the extension."""
    assert sniff(b"x", name).language == language


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (b"MZ\x90\x00" + bytes(200), "invoice.pdf", "invoice.pdf"),
        (b"PK\x03\x04" + bytes(60), "archive.zip", "ZIP archive"),
        (b"\x1f\x8b\x08\x00" + bytes(60), "a.gz", "GZIP"),
        (bytes(range(256)) * 4, "blob", "unknown binary"),
    ],
)
def test_what_nothing_reads_is_named_with_what_is_read(content: bytes, name: str, kind: str) -> None:
    """The message says what the file is and what would do instead."""
    with pytest.raises(InvalidFileType, match=kind) as refused:
        sniff(content, name)

    assert "Markdown" in refused.value.message


def test_no_bytes_are_an_empty_document() -> None:
    """Before any guess at a type."""
    with pytest.raises(EmptyDocument, match="0 bytes"):
        sniff(b"", "a.pdf")
