"""Products of a few rows with the command for matrices."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.matrix import TinyProduct, matrix_width
from graphflow.runtime.bm1684.compiler.layers.product import cycles_of
from tests.runtime.bm1684.compiler.harness import Bench, assert_close, value
from tests.runtime.bm1684.compiler.layers.test_convolution import floats


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(
    ("slices", "width", "columns", "room", "works"),
    [
        (130, 1, 1000, 1 << 18, 1),
        (130, 1, 1000, 8000, 3),
        (10, 7, 4500, 30_000, 2),
        (10, 7, 13, 1 << 18, 1),
        (1, 1, 1, 1 << 18, 1),
        (65, 2, 6000, 40_000, 2),
    ],
)
def test_tiny_products(rows: int, slices: int, width: int, columns: int, room: int, works: int) -> None:
    inner, wide = slices * width, matrix_width(columns)
    x, matrix, bias = floats(1, rows, slices, 1, width), floats(2, inner, columns), floats(3, columns)
    layer = TinyProduct(
        output=value("y", rows, columns // wide, 1, wide),
        inputs=(value("x", *x.shape),),
        matrix=matrix,
        bias=bias,
        relu=True,
    )
    assert layer.refusal() is None
    wanted = np.maximum(x.reshape(rows, inner).astype(np.float64) @ matrix.astype(np.float64) + bias, 0)
    bench = Bench(layer, room=room)
    assert_close(bench.run(x), wanted.reshape(layer.output.shape))
    assert len(bench.works) == works


def test_one_row_is_faster_than_as_a_convolution() -> None:
    took = cycles_of(1, 512, 1000)
    assert 3 * took["tiny"] < min(took["features"], took["rows"])
    x, matrix = floats(1, 1, 512, 1, 1), floats(2, 512, 1000)
    layer = TinyProduct(output=value("y", 1, 50, 1, 20), inputs=(value("x", *x.shape),), matrix=matrix)
    bench = Bench(layer)
    assert_close(bench.run(x).reshape(1, 1000), x.reshape(1, 512).astype(np.float64) @ matrix)
    assert bench.cycles == took["tiny"]
    assert isinstance(bench.commands[-1], isa.MatrixMultiply)


def test_what_the_chip_cannot_do_is_said() -> None:
    layer = TinyProduct(
        output=value("y", 1, 4, 1, 1), inputs=(value("x", 1, 3, 1, 1),), matrix=floats(1, 2, 4)
    )
    assert "reshape" in str(layer.refusal())
    many = TinyProduct(
        output=value("y", 1, 5000, 1, 1), inputs=(value("x", 1, 2, 1, 1),), matrix=floats(1, 2, 5000)
    )
    assert "wider" in str(many.refusal())
