"""Writes ONNX messages; field numbers are those of onnx.proto3 (IR version 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from build_model.protobuf import integer, message, real, string

IR_VERSION = 8
STANDARD, STANDARD_OPSET = "", 17
FUSED, FUSED_OPSET = "com.microsoft", 1
ELEMENT_TYPES = {np.dtype(np.float32): 1, np.dtype(np.int32): 6, np.dtype(np.int64): 7}
ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_INTS = 1, 2, 7

Attribute = int | float | Sequence[int]


class GraphWriter:
    """Collects nodes and weights in execution order, then writes one file."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._weights: list[bytes] = []

    def weight(self, name: str, array: npt.NDArray[np.generic]) -> str:
        """Store `array` under `name`; returns the name for use as an input."""
        dims = b"".join(integer(1, size) for size in array.shape)
        element = integer(2, ELEMENT_TYPES[array.dtype])
        content = message(9, np.ascontiguousarray(array).tobytes())
        self._weights.append(message(5, dims, element, string(8, name), content))
        return name

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        output: str,
        domain: str = STANDARD,
        attributes: Mapping[str, Attribute] | None = None,
        unread: Sequence[str] = (),
    ) -> str:
        """Append one operator; returns `output`.

        An empty input name leaves an optional input out; `unread` names further outputs that the
        operator's schema demands.
        """
        fields = [string(1, name) for name in inputs] + [string(2, name) for name in (output, *unread)]
        fields += [string(3, output), string(4, operator), string(7, domain)]
        fields += [message(5, _attribute(*item)) for item in (attributes or {}).items()]
        self._nodes.append(message(1, *fields))
        return output

    def to_bytes(self, inputs: Sequence[bytes], outputs: Sequence[bytes]) -> bytes:
        """The finished model with the given inputs and outputs (see `tensor_type`)."""
        ends = [message(11, tensor) for tensor in inputs] + [message(12, tensor) for tensor in outputs]
        graph = message(7, *self._nodes, string(2, "sentence_encoder"), *self._weights, *ends)
        opsets = message(8, string(1, STANDARD), integer(2, STANDARD_OPSET))
        opsets += message(8, string(1, FUSED), integer(2, FUSED_OPSET))
        return integer(1, IR_VERSION) + string(2, "ragstone") + graph + opsets


def tensor_type(name: str, dtype: npt.DTypeLike, shape: Sequence[str | int]) -> bytes:
    """A graph input or output; a string in `shape` names a dimension that varies."""
    dims = [message(1, string(2, d) if isinstance(d, str) else integer(1, d)) for d in shape]
    tensor = message(1, integer(1, ELEMENT_TYPES[np.dtype(dtype)]), message(2, *dims))
    return string(1, name) + message(2, tensor)


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, float):
        return string(1, name) + real(2, value) + integer(20, ATTRIBUTE_FLOAT)
    if isinstance(value, int):
        return string(1, name) + integer(3, value) + integer(20, ATTRIBUTE_INT)
    return string(1, name) + b"".join(integer(8, v) for v in value) + integer(20, ATTRIBUTE_INTS)
