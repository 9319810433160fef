"""Import of the operators of onnxruntime that its tools and exporters write, domain com.microsoft."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.errors import FileFormatError
from graphflow.io.onnx import import_contrib_attention, import_contrib_quantized
from graphflow.io.onnx.call import Call
from graphflow.io.onnx.import_conv import TABLE as CONV
from graphflow.io.onnx.import_creation import TABLE as CREATION
from graphflow.io.onnx.import_elementwise import TABLE as ELEMENTWISE
from graphflow.io.onnx.import_images import TABLE as IMAGES
from graphflow.io.onnx.import_indexing import TABLE as INDEXING
from graphflow.io.onnx.import_normalization import layer_norm, simplified_layer_norm
from graphflow.io.onnx.import_quantization import TABLE as QUANTIZATION
from graphflow.io.onnx.import_shape import TABLE as SHAPE
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import (
    casting,
    creation,
    elementwise,
    functions,
    indexing,
    linalg,
    reduction,
    shape,
    solving,
    standard,
)

DOMAIN = "com.microsoft"


# Products and convolutions


def _fused_matmul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    made = linalg.matmul(_turned(call, a, "A"), _turned(call, b, "B"))
    return casting.astype(made * call.attr("alpha", 1.0), a.dtype)


def _turned(call: Call, x: Tensor, which: str) -> Tensor:
    """An operand of FusedMatMul, whose first axis may be that of its rows, too."""
    if x.ndim < 2:
        return x
    if call.flag(f"transBatch{which}"):
        x = shape.permute_dims(x, (*range(1, x.ndim - 1), 0, x.ndim - 1))
    return linalg.matrix_transpose(x) if call.flag(f"trans{which}") else x


_BARE = ("HardSwish", "Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")
"""Activations without numbers."""

_NUMBERED: dict[str, tuple[Any, tuple[float, ...]]] = {
    "Elu": (nn.elu, (1.0,)),
    "HardSigmoid": (nn.hard_sigmoid, (0.2, 0.5)),
    "LeakyRelu": (nn.leaky_relu, (0.01,)),
    "ThresholdedRelu": (nn.thresholded_relu, (1.0,)),
}
"""Activations with numbers, and what these are if they are not given."""


def _activated(call: Call, y: Tensor) -> Tensor:
    """An activation with the numbers of FusedGemm, or those of FusedConv, which are in one list."""
    named, given = call.attr("activation", ""), tuple(call.attr("activation_params", ()))
    if not named:
        return y
    if named in _BARE and not given:
        return ELEMENTWISE[named](call, y)
    if named == "Clip" and len(given) == 2:
        return elementwise.minimum(elementwise.maximum(y, given[0]), given[1])
    say, standards = _NUMBERED.get(named, (None, ()))
    if say is None or len(given) not in (0, len(standards)):
        raise FileFormatError(
            f"the activation {named!r:.40} of {call.label} is not supported",
            hint="let onnxruntime write the model at a lower level of optimisation",
        )
    named_ones = zip(("activation_alpha", "activation_beta"), standards)
    return say(y, *(given or [call.attr(name, known) for name, known in named_ones]))


def _fused_conv(call: Call, x: Tensor, w: Tensor, bias: Any = None, add: Any = None) -> Tensor:
    made = CONV["Conv"](call, x, w, bias)
    return _activated(call, made if add is None else made + add)


def _channels_first(x: Tensor) -> Tensor:
    return shape.permute_dims(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def _channels_last(x: Tensor) -> Tensor:
    return shape.permute_dims(x, (0, *range(2, x.ndim), 1))


def _nhwc_conv(call: Call, x: Tensor, w: Tensor, bias: Any = None, add: Any = None) -> Tensor:
    """With images [batch, height, width, channels]; kernels lie as those of Conv."""
    kernel = call.attr("kernel_shape")
    if kernel and tuple(w.shape[2:]) != tuple(kernel):
        raise FileFormatError(
            f"{call.label} has kernels of shape {list(w.shape)}, but kernel_shape {kernel}",
            hint="they have to be [outputs, channels / groups, *kernel_shape]",
        )
    first = _channels_last(CONV["Conv"](call, _channels_first(x), w, bias))
    return _activated(call, first if add is None else first + add)


# Activations


def _gelu(call: Call, x: Tensor, bias: Any = None) -> Tensor:
    return nn.gelu(x if bias is None else x + bias)


def _fast_gelu(call: Call, x: Tensor, bias: Any = None) -> Tensor:
    return nn.gelu(x if bias is None else x + bias, approximate=True)


def _quick_gelu(call: Call, x: Tensor) -> Tensor:
    return nn.swish(x, call.attr("alpha", 1.702))


def _bias_softmax(call: Call, x: Tensor, bias: Tensor) -> Tensor:
    """Over all axes from `axis` on, as softmax was before opset 13."""
    made: Tensor = ELEMENTWISE["Softmax"](call, x + bias)
    return made


# Normalizations


def _total(call: Call, x: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    """The sum of what is there, as it is normalized and as it is handed out; of 16-bit floats in 32 bits."""
    wide = dtypes.float32 if x.dtype.itemsize < 4 else x.dtype
    total = casting.astype(x, wide)
    for one in others:
        if one is not None:
            total = total + casting.astype(one, wide)
    return total, casting.astype(total, x.dtype)


def _skip_layer_norm(
    call: Call, x: Tensor, skip: Tensor, scale: Tensor, offset: Any = None, bias: Any = None
) -> tuple[Any, ...]:
    total, handed = _total(call, x, skip, bias)
    scale = casting.astype(scale, total.dtype)
    offset = None if offset is None else casting.astype(offset, total.dtype)
    epsilon = call.attr("epsilon", 1e-12)
    made, mean, rate = nn.layer_norm_with_statistics(total, scale, offset, -1, epsilon, total.dtype)
    return casting.astype(made, x.dtype), mean, rate, handed


def _skip_rms_norm(call: Call, x: Tensor, skip: Tensor, scale: Tensor, bias: Any = None) -> tuple[Any, ...]:
    total, handed = _total(call, x, skip, bias)
    epsilon = call.attr("epsilon", 1e-12)
    made = nn.rms_norm(total, casting.astype(scale, total.dtype), -1, epsilon)
    rate = functions.rsqrt(reduction.mean(elementwise.square(total), -1, keepdims=True) + epsilon)
    return casting.astype(made, x.dtype), None, rate, handed


def _embed_layer_norm(
    call: Call,
    words: Tensor,
    segments: Any,
    word_table: Tensor,
    position_table: Tensor,
    segment_table: Any = None,
    scale: Any = None,
    offset: Any = None,
    mask: Any = None,
    positions: Any = None,
) -> tuple[Any, ...]:
    where = creation.arange(words.shape[1], dtype=dtypes.int32) if positions is None else positions
    total = indexing.take(word_table, words, 0) + indexing.take(position_table, where, 0)
    if segments is not None and segment_table is not None:
        total = total + indexing.take(segment_table, segments, 0)
    made = nn.layer_norm(total, scale, offset, -1, call.attr("epsilon", 1e-12))
    kept = (
        creation.zeros((words.shape[0],), dtypes.int32)
        if mask is None
        else standard.sum(casting.astype(mask, dtypes.int32), 1)
    )
    return made, casting.astype(kept, dtypes.int32), total


# The rest


def _distances(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Between all rows of a and all rows of b."""
    apart = shape.expand_dims(a, 1) - shape.expand_dims(b, 0)
    squared = standard.sum(elementwise.square(apart), -1)
    return functions.sqrt(squared) if call.attr("metric", "sqeuclidean") == "euclidean" else squared


