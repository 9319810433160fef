"""Linear algebra under the names of the array API: `gf.linalg`, factorizations and what is made of them.

Every function takes stacks of matrices, in the last two axes, of float32, float64, complex64 or
complex128; integers are converted to float64. A matrix for which there is no result gives NaN.

Source: Python array API standard 2024.12, extension `linalg`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Tensor
from graphflow.ops.complex import real_dtype
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.decompositions import cholesky, qr, svd, svdvals
from graphflow.ops.eigen import eig, eigh, eigvals, eigvalsh
from graphflow.ops.inference import normalize_axis, real_number, require, show, whole_number
from graphflow.ops.linalg import (
    diagonal,
    matmul,
    matrix_transpose,
    outer,
    tensordot,
    trace,
    vecdot,
    vector_norm,
)
from graphflow.ops.matrices import matrices, square
from graphflow.ops.solving import adjugate, det, inv, pinv, slogdet, solve

__all__ = [
    "adjugate", "cholesky", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "lstsq",
    "matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "outer", "pinv", "qr",
    "slogdet", "solve", "solve_triangular", "svd", "svdvals", "tensordot", "trace", "vecdot", "vector_norm",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)


def _differentiable(b: Builder, x: Tensor) -> Tensor:
    """x as floats, of float64 if it has integers."""
    return x if x.dtype.is_differentiable else b.astype(x, dtype="float64")


# Products


@composite
def cross(x: Any, y: Any, axis: int = -1) -> Tensor:
    """The cross products of the vectors of 3 elements along an axis: z_i = x_j y_k - x_k y_j for ijk cyclic.

    The other axes broadcast. Array API `linalg.cross`.

    Arguments:
        axis: where the 3 elements are; counted from the end where the ranks differ.

    >>> import graphflow as gf
    >>> gf.linalg.cross(gf.placeholder("x", ("batch", 3)), gf.constant([0.0, 0.0, 1.0])).type
    float32[batch, 3]
    """
    b, (x, y) = with_tensors(x, y)
    places = [normalize_axis(axis, tensor.ndim, "cross") for tensor in (x, y)]
    if x.ndim != y.ndim and not axis < 0:
        raise AttributeValueError(f"cross of ranks {x.ndim} and {y.ndim} needs a negative axis, not {axis}")
    for tensor, place in zip((x, y), places):
        require(
            dims.unify(tensor.shape[place], 3) is not None,
            f"cross needs vectors of 3 elements, but axis {axis} of shape {show(tensor.shape)} has "
            f"{tensor.shape[place]}",
        )
    (x1, x2), (y1, y2) = (
        [b.roll(tensor, shift=-step, axis=place) for step in (1, 2)] for tensor, place in zip((x, y), places)
    )
    return b.subtract(b.multiply(x1, y2), b.multiply(x2, y1))


@composite
def matrix_power(x: Any, n: int) -> Tensor:
    """The n-th power of square matrices, by repeated squaring: X X ... X, X^0 = 1, X^-n = (X^-1)^n.

    Array API `linalg.matrix_power`.

    Arguments:
        x: matrices [..., m, m]; integers keep their dtype unless n is negative.
        n: a whole number.

    >>> import graphflow as gf
    >>> gf.linalg.matrix_power(gf.placeholder("x", ("batch", 3, 3)), 10).type
    float32[batch, 3, 3]
    """
    b, x = with_tensor(x)
    power = whole_number(n, "the n of matrix_power")
    square(_differentiable(b, x).type, "matrix_power")
    if power < 0:
        x, power = b.inv(x), -power
    if power == 0:
        size = x.shape[-1]
        ones = b.full_like(1, b.diagonal(x))
        return b.diagonal_matrix(ones, rows=size, columns=size)
    result: Any = None
    for bit in reversed(bin(power)[2:]):
        if bit == "1":
            result = x if result is None else b.matmul(result, x)
        power //= 2
        x = b.matmul(x, x) if power else x
    return result


# Norms and rank


def _is_order(ord: Any, allowed: tuple[float, ...]) -> bool:
    return isinstance(ord, (int, float)) and not isinstance(ord, bool) and ord in allowed


@composite
def matrix_norm(x: Any, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """The norm of matrices, a real number for each. Array API `linalg.matrix_norm`.

    Arguments:
        x: matrices [..., n, m].
        keepdims: keep the last two axes, with size 1.
        ord: "fro", (sum |x_ij|^2)^(1/2); "nuc", the sum of the singular values; 2 and -2, the largest and
            the smallest of them; 1 and -1, the largest and smallest sum of |x_ij| over a column; inf and
            -inf, over a row.

    >>> import graphflow as gf
    >>> gf.linalg.matrix_norm(gf.placeholder("x", ("batch", 3, 5)), ord=2).type
    float32[batch]
    """
    b, x = with_tensor(x)
    x = _differentiable(b, x)
    matrices(x.type, "matrix_norm")
    if isinstance(ord, str) and ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if isinstance(ord, str) and ord == "nuc":
        made = b.sum(b.svdvals(x), axis=-1)
    elif not _is_order(ord, (1, -1, 2, -2, math.inf, -math.inf)):
        raise AttributeValueError(
            f"matrix_norm has no ord {ord!r:.80}", hint="use 'fro', 'nuc', 1, -1, 2, -2, inf or -inf"
        )
    elif abs(ord) == 2:
        made = (b.max if ord > 0 else b.min)(b.svdvals(x), axis=-1)
    else:
        sums = b.sum(b.abs(x), axis=-2 if abs(ord) == 1 else -1)
        made = (b.max if ord > 0 else b.min)(sums, axis=-1)
    return b.expand_dims(made, axis=(-2, -1)) if keepdims else made


@composite
def matrix_rank(x: Any, rtol: float | None = None) -> Tensor:
    """The number of singular values that are not 0, as int64. Array API `linalg.matrix_rank`.

    Arguments:
        x: matrices [..., n, m].
        rtol: singular values at most this share of the largest count as 0; max(n, m) times the precision
            of the dtype by default.

    >>> import graphflow as gf
    >>> gf.linalg.matrix_rank(gf.placeholder("x", ("batch", 3, 5))).type
    int64[batch]
    """
    b, x = with_tensor(x)
    x = _differentiable(b, x)
    found = matrices(x.type, "matrix_rank")
    values = b.svdvals(x)
    if values.shape[-1] == 0:
        return b.sum(b.astype(values, dtype=int64), axis=-1)
    largest = b.max(values, axis=-1, keepdims=True)
    if rtol is None:
        precision = float(np.finfo(real_dtype(found.dtype).numpy).eps)
        longer = dims.maximum(found.rows, found.columns)
        cutoff = b.multiply(b.multiply(largest, b.astype(b.tensor(longer), dtype=largest.dtype)), precision)
    else:
        cutoff = b.multiply(largest, real_number(rtol, "rtol of matrix_rank", 0))
    return b.sum(b.astype(b.greater(values, cutoff), dtype=int64), axis=-1)


# Systems


@composite
def solve_triangular(x: Any, y: Any, upper: bool = False, unit_diagonal: bool = False) -> Tensor:
    """The solution Z of triangular systems X Z = Y; of X the other triangle is not read.

    Arguments:
        x: matrices [..., n, n].
        y: right-hand sides, the columns of [..., n, k]; or one vector [n]. Leading axes broadcast.
        upper: X is the upper triangle instead of the lower.
        unit_diagonal: take the diagonal to be 1, and do not read it either.

    `scipy.linalg.solve_triangular`.

    >>> import graphflow as gf
    >>> gf.linalg.solve_triangular(gf.placeholder("x", ("batch", 3, 3)), gf.zeros(3)).type
    float32[batch, 3]
    """
    b, (x, y) = with_tensors(x, y)
    options = {"upper": upper, "unit_diagonal": unit_diagonal}
    if y.ndim != 1:
        return b.triangular_solve(x, y, **options)
    return b.squeeze(b.triangular_solve(x, b.expand_dims(y, axis=-1), **options), axis=-1)


@composite
def lstsq(x: Any, y: Any, rtol: float | None = None) -> Tensor:
    """The least-squares solution of X Z = Y: the smallest Z of those with the smallest |X Z - Y|.

    It is the pseudo-inverse of X times Y, so X may have any shape and rank.

    Arguments:
        x: matrices [..., n, m].
        y: right-hand sides, the columns of [..., n, k]; or one vector [n]. Leading axes broadcast.
        rtol: as of `pinv`.

    Returns:
        Z [..., m, k], or [..., m] of a vector.

    >>> import graphflow as gf
    >>> gf.linalg.lstsq(gf.placeholder("x", ("batch", 5, 3)), gf.zeros((5, 2))).type
    float32[batch, 3, 2]
    """
    b, (x, y) = with_tensors(x, y)
    return b.matmul(b.pinv(x, rtol=rtol), y)
