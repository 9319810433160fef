"""Damaged ONNX files: whatever is in them, loading gives a model or a GraphFlowError.

    python -m tests.io.onnx.fuzz --count 20000 --seed 0

changes small models, bit by bit, in pieces, and field by field, and loads what comes of it.
"""

from __future__ import annotations

import random
import sys

import onnx
from onnx import parser

from graphflow.io.onnx import load
from tests.io import fuzzing

EXTREMES = (0, 1, -1, 2, 7, -(2**31), 2**31, 2**40, -(2**63), 2**63 - 1)

TEXTS = (
    """<ir_version: 10, opset_import: ["": 22]> net (float[n, 4] x) => (float[n, 2] y)
    <float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float[2] b = {0.5, 1.5}> {
      h = Gemm <alpha: float = 0.5> (x, w, b)
      r = Relu (h)
      y = Softmax <axis: int = 1> (r)
    }""",
    """<ir_version: 10, opset_import: ["": 22]> image (float[1, 2, 5, 5] x) => (float[1, 3, 2, 2] y)
    <float[3, 2, 1, 1] w = {1, 2, 3, 4, 5, 6}, int64[4] s = {1, 3, 5, 5}> {
      c = Conv <strides: ints = [1, 1], pads: ints = [0, 0, 0, 0]> (x, w)
      r = Reshape (c, s)
      y = MaxPool <kernel_shape: ints = [3, 3], strides: ints = [2, 2]> (r)
    }""",
    """<ir_version: 10, opset_import: ["": 22]> loops (float[3] x, bool go) => (float[3] y, float[4, 3] z)
    {
      y0 = If (go) <then_branch: graph = t () => (float[3] a) {a = Exp(x)},
        else_branch: graph = e () => (float[3] b) {b = Neg(x)}>
      four = Constant <value_int: int = 4> ()
      y, z = Loop (four, "", y0) <body: graph =
        l (int64 i, bool c, float[3] s) => (bool d, float[3] t, float[3] u)
        {d = Identity(c) t = Add(s, x) u = Mul(t, t)}>
    }""",
    """<ir_version: 10, opset_import: ["": 22, "me": 1]> called (float[2, 6] x) => (float[2, 6] y) {
      parts = SplitToSequence <axis: int = 1> (x)
      one = Constant <value_int: int = 1> ()
      p = SequenceAt (parts, one)
      q = ConcatFromSequence <axis: int = 1> (parts)
      m = me.scaled <factor = 3.0> (q)
      y = Add (m, p)
    }
    <domain: "me", opset_import: ["": 22]> scaled <factor> (a) => (b) {
      f = Constant <value_float: float = @factor> ()
      b = Mul (a, f)
    }""",
    """<ir_version: 10, opset_import: ["": 22]> small (float[8] x) => (float[10] y)
    <float s = {0.1}, int8 o = {3}, int64[1] k = {4}, int64[1] p = {2}, int64[2] w = {1, 1}> {
      q = QuantizeLinear (x, s, o)
      d = DequantizeLinear (q, s, o)
      v, i = TopK (d, k)
      e = Expand (v, k)
      t = Tile (e, p)
      y = Pad (t, w)
    }""",
    """<ir_version: 10, opset_import: ["": 20, "com.microsoft": 1]> decoder (float[b, 1, 8] x,
      int64[b, n] mask, float[b, 1, p, 4] k, float[b, 1, p, 4] v) => (float[b, 1, 8] y, float[b, 1, n, 4] key)
    <int64[1] one = {1}, int64 o = {1}, float[1, 4] w = {1, 2, 3, 4}, float[2, 1] scales = {1, 2},
      uint8[2, 16] rows = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}> {
      sum = ReduceSum <keepdims: int = 0> (mask, one)
      less = Sub (sum, o)
      lengths = Cast <to: int = 6> (less)
      sizes = Shape (mask)
      last = Gather (sizes, o)
      total = Cast <to: int = 6> (last)
      new, more = Split <num_outputs: int = 2, axis: int = 2> (x)
      h, key, value = com.microsoft.GroupQueryAttention <num_heads: int = 2, kv_num_heads: int = 1,
        local_window_size: int = 3> (x, new, more, k, v, lengths, total)
      e = com.microsoft.GatherBlockQuantized <block_size: int = 16, bits: int = 8> (rows, one, scales)
      r = com.microsoft.SkipSimplifiedLayerNormalization <epsilon: float = 0.1> (new, more, w)
      y = Add (h, x)
    }""",
)


def seeds() -> list[bytes]:
    """The models that are changed."""
    return [parser.parse_model(text).SerializeToString() for text in TEXTS]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The bytes, changed in some way; most ways keep a model that can be read."""
    return fuzzing.changed_bytes(content, rng) if rng.randrange(12) < 5 else _changed_fields(content, rng)


def _changed_fields(content: bytes, rng: random.Random) -> bytes:
    """A model of which some fields are others, so that it can still be read."""
    model = onnx.ModelProto.FromString(content)
    graph = model.graph
    names = [name for node in graph.node for name in (*node.input, *node.output)]
    for _ in range(rng.randrange(1, 4)):
        node = rng.choice(graph.node)
        what = rng.randrange(8)
        if what == 0 and node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice(names)
        elif what == 1 and node.output:
            node.output[rng.randrange(len(node.output))] = rng.choice(names)
        elif what == 2:
            node.op_type = rng.choice([other.op_type for other in graph.node] + ["Range", "Resize", "Loop"])
        elif what == 3 and node.attribute:
            attribute = rng.choice(node.attribute)
            attribute.i = rng.choice(EXTREMES)
            attribute.ints[:] = [rng.choice(EXTREMES) for _ in attribute.ints]
        elif what == 4 and graph.initializer:
            tensor = rng.choice(graph.initializer)
            tensor.dims[:] = [rng.choice(EXTREMES) for _ in range(rng.randrange(4))]
        elif what == 5 and graph.initializer:
            tensor = rng.choice(graph.initializer)
            tensor.data_type = rng.randrange(-1, 30)
        elif what == 6:
            model.opset_import[0].version = rng.choice([*range(1, 30), -1, 2**40])
        elif graph.input[0].type.tensor_type.shape.dim:
            graph.input[0].type.tensor_type.shape.dim[0].dim_value = rng.choice(EXTREMES)
    return model.SerializeToString()


if __name__ == "__main__":
    sys.exit(fuzzing.main(__doc__.splitlines()[0], load, seeds(), mutated))
