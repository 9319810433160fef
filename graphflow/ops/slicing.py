"""Strided slices, and their transpose, which writes a tensor into zeros at the sliced positions.

A canonical slice names start, stop and step for every axis, as raw positions: 0 <= start <= size,
and for a negative step the stop None stands for "through element 0". What a user may write is
converted once, by NumPy's rules for integers (negative ones count from the end, all are clamped).
A symbolic position means exactly itself: it must lie inside the axis, which the session checks.
"""

from __future__ import annotations

import builtins

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.atoms import operands_of
from graphflow.ir.dims import Dim, Size
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType, as_shape
from graphflow.ops.inference import entries, normalize_axis, show

Bound = Size | None


def strided_ranges(shape, starts, stops, steps) -> list[range]:
    """The positions that a canonical slice with static sizes reads, axis by axis.

    >>> strided_ranges((5, 4), (1, 3), (5, None), (2, -1))
    [range(1, 5, 2), range(3, -1, -1)]
    """
    ranges = []
    for size, start, stop, step in zip(shape, starts, stops, steps):
        if step > 0:
            ranges.append(range(max(start, 0), min(stop, size), step))
        else:
            ranges.append(range(min(start, size - 1), -1 if stop is None else max(stop, -1), step))
    return ranges


def _index(ranges: list[range]) -> tuple[builtins.slice, ...]:
    """NumPy's index for ranges of non-negative positions."""
    index = []
    for positions in ranges:
        stop = positions.stop if positions.stop >= 0 else None
        index.append(
            builtins.slice(positions.start, stop, positions.step) if positions else builtins.slice(0, 0)
        )
    return tuple(index)


def _static_bounds(size: int, start: int | None, stop: int | None, step: int) -> tuple[int, Bound, int]:
    """The canonical bounds of a static slice; equal positions give equal bounds."""
    return _bounds_of(range(*builtins.slice(start, stop, step).indices(size)))


def _bounds_of(positions: range) -> tuple[int, Bound, int]:
    if not positions:
        return 0, 0, 1
    first, last, step = positions[0], positions[-1], positions.step
    if len(positions) == 1:
        return first, first + 1, 1
    if step > 0:
        return first, last + 1, step
    return first, last - 1 if last else None, step


def _clamped(bound: Size, size: Size, low: int, high: Size) -> Size:
    """A position on a symbolic axis from an integer, by NumPy's rules; a Dim stays as it is."""
    if isinstance(bound, Dim):
        return bound
    if bound < 0:
        return dims.maximum(size + bound, low)
    return dims.minimum(bound, high)


def _symbolic_bounds(size: Size, start: Bound, stop: Bound, step: int) -> tuple[Size, Bound, int]:
    if step > 0:
        first = 0 if start is None else _clamped(start, size, 0, size)
        return first, size if stop is None else _clamped(stop, size, 0, size), step
    first = size - 1 if start is None else _clamped(start, size, -1, size - 1)
    return first, None if stop is None else _clamped(stop, size, -1, size - 1), step


def _listed(value, count, what):
    """One entry an axis, from a tuple, a single entry or None."""
    entries = value if isinstance(value, tuple) else (value,) * count
    if len(entries) != count:
        raise AttributeValueError(f"slice got {len(entries)} {what} for {count} axes")
    for entry in entries:
        if entry is not None and (isinstance(entry, bool) or not isinstance(entry, (int, Dim))):
            raise AttributeValueError(
                f"slice needs integer {what}, not {entry!r}", hint="gf.take reads at tensors"
            )
    return entries


def _canonical(shape, attrs):
    """starts, stops and steps for every axis of `shape`."""
    rank, axes = len(shape), attrs.get("axes")
    axes = range(rank) if axes is None else entries(axes)
    places = [normalize_axis(axis, rank, "slice") for axis in axes]
    if len(set(places)) != len(places):
        raise AttributeValueError(f"slice got an axis twice in {tuple(axes)}")
    starts, stops, steps = (_listed(attrs[what], len(places), what) for what in ("starts", "stops", "steps"))
    bounds: list[tuple[Size, Bound, int]] = [(0, size, 1) for size in shape]
    for place, start, stop, step in zip(places, starts, stops, steps):
        stride = 1 if step is None else step
        if isinstance(stride, Dim) or stride == 0:
            raise AttributeValueError(f"slice needs a fixed, non-zero step, not {step}")
        static = not any(isinstance(value, Dim) for value in (shape[place], start, stop))
        convert = _static_bounds if static else _symbolic_bounds
        bounds[place] = convert(shape[place], start, stop, stride)
    return {what: tuple(column) for what, column in zip(("starts", "stops", "steps"), zip(*bounds))} or {
        "starts": (), "stops": (), "steps": (),
    }  # fmt: skip


def _assume_inside(position: Bound, low: int, high: Size, axis: int, shape) -> None:
    """Refuse a symbolic position outside of [low, high]; note the assumption where that is not known."""
    if not isinstance(position, Dim):
        return
    if any(kind in str(position) for kind in ("min(", "max(")):
        return  # made by clamping
    above, below = dims.maximum(position, low), dims.minimum(position, high)
    if dims.unify(above, position) is None or dims.unify(below, position) is None:
        raise ShapeError(f"slice position {position} lies outside of axis {axis} of {show(shape)}")


def _length(size: Size, start: Size, stop: Bound, step: int) -> Size:
    """How many positions a canonical slice reads on an axis."""
    if not any(isinstance(value, Dim) for value in (size, start, stop)):
        return len(strided_ranges((size,), (start,), (stop,), (step,))[0])
    if step > 0:
        span = _span(size, start, size if stop is None else stop)
    else:
        span = _span(size, 0 if stop is None else stop + 1, start + 1)
    return span if abs(step) == 1 else dims.floor_divide(span + (abs(step) - 1), abs(step))


