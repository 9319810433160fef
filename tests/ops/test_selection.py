"""Selections of a fixed size: against NumPy, filled up, cut off, on both backends, and without a size."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, BackendError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.interpret import evaluate
from tests.ops.symbolic import run

N = Dim("n")
MASK = np.array([[0, 1, 0], [np.nan, 0, -2]], np.float32)
BACKENDS = pytest.mark.parametrize("backend", ["numpy", "jax"])


def _value(*tensors: gf.Tensor) -> list[np.ndarray]:
    return evaluate(tensors, {})


# Positions


@pytest.mark.parametrize("size", [0, 2, 3, 7])
def test_nonzero_is_that_of_numpy_filled_or_cut(size: int) -> None:
    found = _value(*gf.nonzero(gf.constant(MASK, allow_nan=True), size=size, fill_value=-1))
    assert len(found) == 2
    for mine, expected in zip(found, np.nonzero(MASK)):
        assert mine.dtype == np.int64 and mine.shape == (size,)
        assert mine.tolist() == [*expected, *[-1] * size][:size]


@BACKENDS
def test_nonzero_of_a_fed_size(backend: str) -> None:
    x = gf.placeholder("x", (N,), gf.bool)
    (where,) = gf.nonzero(x, size=N, fill_value=9)
    with gf.Session(backend=backend) as session:
        assert session.run(where, {x: np.array([False, True, True])}).tolist() == [1, 2, 9]
        assert session.run(where, {x: np.zeros(0, bool)}).tolist() == []


@pytest.mark.parametrize(
    "call", [gf.nonzero, gf.argwhere, gf.unique_all, gf.unique_values, gf.unique_counts, gf.unique_inverse]
)
def test_without_a_size_xla_refuses_and_says_what_to_do(call) -> None:
    found = call(gf.placeholder("x", (3,)))
    with gf.Session() as session, pytest.raises(BackendError, match="pass size=, the most there can be"):
        session.run(found, {"x": [1, 0, 2]})


def test_sizes_and_fills_are_checked() -> None:
    x = gf.constant([1, 0, 2], gf.int8)
    with pytest.raises(AttributeValueError, match="size of at least 0, not -1"):
        gf.nonzero(x, size=-1)
    with pytest.raises(AttributeValueError, match="fill_value of nonzero has to be a whole number"):
        gf.nonzero(x, size=1, fill_value=0.5)
    with pytest.raises(AttributeValueError, match="dtype int64 with 9223372036854775808"):
        gf.nonzero(x, size=1, fill_value=2**63)
    with pytest.raises(ShapeError, match="no positions in a scalar"):
        gf.nonzero(gf.constant(1.0), size=1)
    for value in (300, 0.5, "zero", float("nan"), 10**30):
        with pytest.raises(AttributeValueError, match="cannot fill a tensor of dtype int8"):
            gf.unique_values(x, size=2, fill_value=value)


# Masked slices


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("size", [0, 1, 2, 6])
def test_compress_is_that_of_numpy_filled_or_cut(axis: int | None, size: int) -> None:
    x = np.arange(12).reshape(3, 4)
    condition = np.arange(12 if axis is None else x.shape[axis]) % 3 == 0
    (found,) = _value(gf.compress(gf.constant(condition), gf.constant(x), axis, size=size, fill_value=-5))
    full = np.compress(condition, x, axis)
    place = axis or 0
    lacking = [(0, size) if at == place % full.ndim else (0, 0) for at in range(full.ndim)]
    expected = np.take(np.pad(full, lacking, constant_values=-5), np.arange(size), place)
    np.testing.assert_array_equal(found, expected)


def test_compress_passes_gradients_to_what_it_chose() -> None:
    x = gf.placeholder("x", (N,))
    y = gf.compress(gf.greater(x, 1.0), x, size=3, fill_value=np.nan)
    (slope,) = gf.gradients([y], [x])
    value, gradient = run([y, slope], {x: np.array([0, 3, 2, -1], np.float32)}, n=4)
    np.testing.assert_array_equal(value, [3, 2, np.nan])
    assert gradient.tolist() == [0, 1, 1, 0]


def test_a_condition_that_is_too_short_chooses_nothing_behind_its_end() -> None:
    x = np.arange(6.0).reshape(3, 2)
    assert _value(gf.compress([0, 1, 0, 0, 1], x, size=3))[0].tolist() == [1, 4, 0]
    assert _value(gf.compress([False, True], x, axis=0, size=1))[0].tolist() == [[2, 3]]


def test_compress_of_nothing_and_its_refusals() -> None:
    nothing, mask = gf.zeros((2, 0)), gf.constant(np.zeros(0, bool))
    assert _value(gf.compress(mask, nothing, 1, size=2, fill_value=7))[0].tolist() == [[7, 7], [7, 7]]
    with pytest.raises(ShapeError, match=r"condition of shape \[3\], not \[4\]"):
        gf.compress(gf.constant([True] * 4), gf.zeros((3,)), size=1)
    assert _value(gf.compress(gf.constant([True]), gf.zeros((1,))))[0].tolist() == [0.0]


# Unique values


def test_unique_all_agrees_with_numpy(rng: np.random.Generator) -> None:
    x = rng.integers(0, 6, (5, 4))
    expected = np.unique_all(x)
    count = len(expected.values)
    values, indices, inverse, counts = _value(*gf.unique_all(gf.constant(x), size=count + 2, fill_value=-1))
    assert values.tolist() == [*expected.values, -1, -1]
    assert indices.tolist() == [*expected.indices, 0, 0]
    assert counts.tolist() == [*expected.counts, 0, 0]
    np.testing.assert_array_equal(inverse, expected.inverse_indices)


def test_nan_and_zeros_among_unique_values() -> None:
    x = gf.constant([np.nan, 0.0, -0.0, np.nan], allow_nan=True)
    values, counts = _value(*gf.unique_counts(x, size=4, fill_value=np.inf))
    np.testing.assert_array_equal(values, [0.0, np.nan, np.nan, np.inf])
    assert not np.signbit(values[0]) and counts.tolist() == [2, 1, 1, 0]


def test_values_that_do_not_fit_are_left_out_from_the_largest_down() -> None:
    values, inverse = _value(*gf.unique_inverse(gf.constant([5, 3, 9, 3]), size=2))
    assert values.tolist() == [3, 5] and inverse.tolist() == [1, 0, 2, 0]


@BACKENDS
def test_unique_values_of_a_fed_size(backend: str) -> None:
    x = gf.placeholder("x", (N,))
    y = gf.unique_values(x, size=3, fill_value=-1)
    (slope,) = gf.gradients([y], [x])
    with gf.Session(backend=backend) as session:
        value, gradient = session.run([y, slope], {x: np.array([2, 1, 2], np.float32)})
        assert value.tolist() == [1, 2, -1] and gradient.tolist() == [1, 1, 0]
        value, gradient = session.run([y, slope], {x: np.zeros(0, np.float32)})
        assert value.tolist() == [-1, -1, -1] and gradient.shape == (0,)
