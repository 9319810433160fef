"""What the tests of facets share: one sample call as a node, its values, and its derivative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate, run_node
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import OpDef, registry
from graphflow.ops.declare import placeholder
from tests.samples import Sample


@dataclass
class Call:
    """The node that a sample builds, and the arrays it reads."""

    node: Node
    arrays: list[np.ndarray]
    sample: Sample

    def outputs(self, arrays: Sequence[np.ndarray] | None = None) -> tuple[np.ndarray, ...]:
        """What the reference makes of the sample's arrays, or of others."""
        return run_node(self.node, self.arrays if arrays is None else arrays)


def call(op_name: str, sample: Sample, *, in_float64: bool = False) -> Call:
    """Apply the operator to placeholders of the sample's types; `in_float64` lifts all real floats."""
    arrays = [_lifted(array) if in_float64 else array for array in sample.inputs]
    with Graph() as graph:
        feeds = {placeholder(f"x{i}", a.shape, a.dtype): a for i, a in enumerate(arrays)}
    op = registry[op_name]
    count = len(graph.nodes)
    Builder(graph).apply(op, list(feeds), dict(sample.attrs))
    node = next(node for node in graph.nodes[count:] if node.op is op)
    return Call(node, evaluate(node.inputs, feeds), sample)


def _lifted(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if as_dtype(array.dtype).is_floating else array


def directions(arrays: Sequence[np.ndarray], seed: int) -> list[np.ndarray | None]:
    """A random array beside each floating array, None beside the others."""
    rng = np.random.default_rng(seed)
    return [
        rng.normal(size=array.shape).astype(array.dtype) if array.dtype.kind == "f" else None
        for array in arrays
    ]


def cotangents(one: Call, weights: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
    """What the operator's gradient makes of the weights of its outputs, broadcasting undone."""
    node = one.node
    with node.graph:
        given = [
            None if weight is None else placeholder(f"g{i}", weight.shape, weight.dtype)
            for i, weight in enumerate(weights)
        ]
    parts = node.op.vjp(Builder(node.graph), node, *given)
    made: Sequence[Tensor | None] = [part() if callable(part) else part for part in parts]
    feeds: dict[Tensor, Any] = dict(zip(node.inputs, one.arrays))
    feeds |= {tensor: weight for tensor, weight in zip(given, weights) if tensor is not None}
    feeds |= {tensor: array for tensor, array in zip(node.outputs, one.outputs())}
    assert len(made) == len(node.inputs)
    values = iter(evaluate([tensor for tensor in made if tensor is not None], feeds))
    return [None if t is None else _checked(one, i, t, next(values)) for i, t in enumerate(made)]


def _checked(one: Call, index: int, tensor: Tensor, value: np.ndarray) -> np.ndarray:
    source = one.arrays[index]
    assert tensor.shape == value.shape and tensor.dtype is as_dtype(value.dtype)
    assert value.dtype == source.dtype, "a cotangent has the dtype of its input"
    if "broadcasting" in one.node.op.traits:
        value = _summed(value, source.shape)
    assert value.shape == source.shape, f"the cotangent of input {index} has the wrong shape"
    return value


def _summed(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    value = value.sum(axis=tuple(range(value.ndim - len(shape))))
    grown = tuple(axis for axis, size in enumerate(shape) if size == 1 and value.shape[axis] != 1)
    return value.sum(axis=grown, keepdims=True)


def slope(one: Call, steps: Sequence[np.ndarray | None], weights: Sequence[np.ndarray | None]) -> float:
    """The derivative of <weights, outputs> along the steps, by central differences."""
    width = 1e-6
    ends = []
    for sign in (1, -1):
        moved = [a if s is None else a + sign * width * s for a, s in zip(one.arrays, steps)]
        pairs = zip(one.outputs(moved), weights)
        ends.append(sum(float(np.sum(value * weight)) for value, weight in pairs if weight is not None))
    return (ends[0] - ends[1]) / (2 * width)


def differentiable(op: OpDef) -> bool:
    """Whether the operator has a gradient of its own."""
    return callable(op.vjp)
