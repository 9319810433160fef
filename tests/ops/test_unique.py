"""Unique slices: against np.unique, in the order of occurrence, NaN, too small a size, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.interpret import evaluate
from graphflow.ops.declare import constant, placeholder
from graphflow.ops.unique import slice_ranks, unique


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.bool_])
def test_unique_slices_are_those_of_numpy(axis, dtype, rng) -> None:
    x = rng.integers(0, 2, (6, 5, 2)).astype(dtype)
    expected = np.unique(x, axis=axis, return_index=True, return_inverse=True, return_counts=True)
    count = expected[0].shape[axis]
    for size in (count, count + 2):
        made = evaluate(list(unique(x, axis, size=size)))
        np.testing.assert_array_equal(np.take(made[0], range(count), axis), expected[0])
        np.testing.assert_array_equal(made[1][:count], expected[1])
        np.testing.assert_array_equal(made[2], expected[2].ravel())
        np.testing.assert_array_equal(made[3][:count], expected[3])
        assert not made[3][count:].any() and not np.take(made[0], range(count, size), axis).any()


@pytest.mark.parametrize("axis", [None, 0])
def test_the_order_of_occurrence(axis, rng) -> None:
    x = rng.integers(-3, 4, (20,)).astype(np.float64)
    values, indices, inverse, counts = evaluate(list(unique(x, axis, sorted=False, size=9, fill_value=-1)))
    seen = list(dict.fromkeys(x.tolist()))
    np.testing.assert_array_equal(values, seen + [-1] * (9 - len(seen)))
    np.testing.assert_array_equal(indices[: len(seen)], [x.tolist().index(one) for one in seen])
    np.testing.assert_array_equal(values[inverse], x)
    np.testing.assert_array_equal(counts[: len(seen)], [(x == one).sum() for one in seen])


def test_more_than_the_size_are_left_out_from_the_largest_down() -> None:
    values, indices, inverse, counts = evaluate(list(unique([[3], [1], [2], [1]], 0, sorted=False, size=2)))
    np.testing.assert_array_equal(values, [[1], [2]])
    np.testing.assert_array_equal(indices, [1, 2])
    np.testing.assert_array_equal(inverse, [2, 0, 1, 0])
    np.testing.assert_array_equal(counts, [2, 1])


def test_every_nan_is_a_slice_of_its_own_and_zeros_are_equal() -> None:
    x = np.array([[0.0, np.nan], [-0.0, 1.0], [0.0, 1.0], [0.0, np.nan]])
    assert evaluate([slice_ranks(x)])[0].tolist() == [1, 0, 0, 2]


def test_no_slices_and_slices_of_nothing() -> None:
    values, _, inverse, counts = evaluate(list(unique(np.zeros((0, 2), np.float32), 0, size=2, fill_value=7)))
    np.testing.assert_array_equal(values, np.full((2, 2), 7))
    assert inverse.shape == (0,) and counts.tolist() == [0, 0]
    values, _, _, counts = evaluate(list(unique(np.zeros((3, 0), np.float32), 0, size=1)))
    assert values.shape == (1, 0) and counts.tolist() == [3]


def test_the_gradient_goes_to_the_first_occurrence() -> None:
    x = placeholder("x", (3, 2))
    values, *_ = unique(x, 0, sorted=False, size=3)
    weights = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    (slope,) = gradients([values], [x], [constant(weights)])
    (made,) = evaluate([slope], {x: np.array([[5, 1], [5, 1], [0, 2]], np.float32)})
    np.testing.assert_array_equal(made, [[1, 2], [0, 0], [3, 4]])


@pytest.mark.parametrize(
    ("x", "options", "error"),
    [
        ([1.0], {"axis": 1, "size": 1}, AttributeValueError),
        ([1.0], {"axis": 0, "size": -1}, AttributeValueError),
        ([1], {"axis": 0, "size": 1, "fill_value": 0.5}, AttributeValueError),
        ([1j], {"axis": 0, "size": 1}, DTypeError),
    ],
)
def test_refusals(x, options, error) -> None:
    with pytest.raises(error):
        unique(x, **options)


def test_symbolic_sizes() -> None:
    x = gf.placeholder("x", ("n", "m"))
    values, indices, inverse, counts = unique(x, 1, size=gf.Dim("k"))
    n, k = x.shape[0], gf.Dim("k")
    assert (values.shape, indices.shape, inverse.shape, counts.shape) == ((n, k), (k,), (x.shape[1],), (k,))
