"""Import of resizing and of choosing boxes."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.errors import AttributeValueError
from graphflow.io.tflite.call import Call
from graphflow.io.tflite.reading import AGAIN
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import casting, comparison, creation, indexing, standard


def _corners(call: Call) -> tuple[bool, bool]:
    aligned, half = bool(call.option("AlignCorners", False)), bool(call.option("HalfPixelCenters", False))
    if aligned and half:
        raise AttributeValueError("align_corners and half_pixel_centers exclude one another", hint=AGAIN)
    return aligned, half


def _bilinear(call: Call, x: Tensor, sizes: Tensor) -> Tensor:
    aligned, half = _corners(call)
    coordinates = "align_corners" if aligned else "half_pixel" if half else "asymmetric"
    wanted = list(call.numbers(sizes))
    return nn.resize(x, sizes=wanted, mode="linear", coordinates=coordinates, axes=(1, 2))


def _nearest(call: Call, x: Tensor, sizes: Tensor) -> Tensor:
    """Half pixels are floor((i + 0.5) / s), which is (i + 0.5) / s - 0.5 with halves rounded up."""
    aligned, half = _corners(call)
    coordinates = "align_corners" if aligned else "half_pixel" if half else "asymmetric"
    return nn.resize(
        x,
        sizes=list(call.numbers(sizes)),
        mode="nearest",
        coordinates=coordinates,
        nearest_mode="round_prefer_ceil" if aligned or half else "floor",
        axes=(1, 2),
    )


def _non_max_suppression(
    call: Call, boxes: Tensor, scores: Tensor, most: Tensor, overlap: Tensor, least: Tensor
) -> tuple[Tensor, Tensor]:
    """The numbers of the boxes, with zeros behind them, and how many there are."""
    count = call.number(most)
    rows = nn.non_max_suppression(
        boxes[None],
        scores[None, None],
        count,
        call.number(overlap),
        call.number(least),
        size=count,
        fill_value=-1,
    )
    chosen = rows[:, 2]
    valid = comparison.greater_equal(chosen, 0)
    return comparison.where(valid, chosen, 0), standard.sum(casting.astype(valid, dtypes.int32))


def _non_max_suppression_scored(
    call: Call, boxes: Tensor, scores: Tensor, most: Tensor, overlap: Tensor, least: Tensor, sigma: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """As above, with the scores; those of overlapping boxes are not lowered."""
    if call.number(sigma) != 0:
        raise AttributeValueError("soft suppression is not supported", hint="convert the model with sigma 0")
    chosen, count = _non_max_suppression(call, boxes, scores, most, overlap, least)
    places = casting.astype(comparison.less(creation.arange(chosen.shape[0]), count), scores.dtype)
    return chosen, indexing.take(scores, chosen) * places, count


TABLE: dict[str, Any] = {
    "NON_MAX_SUPPRESSION_V4": _non_max_suppression,
    "NON_MAX_SUPPRESSION_V5": _non_max_suppression_scored,
    "RESIZE_BILINEAR": _bilinear,
}

MOVES: dict[str, Any] = {"RESIZE_NEAREST_NEIGHBOR": _nearest}
