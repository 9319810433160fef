"""Import of reductions over rows that have the same number."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.io.tflite.call import Call
from graphflow.ir.node import Tensor
from graphflow.ops import creation, scattering
from graphflow.ops import shape as shape_ops


def _segments(reduction: str, x: Tensor, numbers: Tensor, count: Any, start: Any) -> Tensor:
    filled = creation.full((count, *x.shape[numbers.ndim :]), start, x.dtype)
    return scattering.scatter_nd(filled, shape_ops.expand_dims(numbers, (-1,)), x, reduction)


def _unsorted(reduction: str, start: Any) -> Any:
    def say(call: Call, x: Tensor, numbers: Tensor, count: Tensor) -> Tensor:
        return _segments(reduction, x, numbers, call.number(count), start(x.dtype.numpy))

    return say


def _segment_sum(call: Call, x: Tensor, numbers: Tensor) -> Tensor:
    return _segments("add", x, numbers, max(call.numbers(numbers), default=-1) + 1, 0)


def _least(kind: np.dtype) -> Any:
    """What every number of the dtype is at least: TensorFlow Lite takes finite ones."""
    return int(np.iinfo(kind).min) if kind.kind in "iu" else float(np.finfo(kind).min)


def _largest(kind: np.dtype) -> Any:
    return int(np.iinfo(kind).max) if kind.kind in "iu" else float(np.finfo(kind).max)


TABLE: dict[str, Any] = {
    "SEGMENT_SUM": _segment_sum,
    "UNSORTED_SEGMENT_MAX": _unsorted("max", _least),
    "UNSORTED_SEGMENT_MIN": _unsorted("min", _largest),
    "UNSORTED_SEGMENT_PROD": _unsorted("mul", lambda kind: 1),
    "UNSORTED_SEGMENT_SUM": _unsorted("add", lambda kind: 0),
}
