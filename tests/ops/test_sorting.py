"""Order, rank, search, and selections of a fixed size: against NumPy, on both backends, and refusals."""

from __future__ import annotations

import jax
import ml_dtypes
import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.interpret import evaluate
from graphflow.runtime.jax import lower  # noqa: F401 (fills the table)
from graphflow.runtime.jax.lowering import LOWERINGS
from tests.ops.symbolic import run

N = Dim("n")
WILD = np.array([2.0, np.nan, -0.0, 0.0, 2.0, -np.inf, np.inf, -np.nan, -0.0], np.float32)
BACKENDS = pytest.mark.parametrize("backend", ["numpy", "jax"])


def _value(*tensors: gf.Tensor) -> list[np.ndarray]:
    return evaluate(tensors, {})


# Order


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ml_dtypes.bfloat16])
def test_nan_is_the_largest_and_ties_keep_their_order(dtype: object) -> None:
    x = gf.constant(WILD.astype(dtype), allow_nan=True)
    up, down = _value(gf.argsort(x), gf.argsort(x, descending=True))
    assert up.tolist() == [5, 2, 3, 8, 0, 4, 6, 1, 7]
    assert down.tolist() == [1, 7, 6, 0, 4, 2, 3, 8, 5]
    (ordered,) = _value(gf.sort(x))
    assert ordered.dtype == dtype
    assert np.signbit(ordered[1:4].astype(np.float32)).tolist() == [True, False, True]


def test_sort_agrees_with_numpy(rng: np.random.Generator) -> None:
    x = rng.integers(-5, 5, (4, 5, 6))
    for axis in (0, 1, -1):
        up, down, order = _value(
            gf.sort(gf.constant(x), axis),
            gf.sort(gf.constant(x), axis, descending=True),
            gf.argsort(gf.constant(x), axis, descending=True),
        )
        np.testing.assert_array_equal(up, np.sort(x, axis))
        np.testing.assert_array_equal(down, -np.sort(-x, axis))
        np.testing.assert_array_equal(order, np.argsort(-x, axis, kind="stable"))


def test_sort_of_a_symbolic_axis_and_its_gradient(rng: np.random.Generator) -> None:
    x, weights = gf.placeholder("x", (N, 3)), gf.placeholder("w", (N, 3))
    y = gf.sort(x, axis=0, descending=True)
    (slope,) = gf.gradients([y], [x], [weights])
    data = rng.permutation(12).reshape(4, 3).astype(np.float32)
    given = rng.normal(size=(4, 3)).astype(np.float32)
    value, gradient = run([y, slope], {x: data, weights: given}, n=4)
    np.testing.assert_array_equal(value, -np.sort(-data, 0))
    expected = np.zeros_like(given)
    np.put_along_axis(expected, np.argsort(-data, 0), given, 0)
    np.testing.assert_array_equal(gradient, expected)


# The first of the order


@pytest.mark.parametrize("largest", [True, False])
def test_top_k_is_the_head_of_a_stable_sort(rng: np.random.Generator, largest: bool) -> None:
    x = rng.integers(0, 4, (3, 8)).astype(np.float32)
    for k in (0, 1, 5, 8):
        values, indices = _value(*gf.top_k(gf.constant(x), k, largest=largest))
        expected = np.argsort(-x if largest else x, 1, kind="stable")[:, :k]
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_array_equal(values, np.take_along_axis(x, expected, 1))


def test_the_gradient_of_top_k_reaches_the_chosen_alone() -> None:
    x = gf.constant([1.0, 5.0, 5.0, 2.0])
    values, indices = gf.top_k(x, 2)
    assert _value(*gf.gradients([values], [x], [gf.constant([10.0, 20.0])]))[0].tolist() == [0, 10, 20, 0]
    positions = gf.astype(indices, gf.float32)
    assert _value(*gf.gradients([positions], [x]))[0].tolist() == [0, 0, 0, 0]
    both = gf.gradients([gf.multiply(positions, values)], [x])
    assert _value(*both)[0].tolist() == [0, 1, 2, 0]


def test_top_k_of_more_than_there_are() -> None:
    x = gf.constant([[1.0, 2.0]])
    with pytest.raises(ShapeError, match=r"cannot find 3 elements along an axis of size 2") as caught:
        gf.top_k(x, 3)
    assert "at most 2" in str(caught.value)
    with pytest.raises(ShapeError, match="k of at least 0, not -1"):
        gf.top_k(x, -1)
    with pytest.raises(ShapeError, match="cannot find n"):
        gf.top_k(gf.placeholder("x", (N,)), N + 1)


