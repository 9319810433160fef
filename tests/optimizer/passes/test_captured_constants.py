"""Rules that meet constants in bodies: products in loops and branches get panels, captured once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.body import COPIED_BYTES, bodies_of, nested_nodes
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Node
from graphflow.ir.verify import verify
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from graphflow.optimizer.value_check import ValueCheck

STEPS = "eliminate,control-flow,bodies,pack-weights"
SIZE = 36
RNG = np.random.default_rng(5)
W, V = [RNG.standard_normal((SIZE, SIZE), np.float32) / 6 for _ in range(2)]
INPUT = RNG.standard_normal((5, 2, SIZE), np.float32)

Build = Callable[[gf.Tensor, gf.Tensor, gf.Tensor], Any]


def in_scan(x: gf.Tensor, w: gf.Tensor, v: gf.Tensor) -> Any:
    def step(h: gf.Tensor, row: gf.Tensor) -> Any:
        new = gf.tanh(row + gf.matmul(h, w))
        return new, new

    return gf.scan(step, gf.zeros((2, SIZE)), x)


def in_reversed_scan(x: gf.Tensor, w: gf.Tensor, v: gf.Tensor) -> Any:
    return gf.scan(lambda h, row: (gf.sin(gf.matmul(h, w) + row), gf.matmul(row, v)), x[0], x, reverse=True)


def in_while(x: gf.Tensor, w: gf.Tensor, v: gf.Tensor) -> Any:
    return gf.while_loop(
        lambda h: gf.sum(gf.abs(gf.matmul(h, v))) > 3.0, lambda h: gf.matmul(h, w) * 0.25, x[0]
    )


def in_limited_while(x: gf.Tensor, w: gf.Tensor, v: gf.Tensor) -> Any:
    return gf.while_loop(lambda h: gf.sum(h) < 1e6, lambda h: gf.nn.relu(gf.matmul(h, w)), x[0], max_steps=3)


def in_cond(x: gf.Tensor, w: gf.Tensor, v: gf.Tensor) -> Any:
    return gf.cond(
        gf.sum(x) > 0.0,
        lambda: gf.nn.relu(gf.matmul(x[1], w)),
        lambda: gf.matmul(x[2], w) + gf.matmul(x[1], v),
    )


def in_switch(x: gf.Tensor, w: gf.Tensor, v: gf.Tensor) -> Any:
    index = gf.astype(gf.sum(gf.abs(x)), "int32") % 3
    branches = [lambda t: gf.matmul(t, w), lambda t: gf.matmul(t, v) + 1.0, gf.sin]
    return gf.switch_case(index, branches, x[0])


def in_nest(x: gf.Tensor, w: gf.Tensor, v: gf.Tensor) -> Any:
    def step(h: gf.Tensor, row: gf.Tensor) -> Any:
        inner = gf.while_loop(
            lambda t: gf.sum(gf.abs(t)) > 2.0, lambda t: gf.matmul(t, w) * 0.2 + gf.matmul(row, v) * 0.01, h
        )
        return inner + row, gf.matmul(inner, w)

    return gf.scan(step, x[0], x)


CASES: list[tuple[Build, int, int]] = [
    # how many products are packed in bodies, and how many different weights
    (in_scan, 1, 1),
    (in_reversed_scan, 2, 2),
    (in_while, 2, 2),
    (in_limited_while, 1, 1),
    (in_cond, 3, 2),
    (in_switch, 2, 2),
    (in_nest, 3, 2),
]


def made(build: Build, observer: bool = False, **options: Any) -> tuple[Program, Program, list[gf.Tensor]]:
    """The program as it was, the packed one, and the tensors to fetch."""
    with gf.Graph():
        x = gf.placeholder("x", INPUT.shape)
        given = build(x, gf.constant(W), gf.constant(V))
        listed = [t for t in (given if isinstance(given, tuple) else (given,)) if isinstance(t, gf.Tensor)]
        plain = extract(listed, feeds=[x])
        program = extract(listed, feeds=[x])
        if observer:
            options["observer"] = ValueCheck({program.feeds[0]: INPUT})
        packed = optimize(program, pipeline=STEPS, strict=True, check=True, **options)
    verify(packed)
    return plain, packed, listed


def packed_in(program: Program) -> list[Node]:
    return [node for node in nested_nodes(program.order()) if node.op.name == "packed_conv"]


@pytest.mark.parametrize(("build", "products", "weights"), CASES)
def test_products_in_bodies_are_packed_and_keep_their_values(
    build: Build, products: int, weights: int
) -> None:
    plain, packed, _ = made(build)
    assert len(packed_in(packed)) == products
    outer = [node for node in packed.order() if node.op.name == "constant"]
    large = [node.output.shape for node in outer if node.attrs.value.nbytes > COPIED_BYTES]
    assert large == [(1, 3, SIZE, 16)] * weights
    for node in nested_nodes(
        [one for top in packed.order() for body in bodies_of(top) for one in body.order()]
    ):
        assert node.op.name != "constant" or node.attrs.value.nbytes <= COPIED_BYTES
    wanted = evaluate(plain.outputs, {plain.feeds[0]: INPUT})
    found = evaluate(packed.outputs, {packed.feeds[0]: INPUT})
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.0])
def test_unusual_numbers_come_through(value: float) -> None:
    plain, packed, _ = made(in_limited_while)
    data = INPUT.copy()
    data[0, 1, 3] = value
    wanted = evaluate(plain.outputs, {plain.feeds[0]: data})
    found = evaluate(packed.outputs, {packed.feeds[0]: data})
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-4, atol=1e-5)


def test_edits_are_written_down_with_their_place_and_are_compared() -> None:
    journal = Journal("entries")
    _, packed, _ = made(in_cond, observer=True, journal=journal)
    assert journal.fired("product_in_panels") == 3 and journal.fired("bound_into_panels") == 1
    places = [entry.removed for entry in journal.entries if entry.rule == "product_in_panels"]
    assert all(places)
    reasons = [entry.reason for entry in journal.entries if entry.rule == "bodies"]
    assert reasons.count("weights in it were cut into panels") == 1
    assert len(packed_in(packed)) == 3


def test_two_loops_with_one_body_keep_their_own_weights() -> None:
    with gf.Graph():
        x = gf.placeholder("x", INPUT.shape)
        rows = [in_scan(x, gf.constant(w), gf.constant(w))[1] for w in (W, V)]
        plain, program = extract(rows, feeds=[x]), extract(rows, feeds=[x])
    packed = optimize(program, pipeline="eliminate,bodies,pack-weights", check=True)
    assert len(packed_in(packed)) == 2
    loops = [node for node in packed.order() if node.op.name == "scan"]
    assert loops[0].attrs.body.attribute_key() == loops[1].attrs.body.attribute_key()
    wanted = evaluate(plain.outputs, {plain.feeds[0]: INPUT})
    for one, other in zip(evaluate(packed.outputs, {packed.feeds[0]: INPUT}), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_weight_that_is_read_as_it_is_stays_captured_too() -> None:
    def build(x: gf.Tensor, w: gf.Tensor, v: gf.Tensor) -> Any:
        return gf.scan(lambda h, row: (gf.matmul(h, w) + row, gf.sum(w * h[0])), x[0], x)

    _, packed, _ = made(build)
    (loop,) = [node for node in packed.order() if node.op.name == "scan"]
    shapes = [tensor.shape for tensor in loop.inputs[2:]]
    assert len(packed_in(packed)) == 1 and shapes == [(SIZE, SIZE), (1, 3, SIZE, 16)]


def test_bodies_without_constants_are_left_alone() -> None:
    with gf.Graph():
        x, w = gf.placeholder("x", INPUT.shape), gf.variable("w", (SIZE, SIZE))
        program = extract(list(in_scan(x, w, w)), feeds=[x])
    journal = Journal("entries")
    packed = optimize(program, pipeline="pack-weights", journal=journal, check=True)
    assert not packed_in(packed) and journal.edits == 0


def test_branches_chosen_by_a_size_are_packed() -> None:
    with gf.Graph():
        x, w = gf.placeholder("x", (2, SIZE)), gf.constant(W)
        axis = gf.placeholder("axis", (), gf.int32)
        y = gf.for_axis(lambda t, axis: gf.sum(gf.matmul(t, w), axis=axis), x, axis=axis)
        plain, program = extract([y], feeds=[x, axis]), extract([y], feeds=[x, axis])
    assert [node.op.name for node in nested_nodes(plain.order())].count("matmul") == 2
    packed = optimize(program, pipeline="pack-weights", check=True)
    assert [node.op.name for node in nested_nodes(packed.order())].count("packed_conv") == 2
    large = [node for node in packed.order() if node.op.name == "constant" and node.output.ndim]
    assert [node.output.shape for node in large] == [(1, 3, SIZE, 16)]


def test_kernels_run_in_loops_and_branches() -> None:
    with gf.Graph():
        x = gf.placeholder("x", INPUT.shape)
        w, v = gf.constant(W), gf.constant(V)
        fetches = [*in_scan(x, w, v), *in_reversed_scan(x, w, v), in_while(x, w, v), in_cond(x, w, v)]
        fetches += [in_switch(x, w, v), *in_nest(x, w, v)]
        wanted = gf.Session(backend="numpy", level="O0").run(fetches, {x: INPUT})
        found = gf.Session(backend="jax", level="O2").run(fetches, {x: INPUT})
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
