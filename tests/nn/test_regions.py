"""Cropped regions against ONNX's resize by regions, pooled regions against a plain loop."""

from __future__ import annotations

from math import ceil, floor

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_run

BOXES = np.array(
    [[0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], [0.9, 0.71, 0.2, 0.12], [-0.2, 0.3, 0.52, 1.4]], np.float32
)
IMAGES = np.array([1, 0, 1, 0], np.int32)


def _value(tensor: gf.Tensor) -> np.ndarray:
    return evaluate([tensor], {})[0]


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("size", [(3, 5), (1, 4), (1, 1)])
def test_crops_agree_with_onnx(rng: np.random.Generator, mode: str, size: tuple[int, int]) -> None:
    x = rng.normal(size=(2, 3, 6, 7)).astype(np.float32)
    found = _value(gf.nn.crop_and_resize(x, BOXES, IMAGES, size, mode, extrapolation_value=-5.0))
    for number, (box, image) in enumerate(zip(BOXES, IMAGES)):
        roi = np.array([0, 0, *box[:2], 1, 1, *box[2:]], np.float32)
        expected = onnx_run(
            "Resize", x[image : image + 1], roi, None, np.array([1, 3, *size]), mode=mode,
            coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=-5.0,
            nearest_mode="round_prefer_ceil",
        )  # fmt: skip
        np.testing.assert_allclose(found[number], expected[0], rtol=1e-4, atol=1e-5, err_msg=f"{box}")


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_crops_on_both_backends_and_derivatives(rng: np.random.Generator, mode: str) -> None:
    x = rng.normal(size=(2, 2, 5, 6))
    boxes = np.array([[0.113, 0.21, 0.83, 0.91], [0.77, 0.03, 0.21, 0.61]])

    def cropped(x: gf.Tensor, boxes: gf.Tensor) -> gf.Tensor:
        return gf.nn.crop_and_resize(x, boxes, gf.constant([1, 0]), (3, 2), mode)

    everywhere(cropped, x, boxes, batched=(0,))


def _round(value: float) -> int:
    return int(np.sign(value) * floor(abs(value) + 0.5))


def _bins(start: int, end: int, count: int, size: int) -> list[slice]:
    extent = max(end - start + 1, 1)
    lows = [start + floor(i * extent / count) for i in range(count)]
    highs = [start + ceil((i + 1) * extent / count) for i in range(count)]
    return [slice(min(max(a, 0), size), min(max(b, 0), size)) for a, b in zip(lows, highs)]


def _pooled(x: np.ndarray, rois: np.ndarray, size: tuple[int, int], scale: float) -> np.ndarray:
    """Max pooling of regions as Caffe does it, by loops."""
    made = np.zeros((len(rois), x.shape[1], *size), x.dtype)
    for number, (image, *box) in enumerate(rois):
        x1, y1, x2, y2 = (_round(float(one) * scale) for one in box)
        for p, rows in enumerate(_bins(y1, y2, size[0], x.shape[2])):
            for q, columns in enumerate(_bins(x1, x2, size[1], x.shape[3])):
                part = x[int(image), :, rows, columns]
                if part.size:
                    made[number, :, p, q] = part.max(axis=(1, 2))
    return made


ROIS = np.array(
    [
        [0, 1, 1, 5, 4], [1, 0, 0, 7, 6], [1, 2.5, 1.4, 2.6, 1.5], [0, -3, -2, 3, 9], [1, 5, 5, 2, 2],
        [0, 9, 9, 20, 20],
    ],
    np.float64,
)  # fmt: skip


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (6, 6)])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_pooled_regions_agree_with_a_loop(
    rng: np.random.Generator, size: tuple[int, int], scale: float
) -> None:
    x = rng.normal(size=(2, 3, 7, 8)) - 4  # so that the zeros of empty bins are no maxima
    found = everywhere(
        lambda x, rois: gf.nn.max_roi_pool(x, rois, size, scale), x, ROIS, batched=(1,), gradient=False
    )
    np.testing.assert_array_equal(found, _pooled(x, ROIS, size, scale))


def test_derivatives_of_pooled_regions(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 2, 7, 8))
    everywhere(lambda x: gf.nn.max_roi_pool(x, gf.constant(ROIS), (2, 3)), x)


def test_refusals() -> None:
    x = gf.zeros((1, 2, 4, 4))
    with pytest.raises(ShapeError, match=r"regions of shape \[regions, 5\]"):
        gf.nn.max_roi_pool(x, gf.zeros((3, 4)), 2)
    with pytest.raises(ShapeError, match="needs images"):
        gf.nn.max_roi_pool(gf.zeros((2, 4, 4)), gf.zeros((3, 5)), 2)
    with pytest.raises(AttributeValueError, match="a size of max_roi_pool"):
        gf.nn.max_roi_pool(x, gf.zeros((3, 5)), (2, -1))
    with pytest.raises(DTypeError, match="does not take int32"):
        gf.nn.max_roi_pool(x, gf.zeros((3, 5), gf.int32), 2)
    with pytest.raises(AttributeValueError, match="mode is one of"):
        gf.nn.crop_and_resize(x, gf.zeros((3, 4)), gf.zeros((3,), gf.int32), 2, "bilinear")
