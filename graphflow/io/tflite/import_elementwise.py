"""Import of operators on single elements: arithmetic, comparisons, functions, activations, conversions."""

from __future__ import annotations

import functools
from typing import Any

from graphflow import nn
from graphflow.io.tflite.call import ACTIVATIONS, Call
from graphflow.io.tflite.tensors import dtype_of
from graphflow.ir.node import Tensor
from graphflow.ops import (
    bits,
    casting,
    comparison,
    complex,
    elementwise,
    functions,
    rounding,
    standard,
    trigonometry,
)


def _plain(say: Any) -> Any:
    """A function that takes just the inputs."""
    return lambda call, *xs: say(*xs)


def _fused(say: Any) -> Any:
    """A function of the inputs, whose result goes through an activation."""
    return lambda call, *xs: call.activated(say(*xs))


def divided(x: Tensor, y: Tensor) -> Tensor:
    """x / y, towards 0 for integers."""
    if not x.dtype.is_integer:
        return elementwise.divide(x, y)
    return elementwise.floor_divide(elementwise.subtract(x, elementwise.fmod(x, y)), y)


def _pow(call: Call, x: Tensor, y: Tensor) -> Tensor:
    return casting.astype(elementwise.pow(x, y), x.dtype)


def _cast(call: Call, x: Tensor) -> Tensor:
    return casting.astype(x, dtype_of(call.output_info().kind))


def _bitcast(call: Call, x: Tensor) -> Tensor:
    return bits.bitcast(x, dtype_of(call.output_info().kind))


def _softmax(call: Call, x: Tensor) -> Tensor:
    beta = call.option("Beta", 1.0)
    return nn.softmax(x if beta == 1 else x * beta, -1)


def _l2_normalization(call: Call, x: Tensor) -> Tensor:
    length = functions.sqrt(standard.sum(elementwise.square(x), -1, True))
    return call.activated(elementwise.divide(x, elementwise.maximum(length, 1e-6)))


def _select(call: Call, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A condition of fewer axes chooses rows."""
    if condition.ndim == 1 and x.ndim > 1:
        condition = standard.reshape(condition, (*condition.shape, *(1,) * (x.ndim - 1)))
    return comparison.where(condition, x, y)


def _activation(number: int) -> Any:
    return lambda call, x: ACTIVATIONS[number](x)


def _same(call: Call, x: Tensor) -> Tensor:
    return rounding.identity(x)


def _fake_quant(call: Call, x: Tensor) -> Tensor:
    """The range is moved so that 0 is one of its steps; then x is clipped and rounded to a step."""
    low, high = call.option("Min"), call.option("Max")
    steps = (1 << call.option("NumBits", 8)) - 1 - bool(call.option("NarrowRange", False))
    scale = (high - low) / steps
    low = -round(min(max(-low / scale, 0.0), steps)) * scale
    clipped = elementwise.minimum(elementwise.maximum(x, low), low + steps * scale)
    return rounding.floor((clipped - low) / scale + 0.5) * scale + low


SAME = {
    "ABS": elementwise.abs,
    "ATAN2": trigonometry.atan2,
    "BITWISE_XOR": comparison.bitwise_xor,
    "CEIL": rounding.ceil,
    "COMPLEX_ABS": elementwise.abs,
    "COS": trigonometry.cos,
    "ELU": nn.elu,
    "EQUAL": comparison.equal,
    "EXP": functions.exp,
    "FLOOR": rounding.floor,
    "FLOOR_DIV": elementwise.floor_divide,
    "FLOOR_MOD": elementwise.remainder,
    "GREATER": comparison.greater,
    "GREATER_EQUAL": comparison.greater_equal,
    "HARD_SWISH": nn.hard_swish,
    "IMAG": complex.imag,
    "LESS": comparison.less,
    "LESS_EQUAL": comparison.less_equal,
    "LOG": functions.log,
    "LOGICAL_AND": comparison.logical_and,
    "LOGICAL_NOT": comparison.logical_not,
    "LOGICAL_OR": comparison.logical_or,
    "LOGISTIC": nn.sigmoid,
    "LOG_SOFTMAX": nn.log_softmax,
    "NEG": elementwise.negative,
    "NOT_EQUAL": comparison.not_equal,
    "PRELU": nn.prelu,
    "REAL": complex.real,
    "RIGHT_SHIFT": comparison.bitwise_right_shift,
    "ROUND": rounding.round,
    "RSQRT": functions.rsqrt,
    "SIGN": elementwise.sign,
    "SIN": trigonometry.sin,
    "SQRT": functions.sqrt,
    "SQUARE": elementwise.square,
    "SQUARED_DIFFERENCE": lambda x, y: elementwise.square(elementwise.subtract(x, y)),
    "TANH": trigonometry.tanh,
}

FUSED = {
    "ADD": elementwise.add,
    "DIV": divided,
    "MUL": elementwise.multiply,
    "SUB": elementwise.subtract,
}

TABLE: dict[str, Any] = {
    **{name: _plain(say) for name, say in SAME.items()},
    **{name: _fused(say) for name, say in FUSED.items()},
    "ADD_N": lambda call, *xs: functools.reduce(elementwise.add, xs),
    "DEQUANTIZE": _cast,
    "FAKE_QUANT": _fake_quant,
    "GELU": lambda call, x: nn.gelu(x, bool(call.option("Approximate", False))),
    "L2_NORMALIZATION": _l2_normalization,
    "LEAKY_RELU": lambda call, x: nn.leaky_relu(x, call.option("Alpha", 0.0)),
    "POW": _pow,
    "QUANTIZE": _same,
    "RELU": _activation(1),
    "RELU6": _activation(3),
    "RELU_0_TO_1": lambda call, x: elementwise.minimum(elementwise.maximum(x, 0), 1),
    "RELU_N1_TO_1": _activation(2),
    "SOFTMAX": _softmax,
}

STORED: dict[str, Any] = {"BITCAST": _bitcast, "CAST": _cast}
"""A conversion is one of the whole numbers, not of what they stand for."""

MOVES: dict[str, Any] = {
    "MAXIMUM": _plain(elementwise.maximum),
    "MINIMUM": _plain(elementwise.minimum),
    "SELECT": _select,
    "SELECT_V2": _plain(comparison.where),
}
"""The largest of whole numbers stands for the largest number."""
