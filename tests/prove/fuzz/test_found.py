"""What fuzzing has found, each as the smallest graph that showed it."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.interpret import evaluate
from graphflow.optimizer.driver import RewriteWarning
from graphflow.optimizer.pipelines import PIPELINES
from graphflow.prove.fuzz.judging import Fault, case_of, faults
from graphflow.prove.subject import Subject
from graphflow.runtime.backend import get_backend

FLOATS = np.float32([0.5, -1.25, 2.0, 0.25])


def assert_levels_agree(outputs: list[gf.Tensor], inputs: dict[str, np.ndarray]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RewriteWarning)
        found = gf.prove.check(outputs, inputs, list(PIPELINES)[1:], ["numpy"])
    assert found.passed, str(found)


def test_the_absolute_value_of_a_negated_unsigned_number() -> None:
    """-1 is 255 in eight bits, and so is its absolute value; sign_is_lost made 1 of it."""
    x = gf.placeholder("x", (3,), dtype=gf.uint8)
    values = np.uint8([0, 1, 200])
    y = gf.abs(gf.negative(x))
    assert_levels_agree([y, gf.square(gf.negative(x))], {"x": values})
    assert gf.Session(backend="numpy").run(y, {x: values}).tolist() == [0, 255, 56]


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_rolling_along_no_axis(backend: str) -> None:
    """NumPy's roll unpacks nothing into two."""
    x = gf.placeholder("x", (2, 2))
    y = gf.roll(x, (), axis=())
    values = np.float32([[1, 2], [3, 4]])
    np.testing.assert_array_equal(gf.Session(backend=backend).run(y, {x: values}), values)


def test_biases_behind_a_product_of_vectors() -> None:
    """The product is a scalar, which has no axis that a bias could lie along."""
    x = gf.placeholder("x", (4,))
    y = gf.add(gf.add(gf.matmul(x, gf.constant(FLOATS)), -1.0), 1.0)
    assert_levels_agree([y], {"x": FLOATS})


def test_a_softmax_gradient_with_a_scalar_cotangent() -> None:
    """The cotangent has no axis to be summed along."""
    x, g = gf.placeholder("x", (4,)), gf.placeholder("g", ())
    e, total = gf.exp(x), gf.sum(gf.exp(x), axis=0, keepdims=True)
    inner = gf.sum(gf.negative(gf.divide(g, total)), axis=0, keepdims=True)
    y = gf.multiply(gf.add(gf.divide(g, total), inner), e)
    assert_levels_agree([y], {"x": FLOATS, "g": np.float32(0.5)})


def test_an_edit_of_class_finite_behind_an_exact_one_keeps_its_class() -> None:
    """0 * relu(x) is 0 at O3, for finite x; in what an unrolled loop became, that was forgotten."""
    x = gf.placeholder("x", (3,))
    first = gf.fori_loop(0, 1, lambda i, c: gf.nn.relu(c) * 0.0, x)
    second = gf.fori_loop(0, 1, lambda i, c: gf.tanh(c) + 1.0, first)
    values = np.float32([np.nan, np.inf, 1.0])
    assert_levels_agree([second], {"x": values})


def test_complex_products_over_their_own_operands() -> None:
    """NumPy multiplies complex numbers otherwise if the result lies over one of them."""
    x = gf.placeholder("x", (), gf.complex64)
    product = gf.multiply(gf.multiply(gf.multiply(x, 0.5), -0.46604288 - 0.8853129j), 0.5)
    values = {"x": np.complex64(0.84944177 + 2.0306377j)}
    assert_levels_agree([product, gf.square(gf.square(gf.multiply(x, 0.5)))], values)


def test_a_sum_of_products_with_a_square_among_them() -> None:
    """x x - a x is (x - a) x; sum_of_products made x (x - a) of it."""
    x, a = gf.placeholder("x", ("n", 2)), gf.placeholder("a", ("n", 2))
    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(size=(2, 2)).astype(np.float32) for name in "xa"}
    assert_levels_agree([x @ x - a @ x, x @ a + x @ x], inputs)


def test_sizes_that_the_graph_as_built_refuses_are_no_fault() -> None:
    """A position taken from another axis may lie outside of this one, which only the sizes tell."""
    x = gf.placeholder("x", ("n", 2, 2))
    sizes = gf.shape_of(x)[:2]
    y = gf.take_along_axis(gf.bitwise_left_shift(sizes, sizes), gf.constant(np.int64([-2, 2])), axis=0)
    subject = Subject([y])
    case = case_of(subject, {"x": np.ones((3, 2, 2), np.float32)}, special=False)
    assert faults(subject, [case], {"numpy": get_backend("numpy")}, ["O2"]) == []


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_groups_that_do_not_divide_a_number_of_channels_known_late(backend: str) -> None:
    """Four kernels are not three groups: that was found out by NumPy's reshape, not in words."""
    x, w = gf.placeholder("x", ("n", 3, 4)), gf.placeholder("w", ("out", 1, 2))
    y = gf.nn.conv(x, w, groups=3)
    sess = gf.Session(backend=backend)
    assert sess.run(y, {x: np.ones((2, 3, 4)), w: np.ones((6, 1, 2))}).shape == (2, 6, 3)
    with pytest.raises(gf.FeedError, match="needs out % 3 == 0"):
        sess.run(y, {x: np.ones((2, 3, 4)), w: np.ones((4, 1, 2))})


