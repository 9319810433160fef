"""Padding: elements added around a tensor, of one value, taken from its border, or from the other end."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.attrs import freeze
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite
from graphflow.ops.inference import entries, normalize_axis, require, show

MODES = ("constant", "edge", "reflect")


def _pad_pairs(pads, rank):
    """One (before, after) pair of sizes an axis, from an int, a pair, or pairs."""
    if not isinstance(pads, tuple):
        pads = (pads, pads)
    if len(pads) == 2 and not any(isinstance(entry, tuple) for entry in pads):
        pads = (pads,) * rank
    if len(pads) != rank or any(not isinstance(pair, tuple) or len(pair) != 2 for pair in pads):
        raise AttributeValueError(
            f"pad got {pads!r} for a tensor of rank {rank}",
            hint="pass a number, one (before, after) pair, or one pair an axis",
        )
    return tuple((dims.as_size(before), dims.as_size(after)) for before, after in pads)


def _pad_attrs(types, attrs):
    type, mode = types[0], attrs["mode"]
    if not isinstance(mode, str) or mode not in MODES:
        raise AttributeValueError(f"pad has no mode {mode!r}", hint="use one of " + ", ".join(MODES))
    pairs = _pad_pairs(attrs["pads"], type.rank)
    value = attrs["value"]
    if not isinstance(value, (bool, int, float, complex)):
        raise AttributeValueError(f"pad needs a number to pad with, not {value!r}")
    try:
        with np.errstate(all="ignore"):
            stored = np.array(value).astype(type.dtype.numpy).item()
    except (TypeError, ValueError, OverflowError):
        stored = None
    exact = type.dtype.is_differentiable and not isinstance(value, complex)
    if stored is None or (stored != value and not exact and type.dtype.kind != "complex"):
        raise AttributeValueError(f"pad cannot store the value {value!r} in a tensor of dtype {type.dtype}")
    return {"pads": pairs, "mode": mode, "value": stored if mode == "constant" else 0.0}


def _pad_type(types, attrs):
    shape, sizes = types[0].shape, []
    for axis, (size, (before, after)) in enumerate(zip(shape, attrs["pads"])):
        least = 0 if attrs["mode"] != "reflect" else 1
        for amount in (before, after):
            if isinstance(amount, int) and amount < 0:
                raise ShapeError(
                    f"pad got {amount} on axis {axis}", hint="slice the tensor to make it smaller"
                )
            too_large = isinstance(size, int) and isinstance(amount, int) and amount > max(size - least, 0)
            if attrs["mode"] == "reflect" and too_large:
                raise ShapeError(
                    f"pad cannot reflect {amount} elements on axis {axis} of size {size}",
                    hint=f"reflect at most {max(size - 1, 0)}, or pad in several steps",
                )
        if attrs["mode"] == "edge" and size == 0 and (before, after) != (0, 0):
            raise ShapeError(f"pad has no edge to repeat on axis {axis} of size 0")
        sizes.append(size + before + after)
    return (TensorType(types[0].dtype, tuple(sizes)),)


@op("shape", infer=_pad_type, normalize=_pad_attrs, name="pad")
def pad_op(x, /, pads, mode="constant", value=0.0):
    """Elements added before and after along each axis.

    Arguments:
        x: a tensor of any dtype.
        pads: how many: a number, one (before, after) pair, or one pair an axis; symbolic sizes too.
        mode: "constant" adds `value`, "edge" repeats the outermost element, "reflect" mirrors without
            repeating it.
        value: what "constant" adds.

    Raises:
        ShapeError: for negative pads, or reflecting more than the axis holds.

    ONNX Pad-25, less what `graphflow.pad` adds.

    >>> import graphflow as gf
    >>> gf.Builder(gf.default_graph()).pad(gf.placeholder("x", ("batch", 4)), pads=((0, 0), (1, 2))).type
    float32[batch, 7]
    """
    if mode == "constant":
        return np.pad(x, pads, constant_values=np.array(value).astype(x.dtype)) if x.ndim else x
    return np.pad(x, pads, mode=mode) if x.ndim else x


@pad_op.gradient
def _(b, node, g):
    mode, pads = node.attrs["mode"], node.attrs["pads"]
    x = node.inputs[0]
    for axis, pair in enumerate(pads):
        if pair != (0, 0):
            g = _unpad(b, g, axis, x.shape[axis], pair, mode)
    return [g]


def _unpad(b, g, axis, size, pair, mode):
    """The cotangent of x from that of x padded along one axis: what came from where, added up."""
    before, after = pair

    def cut(start, stop):
        return b.slice(g, starts=(start,), stops=(stop,), axes=(axis,))

    def grow(part, first, last):
        pads = tuple((first, last) if place == axis else (0, 0) for place in range(g.ndim))
        return b.pad(part, pads=pads)

    def mirrored(part):
        return b.slice(part, starts=(None,), stops=(None,), steps=(-1,), axes=(axis,))

    middle = cut(before, before + size)
    if mode == "constant":
        return middle
    head, tail = cut(0, before), cut(before + size, before + size + after)
    if before != 0:
        if mode == "edge":
            head = grow(b.sum(head, axis=axis, keepdims=True), 0, size - 1)
        else:
            head = grow(mirrored(head), 1, size - 1 - before)
        middle = b.add(middle, head)
    if after != 0:
        if mode == "edge":
            tail = grow(b.sum(tail, axis=axis, keepdims=True), size - 1, 0)
        else:
            tail = grow(mirrored(tail), size - 1 - after, 1)
        middle = b.add(middle, tail)
    return middle


# What users call


@composite
def pad(
    x: Any, pads: Any, mode: str = "constant", value: Any = 0.0, axes: Any = None, name: str | None = None
) -> Tensor:
    """Elements added before and after along each axis, or taken away.

    Arguments:
        x: a tensor of any dtype.
        pads: how many: a number, one (before, after) pair, or one pair an axis; symbolic sizes too. Of a
            negative number so many are taken away, before others are added.
        mode: "constant" adds `value`, "edge" repeats the outermost element, "reflect" mirrors without
            repeating it, "wrap" goes on at the other end.
        value: what "constant" adds: a number, or a scalar tensor.
        axes: which axes the pairs are for; all by default.

    Raises:
        ShapeError: for taking away, or reflecting, more than the axis holds, or wrapping an empty one.

    ONNX Pad-25.

    >>> import graphflow as gf
    >>> gf.pad(gf.placeholder("x", ("batch", 4)), (1, 2), mode="wrap", axes=-1).type
    float32[batch, 7]
    """
    b = builder_for([x, value])
    x = b.tensor(x)
    pairs = _pairs_of_axes(freeze(pads), x.ndim, axes)
    x, pairs = _cropped(b, x, pairs)
    if mode == "wrap":
        for axis, pair in enumerate(pairs):
            x = x if pair == (0, 0) else _wrapped(b, x, axis, pair)
        return x if name is None else b.identity(x, name=name)
    if not isinstance(value, Tensor) or mode != "constant":
        return b.pad(x, pads=pairs, mode=mode, value=value, name=name)
    require(not value.ndim, f"pad needs a scalar to pad with, not {value.type}", "reshape it to ()")
    inside = b.pad(b.broadcast_to(b.constant(value=np.array(True)), shape=x.shape), pads=pairs)
    return b.where(inside, b.pad(x, pads=pairs), b.astype(value, dtype=x.dtype), name=name)


def _pairs_of_axes(pads: Any, rank: int, axes: Any) -> tuple[tuple[Size, Size], ...]:
    if axes is None:
        return _pad_pairs(pads, rank)
    places = [normalize_axis(axis, rank, "pad") for axis in entries(axes)]
    if len(set(places)) != len(places):
        raise AttributeValueError(f"pad got an axis twice in {entries(axes)}", hint="name each axis once")
    given = dict(zip(places, _pad_pairs(pads, len(places))))
    return tuple(given.get(place, (0, 0)) for place in range(rank))


def _cropped(b: Builder, x: Tensor, pairs: Any) -> tuple[Tensor, tuple[tuple[Size, Size], ...]]:
    """x without what negative pads take away, and the pads that remain."""
    for axis, pair in enumerate(pairs):
        before, after = (-pad if isinstance(pad, int) and pad < 0 else 0 for pad in pair)
        if not before and not after:
            continue
        size = x.shape[axis]
        if isinstance(size, int) and before + after > size:
            raise ShapeError(
                f"pad cannot take {before + after} elements from axis {axis} of {show(x.shape)}",
                hint=f"take at most {size}",
            )
        stop = -after if after else None
        x = b.slice(x, starts=(before,), stops=(stop,), axes=(axis,))
    return x, tuple((_added(before), _added(after)) for before, after in pairs)


def _added(pad: Size) -> Size:
    return 0 if isinstance(pad, int) and pad < 0 else pad


def _wrapped(b: Builder, x: Tensor, axis: int, pair: tuple[Size, Size]) -> Tensor:
    """x continued along one axis; by whole copies of it where all sizes are known."""
    size, (before, after) = x.shape[axis], pair
    if size == 0:
        raise ShapeError(f"pad has nothing to wrap on axis {axis} of size 0", hint='use the mode "constant"')
    if not all(isinstance(length, int) for length in (size, before, after)):
        places = b.subtract(b.iota(size=size + before + after, dtype=int64), before)
        return b.take(x, b.remainder(places, b.tensor(size, dtype=int64)), axis=axis)
    pieces = (
        [b.slice(x, starts=(size - before % size,), stops=(None,), axes=(axis,))] if before % size else []
    )
    pieces += [x] * (before // size + 1 + after // size)
    pieces += [b.slice(x, starts=(0,), stops=(after % size,), axes=(axis,))] if after % size else []
    return b.concat(*pieces, axis=axis)
