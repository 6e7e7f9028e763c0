"""Reads a safetensors file: 8 bytes of header length, a JSON header, raw little-endian tensors.

https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
from typing import TypedDict

import numpy as np
import numpy.typing as npt

DTYPES: dict[str, np.dtype[np.generic]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}


class Entry(TypedDict):
    """A tensor's line in the header; offsets count from the end of the header."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def read_tensors(content: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Every tensor by name."""
    start = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Entry] = json.loads(content[8:start])
    header.pop("__metadata__", None)
    body = content[start:]
    return {name: _tensor(body, entry) for name, entry in header.items()}


def _tensor(body: bytes, entry: Entry) -> npt.NDArray[np.generic]:
    first, last = entry["data_offsets"]
    return np.frombuffer(body[first:last], DTYPES[entry["dtype"]]).reshape(entry["shape"])
