"""Operators that only move elements, or give the same ones other sizes.

What one does is found by letting its reference move the numbers of the elements. If the result is a box of
the tile of its source it is copied there; if it lies in DDR by constant strides over the four axes it is
loaded so; all else is moved from DDR to DDR, in as many boxes as it falls into.
"""

from __future__ import annotations

from math import prod

import numpy as np

from graphflow.ir.node import Node, Tensor
from graphflow.runtime.bm1684.compiler.layers import copies
from graphflow.runtime.bm1684.compiler.layers.copies import MOST_COMMANDS, Axis, Piece, TooScattered
from graphflow.runtime.bm1684.compiler.layers.movement import Fetched, Heads, Joined, Part, transfer
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, Refused, chip_shape, legal, sizes
from graphflow.runtime.bm1684.compiler.tensors import Value, row_major
from graphflow.runtime.bm1684.isa import Shape, Window

_AXES = "nchw"
_MOST_LANED = 4095


@legal("reshape", "squeeze", "expand_dims", "flatten")
def reshape(legalizer: Legalizer, node: Node) -> None:
    """The same elements: no command at all."""
    _same(legalizer, node.output, legalizer.value(node.inputs[0]))


@legal("identity", "stop_gradient")
def identity(legalizer: Legalizer, node: Node) -> None:
    """The same tensor."""
    legalizer.same(node.output, legalizer.value(node.inputs[0]))


def _same(legalizer: Legalizer, tensor: Tensor, x: Value) -> None:
    shape = chip_shape(sizes(tensor))
    legalizer.same(tensor, x if x.shape == shape else legalizer.alias(x, shape))


@legal("slice", "roll", "tile", "repeat", "broadcast_to", "split")
def rearrange(legalizer: Legalizer, node: Node) -> None:
    """Any movement that the attributes describe."""
    x = node.inputs[0]
    made = node.op.reference(numbers(x), **node.attrs)
    for tensor, index in zip(node.outputs, made if isinstance(made, tuple | list) else (made,)):
        moved(legalizer, node, tensor, x, index)


@legal("permute_dims")
def permute(legalizer: Legalizer, node: Node) -> None:
    """The axes in another order; heads of attention within their lanes, all else through DDR."""
    x, axes = node.inputs[0], tuple(node.attrs["axes"])
    if axes == (0, 2, 1, 3) and _heads(legalizer, node):
        return
    moved(legalizer, node, node.output, x, numbers(x).transpose(axes))


def _heads(legalizer: Legalizer, node: Node) -> bool:
    """Exchange heads and rows where the rows lie on the lanes, and say whether they do."""
    x = node.inputs[0]
    items, first, second, size = sizes(x)
    source = legalizer.value(x).root
    if source.data is not None:
        return False
    if source.shape == Shape(items * first, second, 1, size) and first > 1:
        output = legalizer.output(node.output, Shape(items, second, 1, first * size))
        parts, merged = first, True
    elif source.shape == Shape(items, first, 1, second * size) and second > 1:
        output = legalizer.output(node.output, Shape(items * second, first, 1, size))
        parts, merged = second, False
    else:
        return False
    legalizer.add(Heads(output=output, inputs=(source,), nodes=(node.name,), parts=parts, merged=merged))
    return True


@legal("take", "take_along_axis", "gather_nd")
def take(legalizer: Legalizer, node: Node) -> None:
    """Elements at constant places."""
    x, indices = node.inputs
    known = legalizer.constant(indices)
    if known is None:
        raise Refused(
            f"where it reads depends on {indices.name}, and the chip has no command known here that does so",
            hint="look the rows up on the host, and feed them: an embedding is a table and row numbers",
        )
    moved(legalizer, node, node.output, x, node.op.reference(numbers(x), known, **node.attrs))


@legal("pad")
def pad(legalizer: Legalizer, node: Node) -> None:
    """Elements added around, or (by negative pads) left out."""
    x, attrs = node.inputs[0], dict(node.attrs)
    if attrs["mode"] != "constant":
        moved(legalizer, node, node.output, x, node.op.reference(numbers(x), **attrs))
        return
    index = node.op.reference(numbers(x), **{**attrs, "value": -1})
    inside = np.argwhere(index >= 0)
    output = legalizer.output(node.output)
    start, stop = inside.min(axis=0), inside.max(axis=0) + 1
    part = index[tuple(map(slice, start, stop))]
    whole = Piece(-1, 0, (Axis(index.size, 1, 1),))
    strides = [prod(index.shape[axis + 1 :]) for axis in range(index.ndim)]
    box = Piece(
        int(part.flat[0]),
        int(np.dot(start, strides)),
        tuple([Axis(*one) for one in zip(part.shape, copies.steps(part) or (), strides) if one[0] > 1]),
    )
    value = float(attrs["value"])
    legalizer.add(transfer(output, [legalizer.value(x)], [[whole, box]], (node.name,), value))


