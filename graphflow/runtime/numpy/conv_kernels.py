"""Convolution and its gradients with every array on the way in a workspace; the products are as usual."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from graphflow.ir.node import Node
from graphflow.ops.windows import crop_spatial, padded_shape, window_slices, window_view
from graphflow.runtime.numpy.layouts import Strides, is_row_major, row_major, shadow, shape_of
from graphflow.runtime.numpy.workspace import Whole, moves, reshaped, typed


@dataclass(frozen=True, slots=True)
class _Geometry:
    """The sizes of a convolution of x with w to y, and what it needs on the way.

    Attributes:
        rows, width: of the matrix of windows of one group.
        padded: the shape of x with its padding; None if there is none.
    """

    x: tuple[int, ...]
    w: tuple[int, ...]
    y: tuple[int, ...]
    attrs: Any
    dtype: np.dtype

    @property
    def groups(self) -> int:
        return int(self.attrs["groups"])

    @property
    def kernel(self) -> tuple[int, ...]:
        return self.w[2:]

    @property
    def padded(self) -> tuple[int, ...] | None:
        padding = self.attrs["padding"]
        return padded_shape(self.x, padding) if any(map(any, padding)) else None

    @property
    def rows(self) -> int:
        return self.y[0] * prod(self.y[2:])

    @property
    def width(self) -> int:
        return prod(self.w[1:])

    def bytes(self, shape: Sequence[int] | None) -> int:
        return 0 if shape is None else prod(shape) * self.dtype.itemsize

    def pad(self, x: np.ndarray, space: np.ndarray) -> np.ndarray:
        """x with its padding."""
        shape = self.padded
        if shape is None:
            return x
        made = typed(space, self.dtype, shape)
        made[...] = 0
        crop_spatial(made, self.attrs["padding"])[...] = x
        return made

    def windows(self, x: np.ndarray, group: int) -> np.ndarray:
        """What the windows of a group hold, by batch, positions, channels and places of the kernel."""
        every = window_view(x, self.kernel, self.attrs["strides"], self.attrs["dilation"])
        inner, count = self.w[1], len(self.kernel)
        return np.moveaxis(every[:, group * inner : (group + 1) * inner], 1, 1 + count)

    def columns_bytes(self, strides: Strides) -> int:
        """The workspace of the matrix of windows, for x of these strides; 0 where that is a view."""
        shape = self.x if self.padded is None else self.padded
        if self.padded is not None:
            strides = row_major(shape, self.dtype.itemsize)
        windows = self.windows(shadow(shape, strides, self.dtype), 0)
        wanted = (self.rows, self.width)
        return self.bytes(wanted) if moves(windows.shape, windows.strides, wanted) else 0

    def settled_bytes(self, shape: tuple[int, ...], strides: Strides) -> int:
        """The workspace of `settled`, for an array of this layout."""
        return 0 if is_row_major(shape, strides, self.dtype.itemsize) else self.bytes(shape)

    def settled(self, array: np.ndarray, space: np.ndarray) -> np.ndarray:
        """The array in the order of its axes: products of what lies in another way round differently."""
        if array.flags.c_contiguous:
            return array
        made = typed(space, self.dtype, array.shape)
        np.copyto(made, array)
        return made

    def out_rows_bytes(self) -> int:
        """The workspace of `out_rows`."""
        g = np.moveaxis(shadow(self.y, row_major(self.y, self.dtype.itemsize), self.dtype), 1, -1)
        wanted = (self.rows, self.w[0])
        return self.bytes(wanted) if moves(g.shape, g.strides, wanted) else 0

    def columns(self, x: np.ndarray, group: int, space: np.ndarray) -> np.ndarray:
        """The matrix [batch * positions, channels * kernel] of what the windows of a group hold."""
        return reshaped(self.windows(x, group), (self.rows, self.width), space)

    def out_rows(self, g: np.ndarray, space: np.ndarray) -> np.ndarray:
        """g as the matrix [batch * positions, out channels]."""
        return reshaped(np.moveaxis(g, 1, -1), (self.rows, self.w[0]), space)


def _conv(node: Node, layouts: Sequence[Strides]) -> Whole | None:
    x, w = (shape_of(tensor) for tensor in node.inputs)
    own = _Geometry(x, w, shape_of(node.output), node.attrs, node.output.dtype.numpy)
    groups, outer = own.groups, w[0] // own.groups

    def run(x: Any, w: Any, out: np.ndarray, padding: Any, columns: Any, product: Any, kernels: Any) -> None:
        padded = own.pad(x, padding)
        filters = own.settled(w, kernels).reshape(groups, outer, own.width)
        made = typed(product, own.dtype, (own.rows, outer))
        for group in range(groups):
            np.matmul(own.columns(padded, group, columns), filters[group].T, out=made)
            part = out[:, group * outer : (group + 1) * outer]
            part[...] = np.moveaxis(made.reshape(own.y[0], *own.y[2:], outer), -1, 1)

    made = own.bytes((own.rows, outer)), own.settled_bytes(w, layouts[1])
    return Whole(run, (own.bytes(own.padded), own.columns_bytes(layouts[0]), *made), in_rows=True)


def _conv_input_gradient(node: Node, layouts: Sequence[Strides]) -> Whole | None:
    g, w = (shape_of(tensor) for tensor in node.inputs)
    own = _Geometry(shape_of(node.output), w, g, node.attrs, node.output.dtype.numpy)
    groups, outer, inner, positions = own.groups, w[0] // own.groups, w[1], g[2:]

    def run(g: Any, w: Any, out: np.ndarray, padding: Any, columns: Any, matrix: Any, *settled: Any) -> None:
        rows, w = own.out_rows(own.settled(g, settled[0]), matrix), own.settled(w, settled[1])
        total = out if own.padded is None else typed(padding, own.dtype, own.padded)
        total[...] = 0
        made = typed(columns, own.dtype, (own.rows, own.width))
        parts: Any = np.moveaxis(
            made.reshape(g.shape[0], *positions, inner, *own.kernel), 1 + len(positions), 1
        )
        for group in range(groups):
            mine = slice(group * outer, (group + 1) * outer)
            np.matmul(rows[:, mine], w[mine].reshape(outer, own.width), out=made)
            target = total[:, group * inner : (group + 1) * inner]
            steps = own.attrs["strides"], own.attrs["dilation"]
            for place, where in window_slices(positions, own.kernel, *steps):
                target[where] += parts[(..., *place)]
        if total is not out:
            out[...] = crop_spatial(total, own.attrs["padding"])

    sizes = (own.bytes(own.padded), own.bytes((own.rows, own.width)), own.out_rows_bytes())
    settled = own.settled_bytes(g, layouts[0]), own.settled_bytes(w, layouts[1])
    return Whole(run, (*sizes, *settled), in_rows=True)


def _conv_weight_gradient(node: Node, layouts: Sequence[Strides]) -> Whole | None:
    x, g = (shape_of(tensor) for tensor in node.inputs)
    own = _Geometry(x, shape_of(node.output), g, node.attrs, node.output.dtype.numpy)
    groups, outer = own.groups, own.w[0] // own.groups

    def run(x: Any, g: Any, out: np.ndarray, padding: Any, columns: Any, matrix: Any, settled: Any) -> None:
        rows, padded = own.out_rows(own.settled(g, settled), matrix), own.pad(x, padding)
        made = out.reshape(own.w[0], own.width)
        for group in range(groups):
            mine = slice(group * outer, (group + 1) * outer)
            np.matmul(rows[:, mine].T, own.columns(padded, group, columns), out=made[mine])

    sizes = (own.bytes(own.padded), own.columns_bytes(layouts[0]), own.out_rows_bytes())
    return Whole(run, (*sizes, own.settled_bytes(own.y, layouts[1])), in_rows=True)


CONVOLUTIONS: dict[str, Callable[[Node, Sequence[Strides]], Whole | None]] = {
    "conv": _conv,
    "conv_input_gradient": _conv_input_gradient,
    "conv_weight_gradient": _conv_weight_gradient,
}
