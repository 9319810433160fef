"""Import of operators that make tensors from sizes."""

from __future__ import annotations

from typing import Any

from graphflow.io.tflite.call import Call
from graphflow.ir.node import Tensor
from graphflow.ops import creation, standard


def _fill(call: Call, sizes: Tensor, value: Tensor) -> Tensor:
    return creation.full(tuple(call.numbers(sizes)), standard.reshape(value, ()), value.dtype)


def _range(call: Call, start: Tensor, stop: Tensor, step: Tensor) -> Tensor:
    first, last, by = (call.number(one) for one in (start, stop, step))
    return creation.arange(first, last, by, dtype=start.dtype)


TABLE: dict[str, Any] = {
    "FILL": _fill,
    "RANGE": _range,
    "ZEROS_LIKE": lambda call, x: creation.zeros_like(x),
}
