"""Import of operators that make tensors of constants and sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import creation, declare, rounding
from graphflow.ops import shape as shape_ops

_NUMBERS = {
    "value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64
}  # fmt: skip


def _constant(call: Call) -> Tensor:
    for name in ("value", "sparse_value"):
        if call.has(name):
            return declare.constant(call.attr(name), allow_nan=True)
    for name, kind in _NUMBERS.items():
        if call.has(name):
            return declare.constant(np.array(call.attr(name), kind), allow_nan=True)
    for name in ("value_string", "value_strings"):
        if call.has(name):
            return declare.constant(np.array(call.attr(name), dtypes.string.numpy))
    raise FileFormatError("a Constant has no value", hint="get the model again")


def _filled(call: Call, shape: Tensor) -> Tensor:
    value = call.attr("value", np.zeros(1, np.float32)).reshape(-1)
    if value.size != 1:
        raise FileFormatError("ConstantOfShape needs one value", hint="get the model again")
    one = declare.constant(value.reshape(()), allow_nan=True)
    return shape_ops.broadcast_to(one, call.numbers(shape))


def _constant_fill(call: Call, x: Tensor | None = None) -> Tensor:
    shape: Any
    shape = (
        call.attr("shape", []) if x is None else call.numbers(x) if call.flag("input_as_shape") else x.shape
    )
    kind = call.dtype("dtype", dtypes.float32)
    return creation.full((*shape, *call.attr("extra_shape", [])), call.attr("value", 0.0), kind)


def _eye(call: Call, x: Tensor) -> Tensor:
    rows, columns = x.shape
    return creation.eye(rows, columns, call.attr("k", 0), call.dtype("dtype", x.dtype))


def _range(call: Call, start: Tensor, stop: Tensor, step: Tensor) -> Tensor:
    first, last, each = [call.number(part) for part in (start, stop, step)]
    return creation.arange(first, last, each, start.dtype)


TABLE: dict[str, Any] = {
    "Constant": _constant,
    "ConstantFill": _constant_fill,
    "ConstantOfShape": _filled,
    "EyeLike": _eye,
    "Identity": lambda call, x: rounding.identity(x) if isinstance(x, Tensor) else x,
    "Range": _range,
}
