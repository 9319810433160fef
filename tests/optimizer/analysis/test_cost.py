"""Costs against formulas worked out by hand."""

from __future__ import annotations

import pytest

import graphflow as gf
from graphflow.ir.opdef import registry
from graphflow.optimizer.analysis.cost import (
    _RULES,
    _RUNS,
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
        ("x: float32[3,4] -> softmax(x)", 60),
        ("x: float32[3,4] -> mean(x, axis=1)", 12 + 3),
        ("x: float32[3,4] -> logsumexp(x, axis=1)", 48),
        (
            "x: float32[2,3,4], a: float32[3], b: float32[3] -> batch_normalization(x, a, b, a, b)",
            4 * 24,
        ),
        ("x: float32[3,4], a: float32[4], b: float32[4] -> layer_normalization(x, a, b)", 7 * 12),
        ("x: int8[3,4], w: int8[4,5], z: int8[] -> matmul_integer(x, w, z, z)", 2 * 3 * 4 * 5),
        ("x: float32[3,4], w: float32[5,4] -> matmul_transposed(x, w)", 2 * 3 * 4 * 5),
        ("x: complex64[3,8] -> complex_dft(x)", 3 * 5 * 8 * 3),
        ("x: float32[3,8] -> real_dft(x)", 3 * 5 * 8 * 3 // 2),
        ("x: float32[9], i: int32[4], u: float32[4] -> index_add(x, i, u)", 4),
        ("x: float32[2,6,6] -> cholesky(x)", 2 * 72),
        ("x: float32[6,6], y: float32[6,2] -> solve(x, y)", 144 + 2 * 36 * 2),
        ("x: float32[6,6], y: float32[6,2] -> triangular_solve(x, y)", 36 * 2),
        ("x: float32[6,6] -> inv(x)", 2 * 216),
        ("x: float32[6,3] -> qr(x)", 4 * 9 * (6 - 1)),
        ("x: float32[4] -> diagonal_matrix(x, rows=4, columns=4)", 0),
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


def test_every_line_of_the_table_is_for_an_operator() -> None:
    assert [name for name in (*_RULES, *_RUNS) if name not in registry] == []


def test_bodies_count_as_often_as_they_run() -> None:
    x = gf.placeholder("x", (5, 4))
    _, rows = gf.scan(lambda c, row: (c, gf.exp(row)), gf.zeros(()), x)
    assert node_flops(rows.node) == 5 * 4 and node_bytes(rows.node) == 5 * 2 * 4 * 4
    chosen = gf.cond(x[0, 0] > 0, lambda: gf.exp(x), lambda: gf.exp(gf.sin(x)))
    assert node_flops(chosen.node) == 40 and node_bytes(chosen.node) == 4 * 20 * 4
    for steps, times in ((6, 6), (0, 0), (None, 1)):
        ended = gf.while_loop(lambda s: gf.sum(s) < 3, lambda s: s + s, x, max_steps=steps)
        per_step = 20 + 20 + 1
        assert node_flops(ended.node) == times * per_step
        assert node_bytes(ended.node) == times * (3 * 80 + (80 + 4) + (4 + 4 + 1))
    with counted_at({"n": 3}):
        long = gf.scan(lambda c, row: (c, gf.exp(row)), gf.zeros(()), gf.placeholder("y", ("n", 4)))[1]
        assert node_flops(long.node) == 12 and node_bytes(long.node) == 3 * 32


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
