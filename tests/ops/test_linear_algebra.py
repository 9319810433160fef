"""The composites of gf.linalg against NumPy; every function of the array API's extension is there."""

from __future__ import annotations

import math

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.interpret import evaluate
from tests.ops.symbolic import run

EXTENSION = """cholesky cross det diagonal eig eigh eigvals eigvalsh inv matmul matrix_norm matrix_power
matrix_rank matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm"""


def test_the_extension_is_complete() -> None:
    assert set(EXTENSION.split()) <= set(gf.linalg.__all__)
    assert all(callable(getattr(gf.linalg, name)) for name in gf.linalg.__all__)


def test_composites_are_those_of_numpy(rng) -> None:
    a, b, v = rng.normal(size=(2, 3, 3)), rng.normal(size=(2, 3)), rng.normal(size=3)
    z, ints = a + 1j * rng.normal(size=a.shape), np.array([[1, 2], [3, 4]])
    norm = np.linalg.norm
    cases = [
        (gf.linalg.cross(b, v), np.cross(b, v)),
        (gf.linalg.cross(b.T, b.T[:, ::-1], axis=0), np.cross(b.T, b.T[:, ::-1], axis=0)),
        (gf.linalg.cross(ints[0, [0, 1, 0]], ints[1, [0, 1, 1]]), np.cross([1, 2, 1], [3, 4, 4])),
        *[(gf.linalg.matrix_power(a, n), np.linalg.matrix_power(a, n)) for n in (0, 1, 2, 3, 7, 8, -1, -3)],
        (gf.linalg.matrix_power(ints, 5), np.linalg.matrix_power(ints, 5)),
        *[
            (gf.linalg.matrix_norm(x, ord=ord), norm(x, ord, axis=(-2, -1)))
            for ord in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)
            for x in (a, z)
        ],
        (gf.linalg.matrix_norm(a, keepdims=True, ord=2), norm(a, 2, axis=(-2, -1), keepdims=True)),
        (gf.linalg.matrix_norm(a, keepdims=True), norm(a, axis=(-2, -1), keepdims=True)),
        (gf.linalg.vector_norm(z, axis=1), norm(z, axis=1)),
        (gf.linalg.vector_norm(np.array([0.0, 2.0, 0.0]), ord=0), np.float64(1)),
        (gf.linalg.vector_norm(b, ord=-2, axis=1), norm(b, -2, axis=1)),
        (gf.linalg.vecdot(z, a), np.vecdot(z, a)),
        (gf.linalg.trace(ints, dtype="float64"), np.float64(5)),
        (gf.linalg.trace(a, 1), np.trace(a, 1, 1, 2)),
        (gf.linalg.lstsq(a[:, :, :2], b[0]), np.stack([np.linalg.lstsq(x[:, :2], b[0])[0] for x in a])),
        (gf.linalg.lstsq(a[0][:2], b[0][:2]), np.linalg.lstsq(a[0][:2], b[0][:2])[0]),
    ]
    for (tensor, expected), value in zip(cases, evaluate([tensor for tensor, _ in cases])):
        assert tensor.shape == expected.shape and value.dtype == expected.dtype
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-11, err_msg=str(tensor))


def test_ranks_are_those_of_numpy(rng) -> None:
    x = rng.normal(size=(3, 4, 5))
    x[1] = np.outer(x[1, :, 0], x[1, 0])
    x[2] = 0
    made = evaluate(
        [
            gf.linalg.matrix_rank(x),
            gf.linalg.matrix_rank(x, rtol=0.99),
            gf.linalg.matrix_rank(np.zeros((2, 0))),
        ]
    )
    np.testing.assert_array_equal(made[0], [4, 1, 0])
    np.testing.assert_array_equal(made[1], [1, 1, 0])
    assert made[2] == 0 and made[0].dtype == np.int64


def test_symbolic_sizes(rng) -> None:
    x = gf.placeholder("x", ("b", "n", "n"), gf.float64)
    made = [
        gf.linalg.matrix_power(x, 3), gf.linalg.matrix_power(x, 0), gf.linalg.matrix_rank(x),
        gf.linalg.matrix_norm(x, ord="nuc"), gf.linalg.trace(x),
    ]  # fmt: skip
    data = rng.normal(size=(2, 3, 3))
    wanted = [
        np.linalg.matrix_power(data, 3), np.linalg.matrix_power(data, 0), np.linalg.matrix_rank(data),
        np.linalg.norm(data, "nuc", axis=(1, 2)), np.trace(data, axis1=1, axis2=2),
    ]  # fmt: skip
    for value, expected in zip(run(made, {x: data}, b=2, n=3), wanted):
        np.testing.assert_allclose(value, expected, rtol=1e-10)


def test_gradients_of_composites_have_the_slope_of_their_differences(rng) -> None:
    x = gf.placeholder("x", (3, 3), gf.float64)
    losses = [
        gf.linalg.matrix_norm(x, ord="nuc"), gf.linalg.matrix_norm(x, ord=2), gf.linalg.matrix_norm(x),
        gf.sum(gf.linalg.matrix_power(x, -3)), gf.sum(gf.linalg.cross(x, x[::-1]) * x),
        gf.sum(gf.square(gf.linalg.lstsq(x[:, :2], x[:, 2]))),
    ]  # fmt: skip
    for loss in losses:
        (check,) = gf.check_gradients(loss, x, {x: rng.normal(size=(3, 3))})
        assert check.error < 1e-6 and check.symbolic != 0


def test_composites_refuse() -> None:
    m, square = gf.constant(np.zeros((2, 3))), gf.constant(np.eye(3))
    cases = [
        (lambda: gf.linalg.cross([1.0, 2.0], [1.0, 2.0]), gf.ShapeError, "3 elements"),
        (lambda: gf.linalg.cross(m, square[0], axis=1), gf.AttributeValueError, "negative axis"),
        (lambda: gf.linalg.matrix_power(m, 2), gf.ShapeError, "square"),
        (lambda: gf.linalg.matrix_power(square, 0.5), gf.AttributeValueError, "whole number"),
        (lambda: gf.linalg.matrix_norm(m, ord=3), gf.AttributeValueError, "'nuc'"),
        (lambda: gf.linalg.matrix_norm(m, ord="2"), gf.AttributeValueError, "'nuc'"),
        (lambda: gf.linalg.matrix_norm([1.0]), gf.ShapeError, "matrices"),
        (lambda: gf.linalg.matrix_rank(1.0), gf.ShapeError, "matrices"),
        (lambda: gf.linalg.lstsq(m, [1.0, 2.0, 3.0]), gf.ShapeError, "3"),
    ]
    for make, error, phrase in cases:
        with pytest.raises(error, match=phrase) as caught:
            make()
        assert "test_linear_algebra.py" in str(caught.value)
