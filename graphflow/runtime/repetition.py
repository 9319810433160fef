"""Finding where a long sequence of numbers repeats itself, in time linear in its length.

A candidate period is a distance at which the same stretch of a few numbers comes again: stretches of
several lengths are hashed, and the distances between neighbouring occurrences counted. Each candidate is
then compared with the sequence itself, so a wrong one costs time, never truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_STRETCHES = (1, 4, 16, 64, 256)
_CANDIDATES = 4
"""Periods that are tried for each length of stretches."""
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Region(NamedTuple):
    """Where a sequence is periodic: s[i] == s[i + period] while start <= i and i + period < stop."""

    start: int
    stop: int
    period: int


def find_regions(sequence: Sequence[int] | np.ndarray, shortest: int = 1) -> list[Region]:
    """The periodic regions of a sequence, disjoint and in order; each holds two periods at least.

    Where several periods fit, the one that covers most is taken, and the shorter one of about equals.

    Arguments:
        sequence: integers.
        shortest: the least length of a region.

    >>> find_regions([7, 1, 2, 3, 1, 2, 3, 1, 2, 3, 8])
    [Region(start=1, stop=10, period=3)]
    """
    numbers = np.asarray(sequence, np.int64)
    claimed = np.zeros(len(numbers), bool)
    found: list[Region] = []
    remaining = _candidates(numbers)
    while remaining:
        runs = {period: _runs(numbers, period, claimed, shortest) for period in remaining}
        covered = {period: sum([stop - start for start, stop, _ in rows]) for period, rows in runs.items()}
        enough = 0.98 * max(covered.values())
        best = min([period for period in remaining if covered[period] >= enough])
        if not covered[best]:
            break
        for region in runs[best]:
            claimed[region.start : region.stop] = True
        found += runs[best]
        remaining = [period for period in remaining if covered[period] and period != best]
    return sorted(found)


def _candidates(numbers: np.ndarray) -> list[int]:
    """Distances at which stretches come again, the most frequent of each length."""
    found: dict[int, None] = {}
    length = 1
    hashes = numbers.astype(np.uint64) * _MIX
    for stretch in _STRETCHES:
        while length < stretch and length < len(hashes):
            shifted = hashes[length:] * np.uint64(2 * length + 1)
            mixed = hashes[: len(shifted)] ^ (shifted << np.uint64(1)) ^ (shifted >> np.uint64(29))
            hashes = mixed * _MIX
            length *= 2
        if length < stretch or len(hashes) < 2:
            break
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        distances = np.diff(order)[ordered[1:] == ordered[:-1]]
        values, counts = np.unique(distances, return_counts=True)
        # A long period has few occurrences, and each of them stands for more.
        for place in np.argsort(-counts.astype(np.int64), kind="stable")[:_CANDIDATES]:
            found[int(values[place])] = None
    return list(found)


def _runs(numbers: np.ndarray, period: int, claimed: np.ndarray, shortest: int) -> list[Region]:
    """The regions of one period among the positions that are not claimed."""
    same = (numbers[period:] == numbers[:-period]) & ~claimed[period:] & ~claimed[:-period]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]])))
    regions = []
    end = 0  # runs of one period may overlap by less than it
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist()):
        start = max(first, end)
        if last + period - start >= max(2 * period, shortest):
            end = last + period
            regions.append(Region(start, end, period))
    return regions
