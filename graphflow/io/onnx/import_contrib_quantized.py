"""Import of onnxruntime's quantized operators of com.microsoft, most as: dequantize, compute, quantize."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow import nn
from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call
from graphflow.io.onnx.import_conv import TABLE as CONV
from graphflow.io.onnx.import_elementwise import TABLE as ELEMENTWISE
from graphflow.io.onnx.import_quantization import TABLE as QUANTIZATION
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import (
    casting,
    comparison,
    declare,
    elementwise,
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


def _matmul_to_float(
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
    return _matmul_to_float(call, made, b, scale, b_scale, zero, b_zero, bias)


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


def _matmul_bits(
    call: Call,
    a: Tensor,
    b: Tensor,
    scales: Tensor,
    zeros: Any = None,
    order: Any = None,
    bias: Any = None,
) -> Tensor:
    """A product with a matrix whose columns are numbers of few bits, a scale for each block of rows."""
    if order is not None or call.flag("weight_prepacked"):
        raise FileFormatError(
            f"{call.label} with rows in another order is not supported", hint="quantize without g_idx"
        )
    rows, columns = call.attr("K"), call.attr("N")
    width, block = call.attr("bits", 4), call.attr("block_size")
    blocks = -(-rows // block)
    whole = standard.reshape(_unpacked(b, width), (columns, blocks, block))
    middle: Any = declare.constant(np.float32(1 << (width - 1)))
    if zeros is not None and zeros.dtype is dtypes.uint8:
        listed = standard.reshape(zeros, (columns, -(-blocks * width // 8)))
        middle = shape.expand_dims(_unpacked(listed, width)[:, :blocks], 2)
    elif zeros is not None:
        middle = standard.reshape(zeros, (columns, blocks, 1))
    centred = casting.astype(whole, scales.dtype) - casting.astype(middle, scales.dtype)
    weights = standard.reshape(
        centred * standard.reshape(scales, (columns, blocks, 1)), (columns, blocks * block)
    )
    made = linalg.matmul(a, linalg.matrix_transpose(weights[:, :rows]))
    return made if bias is None else made + bias


def _unpacked(x: Tensor, width: int) -> Tensor:
    """The numbers of so many bits in bytes, the lowest first, along the last axis."""
    if width == 8:
        return x
    if width not in (2, 4):
        raise FileFormatError(f"numbers of {width} bits are not supported", hint="2, 4 and 8 bits are")
    each = 8 // width
    steps = declare.constant(np.arange(each, dtype=np.uint8) * np.uint8(width))
    shifted = comparison.bitwise_right_shift(shape.expand_dims(x, -1), steps)
    low = comparison.bitwise_and(shifted, declare.constant(np.uint8((1 << width) - 1)))
    return standard.reshape(low, (*x.shape[:-1], x.shape[-1] * each))


TABLE: dict[str, Any] = {
    "DynamicQuantizeMatMul": _dynamic_matmul,
    "MatMulIntegerToFloat": _matmul_to_float,
    "MatMulNBits": _matmul_bits,
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
