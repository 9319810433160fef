"""Whatever types and attributes an operator is given, it infers a type or refuses with a GraphFlowError.

Calls start from the samples of the operators, which succeed, or from nothing; then types and attributes
are exchanged for others at random: all dtypes, ranks 0 to 5, sizes 0, 1, huge and symbolic; attributes
negative, huge, of other kinds. What has small static types and is accepted is also run, by the reference,
on ones, and has to give what was inferred.
"""

from __future__ import annotations

import resource
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import GraphFlowError
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import ALL_DTYPES, as_dtype
from graphflow.ir.interpret import run_node
from graphflow.ir.node import Node
from graphflow.ir.opdef import REQUIRED, OpDef
from tests.samples import Sample, all_samples

CALLS = 60
SIZES = (0, 1, 2, 3, 2, 3, 2**40, 2**62, "n", "m", "n")
SMALL = 4096
"""Elements up to which a call is run."""
MEMORY = 2**30
"""Bytes that all calls of a family may add to the process."""


def attribute_values() -> list[Any]:
    """Values of all kinds that an attribute may be given."""
    n = gf.Dim("n")
    return [
        None, True, False, 0, 1, -1, 2, 3, 5, -2, -7, 2**31, 2**40, -(2**40), 2**63, -(2**63), 2**70, 10**30,
        0.0, -0.0, 0.5, 1.5, -1.0, 1e300, float("nan"), float("inf"), -float("inf"), 1j,
        "", "x", "constant", "linear", "mean", "valid", "float32", "ij->ji", "\0", "é" * 300,
        (), (0,), (1,), (-1,), (0, 1), (1, 0), (0, 0), (2, 2), (2**40,), (2**40, 2**40), (-3, 2), (1, 2, 3),
        ((0, 1), (1, 0)), ((-1, 2**40),), (None,), (1.5,), (float("nan"),), ("a", "b"), (n, 2), (None, 1),
        ((0, 1), 2), [1, [2]], n, n + 1, gf.float64, gf.int4, gf.string, gf.float8_e4m3fn, gf.bool,
        np.float32(0.5), np.int64(3), np.array([0, 1]), np.zeros((0,)), np.array("a"), np.array([[1.5]]),
        object(), {"a": 1}, {1, 2}, b"bytes", slice(1, 2), Ellipsis, gf.Graph(), int, print, range(3),
        gf.initializers.zeros(),
    ]  # fmt: skip


class Driver:
    """Draws calls of operators, makes them, and judges what comes of them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.values = attribute_values()
        self.built = self.run = 0

    def one(self, values: Any) -> Any:
        return values[self.rng.integers(len(values))]

    def shape(self) -> tuple[Any, ...]:
        return tuple([self.one(SIZES) for _ in range(self.rng.integers(6))])

    def kind(self, dtype: Any, shape: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """A type near the given one, or far from it."""
        chance = self.rng.random()
        if chance < 0.15:
            dtype = self.one(ALL_DTYPES)
        if 0.15 < chance < 0.3 and shape:
            axis = self.rng.integers(len(shape))
            shape = (*shape[:axis], self.one(SIZES), *shape[axis + 1 :])
        if 0.3 < chance < 0.4:
            shape = shape[1:] if self.rng.random() < 0.5 else (self.one(SIZES), *shape)
        return (dtype, self.shape()) if 0.4 < chance < 0.45 else (dtype, shape)

    def arguments(self, op: OpDef, samples: list[Sample]) -> tuple[list[Any], dict[str, Any]]:
        """Types of inputs, and attributes."""
        if samples and self.rng.random() < 0.75:
            base = self.one(samples)
            kinds = [self.kind(as_dtype(array.dtype), array.shape) for array in base.inputs]
            attrs = dict(base.attrs)
        else:
            count = self.rng.integers(4) if op.arity is None else op.arity
            same = self.one((gf.float32, gf.float64, gf.int32, *ALL_DTYPES)), self.shape()
            kinds = [same if self.rng.random() < 0.7 else self.kind(*same) for _ in range(count)]
            attrs = {name: self.one(self.values) for name in op.attributes if op.attributes[name] is REQUIRED}
        for name in op.attributes:
            if self.rng.random() < 0.25:
                attrs[name] = self.one(self.values)
        return kinds, attrs

    def drive(self, op: OpDef, samples: list[Sample]) -> None:
        kinds, attrs = self.arguments(op, samples)
        shown = f"{op.name} of {kinds} with {attrs!r:.300}"
        with gf.Graph() as graph:
            try:
                inputs = [gf.placeholder(f"x{i}", shape, dtype) for i, (dtype, shape) in enumerate(kinds)]
                before = len(graph.nodes)
                Builder(graph).apply(op, inputs, attrs)
            except GraphFlowError as error:
                assert "\n  try: " in str(error), f"{shown} has no way out in\n{error}"
                return
            except Exception as error:
                pytest.fail(f"{shown} raised {type(error).__name__}: {error}")
            self.built += 1
            for node in graph.nodes[before:]:
                if node.op is op:
                    self.check(node, shown)

    def check(self, node: Node, shown: str) -> None:
        """Verify the node, and run it on ones if that is cheap."""
        try:
            gf.verify(node.graph)
        except GraphFlowError as error:
            pytest.fail(f"{shown} makes an invalid graph: {error}")
        types = [tensor.type for tensor in (*node.inputs, *node.outputs)]
        sizes = [size for type in types for size in (*type.shape, type.size)]
        sizes += _reach(node)
        if not all(isinstance(size, int) and size <= SMALL for size in sizes) or "effect" in node.op.traits:
            return
        self.run += 1
        arrays = [self.ones(tensor) for tensor in node.inputs]
        try:
            made = run_node(node, arrays)
        except GraphFlowError:
            return
        except Exception as error:
            pytest.fail(f"the reference of {shown} raised {type(error).__name__}: {error}")
        found = [(as_dtype(array.dtype), array.shape) for array in made]
        wanted = [(tensor.dtype, tensor.shape) for tensor in node.outputs]
        assert found == wanted, f"{shown} gives {found}, but {wanted} was inferred"

    def ones(self, tensor: gf.Tensor) -> np.ndarray:
        dtype = tensor.dtype.numpy
        return np.full(tensor.shape, "1" if tensor.dtype is gf.string else 1, dtype)


def _reach(node: Node) -> list[Any]:
    """Symbolic sizes among the attributes, and what windows reach over: the reference pads to that."""
    found: list[Any] = []
    for name, attribute in node.attrs.items():
        listed = [attribute]
        while listed:
            value = listed.pop()
            if isinstance(value, tuple):
                listed += value
            elif isinstance(value, gf.Dim) or (isinstance(value, int) and name in _REACHING):
                found.append(value)
    return found


_REACHING = ("window", "dilation", "padding", "kernel_shape", "strides")


@pytest.fixture
def driver(rng: np.random.Generator) -> Driver:
    return Driver(rng)


# Inputs of a graph are not made by the Builder, but by gf.placeholder and its like.
OPERATORS = [op for op in gf.registry if "nullary_input" not in op.traits]


@pytest.mark.parametrize("family", sorted({op.family for op in OPERATORS}))
def test_every_schema(family: str, driver: Driver) -> None:
    samples, before = all_samples(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for op in [op for op in OPERATORS if op.family == family]:
        for _ in range(CALLS):
            driver.drive(op, samples.get(op.name, []))
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < MEMORY, f"the calls took {grown} bytes"
    assert driver.built, "no call succeeded"
