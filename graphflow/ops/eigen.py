"""Eigenvalues and eigenvectors of symmetric (Hermitian) and other square matrices (family factorization).

The first sizable element of an eigenvector is positive, so that every target gives the same one. A
function that depends on this choice has no derivative in complex numbers; the phases count as
constants there.
"""

from __future__ import annotations

import numpy as np

from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops import matrices as m
from graphflow.ops.complex import complex_dtype

# Symmetric and Hermitian


def _symmetric(x):
    return (x + m.adjoint_array(x)) / 2


def _with_phases(vectors):
    return vectors * np.conj(m.phases(vectors))[..., None, :]


def _eigh_type(types, attrs):
    x = m.square(types[0], "eigh")
    return x.real(x.rows), x.of(x.rows, x.rows)


@op("factorization", infer=_eigh_type, promotion="float64")
def eigh(x, /):
    """Eigenvalues and eigenvectors of symmetric or Hermitian matrices: X = V diag(w) V^H, V^H V = 1.

    Of X only (X + X^H) / 2 is used. Where eigenvalues are equal, the gradient by way of the vectors is
    NaN or infinite, as those are any basis there; that by way of the values is right.

    Arguments:
        x: matrices [..., n, n].

    Returns:
        the eigenvalues w [..., n], real and ascending, and the columns V [..., n, n].

    Array API `linalg.eigh`; gradient: Giles, Collected matrix derivative results, 2008.

    >>> import graphflow as gf
    >>> [y.type for y in gf.linalg.eigh(gf.placeholder("x", ("batch", 3, 3)))]
    [float32[batch, 3], float32[batch, 3, 3]]
    """
    values, vectors = m.or_nan(lambda x: tuple(np.linalg.eigh(x)), _symmetric(x))
    return values, _with_phases(vectors)


@eigh.gradient
@m.by_conjugates
def _(b, node, g_values, g_vectors):
    values, vectors = node.outputs
    back, parts = m.adjoint(b, vectors), []
    if g_values is not None:
        parts.append(b.matmul(m.columns_times(b, vectors, g_values), back))
    if g_vectors is not None:
        inner = b.multiply(b.matmul(back, g_vectors), m.inverse_differences(b, values))
        parts.append(m.hermitian(b, m.product(b, vectors, inner, back)))
    return [m.total(b, parts)]


def _eigvalsh_type(types, attrs):
    x = m.square(types[0], "eigvalsh")
    return (x.real(x.rows),)


@op("factorization", infer=_eigvalsh_type, promotion="float64")
def eigvalsh(x, /):
    """The eigenvalues [..., n], real and ascending, of symmetric or Hermitian matrices [..., n, n].

    Of X only (X + X^H) / 2 is used. Array API `linalg.eigvalsh`.

    >>> import graphflow as gf
    >>> gf.linalg.eigvalsh(gf.constant([[2.0, 1.0], [1.0, 2.0]])).type
    float32[2]
    """
    return m.or_nan(np.linalg.eigvalsh, _symmetric(x))


@eigvalsh.gradient
@m.by_conjugates
def _(b, node, g):
    _, vectors = b.eigh(node.inputs[0])
    return [b.matmul(m.columns_times(b, vectors, g), m.adjoint(b, vectors))]


# General


def _eigvals_type(types, attrs):
    x = m.square(types[0], "eigvals")
    return (TensorType(complex_dtype(x.dtype), (*x.batch, x.rows)),)


def _eig_type(types, attrs):
    x = m.square(types[0], "eig")
    dtype = complex_dtype(x.dtype)
    return TensorType(dtype, (*x.batch, x.rows)), TensorType(dtype, types[0].shape)


def _complex(array):
    return array.astype(np.result_type(array.dtype, np.complex64))


@op("factorization", infer=_eig_type, promotion="float64")
def eig(x, /):
    """Eigenvalues and eigenvectors of square matrices: X V = V diag(w), |v_j| = 1, as complex numbers.

    Their order is LAPACK's; XLA has none of them on GPUs, where gf.linalg.eigh is the one to use.

    Arguments:
        x: matrices [..., n, n] that have n independent eigenvectors.

    Returns:
        the eigenvalues w [..., n] and the columns V [..., n, n].

    The gradient by way of the vectors is NaN or infinite where eigenvalues are equal.
    Array API `linalg.eig`; gradient: Boeddeker et al., On the computation of complex-valued gradients, 2017.

    >>> import graphflow as gf
    >>> [y.type for y in gf.linalg.eig(gf.constant([[0.0, 1.0], [-1.0, 0.0]]))]
    [complex64[2], complex64[2, 2]]
    """
    values, vectors = m.or_nan(lambda x: tuple(_complex(part) for part in np.linalg.eig(x)), x)
    return values, _with_phases(vectors)


@eig.gradient
@m.by_conjugates
def _(b, node, g_values, g_vectors):
    values, vectors = node.outputs
    size, back = values.shape[-1], m.adjoint(b, vectors)
    parts = []
    if g_values is not None:
        parts.append(b.diagonal_matrix(g_values, rows=size, columns=size))
    if g_vectors is not None:
        inner = b.matmul(back, g_vectors)
        lengths = b.real(b.diagonal(inner))
        inner = b.subtract(inner, m.columns_times(b, b.matmul(back, vectors), lengths))
        parts.append(b.multiply(inner, m.inverse_differences(b, b.conj(values))))
    return [b.solve(back, b.matmul(m.total(b, parts), back))]


@op("factorization", infer=_eigvals_type, promotion="float64")
def eigvals(x, /):
    """The eigenvalues [..., n], as complex numbers in LAPACK's order, of square matrices [..., n, n].

    Array API `linalg.eigvals`.

    >>> import graphflow as gf
    >>> gf.linalg.eigvals(gf.constant([[0.0, 1.0], [-1.0, 0.0]])).type
    complex64[2]
    """
    return m.or_nan(lambda x: _complex(np.linalg.eigvals(x)), x)


@eigvals.gradient
@m.by_conjugates
def _(b, node, g):
    _, vectors = b.eig(node.inputs[0])
    back = m.adjoint(b, vectors)
    return [b.solve(back, b.multiply(b.expand_dims(g, axis=-1), back))]
