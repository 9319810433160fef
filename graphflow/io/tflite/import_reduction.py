"""Import of reductions, running totals, and searches for the largest element."""

from __future__ import annotations

from typing import Any

from graphflow.io.tflite.call import Call
from graphflow.ir.node import Tensor
from graphflow.ops import casting, reduction, standard


def _reduced(say: Any) -> Any:
    """A reduction whose result has the dtype of what is reduced."""

    def reduce(call: Call, x: Tensor, axes: Tensor) -> Tensor:
        given = tuple(dict.fromkeys(call.axis(axis, x.ndim) for axis in call.numbers(axes)))
        return casting.astype(say(x, given, bool(call.option("KeepDims", False))), x.dtype)

    return reduce


def _found(say: Any) -> Any:
    return lambda call, x, axis: say(x, call.axis(axis, x.ndim))


def _cumulative_sum(call: Call, x: Tensor, axis: Tensor) -> Tensor:
    exclusive, reverse = bool(call.option("Exclusive", False)), bool(call.option("Reverse", False))
    made = standard.cumulative_sum(x, call.axis(axis, x.ndim), exclusive, reverse)
    return casting.astype(made, x.dtype)


TABLE: dict[str, Any] = {
    "CUMSUM": _cumulative_sum,
    "MEAN": _reduced(reduction.mean),
    "REDUCE_ALL": _reduced(reduction.all),
    "REDUCE_ANY": _reduced(reduction.any),
    "REDUCE_PROD": _reduced(standard.prod),
    "SUM": _reduced(standard.sum),
}

MOVES: dict[str, Any] = {
    "ARG_MAX": _found(reduction.argmax),
    "ARG_MIN": _found(reduction.argmin),
    "REDUCE_MAX": _reduced(reduction.max),
    "REDUCE_MIN": _reduced(reduction.min),
}
"""The largest of whole numbers stands for the largest number."""
