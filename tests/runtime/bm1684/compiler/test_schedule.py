"""Random programs of element-wise layers: schedules keep order and memory, in every order of the engines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.bmodel import BModel, Net
from graphflow.runtime.bm1684.chip import LANE_BYTES
from graphflow.runtime.bm1684.compiler.costs import COSTS
from graphflow.runtime.bm1684.compiler.errors import TooLarge
from graphflow.runtime.bm1684.compiler.grouping import cut, grouped
from graphflow.runtime.bm1684.compiler.layers.layer import (
    LocalLayer,
    Places,
    TransferLayer,
    Work,
    broadcast_box,
)
from graphflow.runtime.bm1684.compiler.layers.window import channel_tiles
from graphflow.runtime.bm1684.compiler.package import Compiled, Interface, package, plan
from graphflow.runtime.bm1684.compiler.placement import place_locally
from graphflow.runtime.bm1684.compiler.schedule import demand, schedule
from graphflow.runtime.bm1684.compiler.steps import Group, Step, Store, boxes_of, steps_of
from graphflow.runtime.bm1684.compiler.synchronize import synchronize
from graphflow.runtime.bm1684.compiler.tensors import Box, Value, elements
from graphflow.runtime.bm1684.isa import Shape
from graphflow.runtime.bm1684.simulator import simulate


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(LocalLayer):
    """The sum of two values, with some rows around what it needs, as a window would."""

    halo: int = 0
    slowness: int = 1
    tiled: bool = False

    def tiles(self, box: Box, room: int) -> list[Box]:
        return channel_tiles(box, 1) if self.tiled else [box]

    def needed(self, index: int, box: Box) -> Box:
        value = self.inputs[index]
        around = box.rows(max(0, box.start.h - self.halo), min(value.shape.h, box.stop.h + self.halo))
        return broadcast_box(around, value)

    def works(self, box: Box, room: int, held: object = None) -> list[Work]:
        def build(places: Places) -> list[isa.Command]:
            left, right = [
                tile.operand(broadcast_box(box, value)) for tile, value in zip(places.inputs, self.inputs)
            ]
            return [
                isa.Arithmetic(
                    operation=isa.Operation.ADD,
                    shape=box.shape,
                    left=left,
                    right=right,
                    result=places.output.operand(box),
                )
            ]

        return [Work(build=build, counted=lambda: self.slowness * elements(box.shape) // 512 + 10)]

    def overwrites(self) -> tuple[int, ...]:
        return () if self.halo else (0, 1)


def copied(value: Value, name: str) -> tuple[TransferLayer, Value]:
    """A copy from DDR to DDR."""
    made = Value(name, value.shape)

    def moves(sources: list[int], to: int) -> list[isa.GdmaCommand]:
        return [isa.LinearCopy(source=sources[0], destination=to, length=elements(value.shape))]

    return TransferLayer(output=made, inputs=(value,), nodes=(name,), moves=moves), made


@st.composite
def programs(draw: st.DrawFn) -> tuple[list, list[Value], list[Value], Shape]:
    shape = Shape(
        draw(st.integers(1, 4)), draw(st.integers(1, 200)), draw(st.integers(1, 40)), draw(st.integers(1, 30))
    )
    values = [Value("x", shape), Value("y", shape)]
    layers: list = []
    for index in range(draw(st.integers(1, 9))):
        if draw(st.integers(0, 5)) == 0:
            layer, made = copied(values[draw(st.integers(0, len(values) - 1))], f"copy{index}")
        else:
            left, right = (values[-1 - draw(st.integers(0, min(3, len(values) - 1)))] for _ in range(2))
            made = Value(f"v{index}", shape)
            if draw(st.integers(0, 4)) == 0:
                left = Value(f"{left.name} again", shape, alias=left)
            more = {"halo": draw(st.integers(0, 2)), "tiled": draw(st.booleans())}
            layer = Add(output=made, inputs=(left, right), nodes=(f"add{index}",), **more)
        layers.append(layer)
        values.append(made)
    outputs = list(dict.fromkeys([values[-1], values[draw(st.integers(2, len(values) - 1))]]))
    return layers, values[:2], outputs, shape


def expected(layers: list, fed: dict[str, np.ndarray], inputs: list[Value]) -> dict[Value, np.ndarray]:
    known = {value: fed[value.name] for value in inputs}
    for layer in layers:
        given = [known[value.root] for value in layer.inputs]
        known[layer.output] = given[0] if isinstance(layer, TransferLayer) else given[0] + given[1]
    return known


def compiled(groups: list[Group], inputs: list[Value], outputs: list[Value]) -> Compiled:
    sides = [[Interface(one.name, tuple(one.shape), one) for one in side] for side in (inputs, outputs)]
    return package([plan(groups, *sides)])[0]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(programs(), st.integers(0, 3))
def test_random_programs_run_in_every_order_of_the_engines(program, seed) -> None:
    layers, inputs, outputs, shape = program
    made = compiled(grouped(layers, outputs), inputs, outputs)
    rng = np.random.default_rng(seed)
    fed = {value.name: rng.integers(-9, 9, shape).astype(np.float32) for value in inputs}
    model = BModel((Net("net", (made.stage,)),))
    known = expected(layers, fed, inputs)
    for order in ("tiu first", "gdma first", "random"):
        found = simulate(model, fed, order=order, seed=seed)
        for value in outputs:
            assert np.array_equal(found[value.name], known[value])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(programs())
def test_schedules_keep_order_and_memory(program) -> None:
    layers, _, outputs, _ = program
    steps = steps_of(grouped(layers, outputs))
    made, offsets = place_locally(steps, COSTS)
    assert [item for item in made.items if isinstance(item, Step)] == steps
    done: set[int] = set()
    stored: dict[Value, int] = {}
    wanted = {value: 0 for step in steps for store in step.stores for value in [store.value]}
    for step in steps:
        for store in step.stores:
            wanted[store.value] += 1
    for item in made.items:
        if isinstance(item, Step):
            assert all(id(one) in done for one in item.buffers() if one.load is not None)
            done.update(id(store) for store in item.stores)
        elif isinstance(item, Store):
            assert id(item) in done
            stored[item.value] = stored.get(item.value, 0) + 1
        else:
            done.add(id(item))
            source = item.load.source.root
            assert source not in wanted or stored[source] == wanted[source]
    lives = list(made.lives.items())
    for index, (one, (first, last)) in enumerate(lives):
        assert first <= one.first and one.last <= last
        assert min(offsets[one], LANE_BYTES - offsets[one] - one.bytes) >= 0
        for other, (begin, end) in lives[:index]:
            apart = last < begin or end < first
            assert (
                apart
                or offsets[one] + one.bytes <= offsets[other]
                or offsets[other] + other.bytes <= offsets[one]
            )


def chain(shape: Shape, count: int, slowness: int = 1) -> tuple[list[Add], Value, Value]:
    x = last = Value("x", shape)
    layers = []
    for index in range(count):
        made = Value(f"v{index}", shape)
        layers.append(Add(output=made, inputs=(last, x), nodes=(f"add{index}",), slowness=slowness))
        last = made
    return layers, x, last


def test_what_fits_stays_in_local_memory() -> None:
    layers, x, last = chain(Shape(1, 64, 56, 56), 20)
    groups = grouped(layers, [last])
    assert [(len(group.layers), len(group.slices)) for group in groups] == [(20, 1)]
    made = compiled(groups, [x], [last])
    moved = [type(command).__name__ for stream in made.streams for command in stream.gdma]
    assert len(moved) == 2


def test_what_does_not_fit_is_sliced_and_loads_run_ahead() -> None:
    layers, x, last = chain(Shape(1, 64, 400, 400), 10, slowness=16)
    groups = grouped(layers, [last])
    assert len(groups) == 1 and len(groups[0].slices) > 1
    made = compiled(groups, [x], [last])
    items = made.plan.schedule.items
    first_compute = next(index for index, item in enumerate(items) if isinstance(item, Step))
    assert first_compute == 1
    loads = [item for item in made.plan.schedule.items if not isinstance(item, Step | Store)]
    ahead = [one for one in loads if made.plan.schedule.lives[one][0] < one.first]
    assert len(ahead) >= len(groups[0].slices) - 2
    alone = max(sum(map(COSTS.load, loads)), sum(map(COSTS.step, made.plan.steps)))
    both = sum(map(COSTS.load, loads)) + sum(map(COSTS.step, made.plan.steps))
    assert alone <= made.plan.schedule.seconds < both + 1e-3


def test_a_row_that_exceeds_local_memory_is_named() -> None:
    value = Value("wide", Shape(1, 1, 1, 150_000))

    @dataclass(frozen=True, eq=False, kw_only=True)
    class Whole(Add):
        def cuts(self) -> str:
            return "nch"

    layer = Whole(output=Value("out", value.shape), inputs=(value, value), nodes=("sum",))
    with pytest.raises(TooLarge, match=r"sum \(Whole\) needs 1200128 bytes of every lane at once, of 524288"):
        grouped([layer], [layer.output])


def test_rows_around_a_slice_are_loaded_with_it() -> None:
    x = Value("x", Shape(1, 64, 10, 4))
    middle, last = Value("middle", x.shape), Value("last", x.shape)
    layers = (
        Add(output=middle, inputs=(x, x), halo=1),
        Add(output=last, inputs=(middle, middle), halo=2),
    )
    slices = cut(layers, (last,), 2)
    assert slices is not None
    boxes = boxes_of(Group(layers=layers, leaving=(last,), slices=slices, room=0), slices[1])
    assert (boxes[last].start.h, boxes[middle].start.h, boxes[x].start.h) == (5, 3, 2)
    assert cut(layers, (last,), 11) is None


def test_a_group_ends_before_its_ids_are_used_up() -> None:
    load = isa.TensorTransfer(
        direction=isa.Direction.LOAD,
        source=1 << 32,
        destination=0x0800_0000,
        source_shape=Shape(),
        destination_shape=Shape(),
    )
    groups = synchronize((load, "x") for _ in range(65_536))
    assert [len(group.gdma) for group in groups] == [65_535, 1]
    assert groups[1].gdma[0].id == 1


def test_what_leaves_is_stored_tile_by_tile_while_the_next_is_computed() -> None:
    shape = Shape(1, 256, 40, 40)
    x, first, last = (Value(name, shape) for name in ("x", "first", "last"))
    layers = [
        Add(output=first, inputs=(x, x), tiled=True, slowness=50),
        Add(output=last, inputs=(first, x), slowness=50),
    ]
    (group,) = grouped(layers, [first, last])
    steps = steps_of([group])
    assert [step.layer.output for step in steps] == [first, last] * 4
    assert [len(step.stores) for step in steps] == [1] * 8
    made = schedule(steps, COSTS, LANE_BYTES)
    rest = sum(map(COSTS.load, [one for one in made.items if not isinstance(one, Step | Store)]))
    assert made.seconds < rest + sum(map(COSTS.step, steps)) + 2 * COSTS.store(steps[-1].stores[0])


def test_tiles_follow_only_what_has_the_same_channels_and_is_not_read_from_ddr() -> None:
    shape = Shape(1, 128, 4, 4)
    x, first, last = (Value(name, shape) for name in ("x", "first", "last"))
    again = Value("again", shape, alias=first)
    layers = [
        Add(output=first, inputs=(x, x), tiled=True),
        Add(output=last, inputs=(first, again)),
    ]
    (group,) = grouped(layers, [last])
    assert [step.layer.output for step in steps_of([group])] == [first, first, last]


def test_a_load_that_is_waited_for_comes_before_a_store() -> None:
    shape = Shape(1, 64, 64, 64)
    given, made = [[Value(f"{name}{index}", shape) for index in range(3)] for name in "xy"]
    layers = tuple([Add(output=y, inputs=(given[0], x)) for x, y in zip(given, made)])
    whole = (Box.whole(shape),) * 3
    steps = steps_of([Group(layers=layers, leaving=tuple(made), slices=(whole,), room=0)])
    kinds = [type(item).__name__ for item in schedule(steps, COSTS, LANE_BYTES).items]
    assert kinds == ["Buffer", "Step"] * 3 + ["Store"] * 3


def test_no_load_ahead_where_there_is_no_memory_for_it() -> None:
    layers, _, last = chain(Shape(1, 64, 100, 100), 3)
    steps = steps_of(grouped(layers, [last]))
    made = schedule(steps, COSTS, 0)
    assert all(life == (one.first, one.last) for one, life in made.lives.items() if one.load is not None)
    assert demand(steps).max() <= LANE_BYTES
