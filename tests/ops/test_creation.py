"""Fills, ranges, the identity and triangles against NumPy, as constants and computed."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, GraphFlowError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.interpret import evaluate
from graphflow.ops import creation
from graphflow.ops.declare import constant, placeholder
from tests.ops.symbolic import run

N, M = Dim("n"), Dim("m")


def _fed(n: int, m: int = 0):
    return {placeholder("fed", (N, M)): np.zeros((n, m), np.float32)}, {"n": n, "m": m}


def _equal(value: np.ndarray, expected: np.ndarray) -> None:
    assert value.dtype == expected.dtype
    np.testing.assert_array_equal(value, expected)


def test_fills() -> None:
    x = placeholder("x", (N, 2), "int8")
    made = [
        creation.zeros((2, 3)), creation.ones(("n", 2), "int8"), creation.full((), 3),
        creation.full(N, 2.5), creation.full((2,), constant(True)), creation.zeros_like(x),
        creation.ones_like(x, "float64"), creation.full_like(x, -3), creation.zeros((0, N)),
    ]  # fmt: skip
    expected = [
        np.zeros((2, 3), np.float32), np.ones((4, 2), np.int8), np.array(3, np.int32),
        np.full(4, 2.5, np.float32), np.full(2, True), np.zeros((4, 2), np.int8),
        np.ones((4, 2)), np.full((4, 2), -3, np.int8), np.zeros((0, 4), np.float32),
    ]  # fmt: skip
    for value, wanted in zip(run(made, {x: np.zeros((4, 2), np.int8)}, n=4), expected, strict=True):
        _equal(value, wanted)


def test_a_large_fill_stores_one_number() -> None:
    assert creation.zeros((1000, 1000)).node.inputs[0].shape == ()


def test_fills_refuse() -> None:
    for make in (
        lambda: creation.full((2,), [1.0, 2.0]),
        lambda: creation.zeros((-1,)),
        lambda: creation.zeros((1.5,)),
        lambda: creation.full((2,), 300, "int8"),
        lambda: creation.zeros((2,), "float33"),
    ):
        with pytest.raises(GraphFlowError):
            make()


@pytest.mark.parametrize(
    "bounds",
    [
        (5,),
        (0,),
        (-3,),
        (2, 9),
        (9, 2, -2),
        (2, 9, 3),
        (0.5, 3),
        (1, 0, -0.25),
        (3, 3),
        (0, 5000),
        (10, -4000, -3),
    ],
)
def test_arange_is_that_of_numpy(bounds) -> None:
    expected = np.arange(*bounds)
    kind = np.float32 if expected.dtype.kind == "f" else np.int32
    _equal(evaluate([creation.arange(*bounds)])[0], expected.astype(kind))


def test_arange_of_symbols() -> None:
    feeds, sizes = _fed(7, 3)
    made = [
        creation.arange(N), creation.arange(M, N), creation.arange(1, N, 2), creation.arange(N, 0, -2),
        creation.arange(N, M), creation.arange(N, dtype="float32"),
    ]  # fmt: skip
    expected = [np.arange(7), np.arange(3, 7), np.arange(1, 7, 2), np.arange(7, 0, -2), np.arange(0)]
    for value, wanted in zip(run(made, feeds, **sizes), [*expected, np.arange(7.0)], strict=True):
        _equal(value, wanted.astype(np.int32 if wanted.dtype.kind == "i" else np.float32))


def test_arange_of_large_numbers_is_wide() -> None:
    assert creation.arange(2**31, 2**31 + 3).dtype.name == "int64"
    assert creation.arange(2**31 - 3, 2**31).dtype.name == "int32"


@pytest.mark.parametrize("bounds", [(0, 5, 0), ("a",), (0, N, 0.5), (None,), (N, 2 * N, N)])
def test_arange_refuses(bounds) -> None:
    with pytest.raises(GraphFlowError):
        creation.arange(*bounds)


def test_linspace() -> None:
    for arguments in [(0, 1, 5), (2.0, -2.0, 4), (0, 1, 1), (0, 1, 0)]:
        _equal(evaluate([creation.linspace(*arguments)])[0], np.linspace(*arguments).astype(np.float32))
    wide = evaluate([creation.linspace(0, 1, 4, dtype="float64", endpoint=False)])[0]
    _equal(wide, np.linspace(0, 1, 4, endpoint=False))
    for bad in [(0, 1, -1), (0, 1, 2.5), (constant(0.0), 1, 3)]:
        with pytest.raises(GraphFlowError):
            creation.linspace(*bad)


@pytest.mark.parametrize("size", [(3, 3), (2, 5), (0, 2), (40, 50)])
@pytest.mark.parametrize("k", [0, 1, -2])
def test_eye_and_triangles(size, k: int, rng) -> None:
    rows, columns = size
    feeds, sizes = _fed(rows, columns)
    (fed,) = feeds
    feeds[fed] = rng.normal(size=(rows, columns)).astype(np.float32)
    fixed = placeholder("fixed", (2, *size))
    feeds[fixed] = rng.normal(size=(2, *size)).astype(np.float32)
    made = [
        creation.eye(rows, columns, k), creation.eye(N, M, k), creation.eye(N, M, k, "bool"),
        creation.tril(fixed, k), creation.triu(fixed, k), creation.tril(fed, k), creation.triu(fed, k),
    ]  # fmt: skip
    eye = np.eye(rows, columns, k, dtype=np.float32)
    expected = [
        eye, eye, eye.astype(bool), np.tril(feeds[fixed], k), np.triu(feeds[fixed], k),
        np.tril(feeds[fed], k), np.triu(feeds[fed], k),
    ]  # fmt: skip
    for value, wanted in zip(run(made, feeds, **sizes), expected, strict=True):
        _equal(value, wanted)


def test_triangles_drop_nan_and_gradients() -> None:
    x = placeholder("x", (2, 2))
    low = creation.tril(x)
    (g,) = gradients([low], [x])
    spoilt = np.array([[1, np.nan], [2, 3]], np.float32)
    values = evaluate([low, g], {x: spoilt})
    _equal(values[0], np.array([[1, 0], [2, 3]], np.float32))
    _equal(values[1], np.array([[1, 0], [1, 1]], np.float32))
    with pytest.raises(ShapeError):
        creation.tril(constant([1.0]))
    with pytest.raises(AttributeValueError):
        creation.arange(0, 1, 0)
