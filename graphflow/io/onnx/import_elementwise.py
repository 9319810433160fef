"""Import of operators on single elements: arithmetic, comparisons, functions, activations, conversions."""

from __future__ import annotations

import functools
from typing import Any

from graphflow import nn
from graphflow.io.onnx.call import Call
from graphflow.ir import dims, dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import (
    bits,
    casting,
    comparison,
    elementwise,
    functions,
    linalg,
    rounding,
    standard,
    statistics,
    trigonometry,
)
from graphflow.ops.shape_values import shape_value


def _plain(say: Any) -> Any:
    """A function that takes just the inputs."""
    return lambda call, *xs: say(*xs)


def aligned(call: Call, x: Tensor, y: Tensor) -> Tensor:
    """The second operand of an operator before opset 7, which told the axis at which it begins."""
    if call.version >= 7 or not call.flag("broadcast") or not call.has("axis"):
        return y
    axis = call.attr("axis")
    behind = x.ndim - (axis + x.ndim if axis < 0 else axis) - y.ndim
    return standard.reshape(y, (*y.shape, *(1,) * behind))


def _binary(say: Any) -> Any:
    return lambda call, x, y: say(x, aligned(call, x, y))


def divided(x: Any, y: Any) -> Tensor:
    """x / y, towards 0 for integers."""
    if not x.dtype.is_integer:
        return elementwise.divide(x, y)
    if x.dtype.kind == "uint":
        return elementwise.floor_divide(x, y)
    return _divided_integers(x, y)


def _divided_integers(x: Tensor, y: Tensor) -> Tensor:
    """The quotient, rounded down where nothing is negative: that of sizes is a size then."""
    if _at_least(x, 0) and _at_least(y, 1):
        return elementwise.floor_divide(x, y)
    return elementwise.floor_divide(elementwise.subtract(x, elementwise.fmod(x, y)), y)


def _at_least(x: Tensor, low: int) -> bool:
    """Whether all elements are known to be so large."""
    value = shape_value(x)
    return value is not None and all(
        dims.maximum(entry, low) == entry for entry in value.reshape(-1).tolist()
    )


def _chain(say: Any) -> Any:
    """An operator of any number of inputs."""
    return lambda call, *xs: functools.reduce(say, xs)


def _mean(call: Call, *xs: Tensor) -> Tensor:
    return functools.reduce(elementwise.add, xs) / len(xs)


def _mod(call: Call, x: Tensor, y: Tensor) -> Tensor:
    return elementwise.fmod(x, y) if call.flag("fmod") else elementwise.remainder(x, y)


def _pow(call: Call, x: Tensor, y: Tensor) -> Tensor:
    return casting.astype(elementwise.pow(x, aligned(call, x, y)), x.dtype)


def _bit_shift(call: Call, x: Tensor, y: Tensor) -> Tensor:
    return (
        comparison.bitwise_left_shift if call.attr("direction") == "LEFT" else comparison.bitwise_right_shift
    )(x, y)


def _is_inf(call: Call, x: Tensor) -> Tensor:
    found = rounding.is_inf(x)
    if not call.flag("detect_negative", True):
        found = comparison.logical_and(found, comparison.greater(x, 0))
    if not call.flag("detect_positive", True):
        found = comparison.logical_and(found, comparison.less(x, 0))
    return found


