"""JAX lowerings of the factorization family; signs and phases are chosen as the references choose them."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from graphflow.ops.matrices import LEADING
from graphflow.ops.solving import relative_cutoff
from graphflow.runtime.jax.lowering import LOWERINGS, lowering


def _adjoint(x: Array) -> Array:
    return jnp.conj(jnp.swapaxes(x, -1, -2))


def _phases(x: Array) -> Array:
    """The phase of each column; differentiation takes it for a constant."""
    x = lax.stop_gradient(x)
    if not x.shape[-2]:
        return jnp.ones((*x.shape[:-2], x.shape[-1]), x.dtype)
    size = jnp.abs(x)
    leading = jnp.argmax(size >= LEADING * size.max(-2, keepdims=True), -2)
    return _directions(jnp.take_along_axis(x, leading[..., None, :], -2)[..., 0, :])


def _directions(x: Array) -> Array:
    x = lax.stop_gradient(x)
    size = jnp.abs(x)
    return jnp.where(size == 0, jnp.ones_like(x), x / jnp.where(size == 0, jnp.ones_like(size), size))


# Triangular and unitary factors


@lowering("cholesky")
def _cholesky(x: Array, upper: bool) -> Array:
    return jnp.linalg.cholesky(x, upper=upper)


@lowering("qr")
def _qr(x: Array, mode: str) -> Any:
    q, r = jnp.linalg.qr(x, mode)
    count = min(x.shape[-2:])
    phase = _directions(jnp.diagonal(r, 0, -2, -1))
    rest = ((0, 0),) * (phase.ndim - 1)
    columns = jnp.pad(phase, (*rest, (0, q.shape[-1] - count)), constant_values=1)
    rows = jnp.pad(phase, (*rest, (0, r.shape[-2] - count)), constant_values=1)
    return q * columns[..., None, :], r * jnp.conj(rows)[..., None]


@lowering("svd")
def _svd(x: Array, full_matrices: bool) -> Any:
    u, s, vh = jnp.linalg.svd(x, full_matrices=full_matrices)
    count = s.shape[-1]
    left, right = _phases(u), _phases(jnp.swapaxes(vh, -1, -2))
    right = jnp.concatenate([jnp.conj(left[..., :count]), right[..., count:]], -1)
    return u * jnp.conj(left)[..., None, :], s, vh * jnp.conj(right)[..., None]


@lowering("svdvals")
def _svdvals(x: Array) -> Array:
    return jnp.linalg.svd(x, full_matrices=False, compute_uv=False)


# Eigenvalues


@lowering("eigh")
def _eigh(x: Array) -> Any:
    values, vectors = jnp.linalg.eigh(x)
    return values, vectors * jnp.conj(_phases(vectors))[..., None, :]


@lowering("eigvalsh")
def _eigvalsh(x: Array) -> Array:
    return jnp.linalg.eigvalsh(x)


@lowering("eig")
def _eig(x: Array) -> Any:
    values, vectors = jnp.linalg.eig(x)
    return values, vectors * jnp.conj(_phases(vectors))[..., None, :]


@lowering("eigvals")
def _eigvals(x: Array) -> Array:
    return jnp.linalg.eigvals(x)


# Systems, inverses and determinants

LOWERINGS.update({"solve": jnp.linalg.solve, "inv": jnp.linalg.inv, "det": jnp.linalg.det})


@lowering("triangular_solve")
def _triangular_solve(x: Array, y: Array, upper: bool, unit_diagonal: bool) -> Array:
    batch = jnp.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = (jnp.broadcast_to(each, (*batch, *each.shape[-2:])) for each in (x, y))
    return lax.linalg.triangular_solve(x, y, left_side=True, lower=not upper, unit_diagonal=unit_diagonal)


@lowering("pinv")
def _pinv(x: Array, rtol: float | None) -> Array:
    return jnp.linalg.pinv(x, rtol=relative_cutoff(x.shape, x.dtype) if rtol is None else rtol)


@lowering("adjugate")
def _adjugate(x: Array) -> Array:
    u, s, vh = jnp.linalg.svd(x)
    one = jnp.ones_like(s[..., :1])
    before = jnp.cumprod(jnp.concatenate([one, s[..., :-1]], -1), -1)
    after = jnp.cumprod(jnp.concatenate([one, s[..., :0:-1]], -1), -1)[..., ::-1]
    others = before * after
    made = (_adjoint(vh) * others[..., None, :]) @ _adjoint(u)
    return jnp.linalg.det(u @ vh)[..., None, None] * made


@lowering("slogdet")
def _slogdet(x: Array) -> Any:
    return tuple(jnp.linalg.slogdet(x))
