"""Factorizations of matrices into triangular and unitary ones: Cholesky, QR and singular values.

Factors that are unique up to signs, or phases, have them chosen, so that every target gives the
same ones: R has a positive diagonal, and the first sizable element of a singular vector is positive.
A function of the factors that depends on this choice has no derivative in complex numbers; the
phases count as constants there.
"""

from __future__ import annotations

import numpy as np

from graphflow.errors import AttributeValueError, GradientError
from graphflow.ir import dims
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ops import matrices as m
from graphflow.ops.inference import show

# Cholesky


def _cholesky_type(types, attrs):
    x = m.square(types[0], "cholesky")
    return (x.of(x.rows, x.columns),)


@op("factorization", infer=_cholesky_type, promotion="float64")
def cholesky(x, /, upper=False):
    """The triangular factor of positive definite matrices: X = L L^H, or X = U^H U.

    Of X only (X + X^H) / 2 is used; a matrix that is not positive definite gives NaN.

    Arguments:
        x: matrices [..., n, n].
        upper: give U = L^H instead of L.

    Array API `linalg.cholesky`; gradient: Murray, Differentiation of the Cholesky decomposition, 2016.

    >>> import graphflow as gf
    >>> gf.linalg.cholesky(gf.placeholder("x", ("batch", 3, 3))).type
    float32[batch, 3, 3]
    """
    made = np.tril(m.or_nan(np.linalg.cholesky, (x + m.adjoint_array(x)) / 2))
    return m.adjoint_array(made) if upper else made


@cholesky.gradient
@m.by_conjugates
def _(b, node, g):
    lower, slope = (m.adjoint(b, t) if node.attrs["upper"] else t for t in (node.output, g))
    back = m.adjoint(b, lower)
    inner = m.triangle(b, b.matmul(back, slope))
    inner = b.add(inner, m.adjoint(b, m.triangle(b, inner, strict=True)))
    left = b.triangular_solve(back, _real_diagonal(b, inner), upper=True)
    made = b.triangular_solve(back, m.adjoint(b, left), upper=True)
    return [b.multiply(m.hermitian(b, made), 0.5)]


def _real_diagonal(b, x):
    """x with the real part of its diagonal, which is all that a Cholesky factor's can have."""
    if x.dtype.kind != "complex":
        return x
    size = x.shape[-1]
    return b.subtract(x, b.diagonal_matrix(_imaginary(b, b.diagonal(x)), rows=size, columns=size))


def _imaginary(b, x):
    """i Im(x)."""
    part = b.imag(x)
    return b.complex(b.full_like(0, part), part)


# QR

QR_MODES = ("reduced", "complete")


def _qr_attrs(types, attrs):
    x, mode = m.matrices(types[0], "qr"), attrs["mode"]
    if not isinstance(mode, str) or mode not in QR_MODES:
        raise AttributeValueError(f"qr has no mode {mode!r:.80}", hint="use 'reduced' or 'complete'")
    return {"mode": "reduced" if m.at_most(x.rows, x.columns) else mode}


def _qr_type(types, attrs):
    x = m.matrices(types[0], "qr")
    inner = dims.minimum(x.rows, x.columns) if attrs["mode"] == "reduced" else x.rows
    return x.of(x.rows, inner), x.of(inner, x.columns)


@op("factorization", infer=_qr_type, normalize=_qr_attrs, promotion="float64")
def qr(x, /, mode="reduced"):
    """Orthonormal columns and an upper triangle: X = Q R, Q^H Q = 1, with a real diagonal R_ii >= 0.

    Arguments:
        x: matrices [..., n, m]; k = min(n, m).
        mode: "reduced" gives the k first columns of Q and rows of R, "complete" all n.

    Returns:
        Q [..., n, k] and R [..., k, m], with n in place of k for "complete".

    The gradient is that of the reduced form, for X of full rank.
    Array API `linalg.qr`; gradient: Liao et al., Differentiable programming tensor networks, 2019, and
    for n < m Roberts and Roberts, QR and LQ decomposition matrix backpropagation algorithms, 2020.

    >>> import graphflow as gf
    >>> [y.type for y in gf.linalg.qr(gf.zeros((5, 3)))]
    [float32[5, 3], float32[3, 3]]
    """
    q, r = np.linalg.qr(x, mode)
    count = min(x.shape[-2:])
    phase = m.directions(np.diagonal(r, 0, -2, -1))
    q, r = q.copy(), r.copy()
    q[..., :count] *= phase[..., None, :]
    r[..., :count, :] *= np.conj(phase)[..., None]
    return q, r


