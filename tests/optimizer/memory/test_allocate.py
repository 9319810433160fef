"""`allocate`: no overlap, alignment and addresses kept, near the bound, and refusals that say where."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.errors import MemoryPlanError
from graphflow.optimizer.memory.allocate import allocate
from graphflow.optimizer.memory.buffers import Allocation, Banks, Buffer, lifetimes_of
from graphflow.optimizer.memory.certificate import certify
from graphflow.optimizer.memory.lifetimes import Lifetimes, lower_bound
from graphflow.optimizer.memory.sweep import place_by_sweep
from tests.optimizer.memory.packings import crowd

# By its name, since the package's `allocate` is the function.
module = importlib.import_module("graphflow.optimizer.memory.allocate")


def check(buffers: list[Buffer], allocation: Allocation, banks: Banks | None = None) -> None:
    """Assert everything that makes an allocation valid, by comparing all pairs."""
    certify(buffers, allocation, banks=banks)
    assert set(allocation.offsets) == {buffer.id for buffer in buffers}
    ends: dict[str, int] = {}
    for buffer in buffers:
        offset = allocation.offsets[buffer.id]
        assert offset >= 0 and offset % buffer.alignment == 0
        assert buffer.address is None or offset == buffer.address
        if buffer.size and buffer.first < buffer.last:
            ends[buffer.space] = max(ends.get(buffer.space, 0), offset + buffer.size)
    for one, other in itertools.combinations(buffers, 2):
        together = max(one.first, other.first) < min(one.last, other.last)
        if one.space == other.space and together and one.size and other.size:
            low, high = sorted((one, other), key=lambda buffer: allocation.offsets[buffer.id])
            assert allocation.offsets[low.id] + low.size <= allocation.offsets[high.id], (low, high)
        if banks is not None and together and one.size and other.size:
            apart = {(one.id, other.id), (other.id, one.id)} & set(banks.apart)
            assert not (apart and banks_of(one, allocation, banks) & banks_of(other, allocation, banks))
    if banks is not None and banks.within:
        for buffer in buffers:
            count = len(banks_of(buffer, allocation, banks))
            assert count <= max(1, -(-buffer.size // banks.bytes)) or buffer.first == buffer.last
    assert allocation.arena_bytes == sum(ends.values())
    assert allocation.arena_bytes >= allocation.lower_bound_bytes >= live_peak(buffers)


def banks_of(buffer: Buffer, allocation: Allocation, banks: Banks) -> set[int]:
    offset = allocation.offsets[buffer.id]
    return {byte // banks.bytes for byte in range(offset, offset + buffer.size)}


def live_peak(buffers: list[Buffer]) -> int:
    """The largest sum of live bytes, by looking at every instant of every space."""
    total = 0
    for space in {buffer.space for buffer in buffers}:
        members = [buffer for buffer in buffers if buffer.space == space]
        instants = {buffer.first for buffer in members}
        total += max(
            (sum(one.size for one in members if one.first <= instant < one.last) for instant in instants),
            default=0,
        )
    return total


@st.composite
def buffer_lists(draw: st.DrawFn) -> list[Buffer]:
    buffers = []
    top = 0
    for index in range(draw(st.integers(0, 40))):
        first = draw(st.integers(-3, 20))
        alignment = draw(st.sampled_from([1, 1, 2, 3, 8, 64]))
        size = draw(st.sampled_from([0, 1, 4, 63, 64, 65, 1000]))
        address = None
        if draw(st.integers(0, 9)) == 0:
            address = top + -top % alignment
            top = address + size
        last = first + draw(st.integers(0, 12))
        space = draw(st.sampled_from(["main", "main", "local"]))
        buffers.append(Buffer(f"b{index}", first, last, size, alignment, space, address))
    return buffers


def with_little_search(buffers: list[Buffer], capacity: int | None = None) -> Allocation:
    """`allocate`, without the time it spends where random alignments put the bound out of reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_STATES", 50)
        patch.setattr(module, "_STATES_TO_FIT", 200)
        patch.setattr(module, "_WINDOWS", 10)
        return allocate(buffers, capacity)


@settings(max_examples=25)
@given(buffer_lists())
def test_greedy_allocations_are_valid(buffers: list[Buffer]) -> None:
    check(buffers, with_little_search(buffers))


@settings(max_examples=25)
@given(buffer_lists())
def test_swept_allocations_are_valid(buffers: list[Buffer]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "GREEDY_LIMIT", 0)
        patch.setattr(module, "_WINDOWS", 2)
        check(buffers, allocate(buffers))


