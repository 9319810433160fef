"""Flattening, moving, stacking and flipping axes, and grids, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.interpret import evaluate
from graphflow.ops.declare import constant, placeholder
from graphflow.ops.rearrange import (
    atleast_1d,
    atleast_2d,
    flatten,
    flip,
    meshgrid,
    moveaxis,
    stack,
    swapaxes,
    unstack,
)
from tests.ops.symbolic import run

N = Dim("n")
CUBE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def test_flatten_keeps_the_first_axis() -> None:
    assert flatten(placeholder("x", (N, 1, 8, 8))).shape == (N, 64)
    assert flatten(placeholder("y", ("a", "b", "c"))).shape == (Dim("a"), Dim("b") * Dim("c"))
    assert flatten(placeholder("z", (5,))).shape == (5, 1)
    assert flatten(placeholder("e", (0, 3))).shape == (0, 3)
    with pytest.raises(ShapeError) as caught:
        flatten(constant(1.0))
    assert "test_rearrange.py" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "destination"), [(0, -1), (-1, 0), ((0, 1), (-1, 0)), ((2, 0), (0, 1)), ((), ()), (1, 1)]
)
def test_moveaxis(source, destination) -> None:
    (value,) = evaluate([moveaxis(CUBE, source, destination)])
    np.testing.assert_array_equal(value, np.moveaxis(CUBE, source, destination))


def test_moveaxis_refuses() -> None:
    for source, destination in [(3, 0), ((0, 0), (1, 2)), ((0, 1), 0), (1.5, 0)]:
        with pytest.raises(AttributeValueError):
            moveaxis(CUBE, source, destination)


def test_swapaxes_and_at_least() -> None:
    values = evaluate([swapaxes(CUBE, 0, -1), atleast_1d(2.0), atleast_2d([1.0, 2.0]), atleast_2d(CUBE)])
    for value, expected in zip(values, [np.swapaxes(CUBE, 0, -1), [2.0], [[1.0, 2.0]], CUBE]):
        np.testing.assert_array_equal(value, expected)


def test_stack_and_unstack_are_inverse() -> None:
    x = placeholder("x", (N, 3))
    for axis in (0, 1, -1):
        stacked = stack([x, x * 2.0], axis)
        pieces = unstack(stacked, axis)
        whole, second = run([stacked, pieces[1]], {x: CUBE[0, :, :3]}, n=3)
        np.testing.assert_array_equal(whole, np.stack([CUBE[0, :, :3], 2 * CUBE[0, :, :3]], axis))
        np.testing.assert_array_equal(second, 2 * CUBE[0, :, :3])
    (scalars,) = evaluate([stack([1.0, constant(2.0)])])
    np.testing.assert_array_equal(scalars, [1.0, 2.0])


def test_stack_and_unstack_refuse() -> None:
    x = placeholder("x", (N, 3))
    with pytest.raises(ShapeError, match="symbolic size n"):
        unstack(x)
    with pytest.raises(ShapeError):
        stack([])
    with pytest.raises(ShapeError):
        stack(x)
    with pytest.raises(ShapeError):
        stack([constant([1.0]), constant([1.0, 2.0])])
    assert unstack(constant(np.zeros((0, 2)))) == []


@pytest.mark.parametrize("axis", [None, 0, (0, 2), -1, ()])
def test_flip(axis) -> None:
    (value,) = evaluate([flip(CUBE, axis)])
    np.testing.assert_array_equal(value, np.flip(CUBE, axis))


@pytest.mark.parametrize("size", [0, 1, 4])
def test_flip_of_a_symbolic_axis(size: int) -> None:
    x = placeholder("x", (N,))
    data = np.arange(size, dtype=np.float32)
    np.testing.assert_array_equal(run([flip(x)], {x: data}, n=size)[0], data[::-1])


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("sizes", [(3,), (3, 2), (4, 2, 3)])
def test_meshgrid(indexing: str, sizes) -> None:
    vectors = [np.arange(size, dtype=np.int32) + 10 * size for size in sizes]
    for value, expected in zip(
        evaluate(meshgrid(*vectors, indexing=indexing)), np.meshgrid(*vectors, indexing=indexing), strict=True
    ):
        np.testing.assert_array_equal(value, expected)


def test_meshgrid_refuses() -> None:
    assert meshgrid() == []
    with pytest.raises(AttributeValueError):
        meshgrid([1.0], indexing="yx")
    with pytest.raises(ShapeError, match="vectors"):
        meshgrid(CUBE)
