"""Resizing against ONNX's reference over its attributes, scipy and JAX; cropping, padding, refusals."""

from __future__ import annotations

from itertools import product
from typing import Any

import jax
import numpy as np
import pytest
from jax.scipy.ndimage import map_coordinates

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from graphflow.nn.resize import scaled
from graphflow.ops.taps import COORDINATES, NEAREST_MODES
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_run

SIZES = [(5, 9), (2, 3), (1, 8), (4, 6)]
PLAIN = [name for name in COORDINATES if name != "tf_crop_and_resize"]


def _value(tensor: gf.Tensor) -> np.ndarray:
    return evaluate([tensor], {})[0]


def _reference(x: np.ndarray, roi: Any, scales: Any, sizes: Any, coordinates: str, **options: Any) -> Any:
    given = [
        np.zeros(0, np.float32) if roi is None else np.array(roi, np.float32),
        None if scales is None else np.array(scales, np.float32),
        None if sizes is None else np.array(sizes),
    ]
    return onnx_run("Resize", x, *given, coordinate_transformation_mode=coordinates, **options)


@pytest.mark.parametrize("coordinates", PLAIN)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_interpolation_agrees_with_onnx(rng: np.random.Generator, mode: str, coordinates: str) -> None:
    x = rng.normal(size=(1, 2, 4, 6)).astype(np.float32)
    for sizes, exclude, antialias in product(SIZES, (0, 1), (0, 1)):
        if coordinates == "pytorch_half_pixel" and 1 in sizes and (antialias or mode == "cubic"):
            continue  # for a size of 1 the reference reads at -0.5, where the standard says 0
        options: dict[str, Any] = {"mode": mode, "exclude_outside": exclude, "antialias": antialias}
        found = gf.nn.resize(
            x,
            sizes,
            mode=mode,
            coordinates=coordinates,
            exclude_outside=bool(exclude),
            antialias=bool(antialias),
        )
        expected = _reference(x, None, None, (1, 2, *sizes), coordinates, **options)
        np.testing.assert_allclose(
            _value(found), expected, rtol=1e-5, atol=5e-6, err_msg=f"{sizes} {options}"
        )


@pytest.mark.parametrize("coordinates", PLAIN)
@pytest.mark.parametrize("rounding", NEAREST_MODES)
def test_nearest_agrees_with_onnx(rng: np.random.Generator, coordinates: str, rounding: str) -> None:
    x = rng.integers(0, 99, (1, 2, 4, 6)).astype(np.int32)
    for sizes in [*SIZES, (8, 12), (2, 2)]:
        found = gf.nn.resize(x, sizes, coordinates=coordinates, nearest_mode=rounding)
        expected = _reference(x, None, None, (1, 2, *sizes), coordinates, nearest_mode=rounding)
        np.testing.assert_array_equal(_value(found), expected, err_msg=str(sizes))


@pytest.mark.parametrize("coordinates", PLAIN)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_scales_agree_with_onnx(rng: np.random.Generator, mode: str, coordinates: str) -> None:
    x = rng.normal(size=(1, 1, 5, 7)).astype(np.float32)
    for pair in ((0.6, 0.6), (2.0, 1.7), (1.0, 2.3), (0.8, 3.0)):
        scales = [float(np.float32(one)) for one in pair]  # ONNX has them so
        found = gf.nn.resize(x, scales=scales, mode=mode, coordinates=coordinates)
        expected = _reference(x, None, (1, 1, *scales), None, coordinates, mode=mode)
        np.testing.assert_allclose(_value(found), expected, rtol=1e-5, atol=5e-6, err_msg=f"{scales}")


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(
    "region", [((0.0, 1.0), (0.0, 1.0)), ((0.4, 0.6), (0.9, 0.1)), ((-0.3, 1.2), (0.1, 0.5))]
)
def test_regions_agree_with_onnx(rng: np.random.Generator, mode: str, region: Any) -> None:
    x = rng.normal(size=(1, 1, 5, 7)).astype(np.float32)
    region = [tuple(float(np.float32(bound)) for bound in pair) for pair in region]
    for sizes in SIZES:
        found = gf.nn.resize(
            x, sizes, mode=mode, coordinates="tf_crop_and_resize", regions=region, extrapolation_value=10.0
        )
        roi = [0, 0, *(pair[0] for pair in region), 1, 1, *(pair[1] for pair in region)]
        expected = _reference(
            x, roi, None, (1, 1, *sizes), "tf_crop_and_resize", mode=mode, extrapolation_value=10.0
        )
        np.testing.assert_allclose(_value(found), expected, rtol=1e-4, atol=1e-5, err_msg=f"{sizes}")


