"""Unique slices along an axis, and unique values in the order in which they occur (family sorting)."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import normalize_axis, only
from graphflow.ops.selection import storable
from graphflow.ops.sorting import REALS, ascending_order


def _ranks_attrs(types, attrs):
    return {"axis": normalize_axis(attrs["axis"], types[0].rank, "slice_ranks")}


def _ranks_type(types, attrs):
    return (TensorType(int64, (types[0].shape[attrs["axis"]],)),)


def _dense(ordered_differs, order):
    """The ranks from which neighbours in order differ, back at the places they had."""
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.cumsum(ordered_differs)
    return ranks


@op("sorting", infer=only(REALS, _ranks_type, "slice_ranks"), normalize=_ranks_attrs)
def slice_ranks(x, /, axis=0):
    """For each slice along `axis` the number of different slices that come before it in dictionary order.

    -0.0 equals 0.0; NaN comes last, and differs from all others.

    Arguments:
        x: real numbers or booleans.
        axis: the axis that counts the slices.

    Returns:
        int64 [n], from 0 to the number of different slices less one.

    >>> import graphflow as gf
    >>> from graphflow.ops.unique import slice_ranks
    >>> slice_ranks(gf.placeholder("x", ("n", 3))).type
    int64[n]
    """
    rows = np.moveaxis(x, axis, 0)
    rows = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
    ranks = np.zeros(len(rows), np.int64)
    for column in rows.T:
        by_column = ascending_order(column)
        order = by_column[np.argsort(ranks[by_column], kind="stable")]
        values, groups = column[order], ranks[order]
        differs = np.zeros(len(order), bool)
        differs[1:] = (values[1:] != values[:-1]) | (groups[1:] != groups[:-1])
        ranks = _dense(differs, order)
    return ranks


slice_ranks.not_differentiable("its results are ranks", zero=True)


@composite
def unique(
    x: Any, axis: int | None = None, sorted: bool = True, size: Any = None, fill_value: float = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The different values in x, or its different slices along an axis.

    -0.0 equals 0.0, and the first in x is kept; NaN differs from all others. Slices are ordered as words
    in a dictionary.

    Arguments:
        x: real numbers or booleans.
        axis: the axis that counts the slices, or None for the elements of x.
        sorted: in ascending order; otherwise in the order of their first occurrence.
        size: the most there can be, symbolic too; more are left out, from the largest down. None for all
            there are, on the numpy backend.
        fill_value: the elements that are left over; their counts and indices are 0.

    Returns:
        values [size], or slices with `size` along the axis; indices [size] of their first occurrence;
        inverse indices, for each slice (for None: element, in the shape of x) its place among the values;
        and counts [size]. All but the values are int64.

    Raises:
        BackendError: on jax without `size`, as the number depends on the values.
        DTypeError: for complex numbers.

    ONNX Unique-28.

    >>> import graphflow as gf
    >>> [y.type for y in gf.unique(gf.placeholder("x", ("n", 3)), axis=0, size=8)]
    [float32[8, 3], int64[8], int64[n], int64[8]]
    """
    b, x = with_tensor(x)
    if axis is None:
        found = b.unique_all(x, size=size, fill_value=fill_value)
        return found if sorted else _by_occurrence(b, found, 0)
    place = normalize_axis(axis, x.ndim, "unique")
    ranks = b.slice_ranks(x, axis=place)
    _, indices, inverse, counts = b.unique_all(ranks, size=size)
    fill = b.like(storable(fill_value, x.dtype, "unique"), x)
    if x.shape[place] == 0:
        values = b.broadcast_to(fill, shape=(*x.shape[:place], *indices.shape, *x.shape[place + 1 :]))
    else:
        used = b.reshape(b.greater(counts, 0), shape=(*counts.shape, *(1,) * (x.ndim - place - 1)))
        values = b.where(used, b.take(x, indices, axis=place), fill)
    if sorted:
        return values, indices, inverse, counts
    return _by_occurrence(b, (values, indices, inverse, counts), place)


def _by_occurrence(
    b: Builder, found: tuple[Tensor, Tensor, Tensor, Tensor], axis: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The results in the order of the indices; what is left over stays at the end."""
    values, indices, inverse, counts = found
    size = counts.shape[0]
    if size == 0:
        return found
    last = b.like(np.iinfo(np.int64).max, indices)
    order = b.argsort(b.where(b.greater(counts, 0), indices, last))
    moved = b.where(b.less(inverse, size), b.take(b.argsort(order), inverse), inverse)
    return b.take(values, order, axis=axis), b.take(indices, order), moved, b.take(counts, order)
