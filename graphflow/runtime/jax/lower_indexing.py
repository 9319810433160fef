"""JAX lowerings of the indexing family; indices wrap and clamp exactly as the references do."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from graphflow.ir.dtypes import DType
from graphflow.ops.slicing import strided_ranges
from graphflow.runtime.jax.lowering import lowering

_IN_BOUNDS = "promise_in_bounds"


def _positions(indices: Any, size: int) -> Any:
    """The positions that indices mean: wrapped once if negative, then clamped; int32 where that suffices."""
    last = max(size - 1, 0)
    narrow = jnp.int32 if last < 2**31 else jnp.int64
    if jnp.issubdtype(indices.dtype, jnp.unsignedinteger):
        return lax.min(indices.astype(jnp.uint64), jnp.uint64(last)).astype(narrow)
    wide = indices if indices.dtype.itemsize == 8 else indices.astype(jnp.int32)
    if last >= 2**30:
        wide = wide.astype(jnp.int64)
    wrapped = jnp.where(wide < 0, wide + jnp.asarray(size, wide.dtype), wide)
    return jnp.clip(wrapped, jnp.asarray(0, wide.dtype), jnp.asarray(last, wide.dtype)).astype(narrow)


# Slices


def _increasing(positions: range) -> tuple[range, bool]:
    """The same positions in increasing order, and whether that reversed them."""
    return (positions[::-1], True) if positions.step < 0 else (positions, False)


@lowering("slice")
def _slice(x: Any, starts: Any, stops: Any, steps: Any, axes: None) -> Any:
    ordered = [_increasing(positions) for positions in strided_ranges(x.shape, starts, stops, steps)]
    first = [positions[0] if positions else 0 for positions, _ in ordered]
    limit = [positions[-1] + 1 if positions else 0 for positions, _ in ordered]
    cut = lax.slice(x, first, limit, [positions.step for positions, _ in ordered])
    reverse = [axis for axis, (_, turned) in enumerate(ordered) if turned]
    return lax.rev(cut, reverse) if reverse else cut


@lowering("unslice")
def _unslice(x: Any, shape: tuple[int, ...], starts: Any, stops: Any, steps: Any) -> Any:
    ordered = [_increasing(positions) for positions in strided_ranges(shape, starts, stops, steps)]
    if 0 in x.shape:
        return jnp.zeros(shape, x.dtype)
    reverse = [axis for axis, (_, turned) in enumerate(ordered) if turned]
    margins = [
        (positions[0], size - positions[-1] - 1, positions.step - 1)
        for size, (positions, _) in zip(shape, ordered)
    ]
    return lax.pad(lax.rev(x, reverse) if reverse else x, jnp.zeros((), x.dtype), margins)


# Slices at positions along one axis


@lowering("take")
def _take(x: Any, indices: Any, axis: int) -> Any:
    if not x.shape[axis]:
        return jnp.zeros((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)
    where = (slice(None),) * axis + (_positions(indices, x.shape[axis]),)
    return x.at[where].get(mode=_IN_BOUNDS)


@lowering("index_add")
def _index_add(x: Any, indices: Any, updates: Any, axis: int) -> Any:
    if not x.shape[axis]:
        return x
    where = (slice(None),) * axis + (_positions(indices, x.shape[axis]),)
    return x.at[where].add(updates, mode=_IN_BOUNDS)


# Single elements along one axis


def _along(indices: Any, size: int, axis: int) -> tuple[Any, ...]:
    """The index of the elements that indices along an axis mean."""
    grid = [lax.broadcasted_iota(jnp.int32, indices.shape, place) for place in range(indices.ndim)]
    grid[axis] = _positions(indices, size)
    return tuple(grid)


@lowering("take_along_axis")
def _take_along_axis(x: Any, indices: Any, axis: int) -> Any:
    if not x.shape[axis]:
        return jnp.zeros(indices.shape, x.dtype)
    return x.at[_along(indices, x.shape[axis], axis)].get(mode=_IN_BOUNDS)


@lowering("add_along_axis")
def _add_along_axis(x: Any, indices: Any, updates: Any, axis: int) -> Any:
    if not x.shape[axis]:
        return x
    return x.at[_along(indices, x.shape[axis], axis)].add(updates, mode=_IN_BOUNDS)


# Slices at index vectors


def _vectors(indices: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple([_positions(indices[..., axis], shape[axis]) for axis in range(indices.shape[-1])])


@lowering("gather_nd")
def _gather_nd(x: Any, indices: Any) -> Any:
    depth = indices.shape[-1]
    shape = (*indices.shape[:-1], *x.shape[depth:])
    if not depth:
        return jnp.broadcast_to(x, shape)
    if 0 in x.shape[:depth]:
        return jnp.zeros(shape, x.dtype)
    return x.at[_vectors(indices, x.shape)].get(mode=_IN_BOUNDS)


@lowering("scatter_nd_add")
def _scatter_nd_add(x: Any, indices: Any, updates: Any) -> Any:
    depth = indices.shape[-1]
    if not depth:
        return x + jnp.sum(updates, axis=tuple(range(indices.ndim - 1)), dtype=x.dtype)
    if 0 in x.shape[:depth]:
        return x
    return x.at[_vectors(indices, x.shape)].add(updates, mode=_IN_BOUNDS)


@lowering("scatter_nd")
def _scatter_nd(x: Any, indices: Any, updates: Any, reduction: str) -> Any:
    depth = indices.shape[-1]
    if not depth:
        whole = jnp.zeros((*indices.shape[:-1], 1), jnp.int32)
        return _scatter_nd(x[None], whole, updates, reduction)[0]
    if 0 in x.shape[:depth]:
        return x
    where = _vectors(indices, x.shape)
    if reduction == "none":
        return lax.platform_dependent(x, updates, *where, cpu=_replaced, default=_replaced_by_last)
    written = x.at[where]
    combine = {"mul": written.multiply, "min": written.min, "max": written.max}[reduction]
    return combine(updates, mode=_IN_BOUNDS)


def _replaced(x: Any, updates: Any, *where: Any) -> Any:
    """Where the updates are written one after the other, as they are on the CPU, the last one stays."""
    return x.at[where].set(updates, mode=_IN_BOUNDS)


def _replaced_by_last(x: Any, updates: Any, *where: Any) -> Any:
    """Where the order is left open: only the last update at each position is written."""
    ordinals = lax.iota(jnp.int32, math.prod(where[0].shape)).reshape(where[0].shape)
    last = jnp.full(x.shape[: len(where)], -1, jnp.int32).at[where].max(ordinals, mode=_IN_BOUNDS)
    stays = last.at[where].get(mode=_IN_BOUNDS) == ordinals
    first = jnp.where(stays, where[0], x.shape[0])
    return x.at[(first, *where[1:])].set(updates, mode="drop", unique_indices=True)


@lowering("reverse_sequence")
def _reverse_sequence(x: Any, lengths: Any, time_axis: int, batch_axis: int) -> Any:
    size = x.shape[time_axis]
    if jnp.issubdtype(lengths.dtype, jnp.unsignedinteger):
        lengths = lax.min(lengths.astype(jnp.uint64), jnp.uint64(size))
    ends = jnp.clip(lengths.astype(jnp.int64), 0, size).astype(jnp.int32)[:, None]
    places = lax.iota(jnp.int32, size)
    order = jnp.where(places < ends, ends - 1 - places, places)
    wide = [size if place in (time_axis, batch_axis) else 1 for place, size in enumerate(x.shape)]
    order = (order if batch_axis < time_axis else order.T).reshape(wide)
    return jnp.take_along_axis(x, order, time_axis, mode=_IN_BOUNDS)


@lowering("one_hot")
def _one_hot(indices: Any, depth: int, axis: int, dtype: DType) -> Any:
    # 64 bits where they are needed only: half as many elements go through a vector register
    narrow = indices.dtype.itemsize < 4 or indices.dtype == jnp.int32
    if narrow and depth < 1 << 31:
        wide = indices.astype(jnp.int32)
    else:
        signed = not jnp.issubdtype(indices.dtype, jnp.unsignedinteger)
        wide = indices.astype(jnp.int64 if signed else jnp.uint64)
    shape = [1] * (indices.ndim + 1)
    shape[axis] = depth
    classes = lax.iota(wide.dtype, depth).reshape(shape)
    return (jnp.expand_dims(wide, axis) == classes).astype(dtype.numpy)
