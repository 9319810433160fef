"""Matrix factorizations and Fourier transforms of JAX."""

from __future__ import annotations

import math

import numpy as np

from graphflow.ir import dims
from graphflow.ir.builder import builder_for
from graphflow.ir.dtypes import int32, int64
from graphflow.ir.node import Tensor
from graphflow.ops.looping import fori_loop, map_
from graphflow.ops.matrices import adjoint, hermitian, triangle
from graphflow.runtime.jax.from_jax_shape import reshaped
from graphflow.runtime.jax.jaxpr_reader import Step, Value, mapped


def _turned(step: Step, x: Value) -> Tensor:
    rank = len(x.shape)
    return step.b.permute_dims(x, axes=(*range(rank - 2), rank - 1, rank - 2))


@mapped("cholesky")
def _(step: Step, x: Value) -> Tensor:
    x = step.tensor(x)
    if step.params.get("symmetrize_input", True):
        return step.b.cholesky(x)
    lower = triangle(step.b, x)  # of which the other triangle is not to be read
    strict = triangle(step.b, x, strict=True)
    return step.b.cholesky(step.b.add(lower, adjoint(step.b, strict)))


@mapped("eigh")
def _(step: Step, x: Value) -> list[Tensor]:
    if step.params.get("subset_by_index") is not None:
        raise step.refuse("gives a part of the eigenvalues", "take that part of all of them")
    values, vectors = step.b.eigh(x)
    return [vectors, values]


@mapped("eig")
def _(step: Step, x: Value) -> list[Tensor]:
    params = step.params
    if params.get("compute_left_eigenvectors"):
        raise step.refuse("gives left eigenvectors", "take the right ones of the adjoint matrix")
    if not params.get("compute_right_eigenvectors"):
        return [step.b.eigvals(x)]
    return list(step.b.eig(x))


@mapped("svd")
def _(step: Step, x: Value) -> list[Tensor]:
    if step.params.get("subset_by_index") is not None:
        raise step.refuse("gives a part of the singular values", "take that part of all of them")
    if not step.params["compute_uv"]:
        return [step.b.svdvals(x)]
    left, values, right = step.b.svd(x, full_matrices=bool(step.params["full_matrices"]))
    return [values, left, right]


@mapped("qr")
def _(step: Step, x: Value) -> list[Tensor]:
    if step.params.get("pivoting"):
        raise step.refuse("exchanges columns", "factorize without pivoting")
    return list(step.b.qr(x, mode="complete" if step.params["full_matrices"] else "reduced"))


@mapped("triangular_solve")
def _(step: Step, a: Value, y: Value) -> Value:
    params, b = step.params, step.b
    lower = params["lower"]
    matrix: Value = step.tensor(a)
    if params["conjugate_a"]:
        matrix = b.conj(matrix)
    if params["transpose_a"]:
        matrix, lower = _turned(step, matrix), not lower
    if not params["left_side"]:  # X A = Y is A^T X^T = Y^T
        matrix, lower, y = _turned(step, matrix), not lower, _turned(step, step.tensor(y))
    made = b.triangular_solve(matrix, y, upper=not lower, unit_diagonal=params["unit_diagonal"])
    return made if params["left_side"] else _turned(step, made)


# LU factorization, by columns


@mapped("lu")
def _(step: Step, x: Value) -> list[Value]:
    x = step.tensor(x)
    batch = x.shape[:-2]
    if not batch:
        return list(_factorized(x))
    rows = step.b.reshape(x, shape=(dims.product(batch), *x.shape[-2:]))
    made = map_(_factorized, rows, name="lu")
    return [reshaped(step, one, (*batch, *one.shape[1:])) for one in made]


