"""Aligned regions against ONNX's reference, sampled and adaptive; derivatives by images and regions."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_run

MODES = ["half_pixel", "output_half_pixel"]
ROIS = np.array(
    [
        [0.3, 1.2, 4.9, 5.1], [-2.0, -1.0, 3.5, 6.0], [2.0, 2.0, 2.2, 2.1], [1.0, 0.5, 9.0, 4.5],
        [5.0, 4.0, 2.0, 1.0], [7.4, 6.5, 12.0, 9.0],
    ],
    np.float32,
)  # fmt: skip
IMAGES = np.array([0, 1, 1, 0, 1, 0])


def _value(tensor: gf.Tensor) -> np.ndarray:
    return evaluate([tensor], {})[0]


def _reference(x: Any, rois: Any, images: Any, size: Any, coordinates: str, **options: Any) -> np.ndarray:
    return onnx_run(
        "RoiAlign", x, rois, images, output_height=size[0], output_width=size[1],
        coordinate_transformation_mode=coordinates, **options,
    )  # fmt: skip


@pytest.mark.parametrize("coordinates", MODES)
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 1, 2, 3])
def test_agrees_with_onnx(rng: np.random.Generator, coordinates: str, mode: str, ratio: int) -> None:
    x = rng.normal(size=(2, 3, 7, 9)).astype(np.float32)
    for size, scale in product([(1, 1), (3, 2)], [1.0, 0.5]):
        found = gf.nn.roi_align(x, ROIS, IMAGES, size, mode, ratio, scale, coordinates)
        options = {"mode": mode, "sampling_ratio": ratio, "spatial_scale": scale}
        expected = _reference(x, ROIS, IMAGES, size, coordinates, **options)
        np.testing.assert_allclose(_value(found), expected, rtol=1e-4, atol=1e-5, err_msg=f"{size} {scale}")


def test_a_region_larger_than_the_image_has_the_samples_of_the_image() -> None:
    x = np.ones((1, 1, 4, 4), np.float32)
    made = _value(gf.nn.roi_align(x, [[-16.0, -16.0, 16.0, 16.0]], [0], 8, sampling_ratio=0))
    one = _value(gf.nn.roi_align(x, [[-16.0, -16.0, 16.0, 16.0]], [0], 8, sampling_ratio=1))
    np.testing.assert_allclose(made, one)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 2])
def test_both_backends_and_derivatives(rng: np.random.Generator, mode: str, ratio: int) -> None:
    x = rng.normal(size=(2, 2, 6, 7))
    rois = np.array([[0.31, 1.17, 4.93, 5.11], [1.13, 0.52, 6.77, 4.64], [2.21, 1.91, 3.77, 2.42]])
    images = np.array([1, 0, 1])

    def aligned(x: gf.Tensor, rois: gf.Tensor, images: gf.Tensor) -> gf.Tensor:
        return gf.nn.roi_align(x, rois, images, (2, 3), mode, ratio, 0.9)

    everywhere(aligned, x, rois, images, batched=())
    everywhere(aligned, x, rois, images, batched=(1, 2), gradient=False)


def test_image_numbers_wrap_and_are_clamped(rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 1, 5, 5)).astype(np.float32)
    rois = np.tile(np.array([[0.5, 0.5, 4.0, 4.0]], np.float32), (4, 1))
    for ratio in (0, 2):
        made = _value(gf.nn.roi_align(x, rois, [-1, 2, 7, -9], 2, sampling_ratio=ratio))
        expected = _value(gf.nn.roi_align(x, rois, [2, 2, 2, 0], 2, sampling_ratio=ratio))
        np.testing.assert_array_equal(made, expected)


def test_symbolic_images(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", ("n", 2, "h", "w"))
    y = gf.nn.roi_align(x, ROIS, IMAGES, 2)
    data = rng.normal(size=(2, 2, 7, 9)).astype(np.float32)
    with gf.Session() as session:
        made = session.run(y, {x: data})
    np.testing.assert_allclose(made, _value(gf.nn.roi_align(data, ROIS, IMAGES, 2)), rtol=1e-5, atol=1e-6)


def test_no_regions_at_all() -> None:
    x = gf.zeros((1, 2, 4, 4))
    for ratio, mode in product((0, 2), ("avg", "max")):
        made = gf.nn.roi_align(x, gf.zeros((0, 4)), gf.zeros((0,), gf.int32), 3, mode, ratio)
        assert _value(made).shape == (0, 2, 3, 3)


def test_refusals() -> None:
    x, rois, image = gf.zeros((1, 2, 4, 4)), gf.zeros((3, 4)), gf.zeros((3,), gf.int32)
    with pytest.raises(AttributeValueError, match="mode is one of 'avg', 'max'"):
        gf.nn.roi_align(x, rois, image, 2, "mean")
    with pytest.raises(AttributeValueError, match="sampling_ratio has to be a whole number of at least 0"):
        gf.nn.roi_align(x, rois, image, 2, sampling_ratio=-1)
    with pytest.raises(AttributeValueError, match="coordinate_transformation_mode is one of"):
        gf.nn.roi_align(x, rois, image, coordinate_transformation_mode="asymmetric")
    with pytest.raises(AttributeValueError, match="a size of roi_align"):
        gf.nn.roi_align(x, rois, image, 0)
    with pytest.raises(AttributeValueError, match="a height and a width"):
        gf.nn.roi_align(x, rois, image, (1, 2, 3))
    with pytest.raises(ShapeError, match=r"regions of shape \[regions, 4\]"):
        gf.nn.roi_align(x, gf.zeros((3, 5)), image)
    with pytest.raises(ShapeError, match="a batch index for each region"):
        gf.nn.roi_align(x, rois, gf.zeros((2,), gf.int32))
    with pytest.raises(DTypeError, match="an integer, not float32"):
        gf.nn.roi_align(x, rois, gf.zeros((3,)))
    with pytest.raises(DTypeError, match="does not take int32"):
        gf.nn.roi_align(gf.zeros((1, 2, 4, 4), gf.int32), rois, image)
