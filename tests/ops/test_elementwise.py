"""Arithmetic: promotion, weak scalars, edge values with a stated meaning, and errors."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import DTYPES, bfloat16, float16, float32, float64, int8, int32, int64, uint8
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate
from graphflow.ops import casting, elementwise, functions, rounding
from graphflow.ops.declare import constant, placeholder

PLAIN = [dtype for dtype in DTYPES if dtype is not bfloat16]


def _zero(dtype):
    return constant(np.zeros(2, dtype.numpy))


def _value(tensor, feeds=None):
    return evaluate([tensor], feeds)[0]


@pytest.mark.parametrize("left", PLAIN, ids=str)
@pytest.mark.parametrize("operator", ["add", "divide"])
def test_promotion_is_that_of_numpy(left, operator):
    for right in PLAIN:
        ours = getattr(elementwise, operator)(_zero(left), _zero(right))
        with np.errstate(all="ignore"):
            theirs = getattr(np, operator)(np.zeros(2, left.numpy), np.zeros(2, right.numpy))
        assert ours.dtype.numpy == theirs.dtype


@pytest.mark.parametrize("dtype", PLAIN, ids=str)
def test_real_functions_lift_integers_as_numpy_does(dtype):
    ours = functions.exp(_zero(dtype))
    assert ours.dtype.numpy == np.exp(np.zeros(2, dtype.numpy)).dtype


@pytest.mark.parametrize(
    ("dtype", "scalar", "expected"),
    [
        (float16, 2.0, float16),
        (float16, 2, float16),
        (bfloat16, 0.5, bfloat16),
        (int8, 2, int8),
        (int8, True, int8),
        (int8, 2.0, float32),
        (int64, 2.0, float64),
        (uint8, 2, uint8),
        (float32, 1 << 20, float32),
    ],
    ids=str,
)
def test_python_scalars_are_weak(dtype, scalar, expected):
    tensor = constant(np.ones(2), dtype=dtype)
    assert elementwise.multiply(tensor, scalar).dtype is expected
    assert elementwise.multiply(scalar, tensor).dtype is expected


def test_two_scalars_take_default_dtypes():
    assert elementwise.add(1, 2).dtype is int32
    assert elementwise.add(1, 2.0).dtype is float32
    assert elementwise.divide(1, 2).dtype is float64


def test_symbolic_sizes_broadcast():
    x = placeholder("x", ("batch", 1, 3))
    assert elementwise.add(x, placeholder("y", (4, 1))).shape == (Dim("batch"), 4, 3)
    with pytest.raises(ShapeError, match=r"\[batch, 1, 3\] and \[4\] do not broadcast"):
        elementwise.add(x, placeholder("z", (4,)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: elementwise.subtract(constant(True), constant(False)), "subtract does not take bool"),
        (lambda: elementwise.negative(constant(True)), "negative does not take bool"),
        (lambda: elementwise.floor_divide(constant(1j), 2), "floor_divide does not take complex64"),
        (lambda: functions.erf(constant(1j)), "erf does not take complex64"),
        (lambda: rounding.floor(constant(True)), "rounding does not take bool"),
        (lambda: elementwise.add(constant(np.ones(1, np.int8)), 1000), "1000 does not fit int8"),
        (lambda: casting.astype(constant(1.0), "float33"), "'float33' is not an element type"),
    ],
)
def test_wrong_dtypes_are_refused(build, message):
    with pytest.raises(DTypeError, match=message) as caught:
        build()
    assert "test_elementwise.py" in str(caught.value) and caught.value.hint


def test_a_missing_dtype_is_named():
    with pytest.raises(AttributeValueError, match="astype needs the argument 'dtype'"):
        casting.astype_op(constant(1.0))


def test_astype_names_a_dtype_in_many_ways():
    x = constant([1.0])
    for dtype in (float16, "float16", np.float16, np.dtype("float16")):
        assert casting.astype(x, dtype).node.attrs == casting.astype(x, float16).node.attrs


def test_astype_saturates():
    x = constant(np.array([1e30, -1e30, np.nan, np.inf, 127.9, 128.0, -128.9]), allow_nan=True)
    assert _value(casting.astype(x, "int8")).tolist() == [127, -128, 0, 127, 127, 127, -128]
    assert _value(casting.astype(x, "uint64")).tolist() == [2**64 - 1, 0, 0, 2**64 - 1, 127, 128, 0]
    assert _value(casting.astype(x, "int64")).tolist() == [2**63 - 1, -(2**63), 0, 2**63 - 1, 127, 128, -128]


def test_integer_powers():
    base, power = np.meshgrid(np.arange(-3, 4, dtype=np.int8), np.arange(0, 12, dtype=np.int8))
    with np.errstate(all="ignore"):
        expected = np.power(base, power)
    np.testing.assert_array_equal(_value(elementwise.pow(constant(base), constant(power))), expected)
    inverse = _value(elementwise.pow(constant([-2, -1, 0, 1, 2, -1]), constant([-1, -3, -1, -7, -2, -2])))
    assert inverse.tolist() == [0, -1, 0, 1, 0, 1]


def _slopes(function, *values):
    with Graph():
        xs = [placeholder(f"x{i}", np.shape(v), np.float64) for i, v in enumerate(values)]
        made = gradients(function(*xs), xs)
        return [array.tolist() for array in evaluate(made, dict(zip(xs, map(np.asarray, values))))]


def test_gradients_at_the_corners():
    assert _slopes(elementwise.abs, [-2.0, 0.0, -0.0, 3.0]) == [[-1, 0, 0, 1]]
    assert _slopes(elementwise.maximum, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == [[0, 0.5, 1], [1, 0.5, 0]]
    assert _slopes(elementwise.minimum, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == [[1, 0.5, 0], [0, 0.5, 1]]
    assert _slopes(elementwise.pow, [0.0, 0.0, 0.0, 2.0], [0.0, 1.0, 2.0, 0.0]) == [
        [0, 1, 0, 0],
        [0, 0, 0, np.log(2.0)],
    ]
    assert _slopes(functions.hypot, [0.0, 3.0], [0.0, 4.0]) == [[0, 0.6], [0, 0.8]]
    assert _slopes(functions.logaddexp, [-np.inf, -np.inf], [-np.inf, 0.0]) == [[1, 0], [1, 1]]
    assert _slopes(functions.logaddexp, [np.inf, 1e4], [0.0, -1e4]) == [[1, 1], [0, 0]]


def test_gradient_by_a_broadcast_divisor():
    """It is added up before it is divided, unless there may be nothing to add up."""
    x, y = np.arange(1.0, 7).reshape(2, 3), np.array([[2.0], [-0.0]])
    with np.errstate(all="ignore"):
        _, slope = _slopes(elementwise.divide, x, y)
        np.testing.assert_allclose(slope, [[-1.5], [-np.inf]])
        np.testing.assert_allclose(_slopes(elementwise.divide, x, y[0])[1], [-5.25])
        np.testing.assert_array_equal(_slopes(elementwise.divide, np.ones((2, 0)), y)[1], [[0], [0]])
    with Graph():
        rows, columns = placeholder("x", ("n", 3), float64), placeholder("y", (3,), float64)
        slopes = gradients(elementwise.divide(rows, columns), [columns])
        step = gf.Session(backend="numpy").make_callable(slopes, [rows, columns])
        assert step(np.ones((0, 3)), np.zeros(3))[0].tolist() == [0, 0, 0]
        np.testing.assert_allclose(step(x, np.array([1.0, 2, 3]))[0], [-5, -7 / 4, -1])
    with Graph():
        x, y = placeholder("x", (2, 3), float64), placeholder("y", (2, 1), float64)
        slope = gradients(elementwise.divide(x, y), [y])[0]
        divided = [node.inputs[0].shape for node in slope.graph.nodes if node.op.name == "divide"]
        assert divided == [(2, 3), (2, 1)]


def test_gradient_of_remainder_by_the_divisor():
    assert _slopes(elementwise.remainder, [7.5, -7.5], [2.0, 2.0]) == [[1, 1], [-3, 4]]


def test_a_cast_passes_gradients_between_floats_only():
    def through(dtype):
        return lambda x: casting.astype(elementwise.multiply(x, 3), dtype)

    assert _slopes(through("float32"), [1.5]) == [[3]]
    assert _slopes(lambda x: casting.astype(through("int32")(x), "float64"), [1.5]) == [[0]]


def test_stop_gradient_makes_a_constant():
    assert _slopes(lambda x: elementwise.multiply(x, rounding.stop_gradient(x)), [3.0]) == [[3]]


def test_results_do_not_depend_on_numpys_error_state():
    with np.errstate(all="raise"):
        x = constant([0.0, 1.0])
        assert _value(elementwise.divide(1.0, x)).tolist() == [np.inf, 1]


def test_public_names_are_the_operators():
    assert gf.add is elementwise.add and gf.exp is functions.exp
