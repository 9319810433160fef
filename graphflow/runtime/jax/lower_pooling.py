"""JAX lowerings of pooling, as arithmetic on strided slices, one axis after the other.

XLA runs `reduce_window` and, above all, `select_and_scatter` as scalar loops on the CPU, while
slices fuse into vector code. Measured on two cores against what JAX makes of its own reduce_window
(2x2, 3x3 and 13x13 windows): 1 to 16 times as fast forward, 2.6 to 8 times as fast backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from graphflow.ops.axis_windows import Pass, passes
from graphflow.ops.pooling import divisors
from graphflow.ops.windows import lowest, window_slices
from graphflow.runtime.jax.lowering import lowering

_MOST_SLICES = 16
"""Windows of up to this many places are reduced in one go, larger ones axis by axis."""

_IN_BOUNDS = "promise_in_bounds"


def _padded(x: Any, pairs: Any, fill: Any) -> Any:
    return jnp.pad(x, pairs, constant_values=fill) if any(map(any, pairs)) else x


def _parts(x: Any, one: Pass, fill: Any) -> Iterator[Any]:
    """What the windows along one axis hold at each of their places."""
    size = x.shape[one.axis]
    pairs = [one.pads(size) if axis == one.axis else (0, 0) for axis in range(x.ndim)]
    padded = _padded(x, pairs, fill)
    positions = one.positions(size)
    for place in range(one.places):
        start = place * one.gap
        stop = start + (positions - 1) * one.stride + 1
        yield lax.slice_in_dim(padded, start, stop, one.stride, one.axis)


def _reduce(x: Any, fill: Any, combine: Callable, window: Any, **geometry: Any) -> Any:
    """Combine the places of each window."""
    steps = passes(window, **geometry)
    if prod(window) > _MOST_SLICES:
        for one in steps:
            x = reduce(combine, _parts(x, one, fill))
        return x
    rows = [(one, x.shape[one.axis]) for one in reversed(steps)]
    padded = _padded(x, ((0, 0), (0, 0), *[one.pads(size) for one, size in rows]), fill)
    positions = [one.positions(size) for one, size in rows]
    slices = window_slices(positions, window, geometry["strides"], geometry["dilation"])
    return reduce(combine, (padded[where] for _, where in slices))


@lowering("max_pool")
def _max_pool(x: Any, **geometry: Any) -> Any:
    return _reduce(x, lowest(np.dtype(x.dtype)), jnp.maximum, **geometry)


def _winners(x: Any, one: Pass) -> tuple[Any, Any]:
    """The maxima of the windows along one axis, and the number of the place where each lies."""
    inside = one.inside(x.shape[one.axis])
    kind = jnp.int8 if one.places < 128 else jnp.int32
    parts = _parts(x, one, lowest(np.dtype(x.dtype)))
    best = next(parts)
    winner, found = jnp.zeros(best.shape, kind), inside[0]
    for number, part in enumerate(parts, 1):
        replace = ~((best >= part) | (best != best))
        if not found.all():
            replace |= one.along(~found, x.ndim)
        if not inside[number].all():
            replace &= one.along(inside[number], x.ndim)
        best, winner = jnp.where(replace, part, best), jnp.where(replace, kind(number), winner)
        found = found | inside[number]
    return best, winner


@lowering("max_pool_gradient")
def _max_pool_gradient(x: Any, g: Any, **geometry: Any) -> Any:
    taken = []
    for one in passes(**geometry):
        size = x.shape[one.axis]
        x, winner = _winners(x, one)
        taken.append((one, size, winner))
    for one, size, winner in reversed(taken):
        g = _spread(g, winner, one, size)
    return g


def _spread(g: Any, winner: Any, one: Pass, size: int) -> Any:
    """Each g put where its window has the place that `winner` numbers (None: at all places), and added up."""
    overlap = one.reach >= one.stride
    return (_gather_windows if overlap else _put_windows)(g, winner, one, size)


def _masked(g: Any, winner: Any, place: int) -> Any:
    return g if winner is None else jnp.where(winner == place, g, jnp.zeros((), g.dtype))


def _put_windows(g: Any, winner: Any, one: Pass, size: int) -> Any:
    """For windows that do not overlap: every place is one interleaving with zeros."""
    span = (g.shape[one.axis] - 1) * one.stride + 1
    spread = []
    for place in range(one.places):
        low = place * one.gap - one.pair[0]
        spread.append(_stretched(_masked(g, winner, place), one, low, size - low - span, 0))
    return reduce(jnp.add, spread)


def _gather_windows(g: Any, winner: Any, one: Pass, size: int) -> Any:
    """For windows that overlap: each element collects from the windows that it lies in."""
    reach, before = one.reach, one.pair[0]
    span = (g.shape[one.axis] - 1) * one.stride + 1
    ends = (reach - before, size + before - span)
    g = _stretched(g, one, *ends, 0)
    winner = None if winner is None else _stretched(winner, one, *ends, -1)

    def held(place: int) -> Any:
        start = reach - place * one.gap
        part = lax.slice_in_dim(g, start, start + size, axis=one.axis)
        chosen = None if winner is None else lax.slice_in_dim(winner, start, start + size, axis=one.axis)
        return _masked(part, chosen, place)

    return reduce(jnp.add, map(held, range(one.places)))


def _stretched(x: Any, one: Pass, low: int, high: int, fill: int) -> Any:
    """x with `stride - 1` fills between its elements along the axis, and `low` and `high` at the ends."""
    config = [(low, high, one.stride - 1) if axis == one.axis else (0, 0, 0) for axis in range(x.ndim)]
    return lax.pad(x, jnp.asarray(fill, x.dtype), config)


@lowering("max_pool_select")
def _max_pool_select(x: Any, u: Any, **geometry: Any) -> Any:
    for one in passes(**geometry):
        x, winner = _winners(x, one)
        values = _parts(u, one, 0)
        u = next(values)
        for place, value in enumerate(values, 1):
            u = jnp.where(winner == place, value, u)
    return u


def _working(dtype: Any) -> Any:
    return jnp.dtype(jnp.float32) if dtype.itemsize == 2 else dtype


@lowering("avg_pool")
def _avg_pool(x: Any, count_include_pad: bool, divisor: Any = None, **geometry: Any) -> Any:
    working = _working(x.dtype)
    count = divisors(x.shape[2:], count_include_pad=count_include_pad, divisor=divisor, **geometry)
    total = _reduce(x.astype(working), 0, jnp.add, **geometry)
    return (total / count.astype(working)).astype(x.dtype)


@lowering("avg_pool_gradient")
def _avg_pool_gradient(
    g: Any, input_shape: Any, count_include_pad: bool, divisor: Any = None, **geometry: Any
) -> Any:
    working = _working(g.dtype)
    count = divisors(input_shape[2:], count_include_pad=count_include_pad, divisor=divisor, **geometry)
    share = g.astype(working) / count.astype(working)
    for one in reversed(passes(**geometry)):
        share = _spread(share, None, one, input_shape[one.axis])
    return share.astype(g.dtype)


# Unpooling


def _last_places(indices: Any, size: int) -> tuple[Any, Any]:
    """The indices, flat and `size` where they are ignored, and the last position that names each element."""
    flat = indices.reshape(-1)
    if jnp.issubdtype(flat.dtype, jnp.unsignedinteger):
        flat = lax.min(flat.astype(jnp.uint64), jnp.uint64(size))
    flat = flat.astype(jnp.int64)
    flat = jnp.where((flat >= 0) & (flat < size), flat, size).astype(jnp.int32 if size < 2**31 else jnp.int64)
    order = lax.iota(jnp.int32, flat.size)
    return flat, jnp.full(size, -1, jnp.int32).at[flat].max(order, mode="drop")


@lowering("max_unpool")
def _max_unpool(x: Any, indices: Any, output_shape: Any) -> Any:
    size = prod(output_shape)
    if not x.size or not size:
        return jnp.zeros(output_shape, x.dtype)
    _, sources = _last_places(indices, size)
    taken = x.reshape(-1).at[jnp.maximum(sources, 0)].get(mode=_IN_BOUNDS)
    return jnp.where(sources >= 0, taken, jnp.zeros((), x.dtype)).reshape(output_shape)


@lowering("max_unpool_gradient")
def _max_unpool_gradient(g: Any, indices: Any) -> Any:
    if not g.size or not indices.size:
        return jnp.zeros(indices.shape, g.dtype)
    flat, sources = _last_places(indices, g.size)
    inside = jnp.minimum(flat, g.size - 1)
    counts = (flat < g.size) & (sources.at[inside].get(mode=_IN_BOUNDS) == lax.iota(jnp.int32, flat.size))
    taken = g.reshape(-1).at[inside].get(mode=_IN_BOUNDS)
    return jnp.where(counts, taken, jnp.zeros((), g.dtype)).reshape(indices.shape)
