"""Originals by their hash: kept once, whole, and gone when removed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ragstone.errors import PathNotFound, StoreFailed
from ragstone.store.blobs import Blobs

CONTENT = b"the original"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    """Two puts are one file, named by its hash, with nothing left over beside it."""
    blobs = Blobs(tmp_path)

    assert blobs.put(CONTENT) == blobs.put(CONTENT) == SHA256

    assert blobs.get(SHA256) == CONTENT
    assert list(blobs.names()) == [SHA256]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [SHA256]


def test_a_truncated_original_is_written_again(tmp_path: Path) -> None:
    """A file that a crash left short is no reason to believe the bytes are there."""
    blobs = Blobs(tmp_path)
    blobs.put(CONTENT)
    blobs.path(SHA256).write_bytes(CONTENT[:3])
    assert not blobs.is_whole(SHA256)

    blobs.put(CONTENT)

    assert blobs.is_whole(SHA256)


def test_damage_is_noticed(tmp_path: Path) -> None:
    """Bytes that no longer have their hash are not whole; neither are missing ones."""
    blobs = Blobs(tmp_path)
    blobs.put(CONTENT)
    blobs.path(SHA256).write_bytes(CONTENT[::-1])

    assert not blobs.is_whole(SHA256)
    assert not blobs.is_whole("0" * 64)


def test_removing_is_idempotent(tmp_path: Path) -> None:
    """What is gone is gone; reading it is a failure that names the hash."""
    blobs = Blobs(tmp_path)
    blobs.put(CONTENT)

    blobs.remove(SHA256)
    blobs.remove(SHA256)

    assert list(blobs.names()) == []
    with pytest.raises(PathNotFound, match=SHA256):
        blobs.get(SHA256)


def test_unfinished_files_are_not_counted(tmp_path: Path) -> None:
    """What a crash left behind in the middle of a put is no original."""
    blobs = Blobs(tmp_path)
    blobs.put(CONTENT)

    (blobs.path(SHA256).parent / ".new-crashed").write_bytes(b"half")

    assert list(blobs.names()) == [SHA256]


def test_a_disk_that_refuses_is_a_store_failure(tmp_path: Path) -> None:
    """The folder is named in the error."""
    (tmp_path / "blobs").write_bytes(b"a file stands here")

    with pytest.raises(StoreFailed, match="blobs"):
        Blobs(tmp_path / "blobs").put(CONTENT)
