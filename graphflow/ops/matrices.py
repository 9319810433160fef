"""What the factorizations of matrices share: their types, triangles, adjoints, phases, and failures.

A matrix that has no result (a singular one has no inverse) gives NaN, on every target, as it would
be of no use to stop a batch of thousands for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphflow.errors import DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.atoms import bounds
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import DType, float32, float64, int64
from graphflow.ir.node import Node, Tensor
from graphflow.ir.types import Shape, TensorType
from graphflow.ops.complex import conjugate, real_dtype
from graphflow.ops.inference import show
from graphflow.ops.linalg import transposed

LEADING = 0.37
"""The phase of a vector is that of its first element of this share of the largest, or more.

A share that exact vectors seldom have: of two elements of equal size rounding would choose either.
"""


class Matrices(NamedTuple):
    """The type of a stack of matrices, taken apart."""

    dtype: DType
    batch: Shape
    rows: Size
    columns: Size

    def of(self, *shape: Size) -> TensorType:
        """Matrices, or vectors, for each of these."""
        return TensorType(self.dtype, (*self.batch, *shape))

    def real(self, *shape: Size) -> TensorType:
        """The same of real numbers."""
        return TensorType(real_dtype(self.dtype), (*self.batch, *shape))


def matrices(type: TensorType, operation: str) -> Matrices:
    """The parts of the type of an operand that has to be matrices of float32, float64 or complex numbers."""
    if type.rank < 2:
        raise ShapeError(
            f"{operation} needs matrices, but got shape {show(type.shape)}",
            hint="add axes with gf.expand_dims; leading axes count several matrices",
        )
    if real_dtype(type.dtype) not in (float32, float64):
        raise DTypeError(
            f"{operation} does not take {type.dtype}",
            hint="it takes float32, float64, complex64 and complex128; convert with gf.astype",
        )
    return Matrices(type.dtype, type.shape[:-2], *type.shape[-2:])


def square(type: TensorType, operation: str) -> Matrices:
    """The parts of the type of an operand that has to be square matrices."""
    found = matrices(type, operation)
    if dims.unify(found.rows, found.columns) is None:
        raise ShapeError(
            f"{operation} needs square matrices, but got shape {show(type.shape)}",
            hint="gf.linalg.pinv, qr and svd take matrices of any shape",
        )
    return found


def at_most(left: Size, right: Size) -> bool | None:
    """Whether left <= right; None where that depends on symbols.

    >>> at_most(3, 3), at_most(4, 3), at_most(dims.Dim("n"), 3)
    (True, False, None)
    """
    low, high = bounds(left - right)
    if high is not None and high <= 0:
        return True
    return False if low is not None and low > 0 else None


# In NumPy


def or_nan(function: Callable[..., Any], x: np.ndarray, *others: np.ndarray) -> Any:
    """`function` of stacks of matrices; for each of x that has no result, NaN."""
    try:
        return function(x, *others)
    except np.linalg.LinAlgError:
        unit = np.broadcast_to(np.eye(*x.shape[-2:], dtype=x.dtype), x.shape)
        made = function(unit, *[np.zeros_like(other) for other in others])
    batch = np.broadcast_shapes(*[array.shape[:-2] for array in (x, *others)])
    stacks = [np.broadcast_to(array, (*batch, *array.shape[-2:])) for array in (x, *others)]
    several = isinstance(made, tuple)
    results = [array.copy() for array in (made if several else (made,))]
    for index in np.ndindex(batch):
        try:
            one = function(*[stack[index] for stack in stacks])
        except np.linalg.LinAlgError:
            one = [np.nan] * len(results) if several else np.nan
        for result, value in zip(results, one if several else (one,)):
            result[index] = value
    return tuple(results) if several else results[0]


def adjoint_array(x: np.ndarray) -> np.ndarray:
    """The conjugate of the transpose."""
    return np.conj(x.swapaxes(-1, -2))


def phases(x: np.ndarray) -> np.ndarray:
    """The phase [..., k] of each column: the sign, or direction, of its leading element; 1 for none."""
    if x.shape[-2] == 0:
        return np.ones((*x.shape[:-2], x.shape[-1]), x.dtype)
    size = np.abs(x)
    leading = np.argmax(size >= LEADING * size.max(-2, keepdims=True), -2)
    element = np.take_along_axis(x, leading[..., None, :], -2)[..., 0, :]
    return directions(element)


def directions(x: np.ndarray) -> np.ndarray:
    """x / |x|, and 1 for 0."""
    size = np.abs(x)
    return np.where(size == 0, x.dtype.type(1), x / np.where(size == 0, 1, size)).astype(x.dtype)


# In the graph


def adjoint(b: Builder, x: Tensor) -> Tensor:
    """The conjugate of the transpose."""
    return conjugate(b, transposed(b, x))


def product(b: Builder, *factors: Tensor) -> Tensor:
    """The matrix product of several factors, from the left."""
    made = factors[0]
    for factor in factors[1:]:
        made = b.matmul(made, factor)
    return made


def columns_times(b: Builder, x: Tensor, factors: Tensor) -> Tensor:
    """Each column of the matrices times a factor: X diag(f)."""
    return b.multiply(x, b.expand_dims(factors, axis=-2))


def hermitian(b: Builder, x: Tensor) -> Tensor:
    """(X + X^H) / 2."""
    return b.multiply(b.add(x, adjoint(b, x)), 0.5)


def triangle(b: Builder, x: Tensor, upper: bool = False, strict: bool = False) -> Tensor:
    """The lower, or upper, triangle of the matrices, `strict` without the diagonal."""
    down = b.expand_dims(b.iota(size=x.shape[-2], dtype=int64), axis=1)
    across = b.expand_dims(b.iota(size=x.shape[-1], dtype=int64), axis=0)
    low, high = (down, across) if upper else (across, down)
    return b.where((b.less if strict else b.less_equal)(low, high), x, 0)


def inverse_differences(b: Builder, values: Tensor) -> Tensor:
    """1 / (v_j - v_i), and 0 for i = j; infinite where two values are equal."""
    size = values.shape[-1]
    unit = b.diagonal_matrix(b.full_like(1, values), rows=size, columns=size)
    apart = b.subtract(b.expand_dims(values, axis=-2), b.expand_dims(values, axis=-1))
    return b.subtract(b.reciprocal(b.add(apart, unit)), unit)


def by_conjugates(rule: Callable[..., Sequence[Any]]) -> Callable[..., Sequence[Any]]:
    """A gradient whose formula is for the inner product Re tr(G^H dX), as the literature has it.

    A cotangent here is the conjugate of that G; so the rule gets conjugates, and its results are conjugated.
    """

    def vjp(b: Builder, node: Node, *cotangents: Tensor | None) -> list[Tensor | None]:
        parts = rule(b, node, *[None if g is None else conjugate(b, g) for g in cotangents])
        return [None if part is None else conjugate(b, part) for part in parts]

    return vjp


def total(b: Builder, parts: Sequence[Tensor | None]) -> Tensor:
    """The sum of those parts that are not None; there is one at least."""
    first, *others = [part for part in parts if part is not None]
    for part in others:
        first = b.add(first, part)
    return first
