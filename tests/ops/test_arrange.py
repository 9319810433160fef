"""Joining, cutting, padding, rotating and repeating, with symbolic sizes and bad arguments."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, GraphFlowError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.interpret import evaluate
from graphflow.ops.arrange import concat, repeat, roll, split, tile
from graphflow.ops.declare import constant, placeholder
from graphflow.ops.padding import pad
from tests.ops.symbolic import run

N, M = Dim("n"), Dim("m")


def _random(rng, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def test_concat_of_symbolic_sizes(rng) -> None:
    x, y = placeholder("x", (N, 2)), placeholder("y", (M, 2))
    z = concat([x, y, x])
    assert z.shape == (M + 2 * N, 2)
    weights = placeholder("weights", z.shape)
    grads = gradients([z], [x, y], [weights])
    fed = {x: _random(rng, 3, 2), y: _random(rng, 4, 2), weights: _random(rng, 10, 2)}
    value, of_x, of_y = run([z, *grads], fed, n=3, m=4)
    np.testing.assert_array_equal(value, np.concatenate([fed[x], fed[y], fed[x]]))
    np.testing.assert_allclose(of_x, fed[weights][:3] + fed[weights][7:])
    np.testing.assert_array_equal(of_y, fed[weights][3:7])


def test_concat_promotes_and_checks() -> None:
    assert concat([constant([1]), constant([1.5])]).dtype.name == "float64"
    assert concat([constant([1.0]), [2.0]]).shape == (2,)
    for bad in ([], [constant(1.0)], [constant([1.0]), constant([[1.0]])]):
        with pytest.raises(ShapeError):
            concat(bad)
    with pytest.raises(ShapeError, match=r"\[2, 3\] and \[3, 3\]"):
        concat([placeholder("a", (2, 3)), placeholder("b", (3, 3))], axis=1)
    with pytest.raises(AttributeValueError, match="axis 2"):
        concat([placeholder("c", (2, 3))], axis=2)


def test_split_always_gives_a_list(rng) -> None:
    x = placeholder("x", (N, 6))
    assert [piece.shape for piece in split(x, 1, axis=1)] == [(N, 6)]
    assert [piece.shape for piece in split(x, 2)] == [(N // 2, 6)] * 2
    pieces = split(x, [2, 0, 4], axis=-1)
    grads = gradients([pieces[0], pieces[2] * 2.0], [x])  # nothing reads the second piece
    first, gradient = run([pieces[0], *grads], {x: _random(rng, 3, 6)}, n=3)
    assert first.shape == (3, 2)
    np.testing.assert_array_equal(gradient, np.repeat([[1, 1, 2, 2, 2, 2]], 3, axis=0))


@pytest.mark.parametrize("sections", [4, [1, 2], [7, -1], [], 0, -2, 2.5])
def test_split_refuses(sections) -> None:
    with pytest.raises(GraphFlowError):
        split(placeholder("x", (6, 2)), sections)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_pad_of_symbolic_sizes(mode: str, rng) -> None:
    x = placeholder("x", (N, 4))
    pads = ((2, 1), (0, 3))
    y = pad(x, pads, mode=mode)
    assert y.shape == (N + 3, 7)
    (symbolic,) = gradients([y], [x], [np.float32(2.0) * broadcast(y)])
    fixed = placeholder("fixed", (5, 4))
    (static,) = gradients([pad(fixed, pads, mode=mode)], [fixed], [np.full((8, 7), 2.0, np.float32)])
    data = _random(rng, 5, 4)
    value, gradient = run([y, symbolic], {x: data}, n=5)
    np.testing.assert_array_equal(value, np.pad(data, pads, mode=mode))
    np.testing.assert_array_equal(gradient, evaluate([static], {fixed: data})[0])


def broadcast(tensor):
    """Ones of the shape of a tensor, which may be symbolic."""
    from graphflow.ops.creation import ones_like

    return ones_like(tensor)


def test_pad_takes_symbolic_amounts() -> None:
    x = placeholder("x", (N,))
    y = pad(x, ((0, M - N),), value=-1.0)
    (value,) = run([y], {x: np.ones(2, np.float32)}, n=2, m=5)
    assert y.shape == (M,)
    np.testing.assert_array_equal(value, [1, 1, -1, -1, -1])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"pads": ((1, 1),)}, AttributeValueError),
        ({"pads": ((1, 1), (1,))}, AttributeValueError),
        ({"pads": -2}, ShapeError),
        ({"pads": 1, "mode": "mirror"}, AttributeValueError),
        ({"pads": ((1, 1), (1, 1)), "axes": (0, -2)}, AttributeValueError),
        ({"pads": 1, "axes": 2}, AttributeValueError),
        ({"pads": 1, "value": constant([1, 2])}, ShapeError),
        ({"pads": 3, "mode": "reflect"}, ShapeError),
        ({"pads": 1, "value": "x"}, AttributeValueError),
        ({"pads": 1, "value": 0.5}, AttributeValueError),
        ({"pads": 1, "value": float("nan")}, AttributeValueError),
        ({"pads": 1, "value": 300}, AttributeValueError),
    ],
)
def test_pad_refuses(arguments, error) -> None:
    with pytest.raises(error):
        pad(placeholder("x", (3, 4), "int8"), **arguments)


@pytest.mark.parametrize(
    "pads", [((1, 2), (0, 3), (7, 9)), ((0, 0), (5, 1), (4, 0)), ((3, 0), (0, 0), (1, 1))]
)
def test_pad_wraps_around_any_number_of_times(pads, rng) -> None:
    data = rng.normal(size=(2, 3, 4)).astype(np.float32)
    x = placeholder("x", data.shape)
    y = pad(x, pads, mode="wrap")
    grown = rng.normal(size=y.shape).astype(np.float32)
    value, slope = run([y, *gradients([y], [x], [constant(grown)])], {x: data})
    np.testing.assert_array_equal(value, np.pad(data, pads, mode="wrap"))
    expected = np.zeros_like(data)
    np.add.at(
        expected,
        np.unravel_index(np.pad(np.arange(24).reshape(2, 3, 4), pads, mode="wrap"), (2, 3, 4)),
        grown,
    )
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-6)


def test_pad_wraps_axes_of_symbolic_size(rng) -> None:
    data = rng.normal(size=(3, 2)).astype(np.float32)
    x = placeholder("x", (N, 2))
    y = pad(x, ((4, 7), (1, 0)), mode="wrap")
    assert y.shape == (N + 11, 3)
    (value,) = run([y], {x: data}, n=3)
    np.testing.assert_array_equal(value, np.pad(data, ((4, 7), (1, 0)), mode="wrap"))


def test_pad_takes_away_before_it_adds() -> None:
    data = np.arange(12.0).reshape(3, 4)
    for mode in ("constant", "edge", "reflect", "wrap"):
        (value,) = run([pad(data, ((-1, 1), (2, -1)), mode=mode)], {})
        np.testing.assert_array_equal(value, np.pad(data[1:, :3], ((0, 1), (2, 0)), mode=mode))
    assert pad(placeholder("x", (N, 5)), (-1, -2), axes=1).shape == (N, 2)


def test_pad_with_the_value_of_a_tensor() -> None:
    value, x = placeholder("value", ()), placeholder("x", (2,))
    y = pad(x, (1, 2), value=value)
    made = run([y, *gradients([y], [x, value])], {x: np.ones(2, np.float32), value: np.float32(7)})
    for got, expected in zip(made, ([7, 1, 1, 7, 7], [1, 1], 3)):
        np.testing.assert_array_equal(got, np.array(expected, np.float32))


def test_pad_value_is_stored_in_the_dtype() -> None:
    x = placeholder("x", (1,))
    assert pad(x, 1, value=1).node.attrs == pad(x, 1, value=1.0).node.attrs
    assert pad(x, 1, value=-0.0).node.attrs != pad(x, 1, value=0.0).node.attrs


def test_roll_adds_up_shifts_of_one_axis() -> None:
    x = placeholder("x", (4, N))
    assert roll(x, (1, 2), (1, -1)).node.attrs == roll(x, 3, 1).node.attrs
    for shift, axis in [((1, 2), 0), (1.5, 0), ((1, 2), None), (1, 2)]:
        with pytest.raises(AttributeValueError):
            roll(x, shift, axis)
    (value,) = run([roll(x, -7, 1)], {x: np.tile(np.arange(5, dtype=np.float32), (4, 1))}, n=5)
    np.testing.assert_array_equal(value[0], [2, 3, 4, 0, 1])


def test_tile_and_repeat_of_symbolic_sizes(rng) -> None:
    x = placeholder("x", (N, 2))
    tiled, repeated = tile(x, (2, M)), repeat(x, M, axis=0)
    assert tiled.shape == (2 * N, 2 * M) and repeated.shape == (M * N, 2)
    grads = gradients([tiled], [x]) + gradients([repeated], [x])
    data = _random(rng, 3, 2)
    values = run(
        [tiled, repeated, *grads], {x: data, placeholder("y", (M,)): np.zeros(4, np.float32)}, n=3, m=4
    )
    np.testing.assert_array_equal(values[0], np.tile(data, (2, 4)))
    np.testing.assert_array_equal(values[1], np.repeat(data, 4, axis=0))
    np.testing.assert_array_equal(values[2], np.full((3, 2), 8))
    np.testing.assert_array_equal(values[3], np.full((3, 2), 4))
    for bad in (-1, (2, -3)):
        with pytest.raises(AttributeValueError):
            tile(x, bad)
    with pytest.raises(AttributeValueError):
        repeat(x, -1)
