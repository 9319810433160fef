"""Windows along one spatial axis: windows are products of intervals, so pooling goes axis after axis.

A `Pass` says how the windows of one axis lie. With the ceiling (`ceil`), the last window may reach
beyond the padding; `Pass.pads` is the padding that it then needs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ops.windows import (
    SAME,
    canonical_padding,
    leeway,
    output_sizes,
    per_axis,
    spatial_rank,
)


class Pass(NamedTuple):
    """The windows along one axis: how many places they have, and how they lie."""

    axis: int
    places: int
    stride: int
    pair: tuple[int, int]
    gap: int
    ceil: bool = False

    @property
    def reach(self) -> int:
        """How far the last place of a window is from its first."""
        return (self.places - 1) * self.gap

    def positions(self, size: int) -> int:
        """How many windows an axis of that size has."""
        return int(leeway(size, self.reach + 1, self.stride, self.pair, self.ceil)) // self.stride + 1

    def pads(self, size: int) -> tuple[int, int]:
        """The padding, with what the last window needs beyond it."""
        before, after = self.pair
        needed = (self.positions(size) - 1) * self.stride + self.reach + 1 - size - before
        return before, max(after, needed)

    def along(self, vector, rank):
        """A vector shaped so that it broadcasts along this axis."""
        return vector.reshape([-1 if axis == self.axis else 1 for axis in range(rank)])

    def inside(self, size, padded=False):
        """Which place of which window lies inside the (padded) axis: booleans [places, positions]."""
        starts = np.arange(self.positions(size)) * self.stride - self.pair[0]
        at = starts + np.arange(self.places)[:, None] * self.gap
        before, after = self.pair if padded else (0, 0)
        return (at >= -before) & (at < size + after)


def passes(window, strides, padding, dilation, ceil_mode=False):
    """A Pass for each spatial axis, the last axis first."""
    rows = zip(range(2, 2 + len(window)), window, strides, padding, dilation)
    return [Pass(*row, ceil_mode) for row in rows][::-1]


# Attributes


def canonical(attrs, shape, operation):
    """window, strides, padding, dilation and ceil_mode in canonical form for an input of that shape."""
    count = spatial_rank(len(shape), operation)
    window = per_axis(attrs["window"], count, "window", operation)
    strides = window if attrs["strides"] is None else per_axis(attrs["strides"], count, "strides", operation)
    dilation = per_axis(attrs["dilation"], count, "dilation", operation)
    padding = canonical_padding(attrs["padding"], shape[2:], window, strides, dilation, operation)
    for pair, places, gap in zip(padding, window, dilation):
        covered = (places - 1) * gap + 1
        if any(isinstance(end, int) and end >= covered for end in pair):
            raise AttributeValueError(
                f"{operation} got the padding {pair} for windows of {covered}: some would hold nothing",
                hint="pad by less than the size of the window",
            )
    made = {**attrs, "window": window, "strides": strides, "padding": padding, "dilation": dilation}
    return {**made, "ceil_mode": attrs["ceil_mode"] and _matters(attrs["padding"], made, shape)}


def _matters(given, attrs, shape):
    """Whether the ceiling makes a difference: not where the padding has a name, or nothing is left over."""
    if isinstance(given, str) and given.lower() in (*SAME, "valid"):
        return False
    rows = zip(shape[2:], attrs["window"], attrs["strides"], attrs["padding"], attrs["dilation"])
    for size, places, stride, pair, gap in rows:
        ends = [leeway(size, (places - 1) * gap + 1, stride, pair, ceil) for ceil in (False, True)]
        if ends[0] // stride != ends[1] // stride:
            return True
    return False


def pooled_shape(shape, attrs, operation):
    """The shape of what the windows of an input of that shape are reduced to."""
    geometry = (attrs["window"], attrs["strides"], attrs["padding"], attrs["dilation"])
    return (*shape[:2], *output_sizes(shape[2:], *geometry, operation, attrs["ceil_mode"]))


# In NumPy


def _slices(one, positions):
    """For each place of the windows, the index of what they hold there, along one padded axis."""
    before = (slice(None),) * one.axis
    covered = (positions - 1) * one.stride + 1 if positions else 0
    for place in range(one.places if positions else 1):
        start = place * one.gap
        yield (*before, slice(start, start + covered, one.stride))


def parts(x, one, fill):
    """What the windows along one axis hold at each of their places."""
    size = x.shape[one.axis]
    pair = one.pads(size)
    pads = [pair if axis == one.axis else (0, 0) for axis in range(x.ndim)]
    padded = np.pad(x, pads, constant_values=fill) if any(pair) else x
    for where in _slices(one, one.positions(size)):
        yield padded[where]


def spread(shares, one, shape, dtype):
    """The sum of the shares, each put where its place of the windows lies in an array of that shape."""
    before, after = one.pads(shape[one.axis])
    padded = [size + (before + after if axis == one.axis else 0) for axis, size in enumerate(shape)]
    total = np.zeros(padded, dtype)
    for share, where in zip(shares, _slices(one, one.positions(shape[one.axis]))):
        total[where] += share
    inner = slice(before, before + shape[one.axis])
    return np.ascontiguousarray(total[(slice(None),) * one.axis + (inner,)])
