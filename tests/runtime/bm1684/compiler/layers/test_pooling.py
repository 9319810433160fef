"""Pools against maxima and means in doubles: pads that count or not, rounded-up sizes, global windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.pooling import AveragePool, MaximumPool
from graphflow.runtime.bm1684.compiler.layers.window import NO_PADS
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.isa import Pads, Shape, Window
from tests.runtime.bm1684.compiler.harness import Bench, assert_close, part, value
from tests.runtime.bm1684.compiler.layers.reference import largest, mean
from tests.runtime.bm1684.compiler.layers.test_convolution import floats

TWO, THREE, AROUND = Window(2, 2), Window(3, 3), Pads(1, 1, 1, 1)


def maximum(given: Shape, kernel: Window, **more: Any) -> tuple[MaximumPool, np.ndarray, np.ndarray]:
    x = floats(1, *given)
    wanted = largest(x, kernel, more.get("strides", Window()), more.get("pads", Pads()))
    shapes = {"output": value("y", *wanted.shape), "inputs": (value("x", *given),)}
    return MaximumPool(**shapes, kernel=kernel, **more), x, wanted


def average(
    given: Shape, kernel: Window, counted: Pads = NO_PADS, **more: Any
) -> tuple[AveragePool, np.ndarray, np.ndarray]:
    x = floats(1, *given)
    wanted = mean(x, kernel, more.get("strides", Window()), more.get("pads", Pads()), counted)
    shapes = {"output": value("y", *wanted.shape), "inputs": (value("x", *given),)}
    return AveragePool(**shapes, kernel=kernel, counted=counted, **more), x, wanted


@pytest.mark.parametrize("channels", [1, 65, 130])
@pytest.mark.parametrize("pads", [Pads(), AROUND, Pads(2, 1, 0, 2)])
def test_maxima(channels: int, pads: Pads) -> None:
    layer, x, wanted = maximum(Shape(2, channels, 9, 8), THREE, strides=TWO, pads=pads)
    x[0, 0, 0, 0], x[0, 0, 5, 5] = -np.inf, np.inf
    wanted = largest(x, THREE, TWO, pads)
    np.testing.assert_array_equal(Bench(layer).run(x), wanted)


def test_a_window_of_negatives_is_not_raised_by_its_padding() -> None:
    layer, _, _ = maximum(Shape(1, 2, 3, 3), THREE, pads=AROUND)
    made = Bench(layer).run(np.full((1, 2, 3, 3), -5, np.float32))
    assert (made == -5).all()


@pytest.mark.parametrize("make", [maximum, average])
def test_global_pools(make: Any) -> None:
    layer, x, wanted = make(Shape(3, 130, 7, 7), Window(7, 7))
    assert_close(Bench(layer).run(x), wanted)
    assert layer.output.shape == Shape(3, 130, 1, 1)


@pytest.mark.parametrize(
    ("pads", "counted", "commands"),
    [
        (Pads(), Pads(), 1),
        (AROUND, AROUND, 1),
        (AROUND, Pads(), 5),
        (Pads(2, 2, 0, 1), Pads(), 6),
        (Pads(1, 2, 1, 2), AROUND, 3),
    ],
)
def test_means(pads: Pads, counted: Pads, commands: int) -> None:
    layer, x, wanted = average(Shape(2, 70, 8, 9), THREE, counted, pads=pads)
    bench = Bench(layer)
    assert_close(bench.run(x), wanted)
    assert len(bench.commands) == commands


def test_a_window_larger_than_the_image() -> None:
    layer, x, wanted = average(Shape(1, 3, 2, 2), Window(5, 5), pads=Pads(2, 2, 2, 2))
    assert_close(Bench(layer).run(x), wanted)


def test_slices_of_means_know_which_borders_they_have() -> None:
    layer, x, wanted = average(Shape(2, 70, 9, 8), Window(5, 3), pads=Pads(2, 2, 1, 1), strides=Window(2, 1))
    for first in range(layer.output.shape.h):
        box = Box.whole(layer.output.shape).rows(first, first + 1)
        assert_close(Bench(layer, box, margin=Shape(0, 0, 1, 0)).run(x), part(wanted, box))


def test_sums_and_bounds() -> None:
    layer, x, wanted = average(Shape(1, 5, 6, 6), THREE, AROUND, pads=AROUND, total=True, relu=True)
    bench = Bench(layer)
    assert_close(bench.run(x), np.maximum(wanted * 9, 0))
    assert [type(command) for command in bench.commands] == [isa.AveragePool, isa.Arithmetic]


def test_what_the_chip_cannot_do_is_said() -> None:
    assert "moves on by 16" in str(maximum(Shape(1, 1, 17, 2), TWO, strides=Window(16, 1))[0].refusal())
    assert maximum(Shape(1, 1, 9, 9), TWO, pads=AROUND)[0].refusal() is None
