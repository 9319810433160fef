"""Import of quantization: conversions, and products of whole numbers."""

from __future__ import annotations

from typing import Any

from graphflow.io.onnx.call import Call
from graphflow.io.onnx.import_conv import window
from graphflow.ir.node import Tensor
from graphflow.ops import quantization, quantized_products


def _quantize(call: Call, x: Tensor, scale: Tensor, zero: Any = None) -> Tensor:
    return quantization.quantize_linear(
        x,
        scale,
        zero,
        axis=call.attr("axis", 1),
        block_size=call.attr("block_size", 0),
        dtype=call.dtype("output_dtype"),
        saturate=call.flag("saturate", True),
        precision=call.dtype("precision"),
    )


def _dequantize(call: Call, x: Tensor, scale: Tensor, zero: Any = None) -> Tensor:
    return quantization.dequantize_linear(
        x,
        scale,
        zero,
        axis=call.attr("axis", 1),
        block_size=call.attr("block_size", 0),
        dtype=call.dtype("output_dtype"),
    )


def _conv_integer(call: Call, x: Tensor, w: Tensor, x_zero: Any = None, w_zero: Any = None) -> Tensor:
    return quantized_products.conv_integer(x, w, x_zero, w_zero, **window(call))


def _qlinear_conv(call: Call, *given: Any) -> Tensor:
    return quantized_products.qlinear_conv(*given, **window(call))


TABLE: dict[str, Any] = {
    "ConvInteger": _conv_integer,
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": lambda call, x: quantized_products.dynamic_quantize_linear(x),
    "MatMulInteger": lambda call, *given: quantized_products.matmul_integer(*given),
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": lambda call, *given: quantized_products.qlinear_matmul(*given),
    "QuantizeLinear": _quantize,
}
