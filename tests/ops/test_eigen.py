"""Eigenvalues and eigenvectors: X V = V diag(w), and gradients against JAX and differences."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.interpret import evaluate


def _draw(rng, shape, kind=np.complex128) -> np.ndarray:
    made = rng.normal(size=shape)
    return (made + 1j * rng.normal(size=shape) if np.dtype(kind).kind == "c" else made).astype(kind)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 3), (1, 1), (0, 2, 2)])
def test_eigh_solves_its_equation(shape, kind, rng) -> None:
    x = _draw(rng, shape, kind)
    symmetric = (x + np.conj(x.swapaxes(-1, -2))) / 2
    w, v, alone = evaluate([*gf.linalg.eigh(x), gf.linalg.eigvalsh(x)])
    near = {"rtol": 0, "atol": 1e-5 if np.finfo(kind).eps > 1e-10 else 1e-12}
    np.testing.assert_allclose(symmetric @ v, v * w[..., None, :], **near)
    np.testing.assert_allclose(
        np.conj(v.swapaxes(-1, -2)) @ v, np.broadcast_to(np.eye(shape[-1]), shape), **near
    )
    np.testing.assert_allclose(alone, w, **near)
    assert w.dtype == np.zeros((), kind).real.dtype and np.all(np.diff(w) >= 0)


@pytest.mark.parametrize("kind", [np.float64, np.complex128])
def test_eig_solves_its_equation(kind, rng) -> None:
    x = _draw(rng, (2, 4, 4), kind)
    w, v, alone = evaluate([*gf.linalg.eig(x), gf.linalg.eigvals(x)])
    assert w.dtype == v.dtype == np.complex128
    np.testing.assert_allclose(x @ v, v * w[..., None, :], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(v, axis=-2), 1)
    np.testing.assert_allclose(np.sort_complex(alone), np.sort_complex(w), atol=1e-12)


def test_matrices_of_nan_give_nan() -> None:
    x = np.stack([np.full((2, 2), np.nan), np.diag([1.0, 2.0])])
    for values in evaluate([gf.linalg.eigh(x)[0], gf.linalg.eigvalsh(x), gf.linalg.eigvals(x)]):
        assert np.isnan(values[0]).all()
        np.testing.assert_array_equal(values[1], [1, 2])


def test_functions_of_hermitian_eigenvectors_that_ignore_phases(rng) -> None:
    x = gf.placeholder("x", (3, 3), gf.complex128)
    w, v = gf.linalg.eigh(x)
    weight = _draw(rng, (3, 3))
    function = gf.matmul(v * gf.astype(gf.exp(w), "complex128"), gf.conj(gf.matrix_transpose(v)))
    for loss in (gf.sum(gf.abs(v) * weight.real), gf.real(gf.sum(function * weight))):
        (check,) = gf.check_gradients(loss, x, {x: _draw(rng, (3, 3))})
        assert check.error < 1e-6 and abs(check.symbolic) > 1e-3


def test_equal_eigenvalues_have_a_gradient_and_their_vectors_none() -> None:
    x = gf.placeholder("x", (3, 3), gf.float64)
    grads = [gf.gradients(gf.sum(y * y * y), [x])[0] for y in gf.linalg.eigh(x)]
    values, vectors = evaluate(grads, {x: 2 * np.eye(3)})
    np.testing.assert_allclose(values, 12 * np.eye(3), atol=1e-12)
    assert not np.isfinite(vectors).all()


@pytest.mark.parametrize("kind", [np.float64, np.complex128])
def test_gradients_of_general_eigenvalues_are_those_of_jax(kind, rng) -> None:
    data = _draw(rng, (4, 4), kind)
    x = gf.placeholder("x", (4, 4), kind)
    grads = [
        gf.gradients(gf.real(gf.sum(gf.pow(values, 3))), [x])[0]
        for values in (gf.linalg.eigvals(x), gf.linalg.eig(x)[0])
    ]
    with jax.enable_x64(True):
        theirs = jax.grad(lambda x: jnp.real(jnp.sum(jnp.linalg.eigvals(x) ** 3)))(data)
    for value in evaluate(grads, {x: data}):
        assert value.dtype == kind
        np.testing.assert_allclose(value, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", [np.float64, np.complex128])
def test_general_eigenvectors_have_the_slope_of_their_differences(kind, rng) -> None:
    """Of a function that ignores their phases and their order, as LAPACK's may change."""
    x = gf.placeholder("x", (4, 4), kind)
    w, v = gf.linalg.eig(x)
    loss = gf.sum(gf.square(gf.square(gf.abs(v))) * gf.square(gf.abs(gf.expand_dims(w, 0))))
    (check,) = gf.check_gradients(loss, x, {x: _draw(rng, (4, 4), kind)})
    assert check.error < 1e-6 and abs(check.symbolic) > 1e-3


def test_eigenvalues_are_refused_of_what_has_none() -> None:
    for make in (gf.linalg.eigh, gf.linalg.eigvalsh, gf.linalg.eig, gf.linalg.eigvals):
        with pytest.raises(gf.ShapeError, match="square"):
            make(gf.zeros((2, 3)))
        with pytest.raises(gf.DTypeError):
            make(gf.zeros((2, 2), "float16"))
