"""Caches of sequences: new entries written behind those that are there."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.indexing import require_indices
from graphflow.ops.inference import normalize_axis, show
from graphflow.ops.scattering import as_vectors, positions_along

MODES = ("linear", "circular")


@composite
def cache_update(
    cache: Any, update: Any, write_indices: Any = None, axis: int = -2, mode: str = "linear"
) -> Tensor:
    """The cache with an update written along its sequence axis: y[n, ..., write[n] + t] = update[n, ..., t].

    Arguments:
        cache: a tensor [batch, ..., longest, ...], such as the keys or values of attention
            [batch, heads, longest, size].
        update: of the dtype and shape of the cache, but for the sequence axis, where it is no longer.
        write_indices: integers [batch], where in each entry of the batch to begin; 0 by default.
        axis: the sequence axis; not 0, which is the batch.
        mode: "linear" needs write_indices + length <= longest (what exceeds is written at the last
            position); "circular" goes on at the beginning.

    Raises:
        ShapeError, AttributeValueError: if the update does not fit the cache, or for an unknown mode.

    ONNX TensorScatter-24.

    >>> import graphflow as gf
    >>> keys, new = gf.zeros((2, 8, 512, 64)), gf.placeholder("new", (2, 8, 1, 64))
    >>> gf.nn.cache_update(keys, new, gf.constant([17, 4])).type
    float32[2, 8, 512, 64]
    """
    b, (cache, update) = with_tensors(cache, update)
    place = normalize_axis(axis, cache.ndim, "cache_update")
    if not isinstance(mode, str) or mode not in MODES or not place:
        raise AttributeValueError(
            f"cache_update got the axis {place} and the mode {mode!r:.80}",
            hint='use an axis behind 0, which is the batch, and "linear" or "circular"',
        )
    _require_fit(cache, update, place)
    shape = update.shape[: place + 1]
    coordinates = [positions_along(b, shape, axis) for axis in range(place + 1)]
    if write_indices is not None:
        coordinates[place] = b.add(coordinates[place], _starts(b, write_indices, shape))
    if mode == "circular":
        longest = b.tensor(cache.shape[place], dtype=int64)
        coordinates[place] = b.remainder(coordinates[place], longest)
    return b.scatter_nd(cache, as_vectors(b, coordinates), update)


def _starts(b: Builder, write_indices: Any, shape: Any) -> Tensor:
    """Where each entry of the batch begins, as int64 that broadcasts to the shape."""
    starts = b.tensor(write_indices)
    require_indices(starts.type, "cache_update")
    if starts.ndim != 1 or dims.unify(starts.shape[0], shape[0]) is None:
        raise ShapeError(
            f"cache_update needs write_indices of shape [{shape[0]}], not {show(starts.shape)}",
            hint="one for each entry of the batch",
        )
    return b.reshape(b.astype(starts, dtype=int64), shape=(shape[0], *(1,) * (len(shape) - 1)))


def _require_fit(cache: Tensor, update: Tensor, axis: int) -> None:
    fits = cache.ndim == update.ndim
    for place in range(cache.ndim) if fits else ():
        longest, length = cache.shape[place], update.shape[place]
        if place != axis:
            fits = fits and dims.unify(longest, length) is not None
        elif isinstance(longest, int) and isinstance(length, int):
            fits = fits and length <= longest
    if not fits:
        raise ShapeError(
            f"cache_update cannot write {show(update.shape)} along axis {axis} of {show(cache.shape)}",
            hint="all sizes but that of the axis must be equal, and that no larger",
        )
