"""Reductions and running reductions of JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphflow.ir.builder import builder_for
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import bool_
from graphflow.ir.node import Tensor
from graphflow.ops.looping import scan
from graphflow.runtime.jax.jaxpr_reader import Step, Value, mapped

_SAME = {"reduce_max": "max", "reduce_min": "min", "reduce_prod": "prod", "reduce_sum": "sum"}
_BITWISE = {"reduce_and": ("all", "bitwise_and", -1), "reduce_or": ("any", "bitwise_or", 0)}
_RUNNING = {"cummax": "maximum", "cummin": "minimum", "cumlogsumexp": "logaddexp"}


def _reduction(name: str) -> Any:
    def rule(step: Step, x: Value) -> Value:
        axes = tuple(step.params["axes"])
        if not axes:
            return x
        rest, wanted = step.b, step.out.dtype
        if name in ("sum", "prod") and step.types[0].dtype.is_floating and wanted is not step.types[0].dtype:
            x = rest.astype(x, dtype=wanted)
        return getattr(rest, name)(x, axis=axes)

    return rule


for _primitive, _operator in _SAME.items():
    mapped(_primitive)(_reduction(_operator))


def _bits(name: str, boolean: str, integer: str, neutral: int) -> None:
    @mapped(name)
    def _(step: Step, x: Value) -> Value:
        axes = tuple(step.params["axes"])
        if step.types[0].dtype is bool_:
            return getattr(step.b, boolean)(x, axis=axes) if axes else x
        return halved(step, step.tensor(x), axes, getattr(step.b, integer), neutral)


for _primitive, _names in _BITWISE.items():
    _bits(_primitive, *_names)


@mapped("reduce_xor")
def _(step: Step, x: Value) -> Value:
    b, axes = step.b, tuple(step.params["axes"])
    if step.types[0].dtype is bool_:
        count = b.sum(b.astype(x, dtype="int32"), axis=axes)
        return b.equal(b.remainder(count, b.like(2, count)), b.like(1, count))
    return halved(step, step.tensor(x), axes, b.bitwise_xor, 0)


def halved(
    step: Step, x: Tensor, axes: tuple[int, ...], combine: Callable[..., Tensor], neutral: int
) -> Tensor:
    """A reduction by combining the halves of an axis until one element is left."""
    b = step.b
    for axis in axes:
        size = x.shape[axis]
        if not isinstance(size, int):
            raise step.refuse(f"reduces {x.dtype} over an unknown size", "give that size as a number")
        while size != 1:
            if size % 2 or not size:
                pads = tuple([(0, int(place == axis)) for place in range(x.ndim)])
                fill = neutral if x.dtype.kind == "int" or neutral == 0 else 2**x.dtype.bits - 1
                x, size = b.pad(x, pads=pads, value=fill), size + 1
                continue
            lower = b.slice(x, starts=(0,), stops=(size // 2,), axes=(axis,))
            upper = b.slice(x, starts=(size // 2,), stops=(size,), axes=(axis,))
            x, size = combine(lower, upper), size // 2
    return b.squeeze(x, axis=axes) if axes else x


@mapped("argmax", "argmin")
def _(step: Step, x: Value) -> Tensor:
    (axis,) = step.params["axes"]
    return getattr(step.b, step.equation.primitive.name)(x, axis=axis)


@mapped("cumsum", "cumprod")
def _(step: Step, x: Value) -> Tensor:
    name = {"cumsum": "cumulative_sum", "cumprod": "cumulative_prod"}[step.equation.primitive.name]
    return getattr(step.b, name)(x, axis=step.params["axis"], reverse=step.params["reverse"])


@mapped("cummax", "cummin", "cumlogsumexp")
def _(step: Step, x: Value) -> Tensor:
    axis, reverse = step.params["axis"], step.params["reverse"]
    combine, x = _RUNNING[step.equation.primitive.name], step.tensor(x)
    size = x.shape[axis]
    if not isinstance(size, int):
        return _in_steps(step, x, axis, reverse, combine)
    distance = 1
    while distance < size:  # each element takes in twice as many others every time
        x = _combined(step, x, axis, distance, reverse, combine)
        distance *= 2
    return x


def _combined(step: Step, x: Tensor, axis: int, distance: int, reverse: bool, combine: str) -> Tensor:
    b, size = step.b, x.shape[axis]

    def part(start: Size, stop: Size) -> Tensor:
        return b.slice(x, starts=(start,), stops=(stop,), axes=(axis,))

    later, earlier = part(distance, size), part(0, size - distance)
    if reverse:
        return b.concat(getattr(b, combine)(earlier, later), part(size - distance, size), axis=axis)
    return b.concat(part(0, distance), getattr(b, combine)(later, earlier), axis=axis)


def _in_steps(step: Step, x: Tensor, axis: int, reverse: bool, combine: str) -> Tensor:
    """A running reduction along an axis of unknown size."""
    b = step.b
    order = (axis, *[place for place in range(x.ndim) if place != axis])
    rows = b.permute_dims(x, axes=order)
    if combine == "logaddexp":
        lowest: Any = -np.inf
    else:
        info = np.iinfo(x.dtype.numpy) if x.dtype.is_integer else None
        lowest = (info.min if info else -np.inf) if combine == "maximum" else info.max if info else np.inf
    first = b.broadcast_to(b.like(lowest, x), shape=rows.shape[1:])

    def advance(carry: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        made = getattr(builder_for([row]), combine)(carry, row)
        return made, made

    _, made = scan(advance, first, rows, reverse=reverse)
    return b.permute_dims(made, axes=tuple(np.argsort(order).tolist()))


# Sorting


@mapped("sort")
def _(step: Step, *operands: Value) -> list[Value]:
    axis, keys, b = step.params["dimension"], step.params["num_keys"], step.b
    if len(operands) == 1:
        return [b.sort(operands[0], axis=axis)]
    sorted_so_far = list(operands)
    for key in range(keys - 1, -1, -1):  # stable sorts, the most significant key last
        order = b.argsort(sorted_so_far[key], axis=axis)
        sorted_so_far = [b.take_along_axis(one, order, axis=axis) for one in sorted_so_far]
    return sorted_so_far


@mapped("top_k", "approx_top_k")
def _(step: Step, x: Value) -> list[Tensor]:
    params = step.params
    if step.equation.primitive.name == "approx_top_k":
        axis, largest = params["reduction_dimension"], params["is_max_k"]
    else:
        axis, largest = params.get("axis", -1), True
    return list(step.b.top_k(x, k=int(params["k"]), axis=axis, largest=largest))
