"""Where windows lie in an image: an index of floats, so that kernels know nothing of strides and padding.

For each place of the result and each piece of its window the index holds where the piece begins, and -1 where
it is padding. A piece is what neighbouring floats a window holds: the channels of one element, or those of a
whole row of the kernel if rows are without padding and holes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

_LONGEST, _LONGEST_SINGLE = 1 << 18, 1 << 22
"""Entries that an index of all images of a batch may have, and where windows are one piece; else one image's
index serves all."""

_COUNTABLE = 1 << 31
"""Floats that an index can tell apart."""


@dataclass(frozen=True)
class Windows:
    """The windows of a convolution with channels last.

    Attributes:
        shape: of the input, [images, *sizes, channels].
        positions: of the result.
        kernel, strides, dilation: a number for each axis.
        before: the padding before the first element of each axis.
        groups: of channels.
    """

    shape: tuple[int, ...]
    positions: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    groups: int

    @property
    def is_flat(self) -> bool:
        """Whether one index holds the places of all images."""
        taps = prod(self.kernel) // (self.kernel[-1] if self.has_rows else 1)
        entries = self.shape[0] * prod(self.positions) * taps
        longest = _LONGEST_SINGLE if taps == 1 else _LONGEST
        return entries <= longest and prod(self.shape) < _COUNTABLE

    @property
    def is_countable(self) -> bool:
        """Whether an index can be made, and has more than one place."""
        return self.is_flat or (bool(self.positions) and prod(self.shape[1:]) < _COUNTABLE)

    @property
    def counts(self) -> tuple[int, int]:
        """How many images, and places in each, the index is for."""
        images, places = self.shape[0], prod(self.positions)
        return (1, images * places) if self.is_flat else (images, places)

    @property
    def has_rows(self) -> bool:
        """Whether the rows of a window are neighbouring floats."""
        if not self.kernel or self.groups > 1 or self.dilation[-1] > 1:
            return False
        reach = (self.positions[-1] - 1) * self.strides[-1] + self.kernel[-1]
        return self.before[-1] == 0 and reach <= self.shape[-2]

    @property
    def depth(self) -> int:
        """Floats in a piece."""
        channels = self.shape[-1] // self.groups
        return channels * self.kernel[-1] if self.has_rows else channels

    def index(self) -> np.ndarray:
        """Where pieces begin, [places, pieces], of one image or of all."""
        total = np.zeros((1, 1), np.int64)
        inside = np.ones((1, 1), bool)
        for axis, size in enumerate(self.shape[1:-1]):
            taps = 1 if self.has_rows and axis == len(self.kernel) - 1 else self.kernel[axis]
            starts = np.arange(self.positions[axis]) * self.strides[axis] - self.before[axis]
            found = starts[:, None] + np.arange(taps) * self.dilation[axis]
            total = _crossed(total * size, found, np.add)
            inside = _crossed(inside, (found >= 0) & (found < size), np.logical_and)
        index = np.where(inside, total * self.shape[-1], -1)
        if self.is_flat:
            floats = np.arange(self.shape[0])[:, None, None] * prod(self.shape[1:])
            index = np.where(index < 0, -1, index + floats).reshape(-1, index.shape[1])
        return index.astype(np.int32)


def _crossed(given: np.ndarray, further: np.ndarray, join: Any) -> np.ndarray:
    """All pairs of places, and all pairs of pieces, joined: the further ones count faster."""
    made: np.ndarray = join(given[:, None, :, None], further[None, :, None, :])
    return made.reshape(len(given) * len(further), -1)


def windows(shape: Sequence[int], positions: Sequence[int], attrs: Any) -> Windows:
    """The windows of a `packed_conv` with such an input and result."""
    before = tuple([pair[0] for pair in attrs["padding"]]) if attrs["kernel"] else ()
    return Windows(
        tuple(shape), tuple(positions), tuple(attrs["kernel"]), tuple(attrs["strides"]),
        tuple(attrs["dilation"]), before, attrs["groups"],
    )  # fmt: skip
