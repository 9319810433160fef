"""Convolutions of all kinds against sums in doubles: whole, sliced, in channel tiles, from larger tiles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.groups import merged
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.cycles import conv_cycles, winograd_cycles
from graphflow.runtime.bm1684.isa import Pads, Shape, Window
from tests.runtime.bm1684.compiler.harness import Bench, assert_close, part, value
from tests.runtime.bm1684.compiler.layers.reference import convolved

ONE, THREE, AROUND = (1, 1), (3, 3), Pads(1, 1, 1, 1)
CLOSE, WINOGRAD_CLOSE = 2e-6, 1e-5


def floats(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def made(
    given: Shape, outputs: int, kernel: tuple[int, int], bias: bool = True, groups: int = 1, **more: Any
) -> tuple[Convolution, np.ndarray, np.ndarray]:
    """A convolution, its input, and the result in doubles, before bounds."""
    x = floats(1, *given)
    weights = floats(2, outputs, given.c // groups, *kernel)
    values = floats(3, outputs) if bias else None
    geometry = {name: more[name] for name in ("strides", "pads", "dilation") if name in more}
    wanted = convolved(x, weights, values, groups=groups, **geometry)
    layer = Convolution(
        output=value("y", *wanted.shape),
        inputs=(value("x", *given),),
        weights=weights,
        bias=values,
        groups=groups,
        **more,
    )
    return layer, x, wanted


def check(bench: Bench, x: np.ndarray, wanted: np.ndarray, tolerance: float = CLOSE) -> Bench:
    assert_close(bench.run(x), part(wanted, bench.box), tolerance)
    return bench


CASES: dict[str, tuple[Shape, int, tuple[int, int], dict[str, Any]]] = {
    "one of all": (Shape(1, 1, 1, 1), 1, ONE, {}),
    "pointwise": (Shape(3, 65, 5, 7), 130, ONE, {}),
    "three channels": (Shape(1, 3, 9, 9), 8, THREE, {"pads": AROUND}),
    "padded": (Shape(2, 63, 6, 5), 65, THREE, {"pads": AROUND}),
    "uneven pads": (Shape(1, 9, 6, 5), 7, (4, 2), {"pads": Pads(3, 0, 1, 0), "bias": False}),
    "steps": (Shape(3, 5, 9, 8), 66, THREE, {"strides": Window(2, 3), "pads": AROUND}),
    "dilated": (Shape(1, 9, 9, 9), 10, THREE, {"dilation": Window(2, 3), "pads": Pads(2, 2, 3, 3)}),
    "an image smaller than its kernel": (Shape(1, 4, 2, 2), 3, (5, 5), {"pads": Pads(2, 2, 2, 2)}),
    "groups": (Shape(2, 20, 5, 5), 80, THREE, {"groups": 4, "pads": AROUND}),
    "groups across lanes": (Shape(1, 96, 4, 4), 96, THREE, {"groups": 3, "pads": AROUND}),
    "a group a channel": (Shape(2, 66, 4, 4), 132, THREE, {"groups": 66}),
    "far steps": (Shape(1, 3, 34, 33), 5, (17, 2), {"strides": Window(17, 16)}),
    "far dilation": (Shape(1, 3, 20, 21), 5, THREE, {"dilation": Window(18, 18), "pads": Pads(*[18] * 4)}),
    "taps beside the image": (
        Shape(1, 2, 4, 4),
        3,
        (2, 2),
        {"dilation": Window(30, 30), "pads": Pads(*[15] * 4)},
    ),
    "wide pads": (Shape(2, 3, 6, 6), 5, (33, 33), {"pads": Pads(16, 16, 16, 16)}),
}


@pytest.mark.parametrize("name", CASES)
def test_convolutions(name: str) -> None:
    given, outputs, kernel, more = CASES[name]
    layer, x, wanted = made(given, outputs, kernel, **more)
    assert layer.refusal() is None
    check(Bench(layer), x, wanted)
    larger = Bench(layer, margin=Shape(1, 1, 1, 1), told=False)
    check(larger, x, wanted)


def test_bounds_lie_in_the_work() -> None:
    layer, x, wanted = made(Shape(1, 5, 4, 4), 70, THREE, pads=AROUND, relu=True, ceiling=6.0)
    check(Bench(layer), x, np.clip(wanted, 0, 6))
    plain = replace(layer, relu=False, ceiling=None)
    extra = Bench(layer).cycles - Bench(plain).cycles
    assert extra == 2 * 2 * 2 * 1
    x[0, 0, 0, 0] = np.nan
    result = Bench(layer).run(x)
    assert (result[0, :, :2, :2] == 0).all()


def test_tiles_of_channels_keep_within_the_room() -> None:
    layer, x, wanted = made(Shape(2, 70, 5, 6), 200, THREE, pads=AROUND, relu=True)
    for room, works in ((1 << 20, 1), (6000, 2), (2000, 8), (200, 4 * 35)):
        bench = check(Bench(layer, room=room), x, np.maximum(wanted, 0), 4e-6)
        assert len(bench.works) == works, room
        if room > 200:
            assert max(sum(one.bytes for one in work.coefficients) for work in bench.works) <= room
    again = layer.works(Box.whole(layer.output.shape), 6000)
    kept = [one for work in again for one in work.coefficients]
    assert kept == [
        one for work in layer.works(Box.whole(layer.output.shape), 6000) for one in work.coefficients
    ]


def test_more_input_channels_than_a_command_takes() -> None:
    layer, x, wanted = made(Shape(1, 4200, 1, 1), 3, ONE)
    bench = check(Bench(layer), x, wanted, 5e-6)
    assert [work.build.args[0][1:3] for work in bench.works] == [(0, 2112), (2112, 4200)]


@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_a_box_of_a_layer_in_larger_tiles(algorithm: str) -> None:
    layer, x, wanted = made(Shape(2, 70, 9, 8), 130, THREE, pads=AROUND, algorithm=algorithm)
    box = Box(Shape(1, 64, 3, 0), Shape(2, 130, 7, 8))
    output = Box(Shape(1, 0, 3, 0), Shape(2, 130, 7, 8))
    bench = Bench(layer, box, margin=Shape(1, 0, 2, 0), output=output)
    check(bench, x, wanted, WINOGRAD_CLOSE)
    assert [need.shape for need in bench.needed] == [Shape(1, 70, 6, 8)]
    assert not any(work.scratch for work in bench.works)


@pytest.mark.parametrize("outputs", [1, 64, 65, 130])
@pytest.mark.parametrize("size", [(1, 1), (5, 6), (7, 7)])
def test_winograd(outputs: int, size: tuple[int, int]) -> None:
    layer, x, wanted = made(Shape(3, 7, *size), outputs, THREE, pads=AROUND, algorithm="winograd")
    bench = check(Bench(layer), x, wanted, WINOGRAD_CLOSE)
    assert bench.cycles == winograd_cycles(3, outputs, *size, 7, True)
    assert [type(command) for command in bench.commands[-1:]] == [isa.WinogradConvolution]


def test_winograd_with_its_input_channels_split() -> None:
    layer, x, wanted = made(Shape(1, 130, 5, 5), 66, THREE, pads=AROUND, algorithm="winograd", relu=True)
    bench = check(Bench(layer, room=64 * 64), x, np.maximum(wanted, 0), WINOGRAD_CLOSE)
    assert len(bench.works) == 2 * 3


def test_cycles_are_those_of_the_formula() -> None:
    layer, _, _ = made(Shape(1, 64, 56, 56), 64, THREE, pads=AROUND)
    assert Bench(layer).cycles == conv_cycles(1, 64, 56, 56, 64, 3, 3, True)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_any_slice_of_any_geometry(data: st.DataObject) -> None:
    draw = data.draw
    pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel, strides = draw(pairs), Window(*draw(pairs))
    dilation = Window(*draw(st.tuples(st.integers(1, 3), st.integers(1, 2))))
    reach = [(size - 1) * spread for size, spread in zip(kernel, dilation)]
    pads = Pads(*[draw(st.integers(0, reach[index // 2])) for index in range(4)])
    sizes = [
        max(1, reach[axis] + 1 - pads[2 * axis] - pads[2 * axis + 1]) + draw(st.integers(0, 6))
        for axis in range(2)
    ]
    layer, x, wanted = made(
        Shape(draw(st.integers(1, 2)), draw(st.integers(1, 5)), *sizes),
        draw(st.sampled_from([1, 5, 66])),
        kernel,
        strides=strides,
        pads=pads,
        dilation=dilation,
    )
    shape = layer.output.shape
    first = draw(st.integers(0, shape.h - 1))
    box = Box.whole(shape).rows(first, draw(st.integers(first + 1, shape.h)))
    left = draw(st.integers(0, shape.w - 1))
    box = box.over("w", left, draw(st.integers(left + 1, shape.w)))
    room = draw(st.sampled_from([1 << 18, 256]))
    check(Bench(layer, box, margin=Shape(0, 0, draw(st.integers(0, 2)), 1), room=room), x, wanted, 4e-6)


@pytest.mark.parametrize(
    ("given", "kernel", "more", "commands"),
    [
        (Shape(2, 2, 1, 4100), (1, 5), {"pads": Pads(0, 0, 2, 2)}, 3 * 3 * 2),
        (Shape(1, 2, 1, 4100), (1, 40), {"strides": Window(1, 2)}, 3 * 3),
        (Shape(1, 4, 4100, 3), (3, 3), {"pads": AROUND, "groups": 2}, 3 * 4),
        (Shape(1, 2, 1, 2047), ONE, {}, 1),
        (Shape(1, 2, 1, 34000), (1, 16), {"strides": Window(1, 16), "pads": Pads(0, 0, 15, 0)}, 2 * 3 * 16),
    ],
)
def test_long_rows_are_taken_in_parts(
    given: Shape, kernel: tuple[int, int], more: dict[str, Any], commands: int
) -> None:
    layer, x, wanted = made(given, 130, kernel, **more)
    assert layer.refusal() is None
    bench = check(Bench(layer), x, wanted)
    convolutions = [command for command in bench.commands if isinstance(command, isa.Convolution)]
    assert len(convolutions) == commands
    assert max(max(command.input_shape.h, command.input_shape.w) for command in convolutions) <= 2047


def test_groups_are_taken_together_where_that_is_faster() -> None:
    layer, x, wanted = made(Shape(1, 64, 14, 14), 64, THREE, groups=32, pads=AROUND)
    other = merged(layer)
    assert other.groups < 32
    check(Bench(other), x, wanted)
    assert Bench(other).cycles < Bench(layer).cycles
    wide, _, _ = made(Shape(1, 128, 4, 4), 128, THREE, groups=2)
    assert merged(wide) is wide


def test_what_the_chip_cannot_do_is_said() -> None:
    def refusal(size: Shape, kernel: tuple[int, int], **more: Any) -> str:
        layer, _, _ = made(size, 2, kernel, **more)
        return str(layer.refusal())

    assert "padding alone" in refusal(Shape(1, 2, 3, 3), ONE, pads=AROUND)
    assert "2050 elements" in refusal(Shape(1, 1, 2, 2050), ONE)
    assert "at most 2047" in refusal(Shape(1, 1, 2046, 1), THREE, pads=AROUND, algorithm="winograd")
    layer, _, _ = made(Shape(1, 1, 5, 5), 1, THREE)
    assert "pads are negative" in str(replace(layer, pads=Pads(-1, 0, 0, 0)).refusal())
    assert "steps up to 16" in str(replace(layer, insert=Window(16, 0)).refusal())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("room", (1 << 18, 2000))
def test_tiles_of_channels_take_the_same_work_as_all(name: str, room: int) -> None:
    given, outputs, kernel, more = CASES[name]
    layer, _, _ = made(given, outputs, kernel, **more)
    box = Box.whole(layer.output.shape)
    whole = layer.works(box, room)
    works = [work for tile in layer.tiles(box, room) for work in layer.works(tile, room)]
    assert sum(work.cycles for work in works) == sum(work.cycles for work in whole)
    assert [work.coefficients for work in works] == [work.coefficients for work in whole]
