"""Import of reductions and running totals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphflow.io.onnx.call import Call
from graphflow.ir.node import Tensor
from graphflow.ops import casting, creation, elementwise, functions, linalg, rearrange, reduction, standard


def _axes(call: Call, axes: Tensor | None) -> Any:
    """The axes to reduce: those given as an input or attribute, or all, or none."""
    given = call.numbers(axes) if axes is not None else call.attr("axes")
    if given:
        return tuple(given)
    return () if call.flag("noop_with_empty_axes") else None


def _reduced(say: Any) -> Any:
    def say_it(call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
        return say(x, _axes(call, axes), call.flag("keepdims", True))

    return say_it


def _extreme(say: Any, largest: bool) -> Any:
    """The largest or smallest element; of none that which all others exceed."""

    def say_it(call: Call, x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen, keepdims = _axes(call, axes), call.flag("keepdims", True)
        places = range(x.ndim) if chosen is None else [axis % x.ndim for axis in chosen]
        if not any(isinstance(x.shape[axis], int) and x.shape[axis] == 0 for axis in places):
            return say(x, chosen, keepdims)
        shape = [1 if axis in places else size for axis, size in enumerate(x.shape)]
        kept = shape if keepdims else [size for axis, size in enumerate(x.shape) if axis not in places]
        return creation.full(kept, _least(x.dtype.numpy, largest), x.dtype)

    return say_it


def _least(kind: np.dtype, largest: bool) -> Any:
    if kind.kind == "b":
        return not largest
    if kind.kind in "iu":
        return int(np.iinfo(kind).min if largest else np.iinfo(kind).max)
    return -math.inf if largest else math.inf


def _arg(find: Any) -> Any:
    def say_it(call: Call, x: Tensor) -> Tensor:
        axis, keepdims = call.attr("axis", 0), call.flag("keepdims", True)
        if not call.flag("select_last_index"):
            return find(x, axis=axis, keepdims=keepdims)
        return x.shape[axis] - 1 - find(rearrange.flip(x, axis=axis), axis=axis, keepdims=keepdims)

    return say_it


def _running(say: Any) -> Any:
    def say_it(call: Call, x: Tensor, axis: Tensor) -> Tensor:
        made = say(x, call.number(axis), call.flag("exclusive"), call.flag("reverse"))
        return casting.astype(made, x.dtype)

    return say_it


def _kept(say: Any) -> Any:
    """A reduction whose result has the dtype of what is reduced."""
    return lambda x, *how: casting.astype(say(x, *how), x.dtype)


TABLE: dict[str, Any] = {
    "ArgMax": _arg(reduction.argmax),
    "ArgMin": _arg(reduction.argmin),
    "CumProd": _running(standard.cumulative_prod),
    "CumSum": _running(standard.cumulative_sum),
    "ReduceL1": _reduced(_kept(lambda x, *how: standard.sum(elementwise.abs(x), *how))),
    "ReduceL2": _reduced(_kept(linalg.vector_norm)),
    "ReduceLogSum": _reduced(_kept(lambda x, *how: functions.log(standard.sum(x, *how)))),
    "ReduceLogSumExp": _reduced(_kept(reduction.logsumexp)),
    "ReduceMax": _extreme(reduction.max, True),
    "ReduceMean": _reduced(_kept(reduction.mean)),
    "ReduceMin": _extreme(reduction.min, False),
    "ReduceProd": _reduced(_kept(standard.prod)),
    "ReduceSum": _reduced(_kept(standard.sum)),
    "ReduceSumSquare": _reduced(_kept(lambda x, *how: standard.sum(elementwise.square(x), *how))),
}
