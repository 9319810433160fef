"""Resampling: on integers, in order, with symbols, and what it refuses; `gf.nn.resize` is tested in nn."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from graphflow.ops.resize import resample, resample_gradient
from tests.ops.symbolic import run

N = gf.Dim("n")


def test_integers_are_rounded_to_even_and_clamped() -> None:
    x = gf.constant(np.array([[0, 255, 3, 4]], np.uint8))
    (middle,) = evaluate([resample(x, 1, 3, mode="linear", coordinates="align_corners")], {})
    assert middle.dtype == np.uint8 and middle.tolist() == [[0, 129, 4]]
    (cubic,) = evaluate([resample(x, 1, 8, mode="cubic")], {})
    assert cubic.tolist() == [[0, 67, 224, 225, 69, 0, 0, 4]]
    (halves,) = evaluate([resample(gf.constant([[0, 1, 2, 3]]), 1, 2, mode="linear")], {})
    assert halves.tolist() == [[0, 2]]


def test_the_order_of_the_axes_does_not_matter() -> None:
    x = gf.placeholder("x", (2, 3, 4, 5))
    one = resample(x, (2, 3), (8, 9), scales=(2.0, None), mode="linear")
    other = resample(x, (-1, -2), (9, 8), scales=(None, 2.0), mode="linear")
    assert one.node.attrs == other.node.attrs and one.node.attrs.axes == (2, 3)


def test_all_sizes_may_be_symbolic() -> None:
    m = gf.Dim("m")
    x = gf.placeholder("x", (N, "h"))
    y = resample(x, 1, m, mode="linear")
    (slope,) = gf.gradients([y], [x])
    data = np.arange(6, dtype=np.float32).reshape(2, 3)
    value, gradient = run([y, slope], {x: data}, n=2, h=3, m=6)
    assert value[0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2]
    assert gradient.tolist() == [[2, 2, 2]] * 2


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_an_axis_that_turns_out_empty(backend: str) -> None:
    x = gf.placeholder("x", (N,))
    y = resample(x, 0, 4)
    with gf.Session(backend=backend) as session, pytest.raises(ShapeError, match="axis 0, which has size 0"):
        session.run(y, {x: np.zeros(0, np.float32)})


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"axes": (1, 1), "sizes": (2, 2)}, "an axis twice"),
        ({"axes": 1, "sizes": (2, 2)}, "2 sizes for 1 axes"),
        ({"axes": 1, "sizes": None}, "the sizes of all axes"),
        ({"axes": 1, "sizes": -1}, "an axis of size -1"),
        ({"axes": 5, "sizes": 1}, "axis 5"),
        ({"axes": 1, "sizes": 2, "scales": 0.0}, "positive and finite"),
        ({"axes": 1, "sizes": 2, "scales": float("inf")}, "positive and finite"),
        ({"axes": 1, "sizes": 2, "mode": "bilinear"}, "mode is one of 'nearest', 'linear', 'cubic'"),
        ({"axes": 1, "sizes": 2, "coordinates": "pixel"}, "coordinates is one of"),
        ({"axes": 1, "sizes": 2, "nearest_mode": "up"}, "nearest_mode is one of"),
        ({"axes": 1, "sizes": 2, "coordinates": "tf_crop_and_resize"}, "take a region for each axis"),
        ({"axes": 1, "sizes": 2, "regions": ((0, 1),)}, "take a region for each axis"),
        ({"axes": 1, "sizes": 2, "antialias": True}, "antialias needs the mode"),
        ({"axes": 1, "sizes": 2, "cubic_coeff_a": "half"}, "cubic_coeff_a"),
    ],
)
def test_refusals(attrs: dict, message: str) -> None:
    with pytest.raises(AttributeValueError, match=message):
        resample(gf.placeholder("x", (2, 3)), **attrs)


def test_dtypes_and_shapes_that_do_not_fit() -> None:
    with pytest.raises(DTypeError, match="linear interpolation does not take bool"):
        resample(gf.constant([True, False]), 0, 4, mode="linear")
    with pytest.raises(ShapeError, match="axis 0, which has size 0"):
        resample(gf.zeros((0, 2)), 0, 4)
    with pytest.raises(ShapeError, match="g has not the resampled shape"):
        resample_gradient(gf.zeros((3,)), (8,), 0, 4)
    with pytest.raises(DTypeError, match="does not take int32"):
        resample_gradient(gf.constant([1, 2, 3]), (8,), 0, 3)
