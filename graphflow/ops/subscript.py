"""Python indexing, x[1:, ::-1, None, ids]: which operators an index expression stands for."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dims import Dim
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite
from graphflow.ops.inference import known, show

Bound = int | Dim | None


def _is_integer(entry: Any) -> bool:
    return isinstance(entry, (int, np.integer, Dim)) and not isinstance(entry, (bool, np.bool_))


def _as_index(entry: Any) -> Any:
    """One entry of an index, arrays and lists as integer arrays; refuses what cannot be one."""
    if entry is None or entry is Ellipsis or isinstance(entry, slice) or _is_integer(entry):
        return entry
    if not isinstance(entry, Tensor):
        if isinstance(entry, (str, float, complex, np.floating)):
            raise AttributeValueError(
                f"a tensor cannot be indexed with {entry!r}",
                hint="use integers, slices, None, ..., or a tensor of integers",
            )
        entry = np.zeros(0, np.int64) if isinstance(entry, (list, tuple)) and not entry else np.asarray(entry)
    kind = entry.dtype.kind
    if kind in ("bool", "b"):
        raise DTypeError(
            "a boolean mask would select a number of elements that is known only when the graph runs",
            hint="gf.where(mask, x, 0) keeps the shape; gf.compress(mask, x, axis=0, size=9) takes up to 9",
        )
    if kind not in ("int", "uint", "i", "u"):
        raise DTypeError(
            f"a tensor cannot be indexed with values of dtype {entry.dtype}", hint="use integers"
        )
    return entry


def _entries(x: Tensor, key: Any) -> list[Any]:
    """The entries of an index, with the ellipsis, or the missing end, spelled out as full slices."""
    entries = [_as_index(entry) for entry in (key if isinstance(key, tuple) else (key,))]
    consumed = sum(entry is not None and entry is not Ellipsis for entry in entries)
    dots = [place for place, entry in enumerate(entries) if entry is Ellipsis]
    if len(dots) > 1:
        raise AttributeValueError("an index can hold '...' once")
    if consumed > x.ndim:
        raise ShapeError(
            f"{consumed} indices for a tensor of shape {show(x.shape)}", hint="drop some of them"
        )
    place = dots[0] if dots else len(entries)
    fill = [slice(None)] * (x.ndim - consumed)
    return [*entries[:place], *fill, *entries[place + 1 :]]


def _bound(value: Any) -> Bound:
    value = known(value)
    if value is None or isinstance(value, Dim):
        return value
    try:
        return int(value.__index__())
    except (AttributeError, TypeError):
        raise AttributeValueError(f"a slice bound must be an integer, not {value!r}") from None


def _integer_bounds(index: Any, size: Any, axis: int) -> tuple[Any, Any]:
    """Start and stop of the slice of one element that an integer names."""
    if isinstance(size, int) and not isinstance(index, Dim) and not -size <= index < size:
        raise ShapeError(
            f"index {index} is out of range for axis {axis} of size {size}",
            hint=f"use {-size} to {size - 1}" if size else "the axis is empty",
        )
    if isinstance(index, Dim):
        return index, index + 1
    start = size + int(index) if index < 0 else int(index)
    return start, start + 1


def _check_arrays(entries: list[Any]) -> None:
    """At most one array, and no integer that NumPy would pair with it across a slice."""
    arrays = [place for place, entry in enumerate(entries) if isinstance(entry, (Tensor, np.ndarray))]
    if len(arrays) > 1:
        raise AttributeValueError(
            "indexing with two arrays pairs them element by element in NumPy, and is not supported",
            hint="stack them and use gf.gather_nd, or index one axis after the other: x[i][:, j]",
        )
    if not arrays:
        return
    advanced = [place for place, entry in enumerate(entries) if place in arrays or _is_integer(entry)]
    if advanced[-1] - advanced[0] + 1 != len(advanced):
        raise AttributeValueError(
            "an array and an integer with a slice between them would move the indexed axes to the front",
            hint="index in two steps, for example x[0][:, ids]",
        )


@composite
def getitem(x: Tensor, key: Any) -> Tensor:
    """What x[key] means: integers, slices, None, "..." and at most one array or tensor of integers.

    An array replaces its axis, as `take` does. A symbolic index or bound means exactly itself; a bound may
    be a scalar tensor whose value is known while building, or fed.

    Raises:
        ShapeError: for too many indices, or one out of range.
        DTypeError: for boolean masks.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 4, 6))
    >>> getitem(x, (slice(None), -1, slice(None, None, 2))).type
    float32[batch, 3]
    """
    b = builder_for([x])
    entries = _entries(x, key)
    _check_arrays(entries)
    sliced = _slice(b, x, [entry for entry in entries if entry is not None])
    return _reshape(b, sliced, entries)


def _slice(b: Builder, x: Tensor, entries: list[Any]) -> Tensor:
    """x cut by the slices and integers; integers leave an axis of size 1."""
    starts: list[Bound] = []
    stops: list[Bound] = []
    steps: list[Bound] = []
    for axis, entry in enumerate(entries):
        bounds: tuple[Any, Any, Any] = (None, None, None)
        if isinstance(entry, slice):
            bounds = (_bound(entry.start), _bound(entry.stop), _bound(entry.step))
        elif _is_integer(entry):
            bounds = (*_integer_bounds(entry, x.shape[axis], axis), None)
        for column, value in zip((starts, stops, steps), bounds):
            column.append(value)
    if not any(isinstance(value, (int, Dim)) for value in (*starts, *stops)) and set(steps) <= {None, 1}:
        return x
    return b.slice(x, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))


def _reshape(b: Builder, x: Tensor, entries: list[Any]) -> Tensor:
    """Drop the axes of integers, take at arrays, and add the axes of None."""
    dropped: list[int] = []
    added: list[int] = []
    array, array_axis, axis, kept = None, 0, 0, 0
    for entry in entries:
        if entry is None:
            added.append(kept + len(added))
            continue
        if _is_integer(entry):
            dropped.append(axis)
        elif isinstance(entry, (Tensor, np.ndarray)):
            array, array_axis = entry, kept
            kept += entry.ndim
        else:
            kept += 1
        axis += 1
    if dropped:
        x = b.squeeze(x, axis=tuple(dropped))
    if array is not None:
        x = b.take(x, array, axis=array_axis)
    return b.expand_dims(x, axis=tuple(added)) if added else x
