"""Random weights for ONNX models whose own are left out: each drawn from its name, at a scale by its use.

A float initializer without data gets some, and so does what ConstantOfShape makes of a shape, as the light
models of the package onnx have it. Kernels and matrices are normal with the variance 2 / fan-in (He et al.,
"Delving deep into rectifiers", 2015), so that activations keep their size through a deep network. Scales are
around 1, variances around 2, so that sums of branches do not grow with their number, and all else around 0.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)

Use = tuple[str, int, onnx.NodeProto]
"""The operator that a weight goes to, as which input, and the node."""

SCALED = ("BatchNormalization", "InstanceNormalization", "LayerNormalization", "Mul")
"""Operators whose second input is a scale."""

_PASSED_ON = ("Unsqueeze", "Reshape", "Transpose", "Identity", "Squeeze", "Slice", "Concat", "Cast")


def filled(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with weights, the same at each call."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    uses = _uses(graph)
    shapes = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.INT64}
    kept = []
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and node.input[0] in shapes:
            shape = numpy_helper.to_array(shapes[node.input[0]]).tolist()
            graph.initializer.append(_tensor(node.output[0], shape, TensorProto.FLOAT, uses))
        else:
            kept.append(node)
    for index, tensor in enumerate(graph.initializer):
        if tensor.data_type in FLOATS and is_stripped(tensor):
            graph.initializer[index].CopyFrom(_tensor(tensor.name, tensor.dims, tensor.data_type, uses))
    del graph.node[:]
    graph.node.extend(kept)
    return made


def stripped(model: onnx.ModelProto, least: int = 16) -> onnx.ModelProto:
    """A copy whose float initializers have a name, a shape and a dtype alone, if they have many elements."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for tensor in made.graph.initializer:
        if tensor.data_type in FLOATS and math.prod(tensor.dims) >= least:
            bare = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
            tensor.CopyFrom(bare)
    return made


def is_stripped(tensor: TensorProto) -> bool:
    """Whether the data of a tensor have been left out."""
    held = tensor.raw_data or tensor.float_data or tensor.double_data or tensor.int32_data
    return not held and math.prod(tensor.dims) > 0


def _uses(graph: onnx.GraphProto) -> dict[str, Use]:
    """What each value is used for, through operators that only move elements."""
    uses: dict[str, Use] = {}
    for node in reversed(list(_nodes(graph))):
        for place, name in enumerate(node.input):
            passed = uses.get(node.output[0]) if node.op_type in _PASSED_ON and not place else None
            uses[name] = passed or (node.op_type, place, node)
    return uses


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _tensor(name: str, shape: list[int], dtype: int, uses: dict[str, Use]) -> TensorProto:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    op_type, place, node = uses.get(name, ("", 0, onnx.NodeProto()))
    values = rng.standard_normal(tuple(shape), np.float32)
    fan_in = _fan_in(op_type, place, node, tuple(shape))
    if fan_in:
        values *= math.sqrt(2 / fan_in)
    elif op_type == "BatchNormalization" and place == 4:
        values = 2 + 0.5 * np.tanh(values)
    elif op_type in SCALED and place == 1:
        values = 1 + 0.25 * np.tanh(values)
    else:
        values *= 0.1
    return numpy_helper.from_array(values.astype(helper.tensor_dtype_to_np_dtype(dtype)), name)


def _fan_in(op_type: str, place: int, node: onnx.NodeProto, shape: tuple[int, ...]) -> int:
    """How many numbers each number of the result is a sum of; 0 for what is no kernel or matrix.

    Twice as many for dense layers: many are the last ones, which no ReLU follows.
    """
    if op_type == "Conv" and place == 1:
        return math.prod(shape[1:])
    if op_type == "ConvTranspose" and place == 1:
        return shape[0]
    if op_type in ("Gemm", "MatMul") and place < 2 and len(shape) > 1:
        turned = any(one.name == ("transA", "transB")[place] and one.i for one in node.attribute)
        return 2 * (shape[-1] if turned != (place == 0) else shape[-2])
    if op_type in ("LSTM", "GRU", "RNN") and place in (1, 2):
        return shape[-1]
    return 0