def _span(size: Size, low: Size, high: Size) -> Size:
    """max(high - low, 0) for positions from 0 to `size`.

    Where both are clamped integers the size is in the result once, not once for each of them, so that
    slices of slices have sizes of a length that grows with their number, and does not double.
    """
    first, last = _written(low, size), _written(high, size)
    if first is None or last is None or (first[0] == "end" and last[0] == "front"):
        certain = low == 0 or high == size
        return high - low if certain else dims.maximum(high - low, 0)
    (side, start), (_, stop) = first, last
    if side != last[0]:  # from `start` after the front to `-stop` before the end
        return dims.maximum(size + (stop - start), 0)
    if stop <= start:
        return 0
    if side == "front":
        return dims.maximum(dims.minimum(size, stop) - start, 0)
    return dims.maximum(dims.minimum(size + stop, stop - start), 0)


def _written(position: Size, size: Size) -> tuple[str, int] | None:
    """What a position clamped to [0, size] counts from, "front" or "end", and how far; None if unknown."""
    if isinstance(position, int):
        return "front", position
    distance = position - size
    if isinstance(distance, int):
        return "end", distance
    for kind, side, bound in (("min", "front", size), ("max", "end", 0)):
        operands = operands_of(position, kind)
        if operands is not None and bound in operands:
            other = operands[operands[0] == bound]
            found = other if side == "front" else other - size
            if isinstance(found, int):
                return side, found
    return None


def _sliced(shape, attrs):
    """The shape of a canonical slice of a tensor of the given shape."""
    sizes = []
    for axis, size in enumerate(shape):
        start, stop, step = (attrs[what][axis] for what in ("starts", "stops", "steps"))
        low, high = (0, size) if step > 0 else (-1, size - 1)
        _assume_inside(start, low, high, axis, shape)
        _assume_inside(stop, low, high, axis, shape)
        sizes.append(_length(size, start, stop, step))
    return tuple(sizes)


def _settled(shape, attrs):
    """Canonical attributes of which the symbolic positions have become numbers, for a static shape."""
    ranges = strided_ranges(shape, attrs["starts"], attrs["stops"], attrs["steps"])
    columns = tuple(zip(*map(_bounds_of, ranges))) or ((), (), ())
    return {**attrs, **dict(zip(("starts", "stops", "steps"), columns))}


def _slice_attrs(types, attrs):
    return {**_canonical(types[0].shape, attrs), "axes": None}


def _slice_type(types, attrs):
    return (TensorType(types[0].dtype, _sliced(types[0].shape, attrs)),)


@op("indexing", infer=_slice_type, normalize=_slice_attrs, traits="injective any_dtype")
def slice_(x, /, starts, stops, steps=None, axes=None):
    """Every `step`-th element from `start` up to, not including, `stop`: x[start:stop:step] for each axis.

    Arguments:
        x: a tensor of any dtype.
        starts, stops: one position an axis; negative ones count from the end, None is the end that
            the step comes from or goes to, all are clamped. A symbolic position means itself.
        steps: one step an axis, 1 by default; negative ones walk backwards.
        axes: which axes the entries are for; all by default.

    ONNX Slice-13. Python's x[1:, ::-1] builds it.

    >>> import graphflow as gf
    >>> gf.slice(gf.placeholder("x", ("batch", 8)), (6,), (None,), (-2,), axes=(1,)).type
    float32[batch, 4]
    """
    return x[_index(strided_ranges(x.shape, starts, stops, steps))]


slice_.settle = lambda types, attrs: _settled(types[0].shape, attrs)


@slice_.gradient
def _(b, node, g):
    attrs = node.attrs
    return [
        b.unslice(g, shape=node.inputs[0].shape, starts=attrs.starts, stops=attrs.stops, steps=attrs.steps)
    ]


def _unslice_attrs(types, attrs):
    shape = as_shape(attrs["shape"])
    return {"shape": shape, **_canonical(shape, attrs)}


def _unslice_type(types, attrs):
    shape, wanted = types[0].shape, _sliced(attrs["shape"], attrs)
    if len(shape) != len(wanted) or any(dims.unify(a, b) is None for a, b in zip(shape, wanted)):
        raise ShapeError(
            f"unslice got {show(shape)}, but that slice of {show(attrs['shape'])} has shape {show(wanted)}"
        )
    return (TensorType(types[0].dtype, attrs["shape"]),)


@op("indexing", infer=_unslice_type, normalize=_unslice_attrs)
def unslice(x, /, shape, starts, stops, steps=None):
    """Zeros of the given shape with x written where `slice` would read; the transpose of `slice`.

    Arguments:
        x: a tensor of the shape that the slice has.
        shape: the shape of the result.
        starts, stops, steps: one entry an axis, as in `slice`.

    >>> import graphflow as gf
    >>> from graphflow.ops.slicing import unslice
    >>> unslice(gf.constant([1, 2]), (5,), (0,), (4,), (2,)).type
    int32[5]
    """
    result = np.zeros(shape, x.dtype)
    result[_index(strided_ranges(shape, starts, stops, steps))] = x
    return result


unslice.settle = lambda types, attrs: _settled(attrs["shape"], attrs)


@unslice.gradient
def _(b, node, g):
    attrs = node.attrs
    return [b.slice(g, starts=attrs.starts, stops=attrs.stops, steps=attrs.steps)]
