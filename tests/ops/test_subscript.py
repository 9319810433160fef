"""Python indexing of tensors against NumPy's."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from graphflow.errors import AttributeValueError, DTypeError, GraphFlowError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate
from graphflow.ops.declare import constant, placeholder
from graphflow.ops.subscript import getitem
from tests.ops.symbolic import run

N = Dim("n")
CUBE = np.arange(60, dtype=np.float32).reshape(3, 4, 5)

BOUNDS = st.none() | st.integers(-6, 6)
ENTRIES = st.one_of(
    st.integers(-3, 2), st.builds(slice, BOUNDS, BOUNDS, st.none() | st.sampled_from([1, 2, -1, -3]))
)
KEYS = st.lists(ENTRIES, max_size=3).flatmap(
    lambda entries: st.lists(st.sampled_from([None]), max_size=2).flatmap(
        lambda new: st.permutations([*entries, *new]).map(tuple)
    )
)


@hypothesis.settings(max_examples=200)
@hypothesis.given(key=KEYS, dots=st.integers(0, 5))
def test_integers_slices_and_new_axes(key: tuple, dots: int) -> None:
    key = (*key[:dots], Ellipsis, *key[dots:])
    with Graph():
        fixed, symbolic = placeholder("fixed", CUBE.shape), placeholder("symbolic", ("a", "b", "c"))
        expected = CUBE[key]
        (value,) = evaluate([getitem(fixed, key)], {fixed: CUBE})
        np.testing.assert_array_equal(value, expected)
        (value,) = run([getitem(symbolic, key)], {symbolic: CUBE}, a=3, b=4, c=5)
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize(
    "key",
    [
        [2, 0, -1],
        np.array([[0, 1], [2, -3]]),
        (slice(None), [1, 1, 3]),
        (slice(1, None), None, [0, 2], slice(None, None, -1)),
        (..., np.array([4, 0], np.uint8)),
        (0, [1, 2]),
        ([1, 2], 0),
        (np.int64(1), slice(None), np.int8(-1)),
        (None, np.array(1)),
        [],
        np.zeros((2, 0), np.int32),
    ],
)
def test_arrays_replace_their_axis(key) -> None:
    (value,) = evaluate([getitem(constant(CUBE), key)])
    expected = CUBE[np.zeros(0, int)] if isinstance(key, list) and not key else CUBE[key]
    np.testing.assert_array_equal(value, expected)


def test_tensors_are_indices() -> None:
    x, i = placeholder("x", (N, 4)), placeholder("i", ("k",), "int32")
    picked, scalar = getitem(x, i), getitem(x, (slice(None), constant(2)))
    assert picked.shape == (Dim("k"), 4) and scalar.shape == (N,)
    data = CUBE[:, :, 0]
    values = run([picked, scalar], {x: data, i: np.array([2, -1], np.int32)}, n=3, k=2)
    np.testing.assert_array_equal(values[0], data[[2, -1]])
    np.testing.assert_array_equal(values[1], data[:, 2])


def test_dims_are_positions() -> None:
    x = placeholder("x", (N, 4))
    values = run([getitem(x, N - 1), getitem(x, slice(N // 2, None))], {x: CUBE[:, :, 0]}, n=3)
    np.testing.assert_array_equal(values[0], CUBE[2, :, 0])
    np.testing.assert_array_equal(values[1], CUBE[1:, :, 0])


def test_a_full_slice_adds_no_node() -> None:
    x = placeholder("x", (N, 4))
    count = len(x.graph)
    for key in (slice(None), ..., (), (slice(None, None, 1), slice(None))):
        assert getitem(x, key) is x
    assert len(x.graph) == count


def test_indexing_a_symbolic_axis_asks_for_elements() -> None:
    x = placeholder("x", (N, 4))
    assert getitem(x, 2).shape == (4,)
    assert len(x.graph.constraints) == 1, "n >= 3 is to be checked when the sizes arrive"
    assert getitem(placeholder("y", (Dim("m", min=1),)), 0).shape == ()
    assert len(x.graph.constraints) == 1, "m >= 1 needs no check"


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (3, ShapeError, "out of range for axis 0 of size 3"),
        ((0, -5), ShapeError, "out of range for axis 1 of size 4"),
        ((0, 0, 0, 0), ShapeError, "4 indices"),
        ((..., ...), AttributeValueError, "once"),
        (1.0, AttributeValueError, "1.0"),
        ("a", AttributeValueError, "'a'"),
        (True, DTypeError, "boolean mask"),
        (np.array([True, False, True]), DTypeError, "boolean mask"),
        ([True, False, True], DTypeError, "boolean mask"),
        (np.array([0.5]), DTypeError, "float64"),
        (([0, 1], [0, 1]), AttributeValueError, "two arrays"),
        ((0, slice(None), [0, 1]), AttributeValueError, "slice between"),
        (slice(0.5, None), AttributeValueError, "slice bound"),
        (slice(None, None, 0), AttributeValueError, "non-zero"),
    ],
)
def test_bad_indices_are_refused(key, error, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        getitem(placeholder("x", (3, 4, 5)), key)
    assert "test_subscript.py" in str(caught.value)


def test_tensor_masks_and_unknown_bounds_are_refused() -> None:
    x = placeholder("x", (3,))
    with pytest.raises(DTypeError, match="boolean mask"):
        getitem(x, placeholder("mask", (3,), "bool"))
    with pytest.raises(ShapeError, match="the value of x:0 decides a shape here, but is not known"):
        getitem(x, slice(x, None))
    with pytest.raises(GraphFlowError, match=r"slice bound must be an integer, not 1\.5"):
        getitem(x, slice(constant(1.5), None))
    assert getitem(x, slice(constant(1), None)).shape == (2,)