def _expand_dims(call: Call, x: Tensor, axis: Tensor) -> Tensor:
    return shape.expand_dims(x, call.number(axis))


NAMES: dict[str, Any] = {
    "BiasGelu": _gelu,
    "BiasSoftmax": _bias_softmax,
    "CDist": _distances,
    "DequantizeLinear": QUANTIZATION["DequantizeLinear"],
    "EmbedLayerNormalization": _embed_layer_norm,
    "ExpandDims": _expand_dims,
    "FastGelu": _fast_gelu,
    "FusedConv": _fused_conv,
    "FusedGemm": lambda call, *given: _activated(call, SHAPE["Gemm"](call, *given)),
    "FusedMatMul": _fused_matmul,
    "FusedMatMulActivation": lambda call, *given: _activated(call, _fused_matmul(call, *given)),
    "GatherND": INDEXING["GatherND"],
    "Gelu": _gelu,
    "GridSample": IMAGES["GridSample"],
    "Inverse": lambda call, x: solving.inv(x),
    "NhwcConv": _nhwc_conv,
    "NhwcFusedConv": _nhwc_conv,
    "NhwcMaxPool": lambda call, x: _channels_last(CONV["MaxPool"](call, _channels_first(x))),
    "Pad": SHAPE["Pad"],
    "QuantizeLinear": QUANTIZATION["QuantizeLinear"],
    "QuickGelu": _quick_gelu,
    "Range": CREATION["Range"],
    "SkipLayerNormalization": _skip_layer_norm,
    "SkipSimplifiedLayerNormalization": _skip_rms_norm,
    "TransposeMatMul": _fused_matmul,
    "Trilu": SHAPE["Trilu"],
    **import_contrib_attention.TABLE,
    **import_contrib_quantized.TABLE,
}

TABLE: dict[tuple[str, str], Any] = {
    **{(DOMAIN, name): found for name, found in NAMES.items()},
    (DOMAIN, "LayerNormalization"): layer_norm,
    (DOMAIN, "SimplifiedLayerNormalization"): simplified_layer_norm,
}
