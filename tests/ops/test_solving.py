"""Systems, inverses and determinants against NumPy and SciPy; gradients at singular matrices."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

import graphflow as gf
from graphflow.ir.builder import Builder
from graphflow.ir.interpret import evaluate
from tests.ops.symbolic import run

SINGULAR = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])


def test_solutions_of_symbolic_batches(rng) -> None:
    a, y = gf.placeholder("a", ("b", "n", "n"), gf.float64), gf.placeholder("y", ("n", "k"), gf.float64)
    z = gf.linalg.solve(a, y)
    assert [str(size) for size in z.shape] == ["b", "n", "k"]
    grads = gf.gradients(gf.sum(gf.square(z)), [a, y])
    fed = rng.normal(size=(2, 3, 3)), rng.normal(size=(3, 4))
    made = run([z, *grads], {a: fed[0], y: fed[1]}, b=2, n=3, k=4)
    np.testing.assert_allclose(made[0], np.linalg.solve(*fed), rtol=1e-10)
    assert [part.shape for part in made[1:]] == [(2, 3, 3), (3, 4)]


def test_triangular_systems_are_those_of_scipy(rng) -> None:
    a, y, v = rng.normal(size=(4, 4)) + 3 * np.eye(4), rng.normal(size=(4, 2)), rng.normal(size=4)
    for upper in (False, True):
        for unit in (False, True):
            made = [gf.linalg.solve_triangular(a, right, upper, unit) for right in (y, v)]
            for value, right in zip(evaluate(made), (y, v)):
                wanted = scipy.linalg.solve_triangular(a, right, lower=not upper, unit_diagonal=unit)
                np.testing.assert_allclose(value, wanted, rtol=1e-9)


def test_the_other_triangle_is_not_read() -> None:
    a = np.array([[2.0, np.nan], [1.0, 4.0]])
    (value,) = evaluate([gf.linalg.solve_triangular(a, np.array([2.0, 9.0]))])
    np.testing.assert_array_equal(value, [1, 2])


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 3, 3)])
@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_pinv_meets_the_conditions_of_penrose(shape, kind, rng) -> None:
    x = (
        (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(kind)
        if kind[0] == "c"
        else rng.normal(size=shape)
    )
    x[..., 0] = x[..., 1]  # of lower rank
    (y,) = evaluate([gf.linalg.pinv(x)])
    for made, wanted in [(x @ y @ x, x), (y @ x @ y, y)]:
        np.testing.assert_allclose(made, wanted, atol=1e-12)
    for made in (x @ y, y @ x):
        np.testing.assert_allclose(made, np.conj(made.swapaxes(-1, -2)), atol=1e-12)


def test_pinv_drops_singular_values_below_its_rtol() -> None:
    x = np.diag([4.0, 2.0, 1.0])
    (value,) = evaluate([gf.linalg.pinv(x, rtol=0.3)])
    np.testing.assert_allclose(value, np.diag([0.25, 0.5, 0.0]), atol=1e-15)


def test_pinv_of_equal_singular_values_has_a_gradient() -> None:
    x = gf.placeholder("x", (3, 3), gf.float64)
    (grad,) = gf.gradients(gf.sum(gf.linalg.pinv(x) * np.arange(9.0).reshape(3, 3)), [x])
    np.testing.assert_allclose(evaluate([grad], {x: np.eye(3)})[0], -np.arange(9.0).reshape(3, 3), atol=1e-12)


# Determinants


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_the_gradient_of_a_determinant_is_right_at_singular_matrices(backend) -> None:
    x = gf.placeholder("x", (3, 3), gf.float64)
    (grad,) = gf.gradients(gf.linalg.det(x), [x])
    cofactors = np.array([
        [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(SINGULAR, i, 0), j, 1)) for j in range(3)]
        for i in range(3)
    ])  # fmt: skip
    session = gf.Session(backend=backend)
    np.testing.assert_allclose(session.run(grad, {x: SINGULAR}), cofactors, atol=1e-10)
    np.testing.assert_allclose(session.run(grad, {x: np.zeros((3, 3))}), 0)


@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_the_adjugate_times_the_matrix_is_the_determinant(size, rng) -> None:
    x = rng.normal(size=(2, size, size))
    (made,) = evaluate([gf.linalg.adjugate(x)])
    np.testing.assert_allclose(x @ made, np.linalg.det(x)[:, None, None] * np.eye(size), atol=1e-10)


def test_slogdet_is_that_of_numpy(rng) -> None:
    for x in (rng.normal(size=(3, 4, 4)), rng.normal(size=(2, 2)) * 1j + np.eye(2), np.zeros((2, 2))):
        for value, wanted in zip(evaluate(gf.linalg.slogdet(x)), np.linalg.slogdet(x)):
            np.testing.assert_allclose(value, wanted, rtol=1e-12)


def test_the_logarithm_of_a_determinant_does_not_overflow() -> None:
    x = gf.placeholder("x", (200, 200))
    log = gf.linalg.slogdet(x)[1]
    (grad,) = gf.gradients(log, [x])
    value, slope = evaluate([log, grad], {x: 1e3 * np.eye(200, dtype=np.float32)})
    assert value == pytest.approx(200 * np.log(1e3), rel=1e-5)
    np.testing.assert_allclose(slope, 1e-3 * np.eye(200), atol=1e-8)


def test_singular_matrices_give_no_error() -> None:
    for backend in ("numpy", "jax"):
        with gf.Graph():
            x = gf.placeholder("x", (2, 2), gf.float64)
            made = gf.Session(backend=backend).run(
                [gf.linalg.inv(x), gf.linalg.solve(x, x)], {x: np.zeros((2, 2))}
            )
        assert not any(np.isfinite(value).any() for value in made)


def test_systems_refuse() -> None:
    m, square = gf.constant(np.zeros((2, 3))), gf.constant(np.eye(3))
    cases = [
        (lambda: gf.linalg.inv(m), gf.ShapeError, "square"),
        (lambda: gf.linalg.det([1.0]), gf.ShapeError, "matrices"),
        (lambda: gf.linalg.slogdet(m), gf.ShapeError, "square"),
        (lambda: gf.linalg.solve(square, m), gf.ShapeError, "2 != 3"),
        (lambda: gf.linalg.solve(square, 1.0), gf.ShapeError, "scalar"),
        (lambda: gf.linalg.solve(gf.zeros((2, 3, 3)), gf.zeros((5, 3, 1))), gf.ShapeError, "broadcast"),
        (lambda: gf.linalg.solve_triangular(square, [1.0, 2.0]), gf.ShapeError, "2 != 3"),
        (lambda: gf.linalg.solve_triangular(square, square, upper="yes"), gf.AttributeValueError, "upper"),
        (lambda: gf.linalg.pinv(m, rtol=-1.0), gf.AttributeValueError, "rtol"),
        (lambda: gf.linalg.inv(gf.zeros((2, 2), "float16")), gf.DTypeError, "float16"),
        (lambda: Builder(square.graph).triangular_solve(square, [1.0, 2.0, 3.0]), gf.ShapeError, "matrices"),
    ]
    for make, error, phrase in cases:
        with pytest.raises(error, match=phrase):
            make()
