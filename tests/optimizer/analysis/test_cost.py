"""Costs against formulas worked out by hand."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.optimizer.analysis.cost import (
    counted_at,
    elements,
    node_bytes,
    node_flops,
    total_flops,
    type_bytes,
)
from tests.optimizer.rewriting import build


@pytest.mark.parametrize(
    ("text", "flops"),
    [
        ("x: float32[3,4] -> exp(x)", 12),
        ("x: float32[3,1], y: float32[4] -> add(x, y)", 12),
        ("x: float32[3,4] -> reshape(x, (12,))", 0),
        ("x: float32[3,4] -> concat(x, x)", 0),
        ("x: float32[3,4] -> x", 0),
        ("x: float32[3,4] -> identity(x)", 0),
        ("x: float32[3,4] -> sum(x, axis=1)", 12),
        ("x: float32[3,4] -> max(x)", 12),
        ("x: float32[3,4] -> softmax(x)", 36),
        ("x: float32[0,4] -> exp(x)", 0),
        ("x: float32[] -> exp(x)", 1),
        ("x: float32[n,4] -> exp(x)", 4),
        ("x: float32[3,4], w: float32[4,5] -> matmul(x, w)", 2 * 3 * 4 * 5),
        ("x: float32[7,3,4], w: float32[4,5] -> matmul(x, w)", 7 * 2 * 3 * 4 * 5),
        ("x: float32[4], w: float32[4] -> matmul(x, w)", 2 * 4),
        ("x: float32[2,3,8,8], w: float32[16,3,3,3] -> conv(x, w)", 2 * (2 * 16 * 6 * 6) * (3 * 3 * 3)),
        (
            "x: float32[2,4,8,8], w: float32[4,1,3,3] -> conv(x, w, padding=1, groups=4)",
            2 * (2 * 4 * 8 * 8) * 9,
        ),
        (
            "g: float32[2,16,6,6], w: float32[16,3,3,3] -> "
            "conv_input_gradient(g, w, input_shape=(2, 3, 8, 8))",
            2 * (2 * 16 * 6 * 6) * 27,
        ),
        (
            "x: float32[2,3,8,8], g: float32[2,16,6,6] -> "
            "conv_weight_gradient(x, g, kernel_shape=(16, 3, 3, 3))",
            2 * (2 * 16 * 6 * 6) * 27,
        ),
        ("x: float32[2,3,8,8] -> max_pool(x, (2, 2))", 2 * 3 * 4 * 4 * 4),
    ],
)
def test_flops(text: str, flops: int) -> None:
    program = build(text)
    assert node_flops(program.outputs[0].node) == flops
    assert total_flops(program.order()) == flops


def test_bytes_count_what_is_read_and_written() -> None:
    program = build("x: float32[3,4], y: float64[4] -> multiply(x, y)")
    multiply = program.outputs[0].node
    assert node_bytes(multiply) == (12 + 4 + 12) * 8
    assert node_bytes(multiply.inputs[0].node) == 12 * 4 + 12 * 8
    assert type_bytes(program.feeds[0].type) == 48


def test_symbolic_sizes_count_as_one() -> None:
    (x,) = build("x: float32[n,4] -> x").outputs
    assert elements(x.shape) == 4 and elements(()) == 1


def test_symbolic_sizes_count_as_told() -> None:
    n, m = gf.Dim("n"), gf.Dim("m")
    node = gf.exp(gf.reshape(gf.placeholder("x", (n, m, 2)), (n, 2 * m))).node
    assert node_flops(node) == 1
    with counted_at({"n": 3}):
        assert node_flops(node) == 1 * 3  # what depends on m is still 1
        with counted_at({"n": 3, "m": 5}):
            assert (node_flops(node), node_bytes(node)) == (30, 2 * 30 * 4)
        assert node_flops(node) == 3
    with counted_at({}):
        assert node_flops(node) == 1
    assert node_flops(node) == 1


def test_what_is_remembered_of_bodies_is_for_no_size() -> None:
    x = gf.placeholder("x", (5, "n"))
    looped = gf.map(gf.exp, x).node.graph.nodes[-1]
    before = node_flops(looped)
    with counted_at({"n": 7}):
        assert node_flops(looped) == 7 * before == 35
    assert node_flops(looped) == before == 5
