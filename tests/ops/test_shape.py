"""Shapes: symbolic sizes, canonical attributes, and what is refused, with the numbers in the message."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.interpret import evaluate
from graphflow.ops.declare import placeholder
from graphflow.ops.shape import (
    broadcast_to,
    expand_dims,
    iota,
    permute_dims,
    reshape,
    shape_of,
    squeeze,
)
from tests.ops.symbolic import run

N = Dim("n")


def test_reshape_works_out_the_open_size() -> None:
    x = placeholder("x", (N, 4, 3))
    assert reshape(x, (-1, 6)).shape == (2 * N, 6)
    assert reshape(x, (N, -1)).shape == (N, 12)
    assert reshape(x, -1).shape == (12 * N,)
    assert reshape(x, ("n", 12)).shape == (N, 12)
    assert reshape(x, [np.int64(3), -1, 2]).shape == (3, 2 * N, 2)
    assert reshape(x, (N, -1)).node.attrs == reshape(x, (N, 12)).node.attrs


def test_reshape_notes_what_it_has_to_assume() -> None:
    x = placeholder("x", (N, 3))
    y = reshape(x, (-1, 6))
    assert x.graph.constraints, "n * 3 has to be divisible by 6"
    (value,) = run([y], {x: np.arange(12, dtype=np.float32).reshape(4, 3)}, n=4)
    assert value.shape == (2, 6)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 2), r"\[4, 3\] of 12 elements into \[5, 2\] of 10"),
        ((-1, -1), "2 sizes open"),
        ((-1, 0), "another size is 0"),
        ((-2, -6), "negative"),
        ((5, -1), "into"),
    ],
)
def test_reshape_refuses(shape, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        reshape(placeholder("x", (4, 3)), shape)


def test_reshape_never_equal_symbolic_sizes_are_refused() -> None:
    with pytest.raises(ShapeError):
        reshape(placeholder("x", (Dim("m", min=1), 2)), (0,))


def test_permutations_are_checked() -> None:
    x = placeholder("x", (2, 3, 4))
    assert permute_dims(x).node.attrs == permute_dims(x, (-1, 1, 0)).node.attrs
    for axes in [(0, 1), (0, 0, 1), (0, 1, 3), 1]:
        with pytest.raises(AttributeValueError):
            permute_dims(x, axes)


def test_gradient_of_a_cyclic_permutation(rng) -> None:
    """Permutations that are not their own inverse show a wrong one."""
    x = placeholder("x", (2, 3, 4))
    weights = rng.normal(size=(3, 4, 2)).astype(np.float32)
    (g,) = gradients([permute_dims(x, (1, 2, 0))], [x], [weights])
    (value,) = evaluate([g], {x: np.zeros((2, 3, 4), np.float32)})
    np.testing.assert_array_equal(value, weights.transpose(2, 0, 1))


def test_expand_dims_counts_axes_in_the_result() -> None:
    x = placeholder("x", (N, 3))
    assert expand_dims(x, (0, -1)).shape == (1, N, 3, 1)
    assert expand_dims(x, -2).shape == (N, 1, 3)
    for axis in [3, -4, (0, 0), "first"]:
        with pytest.raises(AttributeValueError):
            expand_dims(x, axis)


def test_squeeze_drops_only_ones() -> None:
    x = placeholder("x", (1, N, 1, 3))
    assert squeeze(x).shape == (N, 3)
    assert squeeze(x, (0, -2)).shape == (N, 3)
    with pytest.raises(ShapeError, match=r"its size is 3"):
        squeeze(x, 3)
    assert squeeze(x, 1).shape == (1, 1, 3)
    assert (N, 1) in [pair[:2] for pair in x.graph.constraints]


def test_broadcast_to_takes_symbols() -> None:
    x = placeholder("x", (1, 3))
    y = broadcast_to(x, ("n", N, 3))
    assert y.shape == (N, N, 3)
    (g,) = gradients([y], [x])
    value, gradient = run([y, g], {x: np.array([[1, 2, 3]], np.float32)}, n=4)
    np.testing.assert_array_equal(value, np.broadcast_to([1, 2, 3], (4, 4, 3)))
    np.testing.assert_array_equal(gradient, [[16, 16, 16]])


@pytest.mark.parametrize("shape", [(3,), (2, 4), (3, 2), ()])
def test_broadcast_to_refuses(shape) -> None:
    with pytest.raises(ShapeError, match="stretch"):
        broadcast_to(placeholder("x", (2, 3)), shape)


def test_shape_of_gives_the_real_sizes() -> None:
    x = placeholder("x", (N, 3, "m"))
    (value,) = run([shape_of(x)], {x: np.zeros((5, 3, 0), np.float32)}, n=5, m=0)
    assert value.tolist() == [5, 3, 0] and value.dtype == np.int64
    sizes = gf.astype(shape_of(x), gf.float32)
    assert gradients([sizes], [x], unconnected="none") == [None]


def test_iota_takes_symbols() -> None:
    x = placeholder("x", (N,))
    (value,) = run([iota(size=N + 1, dtype="int32")], {x: np.zeros(3, np.float32)}, n=3)
    assert value.tolist() == [0, 1, 2, 3] and value.dtype == np.int32
    with pytest.raises(ShapeError):
        iota(size=-1)
    with pytest.raises(AttributeValueError):
        iota(size=2, dtype="bool")
