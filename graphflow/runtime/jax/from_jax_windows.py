"""Windowed reductions of JAX: pooling where it is one, and one axis at a time otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.ir import dims
from graphflow.ir.dims import Size
from graphflow.ir.node import Tensor
from graphflow.runtime.jax.from_jax_shape import padded, permuted, reshaped
from graphflow.runtime.jax.jaxpr_reader import Step, Value, mapped


class Pooling:
    """A window over some axes as pooling: the other axes become the batch and the channels.

    axes: the axes along which windows are longer than 1 or move otherwise than by 1.
    """

    def __init__(self, step: Step, shape: Sequence[Size]) -> None:
        params = step.params
        self.step = step
        rank = len(shape)
        self.shape = tuple(shape)
        self.window = tuple(params["window_dimensions"])
        self.strides = tuple(params["window_strides"])
        self.pads = [step.sizes(row) for row in params["padding"]]
        self.dilation = tuple(params.get("window_dilation") or (1,) * rank)
        self.axes = [
            axis
            for axis in range(rank)
            if self.window[axis] != 1 or self.strides[axis] != 1 or self.pads[axis] != (0, 0)
        ]
        self.rest = [axis for axis in range(rank) if axis not in self.axes]
        self.order = [*self.rest, *self.axes]

    @property
    def fits(self) -> bool:
        """Whether an operator for pooling takes it."""
        return 1 <= len(self.axes) <= 3 and all(
            (isinstance(size, int) and 0 <= size < self.window[axis]) or size == 0
            for axis in self.axes
            for size in self.pads[axis]
        )

    def attrs(self) -> dict[str, Any]:
        """The attributes of the operators for pooling."""
        return {
            "window": tuple([self.window[axis] for axis in self.axes]),
            "strides": tuple([self.strides[axis] for axis in self.axes]),
            "padding": tuple([self.pads[axis] for axis in self.axes]),
            "dilation": tuple([self.dilation[axis] for axis in self.axes]),
        }

    def arranged(self, x: Value) -> Value:
        """x as [batch, channels, *pooled axes]."""
        x = self.step.tensor(permuted(self.step, x, self.order))
        if len(self.rest) == 2:
            return x
        return reshaped(
            self.step, x, (dims.product(x.shape[: len(self.rest)]), 1, *x.shape[len(self.rest) :])
        )

    def restored(self, y: Value) -> Value:
        """What the operator gave, with the axes where they were."""
        y = self.step.tensor(y)
        if len(self.rest) != 2:
            y = reshaped(self.step, y, (*[self.shape[axis] for axis in self.rest], *y.shape[2:]))
        return permuted(self.step, y, np.argsort(self.order).tolist())


def _upside_down(step: Step, x: Value) -> Value:
    """x with the order of its elements turned round."""
    kind = step.types[0].dtype.kind
    return step.b.negative(x) if kind == "float" else step.b.bitwise_invert(x)


def _dilated(step: Step) -> bool:
    return any(gap != 1 for gap in step.params.get("base_dilation") or ())


@mapped("reduce_window_max", "reduce_window_min")
def _(step: Step, x: Value) -> Value:
    pooling = Pooling(step, step.types[0].shape)
    name, b = step.equation.primitive.name.removeprefix("reduce_window_"), step.b
    if not pooling.axes:
        return x
    if not pooling.fits or _dilated(step) or step.types[0].dtype.kind == "bool":
        return _axis_by_axis(step, pooling, x, name)
    turned = name == "min"
    made = b.max_pool(pooling.arranged(_upside_down(step, x) if turned else x), **pooling.attrs())
    made = pooling.restored(made)
    return _upside_down(step, made) if turned else made


@mapped("reduce_window_sum")
def _(step: Step, x: Value) -> Value:
    pooling = Pooling(step, step.types[0].shape)
    if not pooling.axes:
        return x
    if not pooling.fits or _dilated(step) or not step.types[0].dtype.is_floating:
        return _axis_by_axis(step, pooling, x, "sum")
    attrs = pooling.attrs() | {"count_include_pad": True, "divisor": 1}
    return pooling.restored(step.b.avg_pool(pooling.arranged(x), **attrs))


def _axis_by_axis(step: Step, pooling: Pooling, x: Value, name: str) -> Value:
    """A windowed reduction as one for each axis, of the elements of the windows side by side."""
    b, rank = step.b, len(pooling.shape)
    gaps = tuple(step.params.get("base_dilation") or (1,) * rank)
    fill = _neutral(step, name)
    x = step.tensor(x)
    mask: Value | None = None
    rows = [(*pooling.pads[axis], gaps[axis] - 1) for axis in range(rank)]
    if any(size != 0 for row in rows for size in row):
        mask = padded(step, b.broadcast_to(np.array(True), shape=x.shape), rows)
        x = b.where(mask, step.tensor(padded(step, x, rows)), fill)
    for axis in pooling.axes:
        size, count = x.shape[axis], pooling.window[axis]
        if not isinstance(size, int):
            raise step.refuse("has windows over an unknown size", "give that size as a number")
        span = (count - 1) * pooling.dilation[axis] + 1
        starts = np.arange(max((size - span) // pooling.strides[axis] + 1, 0)) * pooling.strides[axis]
        places = starts[:, None] + np.arange(count) * pooling.dilation[axis]
        x = getattr(b, name)(b.take(x, places, axis=axis), axis=axis + 1)
    return x


def _neutral(step: Step, name: str) -> np.ndarray:
    dtype = step.types[0].dtype
    if name == "sum":
        return np.zeros((), dtype.numpy)
    if dtype.is_floating:
        return np.asarray(-np.inf if name == "max" else np.inf, dtype.numpy)
    info = np.iinfo(dtype.numpy)
    return np.asarray(info.min if name == "max" else info.max, dtype.numpy)


_MONOIDS = {"add": "sum", "max": "max", "min": "min"}


@mapped("reduce_window", fold=False)
def _(step: Step, x: Value, *others: Value) -> Value:
    """A windowed reduction that starts from another number than the neutral one."""
    equations = step.params["jaxpr"].eqns
    name = _MONOIDS.get(equations[0].primitive.name) if len(equations) == len(others) == 1 else None
    if name is None:
        raise step.refuse("has a function of its own", "reduce windows by lax.add, lax.max, or lax.min")
    pooling, first = Pooling(step, step.types[0].shape), others[0]
    if name == "sum" and not (isinstance(first, np.ndarray) and first == 0):
        raise step.refuse("adds to a number that is not 0", "start from 0, and add the number behind it")
    made = _axis_by_axis(step, pooling, x, name)
    return made if name == "sum" else getattr(step.b, name + "imum")(made, first)


def _chooses_largest(step: Step) -> bool:
    return step.params["select_prim"].name == "ge"


@mapped("select_and_scatter_add")
def _(step: Step, source: Value, operand: Value) -> Value:
    shape = step.types[1].shape
    pooling = Pooling(step, shape)
    if not pooling.axes:
        return source
    if not pooling.fits:
        raise step.refuse("has windows that no pooling has", "pad by less than the window, over 1 to 3 axes")
    x = operand if _chooses_largest(step) else step.b.negative(operand)
    made = step.b.max_pool_gradient(pooling.arranged(x), pooling.arranged(source), **pooling.attrs())
    return pooling.restored(made)


@mapped("select_and_gather_add")
def _(step: Step, tangents: Value, operand: Value) -> Value:
    pooling = Pooling(step, step.types[1].shape)
    if not pooling.axes:
        return tangents
    if not pooling.fits:
        raise step.refuse("has windows that no pooling has", "pad by less than the window, over 1 to 3 axes")
    x = operand if _chooses_largest(step) else step.b.negative(operand)
    made: Tensor = step.b.max_pool_select(pooling.arranged(x), pooling.arranged(tangents), **pooling.attrs())
    return pooling.restored(made)
