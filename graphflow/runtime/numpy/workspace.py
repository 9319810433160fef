"""Whole: a kernel with the workspaces it needs; and how memory is cut up and arrays are made in it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_LINE = 64


@dataclass(frozen=True, slots=True)
class Whole:
    """A kernel over whole arrays.

    Attributes:
        run: (*inputs, out, *workspaces) -> anything; workspaces are bytes.
        workspaces: how many bytes each has.
        in_rows: whether `out` has to lie in the order of its axes.
    """

    run: Callable[..., Any]
    workspaces: tuple[int, ...] = ()
    in_rows: bool = False


def typed(space: np.ndarray, dtype: np.dtype, shape: Sequence[int]) -> np.ndarray:
    """An array at the beginning of some bytes."""
    return space[: math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)


def scratch(count: int, size: int, memory: np.ndarray | None = None) -> list[np.ndarray]:
    """Pieces of memory of so many bytes, each at the beginning of a cache line; of `memory` if given."""
    size = lines(size)
    if memory is None:
        memory = aligned(count * size)
    return [memory[index * size : (index + 1) * size] for index in range(count)]


def aligned(size: int) -> np.ndarray:
    """So many bytes, from the beginning of a cache line on."""
    memory = np.empty(size + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE
    return memory[start : start + size]


def lines(size: int) -> int:
    """As many bytes as whole cache lines have."""
    return -(-size // _LINE) * _LINE


def reshaped(array: np.ndarray, shape: Sequence[int], space: np.ndarray) -> np.ndarray:
    """`array.reshape(shape)`, with the copy in `space` where one is needed."""
    if not moves(array.shape, array.strides, shape):
        return array.reshape(shape)
    made = typed(space, array.dtype, array.shape)
    np.copyto(made, array)
    return made.reshape(shape)


def moves(shape: Sequence[int], strides: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether a reshape of an array with this layout has to move its elements.

    Axes that are joined or cut have to lie one inside the other without gaps.

    >>> moves((2, 3), (12, 4), (6,)), moves((2, 3), (4, 8), (6,)), moves((2, 3), (4, 8), (2, 1, 3))
    (False, True, False)
    """
    if 0 in shape:
        return False
    kept = [(size, stride) for size, stride in zip(shape, strides) if size != 1]
    goals = [size for size in wanted if size != 1]
    while kept and goals:
        joined, goal = [kept.pop(0)], goals.pop(0)
        count = joined[0][0]
        while count != goal:
            if count < goal:
                joined.append(kept.pop(0))
                count *= joined[-1][0]
            else:
                goal *= goals.pop(0)
        if any([outer[1] != inner[0] * inner[1] for outer, inner in itertools.pairwise(joined)]):
            return True
    return False
