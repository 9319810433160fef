"""Import of operators on images: resizing, sampling, regions, decoding."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.io.onnx.call import Call
from graphflow.ir.node import Tensor
from graphflow.ops import images as images_ops

_OPTIONS = {
    "mode": "mode", "coordinate_transformation_mode": "coordinates", "nearest_mode": "nearest_mode",
    "cubic_coeff_a": "cubic_coeff_a", "extrapolation_value": "extrapolation_value",
    "keep_aspect_ratio_policy": "keep_aspect_ratio_policy",
}  # fmt: skip


def _resize(call: Call, x: Tensor, roi: Any = None, scales: Any = None, sizes: Any = None) -> Tensor:
    if call.version < 11:
        return _upsample(call, x, roi)
    options = {ours: call.attr(name) for name, ours in _OPTIONS.items() if call.has(name)}
    options |= {name: call.flag(name) for name in ("antialias", "exclude_outside")}
    if call.has("axes"):
        options["axes"] = tuple(call.attr("axes"))
    if options.get("coordinates") == "tf_half_pixel_for_nn":
        options |= {"coordinates": "half_pixel", "nearest_mode": "floor"}
    if options.get("coordinates") == "tf_crop_and_resize":
        edges = call.numbers(roi)
        half = len(edges) // 2
        options["regions"] = list(zip(edges[:half], edges[half:]))
    wanted, factors = call.numbers(sizes), call.numbers(scales)
    if wanted:
        return nn.resize(x, sizes=list(wanted), **options)
    return nn.resize(x, scales=list(factors or ()), **options)


def _upsample(call: Call, x: Tensor, scales: Any = None) -> Tensor:
    factors = call.attr("scales") if scales is None else call.numbers(scales)
    if factors is None:
        factors = [1.0, 1.0, call.attr("height_scale"), call.attr("width_scale")]
    mode = {"bilinear": "linear"}.get(call.attr("mode", "nearest"), call.attr("mode", "nearest"))
    return nn.resize(x, scales=list(factors), mode=mode, coordinates="asymmetric", nearest_mode="floor")


def _grid_sample(call: Call, x: Tensor, grid: Tensor) -> Tensor:
    mode = call.attr("mode", "linear")
    return nn.grid_sample(
        x,
        grid,
        mode={"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode),
        padding_mode=call.attr("padding_mode", "zeros"),
        align_corners=call.flag("align_corners"),
    )


def _affine_grid(call: Call, theta: Tensor, size: Tensor) -> Tensor:
    return nn.affine_grid(theta, call.numbers(size), call.flag("align_corners"))


def _roi_align(call: Call, x: Tensor, rois: Tensor, images: Tensor) -> Tensor:
    standard = "half_pixel" if call.version >= 16 else "output_half_pixel"
    return nn.roi_align(
        x,
        rois,
        images,
        (call.attr("output_height", 1), call.attr("output_width", 1)),
        mode=call.attr("mode", "avg"),
        sampling_ratio=call.attr("sampling_ratio", 0),
        spatial_scale=call.attr("spatial_scale", 1.0),
        coordinate_transformation_mode=call.attr("coordinate_transformation_mode", standard),
    )


def _decode(call: Call, data: Tensor) -> Tensor:
    return images_ops.decode_image(data, call.attr("pixel_format", "RGB"))


TABLE: dict[str, Any] = {
    "AffineGrid": _affine_grid,
    "GridSample": _grid_sample,
    "ImageDecoder": _decode,
    "Resize": _resize,
    "RoiAlign": _roi_align,
    "Upsample": _upsample,
}