@pytest.mark.parametrize("axis", [1, 2])
def test_a_factorization_of_a_transform(axis: int) -> None:
    """XLA gave the transform the layout by columns of the factorization, and then refused to run it."""
    x = gf.placeholder("x", (3, 5, 4))
    values = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    wanted = np.linalg.svd(np.fft.rfft(values, axis=axis), compute_uv=False)
    made = gf.Session(backend="jax").run(gf.linalg.svdvals(gf.fft.rfft(x, axis=axis)), {x: values})
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-5)


def test_sizes_under_two_names_behind_a_negation() -> None:
    """The sum had the size 3 * (n // 3), and the difference in its place n, which was warned about."""
    x = gf.placeholder("x", ("n", 2))
    joined = gf.concat(gf.split(x, 3))
    assert_levels_agree([gf.add(gf.negative(joined), x)], {"x": np.ones((6, 2), np.float32)})


def test_kernels_without_elements() -> None:
    """XLA refuses a window of size 0; all its sums are 0."""
    x, w = gf.placeholder("x", (2, 1, 0)), gf.placeholder("w", (3, 1, 0))
    y = gf.nn.conv(x, w, padding=1)
    feeds = {x: np.zeros((2, 1, 0), np.float32), w: np.zeros((3, 1, 0), np.float32)}
    for backend, level in (("numpy", "O2"), ("jax", "O0"), ("jax", "O2")):
        made = gf.Session(backend=backend, level=level).run(y, feeds)
        assert np.array_equal(made, np.zeros((2, 3, 3))), (backend, level)


def test_a_message_that_counts_nodes_is_the_same_for_fewer() -> None:
    """So that what a backend refuses is made small, too."""
    first = Fault("failed", "jax", "O0", "XLA cannot compile the program of 30 nodes: of 'a'")
    assert first.same(replace(first, what="XLA cannot compile the program of 2 nodes: of 'b'"))
    assert not first.same(replace(first, what="XLA runs out of memory"))


def test_a_sum_of_nothing_is_not_scaled_by_what_is_infinite() -> None:
    """sum(x / c) of an empty x is 0; sum(x) / c was NaN for c = 0."""
    x = gf.placeholder("x", (0, 2))
    y = gf.sum(gf.divide(x, gf.sum(gf.exp(x))))
    assert_levels_agree([y], {"x": np.zeros((0, 2), np.float32)})


def test_windows_that_turn_out_larger_than_the_image() -> None:
    """NumPy's windows do not fit, which it said in words of its own."""
    x, w = gf.placeholder("x", (1, 2, 1)), gf.placeholder("w", (3, 2, "n"))
    y = gf.nn.conv(x, w, strides=2)
    with pytest.raises(gf.GraphFlowError, match="3 places does not fit into spatial axis 0, padded to 1"):
        evaluate([y], {x: np.ones((1, 2, 1), np.float32), w: np.ones((3, 2, 3), np.float32)})


def transposed_weights(size: int = 40) -> tuple[gf.Tensor, gf.Tensor]:
    rng = np.random.default_rng(0)
    w = gf.constant(rng.standard_normal((size, size), np.float32))
    return gf.placeholder("x", (2, size)), gf.permute_dims(w, axes=(1, 0))


@pytest.mark.parametrize("place", ["product", "loop", "body", "sum", "broadcast"])
def test_constants_with_their_axes_in_another_order(place: str) -> None:
    """How NumPy adds up depends on how operands lie, and a folded constant lies in the order of its axes."""
    x, w = transposed_weights()
    rows = gf.stack([x, x * 0.5])
    if place == "product":
        y = gf.matmul(x, gf.abs(w))
    elif place == "loop":
        y = gf.scan(lambda h, row: (gf.tanh(gf.matmul(h, w) + row), h), x, rows)[0]
    elif place == "body":
        turned = w.node.inputs[0]
        y = gf.map(lambda row: gf.matmul(row, gf.permute_dims(turned, axes=(1, 0))), rows)
    elif place == "broadcast":
        y = gf.matmul(gf.broadcast_to(gf.constant(np.float32(0.1)), (2, 40)), gf.permute_dims(x @ w, (1, 0)))
    else:
        y = gf.sum(gf.exp(w), axis=0) * x
    values = np.random.default_rng(1).standard_normal((2, 40)).astype(np.float32)
    assert_levels_agree([y], {"x": values})
    with warnings.catch_warnings():
        warnings.simplefilter("error", RewriteWarning)
        gf.optimize(gf.Model(inputs=[x], outputs=[y]), check_values={"x": values}, strict=True)
