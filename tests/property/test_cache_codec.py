"""What the envelope of a cached entry promises, for any bytes."""

from __future__ import annotations

import struct
import zlib

import lz4.block
from hypothesis import given, strategies as st

from ragstone.cache.codec import COMPRESS_FROM_BYTES, FORMAT, MAX_COMPRESSED_PAYLOAD_BYTES, unwrap, wrap

KEYS = st.text(max_size=20)
SHORT = st.binary(max_size=COMPRESS_FROM_BYTES * 2)
REPETITIVE = st.builds(
    lambda part, times: part * times, st.binary(min_size=1, max_size=50), st.integers(1, 400)
)
PAYLOADS = SHORT | REPETITIVE


def sealed(flags: int, body: bytes, *, version: int = FORMAT, magic: bytes = b"RC") -> bytes:
    """An envelope whose checksum is right, whatever is in it."""
    checksum = zlib.crc32(body, zlib.crc32(bytes((version, flags))))
    return struct.pack("<2sBBI", magic, version, flags, checksum) + body


@given(PAYLOADS, KEYS)
def test_what_goes_in_comes_out(payload: bytes, key: str) -> None:
    """Any payload under any key; a compressed one is never longer than the plain one."""
    data = wrap(payload, key)

    assert unwrap(data, key) == payload
    assert len(data) <= len(payload) + 8


@given(PAYLOADS, st.data())
def test_a_changed_byte_is_never_another_payload(payload: bytes, draw: st.DataObject) -> None:
    """Whichever byte is changed, to whatever value: no payload, or the same one."""
    data = bytearray(wrap(payload, "answer:1"))
    position = draw.draw(st.integers(0, len(data) - 1))
    data[position] ^= draw.draw(st.integers(1, 255))

    assert unwrap(bytes(data), "answer:1") in (None, payload)


@given(PAYLOADS, st.data())
def test_a_cut_entry_is_none(payload: bytes, draw: st.DataObject) -> None:
    """Cut off anywhere."""
    data = wrap(payload, "answer:1")

    assert unwrap(data[: draw.draw(st.integers(0, len(data) - 1))], "answer:1") is None


@given(PAYLOADS, KEYS, KEYS)
def test_an_entry_belongs_to_its_key(payload: bytes, key: str, other: str) -> None:
    """What lies under another key than it was kept under is no entry."""
    found = unwrap(wrap(payload, key), other)

    assert found == (payload if key == other else None)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_none(data: bytes) -> None:
    """Bytes that nobody wrapped."""
    assert unwrap(data) is None


@given(st.integers(0, 255), st.binary(max_size=300))
def test_a_true_checksum_does_not_help_garbage(flags: int, body: bytes) -> None:
    """Any flags over any bytes: at worst a payload, never an exception."""
    found = unwrap(sealed(flags, body))

    assert found is None or flags in (0, 1)


def test_other_formats_and_magics_are_none() -> None:
    """An envelope of a later version, or of somebody else, with a right checksum."""
    assert unwrap(sealed(0, b"payload")) == b"payload"
    assert unwrap(sealed(0, b"payload", version=FORMAT + 1)) is None
    assert unwrap(sealed(0, b"payload", magic=b"XX")) is None
    assert unwrap(sealed(2, b"payload")) is None


def test_a_bomb_is_none() -> None:
    """A block that unfolds to more than any payload may have, and a length that no block of its size has."""
    bomb = lz4.block.compress(bytes(MAX_COMPRESSED_PAYLOAD_BYTES + 1))
    liar = struct.pack("<I", MAX_COMPRESSED_PAYLOAD_BYTES) + b"\x10a"

    assert unwrap(sealed(1, bomb)) is None
    assert unwrap(sealed(1, liar)) is None
