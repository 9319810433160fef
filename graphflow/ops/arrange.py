"""Arranging whole tensors: joining, cutting apart, rotating and repeating."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import builder_for
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite
from graphflow.ops.inference import entries, normalize_axis, show

MOST_PIECES = 1 << 16

# concat


def _concat_attrs(types, attrs):
    if not types:
        raise ShapeError("concat needs at least one tensor", hint="gf.concat([x, y], axis=0)")
    if not types[0].rank:
        raise ShapeError("concat joins along an axis, but scalars have none", hint="use gf.stack")
    return {"axis": normalize_axis(attrs["axis"], types[0].rank, "concat")}


def _concat_type(types, attrs):
    axis, first = attrs["axis"], types[0].shape
    joined, common = 0, list(first)
    for type in types:
        fits = type.rank == len(first)
        for place in range(len(first)) if fits else ():
            if place != axis:
                size = dims.unify(common[place], type.shape[place])
                fits = fits and size is not None
                common[place] = size
        if not fits:
            raise ShapeError(
                f"concat along axis {axis} cannot join {show(first)} and {show(type.shape)}",
                hint="ranks, and all sizes but that of the axis, must be equal",
            )
        joined = joined + type.shape[axis]
    common[axis] = joined
    return (TensorType(types[0].dtype, tuple(common)),)


@op("shape", infer=_concat_type, normalize=_concat_attrs, promotion="same", traits="injective any_dtype")
def concat(*xs, axis=0):
    """Join tensors along an existing axis.

    Arguments:
        xs: tensors, or one list of them; equal in rank and in all sizes but that of `axis`.
        axis: where to join.

    Raises:
        ShapeError: if the shapes do not fit together.

    Array API `concat`; ONNX Concat-13.

    >>> import graphflow as gf
    >>> gf.concat([gf.placeholder("x", ("n", 2)), gf.placeholder("y", ("m", 2))]).shape
    (m + n, 2)
    """
    return np.concatenate(xs, axis=axis)


@concat.gradient
def _(b, node, g):
    axis, start, pieces = node.attrs["axis"], 0, []
    for tensor in node.inputs:
        stop = start + tensor.shape[axis]
        pieces.append(b.slice(g, starts=(start,), stops=(stop,), axes=(axis,)))
        start = stop
    return pieces


# split


def _split_attrs(types, attrs):
    axis = normalize_axis(attrs["axis"], types[0].rank, "split")
    sections, size = attrs["sections"], types[0].shape[axis]
    if not isinstance(sections, int):
        return {"sections": tuple(map(dims.as_size, entries(sections))), "axis": axis}
    if not 1 <= sections <= MOST_PIECES:
        raise AttributeValueError(
            f"split cannot make {sections} pieces",
            hint=f"ask for 1 to {MOST_PIECES}, each a tensor of its own",
        )
    if isinstance(size, int) and size % sections:
        raise ShapeError(
            f"split cannot cut axis {axis} of size {size} into {sections} equal pieces",
            hint="pass the sizes of the pieces",
        )
    return {"sections": (dims.floor_divide(size, sections),) * sections, "axis": axis}


def _split_type(types, attrs):
    axis, sizes, shape = attrs["axis"], attrs["sections"], types[0].shape
    negative = any(isinstance(size, int) and size < 0 for size in sizes)
    if not sizes or negative or dims.unify(sum(sizes), shape[axis]) is None:
        raise ShapeError(
            f"split sizes {show(sizes)} do not add up to axis {axis} of {show(shape)}",
            hint=f"sizes are those of the pieces and must sum to {shape[axis]}",
        )
    return tuple(TensorType(types[0].dtype, (*shape[:axis], size, *shape[axis + 1 :])) for size in sizes)


@op("shape", infer=_split_type, normalize=_split_attrs, traits="injective any_dtype", name="split")
def split_op(x, /, sections, axis=0):
    """Cut a tensor apart along an axis, into pieces of the given sizes. ONNX Split-18.

    Arguments:
        x: a tensor of any dtype.
        sections: the number of equal pieces, or the sizes of the pieces.
        axis: where to cut.

    >>> import graphflow as gf
    >>> [piece.type for piece in gf.split(gf.constant([1, 2, 3]), [1, 2])]
    [int32[1], int32[2]]
    """
    ends = np.cumsum(sections)[:-1]
    return tuple(np.split(x, ends, axis=axis))


@split_op.gradient
def _(b, node, *cotangents):
    parts = [b.full_like(0, out) if g is None else g for out, g in zip(node.outputs, cotangents)]
    return [b.concat(*parts, axis=node.attrs["axis"])]


@composite
def split(x: Any, sections: int | Sequence[Any], axis: int = 0, name: str | None = None) -> list[Tensor]:
    """Cut a tensor apart along an axis. ONNX Split-18.

    Arguments:
        x: a tensor of any dtype.
        sections: the number of equal pieces, or the sizes of the pieces (not, as in NumPy, where to cut).
        axis: where to cut.

    Returns:
        The pieces, in order.

    Raises:
        ShapeError: if the sizes do not add up, or the pieces would not be equal.

    >>> import graphflow as gf
    >>> [piece.shape for piece in gf.split(gf.placeholder("x", ("batch", 6)), [1, 5], axis=1)]
    [(batch, 1), (batch, 5)]
    """
    made = builder_for([x]).apply(split_op, [x], {"sections": sections, "axis": axis}, name)
    return [made] if isinstance(made, Tensor) else list(made)


# roll


def _roll_attrs(types, attrs):
    shift, axis = attrs["shift"], attrs["axis"]
    if axis is None:
        if not isinstance(shift, int):
            raise AttributeValueError(
                f"roll needs an axis for each shift, but got the shifts {shift!r} and none", hint="pass axis="
            )
        return {"shift": shift, "axis": None}
    axes = entries(axis)
    shifts = (shift,) * len(axes) if isinstance(shift, int) else entries(shift)
    if len(axes) != len(shifts) or not all(isinstance(step, int) for step in shifts):
        raise AttributeValueError(
            f"roll got the shifts {shift!r} for the axes {axis!r}",
            hint="pass one int for each axis, or for all",
        )
    summed: dict[int, int] = {}
    for place, step in zip(axes, shifts):
        place = normalize_axis(place, types[0].rank, "roll")
        summed[place] = summed.get(place, 0) + step
    kept = sorted(summed)
    return {"shift": tuple(summed[place] for place in kept), "axis": tuple(kept)}


def _unchanged(types, attrs):
    return (types[0],)


@op("shape", infer=_unchanged, normalize=_roll_attrs, traits="injective any_dtype")
def roll(x, /, shift, axis=None):
    """Rotate the elements: what leaves at the end comes in at the beginning.

    Arguments:
        x: a tensor of any dtype.
        shift: by how many places; one number an axis, or one for all.
        axis: along which axis, or axes; None rotates the flattened tensor and restores the shape.

    Array API `roll`.

    >>> import graphflow as gf
    >>> gf.roll(gf.constant([1, 2, 3]), 1).type
    int32[3]
    """
    return x if axis == () else np.roll(x, shift, axis)  # NumPy refuses to roll along no axis


@roll.gradient
def _(b, node, g):
    shift, axis = node.attrs["shift"], node.attrs["axis"]
    back = -shift if axis is None else tuple(-step for step in shift)
    return [b.roll(g, shift=back, axis=axis)]


# tile and repeat


def _count(value, operation):
    size = dims.as_size(value)
    if isinstance(size, int) and size < 0:
        raise AttributeValueError(
            f"{operation} cannot repeat {size} times", hint="pass a count of at least 0"
        )
    return size


def _tile_attrs(types, attrs):
    given = attrs["repetitions"]
    counts = tuple(_count(size, "tile") for size in entries(given))
    return {"repetitions": (1,) * (types[0].rank - len(counts)) + counts}


def _tile_type(types, attrs):
    counts = attrs["repetitions"]
    shape = (1,) * (len(counts) - types[0].rank) + types[0].shape
    return (TensorType(types[0].dtype, tuple([size * count for size, count in zip(shape, counts)])),)


@op("shape", infer=_tile_type, normalize=_tile_attrs, traits="injective any_dtype")
def tile(x, /, repetitions):
    """The whole tensor, laid side by side `repetitions[i]` times along axis i.

    Arguments:
        x: a tensor of any dtype.
        repetitions: how often along each axis, aligned at the end; symbolic sizes too.

    Array API `tile`; ONNX Tile-13.

    >>> import graphflow as gf
    >>> gf.tile(gf.constant([1, 2]), (3, 2)).type
    int32[3, 4]
    """
    return np.tile(x, repetitions)


@tile.gradient
def _(b, node, g):
    x, counts = node.inputs[0], node.attrs["repetitions"]
    shape = (1,) * (len(counts) - x.ndim) + x.shape
    pairs = [size for pair in zip(counts, shape) for size in pair]
    parts = b.reshape(g, shape=tuple(pairs))
    summed = b.sum(parts, axis=tuple(range(0, len(pairs), 2))) if pairs else parts
    return [b.reshape(summed, shape=x.shape)]


def _repeat_attrs(types, attrs):
    axis = attrs["axis"]
    place = None if axis is None else normalize_axis(axis, types[0].rank, "repeat")
    return {"repeats": _count(attrs["repeats"], "repeat"), "axis": place}


def _repeat_type(types, attrs):
    axis, count, shape = attrs["axis"], attrs["repeats"], types[0].shape
    if axis is None:
        return (TensorType(types[0].dtype, (dims.product(shape) * count,)),)
    return (TensorType(types[0].dtype, (*shape[:axis], shape[axis] * count, *shape[axis + 1 :])),)


@op("shape", infer=_repeat_type, normalize=_repeat_attrs, traits="injective any_dtype")
def repeat(x, /, repeats, axis=None):
    """Each element `repeats` times in a row.

    Arguments:
        x: a tensor of any dtype.
        repeats: how often; a number or symbolic size.
        axis: along which axis; None repeats the elements of the flattened tensor.

    Array API `repeat`.

    >>> import graphflow as gf
    >>> gf.repeat(gf.constant([1, 2]), 3).type
    int32[6]
    """
    return np.repeat(x, repeats, axis)


@repeat.gradient
def _(b, node, g):
    x, count, axis = node.inputs[0], node.attrs["repeats"], node.attrs["axis"]
    place = x.ndim if axis is None else axis + 1
    parts = b.reshape(g, shape=(*x.shape[:place], count, *x.shape[place:]))
    return [b.sum(parts, axis=place)]
