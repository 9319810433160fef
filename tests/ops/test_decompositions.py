"""Cholesky, QR and SVD: the factors multiply to the matrix, and gradients against JAX and differences."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.interpret import evaluate
from tests.ops.symbolic import run

SHAPES = [(4, 4), (5, 3), (3, 5), (2, 4, 3), (1, 1), (3, 1), (2, 0, 3)]
KINDS = [np.float64, np.complex128, np.float32]


def _draw(rng, shape, kind) -> np.ndarray:
    made = rng.normal(size=shape)
    return (made + 1j * rng.normal(size=shape) if np.dtype(kind).kind == "c" else made).astype(kind)


def _adjoint(x: np.ndarray) -> np.ndarray:
    return np.conj(x.swapaxes(-1, -2))


def _near(kind) -> dict:
    return {"rtol": 0, "atol": 2e-5 if kind is np.float32 else 1e-12}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_qr_gives_the_matrix_back(shape, kind, rng) -> None:
    x = _draw(rng, shape, kind)
    for mode in ("reduced", "complete"):
        q, r = evaluate(gf.linalg.qr(x, mode=mode))
        np.testing.assert_allclose(q @ r, x, **_near(kind))
        np.testing.assert_allclose(
            _adjoint(q) @ q,
            np.broadcast_to(np.eye(q.shape[-1]), q.shape[:-2] + (q.shape[-1],) * 2),
            **_near(kind),
        )
        np.testing.assert_array_equal(r, np.triu(r))
        diagonal = np.diagonal(r, 0, -2, -1)
        assert np.all(diagonal.real >= 0) and np.allclose(diagonal.imag, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_svd_gives_the_matrix_back(shape, kind, rng) -> None:
    x = _draw(rng, shape, kind)
    count = min(shape[-2:])
    for full in (False, True):
        u, s, vh = evaluate(gf.linalg.svd(x, full_matrices=full))
        assert s.dtype == np.zeros((), kind).real.dtype and np.all(s >= 0) and np.all(np.diff(s) <= 0)
        np.testing.assert_allclose((u[..., :count] * s[..., None, :]) @ vh[..., :count, :], x, **_near(kind))
        for unitary in (u, _adjoint(vh)):
            unit = np.broadcast_to(np.eye(unitary.shape[-1]), (*shape[:-2], *(unitary.shape[-1],) * 2))
            np.testing.assert_allclose(_adjoint(unitary) @ unitary, unit, **_near(kind))
    (values,) = evaluate([gf.linalg.svdvals(x)])
    np.testing.assert_allclose(values, s, **_near(kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_gives_the_matrix_back(upper, kind, rng) -> None:
    x = _draw(rng, (3, 4, 4), kind)
    x = x @ _adjoint(x) + np.eye(4, dtype=kind)
    (factor,) = evaluate([gf.linalg.cholesky(x, upper=upper)])
    np.testing.assert_array_equal(factor, np.triu(factor) if upper else np.tril(factor))
    made = _adjoint(factor) @ factor if upper else factor @ _adjoint(factor)
    np.testing.assert_allclose(made, x, rtol=1e-4 if kind is np.float32 else 1e-12)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_the_other_matrices_of_a_batch_are_unharmed(backend) -> None:
    x = gf.placeholder("x", ("n", 2, 2))
    fed = np.stack([4 * np.eye(2), -np.eye(2)]).astype(np.float32)
    (factor,) = gf.Session(backend=backend).run([gf.linalg.cholesky(x)], {x: fed})
    np.testing.assert_array_equal(factor[0], 2 * np.eye(2))
    np.testing.assert_array_equal(factor[1], [[np.nan, 0], [np.nan, np.nan]])


# Gradients


def _loss(made, weights):
    """A real number that depends on every element of the results."""
    return gf.sum(sum(gf.sum(gf.real(y * w)) for y, w in zip(made, weights)))


@pytest.mark.parametrize("kind", [np.float64, np.complex128])
@pytest.mark.parametrize("shape", [(3, 5), (2, 2, 4), (4, 4), (5, 3)])
def test_qr_of_every_shape_has_the_slope_of_its_differences(shape, kind, rng) -> None:
    data = _draw(rng, shape, kind)
    x = gf.placeholder("x", shape, kind)
    q, r = gf.linalg.qr(x)
    weights = [_draw(rng, y.shape, kind) for y in (q, r)]
    for made in ([q, r], [q], [r]):
        (check,) = gf.check_gradients(
            _loss(made, weights[2 - len(made) :] if made != [q] else weights), x, {x: data}
        )
        assert check.error < 1e-6 and check.symbolic != 0


def test_the_upper_rows_of_a_complete_qr_have_a_gradient(rng) -> None:
    x = gf.placeholder("x", (4, 2), gf.float64)
    q, r = gf.linalg.qr(x, mode="complete")
    weight = rng.normal(size=(4, 2))
    (check,) = gf.check_gradients(gf.sum(r * weight), x, {x: rng.normal(size=(4, 2))})
    assert check.error < 1e-6
    with pytest.raises(gf.GradientError, match="mode='reduced'"):
        gf.gradients(gf.sum(q), [x])


def test_full_singular_vectors_have_no_gradient_but_the_values_have(rng) -> None:
    x = gf.placeholder("x", (4, 2), gf.float64)
    u, s, vh = gf.linalg.svd(x)
    (check,) = gf.check_gradients(gf.sum(s * s[0]), x, {x: rng.normal(size=(4, 2))})
    assert check.error < 1e-6
    for made in (u, vh):
        with pytest.raises(gf.GradientError, match="full_matrices=False"):
            gf.gradients(gf.sum(made), [x])


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3)])
def test_functions_of_complex_singular_vectors_that_ignore_phases(shape, rng) -> None:
    x = gf.placeholder("x", shape, gf.complex128)
    u, s, vh = gf.linalg.svd(x, full_matrices=False)
    weight = _draw(rng, shape, np.complex128)
    sizes = gf.sum(gf.abs(u) * np.abs(weight[:, :3])) + gf.sum(s * s)
    product = gf.real(gf.sum(gf.matmul(u, vh) * weight))
    for loss in (sizes, product):
        (check,) = gf.check_gradients(loss, x, {x: _draw(rng, shape, np.complex128)})
        assert check.error < 1e-6 and abs(check.symbolic) > 1e-3


def test_equal_singular_values_have_a_gradient_and_their_vectors_none() -> None:
    x = gf.placeholder("x", (3, 3), gf.float64)
    u, s, _ = gf.linalg.svd(x)
    grads = [gf.gradients(gf.sum(y * y * y), [x])[0] for y in (s, u)]
    values, vectors = evaluate(grads, {x: 2 * np.eye(3)})
    np.testing.assert_allclose(values, 12 * np.eye(3), atol=1e-12)
    assert not np.isfinite(vectors).all()


def test_second_derivatives_of_cholesky_are_those_of_jax(rng) -> None:
    x = gf.placeholder("x", (3, 3), gf.float64)
    data = rng.normal(size=(3, 3))
    data = data @ data.T + np.eye(3)
    weight = rng.normal(size=(3, 3))
    loss = gf.sum(gf.square(gf.linalg.cholesky(x)) * weight)
    (value,) = evaluate([gf.hessian(loss, x)], {x: data})
    with jax.enable_x64(True):
        theirs = jax.hessian(lambda x: jnp.sum(jnp.linalg.cholesky(x) ** 2 * weight))(data)
    np.testing.assert_allclose(value, theirs, rtol=1e-8, atol=1e-10)


# Symbolic sizes and refusals


def test_factors_of_symbolic_sizes(rng) -> None:
    x = gf.placeholder("x", ("b", "n", "m"), gf.float64)
    u, s, vh = gf.linalg.svd(x, full_matrices=False)
    q, r = gf.linalg.qr(x)
    grads = gf.gradients(gf.sum(gf.square(s)), [x])
    for n, m in [(4, 2), (2, 4), (3, 3)]:
        data = rng.normal(size=(2, n, m))
        made = run([u, s, vh, q, r, *grads], {x: data}, b=2, n=n, m=m)
        np.testing.assert_allclose(made[0] * made[1][:, None] @ made[2], data, atol=1e-12)
        np.testing.assert_allclose(made[3] @ made[4], data, atol=1e-12)
        np.testing.assert_allclose(made[5], 2 * data, atol=1e-12)
    with pytest.raises(gf.GradientError, match="which size is larger"):
        gf.gradients(gf.sum(r), [x])


def test_a_square_matrix_of_symbolic_size_has_a_gradient_of_qr(rng) -> None:
    x = gf.placeholder("x", ("n", "n"), gf.float64)
    (grad,) = gf.gradients(gf.sum(gf.square(gf.linalg.qr(x)[1])), [x])
    data = rng.normal(size=(3, 3))
    np.testing.assert_allclose(run([grad], {x: data}, n=3)[0], 2 * data, atol=1e-12)


def test_factorizations_refuse() -> None:
    m = gf.constant(np.zeros((2, 3)))
    cases = [
        (lambda: gf.linalg.cholesky(m), gf.ShapeError, "square"),
        (lambda: gf.linalg.qr([1.0, 2.0]), gf.ShapeError, "matrices"),
        (lambda: gf.linalg.qr(m, mode="raw"), gf.AttributeValueError, "reduced"),
        (lambda: gf.linalg.qr(m, mode=3), gf.AttributeValueError, "reduced"),
        (lambda: gf.linalg.svd(gf.zeros((2, 2), "float16")), gf.DTypeError, "float16"),
        (lambda: gf.linalg.svdvals(gf.zeros((2, 2), "bfloat16")), gf.DTypeError, "bfloat16"),
        (lambda: gf.linalg.svd(1.0), gf.ShapeError, "matrices"),
    ]
    for make, error, phrase in cases:
        with pytest.raises(error, match=phrase) as caught:
            make()
        assert "test_decompositions.py" in str(caught.value)
