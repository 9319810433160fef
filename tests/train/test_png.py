"""PNG files, read back with Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.train import png

pillow = pytest.importorskip("PIL.Image")


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (17, 1), (13, 21)])
def test_pixels_come_back(channels, mode, size, rng):
    pixels = rng.integers(0, 256, (*size, channels), dtype=np.uint8)
    image = pillow.open(io.BytesIO(png.encode(pixels)))
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_floating_point_is_rounded_and_clipped():
    found = png.as_pixels(np.array([[0.0, 0.5, 1.0, -3.0, np.inf, -np.inf]]), "HWC")
    assert found.shape == (1, 1, 6, 1) and found.ravel().tolist() == [0, 128, 255, 0, 255, 0]


def test_nan_is_magenta():
    found = png.as_pixels(np.array([[[0.5], [np.nan]]], np.float32), "HWC")
    assert found[0, 0].tolist() == [[128, 128, 128], [255, 0, 255]]
    found = png.as_pixels(np.array([[[0.5, 0.0], [np.nan, 0.0]]]), "HWC")
    assert found[0, 0].tolist() == [[128, 128, 128, 0], [255, 0, 255, 255]]


def test_layouts_agree(rng):
    pixels = rng.integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    for layout, array in (("NHWC", pixels), ("NCHW", pixels.transpose(0, 3, 1, 2))):
        np.testing.assert_array_equal(png.as_pixels(array, layout), pixels)
        np.testing.assert_array_equal(png.as_pixels(array[1], layout[1:]), pixels[1:])
    assert png.as_pixels(np.array([[True, False]]), "CHW").ravel().tolist() == [255, 0]


@pytest.mark.parametrize(
    ("image", "layout", "error"),
    [
        (np.zeros((3, 4, 5), np.uint8), "HWC", ShapeError),
        (np.zeros((0, 4, 3), np.uint8), "HWC", ShapeError),
        (np.zeros(4, np.uint8), "HWC", ShapeError),
        (np.zeros((2, 2), np.int32), "HWC", DTypeError),
        (np.zeros((2, 2), complex), "HWC", DTypeError),
        (np.zeros((2, 2), np.uint8), "CWH", AttributeValueError),
    ],
)
def test_what_is_no_image(image, layout, error):
    with pytest.raises(error) as caught:
        png.as_pixels(image, layout)
    assert caught.value.hint
