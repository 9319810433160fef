"""Lifetimes of buffers as arrays, and the bytes that are live at once: the bound under every placement."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Buffers of one space, one array an attribute.

    `address` is -1 where it is free to choose. What is empty, or never live, has size 0 and first = last.
    Where `bank` is not 0, the space is divided into banks of that many bytes: with `is_banked` a buffer
    crosses no border between them if it can, and those named in `apart` share no bank with their partners.
    """

    first: np.ndarray
    last: np.ndarray
    size: np.ndarray
    alignment: np.ndarray
    address: np.ndarray
    bank: int = 0
    is_banked: bool = False
    apart: Mapping[int, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.size)

    def arena(self, offsets: np.ndarray) -> int:
        """The bytes from 0 to the end of the highest buffer that holds something."""
        return int(np.where(self.size > 0, offsets + self.size, 0).max(initial=0))

    @property
    def is_plain(self) -> bool:
        """Whether every offset will do for every buffer."""
        return not self.is_banked and not self.apart and bool((self.alignment == 1).all())

    def rounded(self, offsets: np.ndarray, index: int | slice = slice(None)) -> np.ndarray:
        """For each buffer, or for one of them, the first offset from the given on at which it may begin."""
        offsets = offsets + -offsets % self.alignment[index]
        if self.is_banked:
            into = offsets % self.bank
            offsets = np.where(
                (into > 0) & (into + self.size[index] > self.bank), offsets - into + self.bank, offsets
            )
        return offsets

    def bank_end(self, offsets: Any) -> Any:
        """The first borders between banks from the given offsets on."""
        return offsets + -offsets % self.bank

    def part(self, members: np.ndarray) -> Lifetimes:
        """The buffers with the given indices."""
        place = {int(index): position for position, index in enumerate(members)}
        apart = {
            place[index]: np.array([place[int(other)] for other in others])
            for index, others in self.apart.items()
            if index in place
        }
        return replace(
            self,
            first=self.first[members],
            last=self.last[members],
            size=self.size[members],
            alignment=self.alignment[members],
            address=self.address[members],
            apart=apart,
        )

    def live_at(self, instant: int) -> np.ndarray:
        """The indices of the buffers that are live at an instant."""
        return np.flatnonzero((self.first <= instant) & (instant < self.last))


def live_bytes(first: np.ndarray, last: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The instants at which the live bytes change, and the live bytes from each of them on.

    >>> live_bytes(np.array([0, 1]), np.array([2, 3]), np.array([10, 5]))
    (array([0, 1, 2, 3]), array([10, 15,  5,  0]))
    """
    instants, position = np.unique(np.concatenate([first, last]), return_inverse=True)
    change = np.zeros(len(instants), np.int64)
    np.add.at(change, position[: len(first)], size)
    np.subtract.at(change, position[len(first) :], size)
    return instants, np.cumsum(change)


def lower_bound(buffers: Lifetimes) -> tuple[int, int]:
    """Bytes below which no placement can be, and the instant at which that many are needed.

    Live buffers cannot overlap, so their sizes add up. Offsets are multiples of the common divisor
    g of all alignments, so each buffer but the highest takes its size rounded up to g. And a fixed
    address reaches as far as it reaches.
    """
    if not len(buffers):
        return 0, 0
    bound, instant = _peak(buffers)
    ends = np.where((buffers.address >= 0) & (buffers.size > 0), buffers.address + buffers.size, 0)
    furthest = int(np.argmax(ends))
    if ends[furthest] > bound:
        return int(ends[furthest]), int(buffers.first[furthest])
    return bound, instant


def _peak(buffers: Lifetimes) -> tuple[int, int]:
    step = math.gcd(*buffers.alignment.tolist())
    rounded = buffers.size + (-buffers.size % step)
    instants, live = live_bytes(buffers.first, buffers.last, rounded)
    padding = rounded - buffers.size
    if padding.any():
        # Where more than the largest padding is missing, no peak can be.
        high = np.flatnonzero(live >= live.max() - padding.max())
        instants = instants[high]
        there = np.searchsorted(instants, buffers.first) < np.searchsorted(instants, buffers.last)
        highest = _largest_padding(buffers.first[there], buffers.last[there], padding[there], instants)
        live = live[high] - highest
    peak = int(np.argmax(live))
    return int(live[peak]), int(instants[peak])


def _largest_padding(
    first: np.ndarray, last: np.ndarray, padding: np.ndarray, instants: np.ndarray
) -> np.ndarray:
    """At each instant the largest padding of a live buffer: that of the highest buffer, at best."""
    by_birth = np.argsort(first, kind="stable")
    births, ends, paddings = first[by_birth].tolist(), last[by_birth].tolist(), padding[by_birth].tolist()
    heap: list[tuple[int, int]] = []
    largest = np.zeros(len(instants), np.int64)
    born = 0
    for position, instant in enumerate(instants.tolist()):
        while born < len(births) and births[born] <= instant:
            heapq.heappush(heap, (-paddings[born], ends[born]))
            born += 1
        while heap and heap[0][1] <= instant:
            heapq.heappop(heap)
        largest[position] = -heap[0][0] if heap else 0
    return largest
