"""The timeline obeys the ids as a fixed point of the waits does, and tells who waited for whom."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.errors import AttributeValueError, FileFormatError
from graphflow.runtime.bm1684 import bmodel, isa
from graphflow.runtime.bm1684.cycles import Stream, cycles, streams, timeline
from graphflow.runtime.bm1684.simulator import ChipFault
from tests.runtime.bm1684.cycles.program import DDR, program

LOCAL = 0x0800_0000
HERTZ = {"tiu": 550e6, "gdma": 575e6}


def add(number: int, wait: int, size: int) -> isa.Command:
    where = isa.Operand(LOCAL)
    shape = isa.Shape(1, 1, 1, size)
    kind = isa.Operation.ADD
    return isa.Arithmetic(
        id=number, wait=wait, operation=kind, shape=shape, left=where, right=where, result=where
    )


def copy(number: int, wait: int, size: int) -> isa.Command:
    return isa.LinearCopy(id=number, wait=wait, source=DDR, destination=DDR + (1 << 20), length=size)


Waits = list[tuple[int, int]]
"""Of each command, for whom it waits and its size."""


def ends(tiu: Waits, gdma: Waits) -> dict[tuple[str, int], float] | None:
    """When each command is done: start times are raised until nothing changes; None if that never is."""
    sides = {"tiu": (tiu, "gdma", add), "gdma": (gdma, "tiu", copy)}
    done = {(name, 0): 0.0 for name in sides}
    done |= {(name, at): math.inf for name, side in sides.items() for at in range(1, len(side[0]) + 1)}
    changed = True
    while changed:
        changed = False
        for name, (waits, other, make) in sides.items():
            for at, (wait, size) in enumerate(waits, 1):
                start = max(done[name, at - 1], done[other, wait])
                end = start + cycles(make(at, wait, size)) / HERTZ[name]
                changed |= end != done[name, at]
                done[name, at] = end
    return None if math.inf in done.values() else done


@st.composite
def waits(draw: st.DrawFn) -> tuple[Waits, Waits]:
    counts = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    sizes = st.sampled_from((16, 400, 5000))
    return tuple(
        [(draw(st.integers(0, other)), draw(sizes)) for _ in range(count)]
        for count, other in (counts, counts[::-1])
    )


@settings(max_examples=150, deadline=None)
@given(waits())
def test_times_are_the_fixed_point_of_the_waits(both: tuple[Waits, Waits]) -> None:
    tiu, gdma = both
    stream = Stream(
        [add(at, wait, size) for at, (wait, size) in enumerate(tiu, 1)],
        [copy(at, wait, size) for at, (wait, size) in enumerate(gdma, 1)],
    )
    expected = ends(tiu, gdma)
    if expected is None:
        with pytest.raises(ChipFault, match="wait for each other"):
            timeline([stream])
        return
    made = timeline([stream])
    assert {(span.engine, span.command.id): span.end for span in made.spans} == pytest.approx(
        {key: end for key, end in expected.items() if key[1]}, rel=1e-12
    )
    assert made.seconds == pytest.approx(max([0.0, *expected.values()]), rel=1e-12)


def test_the_critical_path_is_unbroken() -> None:
    made = timeline([program(), program(2)])
    path = [made.spans[index] for index in made.critical_path]
    assert path[0].start == 0 and path[-1].end == made.seconds
    assert all(one.end == two.start for one, two in pairwise(path))
    assert sum(span.seconds for span in path) == pytest.approx(made.seconds)


def test_an_engine_is_busy_waits_or_is_done() -> None:
    made = timeline([program(5)])
    for name in ("tiu", "gdma"):
        own = [span for span in made.spans if span.engine == name]
        assert made.busy[name] == pytest.approx(sum(span.cycles for span in own) / HERTZ[name])
        assert made.busy[name] + made.stalled[name] == pytest.approx(own[-1].end)
        assert made.utilisation[name] == made.busy[name] / made.seconds
    assert made.bound == made.busy["tiu"] < made.seconds


def test_stalls_name_the_command_that_was_waited_for() -> None:
    made = timeline([program()])
    first = next(span for span in made.spans if span.engine == "tiu")
    load = made.spans[first.cause]
    assert (load.engine, load.command.id) == ("gdma", first.command.wait)
    assert first.stall == first.start == load.end
    worst = made.worst_stalls(3)
    assert [span.stall for span, _ in worst] == sorted([span.stall for span, _ in worst], reverse=True)
    assert all(span.engine != cause.engine and cause.end == span.start for span, cause in worst)


def test_overlap_is_what_the_ids_allow() -> None:
    """With all waits for the latest command of the other engine, nothing overlaps."""
    overlapped = timeline([program()])
    tiu = [add(1, 1, 5000), add(2, 2, 5000)]
    gdma = [copy(1, 0, 5000), copy(2, 1, 5000)]
    serial = timeline([Stream(tiu, gdma)])
    assert serial.seconds == pytest.approx(sum(serial.busy.values()))
    assert overlapped.seconds < 0.8 * sum(overlapped.busy.values())


def test_groups_run_one_after_the_other() -> None:
    one, two = timeline([program(3)]), timeline([program(3), Stream(), program(3)])
    assert two.seconds == pytest.approx(2 * one.seconds)
    later = [span for span in two.spans if span.group == 2]
    assert min(span.start for span in later) == pytest.approx(one.seconds)
    assert later[0].stall == 0


def test_words_and_commands_are_the_same() -> None:
    given = program(3)
    words = bmodel.CommandGroup(tiu=isa.encode_stream(given.tiu), gdma=isa.encode_stream(given.gdma))
    stage = bmodel.Stage((), (), (words, words), DDR, 4096)
    made = timeline(stage)
    assert made.seconds == timeline([given, given]).seconds
    assert [span.label for span in made.spans] == [""] * len(made.spans)
    assert [list(stream.tiu) for stream in streams(stage)] == [list(given.tiu)] * 2
    with pytest.raises(FileFormatError, match="command 0 of the tiu stream"):
        timeline([bmodel.CommandGroup(tiu=b"\xff" * 128)])


def test_an_empty_program_takes_no_time() -> None:
    for groups in ([], [Stream()]):
        made = timeline(groups)
        assert (made.seconds, made.critical_path, made.utilisation["tiu"]) == (0.0, [], 0.0)
        assert str(made).startswith("0.000 ms for 0 commands")


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (Stream([add(1, 1, 16)], [copy(1, 1, 16)]), "the engines wait for each other"),
        (Stream([add(1, 2, 16)], [copy(1, 0, 16)]), "waits for command 2 of an engine that runs 1"),
        (Stream([add(2, 0, 16)]), "has the id 2"),
    ],
)
def test_what_can_never_run_is_refused(stream: Stream, said: str) -> None:
    with pytest.raises(ChipFault, match=said) as caught:
        timeline([stream])
    assert caught.value.rule == "order" and caught.value.hint


def test_labels_are_one_for_each_command() -> None:
    with pytest.raises(AttributeValueError, match="2 tiu labels for 1 commands"):
        Stream([add(1, 0, 16)], (), ["a", "b"])


def test_a_hundred_thousand_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cycles of each command are computed once, and no path is walked by recursion."""
    asked = []
    monkeypatch.setattr(
        "graphflow.runtime.bm1684.cycles.schedule.cycles", lambda command: asked.append(command) or 10
    )
    count = 50_000
    tiu = [add(number, number, 16) for number in range(1, count + 1)]
    gdma = [copy(number, max(0, number - 2), 16) for number in range(1, count + 1)]
    made = timeline([Stream(tiu, gdma)])
    assert len(made.spans) == 2 * count
    assert len(asked) == 2 * count
    assert len(made.critical_path) > count