@legal("unslice")
def unslice(legalizer: Legalizer, node: Node) -> None:
    """A tensor placed among zeros."""
    x = node.inputs[0]
    index = node.op.reference(numbers(x) + 1, **node.attrs) - 1
    source = legalizer.value(x)
    inside = [piece for piece in _pieces(index) if not piece.filled]
    whole = Piece(-1, 0, (Axis(index.size, 1, 1),))
    legalizer.add(transfer(legalizer.output(node.output), [source], [[whole, *inside]], (node.name,)))


@legal("concat")
def concat(legalizer: Legalizer, node: Node) -> None:
    """Tensors one after the other: in local memory along n, c, h or w, else in DDR."""
    shape, axis = sizes(node.output), int(node.attrs["axis"])
    wanted, parts = chip_shape(shape), [chip_shape(sizes(x)) for x in node.inputs]
    # The leading axes of five or more are one for the chip, whose parts lie apart but for the first's.
    apart = axis <= len(shape) - 4 and prod(shape[:axis]) > 1
    along = None if apart else _joined_axis(wanted, parts)
    if along is not None:
        values = tuple([legalizer.value(x, part) for x, part in zip(node.inputs, parts)])
        output = legalizer.output(node.output, wanted)
        legalizer.add(Joined(output=output, inputs=values, nodes=(node.name,), axis=along))
        return
    inner = prod(shape[axis + 1 :])
    pieces, at = [], 0
    for x in node.inputs:
        size = sizes(x)[axis]
        outer = Axis(prod(shape[:axis]), size * inner, shape[axis] * inner)
        pieces.append([Piece(0, at * inner, (outer, Axis(size * inner, 1, 1)))])
        at += size
    sources = [legalizer.value(x) for x in node.inputs]
    legalizer.add(transfer(legalizer.output(node.output), sources, pieces, (node.name,)))


def _joined_axis(made: Shape, parts: list[Shape]) -> str | None:
    """The chip's axis along which parts are joined, if it is one."""
    if max(made.c, *[part.c for part in parts]) > _MOST_LANED:
        return None
    for place, axis in enumerate(_AXES):
        others = [part._replace(**{axis: 1}) for part in parts]
        if sum(part[place] for part in parts) == made[place] and all(
            other == made._replace(**{axis: 1}) for other in others
        ):
            return axis
    return None


def numbers(x: Tensor) -> np.ndarray:
    """For each element of a tensor its number in row-major order."""
    shape = sizes(x)
    return np.arange(prod(shape), dtype=np.int64).reshape(shape)


def moved(legalizer: Legalizer, node: Node, tensor: Tensor, x: Tensor, index: np.ndarray) -> None:
    """Let a tensor be the elements of another with these numbers."""
    source, shape = legalizer.value(x), chip_shape(sizes(tensor))
    index = np.ascontiguousarray(index)
    if index.size == prod(source.shape) and (index.ravel() == np.arange(index.size)).all():
        _same(legalizer, tensor, source)
        return
    strides = copies.steps(index.reshape(shape))
    fits = max(shape.n, shape.h, shape.w) <= copies.LARGEST and shape.c <= _MOST_LANED
    if strides is None or min(strides) < 0 or not fits:
        boxes = _pieces(index)
        legalizer.add(transfer(legalizer.output(tensor), [source], [boxes], (node.name,)))
        return
    first, output = int(index.flat[0]), legalizer.output(tensor)
    part = _part(source, output, strides, first, node)
    legalizer.add(part or Fetched.of(output, source, Shape(*strides), first, (node.name,)))


def _pieces(index: np.ndarray) -> list[Piece]:
    """The boxes of a movement.

    Raises:
        Refused: if there are too many.
    """
    try:
        found = copies.pieces(np.ascontiguousarray(index))
    except TooScattered:
        found = []
    if not found or sum(map(copies.count, found)) > MOST_COMMANDS:
        raise Refused(
            f"its elements come from so many places that it takes more than {MOST_COMMANDS} commands",
            hint="do this on the host, or arrange the weights around it so that it is not needed",
        )
    return found


def _part(source: Value, output: Value, strides: tuple[int, ...], first: int, node: Node) -> Part | None:
    """The layer that copies a box of the tile of the source, if the result is one."""
    if source.alias is not None or source.data is not None:
        return None
    apart = row_major(source.shape)
    start = np.unravel_index(first, source.shape)
    every = []
    for place, (axis, step, unit) in enumerate(zip(_AXES, strides, apart)):
        size, had = output.shape[place], source.shape[place]
        times = step // unit if size > 1 else 1
        if size > 1 and (step % unit or not times or (axis in "nc" and times > 1)):
            return None
        if start[place] + (size - 1) * times >= had:
            return None
        every.append(times)
    begin = Shape(*[int(at) for at in start])
    return Part(
        output=output, inputs=(source,), nodes=(node.name,), first=begin, every=Window(every[2], every[3])
    )
