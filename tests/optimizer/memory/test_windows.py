"""Windows placed anew: the top comes down, what reaches out of a window stays, large plans stay quick."""

from __future__ import annotations

import numpy as np

from graphflow.optimizer.memory import Buffer, allocate, certify
from graphflow.optimizer.memory.buffers import lifetimes_of
from graphflow.optimizer.memory.lifetimes import Lifetimes, lower_bound
from graphflow.optimizer.memory.sweep import FreeList, place_by_sweep
from graphflow.optimizer.memory.windows import lower_by_windows


def overlaps(buffers: Lifetimes, offsets: np.ndarray) -> int:
    """How many pairs that live together overlap."""
    together = (buffers.first[:, None] < buffers.last) & (buffers.first < buffers.last[:, None])
    met = (offsets[:, None] < offsets + buffers.size) & (offsets < (offsets + buffers.size)[:, None])
    return int((together & met).sum() - len(buffers)) // 2


def steady(rng: np.random.Generator, count: int) -> Lifetimes:
    """Buffers of similar sizes and lives, on which a sweep leaves many holes."""
    first = rng.integers(0, 2 * count, count)
    rows = zip(first, np.ceil(rng.exponential(50, count)), np.ceil(rng.lognormal(7, 1, count)))
    return lifetimes_of([Buffer(k, int(f), int(f + n) + 1, int(s)) for k, (f, n, s) in enumerate(rows)], None)


def test_a_sweep_is_lowered(rng: np.random.Generator) -> None:
    buffers = steady(rng, 1500)
    bound, _ = lower_bound(buffers)
    swept = place_by_sweep(buffers)
    lowered = lower_by_windows(buffers, swept, bound, 20)
    assert overlaps(buffers, swept) == overlaps(buffers, lowered) == 0
    assert buffers.arena(swept) > 1.1 * bound and buffers.arena(lowered) < 1.05 * bound


def test_nothing_moves_at_the_goal_or_under_a_fixed_top(rng: np.random.Generator) -> None:
    buffers = steady(rng, 300)
    swept = place_by_sweep(buffers)
    assert (lower_by_windows(buffers, swept, buffers.arena(swept), 20) == swept).all()
    fixed = [Buffer("fixed", 0, 9, 10, address=100), Buffer("a", 0, 9, 10), Buffer("b", 2, 5, 10)]
    lifetimes = lifetimes_of(fixed, None)
    offsets = np.array([100, 0, 10])
    assert (lower_by_windows(lifetimes, offsets, 30, 20) == offsets).all()


def test_many_buffers_are_near_the_bound(rng: np.random.Generator) -> None:
    buffers = steady(rng, 20_000)
    some = [Buffer(k, *map(int, row)) for k, row in enumerate(zip(buffers.first, buffers.last, buffers.size))]
    allocation = allocate(some)
    certify(some, allocation)
    assert allocation.gap <= 0.03


def test_the_free_list_hands_out_the_smallest_range_that_holds() -> None:
    free = FreeList()
    starts = [free.take(size, 1) for size in (100, 7, 30, 7, 31, 7, 5000, 7)]
    assert starts == [0, 100, 107, 137, 144, 175, 182, 5182]
    for start, size in ((0, 100), (107, 30), (144, 31), (182, 5000)):
        free.give(start, start + size)
    assert [free.take(size, 1) for size in (31, 29, 90, 32, 5000)] == [144, 107, 0, 182, 5189]
    assert free.take(8, 64) % 64 == 0
