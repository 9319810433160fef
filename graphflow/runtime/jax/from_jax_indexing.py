"""Gathers, scatters, and slices at computed positions, of any dimension numbers.

An axis of the operand is *indexed* if the windows do not cover it whole. With the indexed axes in front,
a window is a grid of index vectors, which gather_nd and scatter_nd take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.ir.dims import Size
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Tensor
from graphflow.runtime.jax.from_jax_shape import permuted, reshaped
from graphflow.runtime.jax.jaxpr_reader import Step, Value, mapped


class Windows:
    """Where the windows of a gather or scatter lie.

    axes: the indexed axes of the operand, and `others`, which the windows cover whole.
    batch: the shape of the indices without their last axis.
    extents: the size of a window along each indexed axis, 1 where it has no such axis.
    kept: the indexed axes that the windows have.
    starts: the position of each window along each indexed axis, clamped; of the shape `batch`.
    inside: whether each window lies inside the operand; None if all do.
    """

    def __init__(
        self, step: Step, shape: Sequence[Size], indices: Value, slices: Sequence[Size],
        dropped: Sequence[int], index_map: Sequence[int], batching: tuple[Sequence[int], Sequence[int]],
        clamp: bool, check: bool,
    ) -> None:  # fmt: skip
        self.b = step.b
        self.axes = [
            axis
            for axis in range(len(shape))
            if axis in index_map or axis in batching[0] or slices[axis] != shape[axis] or axis in dropped
        ]
        self.others = [axis for axis in range(len(shape)) if axis not in self.axes]
        self.kept = [axis for axis in self.axes if axis not in dropped and axis not in batching[0]]
        self.batch = tuple(step.types[1].shape[:-1])
        self.extents = [slices[axis] for axis in self.axes]
        known = isinstance(indices, np.ndarray)
        self.starts: list[Value] = []
        self.inside: Value | None = None
        for axis, extent in zip(self.axes, self.extents):
            if axis in batching[0]:
                place = batching[1][list(batching[0]).index(axis)]
                self.starts.append(_numbers(step, self.batch, place))
            elif axis not in index_map:
                self.starts.append(np.zeros((1,) * len(self.batch), np.int64))
            else:
                column = _column(step, indices, list(index_map).index(axis))
                self._place(column, shape[axis] - extent, clamp, check, known)

    def _place(self, column: Value, last: Size, clamp: bool, check: bool, known: bool) -> None:
        b = self.b
        if known and isinstance(last, int):
            array = np.asarray(column).astype(np.int64)
            inside: Any = (array >= 0) & (array <= last)
            if not inside.all() and check:
                self.inside = inside if self.inside is None else b.logical_and(self.inside, inside)
            self.starts.append(np.clip(array, 0, max(last, 0)))
            return
        column = b.astype(column, dtype=int64)
        if check:
            inside = b.logical_and(b.greater_equal(column, 0), b.less_equal(column, last))
            self.inside = inside if self.inside is None else b.logical_and(self.inside, inside)
        self.starts.append(b.minimum(b.maximum(column, 0), last) if clamp or check else column)

    def vectors(self) -> Tensor:
        """Index vectors [*batch, *window, k] of the elements of all windows."""
        b, sizes = self.b, self.window
        shape = (*self.batch, *sizes)
        columns = []
        for axis, extent, start in zip(self.axes, self.extents, self.starts):
            lined = (*_shape(start), *(1,) * len(sizes))
            position: Value = (
                start.reshape(lined) if isinstance(start, np.ndarray) else b.reshape(start, shape=lined)
            )
            if axis in self.kept and extent != 1:
                place = self.kept.index(axis)
                line = tuple([extent if other == place else 1 for other in range(len(sizes))])
                offsets = b.reshape(b.iota(size=extent, dtype=int64), shape=(*(1,) * len(self.batch), *line))
                position = b.add(position, offsets)
            if _shape(position) != shape:
                position = b.broadcast_to(position, shape=shape)
            columns.append(b.expand_dims(position, axis=-1))
        if not columns:
            return b.constant(value=np.zeros((*shape, 0), np.int64))
        return b.concat(*columns, axis=-1) if len(columns) > 1 else columns[0]

    @property
    def window(self) -> tuple[Size, ...]:
        """The sizes of a window along the indexed axes that it has."""
        return tuple([extent for axis, extent in zip(self.axes, self.extents) if axis in self.kept])

    def masked(self, tensor: Value, inner: int, fill: Any) -> Value:
        """The tensor [*batch, inner axes ..] where windows are inside, `fill` elsewhere."""
        if self.inside is None:
            return tensor
        lined = (*_shape(self.inside), *(1,) * inner)
        mask = self.b.reshape(self.inside, shape=lined) if inner else self.inside
        return self.b.where(mask, tensor, fill)


def _shape(value: Value) -> tuple[Size, ...]:
    return tuple(value.shape)


def _column(step: Step, indices: Value, place: int) -> Value:
    if isinstance(indices, np.ndarray):
        return indices[..., place]
    if indices.shape[-1] == 1:
        return reshaped(step, indices, indices.shape[:-1])
    return step.b.take(indices, np.array(place), axis=indices.ndim - 1)


def _numbers(step: Step, shape: Sequence[Size], axis: int) -> Value:
    lined = tuple([size if place == axis else 1 for place, size in enumerate(shape)])
    return reshaped(step, step.b.iota(size=shape[axis], dtype=int64), lined)


def _mode(step: Step) -> str:
    return getattr(step.params["mode"], "name", str(step.params["mode"]))


@mapped("gather")
def _(step: Step, x: Value, indices: Value) -> Value:
    numbers, slices = step.params["dimension_numbers"], step.sizes(step.params["slice_sizes"])
    extra = step.types[0].rank - len(slices)  # the words of random keys
    shape = step.types[0].shape
    slices = (*slices, *shape[len(shape) - extra :])
    offsets = (*numbers.offset_dims, *range(step.out.rank - extra, step.out.rank))
    filling = _mode(step) == "FILL_OR_DROP"
    windows = Windows(
        step, shape, indices, slices, numbers.collapsed_slice_dims, numbers.start_index_map,
        (numbers.operand_batching_dims, numbers.start_indices_batching_dims), True, filling,
    )  # fmt: skip
    rank = len(windows.batch)
    inner = [*windows.kept, *windows.others]
    if len(windows.axes) == 1 and not windows.kept:
        (axis,) = windows.axes
        start = windows.starts[0]
        made: Value = step.b.take(x, start, axis=axis)
        order = [*range(axis, axis + rank), *range(axis), *range(axis + rank, rank + len(shape) - 1)]
    else:
        made = step.b.gather_nd(permuted(step, x, [*windows.axes, *windows.others]), windows.vectors())
        order = list(range(rank + len(inner)))
    order = [*order[:rank], *[order[rank + inner.index(axis)] for axis in sorted(inner)]]
    if windows.inside is not None:
        made = windows.masked(permuted(step, made, order), len(inner), _fill(step))
        order = list(range(len(order)))
    outer = iter(order[:rank])
    windowed = iter(order[rank:])
    return permuted(
        step, made, [next(windowed) if axis in offsets else next(outer) for axis in range(step.out.rank)]
    )


def _fill(step: Step) -> np.ndarray:
    """What a gather gives for windows outside: NaN, True, the lowest or, unsigned, largest integer."""
    dtype, given = step.out.dtype.numpy, step.params["fill_value"]
    if given is not None:
        return np.asarray(given, dtype)
    kind = step.out.dtype.kind
    if kind == "int":
        return np.asarray(np.iinfo(dtype).min, dtype)
    if kind == "uint":
        return np.asarray(np.iinfo(dtype).max, dtype)
    return np.asarray(True if kind == "bool" else np.nan, dtype)


_COMBINED = {"scatter": "none", "scatter-add": "add", "scatter-sub": "add", "scatter-mul": "mul"}
_COMBINED |= {"scatter-min": "min", "scatter-max": "max"}


@mapped(*_COMBINED, *[name.replace("-", "_") for name in _COMBINED])
def _(step: Step, x: Value, indices: Value, updates: Value) -> Value:
    numbers, shape = step.params["dimension_numbers"], step.types[0].shape
    name = step.equation.primitive.name.replace("_", "-")
    absent = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    present = [axis for axis in range(len(shape)) if axis not in absent]
    sizes = dict(zip(present, [step.types[2].shape[axis] for axis in numbers.update_window_dims]))
    windows = Windows(
        step, shape, indices, [sizes.get(axis, 1) for axis in range(len(shape))],
        numbers.inserted_window_dims, numbers.scatter_dims_to_operand_dims,
        (numbers.operand_batching_dims, numbers.scatter_indices_batching_dims),
        _mode(step) == "CLIP", _mode(step) == "FILL_OR_DROP",
    )  # fmt: skip
    if name == "scatter-sub":
        updates = step.b.negative(updates)
    position = dict(zip(present, numbers.update_window_dims))
    batch = [axis for axis in range(step.types[2].rank) if axis not in numbers.update_window_dims]
    inner = [*windows.kept, *windows.others]
    updates = permuted(step, updates, [*batch, *[position[axis] for axis in inner]])
    return _written(step, step.tensor(x), windows, updates, _COMBINED[name])


def _written(step: Step, x: Tensor, windows: Windows, updates: Value, reduction: str) -> Value:
    b, order = step.b, [*windows.axes, *windows.others]
    moved = permuted(step, x, order)
    if reduction == "none" and windows.inside is not None:
        made = _dropping(step, step.tensor(moved), windows, updates)
    else:
        neutral = _neutral(x, reduction)
        rank = len(windows.kept) + len(windows.others)
        updates = step.tensor(windows.masked(updates, rank, neutral))
        if len(windows.axes) == 1 and not windows.kept and reduction == "add":
            made = b.index_add(moved, windows.starts[0], updates, axis=0)
        elif reduction == "add":
            made = b.scatter_nd_add(moved, windows.vectors(), updates)
        else:
            made = b.scatter_nd(moved, windows.vectors(), updates, reduction=reduction)
    return permuted(step, made, np.argsort(order).tolist())


def _neutral(x: Tensor, reduction: str) -> np.ndarray:
    """What does not change an element that it is combined with."""
    dtype = x.dtype.numpy
    if reduction in ("add", "none"):
        return np.zeros((), dtype)
    if reduction == "mul":
        return np.ones((), dtype)
    if x.dtype.is_floating:
        return np.asarray(np.inf if reduction == "min" else -np.inf, dtype)
    info = np.iinfo(dtype)
    return np.asarray(info.max if reduction == "min" else info.min, dtype)


def _dropping(step: Step, x: Tensor, windows: Windows, updates: Value) -> Tensor:
    """Replaced elements, where windows outside are written to a row that is cut off again."""
    b, size = step.b, x.shape[0]
    pads = tuple([(0, int(axis == 0)) for axis in range(x.ndim)])
    vectors = windows.vectors()
    inner = vectors.ndim - len(windows.batch)
    outside = (
        b.broadcast_to(b.tensor(size, int64), shape=()) if isinstance(size, int) else b.tensor(size, int64)
    )
    vectors = step.tensor(windows.masked(vectors, inner, outside))
    # Where one coordinate is the row behind the last, the others are clamped wherever they point.
    made = b.scatter_nd(b.pad(x, pads=pads), vectors, updates)
    return b.slice(made, starts=(0,), stops=(size,), axes=(0,))


# Slices at computed positions


@mapped("dynamic_slice")
def _(step: Step, x: Value, *starts: Value) -> Value:
    shape, sizes = step.types[0].shape, step.out.shape
    made = x
    for axis, start in enumerate(starts):
        if sizes[axis] != shape[axis]:
            made = _sliced(step, made, axis, start, shape[axis], sizes[axis])
    return made


def _sliced(step: Step, x: Value, axis: int, start: Value, whole: Size, size: Size) -> Tensor:
    b = step.b
    if isinstance(start, np.ndarray) and isinstance(whole, int) and isinstance(size, int):
        first = min(max(int(start), 0), whole - size)
        return b.slice(x, starts=(first,), stops=(first + size,), axes=(axis,))
    return b.take(x, _positions(step, start, whole, size), axis=axis)


def _positions(step: Step, start: Value, whole: Size, size: Size) -> Tensor:
    b = step.b
    first = b.minimum(b.maximum(b.astype(start, dtype=int64), 0), whole - size)
    return b.add(first, b.iota(size=size, dtype=int64))


@mapped("dynamic_update_slice")
def _(step: Step, x: Value, update: Value, *starts: Value) -> Value:
    shape, sizes = step.types[0].shape, step.types[1].shape
    axes = [axis for axis in range(len(shape)) if sizes[axis] != shape[axis]]
    if not axes:
        return update
    others = [axis for axis in range(len(shape)) if axis not in axes]
    b, columns = step.b, []
    for place, axis in enumerate(axes):
        line = tuple([sizes[axis] if other == place else 1 for other in range(len(axes))])
        column = b.reshape(_positions(step, starts[axis], shape[axis], sizes[axis]), shape=line)
        column = b.broadcast_to(column, shape=tuple([sizes[other] for other in axes]))
        columns.append(b.expand_dims(column, axis=-1))
    order = [*axes, *others]
    vectors = b.concat(*columns, axis=-1) if len(columns) > 1 else columns[0]
    made = b.scatter_nd(permuted(step, x, order), vectors, permuted(step, update, order))
    return permuted(step, made, np.argsort(order).tolist())