@BACKENDS
def test_top_k_of_an_axis_that_turns_out_too_short(backend: str) -> None:
    x = gf.placeholder("x", (N,))
    values, _ = gf.top_k(x, 2)
    with gf.Session(backend=backend) as session:
        assert session.run(values, {x: np.array([1, 3, 2], np.float32)}).tolist() == [3, 2]
        with pytest.raises(ShapeError, match="cannot find 2 elements along an axis of size 1"):
            session.run(values, {x: np.ones(1, np.float32)})


@pytest.mark.gpu
@pytest.mark.parametrize("size", [9, 5000])
def test_top_k_orders_awkward_values_on_a_gpu_too(size: int) -> None:
    data = np.resize(WILD, size)
    with jax.enable_x64(True):
        _, found = jax.jit(lambda x: LOWERINGS["top_k"](x, k=9, axis=0, largest=True))(data)
    _, expected = _value(*gf.top_k(gf.constant(data, allow_nan=True), 9))
    np.testing.assert_array_equal(found, expected)


def test_complex_numbers_have_no_order() -> None:
    x = gf.constant([1j, 2.0])
    for call in (gf.sort, gf.argsort, lambda x: gf.top_k(x, 1), lambda x: gf.unique_values(x, size=2)):
        with pytest.raises(DTypeError, match="does not take complex"):
            call(x)
    with pytest.raises(AttributeValueError, match="rank 0"):
        gf.sort(gf.constant(1.0))


# Search


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted_agrees_with_numpy(rng: np.random.Generator, side: str) -> None:
    x1, x2 = np.sort(rng.integers(0, 9, 20)), rng.integers(-2, 12, (3, 5))
    (found,) = _value(gf.searchsorted(gf.constant(x1), gf.constant(x2), side=side))
    np.testing.assert_array_equal(found, np.searchsorted(x1, x2, side))
    assert found.dtype == np.int64


def test_searchsorted_promotes_and_refuses() -> None:
    vector = gf.constant([1, 2])
    assert _value(gf.searchsorted(vector, gf.constant([1.5])))[0].tolist() == [1]
    with pytest.raises(ShapeError, match="sorted vector"):
        gf.searchsorted(gf.constant([[1, 2]]), vector)
    with pytest.raises(AttributeValueError, match="no side 'middle'"):
        gf.searchsorted(vector, vector, side="middle")


@pytest.mark.parametrize("wanted", [[], [3], [3.0, np.nan, -0.0], [[1, 3], [9, 9]]])
def test_isin_agrees_with_numpy(wanted: list) -> None:
    x = np.array([[3, np.nan, 0.0], [1, 2, -3]], np.float32)
    among = np.array(wanted, np.float32)
    inside, outside = _value(gf.isin(x, among), gf.isin(x, among, invert=True))
    np.testing.assert_array_equal(inside, np.isin(x, among))
    np.testing.assert_array_equal(outside, ~np.isin(x, among))


def test_isin_of_elements_that_turn_out_none() -> None:
    among = gf.placeholder("among", (N,))
    (found,) = run([gf.isin(gf.constant([0.0, 1.0]), among)], {among: np.zeros(0, np.float32)}, n=0)
    assert found.tolist() == [False, False]


# Median


@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("shape", [(5, 4), (1, 1), (4, 3)])
@pytest.mark.parametrize("dtype", ["float32", "int16", "bool"])
def test_median_agrees_with_numpy(rng: np.random.Generator, axis: int, shape: tuple, dtype: str) -> None:
    x = rng.integers(-9, 9, shape).astype(dtype)
    wide = x if dtype == "float32" else x.astype(np.float64)
    for keepdims in (False, True):
        (found,) = _value(gf.median(gf.constant(x), axis, keepdims))
        expected = np.median(wide, axis, keepdims=keepdims)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "row", [[np.inf, np.inf, 1], [-np.inf, np.inf], [1, np.nan, 2], [3e38, 3e38], [1e-45]]
)
def test_median_of_awkward_values(row: list[float]) -> None:
    data = np.array(row, np.float32)
    (found,) = _value(gf.median(gf.constant(data, allow_nan=True)))
    with np.errstate(invalid="ignore"):
        expected = np.median(data.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(found, expected)


def test_median_of_a_symbolic_axis_and_its_gradient() -> None:
    x = gf.placeholder("x", (N,))
    y = gf.median(x)
    (slope,) = gf.gradients([y], [x])
    value, gradient = run([y, slope], {x: np.array([4, 1, 9, 2], np.float32)}, n=4)
    assert value == 3 and gradient.tolist() == [0.5, 0, 0, 0.5]
    value, gradient = run([y, slope], {x: np.array([4, 1, 9], np.float32)}, n=3)
    assert value == 4 and gradient.tolist() == [1, 0, 0]
    with pytest.raises(ShapeError, match="no elements"):
        gf.median(gf.zeros((0, 2)), axis=0)