@given(buffer_lists(), st.sampled_from([64, 128, 1024]), st.booleans(), st.randoms())
def test_banks_are_kept(buffers: list[Buffer], size: int, within: bool, random: Random) -> None:
    free = [
        replace(one, address=None, alignment=max(a for a in (1, 2, 8, 64) if a <= one.alignment))
        for one in buffers
    ]
    main = [one.id for one in free if one.space == "main"]
    pairs = [tuple(random.sample(main, 2)) for _ in range(10)] if len(main) > 1 else []
    banks = {"main": Banks(size, within, pairs)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_STATES", 50)
        allocation = allocate(free, banks=banks)
    check([one for one in free if one.space == "main"], only(allocation, "main", main), banks["main"])
    check(
        [one for one in free if one.space != "main"],
        only(allocation, "local", set(allocation.offsets) - set(main)),
    )


def only(allocation: Allocation, space: str, ids: Iterable[object]) -> Allocation:
    """The part of an allocation in one space."""
    arenas = {name: arena for name, arena in allocation.arenas.items() if name == space}
    total = sum(arena.arena_bytes for arena in arenas.values())
    bound = sum(arena.lower_bound_bytes for arena in arenas.values())
    return Allocation({one: allocation.offsets[one] for one in ids}, total, bound, arenas)


@given(buffer_lists(), st.integers(0, 3000))
def test_a_capacity_is_kept_or_refused(buffers: list[Buffer], capacity: int) -> None:
    try:
        allocation = with_little_search(buffers, capacity)
    except MemoryPlanError as error:
        assert f"its capacity is {capacity}" in error.message and error.hint
    else:
        check(buffers, allocation)
        assert all(arena.arena_bytes <= capacity for arena in allocation.arenas.values())


def random_buffers(rng: np.random.Generator, count: int, alignment: int = 1) -> list[Buffer]:
    first = rng.integers(0, 2 * count, count)
    length = np.ceil(rng.exponential(20, count)).astype(int) + 1
    size = np.ceil(rng.lognormal(7, 2, count)).astype(int)
    return [
        Buffer(index, int(first[index]), int(first[index] + length[index]), int(size[index]), alignment)
        for index in range(count)
    ]


def test_greedy_is_near_the_bound(rng: np.random.Generator) -> None:
    buffers = random_buffers(rng, 1500)
    allocation = allocate(buffers)
    check(buffers, allocation)
    assert allocation.gap <= 0.10


def test_the_sweep_is_near_the_bound_and_joins_free_ranges(rng: np.random.Generator) -> None:
    buffers = random_buffers(rng, 1500, alignment=64)
    rows = [(one.first, one.last, one.size, 64, -1) for one in buffers]
    lifetimes = Lifetimes(*np.array(rows, np.int64).T)
    offsets = place_by_sweep(lifetimes)
    bound, _ = lower_bound(lifetimes)
    assert bound <= lifetimes.arena(offsets) <= 1.5 * bound


def test_many_buffers_take_the_sweep(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    place = module.greedy.place_in_order

    def watched(buffers: Lifetimes, order: np.ndarray) -> np.ndarray:
        assert len(buffers) <= 4000, "the quadratic placement must not see so many buffers"
        return place(buffers, order)

    monkeypatch.setattr(module.greedy, "place_in_order", watched)
    buffers = random_buffers(rng, 20_000)
    allocation = allocate(buffers)
    certify(buffers, allocation)
    assert len(allocation.offsets) == 20_000
    assert allocation.gap <= 0.1


def test_a_chain_needs_two_buffers_and_no_gap() -> None:
    buffers = [Buffer(index, index, index + 2, 100) for index in range(10_000)]
    for some in (buffers[:100], buffers):
        allocation = allocate(some)
        assert allocation.arena_bytes == allocation.lower_bound_bytes == 200


def small_instances(rng: np.random.Generator, count: int) -> Iterator[list[Buffer]]:
    """Crowded instances of 14 buffers, on which the quick orders sometimes miss the bound."""
    for _ in range(count):
        size, first, length = rng.integers(1, 20, (3, 14))
        yield [Buffer(k, int(first[k]), int(first[k] + length[k]), int(size[k])) for k in range(14)]


def test_the_search_closes_all_gaps_that_can_be(rng: np.random.Generator) -> None:
    missed = closed = 0
    for buffers in small_instances(rng, 60):
        lifetimes = lifetimes_of(buffers, None)
        bound, _ = lower_bound(lifetimes)
        quick = lifetimes.arena(module._quickly(lifetimes, bound))
        if quick > bound:
            allocation = allocate(buffers)
            check(buffers, allocation)
            assert allocation.arena_bytes <= quick
            assert allocation.arenas["main"].is_smallest
            missed += 1
            closed += allocation.arena_bytes == bound
    assert missed >= 2 and closed >= 0.7 * missed


def test_given_seconds_are_spent_only_above_the_bound(rng: np.random.Generator) -> None:
    for buffers in small_instances(rng, 10):
        allocation = allocate(buffers, seconds=0.05)
        check(buffers, allocation)
    many = [Buffer(index, index, index + 2, 100) for index in range(50)]
    assert allocate(many, seconds=1e9).arena_bytes == 200


# The lower bound


def test_the_bound_knows_that_the_highest_buffer_needs_no_padding() -> None:
    buffers = [Buffer("a", 0, 2, 65, 64), Buffer("b", 0, 2, 1, 64)]
    allocation = allocate(buffers)
    # a takes [0, 65) and pads to 128 for b, or b takes 64 for a: 129 or 129; both reach 129 bytes.
    assert allocation.lower_bound_bytes == allocation.arena_bytes == 129


def test_a_fixed_address_raises_the_bound() -> None:
    allocation = allocate([Buffer("a", 0, 2, 10, address=100), Buffer("b", 0, 2, 50)])
    assert allocation.offsets == {"b": 0, "a": 100}
    assert (allocation.arena_bytes, allocation.lower_bound_bytes) == (110, 110)


def test_half_open_lives_and_spaces_do_not_meet() -> None:
    buffers = [Buffer("a", 0, 2, 10), Buffer("b", 2, 3, 10), Buffer("c", 0, 3, 7, space="local")]
    allocation = allocate(buffers)
    assert allocation.offsets == {"a": 0, "b": 0, "c": 0}
    assert {space: arena.arena_bytes for space, arena in allocation.arenas.items()} == {
        "main": 10,
        "local": 7,
    }
    assert allocation.arena_bytes == 17


def test_nothing_and_nothing_lasting() -> None:
    assert allocate([]).arena_bytes == 0
    dead = allocate([Buffer("dead", 3, 3, 1000), Buffer("empty", 0, 9, 0), Buffer("a", 0, 9, 4)])
    assert (dead.arena_bytes, dead.lower_bound_bytes) == (4, 4)


def test_sizes_beyond_32_bits() -> None:
    allocation = allocate([Buffer(k, 0, 1, 2**40) for k in range(8)])
    assert allocation.arena_bytes == 2**43


# Refusals


def test_over_capacity_names_the_peak_and_its_buffers() -> None:
    buffers = [Buffer("skip", 0, 9, 700), Buffer("up", 4, 6, 500), Buffer("late", 7, 9, 600)]
    with pytest.raises(MemoryPlanError) as caught:
        allocate(buffers, capacity=1000)
    assert "needs 1300 bytes" in caught.value.message
    assert "at instant 7" in caught.value.message
    assert "skip 700 B, late 600 B" in caught.value.message


def test_capacities_by_space() -> None:
    buffers = [Buffer("a", 0, 2, 10), Buffer("b", 0, 2, 20, space="local")]
    assert allocate(buffers, capacity={"main": 10}).arena_bytes == 30
    with pytest.raises(MemoryPlanError, match="space 'local' needs 20 bytes"):
        allocate(buffers, capacity={"main": 10, "local": 19})


@pytest.mark.parametrize(
    ("buffers", "message"),
    [
        ([Buffer("a", 2, 1, 4)], "dies at 1, before its birth at 2"),
        ([Buffer("a", 0, 1, -4)], "has size -4"),
        ([Buffer("a", 0, 1, 4, alignment=0)], "alignment 0"),
        ([Buffer("a", 0, 1, 4, alignment=8, address=12)], "no multiple of its alignment 8"),
        ([Buffer("a", 0, 1, 4.5)], "not a whole number"),
        ([Buffer("a", 0, 1, 4), Buffer("a", 2, 3, 4)], "two buffers have the id 'a'"),
        ([Buffer("a", 0, 1, 2**61)], "above 2\\*\\*60"),
        (
            [Buffer("a", 0, 3, 10, address=0), Buffer("b", 2, 4, 10, address=9)],
            r"'a' at \[0, 10\) and 'b' at \[9, 19\) overlap",
        ),
    ],
)
def test_contradictions_are_refused(buffers: list[Buffer], message: str) -> None:
    with pytest.raises(MemoryPlanError, match=message):
        allocate(buffers)


def test_fixed_buffers_may_overlap_at_different_times() -> None:
    buffers = [Buffer("a", 0, 2, 10, address=0), Buffer("b", 2, 4, 10, address=5), Buffer("c", 0, 4, 3)]
    allocation = allocate(buffers)
    check(buffers, allocation)


def test_more_states_find_more(rng: np.random.Generator) -> None:
    buffers = crowd(90, np.random.default_rng(6))
    gaps = [allocate(buffers, states=states).gap for states in (0, 1_000, 20_000)]
    assert gaps == sorted(gaps, reverse=True) and gaps[0] > gaps[-1]
    assert allocate(buffers, states=1_000).offsets == allocate(buffers, states=1_000).offsets
