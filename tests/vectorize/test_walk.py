"""The walk over a graph under construction: many values of a tensor in the place of one."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.builder import Builder
from graphflow.ir.interpret import evaluate
from graphflow.vectorize.walk import along

ROWS = np.arange(8.0, dtype=np.float32).reshape(4, 2)


@pytest.fixture
def graph():
    with gf.Graph() as graph:
        yield graph


def test_only_what_depends_on_the_tensor_is_built_again(graph) -> None:
    x, y = gf.placeholder("x", (2,)), gf.placeholder("y", (2,))
    shared = gf.exp(y)
    outputs = [x * shared, shared, x]
    before = len(graph)
    rows = gf.constant(ROWS)
    made = along(Builder(graph), outputs, {x: rows}, 4)
    assert made[2] is rows
    assert [node.op.name for node in graph.nodes[before + 1 :]] == ["multiply", "broadcast_to"]
    found = evaluate(made, {x: ROWS[0], y: np.zeros(2, np.float32)})
    np.testing.assert_array_equal(found[0], ROWS)
    np.testing.assert_array_equal(found[1], np.ones((4, 2)))


def test_it_goes_through_intermediate_tensors_and_custom_gradients(graph) -> None:
    x = gf.placeholder("x", (2,))
    tripled = gf.custom_gradient(lambda t: (t + t, lambda g: g * 3.0))
    middle = gf.sin(x)
    (made,) = along(Builder(graph), [gf.sum(tripled(middle))], {middle: gf.constant(ROWS)}, 4)
    rows = made.node.inputs[0].node.inputs[0]
    assert made.shape == (4,)
    slope = gf.gradients(made, [rows])[0]
    found = evaluate([made, slope], {x: ROWS[0]})
    np.testing.assert_array_equal(found[0], 2 * ROWS.sum(1))
    assert found[1].shape == rows.shape


def test_a_long_chain_is_no_deeper_than_a_short_one(graph) -> None:
    x = gf.placeholder("x", ())
    y = x
    for _ in range(20_000):
        y = y + 1.0
    before = len(graph)
    along(Builder(graph), [y], {x: gf.zeros((3,))}, 3)
    assert len(graph) - before < 20_010
