"""Import of random draws. Seeds of ONNX name no generator, so the numbers are those of `ops.sampling`."""

from __future__ import annotations

from typing import Any

from graphflow.io.onnx.call import Call
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import casting, sampling


def _normal(call: Call, x: Tensor | None = None) -> Tensor:
    shape, kind = _asked(call, x)
    drawn = sampling.normal(shape, dtype=dtypes.float32 if kind.itemsize < 4 else kind)
    return casting.astype(drawn * call.attr("scale", 1.0) + call.attr("mean", 0.0), kind)


def _uniform(call: Call, x: Tensor | None = None) -> Tensor:
    shape, kind = _asked(call, x)
    low, high = call.attr("low", 0.0), call.attr("high", 1.0)
    return casting.astype(
        sampling.uniform(shape, low, high, dtypes.float32 if kind.itemsize < 4 else kind), kind
    )


def _asked(call: Call, x: Tensor | None) -> tuple[Any, Any]:
    like = x.dtype if x is not None and x.dtype.is_floating else dtypes.float32
    return call.attr("shape", ()) if x is None else x.shape, call.dtype("dtype", like)


def _bernoulli(call: Call, x: Tensor) -> Tensor:
    return casting.astype(sampling.bernoulli(x), call.dtype("dtype", x.dtype))


def _multinomial(call: Call, x: Tensor) -> Tensor:
    return sampling.multinomial(x, call.attr("sample_size", 1), call.dtype("dtype", dtypes.int32))


TABLE: dict[str, Any] = {
    "Bernoulli": _bernoulli,
    "Multinomial": _multinomial,
    "RandomNormal": _normal,
    "RandomNormalLike": _normal,
    "RandomUniform": _uniform,
    "RandomUniformLike": _uniform,
}
