"""Reductions, softmax and normalization of rows against doubles: odd sizes, slices, little room."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.norm import Normalize
from graphflow.runtime.bm1684.compiler.layers.reduce import Reduce
from graphflow.runtime.bm1684.compiler.layers.softmax import Softmax
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.isa import Operation, Shape
from tests.runtime.bm1684.compiler.harness import Bench, assert_close, part, value
from tests.runtime.bm1684.compiler.layers.test_convolution import floats

AXES = {"w": (3,), "h": (2,), "hw": (2, 3)}
SHAPES = [(2, 70, 3, 5), (1, 64, 1, 197), (3, 1, 7, 7), (2, 3, 1, 1)]
ROOMS = [1024]
OPERATIONS = {
    Operation.ADD: np.sum,
    Operation.MAXIMUM: np.max,
    Operation.MINIMUM: np.min,
    Operation.MULTIPLY: np.prod,
}


def boxes(shape: tuple[int, ...], over: str) -> list[Box]:
    """All of a value, and slices of it along other axes than those of the rows."""
    made = [Box.whole(Shape(*shape))]
    for axis, size in zip("nh", (shape[0], shape[2])):
        if axis not in over and size > 1:
            made.append(made[0].over(axis, 1, size))
    return made


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("over", AXES)
@pytest.mark.parametrize("room", ROOMS)
def test_reductions(shape: tuple[int, ...], over: str, room: int) -> None:
    x = floats(1, *shape)
    for operation, reference in OPERATIONS.items():
        wanted = reference(x.astype(np.float64), axis=AXES[over], keepdims=True)
        layer = Reduce(
            output=value("y", *wanted.shape), inputs=(value("x", *shape),), over=over, operation=operation
        )
        for box in boxes(wanted.shape, over):
            assert_close(Bench(layer, box, room=room).run(x), part(wanted, box), 1e-6)


def test_means_multiply_once_for_each_row() -> None:
    x = floats(1, 1, 64, 1, 48)
    layer = Reduce(
        output=value("y", 1, 64, 1, 1),
        inputs=(value("x", 1, 64, 1, 48),),
        over="w",
        operation=Operation.ADD,
        factor=1 / 48,
    )
    bench = Bench(layer)
    assert_close(bench.run(x), x.astype(np.float64).mean(3, keepdims=True))
    assert sum(command.operation is Operation.MULTIPLY for command in bench.commands) == 1


def test_long_rows_take_far_less_than_a_pool() -> None:
    layer = Reduce(
        output=value("y", 1, 64, 1, 1),
        inputs=(value("x", 1, 64, 1, 768),),
        over="w",
        operation=Operation.ADD,
    )
    assert Bench(layer).cycles < 768 / 6


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("over", AXES)
@pytest.mark.parametrize("room", ROOMS)
def test_softmax(shape: tuple[int, ...], over: str, room: int) -> None:
    x = 8 * floats(1, *shape)
    x[0, 0, 0, 0] = -np.inf if x[0, 0].size > 1 and shape[2:] != (1, 1) and over != "h" else x[0, 0, 0, 0]
    wide = x.astype(np.float64)
    if (over == "w" and shape[3] == 1) or (over == "h" and shape[2] == 1):
        wide = np.where(np.isfinite(wide), wide, 0)
        x = wide.astype(np.float32)
    shifted = wide - wide.max(AXES[over], keepdims=True)
    total = np.exp(shifted).sum(AXES[over], keepdims=True)
    for logarithm in (False, True):
        wanted = shifted - np.log(total) if logarithm else np.exp(shifted) / total
        layer = Softmax(
            output=value("y", *shape), inputs=(value("x", *shape),), over=over, logarithm=logarithm
        )
        for box in boxes(shape, over):
            made = Bench(layer, box, room=room).run(x)
            np.testing.assert_allclose(made, part(wanted, box), rtol=5e-6, atol=1e-6)


def test_softmax_in_the_place_of_its_input() -> None:
    shape = (1, 64, 1, 50)
    x = floats(1, *shape)
    layer = Softmax(output=value("y", *shape), inputs=(value("x", *shape),))
    assert layer.overwrites() == (0,)
    wanted = Bench(layer).run(x)
    inside = Bench(layer)
    inside.output = inside.tiles[0]
    np.testing.assert_array_equal(inside.run(x), wanted)


def test_softmax_divides_once_for_each_row_and_reads_no_table() -> None:
    layer = Softmax(output=value("y", 1, 64, 1, 208), inputs=(value("x", 1, 64, 1, 208),))
    bench = Bench(layer)
    bench.prepare(floats(1, 1, 64, 1, 208))
    divisions = [one for one in bench.commands if getattr(one, "operation", None) is Operation.DIVIDE]
    assert [one.shape for one in divisions] == [Shape(1, 64, 1, 1)]
    assert not any(isinstance(one, (isa.TableLookup, isa.Series)) for one in bench.commands)
    assert bench.cycles < 26 * 208 / 16


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("over", ["w", "hw"])
@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("centred", [True, False])
def test_normalization(shape: tuple[int, ...], over: str, room: int, centred: bool) -> None:
    x = 3 * floats(1, *shape) + 10
    axes = AXES[over]
    count = int(np.prod([shape[axis] for axis in axes]))
    scale, offset = floats(2, count), floats(3, count)
    wide = x.astype(np.float64)
    rest = wide - wide.mean(axes, keepdims=True) if centred else wide
    normal = rest / np.sqrt((rest**2).mean(axes, keepdims=True) + 1e-5)
    along = [shape[axis] if axis in axes else 1 for axis in range(4)]
    shared = {"output": value("y", *shape), "inputs": (value("x", *shape),), "over": over, "epsilon": 1e-5}
    for vectors in ({}, {"scale": scale}, {"scale": scale, "offset": offset}):
        wanted = normal * scale.reshape(along) if "scale" in vectors else normal
        wanted = wanted + offset.reshape(along) if "offset" in vectors else wanted
        layer = Normalize(**shared, **vectors, centred=centred)
        for box in boxes(shape, over):
            assert_close(Bench(layer, box, room=room).run(x), part(wanted, box), 2e-5)


def test_rooms_change_nothing() -> None:
    shape = (2, 70, 3, 5)
    x = floats(1, *shape)
    layer = Softmax(output=value("y", *shape), inputs=(value("x", *shape),))
    made = [Bench(layer, room=room).run(x) for room in (1024, 1 << 16)]
    np.testing.assert_array_equal(*made)


def test_rows_of_a_part_of_the_channels() -> None:
    shape = (2, 130, 1, 9)
    x = floats(1, *shape)
    layer = Softmax(output=value("y", *shape), inputs=(value("x", *shape),))
    box = Box.whole(Shape(*shape)).over("n", 0, 1).over("c", 64, 130)
    wide = np.exp(x.astype(np.float64))
    wanted = wide / wide.sum(3, keepdims=True)
    assert_close(Bench(layer, box, output=Box.whole(Shape(*shape))).run(x), part(wanted, box), 5e-6)
