"""The cases that ONNX itself tests its image operators with, computed by the functions of gf.nn.

Some of them give their results to four digits; the tests of each function ask for more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from tests.onnx_cases import cases


def _text(attributes: dict[str, Any]) -> dict[str, Any]:
    return {key: value.decode() if isinstance(value, bytes) else value for key, value in attributes.items()}


def _resize(x: gf.Tensor, roi: Any, scales: Any, sizes: Any = None, **attributes: Any) -> gf.Tensor:
    names = {"coordinate_transformation_mode": "coordinates"}
    options = {names.get(key, key): value for key, value in attributes.items()}
    for key in ("antialias", "exclude_outside"):
        options[key] = bool(options.get(key, 0))
    if options.get("coordinates") == "tf_crop_and_resize":
        options["regions"] = roi.reshape(2, -1).T.tolist()
    given = {"scales": scales, "sizes": sizes}
    given = {key: value.tolist() for key, value in given.items() if value is not None and value.size}
    return gf.nn.resize(x, **given, **options)


def _upsample(x: gf.Tensor, scales: np.ndarray, mode: str = "nearest") -> gf.Tensor:
    return gf.nn.resize(x, scales=scales.tolist(), mode=mode, coordinates="asymmetric", nearest_mode="floor")


def _grid_sample(x: gf.Tensor, grid: np.ndarray, align_corners: int = 0, **modes: str) -> gf.Tensor:
    return gf.nn.grid_sample(x, gf.constant(grid), align_corners=bool(align_corners), **modes)


def _roi_align(
    x: gf.Tensor, rois: Any, image: Any, output_height: int, output_width: int, **attributes: Any
) -> gf.Tensor:
    return gf.nn.roi_align(x, rois, image, (output_height, output_width), **attributes)


def _non_max_suppression(
    boxes: gf.Tensor,
    scores: Any,
    most: Any,
    iou_threshold: Any,
    score_threshold: Any = None,
    center_point_box: int = 0,
) -> gf.Tensor:
    least = None if score_threshold is None else float(score_threshold[0])
    return gf.nn.non_max_suppression(
        boxes, scores, int(most[0]), float(iou_threshold[0]), least, bool(center_point_box), size=20
    )


FUNCTIONS: dict[str, Callable[..., gf.Tensor]] = {
    "AffineGrid": lambda theta, size, align_corners=0: gf.nn.affine_grid(
        theta, size.tolist(), bool(align_corners)
    ),
    "CenterCropPad": lambda x, shape, axes=None: gf.nn.center_crop_pad(x, shape.tolist(), axes),
    "GridSample": _grid_sample,
    "NonMaxSuppression": _non_max_suppression,
    "Resize": _resize,
    "RoiAlign": _roi_align,
    "Upsample": _upsample,
}


MODULES = {
    "AffineGrid": "affinegrid",
    "CenterCropPad": "center_crop_pad",
    "GridSample": "gridsample",
    "NonMaxSuppression": "nonmaxsuppression",
    "Resize": "resize",
    "RoiAlign": "roialign",
    "Upsample": "upsample",
}
CASES = {case.name: (kind, case) for kind, module in MODULES.items() for case in cases(module, kind)}


def test_there_are_cases_of_every_operator() -> None:
    assert {kind for kind, _ in CASES.values()} == set(FUNCTIONS) == set(MODULES)
    assert len(CASES) >= 76


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    kind, case = CASES[name]
    first, *others = case.inputs
    (expected,) = case.outputs
    assert first is not None and expected is not None
    with gf.Graph() as graph:
        x = gf.placeholder("x", first.shape, first.dtype)
        y = FUNCTIONS[kind](x, *others, **_text(case.attributes))
    for backend in ("numpy", "jax"):
        with gf.Session(graph, backend=backend) as session:
            result = session.run(y, {x: first})
        if kind == "NonMaxSuppression":
            assert (result[len(expected) :] == -1).all()
            result = result[: len(expected)]
        assert result.dtype == expected.dtype and result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4, err_msg=backend)