def _clip(call: Call, x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    if call.version < 11:
        low, high = call.attr("min"), call.attr("max")
    return statistics.clip(x, low, high)


def _cast(call: Call, x: Tensor, like: Tensor | None = None) -> Tensor:
    target = like.dtype if like is not None else None
    if isinstance(call.attr("to"), str):  # as before opset 6
        target = dtypes.as_dtype(
            {"float": "float32", "double": "float64"}.get(call.attr("to").lower(), call.attr("to").lower())
        )
    elif target is None:
        target = call.dtype("to")
    saturate, mode = call.flag("saturate", True), call.attr("round_mode", "up")
    return casting.astype(x, target, saturate=saturate, round_mode=mode)


def _bitcast(call: Call, x: Tensor) -> Tensor:
    return bits.bitcast(x, call.dtype("to"))


def _prelu(call: Call, x: Tensor, slope: Tensor) -> Tensor:
    if call.version < 7 and slope.ndim == 1 and slope.shape[0] != 1:
        slope = standard.reshape(slope, (*slope.shape, *(1,) * (x.ndim - 2)))
    return nn.prelu(x, slope)


def _with(say: Any, **defaults: float) -> Any:
    """A function of the input and numbers that are attributes."""
    return lambda call, x: say(x, *[call.attr(name, value) for name, value in defaults.items()])


def _selu(call: Call, x: Tensor) -> Tensor:
    new = call.version >= 6
    alpha = call.attr("alpha", 1.67326319217681884765625 if new else 1.6732)
    return call.attr("gamma", 1.05070102214813232421875 if new else 1.0507) * nn.elu(x, alpha)


def _gelu(call: Call, x: Tensor) -> Tensor:
    return nn.gelu(x, call.attr("approximate", "none") == "tanh")


def _parametric_softplus(call: Call, x: Tensor) -> Tensor:
    return call.attr("alpha", 1.0) * nn.softplus(call.attr("beta", 1.0) * x)


def _flat(say: Any) -> Any:
    """A softmax, which before opset 13 saw all axes from one on as a single one."""

    def say_it(call: Call, x: Tensor) -> Tensor:
        if call.version >= 13:
            return say(x, call.attr("axis", -1))
        axis = call.attr("axis", 1)
        place = axis + x.ndim if axis < 0 else axis
        if place == x.ndim - 1:
            return say(x, -1)
        flat = standard.reshape(x, (*x.shape[:place], -1)) if all(x.shape[place:]) else x
        return standard.reshape(say(flat, -1), x.shape) if flat is not x else x

    return say_it


def _swiglu(call: Call, gate: Tensor, x: Tensor) -> Tensor:
    return nn.swiglu(gate, x, call.attr("alpha", 1.0))


SAME = {
    "Abs": elementwise.abs,
    "Acos": trigonometry.acos,
    "Acosh": trigonometry.acosh,
    "Asin": trigonometry.asin,
    "Asinh": trigonometry.asinh,
    "Atan": trigonometry.atan,
    "Atanh": trigonometry.atanh,
    "BitwiseAnd": comparison.bitwise_and,
    "BitwiseNot": comparison.bitwise_invert,
    "BitwiseOr": comparison.bitwise_or,
    "BitwiseXor": comparison.bitwise_xor,
    "Ceil": rounding.ceil,
    "Cos": trigonometry.cos,
    "Cosh": trigonometry.cosh,
    "Erf": functions.erf,
    "Exp": functions.exp,
    "Floor": rounding.floor,
    "GreaterOrEqual": comparison.greater_equal,
    "HardSwish": nn.hard_swish,
    "IsNaN": rounding.is_nan,
    "LessOrEqual": comparison.less_equal,
    "Log": functions.log,
    "MatMul": linalg.matmul,
    "Mish": nn.mish,
    "Neg": elementwise.negative,
    "Not": comparison.logical_not,
    "Reciprocal": elementwise.reciprocal,
    "Relu": nn.relu,
    "Round": rounding.round,
    "Sigmoid": nn.sigmoid,
    "Sign": elementwise.sign,
    "Sin": trigonometry.sin,
    "Sinh": trigonometry.sinh,
    "Softplus": nn.softplus,
    "Softsign": nn.softsign,
    "Sqrt": functions.sqrt,
    "Tan": trigonometry.tan,
    "Tanh": trigonometry.tanh,
    "Where": comparison.where,
}

BINARY = {
    "Add": elementwise.add,
    "And": comparison.logical_and,
    "Div": divided,
    "Equal": comparison.equal,
    "Greater": comparison.greater,
    "Less": comparison.less,
    "Mul": elementwise.multiply,
    "Or": comparison.logical_or,
    "Sub": elementwise.subtract,
    "Xor": comparison.logical_xor,
}

TABLE: dict[str, Any] = {
    **{name: _plain(say) for name, say in SAME.items()},
    **{name: _binary(say) for name, say in BINARY.items()},
    "Affine": lambda call, x: call.attr("alpha", 1.0) * x + call.attr("beta", 0.0),
    "BitCast": _bitcast,
    "BitShift": _bit_shift,
    "Cast": _cast,
    "CastLike": _cast,
    "Celu": _with(nn.celu, alpha=1.0),
    "Clip": _clip,
    "Elu": _with(nn.elu, alpha=1.0),
    "Gelu": _gelu,
    "HardSigmoid": _with(nn.hard_sigmoid, alpha=0.2, beta=0.5),
    "Hardmax": _flat(nn.hardmax),
    "IsInf": _is_inf,
    "LeakyRelu": _with(nn.leaky_relu, alpha=0.01),
    "LogSoftmax": _flat(nn.log_softmax),
    "Max": _chain(elementwise.maximum),
    "Mean": _mean,
    "Min": _chain(elementwise.minimum),
    "Mod": _mod,
    "PRelu": _prelu,
    "ParametricSoftplus": _parametric_softplus,
    "Pow": _pow,
    "ScaledTanh": lambda call, x: call.attr("alpha", 1.0) * trigonometry.tanh(call.attr("beta", 1.0) * x),
    "Selu": _selu,
    "Shrink": _with(nn.shrink, lambd=0.5, bias=0.0),
    "Softmax": _flat(nn.softmax),
    "Sum": _chain(elementwise.add),
    "SwiGLU": _swiglu,
    "Swish": _with(nn.swish, alpha=1.0),
    "ThresholdedRelu": _with(nn.thresholded_relu, alpha=1.0),
}
