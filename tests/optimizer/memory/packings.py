"""Instances that are hard to place: a rectangle of time and memory cut up, whole or in part."""

from __future__ import annotations

import numpy as np

from graphflow.optimizer.memory import Buffer


def packing(count: int, rng: np.random.Generator, span: int = 1000, height: int = 2**20) -> list[Buffer]:
    """`count` buffers that fill [0, span) x [0, height) without waste, in any order."""
    pieces = [(0, span, height)]
    while len(pieces) < count:
        areas = np.array([(last - first) * size for first, last, size in pieces], float)
        chosen = int(rng.choice(len(pieces), p=areas / areas.sum()))
        first, last, size = pieces[chosen]
        if rng.random() < 0.5 and last - first > 1:
            cut = int(rng.integers(first + 1, last))
            pieces[chosen : chosen + 1] = [(first, cut, size), (cut, last, size)]
        elif size > 1:
            cut = int(rng.integers(1, size))
            pieces[chosen : chosen + 1] = [(first, last, cut), (first, last, size - cut)]
    return [Buffer(f"b{index}", *pieces[index]) for index in rng.permutation(len(pieces))]


def crowd(count: int, rng: np.random.Generator) -> list[Buffer]:
    """A packing of which some buffers are missing and some live a little shorter."""
    kept = [one for one in packing(count, rng) if rng.random() < 0.93]
    lives = [max(one.first + 1, one.last - int(rng.integers(0, 4)) * (rng.random() < 0.3)) for one in kept]
    return [Buffer(one.id, one.first, int(last), one.size) for one, last in zip(kept, lives)]
