"""The part of the protocol buffers wire format that an ONNX file needs.

A message is the concatenation of its fields; https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import struct

VARINT, LENGTH_DELIMITED, FIXED32 = 0, 2, 5


def varint(value: int) -> bytes:
    """`value` in base 128, least significant group first; `value` is not negative."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def integer(field: int, value: int) -> bytes:
    """An int32, int64 or enum field; negative numbers as ten bytes of two's complement."""
    return varint(field << 3 | VARINT) + varint(value & 0xFFFF_FFFF_FFFF_FFFF)


def real(field: int, value: float) -> bytes:
    """A float field."""
    return varint(field << 3 | FIXED32) + struct.pack("<f", value)


def message(field: int, *parts: bytes) -> bytes:
    """A bytes or embedded message field whose content is `parts`, one after the other."""
    return varint(field << 3 | LENGTH_DELIMITED) + varint(sum(map(len, parts))) + b"".join(parts)


def string(field: int, value: str) -> bytes:
    """A string field."""
    return message(field, value.encode())
