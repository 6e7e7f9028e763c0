"""The envelope of an entry outside the process: recognisable, checked, compressed where it pays (pure).

    magic "RC" | format 1 byte | flags 1 byte | crc32 4 bytes, little endian | body

The checksum covers key, format, flags and body. It is CRC-32: damage is what it has to find, not an attacker,
who could write to Redis or the disk anyway. Every burst of up to 32 bits is found for certain, which no
truncated hash promises, in a quarter of BLAKE2b's time (benchmarks/results/cache_codec.json). With the
key in it, an entry that a damaged file hands out under another key is no entry.

A body is MessagePack, or from `COMPRESS_FROM_BYTES` on an LZ4 block behind its length, where that is shorter.
A block and not a frame: a frame is 11 to 17 bytes longer and twice as slow to open when it is small, for a
header that the envelope has already.
"""

from __future__ import annotations

import struct
import zlib

import lz4.block

MAGIC = b"RC"
FORMAT = 1
COMPRESS_FROM_BYTES = 384
"""Below, a block saves less than a fifth of a text; it costs 1.5 to 2 us each way on 21 November 2026."""
MAX_COMPRESSED_PAYLOAD_BYTES = 64 * 2**20
"""Larger payloads are kept as they are, so that no envelope unfolds to more."""

_HEADER = struct.Struct("<2sBBI")
_LENGTH = struct.Struct("<I")
_PLAIN, _LZ4 = 0, 1
_MAX_LZ4_RATIO = 256
"""A byte of an LZ4 block stands for at most 255 bytes."""


def wrap(payload: bytes, key: str = "") -> bytes:
    """The payload in an envelope that only `unwrap` with the same key opens."""
    flags, body = _PLAIN, payload
    if COMPRESS_FROM_BYTES <= len(payload) <= MAX_COMPRESSED_PAYLOAD_BYTES:
        block = lz4.block.compress(payload)  # its first four bytes are the length of the payload
        if len(block) < len(payload):
            flags, body = _LZ4, block
    return _HEADER.pack(MAGIC, FORMAT, flags, _checksum(flags, body, key)) + body


def unwrap(data: bytes, key: str = "") -> bytes | None:
    """The payload; None when the envelope is damaged, cut off, foreign, of another format or a bomb."""
    if len(data) < _HEADER.size:
        return None
    magic, version, flags, checksum = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if (magic, version) != (MAGIC, FORMAT) or checksum != _checksum(flags, body, key):
        return None
    if flags == _PLAIN:
        return body
    return _decompressed(body) if flags == _LZ4 else None


def _checksum(flags: int, body: bytes, key: str) -> int:
    return zlib.crc32(body, zlib.crc32(bytes((FORMAT, flags)) + key.encode("utf-8", "surrogatepass")))


def _decompressed(block: bytes) -> bytes | None:
    if len(block) < _LENGTH.size:
        return None
    size = _LENGTH.unpack_from(block)[0]
    # Looked at first: the length is allocated before a byte of it is known to be there.
    if size > min(MAX_COMPRESSED_PAYLOAD_BYTES, len(block) * _MAX_LZ4_RATIO):
        return None
    try:
        return bytes(lz4.block.decompress(block))
    except (lz4.block.LZ4BlockError, ValueError, MemoryError):
        return None
