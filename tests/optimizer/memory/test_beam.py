"""The beam: what it finds is a placement within the capacity, always the same, where the quick ways miss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.optimizer.memory import Banks, Buffer
from graphflow.optimizer.memory.beam import Beam, Taste
from graphflow.optimizer.memory.buffers import lifetimes_of
from graphflow.optimizer.memory.lifetimes import Lifetimes, lower_bound
from graphflow.optimizer.memory.search import Outcome
from graphflow.optimizer.memory.sections import Sections
from tests.optimizer.memory.packings import crowd, packing


def run(buffers: Lifetimes, capacity: int, taste: Taste, deadline: float | None = None) -> Outcome:
    beam = Beam(buffers, Sections(buffers))
    return beam.run(capacity, taste, np.random.default_rng(0), deadline)


def assert_placed(buffers: Lifetimes, offsets: np.ndarray, capacity: int) -> None:
    """Compare all pairs."""
    assert (offsets == buffers.rounded(offsets)).all() and (offsets >= 0).all()
    assert buffers.arena(offsets) <= capacity
    ends = offsets + buffers.size
    meet = (buffers.first[:, None] < buffers.last) & (buffers.first < buffers.last[:, None])
    overlap = (offsets[:, None] < ends) & (offsets < ends[:, None])
    assert (meet & overlap).sum() == len(buffers)


tastes = st.builds(
    Taste, st.sampled_from([1, 3, 16]), st.sampled_from([1.0, 2.0]), st.sampled_from([0.0, 0.1])
)


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(0, 99), tastes, st.sampled_from([1, 8]), st.booleans())
def test_what_it_finds_is_a_placement(
    count: int, seed: int, taste: Taste, alignment: int, banked: bool
) -> None:
    some = [
        replace(one, alignment=alignment)
        for one in crowd(count, np.random.default_rng(seed)) or packing(1, np.random.default_rng(0))
    ]
    buffers = lifetimes_of(some, Banks(2**19) if banked else None)
    capacity = 3 * lower_bound(buffers)[0] + 2**21
    offsets = run(buffers, capacity, taste).offsets
    if offsets is not None:
        assert_placed(buffers, offsets, capacity)
    else:
        assert banked


@pytest.mark.parametrize("count", [1, 2, 40, 100])
def test_perfect_packings_are_found(count: int) -> None:
    buffers = lifetimes_of(packing(count, np.random.default_rng(count)), None)
    outcome = run(buffers, 2**20, Taste(16, 1.0, 0.0))
    assert outcome.offsets is not None and outcome.states == count
    assert_placed(buffers, outcome.offsets, 2**20)


def test_it_never_claims_a_proof() -> None:
    buffers = lifetimes_of([Buffer(k, 0, 2, 3) for k in range(4)], None)
    assert run(buffers, 11, Taste(16, 1.0, 0.0)) == (None, False, 1)
    found = run(buffers, 12, Taste(16, 1.0, 0.0)).offsets
    assert found is not None and sorted(found) == [0, 3, 6, 9]


def test_it_is_the_same_again_and_stops_in_time() -> None:
    buffers = lifetimes_of(crowd(80, np.random.default_rng(1)), None)
    capacity = int(1.2 * lower_bound(buffers)[0])
    first, second = (run(buffers, capacity, Taste(8, 2.0, 0.1)).offsets for _ in range(2))
    assert first is not None and second is not None and (first == second).all()
    assert run(buffers, capacity, Taste(8, 2.0, 0.1), deadline=0.0) == (None, False, 1)


def test_what_it_does_not_know_is_left_to_the_search() -> None:
    some = [Buffer("a", 0, 2, 8), Buffer("b", 1, 3, 8)]
    assert Beam.can_place(lifetimes_of(some, Banks(16)))
    assert not Beam.can_place(lifetimes_of(some, Banks(16, apart=[("a", "b")])))
    assert not Beam.can_place(lifetimes_of([replace(some[0], address=0), some[1]], None))
