"""Reading and adding at computed positions: one rule for indices, symbolic sizes, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, GraphFlowError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.interpret import evaluate
from graphflow.ops.declare import constant, placeholder
from graphflow.ops.indexing import (
    add_along_axis,
    gather_nd,
    index_add,
    one_hot,
    positions,
    scatter_nd_add,
    take,
    take_along_axis,
)
from tests.ops.symbolic import run

N, K = Dim("n"), Dim("k")


@pytest.mark.parametrize("size", [1, 2, 5, 200, 2**31])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
def test_one_rule_for_all_index_types(size: int, dtype: str) -> None:
    limits = np.iinfo(dtype)
    indices = np.array([limits.min, limits.min + 1, 0, 1, limits.max], dtype)
    expected = [min(max(int(i) + size if i < 0 else int(i), 0), size - 1) for i in indices]
    assert positions(indices, size).tolist() == expected


def test_take_of_symbolic_sizes(rng) -> None:
    table, ids = placeholder("table", (N, 3)), placeholder("ids", (K, 2), "int64")
    y = take(table, ids)
    assert y.shape == (K, 2, 3)
    (g,) = gradients([y], [table])
    data, picks = rng.normal(size=(4, 3)).astype(np.float32), np.array([[0, 0], [-1, 9]])
    value, gradient = run([y, g], {table: data, ids: picks}, n=4, k=2)
    np.testing.assert_array_equal(value, data[[[0, 0], [3, 3]]])
    np.testing.assert_array_equal(gradient, np.repeat([[2], [0], [0], [2]], 3, axis=1))


def test_an_axis_that_turns_out_empty_gives_zeros() -> None:
    x, i = placeholder("x", (N, 2)), placeholder("i", (K,), "int32")
    vectors = placeholder("vectors", (K, 1), "int32")
    y = [take(x, i), gather_nd(x, vectors), index_add(x, i, take(x, i))]
    fed = {
        x: np.zeros((0, 2), np.float32),
        i: np.array([0, 3], np.int32),
        vectors: np.zeros((2, 1), np.int32),
    }
    values = run(y, fed, n=0, k=2)
    np.testing.assert_array_equal(values[0], np.zeros((2, 2)))
    np.testing.assert_array_equal(values[1], np.zeros((2, 2)))
    assert values[2].shape == (0, 2)


def test_additions_are_those_of_numpy(rng) -> None:
    x, where = rng.normal(size=(5, 4, 3)), rng.integers(0, 4, (2, 6))
    updates = rng.normal(size=(5, 2, 6, 3))
    expected = x.copy()
    np.add.at(expected, (slice(None), where), updates)
    np.testing.assert_allclose(evaluate([index_add(x, where, updates, axis=1)])[0], expected, rtol=1e-12)
    along = rng.integers(0, 4, (5, 7, 3))
    expected = x.copy()
    np.add.at(expected, (np.arange(5)[:, None, None], along, np.arange(3)), 1.0)
    (value,) = evaluate([add_along_axis(x, along, np.ones(along.shape), axis=1)])
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_array_equal(
        evaluate([take_along_axis(x, along, axis=1)])[0], np.take_along_axis(x, along, 1)
    )
    vectors = rng.integers(0, 4, (9, 2))
    expected = x.copy()
    np.add.at(expected, (vectors[:, 0], vectors[:, 1]), 2.0)
    (value,) = evaluate([scatter_nd_add(x, vectors, np.full((9, 3), 2.0))])
    np.testing.assert_allclose(value, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_gradient_of_one_element_a_row_selects(dtype: str, axis: int) -> None:
    """Like a scatter, indices wrapped and clamped, but without one; also along 200 elements by int8."""
    numbers = [0, 3, 100] if dtype[0] == "u" else [-1, 100, -128]
    column = np.expand_dims(np.array(numbers, dtype), axis)
    data = np.zeros((3, 200) if axis == 1 else (200, 3))
    x = placeholder("x", data.shape, data.dtype)
    weights = np.array([2.0, 3.0, 5.0])
    (g,) = gradients([take_along_axis(x, column, axis=axis)], [x], [np.expand_dims(weights, axis)])
    assert not any(node.op is add_along_axis for node in x.graph.nodes)
    (value,) = evaluate([g], {x: data})
    expected = data.copy()
    for row, number in enumerate(numbers):
        expected[(row, number) if axis == 1 else (number, row)] = weights[row]
    np.testing.assert_array_equal(value, expected)


def test_a_python_integer_is_an_index() -> None:
    x = constant(np.arange(6, dtype=np.float32).reshape(2, 3))
    values = evaluate([take(x, 1), take(x, -1, axis=1), take(x, Dim("n") - Dim("n") + 1)])
    np.testing.assert_array_equal(values[0], [3, 4, 5])
    np.testing.assert_array_equal(values[1], [2, 5])
    assert one_hot(2, 4).shape == (4,)


def test_references_leave_their_inputs_alone() -> None:
    x = np.zeros((3, 2), np.float32)
    x.setflags(write=False)
    made = index_add(x, [0], np.ones((1, 2), np.float32))
    assert evaluate([made])[0].sum() == 2 and not x.any()


def test_one_hot_ignores_what_is_outside() -> None:
    y = one_hot(placeholder("label", (N,), "int32"), K, axis=0)
    assert y.shape == (K, N)
    fed = {y.node.inputs[0]: np.array([1, -1, 3], np.int32), placeholder("k", (K,)): np.zeros(3, np.float32)}
    (value,) = run([y], fed, n=3, k=3)
    np.testing.assert_array_equal(value, [[0, 0, 0], [1, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda x: take(x, constant([0.0])), DTypeError),
        (lambda x: take(x, constant([True])), DTypeError),
        (lambda x: take(x, [0], axis=2), AttributeValueError),
        (lambda x: take(constant(np.zeros((0, 2))), [0]), ShapeError),
        (lambda x: take(constant(1.0), [0]), AttributeValueError),
        (lambda x: index_add(x, [0, 1], np.ones((3, 4), np.float32)), ShapeError),
        (lambda x: index_add(x, [0, 1], np.ones((2, 4))), DTypeError),
        (lambda x: take_along_axis(x, [0, 1]), ShapeError),
        (lambda x: take_along_axis(x, [[0], [1]]), ShapeError),
        (lambda x: add_along_axis(x, np.zeros((3, 2), int), np.ones((3, 1), np.float32)), ShapeError),
        (lambda x: gather_nd(x, np.zeros((2, 3), int)), ShapeError),
        (lambda x: gather_nd(x, 1), ShapeError),
        (lambda x: gather_nd(x, placeholder("i", (2, "k"), "int32")), ShapeError),
        (lambda x: scatter_nd_add(x, [[0]], np.ones((1, 3), np.float32)), ShapeError),
        (lambda x: one_hot([0.5], 3), DTypeError),
        (lambda x: one_hot([0], -1), AttributeValueError),
        (lambda x: one_hot([0], 3, axis=2), AttributeValueError),
    ],
)
def test_what_does_not_fit_is_refused(make, error) -> None:
    with pytest.raises(error) as caught:
        make(placeholder("x", (3, 4)))
    assert isinstance(caught.value, GraphFlowError) and "test_indexing.py" in str(caught.value)
