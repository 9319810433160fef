"""Lowering an arena by targets: nothing gets worse, the same work gives the same, and beams reach far."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.optimizer.memory import greedy
from graphflow.optimizer.memory.buffers import Buffer, lifetimes_of
from graphflow.optimizer.memory.improve import improve
from graphflow.optimizer.memory.lifetimes import Lifetimes, lower_bound
from tests.optimizer.memory.packings import crowd, packing


def quick(buffers: Lifetimes) -> np.ndarray:
    return greedy.place_in_order(buffers, next(iter(greedy.orders(buffers))))


@pytest.mark.parametrize("work", [0, 100, 1_000, 5_000])
def test_whatever_the_work_it_never_gets_worse(work: int) -> None:
    buffers = lifetimes_of(crowd(80, np.random.default_rng(3)), None)
    start, bound = quick(buffers), lower_bound(buffers)[0]
    first, second = (improve(buffers, start, bound, None, work, None) for _ in range(2))
    assert (first.offsets == second.offsets).all()
    assert bound <= first.lower_bound <= buffers.arena(first.offsets) <= buffers.arena(start)


def test_hundreds_of_buffers_without_waste_are_placed() -> None:
    """Far out of reach of a search that goes back step by step."""
    buffers = lifetimes_of(packing(400, np.random.default_rng(1)), None)
    start = quick(buffers)
    assert buffers.arena(start) > 1.1 * 2**20
    found = improve(buffers, start, 2**20, None, 40_000, None)
    assert buffers.arena(found.offsets) == 2**20


def test_proofs_come_together_with_what_is_found() -> None:
    """Five buffers of 1000 bytes cannot use the 900 above the fixed one's start, whatever is tried."""
    some = [Buffer(k, 0, 2, 1000) for k in range(5)] + [Buffer("fixed", 0, 2, 10, address=2900)]
    buffers = lifetimes_of(some, None)
    found = improve(buffers, quick(buffers), lower_bound(buffers)[0], None, 10_000, None)
    assert buffers.arena(found.offsets) == found.lower_bound == 5910
