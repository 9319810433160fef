"""Products by constant matrices, rows on lanes and features on lanes, against products in doubles."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.runtime.bm1684.compiler.layers.product import RowProduct, cycles_of, feature_product
from graphflow.runtime.bm1684.compiler.tensors import Box
from graphflow.runtime.bm1684.isa import Shape
from tests.runtime.bm1684.compiler.harness import Bench, assert_close, part, value
from tests.runtime.bm1684.compiler.layers.test_convolution import floats


def made(
    items: int, rows: int, inner: int, columns: int, bias: bool = True, relu: bool = False
) -> tuple[RowProduct, np.ndarray, np.ndarray]:
    x, matrix = floats(1, items, rows, 1, inner), floats(2, inner, columns)
    values = floats(3, columns) if bias else None
    layer = RowProduct(
        output=value("y", items, rows, 1, columns),
        inputs=(value("x", *x.shape),),
        matrix=matrix,
        bias=values,
        relu=relu,
    )
    wanted = x.astype(np.float64) @ matrix.astype(np.float64) + (0 if values is None else values)
    return layer, x, np.maximum(wanted, 0) if relu else wanted


@pytest.mark.parametrize("rows", [1, 63, 65, 130])
@pytest.mark.parametrize("inner", [1, 33, 64])
def test_rows_on_lanes(rows: int, inner: int) -> None:
    layer, x, wanted = made(3, rows, inner, 50, relu=rows == 65)
    assert layer.refusal() is None
    bench = Bench(layer, told=False)
    assert_close(bench.run(x), wanted)
    assert len(bench.works) == 1


@pytest.mark.parametrize(
    ("columns", "room", "works"),
    [
        (100, 1 << 18, 1),
        (100, 500, 8),
        (100, 128, 16),
        (2049, 1 << 18, 1),
        (2053, 1 << 18, 2),
        (2053, 9000, 8),
    ],
)
def test_parts_of_the_matrix(columns: int, room: int, works: int) -> None:
    layer, x, wanted = made(1, 130, 200, columns)
    bench = Bench(layer, room=room)
    assert_close(bench.run(x), wanted, 1e-5)
    assert len(bench.works) == works


def test_tiles_of_rows_take_as_long_as_all_rows() -> None:
    layer, _, _ = made(1, 130, 200, 100)
    box = Box.whole(layer.output.shape)
    tiles = layer.tiles(box, 1 << 18)
    assert [tile.shape.c for tile in tiles] == [64, 64, 2]
    parts = [layer.works(tile, 1 << 18) for tile in tiles]
    (whole,) = layer.works(box, 1 << 18)
    assert sum(work.cycles for works in parts for work in works) == whole.cycles
    assert {one for works in parts for work in works for one in work.coefficients} == set(whole.coefficients)
    large, _, _ = made(1, 130, 4096, 256)
    assert len(large.tiles(Box.whole(large.output.shape), 1 << 18)) == 1  # the matrix would have to stay


def test_no_bias_takes_one_command() -> None:
    layer, x, wanted = made(1, 70, 40, 33, bias=False)
    bench = Bench(layer)
    assert_close(bench.run(x), wanted)
    assert len(bench.works[0].build.args) == 1 and len(bench.commands) == 2
    assert bench.cycles == cycles_of(70, 40, 33)["rows"]


def test_some_columns_and_items_into_a_larger_tile() -> None:
    layer, x, wanted = made(3, 130, 20, 100)
    box = Box(Shape(1, 0, 0, 32), Shape(3, 130, 1, 70))
    bench = Bench(layer, box, output=Box(Shape(1, 0, 0, 0), Shape(3, 130, 1, 100)), margin=Shape(1, 0, 0, 0))
    assert_close(bench.run(x), part(wanted, box))
    assert_close(Bench(layer, box).run(x), part(wanted, box))


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 5, 7)])
def test_features_on_lanes(size: tuple[int, int, int]) -> None:
    x, matrix, bias = floats(1, size[0], 66, *size[1:]), floats(2, 66, 130), floats(3, 130)
    layer = feature_product(
        value("y", size[0], 130, *size[1:]), value("x", *x.shape), matrix, bias, relu=True
    )
    wanted = np.einsum("nihw,io->nohw", x.astype(np.float64), matrix.astype(np.float64)) + bias[:, None, None]
    bench = Bench(layer)
    assert_close(bench.run(x), np.maximum(wanted, 0))
    rows = size[1] * size[2]
    assert bench.cycles >= size[0] * cycles_of(rows, 66, 130, bias=True)["features"]


def test_what_the_chip_cannot_do_is_said() -> None:
    layer, _, _ = made(1, 4033, 1, 1)
    assert "4032 rows" in str(layer.refusal())
    bad = RowProduct(output=value("y", 1, 2, 2, 2), inputs=(value("x", 1, 2, 2, 2),), matrix=floats(1, 2, 2))
    assert "no h" in str(bad.refusal())
