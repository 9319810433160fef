"""Import of selections: the largest elements, and those whose number depends on the values."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.io.onnx.call import Call
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import casting, linalg, selection, sorting, standard, unique


def _top_k(call: Call, x: Tensor, k: Tensor | None = None) -> tuple[Tensor, Tensor]:
    count = call.attr("k") if k is None else call.number(k)
    values, indices = sorting.top_k(x, count, call.attr("axis", -1), call.flag("largest", True))
    return values, casting.astype(indices, dtypes.int64)


def _non_zero(call: Call, x: Tensor) -> Tensor:
    return linalg.matrix_transpose(selection.argwhere(standard.reshape(x, (1,)) if not x.ndim else x))


def _unique(call: Call, x: Tensor) -> tuple[Tensor, ...]:
    values, indices, inverse, counts = unique.unique(x, call.attr("axis"), call.flag("sorted", True))
    return values, indices, standard.reshape(inverse, (-1,)), counts


def _non_max_suppression(
    call: Call, boxes: Tensor, scores: Tensor, most: Any = None, iou: Any = None, least: Any = None
) -> Tensor:
    return nn.non_max_suppression(
        boxes,
        scores,
        call.number(most, 0),
        float(call.number(iou, 0.0)),
        None if least is None else float(call.number(least)),
        call.flag("center_point_box"),
    )


TABLE: dict[str, Any] = {
    "NonMaxSuppression": _non_max_suppression,
    "NonZero": _non_zero,
    "TopK": _top_k,
    "Unique": _unique,
}