@qr.gradient
@m.by_conjugates
def _(b, node, g_q, g_r):
    (q, r), x = node.outputs, m.matrices(node.inputs[0].type, "qr")
    tall, wide = m.at_most(x.columns, x.rows), m.at_most(x.rows, x.columns)
    if not tall and not wide:
        raise GradientError(
            f"qr of shape {show(node.inputs[0].shape)} has a gradient that depends on which size is larger",
            hint="give the sizes of the matrices as numbers; leading ones may be symbolic",
            origin=node.origin,
        )
    if node.attrs["mode"] == "complete":
        if g_q is not None:
            raise GradientError(
                "the columns that qr adds to complete Q are any orthonormal ones, and have no gradient",
                hint="use mode='reduced'",
                origin=node.origin,
            )
        q, r = b.qr(node.inputs[0])
        g_r = b.slice(g_r, starts=(0,), stops=(x.columns,), axes=(g_r.ndim - 2,))
    return [_tall_slope(b, q, r, g_q, g_r) if tall else _wide_slope(b, q, r, g_q, g_r)]


def _tall_slope(b, q, r, g_q, g_r):
    """X with at least as many rows as columns."""
    parts = [
        None if g_r is None else b.matmul(g_r, m.adjoint(b, r)),
        None if g_q is None else b.negative(b.matmul(m.adjoint(b, q), g_q)),
    ]
    upper = m.triangle(b, m.total(b, parts), upper=True)
    inner = b.add(upper, m.adjoint(b, m.triangle(b, upper, upper=True, strict=True)))
    slope = m.total(b, [g_q, b.matmul(q, _real_diagonal(b, inner))])
    return m.adjoint(b, b.triangular_solve(r, m.adjoint(b, slope), upper=True))


def _wide_slope(b, q, r, g_q, g_r):
    """X = [Y, Z] with square Y = Q U and R = [U, Q^H Z]."""
    last, size = r.ndim - 1, q.shape[-1]

    def split(t):
        bounds = ((0, size), (size, r.shape[-1]))
        return [b.slice(t, starts=(low,), stops=(high,), axes=(last,)) for low, high in bounds]

    square, rest = split(r)
    g_square, second = None, b.full_like(0, rest)
    if g_r is not None:
        g_square, g_rest = split(g_r)
        second = b.matmul(q, g_rest)
        g_q = m.total(b, [g_q, m.product(b, q, rest, m.adjoint(b, g_rest))])
    return b.concat([_tall_slope(b, q, square, g_q, g_square), second], axis=last)


# Singular values


def _svd_attrs(types, attrs):
    x = m.matrices(types[0], "svd")
    return {"full_matrices": attrs["full_matrices"] and x.rows != x.columns}


def _svd_type(types, attrs):
    x = m.matrices(types[0], "svd")
    count = dims.minimum(x.rows, x.columns)
    full = attrs["full_matrices"]
    left, right = (x.rows, x.columns) if full else (count, count)
    return x.of(x.rows, left), x.real(count), x.of(right, x.columns)


def _svd_phases(u, vh):
    """Singular vectors with their phases chosen; those beyond the common number each by itself."""
    count = min(u.shape[-1], vh.shape[-2])
    left, right = m.phases(u), m.phases(vh.swapaxes(-1, -2))
    right[..., :count] = np.conj(left[..., :count])
    return u * np.conj(left)[..., None, :], vh * np.conj(right)[..., None]


