"""How parsers refuse a document, in one wording, and the checks made before any parser runs."""

from __future__ import annotations

import io
import zipfile

from ragstone.errors import (
    BrokenDocument,
    DocumentRejected,
    EmptyDocument,
    EncryptedDocument,
    InvalidFileType,
    ParserLimitExceeded,
)
from ragstone.ingest.extraction import ParseRequest, Rejection

_MIB = 2**20
_MAX_ENTRIES = 10_000
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LOCKED_STREAMS = tuple(
    name.encode("utf-16-le") for name in ("EncryptedPackage", "EncryptedSummary", "DRMContent")
)
"""Streams that Office puts into an OLE file only when the text needs a password or a rights server."""
_CLASS_BY_CODE: dict[str, type[DocumentRejected]] = {
    cls.code: cls
    for cls in (
        BrokenDocument,
        DocumentRejected,
        EmptyDocument,
        EncryptedDocument,
        InvalidFileType,
        ParserLimitExceeded,
    )
}


def encrypted(name: str) -> EncryptedDocument:
    """The document needs a password."""
    return EncryptedDocument(
        f"{name!r} is encrypted; remove its password (save a copy without protection) and add it again.",
        name=name,
    )


def broken(name: str, why: str) -> BrokenDocument:
    """The bytes are damaged or not what they say they are."""
    return BrokenDocument(f"{name!r} cannot be read: {why}. Check that it opens elsewhere.", name=name)


def over_limit(name: str, what: str, setting: str) -> ParserLimitExceeded:
    """Parsing ran into a wall; `setting` moves it."""
    return ParserLimitExceeded(f"{name!r} {what}; {setting} sets the limit.", name=name, setting=setting)


def rejected(rejection: Rejection, name: str) -> DocumentRejected:
    """The error that the parser process put into words."""
    return _CLASS_BY_CODE.get(rejection.code, DocumentRejected)(rejection.message, name=name)


def check_before_parsing(request: ParseRequest) -> None:
    """Refuse by the container alone what no parser should be given.

    Raises:
        EncryptedDocument: an Office file whose streams are locked.
        ParserLimitExceeded: a ZIP-based file that would unpack to more than the limit (a ZIP bomb).
    """
    content = request.content
    if content.startswith(_OLE_MAGIC) and any(name in content for name in _LOCKED_STREAMS):
        raise encrypted(request.name)
    if content.startswith(b"PK\x03\x04"):
        _check_unpacked_size(request)


def _check_unpacked_size(request: ParseRequest) -> None:
    """By the sizes that the archive declares; the memory wall is for archives that lie."""
    try:
        with zipfile.ZipFile(io.BytesIO(request.content)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        return  # damaged: the parser says how
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > request.max_unpacked_bytes:
        what = (
            f"would unpack to {unpacked // _MIB:,} MiB from {len(request.content) / _MIB:,.1f} MiB, "
            f"over the limit of {request.max_unpacked_bytes // _MIB:,} MiB"
        )
        raise over_limit(request.name, what, "ingest.max_unpacked_bytes")
    if len(entries) > _MAX_ENTRIES:
        raise ParserLimitExceeded(f"{request.name!r} holds {len(entries):,} files; at most {_MAX_ENTRIES:,}.")
