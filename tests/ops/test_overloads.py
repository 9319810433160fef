"""Python operators of tensors: values, dtypes, both orders, NumPy operands, and what stays identity."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from graphflow.errors import GraphError, GraphFlowError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Tensor
from graphflow.ops import overloads
from graphflow.ops.declare import constant, placeholder

overloads.attach()

FLOATS = np.array([[1.5, -2.0], [0.5, 4.0]], np.float32)
INTS = np.array([[1, 2], [3, 4]], np.int32)
ARITHMETIC = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
]
BITS = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]
ORDER = [operator.lt, operator.le, operator.gt, operator.ge]


def _same(tensor: Tensor, expected: np.ndarray) -> None:
    assert isinstance(tensor, Tensor)
    (value,) = evaluate([tensor])
    assert value.dtype == np.asarray(expected).dtype and value.shape == np.shape(expected)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("apply", [*ARITHMETIC, *ORDER, operator.matmul], ids=lambda f: f.__name__)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_floats(apply) -> None:
    x = constant(FLOATS)
    other = np.abs(FLOATS.T) + np.float32(1)
    _same(apply(x, constant(other)), apply(FLOATS, other))
    _same(apply(x, other), apply(FLOATS, other))
    _same(apply(other, x), apply(other, FLOATS))
    if apply is not operator.matmul:
        _same(apply(x, 2.0), apply(FLOATS, np.float32(2.0)))
        _same(apply(3, x), apply(np.float32(3), FLOATS))
        _same(apply(x, [1.0, 2.0]), apply(FLOATS, np.array([1, 2], np.float32)))
        _same(apply(np.float64(2.0), x), apply(np.full((), 2.0), FLOATS.astype(np.float64)))


@pytest.mark.parametrize("apply", BITS, ids=lambda f: f.__name__)
def test_bits(apply) -> None:
    _same(apply(constant(INTS), 2), apply(INTS, np.int32(2)))
    _same(apply(5, constant(INTS)), apply(np.int32(5), INTS))
    if apply in BITS[:3]:
        flags = np.array([True, False])
        _same(apply(constant(flags), True), apply(flags, True))


def test_unary() -> None:
    _same(-constant(FLOATS), -FLOATS)
    _same(abs(constant(FLOATS)), abs(FLOATS))
    _same(~constant(INTS), ~INTS)
    x = constant(FLOATS)
    assert +x is x


def test_weak_scalars() -> None:
    small = constant(np.array([1], np.int8))
    assert (small + 1).dtype.name == "int8" and (small + 1.0).dtype.name == "float32"
    assert (constant(np.ones(1, np.float16)) * 2.0).dtype.name == "float16"


def test_dims_are_operands() -> None:
    n = Dim("n")
    x = placeholder("x", (n,))
    assert (x * n).type == x.type and (n * x).type == x.type and (x / n).type == x.type


def test_equality_is_identity() -> None:
    x, y = constant(1.0), constant(1.0)
    assert (x == x) is True and (x == y) is False and (x != y) is True
    assert len({x, y, x}) == 2


def test_transpose_is_of_matrices() -> None:
    _same(constant(FLOATS).T, FLOATS.T)
    assert placeholder("x", ("n", 3)).T.shape == (3, Dim("n"))
    for shape in [(), (3,), (2, 3, 4)]:
        with pytest.raises(ShapeError, match="matrix") as caught:
            _ = constant(np.zeros(shape)).T
        assert "test_overloads.py" in str(caught.value)


def test_iteration_and_length() -> None:
    x = constant(FLOATS)
    first, second = x
    _same(first, FLOATS[0])
    _same(second, FLOATS[1])
    assert len(x) == 2 and list(constant(np.zeros((0, 3)))) == []
    for tensor in (constant(1.0), placeholder("x", ("n",))):
        for ask in (iter, len):
            with pytest.raises(ShapeError):
                ask(tensor)


def test_indexing() -> None:
    _same(constant(FLOATS)[0, ::-1], FLOATS[0, ::-1])
    _same(constant(FLOATS)[..., None, [1]], FLOATS[..., None, [1]])


def test_membership_and_truth_are_refused() -> None:
    x = constant(FLOATS)
    with pytest.raises(ShapeError, match="`in`"):
        _ = 1.0 in x
    with pytest.raises(GraphFlowError):
        bool(x < 1.0)


@pytest.mark.parametrize("other", ["text", None, object(), {1: 2}])
def test_foreign_operands_are_a_type_error_of_python(other) -> None:
    for apply in (operator.add, operator.lt):
        with pytest.raises(TypeError):
            apply(constant(1.0), other)
    with pytest.raises(TypeError):
        _ = other * constant(1.0)


def test_other_classes_may_answer() -> None:
    class Wrapper:
        def __radd__(self, other):
            return "mine"

    assert constant(1.0) + Wrapper() == "mine"


def test_errors_name_the_line_of_the_user() -> None:
    with pytest.raises(ShapeError) as caught:
        constant(np.zeros((2, 3))) + constant(np.zeros((4,)))
    assert "test_overloads.py" in str(caught.value)


def test_attaching_twice_changes_nothing() -> None:
    overloads.attach()
    _same(constant(FLOATS) + 1.0, FLOATS + np.float32(1))
    assert Tensor.__add__.__doc__ == "gf.add, by Python operator."


def test_a_method_that_other_libraries_have_is_said_to_be_a_function() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'sum'; .* is a function, as in gf\.sum\(x\)"):
        constant(FLOATS).sum()
    assert not hasattr(constant(FLOATS), "__jax_array__")


def test_an_array_on_the_left_leaves_the_operator_to_the_tensor() -> None:
    left, x = np.full((2, 2), 2.0, np.float32), constant(FLOATS)
    for apply in (operator.add, operator.sub, operator.mul, operator.truediv, operator.mod, operator.pow):
        _same(apply(left, x), apply(left, FLOATS))
    for apply in (operator.lt, operator.le, operator.gt, operator.ge):
        _same(apply(left, x), apply(left, FLOATS))
    _same(np.float32(2) * x, np.float32(2) * FLOATS)
    _same(left.T @ x, left.T @ FLOATS)
    bits = np.arange(3, dtype=np.int32)
    for apply in (operator.and_, operator.or_, operator.xor, operator.lshift, operator.floordiv):
        _same(apply(bits, constant(bits + 1)), apply(bits, bits + 1))
    assert (left == x) is False and (left != x) is True, "tensors are compared by identity"


@pytest.mark.parametrize(
    ("call", "said", "way"),
    [
        (lambda x: np.exp(x), "np.exp", "gf.exp"),
        (lambda x: np.power(x, 2), "np.power", "gf.pow"),
        (lambda x: np.arctan2(x, x), "np.arctan2", "gf.atan2"),
        (lambda x: np.sum(x), "np.add.reduce", "gf.sum"),
        (lambda x: np.max(x), "np.maximum.reduce", "gf.max"),
        (lambda x: np.add.accumulate(x), "np.add.accumulate", "GraphFlow's functions"),
        (lambda x: np.equal(x, 1.0), "np.equal", "gf.equal"),
        (lambda x: operator.iadd(np.ones((2, 2)), x), "np.add", "gf.add"),
    ],
)
def test_functions_of_numpy_say_what_to_use(call, said: str, way: str) -> None:
    with pytest.raises(GraphError, match=r"computes with arrays, and .* has no value while") as caught:
        call(constant(FLOATS))
    assert caught.value.message.startswith(said + " ") and f"use {way} instead" in (caught.value.hint or "")
    assert "test_overloads.py" in str(caught.value)
