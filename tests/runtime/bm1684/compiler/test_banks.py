"""Banks: what the engines touch at the same time lies apart where it can, and nothing is given up for it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphflow as gf
from graphflow.runtime.bm1684.chip import ALIGNMENT, BANK_BYTES, LANE_BYTES
from graphflow.runtime.bm1684.compiler import placement
from graphflow.runtime.bm1684.compiler.banks import (
    Meeting,
    between_engines,
    meetings,
    settle,
    within_steps,
)
from graphflow.runtime.bm1684.compiler.schedule import Schedule
from graphflow.runtime.bm1684.compiler.steps import Buffer
from graphflow.runtime.bm1684.cycles import bank_conflicts, shared_bank_seconds
from tests.deploy.models import floats, model


def towers(x: gf.Tensor) -> gf.Tensor:
    """Convolutions whose weights are loaded while others are computed, with room to spare."""
    for layer in range(4):
        x = gf.nn.relu(gf.nn.conv(x, floats(64, 64, 3, 3, seed=layer) * 0.05, padding=1))
    return x


def in_banks(buffer: Buffer, offset: int) -> set[int]:
    return set(range(offset // BANK_BYTES, (offset + buffer.bytes - 1) // BANK_BYTES + 1))


def met(found: list[Meeting], offsets: dict[Buffer, int]) -> float:
    """For how long the engines meet, counted from the definition."""
    return sum(
        one.seconds
        for one in found
        if any(in_banks(one.moved, offsets[one.moved]) & in_banks(two, offsets[two]) for two in one.worked)
    )


def overlapping(made: Schedule, offsets: dict[Buffer, int]) -> list[tuple[Buffer, Buffer]]:
    lives = list(made.lives.items())
    return [
        (one, two)
        for index, (one, (first, last)) in enumerate(lives)
        for two, (begin, end) in lives[:index]
        if begin <= last and first <= end
        if offsets[one] < offsets[two] + two.bytes and offsets[two] < offsets[one] + one.bytes
    ]


def test_what_meets_lies_apart_in_a_compiled_net() -> None:
    made = gf.compile(model(towers, (1, 64, 28, 28)))
    plan = made.stages[0].plan
    found = meetings(plan.schedule)
    pairs = between_engines(found) + within_steps(plan.steps)
    assert len(between_engines(found)) > 5 and len(within_steps(plan.steps)) > 5
    for one, other in pairs:
        assert not in_banks(one, plan.offsets[one]) & in_banks(other, plan.offsets[other])
    assert not overlapping(plan.schedule, plan.offsets)
    assert shared_bank_seconds(made.cycles) == max(bank_conflicts(made.cycles)) == 0.0


def test_meetings_are_the_overlaps_of_the_timeline() -> None:
    """The schedule's meetings take as long as the commands for which both engines are busy."""
    made = gf.compile(model(towers, (1, 64, 28, 28)))
    run, plan = made.cycles, made.stages[0].plan
    spans = {name: [span for span in run.spans if span.engine == name] for name in ("tiu", "gdma")}
    both = sum(
        max(0.0, min(one.end, two.end) - max(one.start, two.start))
        for one in spans["tiu"]
        for two in spans["gdma"]
    )
    assert both > 1e-5
    assert sum(one.seconds for one in meetings(plan.schedule)) == pytest.approx(both, rel=0.02)
    assert len(plan.schedule.times) == len(plan.schedule.items)


def test_where_not_all_can_lie_apart_a_search_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule stays as it is, and the engines meet for less time than where nobody looks at banks."""

    def fitting(buffers: Any, made: Any, apart: Any, *more: Any) -> Any:
        return None if apart else placed(buffers, made, apart, *more)

    placed = placement._fitting
    monkeypatch.setattr(placement, "_fitting", fitting)
    net = model(towers, (1, 64, 56, 56))
    made = gf.compile(net)
    monkeypatch.setattr(placement, "settle", lambda schedule, offsets, found: offsets)
    blind = gf.compile(net)
    assert made.cycles.seconds <= 1.001 * blind.cycles.seconds
    assert shared_bank_seconds(made.cycles) < 0.5 * shared_bank_seconds(blind.cycles)
    assert shared_bank_seconds(blind.cycles) > 1e-5
    assert not overlapping(made.stages[0].plan.schedule, made.stages[0].plan.offsets)


def problem(lives: list[tuple[int, int]], sizes: list[int]) -> tuple[Schedule, list[Buffer]]:
    buffers = [Buffer(str(index), size) for index, size in enumerate(sizes)]
    return Schedule(lives=dict(zip(buffers, lives))), buffers


def test_a_search_separates_two_buffers_that_meet() -> None:
    made, (one, two, three) = problem([(0, 3), (0, 3), (0, 3)], [1000, 1000, 60_000])
    given = {one: 0, two: 1024, three: 2048}
    found = [Meeting(1e-3, (one,), two), Meeting(2e-3, (three,), two)]
    moved = settle(made, given, found)
    assert met(found, given) == pytest.approx(3e-3) and met(found, moved) == 0.0
    assert not overlapping(made, moved)
    assert moved == settle(made, given, found)


def test_where_nothing_can_move_all_stays() -> None:
    made, (one, two) = problem([(0, 3), (0, 3)], [LANE_BYTES - 256, 256])
    given = {one: 0, two: LANE_BYTES - 256}
    assert settle(made, given, [Meeting(1e-3, (one,), two)]) in (given, {one: 256, two: 0})
    assert settle(made, given, []) == given


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 25))
def test_a_search_keeps_what_a_placement_must(seed: int, count: int) -> None:
    """Places stay aligned, inside and free, and the engines never meet for longer than before."""
    rng = random.Random(seed)
    lives = [(first, first + rng.randrange(4)) for first in (rng.randrange(12) for _ in range(count))]
    sizes = [rng.choice([100, 4096, 30_000, 70_000, 150_000]) for _ in range(count)]
    made, buffers = problem(lives, sizes)
    offsets: dict[Buffer, int] = {}
    for buffer in list(buffers):
        first, last = made.lives[buffer]
        taken = [
            (offsets[other], offsets[other] + other.bytes)
            for other in offsets
            if made.lives[other][0] <= last and first <= made.lives[other][1]
        ]
        top = max([end for _, end in taken], default=0)
        top += -top % ALIGNMENT
        if top + buffer.bytes > LANE_BYTES:
            del made.lives[buffer]
        else:
            offsets[buffer] = top
    placed = list(offsets)
    found = [
        Meeting(rng.random(), (one,), two)
        for one in placed
        for two in rng.sample(placed, 1)
        if one is not two
    ]
    moved = settle(made, offsets, found, 300)
    assert set(moved) == set(offsets) and not overlapping(made, moved)
    assert all(at % ALIGNMENT == 0 and at + one.bytes <= LANE_BYTES for one, at in moved.items())
    assert met(found, moved) <= met(found, offsets) + 1e-9


def test_what_moves_between_lanes_takes_the_data_movers_time() -> None:
    """A concatenation into other lanes is the data mover's, and the schedule knows how long that takes."""
    net = model(lambda x: gf.concat([gf.exp(x), gf.tanh(x)], axis=1), (1, 40, 96, 96))
    made = gf.compile(net)
    assert made.stages[0].plan.schedule.seconds == pytest.approx(made.cycles.seconds, rel=0.02)
    feeds = {"x0": floats(1, 40, 96, 96)}
    wanted = np.concatenate([np.exp(feeds["x0"]), np.tanh(feeds["x0"])], axis=1)
    np.testing.assert_allclose(made.simulate(feeds)["y"], wanted, rtol=1e-4, atol=1e-5)