def _factorized(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """P X = L U in one matrix, the row that each column's pivot came from, and the permutation."""
    b = builder_for([x])
    rows, columns = x.shape
    size = dims.minimum(rows, columns)
    numbers = b.iota(size=rows, dtype=int32)
    places = b.iota(size=columns, dtype=int32)

    def column(k: Tensor, state: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        matrix, pivots, order = state
        b = builder_for([matrix])
        candidates = b.where(b.greater_equal(numbers, k), b.abs(b.take(matrix, k, axis=1)), -math.inf)
        pivot = b.astype(b.argmax(candidates, axis=0), dtype=int32)
        exchanged = b.where(b.equal(numbers, k), pivot, b.where(b.equal(numbers, pivot), k, numbers))
        matrix, order = b.take(matrix, exchanged, axis=0), b.take(order, exchanged, axis=0)
        row, below = b.take(matrix, k, axis=0), b.take(matrix, k, axis=1)
        head = b.take(row, k, axis=0)
        safe = b.where(b.equal(head, 0), b.full_like(1, head), head)
        factors = b.where(b.greater(numbers, k), b.divide(below, safe), b.full_like(0, below))
        rest = b.where(b.greater(places, k), row, b.full_like(0, row))
        matrix = b.subtract(matrix, b.multiply(b.expand_dims(factors, axis=1), rest))
        at = b.logical_and(b.expand_dims(b.greater(numbers, k), axis=1), b.equal(places, k))
        matrix = b.where(at, b.expand_dims(factors, axis=1), matrix)
        chosen = b.equal(b.iota(size=size, dtype=int32), k)
        return matrix, b.where(chosen, pivot, pivots), order

    start = b.broadcast_to(np.array(0, np.int32), shape=(size,))
    return fori_loop(0, size, column, (x, start, numbers), name="lu")


@mapped("lu_pivots_to_permutation")
def _(step: Step, pivots: Value) -> Value:
    pivots = step.tensor(pivots)
    size = step.params["permutation_size"]
    batch = pivots.shape[:-1]

    def exchanged(row: Tensor) -> Tensor:
        b = builder_for([row])
        numbers = b.iota(size=size, dtype=int32)

        def swap(k: Tensor, order: Tensor) -> Tensor:
            b = builder_for([order])
            other = b.take(row, k, axis=0)
            places = b.where(b.equal(numbers, k), other, b.where(b.equal(numbers, other), k, numbers))
            return b.take(order, places, axis=0)

        return fori_loop(0, row.shape[0], swap, numbers, name="permutation")

    if not batch:
        return exchanged(pivots)
    rows = step.b.reshape(pivots, shape=(dims.product(batch), pivots.shape[-1]))
    return reshaped(step, map_(exchanged, rows), step.out.shape)


@mapped("symmetric_product")
def _(step: Step, a: Value, c: Value) -> Tensor:
    b, params = step.b, step.params
    a = step.tensor(a)
    product = b.matmul(a, _turned(step, a))
    made = b.add(
        b.multiply(product, b.like(params["alpha"], product)), b.multiply(c, b.like(params["beta"], product))
    )
    return hermitian(b, made) if params.get("symmetrize_output") else made


# Fourier transforms


@mapped("fft")
def _(step: Step, x: Value) -> Tensor:
    kind = str(getattr(step.params["fft_type"], "name", step.params["fft_type"])).upper()
    lengths = step.sizes(step.params["fft_lengths"])
    b, rank = step.b, step.types[0].rank
    axes = list(range(rank - len(lengths), rank))
    y: Tensor = step.tensor(x)
    if kind.endswith("IRFFT"):
        for axis in axes[:-1]:
            y = b.complex_dft(y, axis=axis, inverse=True)
        y = b.inverse_real_dft(y, length=lengths[-1], axis=axes[-1])
    elif kind.endswith("RFFT"):
        y = b.real_dft(y, axis=axes[-1])
        for axis in axes[:-1]:
            y = b.complex_dft(y, axis=axis)
        return y
    else:
        for axis in axes:
            y = b.complex_dft(y, axis=axis, inverse=kind.endswith("IFFT"))
        if not kind.endswith("IFFT"):
            return y
    return b.multiply(y, _inverse_of(step, lengths, y))


def _inverse_of(step: Step, lengths: tuple, x: Tensor) -> Tensor:
    """1 / n for the product n of the lengths, known or not."""
    b, count = step.b, dims.product(lengths)
    if isinstance(count, int):
        return b.like(1 / max(count, 1), x)
    return b.astype(b.reciprocal(b.astype(b.tensor(count, int64), dtype="float64")), dtype=x.dtype)
