"""Writing at positions: against NumPy's ufunc.at, last writers, gradients at zeros and ties, refusals."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphflow as gf
from graphflow.autodiff.check import check_gradients
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from graphflow.ops.declare import constant, placeholder
from graphflow.ops.scattering import gather_nd, put_along_axis, scatter_nd
from graphflow.runtime.jax import lower_indexing
from tests.ops.symbolic import run

N = gf.Dim("n")
COMBINE = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


@pytest.mark.parametrize("reduction", ["none", *COMBINE])
def test_put_along_axis_is_that_of_numpy(reduction, rng) -> None:
    for axis in (0, 1, -1):
        x = rng.normal(size=(4, 5, 3))
        shape = [4, 5, 3]
        shape[axis] = 7
        indices, values = rng.integers(-shape[axis] + 4, 3, shape), rng.normal(size=shape)
        expected = x.copy()
        grid = list(np.ogrid[tuple(map(slice, shape))])
        grid[axis] = indices
        if reduction == "none":
            expected[tuple(grid)] = values
        else:
            COMBINE[reduction].at(expected, tuple(grid), values)
        (made,) = evaluate([put_along_axis(x, indices, values, axis, reduction)])
        np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("reduction", ["none", "add", "max"])
def test_indices_may_be_for_a_part_of_the_other_axes(reduction) -> None:
    x = np.zeros((3, 4), np.float32)
    (made,) = evaluate([put_along_axis(x, [[1, -1]], [[5.0, 6.0]], axis=1, reduction=reduction)])
    np.testing.assert_array_equal(made, [[0, 5, 0, 6], [0] * 4, [0] * 4])


def test_values_broadcast_and_indices_of_all_dtypes_mean_the_same() -> None:
    x = np.zeros((2, 3), np.int32)
    for dtype in ("int8", "uint8", "int64", "uint64"):
        top = np.iinfo(dtype).max
        (made,) = evaluate([put_along_axis(x, np.array([[0], [top]], dtype), 7)])
        np.testing.assert_array_equal(made, [[7, 0, 0], [0, 0, 7]])


def test_the_last_writer_wins_on_every_backend(rng) -> None:
    x, indices = np.zeros((7, 2), np.float32), rng.integers(0, 7, (5000, 1))
    updates = rng.normal(size=(5000, 2)).astype(np.float32)
    expected = x.copy()
    expected[indices[:, 0]] = updates
    given = placeholder("indices", (N, 1), gf.int64)
    y = scatter_nd(x, given, placeholder("updates", (N, 2)))
    feeds = {given: indices, y.node.inputs[2]: updates}
    for backend in ("numpy", "jax"):
        with gf.Session(backend=backend) as session:
            np.testing.assert_array_equal(session.run(y, feeds), expected)
    made = jax.jit(lower_indexing._replaced_by_last)(jnp.asarray(x), jnp.asarray(updates), indices[:, 0])
    np.testing.assert_array_equal(made, expected)


def test_only_the_last_writer_gets_a_gradient() -> None:
    x, u = placeholder("x", (3,), gf.float64), placeholder("u", (4,), gf.float64)
    y = scatter_nd(x, constant([[1], [1], [2], [1]]), u)
    feeds = {x: np.zeros(3), u: np.zeros(4)}
    dx, du = evaluate(gradients([y], [x, u], [constant(np.array([1.0, 10.0, 100.0]))]), feeds)
    np.testing.assert_array_equal(dx, [1, 0, 0])
    np.testing.assert_array_equal(du, [0, 0, 100, 10])


def test_gradients_of_products_at_zeros() -> None:
    indices = constant([[0], [0], [1], [1], [2]])
    x, u = placeholder("x", (4,), gf.float64), placeholder("u", (5,), gf.float64)
    feeds = {x: np.array([0.0, 2.0, 0.0, 3.0]), u: np.array([2.0, 3.0, 0.0, 5.0, 0.0])}
    y = scatter_nd(x, indices, u, reduction="mul")
    dx, du = evaluate(gradients([gf.sum(y)], [x, u]), feeds)
    np.testing.assert_array_equal(dx, [6, 0, 0, 1])
    np.testing.assert_array_equal(du, [0, 0, 10, 0, 0])
    check_gradients(gf.sum(y), [x, u], {x: np.array([1.5, -2.0, 3.0, 1.0]), u: np.arange(1.0, 6.0)})


@pytest.mark.parametrize("reduction", ["min", "max"])
def test_ties_of_extremes_share(reduction) -> None:
    x, u = placeholder("x", (2,), gf.float64), placeholder("u", (3,), gf.float64)
    y = scatter_nd(x, constant([[0], [0], [0]]), u, reduction=reduction)
    feeds = {x: np.array([1.0, 5.0]), u: np.array([1.0, 1.0, 2.0 if reduction == "min" else 0.0])}
    dx, du = evaluate(gradients([gf.sum(y)], [x, u]), feeds)
    np.testing.assert_allclose(dx, [1 / 3, 1])
    np.testing.assert_allclose(du, [1 / 3, 1 / 3, 0])


def test_second_derivatives_stay_finite_where_x_was_not_written() -> None:
    x, u = placeholder("x", (3,), gf.float64), placeholder("u", (1,), gf.float64)
    y = scatter_nd(x, constant([[1]]), u, reduction="max")
    (first,) = gradients([gf.sum(y * y * y)], [x])
    (second,) = gradients([gf.sum(first)], [x])
    (made,) = evaluate([second], {x: np.array([1.0, -2.0, 3.0]), u: np.array([0.5])})
    np.testing.assert_allclose(made, [6, 0, 18])


def test_gather_nd_in_batches(rng) -> None:
    x, indices = rng.normal(size=(2, 3, 4, 5)), rng.integers(-3, 3, (2, 3, 6, 1))
    (made,) = evaluate([gather_nd(x, indices, batch_dims=2)])
    expected = np.stack([[x[i, j][indices[i, j, :, 0]] for j in range(3)] for i in range(2)])
    np.testing.assert_array_equal(made, expected)


def test_gather_nd_in_batches_of_symbolic_size(rng) -> None:
    x, indices = placeholder("x", (N, 4)), placeholder("i", (N, 2, 1), gf.int32)
    y = gather_nd(x, indices, batch_dims=1)
    assert y.shape == (N, 2)
    data, picks = rng.normal(size=(3, 4)).astype(np.float32), rng.integers(0, 4, (3, 2, 1)).astype(np.int32)
    value, slope = run([y, *gradients([y], [x])], {x: data, indices: picks}, n=3)
    np.testing.assert_array_equal(value, np.take_along_axis(data, picks[..., 0], 1))
    expected = np.zeros_like(data)
    np.add.at(expected, (np.arange(3)[:, None], picks[..., 0]), 1)
    np.testing.assert_array_equal(slope, expected)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x, i: scatter_nd(x, i, gf.ones((3,)), reduction="mean"), AttributeValueError),
        (lambda x, i: scatter_nd(x, i, gf.ones((3,)), reduction=["add"]), AttributeValueError),
        (lambda x, i: scatter_nd(x, i, gf.ones((2, 3))), ShapeError),
        (lambda x, i: scatter_nd(x, i, gf.ones((3, 3), gf.int32)), DTypeError),
        (lambda x, i: scatter_nd(gf.astype(x, bool), i, gf.astype(gf.ones((2, 1)), bool), "mul"), ShapeError),
        (lambda x, i: scatter_nd([True], [[0]], [True], "mul"), DTypeError),
        (lambda x, i: scatter_nd(x, gf.astype(i, float), gf.ones((2, 3))), DTypeError),
        (lambda x, i: put_along_axis(x, gf.zeros((5, 1), gf.int32), 1.0, axis=1), ShapeError),
        (lambda x, i: put_along_axis(x, gf.zeros((1,), gf.int32), 1.0), ShapeError),
        (lambda x, i: put_along_axis(x, gf.zeros((1, 1)), 1.0), DTypeError),
        (lambda x, i: put_along_axis(x, gf.zeros((1, 1), gf.int32), 1.0, axis=2), AttributeValueError),
        (lambda x, i: put_along_axis(x, gf.zeros((1, 1), gf.int32), 1.0, 0, "sum"), AttributeValueError),
        (lambda x, i: gather_nd(x, i, batch_dims=3), AttributeValueError),
        (lambda x, i: gather_nd(x, i, batch_dims=-1), AttributeValueError),
        (lambda x, i: gather_nd(x, gf.zeros((9, 1), gf.int32), batch_dims=1), ShapeError),
    ],
)
def test_refusals(call, error) -> None:
    with pytest.raises(error):
        call(placeholder("x", (4, 3)), constant([[0, 1], [2, 2]]))
