"""Further rules of cutting and joining: slices, pieces, pads, flips, tiles and reading by index.

All hold to the bit but one: adding up what was written into zeros turns -0.0 into 0.0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.node import Tensor
from graphflow.optimizer.pattern import Match, P, Variable
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import FIRST, X, Y, in_place_of, small_constant

_BOUNDS = ("starts", "stops", "steps")
Z = Variable("Z")


def _numbers(*columns: Any) -> bool:
    """Whether all entries are plain numbers (or None), none of them symbolic."""
    return all([value is None or isinstance(value, int) for column in columns for value in column])


# Pieces


class Piece(NamedTuple):
    """`source` from `start` to `stop` along an axis, whole along the others."""

    source: Tensor
    start: Size
    stop: Size


def _piece(tensor: Tensor, axis: int) -> Piece:
    """What a tensor is a piece of: the operand of a slice or split, or itself."""
    node = tensor.node
    size = tensor.shape[axis]
    itself = Piece(tensor, 0, size)
    if node.op.name == "split" and node.attrs["axis"] == axis and _numbers(node.attrs["sections"]):
        start = sum(node.attrs["sections"][: tensor.index])
        return Piece(node.inputs[0], start, start + tensor.shape[axis])
    if node.op.name != "slice":
        return itself
    source, attrs = node.inputs[0], node.attrs
    if attrs["steps"][axis] != 1 or not _numbers([attrs["starts"][axis], attrs["stops"][axis]]):
        return itself
    others = [place for place in range(tensor.ndim) if place != axis]
    whole = all([_whole(attrs, place, source.shape[place]) == 1 for place in others])
    return Piece(source, attrs["starts"][axis], attrs["stops"][axis]) if whole else itself


@rule(P.concat(...), safety="exact")
def concat_of_neighbours(m: Match, b: Builder) -> Answer:
    """concat(x[a:b], x[b:c]) = x[a:c], and the pieces of a split joined again are the whole."""
    axis, inputs = m.root.attrs["axis"], m.root.inputs
    if not all([isinstance(tensor.shape[axis], int) for tensor in inputs]):
        return None
    joined: list[tuple[Piece, Tensor | None]] = []
    for tensor in inputs:
        piece = _piece(tensor, axis)
        last = joined[-1][0] if joined else None
        if last is not None and last.source is piece.source and last.stop == piece.start:
            joined[-1] = (Piece(piece.source, last.start, piece.stop), None)
        else:
            joined.append((piece, tensor))
    if len(joined) == len(inputs):
        return None
    parts = [tensor if tensor is not None else _cut(piece, axis, b) for piece, tensor in joined]
    return in_place_of(m, parts[0] if len(parts) == 1 else b.concat(*parts, axis=axis))


def _cut(piece: Piece, axis: int, b: Builder) -> Tensor:
    if piece.start == 0 and piece.stop == piece.source.shape[axis]:
        return piece.source
    made: Tensor = b.slice(piece.source, starts=(piece.start,), stops=(piece.stop,), axes=(axis,))
    return made


@rule(P.slice(P.concat(...)), safety="exact")
def slice_across_pieces(m: Match, b: Builder) -> Answer:
    """A slice of a concatenation needs only the pieces that it meets."""
    joined, attrs, shape = m.inner.node, m.root.attrs, m.output.shape
    axis = joined.attrs["axis"]
    sizes = [tensor.shape[axis] for tensor in joined.inputs]
    start, stop = attrs["starts"][axis], attrs["stops"][axis]
    if attrs["steps"][axis] != 1 or not _numbers(sizes, [start, stop]) or 0 in shape:
        return None
    parts: list[Tensor] = []
    offset = 0
    for piece, size in zip(joined.inputs, sizes):
        low, high = max(start - offset, 0), min(stop - offset, size)
        if low < high:
            parts.append(_part(piece, axis, low, high, attrs, b))
        offset += size
    if len(parts) == len(sizes) or len(parts) < 2:
        return None
    return in_place_of(m, b.concat(*parts, axis=axis))


def _part(piece: Tensor, axis: int, low: int, high: int, attrs: Any, b: Builder) -> Tensor:
    bounds = {what: list(attrs[what]) for what in _BOUNDS}
    bounds["starts"][axis], bounds["stops"][axis] = low, high
    made: Tensor = b.slice(piece, **{what: tuple(entries) for what, entries in bounds.items()})
    return made


@rule(P.slice(P.split(X)), safety="exact")
def slice_of_split(m: Match, b: Builder) -> Answer:
    """A slice of the first piece of a split is a slice of the whole."""
    return in_place_of(m, b.slice(m.X, **{what: m.root.attrs[what] for what in _BOUNDS}))


@rule(P.split(P.concat(...)), safety="exact")
def split_of_concat(m: Match, b: Builder) -> Answer:
    """split(concat(x, y)) = x, y where it is cut at the seams."""
    joined, pieces = m.inner.node, m.root.outputs
    if joined.attrs["axis"] != m.root.attrs["axis"] or len(joined.inputs) != len(pieces):
        return None
    same = all([one.type is piece.type for one, piece in zip(joined.inputs, pieces)])
    return list(joined.inputs) if same else None


# Pads, and what is written into zeros


@rule(P.slice(P.pad(X)), safety="exact")
def slice_of_pad(m: Match, b: Builder) -> Answer:
    """A slice that meets nothing but x of a padded x is a slice of x."""
    attrs, pads = m.root.attrs, m.inner.attrs["pads"]
    if not m.X.type.is_static or not _numbers(*pads, attrs["starts"], attrs["stops"]) or 0 in m.output.shape:
        return None
    starts, stops = [], []
    for axis, count in enumerate(m.output.shape):
        first, step = attrs["starts"][axis] - pads[axis][0], attrs["steps"][axis]
        last = first + step * (int(count) - 1)
        low, high = min(first, last), max(first, last)
        if low < 0 or high >= m.X.shape[axis]:
            return None
        starts.append(first)
        stops.append(last + 1 if step > 0 else last - 1 if last else None)
    return b.slice(m.X, starts=tuple(starts), stops=tuple(stops), steps=attrs["steps"])


@rule(P.slice(P.unslice(X)), safety="exact")
def slice_of_unslice(m: Match, b: Builder) -> Answer:
    """Reading where x was written into zeros gives x."""
    same = all([m.root.attrs[what] == m.inner.attrs[what] for what in _BOUNDS])
    return m.X if same and m.X.type is m.output.type else None


@rule(P.unslice(X), safety="exact")
def unslice_of_everything(m: Match, b: Builder) -> Answer:
    """Writing over all of the zeros leaves x."""
    attrs = m.root.attrs
    forward = all([step == 1 for step in attrs["steps"]]) and not any(attrs["starts"])
    return m.X if forward and m.X.type is m.output.type else None


@rule(P.add(P.unslice(X), P.unslice(Y)), safety="finite")
def add_written_neighbours(m: Match, b: Builder) -> Answer:
    """x written into zeros plus y written beside it is concat(x, y) written: gradients join again."""
    first, second = [tensor.node for tensor in m.root.inputs]
    if any([set(node.attrs["steps"]) - {1} for node in (first, second)]):
        return None
    bounds = [(node.attrs["starts"], node.attrs["stops"]) for node in (first, second)]
    places = [axis for axis in range(m.output.ndim) if _differ(bounds, axis)]
    if len(places) != 1 or not _numbers(*bounds[0], *bounds[1]):
        return None
    axis = places[0]
    if bounds[1][0][axis] < bounds[0][0][axis]:
        first, second, bounds = second, first, bounds[::-1]
    if bounds[0][1][axis] != bounds[1][0][axis]:
        return None
    joined = b.concat(first.inputs[0], second.inputs[0], axis=axis)
    starts, stops = first.attrs["starts"], list(first.attrs["stops"])
    stops[axis] = bounds[1][1][axis]
    return in_place_of(
        m,
        b.unslice(
            joined, shape=m.output.shape, starts=starts, stops=tuple(stops), steps=first.attrs["steps"]
        ),
    )


def _differ(bounds: list, axis: int) -> bool:
    (starts, stops), (others, ends) = bounds
    return starts[axis] != others[axis] or stops[axis] != ends[axis]


# Flips, tiles and turns


@rule(P.slice(P.slice(X)), safety="exact")
def flip_of_flip(m: Match, b: Builder) -> Answer:
    """Flipping an axis twice leaves it, whatever its size."""
    if m.X.type is not m.output.type or m.inner.tensor.type is not m.X.type:
        return None
    for axis, size in enumerate(m.X.shape):
        kinds = [_whole(node.attrs, axis, size) for node in (m.inner.node, m.root)]
        if not kinds[0] or kinds[0] != kinds[1]:
            return None
    return m.X


def _whole(attrs: Any, axis: int, size: Any) -> int:
    """1 for a whole axis in order, -1 for a whole axis backwards, 0 for anything else."""
    start, stop, step = [attrs[what][axis] for what in _BOUNDS]
    if (start, stop, step) == (0, size, 1):
        return 1
    return -1 if step == -1 and stop is None and start == size - 1 else 0


@rule(P.tile(P.tile(X)), safety="exact")
def tile_of_tile(m: Match, b: Builder) -> Answer:
    """Tiling a times and then b times is tiling a b times."""
    inner, outer = m.inner.attrs["repetitions"], m.root.attrs["repetitions"]
    if len(inner) != len(outer):
        return None
    return in_place_of(m, b.tile(m.X, repetitions=tuple([a * c for a, c in zip(inner, outer)])))


@rule([P.tile(X), P.repeat(X)], safety="exact")
def repeat_one_element(m: Match, b: Builder) -> Answer:
    """Repeating along axes of size 1 only is broadcasting."""
    if m.X.ndim != m.output.ndim:
        return None
    grown = [axis for axis, size in enumerate(m.X.shape) if size != m.output.shape[axis]]
    if not grown or any([m.X.shape[axis] != 1 for axis in grown]):
        return None
    return b.broadcast_to(m.X, shape=m.output.shape)


@rule(P.roll(P.roll(X)), safety="exact")
def roll_of_roll(m: Match, b: Builder) -> Answer:
    """Rotating by a and then by b along the same axes is rotating by a + b."""
    inner, outer = m.inner.attrs, m.root.attrs
    if inner["axis"] != outer["axis"]:
        return None
    if outer["axis"] is None:
        return b.roll(m.X, shift=inner["shift"] + outer["shift"])
    shifts = tuple([a + c for a, c in zip(inner["shift"], outer["shift"])])
    return b.roll(m.X, shift=shifts, axis=outer["axis"])


@rule(P.roll(X), safety="exact")
def roll_by_nothing(m: Match, b: Builder) -> Answer:
    """Rotating by 0, or by a multiple of the size, changes nothing."""
    shifts, axes = m.root.attrs["shift"], m.root.attrs["axis"]
    if axes is None:
        size = m.X.size
        return m.X if shifts == 0 or (isinstance(size, int) and size and shifts % size == 0) else None
    for shift, axis in zip(shifts, axes):
        size = m.X.shape[axis]
        if shift != 0 and not (isinstance(size, int) and size and shift % size == 0):
            return None
    return m.X


# Reading by index


@rule(P.take(X, FIRST), safety="exact")
def take_of_range(m: Match, b: Builder) -> Answer:
    """x[[a, a + s, a + 2 s, ...]] = x[a::s]: indices at equal distances read a slice."""
    indices, axis = small_constant(m.FIRST), m.root.attrs["axis"]
    size = m.X.shape[axis]
    if indices is None or not isinstance(size, int) or not size or not indices.size or indices.ndim > 1:
        return None
    wide = (
        indices.astype(np.int64) if indices.dtype != np.uint64 else np.minimum(indices, size).astype(np.int64)
    )
    places = np.clip(np.where(wide < 0, wide + size, wide), 0, size - 1).reshape(-1)
    steps = np.diff(places)
    if steps.size and (steps[0] == 0 or np.any(steps != steps[0])):
        return None
    first, last, step = int(places[0]), int(places[-1]), int(steps[0]) if steps.size else 1
    stop = last + 1 if step > 0 else last - 1 if last else None
    part = b.slice(m.X, starts=(first,), stops=(stop,), steps=(step,), axes=(axis,))
    return in_place_of(m, part if indices.ndim else b.reshape(part, shape=m.output.shape))


@rule(P.take(P.take(X, Y), Z), safety="exact")
def take_of_take(m: Match, b: Builder) -> Answer:
    """x[i][j] = x[i[j]] for a vector i, which reads fewer rows."""
    inner, axis = m.inner, m.root.attrs["axis"]
    if inner.attrs["axis"] != axis or m.Y.ndim != 1:
        return None
    count = m.Y.shape[0]
    if not isinstance(count, int) or not count or not isinstance(m.X.shape[axis], int):
        return None
    if not inner.has_one_use:
        return decline(f"{inner.name} has other users")
    return in_place_of(m, b.take(m.X, b.take(m.Y, m.Z, axis=0), axis=axis))


@rule(P.take(X, P.iota()), safety="exact")
def take_in_order(m: Match, b: Builder) -> Answer:
    """x[[0, 1, ..., n - 1]] = x for an axis of size n."""
    same = m.root.inputs[1].shape[0] == m.X.shape[m.root.attrs["axis"]]
    return m.X if same and m.X.type is m.output.type else None


RULES: tuple[Rule, ...] = (
    concat_of_neighbours,
    slice_across_pieces,
    slice_of_split,
    split_of_concat,
    slice_of_pad,
    slice_of_unslice,
    unslice_of_everything,
    add_written_neighbours,
    flip_of_flip,
    tile_of_tile,
    repeat_one_element,
    roll_of_roll,
    roll_by_nothing,
    take_of_range,
    take_of_take,
    take_in_order,
)
