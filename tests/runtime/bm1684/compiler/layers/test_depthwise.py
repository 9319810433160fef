"""Depthwise convolutions against sums in doubles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphflow.runtime.bm1684.compiler.layers.depthwise import DepthwiseConvolution
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.cycles import depthwise_cycles
from graphflow.runtime.bm1684.isa import Pads, Shape, Window
from tests.runtime.bm1684.compiler.harness import Bench, assert_close, part, value
from tests.runtime.bm1684.compiler.layers.reference import convolved
from tests.runtime.bm1684.compiler.layers.test_convolution import floats

AROUND = Pads(1, 1, 1, 1)


def made(
    given: Shape, kernel: tuple[int, int], bias: bool = True, **more: Any
) -> tuple[DepthwiseConvolution, np.ndarray, np.ndarray]:
    x, weights = floats(1, *given), floats(2, given.c, *kernel)
    values = floats(3, given.c) if bias else None
    geometry = {name: more[name] for name in ("strides", "pads", "dilation") if name in more}
    wanted = convolved(x, weights[:, None], values, groups=given.c, **geometry)
    shapes = {"output": value("y", *wanted.shape), "inputs": (value("x", *given),)}
    return DepthwiseConvolution(**shapes, weights=weights, bias=values, **more), x, wanted


@pytest.mark.parametrize("channels", [1, 63, 65, 130])
def test_depthwise_convolutions(channels: int) -> None:
    layer, x, wanted = made(Shape(3, channels, 6, 5), (3, 3), pads=AROUND)
    bench = Bench(layer)
    assert_close(bench.run(x), wanted)
    assert bench.cycles == depthwise_cycles(3, channels, 6, 5, 3, 3)
    assert not bench.works[0].scratch


@pytest.mark.parametrize(
    "more",
    [
        {"strides": Window(2, 1), "pads": Pads(2, 1, 0, 1), "bias": False},
        {"dilation": Window(2, 3), "pads": Pads(4, 4, 3, 3)},
        {"strides": Window(3, 2), "relu": True, "ceiling": 1.0},
    ],
)
def test_geometry_and_bounds(more: dict[str, Any]) -> None:
    layer, x, wanted = made(Shape(2, 70, 11, 9), (5, 3), **more)
    assert_close(Bench(layer).run(x), np.clip(wanted, 0, 1) if layer.relu else wanted)


@pytest.mark.parametrize("room", [1 << 18, 700])
def test_a_box_out_of_a_larger_tile_is_copied_first(room: int) -> None:
    layer, x, wanted = made(Shape(3, 130, 9, 8), (3, 3), pads=AROUND, strides=Window(2, 1))
    box = Box(Shape(1, 64, 1, 0), Shape(3, 130, 3, 6))
    output = Box(Shape(1, 0, 1, 0), Shape(3, 130, 3, 6))
    bench = Bench(layer, box, margin=Shape(1, 64, 2, 1), output=output, room=room)
    assert_close(bench.run(x), part(wanted, box))
    assert len(bench.works) == (2 if room == 700 else 1)
    assert all(work.scratch for work in bench.works)
    untold = Bench(layer, box, output=output, told=False)
    assert_close(untold.run(x), part(wanted, box))
    assert untold.works[0].scratch


def test_what_the_chip_cannot_do_is_said() -> None:
    def refusal(size: Shape, kernel: tuple[int, int], **more: Any) -> str:
        return str(made(size, kernel, **more)[0].refusal())

    assert "at most 15" in refusal(Shape(1, 1, 17, 17), (1, 1), strides=Window(16, 1))
    assert "dilation is 17" in refusal(Shape(1, 1, 20, 20), (2, 2), dilation=Window(17, 1))
    assert "pads are" in refusal(Shape(1, 1, 3, 3), (33, 1), pads=Pads(16, 16, 0, 0))
    assert "padding alone" in refusal(Shape(1, 1, 3, 3), (1, 1), pads=AROUND)
    assert made(Shape(1, 1, 3, 3), (3, 3), pads=AROUND)[0].refusal() is None
