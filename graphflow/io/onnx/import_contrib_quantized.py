"""Import of onnxruntime's quantized operators of com.microsoft, most as: dequantize, compute, quantize."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call
from graphflow.io.onnx.import_conv import TABLE as CONV
from graphflow.io.onnx.import_elementwise import TABLE as ELEMENTWISE
from graphflow.io.onnx.import_quantization import TABLE as QUANTIZATION
from graphflow.io.onnx.import_recurrent import TABLE as RECURRENT
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import (
    casting,
    comparison,
    creation,
    elementwise,
    indexing,
    linalg,
    quantization,
    quantized_products,
    shape,
    standard,
)


def _of(x: Tensor, scale: Tensor, zero: Any = None) -> Tensor:
    """The floats that quantized numbers stand for."""
    return quantization.dequantize_linear(x, scale, zero)


def _quantized(y: Tensor, scale: Tensor, zero: Any, like: Tensor) -> Tensor:
    """Floats quantized, to the dtype of the zero point, or that of another tensor."""
    return quantization.quantize_linear(y, scale, zero, dtype=like.dtype if zero is None else None)


def _binary(say: Any) -> Any:
    def say_it(
        call: Call, a: Any, a_scale: Any, a_zero: Any, b: Any, b_scale: Any, b_zero: Any, *y: Any
    ) -> Any:
        zero = y[1] if len(y) > 1 else None
        return _quantized(say(_of(a, a_scale, a_zero), _of(b, b_scale, b_zero)), y[0], zero, a)

    return say_it


def _conv(call: Call, x: Tensor, *given: Any) -> Tensor:
    """With the kernels of Conv, whether channels are last or not."""
    turned = _spatial(lambda call, x: QUANTIZATION["QLinearConv"](call, x, *given))
    made: Tensor = turned(call, x)
    return made


def _unary(say: Any) -> Any:
    def say_it(call: Call, x: Any, x_scale: Any, x_zero: Any, y_scale: Any, y_zero: Any = None) -> Any:
        return _quantized(say(call, _of(x, x_scale, x_zero)), y_scale, y_zero, x)

    return say_it


def _spatial(say: Any) -> Any:
    """A pooling whose image may have its channels last."""

    def say_it(call: Call, x: Tensor) -> Tensor:
        if not call.flag("channels_last"):
            made: Tensor = say(call, x)
            return made
        turned = say(call, shape.permute_dims(x, (0, x.ndim - 1, *range(1, x.ndim - 1))))
        return shape.permute_dims(turned, (0, *range(2, x.ndim), 1))

    return say_it


def _softmax(call: Call, x: Tensor) -> Tensor:
    """Along an axis since opset 13, over all axes from one on before."""
    if call.attr("opset", 13) >= 13 or not call.has("axis"):
        return nn.softmax(x, call.attr("axis", -1))
    made: Tensor = ELEMENTWISE["Softmax"](call, x)
    return made


def _concat(call: Call, y_scale: Tensor, y_zero: Tensor, *given: Any) -> Tensor:
    if len(given) % 3:
        raise FileFormatError(
            f"{call.label} needs a scale and a zero point for each tensor", hint="get the model again"
        )
    parts = [_of(*given[place : place + 3]) for place in range(0, len(given), 3)]
    return _quantized(standard.concat(*parts, axis=call.attr("axis")), y_scale, y_zero, given[0])


def _where(call: Call, chosen: Tensor, *given: Any) -> Tensor:
    x, x_scale, x_zero, y, y_scale, y_zero, scale, zero = given
    made = comparison.where(chosen, _of(x, x_scale, x_zero), _of(y, y_scale, y_zero))
    return _quantized(made, scale, zero, x)


def matmul_to_float(
    call: Call,
    a: Tensor,
    b: Tensor,
    a_scale: Tensor,
    b_scale: Tensor,
    a_zero: Any = None,
    b_zero: Any = None,
    bias: Any = None,
) -> Tensor:
    """A product of whole numbers, and what it stands for."""
    made = casting.astype(quantized_products.matmul_integer(a, b, a_zero, b_zero), a_scale.dtype)
    scaled = made * (a_scale * b_scale)
    return scaled if bias is None else scaled + bias


def _dynamic_matmul(
    call: Call, a: Tensor, b: Tensor, b_scale: Tensor, b_zero: Any = None, bias: Any = None
) -> Tensor:
    made, scale, zero = quantized_products.dynamic_quantize_linear(a)
    return matmul_to_float(call, made, b, scale, b_scale, zero, b_zero, bias)


def _gemm(
    call: Call,
    a: Tensor,
    a_scale: Tensor,
    a_zero: Any,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Any,
    c: Any = None,
    y_scale: Any = None,
    y_zero: Any = None,
) -> Tensor:
    left = linalg.matrix_transpose(a) if call.flag("transA") else a
    right = linalg.matrix_transpose(b) if call.flag("transB") else b
    made = quantized_products.matmul_integer(left, right, a_zero, b_zero)
    total = made if c is None else made + c
    scaled = casting.astype(total, dtypes.float32) * (a_scale * b_scale * call.attr("alpha", 1.0))
    return scaled if y_scale is None else _quantized(scaled, y_scale, y_zero, a)


def _embed_layer_norm(
    call: Call,
    words: Tensor,
    segments: Any,
    word_table: Tensor,
    position_table: Tensor,
    segment_table: Any,
    gamma: Tensor,
    beta: Tensor,
    mask: Any,
    *scales_and_zeros: Any,
) -> tuple[Any, ...]:
    """With tables and parameters of 8 bits, of which only the rows that are looked up become floats."""
    words_of, positions_of, segments_of, scale_of, offset_of = zip(
        scales_and_zeros[:5], scales_and_zeros[5:], strict=True
    )
    where = creation.arange(words.shape[1], dtype=dtypes.int32)
    parts = [(word_table, words, words_of), (position_table, where, positions_of)]
    if segments is not None and segment_table is not None:
        parts.append((segment_table, segments, segments_of))
    total, *rest = (_of(indexing.take(table, rows, 0), *how) for table, rows, how in parts)
    for one in rest:
        total = total + one
    scale, offset = _of(gamma, *scale_of), _of(beta, *offset_of)
    made = nn.layer_norm(total, scale, offset, -1, call.attr("epsilon", 1e-12))
    return made, counted(words, mask)


def counted(words: Tensor, mask: Any) -> Tensor:
    """How many words of each sentence a mask keeps; 0 without one."""
    if mask is None:
        return creation.zeros((words.shape[0],), dtypes.int32)
    return casting.astype(standard.sum(casting.astype(mask, dtypes.int32), 1), dtypes.int32)


def _lstm(
    call: Call,
    x: Tensor,
    w: Tensor,
    r: Tensor,
    b: Any = None,
    lengths: Any = None,
    state: Any = None,
    cell: Any = None,
    peephole: Any = None,
    w_scale: Any = None,
    w_zero: Any = None,
    r_scale: Any = None,
    r_zero: Any = None,
) -> Any:
    """With the floats that the weights stand for; onnxruntime also rounds what meets them to 8 bits."""
    kernels = [_kernel(w, w_scale, w_zero), _kernel(r, r_scale, r_zero)]
    return RECURRENT["LSTM"](call, x, *kernels, b, lengths, state, cell, peephole)


def _kernel(w: Tensor, scale: Tensor, zero: Any) -> Tensor:
    """[directions, 4 * size, inputs] of [directions, inputs, 4 * size]."""
    spread = (scale.shape[0], 1, scale.shape[1] if scale.ndim == 2 else 1)
    middle = casting.astype(standard.reshape(zero, spread), scale.dtype)
    floats = (casting.astype(w, scale.dtype) - middle) * standard.reshape(scale, spread)
    return linalg.matrix_transpose(floats)


TABLE: dict[str, Any] = {
    "DynamicQuantizeLSTM": _lstm,
    "DynamicQuantizeMatMul": _dynamic_matmul,
    "MatMulIntegerToFloat": matmul_to_float,
    "QEmbedLayerNormalization": _embed_layer_norm,
    "QGemm": _gemm,
    "QLinearAdd": _binary(elementwise.add),
    "QLinearAveragePool": _unary(_spatial(CONV["AveragePool"])),
    "QLinearConcat": _concat,
    "QLinearConv": _conv,
    "QLinearGlobalAveragePool": _unary(_spatial(CONV["GlobalAveragePool"])),
    "QLinearLeakyRelu": _unary(ELEMENTWISE["LeakyRelu"]),
    "QLinearMul": _binary(elementwise.multiply),
    "QLinearSigmoid": _unary(ELEMENTWISE["Sigmoid"]),
    "QLinearSoftmax": _unary(_softmax),
    "QLinearWhere": _where,
}
