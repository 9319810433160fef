"""Comparison and choice: which operands are promoted, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.autodiff.reverse import gradients
from graphflow.errors import DTypeError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import bfloat16, bool_, float16, float32, float64, int8, int32, int64
from graphflow.ir.interpret import evaluate
from graphflow.ops import comparison
from graphflow.ops.declare import constant, placeholder

TRUE = np.array([True, False])


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (1.0, 0, float32),
        (1, 0, int32),
        (True, False, bool_),
        (np.ones(2, np.int8), 0, int8),
        (np.ones(2, np.int8), 0.5, float32),
        (np.ones(2, np.float16), 0.5, float16),
        (np.ones(2, np.int32), np.ones(2, np.float32), float64),
        (np.ones(2, np.int8), np.ones(2, np.int64), int64),
    ],
)
def test_where_promotes_its_branches_alone(x, y, expected):
    made = comparison.where(TRUE, x, y)
    assert made.dtype is expected
    assert made.node.inputs[0].dtype is bool_
    chosen = np.where(TRUE, np.asarray(x).astype(expected.numpy), np.asarray(y).astype(expected.numpy))
    np.testing.assert_array_equal(evaluate([made])[0], chosen)


def test_where_takes_a_scalar_condition():
    assert comparison.where(True, constant(1.0, dtype=bfloat16), 0).dtype is bfloat16


def test_where_broadcasts_all_three():
    made = comparison.where(placeholder("c", ("n", 1, 1), bool), placeholder("x", (3, 1)), np.ones(2))
    assert made.shape == (Dim("n"), 3, 2)
    with pytest.raises(ShapeError, match="do not broadcast"):
        comparison.where(TRUE, np.ones(3), 0)


def test_where_needs_a_boolean_condition():
    with pytest.raises(DTypeError, match="where needs a boolean condition, not int32") as caught:
        comparison.where(constant([1, 0]), 1.0, 2.0)
    assert "gf.not_equal" in str(caught.value)


def test_the_branch_not_chosen_gets_no_gradient_even_where_it_is_nan():
    x, y = placeholder("x", (3,)), placeholder("y", (3,))
    made = gradients(comparison.where(comparison.greater(x, 0), x, y), [x, y])
    feeds = {x: np.array([1, -1, np.nan], np.float32), y: np.array([np.nan, 2, 3], np.float32)}
    assert [array.tolist() for array in evaluate(made, feeds)] == [[1, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_logic_is_for_booleans(name):
    with pytest.raises(DTypeError, match=f"{name} takes booleans, not int32"):
        getattr(comparison, name)(constant([1, 0]), constant([True, False]))
    with pytest.raises(DTypeError, match="logical_not takes booleans"):
        comparison.logical_not(constant(1.0))


@pytest.mark.parametrize("name", ["less", "less_equal", "greater", "greater_equal"])
def test_complex_numbers_have_no_order(name):
    with pytest.raises(DTypeError, match="an order does not take complex64"):
        getattr(comparison, name)(constant(1j), 1.0)


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift"])
def test_floats_have_no_bits(name):
    with pytest.raises(DTypeError, match="does not take float32"):
        getattr(comparison, name)(constant([1.0, 2.0]), constant(1.0, dtype=float32))


def test_shifts_do_not_take_booleans():
    with pytest.raises(DTypeError, match="a shift does not take bool"):
        comparison.bitwise_right_shift(constant(True), constant(True))


def test_integers_are_compared_after_promotion():
    unsigned = constant(np.array([255], np.uint8))
    assert evaluate([comparison.greater(unsigned, constant(np.array([-1], np.int8)))])[0].tolist() == [True]
    large = constant(np.array([2**53 + 1]))
    assert evaluate([comparison.equal(large, 2**53)])[0].tolist() == [False]
