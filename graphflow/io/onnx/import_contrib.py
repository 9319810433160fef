"""Import of the operators of onnxruntime that its tools and exporters write, domain com.microsoft."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call
from graphflow.io.onnx.import_elementwise import TABLE as ELEMENTWISE
from graphflow.io.onnx.import_normalization import layer_norm, simplified_layer_norm
from graphflow.io.onnx.import_shape import TABLE as SHAPE
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import (
    arrange,
    casting,
    comparison,
    creation,
    elementwise,
    indexing,
    linalg,
    quantization,
    rounding,
    shape,
    standard,
    trigonometry,
)

DOMAIN = "com.microsoft"


def _fused_matmul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    if call.flag("transBatchA") or call.flag("transBatchB"):
        raise FileFormatError("FusedMatMul with transBatchA or transBatchB is not supported")
    left = linalg.matrix_transpose(a) if call.flag("transA") else a
    right = linalg.matrix_transpose(b) if call.flag("transB") else b
    return casting.astype(linalg.matmul(left, right) * call.attr("alpha", 1.0), a.dtype)


def _activated(call: Call, y: Tensor) -> Tensor:
    named = call.attr("activation", "")
    known = {"": rounding.identity, "Relu": nn.relu, "Tanh": trigonometry.tanh, "Sigmoid": nn.sigmoid}
    if named == "LeakyRelu":
        return nn.leaky_relu(y, call.attr("leaky_relu_alpha", call.attr("activation_alpha", 0.01)))
    if named not in known:
        raise FileFormatError(f"the activation {named!r:.40} of {call.label} is not supported")
    return known[named](y)


def _fused_conv(call: Call, x: Tensor, w: Tensor, bias: Any = None, add: Any = None) -> Tensor:
    from graphflow.io.onnx.import_conv import TABLE as CONV

    made = CONV["Conv"](call, x, w, bias)
    return _activated(call, made if add is None else made + add)


def _gelu(call: Call, x: Tensor, bias: Any = None) -> Tensor:
    return nn.gelu(x if bias is None else x + bias)


def _fast_gelu(call: Call, x: Tensor, bias: Any = None) -> Tensor:
    return nn.gelu(x if bias is None else x + bias, approximate=True)


def _quick_gelu(call: Call, x: Tensor) -> Tensor:
    return nn.swish(x, call.attr("alpha", 1.702))


def _skip_layer_norm(
    call: Call, x: Tensor, skip: Tensor, scale: Tensor, offset: Any = None, bias: Any = None
) -> tuple[Any, ...]:
    total = x + skip if bias is None else x + skip + bias
    made = nn.layer_norm(total, scale, offset, -1, call.attr("epsilon", 1e-12))
    return made, None, None, total


def _skip_rms_norm(call: Call, x: Tensor, skip: Tensor, scale: Tensor, bias: Any = None) -> tuple[Any, ...]:
    total = x + skip if bias is None else x + skip + bias
    return nn.rms_norm(total, scale, -1, call.attr("epsilon", 1e-12)), None, None, total


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


def _attention(
    call: Call, x: Tensor, w: Tensor, bias: Any = None, mask: Any = None, past: Any = None, more: Any = None
) -> Tensor:
    if past is not None or more is not None or call.has("qkv_hidden_sizes"):
        raise FileFormatError("Attention with a past, a bias of scores, or sizes of its own is not supported")
    made = linalg.matmul(x, w) if bias is None else linalg.matmul(x, w) + bias
    q, k, v = arrange.split(made, 3, -1)
    heads = call.attr("num_heads")
    return nn.attention_outputs(
        q,
        k,
        v,
        None if mask is None else _key_mask(mask, x),
        causal=call.flag("unidirectional"),
        scale=call.attr("scale"),
        heads=heads,
        kv_heads=heads,
    ).y


def _key_mask(mask: Tensor, x: Tensor) -> Tensor:
    """Which keys count: [batch, 1, 1, keys] from [batch, keys], or from [batch] lengths."""
    if mask.ndim == 1:
        mask = comparison.less(creation.arange(x.shape[1], dtype=mask.dtype), shape.expand_dims(mask, 1))
    if mask.ndim != 2:
        raise FileFormatError("Attention with a mask of this rank is not supported")
    return shape.expand_dims(
        comparison.not_equal(mask, 0) if mask.dtype is not dtypes.bool_ else mask, (1, 2)
    )


def _quantized_binary(say: Any) -> Any:
    """An operator of two quantized tensors: dequantize, compute, quantize."""

    def say_it(
        call: Call, a: Any, a_scale: Any, a_zero: Any, b: Any, b_scale: Any, b_zero: Any, *y: Any
    ) -> Any:
        left, right = (
            quantization.dequantize_linear(a, a_scale, a_zero),
            quantization.dequantize_linear(b, b_scale, b_zero),
        )
        zero = y[1] if len(y) > 1 else None
        return quantization.quantize_linear(
            say(left, right), y[0], zero, dtype=a.dtype if zero is None else None
        )

    return say_it


def _quantized_unary(say: Any) -> Any:
    def say_it(call: Call, x: Any, x_scale: Any, x_zero: Any, y_scale: Any, y_zero: Any = None) -> Any:
        made = say(call, quantization.dequantize_linear(x, x_scale, x_zero))
        return quantization.quantize_linear(made, y_scale, y_zero, dtype=x.dtype if y_zero is None else None)

    return say_it


def _average(call: Call, x: Tensor) -> Tensor:
    if call.flag("channels_last"):
        raise FileFormatError("QLinearGlobalAveragePool with channels_last is not supported")
    return nn.global_avg_pool(x, keepdims=True)


NAMES: dict[str, Any] = {
    "Attention": _attention,
    "BiasGelu": _gelu,
    "EmbedLayerNormalization": _embed_layer_norm,
    "FastGelu": _fast_gelu,
    "FusedConv": _fused_conv,
    "FusedGemm": lambda call, *given: _activated(call, SHAPE["Gemm"](call, *given)),
    "FusedMatMul": _fused_matmul,
    "Gelu": _gelu,
    "QLinearAdd": _quantized_binary(elementwise.add),
    "QLinearGlobalAveragePool": _quantized_unary(_average),
    "QLinearLeakyRelu": _quantized_unary(ELEMENTWISE["LeakyRelu"]),
    "QLinearMul": _quantized_binary(elementwise.multiply),
    "QLinearSigmoid": _quantized_unary(ELEMENTWISE["Sigmoid"]),
    "QuickGelu": _quick_gelu,
    "SkipLayerNormalization": _skip_layer_norm,
    "SkipSimplifiedLayerNormalization": _skip_rms_norm,
}

TABLE: dict[tuple[str, str], Any] = {
    **{(DOMAIN, name): found for name, found in NAMES.items()},
    (DOMAIN, "LayerNormalization"): layer_norm,
    (DOMAIN, "SimplifiedLayerNormalization"): simplified_layer_norm,
}
