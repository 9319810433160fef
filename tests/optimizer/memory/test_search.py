"""The complete search: it agrees with brute force on whether there is a placement, and finds hard ones."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory import Banks, Buffer, allocate, certify
from graphflow.optimizer.memory.buffers import lifetimes_of
from graphflow.optimizer.memory.improve import improve
from graphflow.optimizer.memory.lifetimes import lower_bound
from graphflow.optimizer.memory.search import Search, Strategy
from graphflow.optimizer.memory.sections import maximal_sections
from tests.optimizer.memory.packings import packing


@st.composite
def tiny_instances(draw: st.DrawFn) -> tuple[list[Buffer], Banks | None]:
    """Up to six buffers of up to five bytes, with all that can be asked for."""
    buffers = []
    for index in range(draw(st.integers(2, 6))):
        first = draw(st.integers(0, 4))
        alignment = draw(st.sampled_from([1, 1, 2, 4]))
        address = draw(st.one_of(st.none(), st.none(), st.none(), st.integers(0, 2)))
        buffers.append(
            Buffer(
                index,
                first,
                first + draw(st.integers(0, 4)),
                draw(st.integers(0, 5)),
                alignment,
                "main",
                None if address is None else address * alignment,
            )
        )
    pairs = list(itertools.combinations(range(len(buffers)), 2))
    apart = draw(st.lists(st.sampled_from(pairs), max_size=3))
    return buffers, draw(st.one_of(st.none(), st.just(Banks(4, draw(st.booleans()), apart))))


def is_possible(buffers: list[Buffer], capacity: int, banks: Banks | None) -> bool:
    """Whether all fit, by trying all offsets of all buffers."""
    used = [one for one in buffers if one.size and one.first < one.last]

    def may_lie(one: Buffer, offset: int, placed: list[tuple[Buffer, int]]) -> bool:
        if offset % one.alignment or one.address not in (None, offset):
            return False
        if banks and banks.within and offset % banks.bytes and offset % banks.bytes + one.size > banks.bytes:
            return False
        for other, start in placed:
            if one.first < other.last and other.first < one.last:
                if offset < start + other.size and start < offset + one.size:
                    return False
                if banks and {(one.id, other.id), (other.id, one.id)} & set(banks.apart):
                    mine = {byte // banks.bytes for byte in range(offset, offset + one.size)}
                    if mine & {byte // banks.bytes for byte in range(start, start + other.size)}:
                        return False
        return True

    def place(rest: list[Buffer], placed: list[tuple[Buffer, int]]) -> bool:
        if not rest:
            return True
        one = rest[0]
        return any(
            place(rest[1:], [*placed, (one, offset)])
            for offset in range(capacity - one.size + 1)
            if may_lie(one, offset, placed)
        )

    return place(used, [])


@settings(max_examples=100)
@given(tiny_instances(), st.integers(0, 1000))
def test_the_smallest_arena_is_that_of_brute_force(
    instance: tuple[list[Buffer], Banks | None], seed: int
) -> None:
    buffers, banks = instance
    try:
        allocation = allocate(buffers, banks=banks)
    except MemoryPlanError as error:
        assert "fixed" in error.message
        return
    certify(buffers, allocation, banks=banks)
    arena = allocation.arenas["main"]
    assert arena.is_smallest
    assert is_possible(buffers, arena.arena_bytes, banks)
    assert arena.arena_bytes == 0 or not is_possible(buffers, arena.arena_bytes - 1, banks)


@settings(max_examples=60)
@given(tiny_instances(), st.integers(0, 1000), st.integers(0, 3))
def test_every_strategy_is_complete(
    instance: tuple[list[Buffer], Banks | None], seed: int, more: int
) -> None:
    buffers, banks = instance
    try:
        lifetimes = lifetimes_of(buffers, banks)
    except MemoryPlanError:
        return
    used = lifetimes.part(np.flatnonzero(lifetimes.size > 0))
    if not len(used):
        return
    capacity = lower_bound(used)[0] + more
    random = np.random.default_rng(seed)
    strategy = Strategy.draw(random)
    outcome = Search(used).run(capacity, strategy, random, 10**6, None)
    if outcome.offsets is None:
        assert outcome.is_complete != strategy.is_bold
    assert outcome.is_complete <= (outcome.offsets is None)
    if outcome.is_complete or outcome.offsets is not None:
        assert (outcome.offsets is not None) == is_possible(buffers, capacity, banks)


@pytest.mark.parametrize("count", [1, 2, 12, 40, 80, 200])
def test_perfect_packings_are_found(count: int) -> None:
    for seed in range(3):
        buffers = packing(count, np.random.default_rng(seed))
        allocation = allocate(buffers, capacity=2**20)
        certify(buffers, allocation, capacity=2**20)
        assert allocation.arena_bytes == allocation.lower_bound_bytes == 2**20


def test_greedy_alone_misses_perfect_packings(rng: np.random.Generator) -> None:
    from graphflow.optimizer.memory import greedy

    buffers = lifetimes_of(packing(80, rng), None)
    quick = min(buffers.arena(greedy.place_in_order(buffers, order)) for order in greedy.orders(buffers))
    assert quick > 1.05 * 2**20


def test_the_answer_is_the_same_again(rng: np.random.Generator) -> None:
    buffers = packing(60, rng)
    first, second = (allocate(buffers, capacity=2**20, seconds=600) for _ in range(2))
    assert first == second


def test_independent_parts_are_solved_one_by_one(rng: np.random.Generator) -> None:
    """Eight packings after one another, each hard enough that solving them together would take forever."""
    buffers: list[Buffer] = []
    for part in range(8):
        for one in packing(40, rng, span=100):
            buffers.append(Buffer((part, one.id), 100 * part + one.first, 100 * part + one.last, one.size))
    allocation = allocate(buffers, capacity=2**20)
    certify(buffers, allocation, capacity=2**20)


def test_a_search_that_ends_is_a_proof() -> None:
    """The fixed buffer leaves four bytes below it for buffers of three, so the bound is out of reach."""
    buffers = [Buffer(k, 0, 2, 3) for k in range(3)] + [Buffer("fixed", 0, 2, 1, address=4)]
    arena = allocate(buffers).arenas["main"]
    assert (arena.lower_bound_bytes, arena.arena_bytes, arena.proved_bytes) == (10, 11, 11)
    assert arena.is_smallest and not is_possible(buffers, 10, None)
    with pytest.raises(MemoryPlanError, match="a complete search shows that no placement needs less than 11"):
        allocate(buffers, capacity=10)


def test_a_deadline_that_has_passed_leaves_what_there_is(rng: np.random.Generator) -> None:
    buffers = lifetimes_of(packing(60, rng), None)
    offsets = np.cumsum(buffers.size) - buffers.size
    found = improve(buffers, offsets, 2**20, None, 1e9, 0.0)
    assert (found.offsets == offsets).all() and found.lower_bound == 2**20


def test_large_numbers_do_not_overflow(rng: np.random.Generator) -> None:
    buffers = packing(30, rng, span=10**12, height=2**56)
    allocation = allocate(buffers, capacity=2**56)
    certify(buffers, allocation, capacity=2**56)
    assert allocation.arena_bytes == 2**56


def test_sections_are_those_that_matter() -> None:
    first, last, count = maximal_sections(np.array([0, 0, 1, 4]), np.array([2, 6, 3, 5]))
    assert (first.tolist(), last.tolist(), count) == ([0, 0, 0, 1], [1, 2, 1, 2], 2)
    nothing = maximal_sections(np.array([], int), np.array([], int))
    assert nothing[2] == 0


def test_what_has_a_placement_is_never_proved_impossible() -> None:
    """Going back past steps must skip none of those that a dead end follows from."""
    for seed in range(12):
        random = np.random.default_rng(seed)
        buffers = lifetimes_of(packing(30, random, span=20, height=200), None)
        strategy = replace(Strategy.draw(random), is_bold=False)
        outcome = Search(buffers).run(200, strategy, random, 2000, None)
        assert outcome.offsets is not None and buffers.arena(outcome.offsets) == 200


def test_twins_are_not_tried_for_one_another() -> None:
    """Twelve equal buffers around a fixed one that lets two bytes go to waste: many ways, all alike."""
    buffers = [Buffer(k, 0, 2, 3) for k in range(12)] + [Buffer("fixed", 0, 2, 1, address=20)]
    search, random = Search(lifetimes_of(buffers, None)), np.random.default_rng(0)
    outcome = search.run(38, Strategy.draw(random), random, 100, None)
    assert outcome.is_complete and outcome.offsets is None
    assert search.run(39, Strategy.draw(random), random, 100, None).offsets is not None
