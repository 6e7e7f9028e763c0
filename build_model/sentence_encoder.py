"""The graph of all-MiniLM-L6-v2: BERT encoder, mean pooling, unit length.

Written in onnxruntime's fused operators (contrib operators, com.microsoft) instead of hoping that the
optimiser finds them: it loads faster and the result does not hang on a pattern matcher.

Inputs `input_ids` and `attention_mask`, both (batch, sequence) int32; output `embedding`,
(batch, 384) float32 unit rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from build_model.onnx_file import FUSED, GraphWriter, tensor_type

LAYERS, HEADS, DIM = 6, 12, 384
EPSILON = 1e-12
"""BERT's layer_norm_eps."""

Weights = Mapping[str, npt.NDArray[np.generic]]


def write_sentence_encoder(weights: Weights) -> bytes:
    """The ONNX file for weights under BERT's published names."""
    graph = GraphWriter()
    hidden = _embed_tokens(graph, weights)
    for layer in range(LAYERS):
        hidden = _encoder_layer(graph, weights, f"encoder.layer.{layer}.", hidden)
    _pool(graph, hidden)
    inputs = [tensor_type(name, np.int32, ("batch", "sequence")) for name in ("input_ids", "attention_mask")]
    return graph.to_bytes(inputs, [tensor_type("embedding", np.float32, ("batch", DIM))])


def _embed_tokens(graph: GraphWriter, weights: Weights) -> str:
    # Every text is one segment: its segment vector is a constant and joins the position vectors.
    positions = weights["embeddings.position_embeddings.weight"]
    segment = weights["embeddings.token_type_embeddings.weight"][0]
    inputs = [
        "input_ids",
        "",
        graph.weight("word_embeddings", weights["embeddings.word_embeddings.weight"]),
        graph.weight("position_embeddings", np.add(positions, segment, dtype=np.float32)),
        "",
        graph.weight("embeddings.gamma", weights["embeddings.LayerNorm.weight"]),
        graph.weight("embeddings.beta", weights["embeddings.LayerNorm.bias"]),
    ]
    return graph.node(
        "EmbedLayerNormalization", inputs, "embedded", FUSED, {"epsilon": EPSILON}, unread=["lengths"]
    )


def _encoder_layer(graph: GraphWriter, weights: Weights, prefix: str, hidden: str) -> str:
    projections = [prefix + f"attention.self.{part}" for part in ("query", "key", "value")]
    inputs = [
        hidden,
        graph.weight(prefix + "qkv", np.concatenate([weights[p + ".weight"].T for p in projections], 1)),
        graph.weight(prefix + "qkv.bias", np.concatenate([weights[p + ".bias"] for p in projections])),
        "attention_mask",
    ]
    context = graph.node("Attention", inputs, prefix + "context", FUSED, {"num_heads": HEADS})
    attended = _project_and_add(graph, weights, prefix + "attention.output", context, hidden)
    widened = _multiply(graph, weights, prefix + "intermediate.dense", attended)
    bias = graph.weight(prefix + "intermediate.bias", weights[prefix + "intermediate.dense.bias"])
    active = graph.node("BiasGelu", [widened, bias], prefix + "active", FUSED)
    return _project_and_add(graph, weights, prefix + "output", active, attended)


def _project_and_add(graph: GraphWriter, weights: Weights, name: str, hidden: str, residual: str) -> str:
    inputs = [
        _multiply(graph, weights, name + ".dense", hidden),
        residual,
        graph.weight(name + ".gamma", weights[name + ".LayerNorm.weight"]),
        graph.weight(name + ".beta", weights[name + ".LayerNorm.bias"]),
        graph.weight(name + ".bias", weights[name + ".dense.bias"]),
    ]
    return graph.node("SkipLayerNormalization", inputs, name + ".normalised", FUSED, {"epsilon": EPSILON})


def _multiply(graph: GraphWriter, weights: Weights, name: str, hidden: str) -> str:
    # safetensors keeps torch's (out, in); a matrix product from the right wants (in, out).
    return graph.node("MatMul", [hidden, graph.weight(name, weights[name + ".weight"].T)], name + ".product")


def _pool(graph: GraphWriter, hidden: str) -> str:
    axis = graph.weight("axis", np.array([1], np.int64))
    mask = graph.node("Cast", ["attention_mask"], "mask", attributes={"to": 1})
    row = graph.node("Unsqueeze", [mask, axis], "mask_row")
    total = graph.node("MatMul", [row, hidden], "total")
    flat = graph.node("Squeeze", [total, axis], "sentence")
    # The mean's divisor vanishes in the normalisation: the sum has the same direction.
    return graph.node("LpNormalization", [flat], "embedding", attributes={"axis": -1, "p": 2})
