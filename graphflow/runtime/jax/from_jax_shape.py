"""Primitives of JAX that rearrange elements: reshaping, broadcasting, slicing, padding, joining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.ir import dims
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import DType, int64
from graphflow.ir.node import Tensor
from graphflow.runtime.jax.jaxpr_reader import Step, Value, mapped


def _key_axes(step: Step) -> int:
    """How many axes random keys have behind those that JAX counts: their words."""
    return step.types[0].rank - len(step.equation.invars[0].aval.shape)


def reshaped(step: Step, x: Value, shape: Sequence[Size]) -> Value:
    """x in another shape; x itself if that is the one it has."""
    shape = tuple(shape)
    if isinstance(x, Tensor) and x.shape == shape:
        return x
    return step.b.reshape(x, shape=shape)


@mapped("reshape")
def _(step: Step, x: Value, *sizes: Value) -> Value:
    order = step.params.get("dimensions")
    if order is not None:
        x = permuted(step, x, (*order, *range(len(order), len(order) + _key_axes(step))))
    return reshaped(step, x, step.out.shape)


@mapped("squeeze")
def _(step: Step, x: Value) -> Value:
    return step.b.squeeze(x, axis=tuple(step.params["dimensions"])) if step.params["dimensions"] else x


@mapped("expand_dims")
def _(step: Step, x: Value) -> Value:
    return reshaped(step, x, step.out.shape)


@mapped("broadcast_in_dim")
def _(step: Step, x: Value, *sizes: Value) -> Value:
    shape, extra = step.out.shape, _key_axes(step)
    axes = list(step.params["broadcast_dimensions"])
    axes += range(len(shape) - extra, len(shape))
    source = step.types[0].shape
    lined: list[Size] = [1] * len(shape)
    for axis, size in zip(axes, source):
        lined[axis] = size
    lead = next((place for place, size in enumerate(lined) if size != 1), len(lined))
    if tuple(axes) != tuple(range(len(shape) - len(source), len(shape))) or lead < len(shape) - len(source):
        x = reshaped(step, x, lined)
    return x if tuple(lined) == shape and len(source) == len(shape) else _broadcast(step, x, shape)


def _broadcast(step: Step, x: Value, shape: tuple[Size, ...]) -> Value:
    same = isinstance(x, Tensor) and x.shape == shape
    return x if same else step.b.broadcast_to(x, shape=shape)


@mapped("broadcast_to")
def _(step: Step, x: Value) -> Value:
    return _broadcast(step, x, step.out.shape)


@mapped("transpose")
def _(step: Step, x: Value) -> Value:
    axes = (*step.params["permutation"], *range(step.out.rank - _key_axes(step), step.out.rank))
    return permuted(step, x, axes)


def converted(step: Step, x: Value, dtype: DType) -> Tensor:
    """x in another dtype, if it is another."""
    return x if isinstance(x, Tensor) and x.dtype is dtype else step.b.astype(x, dtype=dtype)


def permuted(step: Step, x: Value, axes: Sequence[int]) -> Value:
    """x with its axes in another order, if it is another."""
    return x if tuple(axes) == tuple(range(len(axes))) else step.b.permute_dims(x, axes=tuple(axes))


@mapped("concatenate")
def _(step: Step, *parts: Value) -> Tensor:
    return step.b.concat(*parts, axis=step.params["dimension"])


@mapped("stack")
def _(step: Step, *parts: Value) -> Tensor:
    axis = step.params["axis"]
    return step.b.concat(*[step.b.expand_dims(part, axis=axis) for part in parts], axis=axis)


@mapped("unstack")
def _(step: Step, x: Value) -> list[Value]:
    axis, rank = step.params["axis"], step.types[0].rank
    return [
        reshaped(step, _cut(step, x, axis % rank, place, place + 1), kind.shape)
        for place, kind in enumerate(step.outs)
    ]


def _cut(step: Step, x: Value, axis: int, start: Any, stop: Any) -> Tensor:
    return step.b.slice(x, starts=(start,), stops=(stop,), axes=(axis,))


@mapped("tile")
def _(step: Step, x: Value) -> Tensor:
    return step.b.tile(x, repetitions=step.sizes(step.params["reps"]))


@mapped("split")
def _(step: Step, x: Value) -> list[Value]:
    made = step.b.split(x, sections=step.sizes(step.params["sizes"]), axis=step.params["axis"])
    return list(made) if isinstance(made, tuple) else [made]


@mapped("rev")
def _(step: Step, x: Value) -> Value:
    axes = tuple(step.params["dimensions"])
    none = (None,) * len(axes)
    return step.b.slice(x, starts=none, stops=none, steps=(-1,) * len(axes), axes=axes) if axes else x


@mapped("slice")
def _(step: Step, x: Value) -> Value:
    starts, stops = step.sizes(step.params["start_indices"]), step.sizes(step.params["limit_indices"])
    strides = step.params["strides"]
    steps = step.sizes(strides) if strides is not None else (1,) * len(starts)
    axes = [
        axis
        for axis, row in enumerate(zip(starts, stops, steps, step.types[0].shape))
        if row[0] != 0 or row[1] != row[3] or row[2] != 1
    ]
    if not axes:
        return x
    chosen = [tuple([part[axis] for axis in axes]) for part in (starts, stops, steps)]
    if all(one == 1 for one in chosen[2]):
        return step.b.slice(x, starts=chosen[0], stops=chosen[1], axes=tuple(axes))
    return step.b.slice(x, starts=chosen[0], stops=chosen[1], steps=chosen[2], axes=tuple(axes))


@mapped("iota", "iota_2x32_shape")
def _(step: Step, *sizes: Value) -> Value | list[Value]:
    shape, b = step.out.shape, step.b
    if step.equation.primitive.name == "iota":
        axis = step.params["dimension"]
        return _counting(step, shape, axis)
    low = b.reshape(b.iota(size=dims.product(shape), dtype=int64), shape=shape)
    bits = b.bitwise_right_shift(low, b.like(32, low))
    return [bits, b.bitwise_and(low, b.like(0xFFFFFFFF, low))]


def _counting(step: Step, shape: tuple[Size, ...], axis: int) -> Value:
    numbers = step.b.iota(size=shape[axis], dtype=int64)
    if step.out.dtype is not int64:
        numbers = step.b.astype(numbers, dtype=step.out.dtype)
    lined = tuple([size if place == axis else 1 for place, size in enumerate(shape)])
    return _broadcast(step, reshaped(step, numbers, lined), shape)


@mapped("empty", "empty2")
def _(step: Step) -> Tensor:
    return step.b.broadcast_to(
        step.b.constant(value=np.zeros((), step.out.dtype.numpy)), shape=step.out.shape
    )


@mapped("dim_as_value", fold=False)
def _(step: Step) -> Tensor:
    (size,) = step.sizes((step.params["dim"],))
    return step.b.tensor(size, step.out.dtype)


@mapped("dimension_size", fold=False)
def _(step: Step, x: Value) -> Tensor:
    return step.b.tensor(step.types[0].shape[step.params["dimension"]])


# Padding


@mapped("pad")
def _(step: Step, x: Value, value: Value) -> Value:
    rows = [step.sizes(row) for row in step.params["padding_config"]]
    if (
        isinstance(value, np.ndarray)
        and value == 0
        and not np.signbit(value if value.dtype.kind == "f" else 0)
    ):
        return padded(step, x, rows)
    plain = not any(_negative(row[0]) or _negative(row[1]) or row[2] != 0 for row in rows)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and plain:
        pads = tuple([(before, after) for before, after, _ in rows])
        return step.b.pad(x, pads=pads, value=value.item())
    mask = padded(step, step.b.broadcast_to(np.array(True), shape=step.types[0].shape), rows)
    return step.b.where(mask, padded(step, x, rows), value)


def padded(step: Step, x: Value, rows: Sequence[tuple[Size, ...]]) -> Value:
    """x with zeros before, after, and between its elements; of negative numbers so many are taken away."""
    x = spread(step, x, [row[2] for row in rows])
    shape = step.tensor(x).shape if not isinstance(x, Tensor) else x.shape
    cuts = [(place, row) for place, row in enumerate(rows) if _negative(row[0]) or _negative(row[1])]
    pads = tuple([tuple([0 if _negative(size) else size for size in row[:2]]) for row in rows])
    if any(size != 0 for row in pads for size in row):
        x = step.b.pad(x, pads=pads)
        shape = tuple([size + before + after for size, (before, after) in zip(shape, pads)])
    for axis, (before, after, _) in cuts:
        start = -before if _negative(before) else 0
        stop = shape[axis] + after if _negative(after) else shape[axis]
        x = _cut(step, x, axis, start, stop)
    return x


def _negative(size: Size) -> bool:
    return isinstance(size, int) and size < 0


def spread(step: Step, x: Value, gaps: Sequence[Size]) -> Value:
    """x with so many zeros between neighbours along each axis."""
    if not any(gap != 0 for gap in gaps):
        return x
    x = step.tensor(x)
    wide = tuple([dims.maximum(size + (size - 1) * gap, 0) for size, gap in zip(x.shape, gaps)])
    steps = tuple([gap + 1 for gap in gaps])
    return step.b.unslice(x, shape=wide, starts=(0,) * x.ndim, stops=wide, steps=steps)
