"""Reading images at places that are computed: interpolation at any positions, as `grid_sample` needs it.

A position along an axis lies between places of the image; the places around it and their weights are
tensors with one more axis. Images are read as rows of channels, so one gather serves all of them, and
XLA fuses it with the weighted sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import DType, int32, int64
from graphflow.ir.node import Tensor

_A = -0.75
# Weights as polynomials in the distance from the place below: constant, linear, quadratic, cubic terms.
POLYNOMIALS = {
    "linear": ((1.0, 0.0), (-1.0, 1.0)),
    "cubic": (
        (0.0, 1.0, 0.0, 0.0),
        (_A, 0.0, -_A, 0.0),
        (-2 * _A, -(_A + 3), 2 * _A + 3, _A),
        (_A, _A + 2, -(_A + 2), -_A),
    ),
}


class Places(NamedTuple):
    """What is read along one axis.

    indices: numbers [*positions, taps] of places in the axis, still floats; weights: of that shape, or
    None where each position is a place.
    """

    indices: Tensor
    weights: Tensor | None


def cast(b: Builder, x: Tensor, dtype: DType) -> Tensor:
    """x in a dtype."""
    return x if x.dtype is dtype else b.astype(x, dtype=dtype)


def clamped(b: Builder, at: Tensor, size: Size) -> Tensor:
    """The nearest position that is inside of an axis of that size."""
    return b.minimum(b.maximum(at, 0), size - 1)


def inside(b: Builder, at: Tensor, low: float, high: Size) -> Tensor:
    """Whether positions lie between two bounds, or on them."""
    return b.logical_and(b.greater_equal(at, low), b.less_equal(at, high))


def around(
    b: Builder, at: Tensor, mode: str, place: Callable[[Tensor], tuple[Tensor, Tensor | None]]
) -> Places:
    """The places around positions, and their weights.

    `place` says where in the axis a place is, that may lie outside; and which count, if not all do.
    """
    table = np.array(POLYNOMIALS[mode], at.dtype.numpy)
    below = b.floor(at)
    rest = b.expand_dims(b.subtract(at, below), axis=-1)
    weights = b.constant(value=table[-1])
    for row in table[-2::-1]:
        weights = b.add(b.multiply(weights, rest), b.constant(value=row))
    first = 1 - table.shape[1] // 2
    steps = np.arange(first, first + table.shape[1]).astype(at.dtype.numpy)
    indices, counts = place(b.add(b.expand_dims(below, axis=-1), b.constant(value=steps)))
    return Places(indices, weights if counts is None else b.where(counts, weights, b.like(0, weights)))


def read(b: Builder, x: Tensor, image: Tensor, places: Sequence[Places]) -> Tensor:
    """The weighted sum of what is read, [*positions, channels].

    Arguments:
        x: [batch, channels, *spatial].
        image: which image each position is in, integers that broadcast to the positions.
        places: for each spatial axis; their positions broadcast.
    """
    values, weights = gathered(b, x, image, places)
    first = values.ndim - 1 - len(places)
    taps = tuple(range(first, values.ndim - 1))
    return b.squeeze(values, axis=taps) if weights is None else b.sum(b.multiply(values, weights), axis=taps)


def gathered(b: Builder, x: Tensor, image: Tensor, places: Sequence[Places]) -> tuple[Tensor, Tensor | None]:
    """What is read, [*positions, an axis of taps for each spatial axis, channels], and the weights."""
    batch, channels, *sizes = x.shape
    count = len(sizes)
    rows = b.reshape(
        b.permute_dims(x, axes=(0, *range(2, count + 2), 1)),
        shape=(batch * dims.product(sizes), channels),
    )
    kind = _index_dtype(rows.shape[0])
    flat = beside(b, cast(b, image, kind), 0, 0, count)
    weights: Tensor | None = None
    for axis, (size, one) in enumerate(zip(sizes, places)):
        flat = b.add(b.multiply(flat, size), beside(b, cast(b, one.indices, kind), 1, axis, count))
        if one.weights is not None:
            share = beside(b, one.weights, 1, axis, count)
            weights = share if weights is None else b.multiply(weights, share)
    values = b.take(rows, flat, axis=0)
    return values, None if weights is None else b.expand_dims(weights, axis=-1)


def _index_dtype(rows: Size) -> DType:
    return int32 if isinstance(rows, int) and rows < 2**31 else int64


def beside(b: Builder, tensor: Tensor, taps: int, axis: int, count: int) -> Tensor:
    """A tensor [*positions, taps] or [*positions] with its taps in place `axis` of `count` axes of taps."""
    positions, own = tensor.shape[: tensor.ndim - taps], tensor.shape[tensor.ndim - taps :]
    if taps and count == 1:
        return tensor
    ones = [1] * count
    made = [*positions, *(ones if not taps else (*ones[:axis], *own, *ones[axis + 1 :]))]
    return b.reshape(tensor, shape=made)
