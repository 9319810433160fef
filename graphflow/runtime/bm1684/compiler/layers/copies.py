"""Movements of elements within DDR: which strided boxes a movement consists of, and the commands for them.

A movement is an array of the sizes of its result that says of each element where it was in the source, or -1
where a value is filled in. It falls into boxes along whose axes both sides go on by constant strides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from math import prod
from typing import NamedTuple

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.tensors import WORD
from graphflow.runtime.bm1684.isa import Direction, Shape

LARGEST = 65_535
"""The largest size along an axis of a command."""

MOST_COMMANDS = 4096
"""A movement of more commands is refused: each takes at least 140 cycles, and 128 bytes of the file."""


class Axis(NamedTuple):
    """Elements in a row: how many, and how far apart on either side."""

    size: int
    source: int
    made: int


class Piece(NamedTuple):
    """A box of a movement: the first element on either side (-1: filled), and its axes."""

    source: int
    made: int
    axes: tuple[Axis, ...]

    @property
    def filled(self) -> bool:
        """Whether a value is filled in."""
        return self.source < 0


class TooScattered(Exception):
    """A movement of more boxes than are worth a command each."""


def steps(index: np.ndarray) -> tuple[int, ...] | None:
    """By how much each axis goes on if all do so evenly, and either all or nothing is filled; else None."""
    made = []
    if index.min() < 0 <= index.max():
        return None
    for axis, size in enumerate(index.shape):
        if size == 1:
            made.append(0)
            continue
        change = np.diff(index, axis=axis)
        if (change != change.flat[0]).any():
            return None
        made.append(int(change.flat[0]))
    return tuple(made)


def pieces(index: np.ndarray, most: int = MOST_COMMANDS) -> list[Piece]:
    """The boxes of a movement, in order of their first elements.

    Raises:
        TooScattered: if there are more than `most`.

    >>> [piece.axes for piece in pieces(np.repeat(np.arange(3), 2))]
    [(Axis(size=3, source=1, made=2), Axis(size=2, source=0, made=1))]
    """
    strides = np.array(index.strides) // index.itemsize
    pending = [(index, tuple(strides.tolist()), 0)]
    found: list[Piece] = []
    while pending:
        part, apart, first = pending.pop()
        change = steps(part)
        if change is not None:
            axes = tuple([Axis(*axis) for axis in zip(part.shape, change, apart) if axis[0] > 1])
            found.append(Piece(int(part.flat[0]), first, axes))
        else:
            pending += _parts(part, apart, first)
        if len(found) + len(pending) > most:
            raise TooScattered
    return sorted(found, key=lambda piece: piece.made)


def _parts(part: np.ndarray, apart: tuple[int, ...], first: int) -> list[tuple]:
    """A box in smaller ones: one axis as two where it has a period, else cut where it breaks least often."""
    cuts: dict[int, list[int]] = {}
    for axis, size in enumerate(part.shape):
        if size == 1:
            continue
        filled = np.moveaxis(part < 0, axis, 0).reshape(size, -1)
        borders = (filled[1:] != filled[:-1]).any(axis=1)
        if borders.any():
            cuts[axis] = (np.flatnonzero(borders) + 1).tolist()
            continue
        change = np.moveaxis(np.diff(part, axis=axis), axis, 0).reshape(size - 1, -1)
        within = (change != change[:, :1]).any(axis=1)
        breaks = within[1:] | within[:-1] | (change[1:] != change[:-1]).any(axis=1)
        if not breaks.any():
            if within.any():
                cuts[axis] = list(range(1, size))
            continue
        regular = _folded(part, apart, first, axis, int(np.flatnonzero(breaks)[0]) + 2)
        if regular is not None:
            return [regular]
        cuts[axis] = _ends(breaks)
    axis = min(cuts, key=lambda axis: len(cuts[axis]))
    ends = [0, *cuts[axis], part.shape[axis]]
    made = []
    for start, stop in pairwise(ends):
        where = tuple([slice(None)] * axis + [slice(start, stop)])
        made.append((part[where], apart, first + start * apart[axis]))
    return made


def _folded(
    part: np.ndarray, apart: tuple[int, ...], first: int, axis: int, period: int
) -> tuple[np.ndarray, tuple[int, ...], int] | None:
    """The box with an axis as two, if each is even then."""
    size = part.shape[axis]
    for length in (period, period - 1):
        if 1 < length < size and size % length == 0:
            shape = (*part.shape[:axis], size // length, length, *part.shape[axis + 1 :])
            other = part.reshape(shape)
            if _even(other, axis) and _even(other, axis + 1):
                step = apart[axis]
                return other, (*apart[:axis], step * length, step, *apart[axis + 1 :]), first
    return None


def _even(part: np.ndarray, axis: int) -> bool:
    change = np.diff(part, axis=axis)
    return bool((change == np.take(change, [0], axis=axis)).all())


def _ends(breaks: np.ndarray) -> list[int]:
    """Where to cut an axis so that each part goes on evenly; `breaks[j]`: the steps around j + 1 differ."""
    alike = np.concatenate([[0], np.cumsum(breaks)]).tolist()
    ends, begin = list[int](), 0
    for at in range(2, len(alike) + 1):
        if at - 1 > begin and alike[at - 1] != alike[begin]:
            ends.append(at)
            begin = at
    return ends


class _Block(NamedTuple):
    """A part of a box: where it begins, the axes with a command for each place along them, and the others."""

    source: int
    made: int
    loops: tuple[Axis, ...]
    axes: tuple[Axis, ...]


def commands(piece: Piece, source: int, made: int, value: float = 0.0) -> Iterator[isa.GdmaCommand]:
    """The commands that move a box from the address of the source to that of the result, or fill it."""
    for block in _blocks(piece):
        ranges = [[(axis.source * at, axis.made * at) for at in range(axis.size)] for axis in block.loops]
        for place in product(*ranges):
            to = made + WORD * (block.made + sum([pair[1] for pair in place]))
            if piece.filled:
                yield _fill(to, block.axes, value)
            else:
                yield _copy(source + WORD * (block.source + sum([pair[0] for pair in place])), to, block.axes)


def count(piece: Piece) -> int:
    """How many commands a box takes."""
    return sum([prod([axis.size for axis in block.loops]) for block in _blocks(piece)])


def _blocks(piece: Piece) -> list[_Block]:
    """A box in parts that a command each, or one for each place along some axes, can move."""
    axes = _merged(piece.axes)
    loops = tuple([axis for axis in axes if axis.source < 0])
    blocks = [_Block(piece.source, piece.made, loops, ())]
    for axis in axes:
        if axis not in loops:
            blocks = [
                block._replace(
                    source=block.source + first, made=block.made + behind, axes=(*block.axes, *more)
                )
                for block in blocks
                for first, behind, more in _sized(axis)
            ]
    return [_within_four(block) for block in blocks]


def _within_four(block: _Block) -> _Block:
    """A part with a command for each place along its shortest axes, as long as it has more than four."""
    while len(block.axes) > (4 if _in_runs(block.axes) else 3):
        short = min(block.axes[: -1 if _in_runs(block.axes) else None], key=lambda axis: axis.size)
        rest = tuple([axis for axis in block.axes if axis is not short])
        block = block._replace(loops=(*block.loops, short), axes=rest)
    return block


def _in_runs(axes: Sequence[Axis]) -> bool:
    """Whether elements follow one another on both sides; if not, the data mover is slow unless w is 1."""
    return bool(axes) and axes[-1].source in (0, 1) and axes[-1].made == 1


def _merged(axes: Sequence[Axis]) -> list[Axis]:
    """The axes by their steps in the result, the widest first, those that go on in one another as one."""
    made: list[Axis] = []
    for axis in sorted(axes, key=lambda axis: -axis.made):
        last = made[-1] if made else None
        if last and last.source == axis.source * axis.size and last.made == axis.made * axis.size:
            made[-1] = Axis(last.size * axis.size, axis.source, axis.made)
        else:
            made.append(axis)
    return made


def _sized(axis: Axis) -> list[tuple[int, int, tuple[Axis, ...]]]:
    """An axis in parts of sizes that the chip takes."""
    if axis.size <= LARGEST:
        return [(0, 0, (axis,))]
    length = next((size for size in range(LARGEST, 1023, -1) if axis.size % size == 0), 1 << 15)
    rounds, rest = divmod(axis.size, length)
    outer = Axis(rounds, axis.source * length, axis.made * length)
    parts: list[tuple[int, int, tuple[Axis, ...]]] = [(0, 0, (outer, axis._replace(size=length)))]
    if rest:
        done = rounds * length
        parts.append((done * axis.source, done * axis.made, (axis._replace(size=rest),)))
    return parts


def _four(axes: Sequence[Axis]) -> list[Axis]:
    """Four axes: of size 1 where there are fewer, and at the end where elements do not follow one another."""
    none = Axis(1, 1, 1)
    made = list(axes) if not axes or _in_runs(axes) else [*axes, none]
    return [none] * (4 - len(made)) + made


def _copy(source: int, to: int, axes: Sequence[Axis]) -> isa.TensorTransfer:
    four = _four(axes)
    shape = Shape(*[axis.size for axis in four])
    return isa.TensorTransfer(
        direction=Direction.SYSTEM,
        source=source,
        destination=to,
        source_shape=shape,
        destination_shape=shape,
        explicit_strides=True,
        source_strides=Shape(*[axis.source for axis in four]),
        destination_strides=Shape(*[axis.made for axis in four]),
    )


def _fill(to: int, axes: Sequence[Axis], value: float) -> isa.Fill:
    four = _four([axis._replace(source=axis.made) for axis in axes])
    return isa.Fill(
        direction=Direction.SYSTEM,
        destination=to,
        destination_shape=Shape(*[axis.size for axis in four]),
        explicit_strides=True,
        destination_strides=Shape(*[axis.made for axis in four]),
        value=int(np.float32(value).view(np.uint32)),
    )
