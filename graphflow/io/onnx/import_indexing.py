"""Import of operators that read or write at indices."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.io.onnx.call import Call
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import casting, comparison, indexing, scattering, selection, slicing


def _gather(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    return indexing.take(x, indices, call.attr("axis", 0))


def _gather_elements(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    axis = call.attr("axis", 0) % x.ndim
    for place, (size, wanted) in enumerate(zip(x.shape, indices.shape)):
        if place != axis and size != wanted and isinstance(size, int) and isinstance(wanted, int):
            x = slicing.slice_(x, (0,), (wanted,), None, (place,))
    return indexing.take_along_axis(x, indices, axis)


def _gather_nd(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    return scattering.gather_nd(x, indices, call.attr("batch_dims", 0))


def _scatter_elements(call: Call, x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return scattering.put_along_axis(x, indices, values, call.attr("axis", 0), call.attr("reduction", "none"))


def _scatter_nd(call: Call, x: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    return scattering.scatter_nd(x, indices, values, call.attr("reduction", "none"))


def _tensor_scatter(call: Call, cache: Tensor, update: Tensor, where: Tensor | None = None) -> Tensor:
    return nn.cache_update(cache, update, where, call.attr("axis", -2), call.attr("mode", "linear"))


def _one_hot(call: Call, indices: Tensor, depth: Tensor, values: Tensor) -> Tensor:
    whole, count = casting.astype(indices, dtypes.int64), call.number(depth)
    count = int(count) if isinstance(count, float) else count
    placed = comparison.where(comparison.less(whole, 0), whole + count, whole)
    chosen = indexing.one_hot(placed, count, call.attr("axis", -1), dtypes.bool_)
    return comparison.where(chosen, values[1], values[0])


def _compress(call: Call, x: Tensor, condition: Tensor) -> Tensor:
    return selection.compress(condition, x, call.attr("axis"))


TABLE: dict[str, Any] = {
    "Compress": _compress,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "OneHot": _one_hot,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "TensorScatter": _tensor_scatter,
}