def test_a_size_of_one_reads_at_zero_as_the_standard_says(rng: np.random.Generator) -> None:
    x = rng.normal(size=(1, 1, 6)).astype(np.float32)
    for mode in ("nearest", "linear", "cubic"):
        found = gf.nn.resize(x, 1, mode=mode, coordinates="pytorch_half_pixel")
        np.testing.assert_allclose(_value(found)[0, 0], x[0, 0, :1], rtol=1e-6)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_the_aspect_ratio_is_kept_as_onnx_keeps_it(rng: np.random.Generator, policy: str) -> None:
    x = rng.normal(size=(1, 1, 4, 6)).astype(np.float32)
    for sizes in ((7, 8), (2, 9), (3, 3), (4, 6)):
        found = gf.nn.resize(x, sizes, mode="linear", axes=(2, 3), keep_aspect_ratio_policy=policy)
        expected = _reference(
            x, None, None, sizes, "half_pixel", mode="linear", axes=[2, 3], keep_aspect_ratio_policy=policy
        )
        np.testing.assert_allclose(_value(found), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("sizes", [(8, 14), (3, 4), (5, 7)])
def test_linear_agrees_with_jax(rng: np.random.Generator, sizes: tuple, antialias: bool) -> None:
    x = rng.normal(size=(2, 3, 5, 7)).astype(np.float32)
    found = _value(gf.nn.resize(x, sizes, mode="linear", antialias=antialias, exclude_outside=antialias))
    expected = jax.image.resize(x, (2, 3, *sizes), "linear", antialias=antialias)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_corners_are_aligned_like_sampled_coordinates(rng: np.random.Generator) -> None:
    x = rng.normal(size=(6, 5)).astype(np.float32)
    places = np.meshgrid(np.linspace(0, 5, 11), np.linspace(0, 4, 9), indexing="ij")
    expected = map_coordinates(x, places, order=1, mode="nearest")
    found = _value(gf.nn.resize(x, (11, 9), mode="linear", coordinates="align_corners"))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_both_backends_and_derivatives(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4, 5))

    def several(x: gf.Tensor) -> list[gf.Tensor]:
        return [
            gf.nn.upsample(x, 2),
            gf.nn.upsample(x, (2, 1.5), mode="linear"),
            gf.nn.upsample(x, 2, mode="cubic", align_corners=True),
            gf.nn.resize(x, 2, mode="linear", antialias=True),
            gf.nn.center_crop_pad(x, (2, 9), axes=(2, 3)),
        ]

    made = everywhere(several, x)
    np.testing.assert_array_equal(made[0], x.repeat(2, 2).repeat(2, 3))


def test_symbolic_spatial_axes() -> None:
    x = gf.placeholder("x", ("n", 3, "h", "w"))
    height, width = x.shape[2:]
    assert gf.nn.upsample(x, 2).shape == (x.shape[0], 3, 2 * height, 2 * width)
    smaller = gf.nn.resize(x, scales=(0.5, 1.5), mode="linear")
    assert smaller.shape[2:] == (height // 2, 3 * width // 2)
    data = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4).repeat(3, 1)
    with gf.Session() as session:
        made = session.run(smaller, {x: data})
        assert made.shape == (1, 3, 1, 6)
        np.testing.assert_allclose(
            made, _value(gf.nn.resize(data, scales=(0.5, 1.5), mode="linear")), rtol=1e-6
        )
        assert session.run(gf.nn.upsample(x, 3), {x: data}).shape == (1, 3, 9, 12)


def test_sizes_are_floors_of_what_a_scale_means() -> None:
    n = gf.Dim("n")
    assert [scaled(10, one) for one in (0.7, float(np.float32(0.7)), 0.69, 2.0, 1 / 3)] == [7, 7, 6, 20, 3]
    assert scaled(n, 2.0) == 2 * n and str(scaled(n, float(np.float32(1 / 3)))) == "n//3"
    assert scaled(10**12, 1.0000001) == int(10**12 * 1.0000001)
    assert scaled(3, 1e-9) == 0


def test_crop_and_pad_agree_with_onnx(rng: np.random.Generator) -> None:
    x = rng.normal(size=(5, 8, 3)).astype(np.float32)
    for shape in ((5, 8, 3), (4, 9, 3), (2, 3, 8), (0, 11, 1)):
        expected = onnx_run("CenterCropPad", x, np.array(shape))
        np.testing.assert_array_equal(_value(gf.nn.center_crop_pad(x, shape)), expected)


def test_crop_and_pad_of_symbolic_sizes() -> None:
    x = gf.placeholder("x", ("n", "m"), gf.int32)
    y = gf.nn.center_crop_pad(x, 4, axes=1)
    with gf.Session() as session:
        assert session.run(y, {x: np.arange(1, 8)[None]}).tolist() == [[2, 3, 4, 5]]
        assert session.run(y, {x: np.arange(1, 4)[None]}).tolist() == [[1, 2, 3, 0]]


def test_refusals() -> None:
    x = gf.placeholder("x", ("n", 3, 8, 8))
    with pytest.raises(AttributeValueError, match="either sizes or scales"):
        gf.nn.resize(x)
    with pytest.raises(AttributeValueError, match="either sizes or scales"):
        gf.nn.resize(x, 4, 2.0)
    with pytest.raises(AttributeValueError, match="positive and finite, not -1"):
        gf.nn.resize(x, scales=-1)
    with pytest.raises(AttributeValueError, match="2 sizes or scales for 1 axes"):
        gf.nn.resize(x, (4, 4), axes=2)
    with pytest.raises(ShapeError, match="for a tensor of shape"):
        gf.nn.resize(x, (1, 1, 1, 1, 1))
    with pytest.raises(ShapeError, match="one number for all but the first two"):
        gf.nn.resize(gf.zeros((3, 3)), 2)
    with pytest.raises(ShapeError, match="cannot keep the aspect ratio") as caught:
        gf.nn.resize(gf.placeholder("y", (1, 1, "h", 4)), 4, keep_aspect_ratio_policy="not_larger")
    assert "scales instead" in str(caught.value)
    with pytest.raises(AttributeValueError, match="keep_aspect_ratio_policy is one of"):
        gf.nn.resize(x, 4, keep_aspect_ratio_policy="crop")
    with pytest.raises(DTypeError, match="cubic interpolation does not take complex64"):
        gf.nn.resize(gf.zeros((1, 1, 2), gf.complex64), 4, mode="cubic")
    with pytest.raises(ShapeError, match="batch, channels and spatial axes"):
        gf.nn.upsample(gf.zeros((3, 3)))
    with pytest.raises(AttributeValueError, match="one size for each axis"):
        gf.nn.center_crop_pad(x, (1, 2))