@op("factorization", infer=_svd_type, normalize=_svd_attrs, promotion="float64")
def svd(x, /, full_matrices=True):
    """Singular values and vectors: X = U diag(s) V^H, s_1 >= s_2 >= ... >= 0, U^H U = V^H V = 1.

    Arguments:
        x: matrices [..., n, m]; k = min(n, m).
        full_matrices: complete U and V to square matrices; otherwise they have k columns.

    Returns:
        U [..., n, k], s [..., k], of real numbers, and V^H [..., k, m]; n and m in place of k if full.

    The gradient is that of the reduced form. Where singular values are equal, or 0, the gradient by way
    of the vectors is NaN or infinite, as those are any basis there; that by way of the values is right.
    Array API `linalg.svd`; gradient: Townsend, Differentiating the singular value decomposition, 2016.

    >>> import graphflow as gf
    >>> [y.type for y in gf.linalg.svd(gf.zeros((5, 3)), full_matrices=False)]
    [float32[5, 3], float32[3], float32[3, 3]]
    """
    u, s, vh = m.or_nan(lambda x: tuple(np.linalg.svd(x, full_matrices)), x)
    u, vh = _svd_phases(u, vh)
    return u, s, vh


@svd.gradient
@m.by_conjugates
def _(b, node, g_u, g_s, g_vh):
    x, (u, s, vh) = node.inputs[0], node.outputs
    if node.attrs["full_matrices"]:
        if g_u is not None or g_vh is not None:
            raise GradientError(
                "the vectors that svd adds to complete U or V are any orthonormal ones, and have no gradient",
                hint="use full_matrices=False",
                origin=node.origin,
            )
        u, s, vh = b.svd(x, full_matrices=False)
    v, inverse = m.adjoint(b, vh), b.reciprocal(s)
    parts: list[Tensor | None] = [] if g_s is None else [m.product(b, m.columns_times(b, u, g_s), vh)]
    squares = m.inverse_differences(b, b.square(s))
    if g_u is not None:
        inner = _skew(b, b.matmul(m.adjoint(b, u), g_u))
        turned = m.columns_times(b, b.multiply(inner, squares), s)
        if x.dtype.kind == "complex":
            half = b.multiply(b.multiply(b.diagonal(inner), inverse), 0.5)
            turned = b.add(turned, b.diagonal_matrix(half, rows=s.shape[-1], columns=s.shape[-1]))
        parts.append(m.product(b, u, turned, vh))
        parts.append(_outside(b, u, g_u, inverse, vh) if not _fills(u) else None)
    if g_vh is not None:
        g_v = m.adjoint(b, g_vh)
        inner = b.multiply(_skew(b, b.matmul(vh, g_v)), squares)
        parts.append(m.product(b, u, b.multiply(b.expand_dims(s, axis=-1), inner), vh))
        outside = _outside(b, v, g_v, inverse, m.adjoint(b, u)) if not _fills(v) else None
        parts.append(None if outside is None else m.adjoint(b, outside))
    return [m.total(b, parts)]


def _fills(u):
    """Whether orthonormal columns span everything."""
    return u.shape[-1] == u.shape[-2]


def _skew(b, x):
    return b.subtract(x, m.adjoint(b, x))


def _outside(b, u, slope, inverse, vh):
    """(1 - U U^H) G diag(1 / s) V^H: what turns vectors out of the space they span."""
    inside = m.product(b, u, m.adjoint(b, u), slope)
    return b.matmul(m.columns_times(b, b.subtract(slope, inside), inverse), vh)


def _svdvals_type(types, attrs):
    x = m.matrices(types[0], "svdvals")
    return (x.real(dims.minimum(x.rows, x.columns)),)


@op("factorization", infer=_svdvals_type, promotion="float64")
def svdvals(x, /):
    """The singular values s_1 >= s_2 >= ... >= 0 of matrices [..., n, m], as real numbers [..., min(n, m)].

    Array API `linalg.svdvals`.

    >>> import graphflow as gf
    >>> gf.linalg.svdvals(gf.zeros((5, 3))).type
    float32[3]
    """
    return m.or_nan(lambda x: np.linalg.svd(x, compute_uv=False), x)


@svdvals.gradient
@m.by_conjugates
def _(b, node, g):
    u, _, vh = b.svd(node.inputs[0], full_matrices=False)
    return [b.matmul(m.columns_times(b, u, g), vh)]
