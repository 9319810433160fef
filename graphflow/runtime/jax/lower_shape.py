"""JAX lowerings of the shape family: reshaping, arranging, padding, repeating."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from graphflow.ir.dtypes import DType
from graphflow.runtime.jax.lowering import lowering


@lowering("reshape")
def _reshape(x: Any, shape: tuple[int, ...]) -> Any:
    return lax.reshape(x, shape)


@lowering("permute_dims")
def _permute_dims(x: Any, axes: tuple[int, ...]) -> Any:
    return lax.transpose(x, axes)


@lowering("expand_dims")
def _expand_dims(x: Any, axis: tuple[int, ...]) -> Any:
    return lax.expand_dims(x, axis)


@lowering("squeeze")
def _squeeze(x: Any, axis: tuple[int, ...]) -> Any:
    return lax.squeeze(x, axis)


@lowering("broadcast_to")
def _broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    return jnp.broadcast_to(x, shape)


@lowering("shape_of")
def _shape_of(x: Any) -> Any:
    return jnp.asarray(x.shape, jnp.int64)


@lowering("iota")
def _iota(size: int, dtype: DType) -> Any:
    return lax.iota(jnp.int64, size).astype(dtype.numpy)


@lowering("concat")
def _concat(*xs: Any, axis: int) -> Any:
    return lax.concatenate(xs, axis)


@lowering("split")
def _split(x: Any, sections: tuple[int, ...], axis: int) -> tuple[Any, ...]:
    return tuple(lax.split(x, sections, axis))


@lowering("pad")
def _pad(x: Any, pads: tuple[tuple[int, int], ...], mode: str, value: Any) -> Any:
    if mode == "constant":
        return lax.pad(x, jnp.asarray(value, x.dtype), [(*pair, 0) for pair in pads])
    if not any(map(any, pads)):
        return x
    return jnp.pad(x, pads, mode=mode)


@lowering("roll")
def _roll(x: Any, shift: Any, axis: Any) -> Any:
    if axis is None:
        return _rolled(x.reshape(-1), shift, 0).reshape(x.shape)
    for place, step in zip(axis, shift):
        x = _rolled(x, step, place)
    return x


def _rolled(x: Any, shift: int, axis: int) -> Any:
    """x rotated along one axis: two slices, exchanged."""
    size = x.shape[axis]
    cut = -shift % size if size else 0
    if not cut:
        return x
    head, tail = lax.slice_in_dim(x, 0, cut, axis=axis), lax.slice_in_dim(x, cut, size, axis=axis)
    return lax.concatenate([tail, head], axis)


@lowering("tile")
def _tile(x: Any, repetitions: tuple[int, ...]) -> Any:
    return jnp.tile(x, repetitions)


@lowering("repeat")
def _repeat(x: Any, repeats: int, axis: int | None) -> Any:
    flat = x.reshape(-1) if axis is None else x
    place = axis or 0
    shape = flat.shape
    before, after = shape[:place], shape[place + 1 :]
    wide = jnp.broadcast_to(lax.expand_dims(flat, (place + 1,)), (*before, shape[place], repeats, *after))
    return wide.reshape(*before, shape[place] * repeats, *after)
