"""JAX lowerings of the sorting family; ties, -0.0 and NaN are ordered exactly as the references do."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from graphflow.ops.sorting import require_enough
from graphflow.runtime.jax.lowering import lowering

# Order


def _sorted(operands: tuple[Any, ...], axis: int, descending: bool) -> Any:
    """The operands in the order of the first; turned before and after, equal elements keep theirs."""
    if descending:
        operands = tuple(lax.rev(operand, (axis,)) for operand in operands)
    made = lax.sort(operands, dimension=axis, is_stable=True, num_keys=1)
    return tuple(lax.rev(operand, (axis,)) for operand in made) if descending else made


def _with_order(x: Any, axis: int, descending: bool) -> Any:
    """x sorted, and the positions its elements had."""
    narrow = jnp.int32 if x.shape[axis] < 2**31 else jnp.int64
    return _sorted((x, lax.broadcasted_iota(narrow, x.shape, axis)), axis, descending)


@lowering("sort")
def _sort(x: Any, axis: int, descending: bool) -> Any:
    return _sorted((x,), axis, descending)[0]


@lowering("argsort")
def _argsort(x: Any, axis: int, descending: bool) -> Any:
    return _with_order(x, axis, descending)[1].astype(jnp.int64)


@lowering("top_k")
def _top_k(x: Any, k: int, axis: int, largest: bool) -> Any:
    require_enough(k, x.shape[axis])
    if largest and k and jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize <= 4:
        return _largest(x, k, axis)
    values, order = (
        lax.slice_in_dim(part, 0, k, axis=axis) for part in _with_order(x, axis, descending=largest)
    )
    return values, order.astype(jnp.int64)


def _largest(x: Any, k: int, axis: int) -> Any:
    """By a partial sort, which is much faster than a whole one.

    It tells zeros, and NaN, apart by their signs, so the keys have lost those.
    """
    keys = lax.stop_gradient(x).astype(jnp.float32)
    keys = jnp.where(keys == 0, jnp.float32(0), jnp.where(keys != keys, jnp.float32(jnp.nan), keys))
    order = lax.top_k(keys, k, axis=axis)[1]
    return jnp.take_along_axis(x, order, axis, mode="promise_in_bounds"), order.astype(jnp.int64)


@lowering("searchsorted")
def _searchsorted(x1: Any, x2: Any, side: str) -> Any:
    return jnp.searchsorted(x1, x2, side=side).astype(jnp.int64)


# Selections of a fixed size


def _true_positions(mask: Any, size: int) -> Any:
    """The positions of the first `size` true elements of a vector; its length where there are fewer."""
    return jnp.nonzero(mask, size=size, fill_value=mask.shape[0])[0].astype(jnp.int64)


@lowering("argwhere")
def _argwhere(x: Any, size: int, fill_value: int) -> Any:
    count = x.size
    if not count or not size:
        return jnp.full((size, x.ndim), fill_value, jnp.int64)
    flat = _true_positions((x != 0).reshape(-1), size)
    columns = jnp.stack(jnp.unravel_index(jnp.minimum(flat, count - 1), x.shape), axis=1)
    return jnp.where(flat[:, None] < count, columns, jnp.int64(fill_value)).astype(jnp.int64)


@lowering("unique_all")
def _unique_all(x: Any, size: int, fill_value: Any) -> Any:
    fill, count = jnp.asarray(fill_value, x.dtype), x.size
    if not count:
        none = jnp.zeros(size, jnp.int64)
        return jnp.full(size, fill), none, jnp.zeros(x.shape, jnp.int64), none
    flat = x.reshape(-1)
    ordered, order = _with_order(lax.stop_gradient(flat), 0, descending=False)
    first = jnp.concatenate([jnp.ones(1, bool), ordered[1:] != ordered[:-1]])
    starts = _true_positions(first, size + 1)
    inverse = jnp.zeros(count, jnp.int64).at[order].set(jnp.cumsum(first, dtype=jnp.int64) - 1)
    used = starts[:-1] < count
    indices = jnp.where(used, order[jnp.minimum(starts[:-1], count - 1)], 0).astype(jnp.int64)
    values = jnp.where(used, flat[indices], fill)
    return values, indices, inverse.reshape(x.shape), jnp.diff(starts)


@lowering("slice_ranks")
def _slice_ranks(x: Any, axis: int) -> Any:
    columns = jnp.moveaxis(x, axis, -1)
    columns = columns.reshape(-1 if x.size else math.prod(columns.shape[:-1]), x.shape[axis])
    if 0 in columns.shape:
        return jnp.zeros(x.shape[axis], jnp.int64)
    places = lax.iota(jnp.int32, x.shape[axis])

    def refined(ranks: Any, column: Any) -> Any:
        """Slices that were equal so far, told apart by one more element."""
        groups, values, order = lax.sort((ranks, column, places), num_keys=2)
        differs = (groups[1:] != groups[:-1]) | (values[1:] != values[:-1])
        dense = jnp.cumsum(jnp.concatenate([jnp.zeros(1, bool), differs]), dtype=jnp.int32)
        return jnp.zeros_like(ranks).at[order].set(dense, unique_indices=True), None

    return lax.scan(refined, jnp.zeros_like(places), columns)[0].astype(jnp.int64)
