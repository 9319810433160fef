"""Import of ONNX's training operators, ai.onnx.preview.training: Adagrad, Adam, Momentum and Gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.autodiff import reverse
from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call, Value
from graphflow.ir.node import Tensor
from graphflow.ops import casting, comparison, declare, elementwise, functions

DOMAIN = "ai.onnx.preview.training"


def _columns(values: Sequence[Tensor], count: int) -> list[Sequence[Tensor]]:
    """The tensors in groups of what belongs to each variable: all first, all second ..."""
    each = len(values) // count
    return [values[start : start + each] for start in range(0, each * count, each)]


def _regular(call: Call, x: Tensor, slope: Tensor) -> Tensor:
    return slope + call.attr("norm_coefficient", 0.0) * x


def _adagrad(call: Call, rate: Tensor, step: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    xs, slopes, squares = _columns(values, 3)
    decay, epsilon = call.attr("decay_factor", 0.0), call.attr("epsilon", 1e-6)
    r = rate / (1 + casting.astype(step, rate.dtype) * decay)
    totals = [h + elementwise.square(_regular(call, x, g)) for x, g, h in zip(xs, slopes, squares)]
    moved = [
        x - r * _regular(call, x, g) / (functions.sqrt(h) + epsilon) for x, g, h in zip(xs, slopes, totals)
    ]
    return (*moved, *totals)


def _adam(call: Call, rate: Tensor, step: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    xs, slopes, means, squares = _columns(values, 4)
    alpha, beta, epsilon = call.attr("alpha", 0.9), call.attr("beta", 0.999), call.attr("epsilon", 1e-6)
    whole = [_regular(call, x, g) for x, g in zip(xs, slopes)]
    means = [alpha * v + (1 - alpha) * g for v, g in zip(means, whole)]
    squares = [beta * h + (1 - beta) * elementwise.square(g) for h, g in zip(squares, whole)]
    t = casting.astype(step, rate.dtype)
    fixed = rate * functions.sqrt(1 - elementwise.pow(beta, t)) / (1 - elementwise.pow(alpha, t))
    r = comparison.where(comparison.greater(step, 0), fixed, rate)
    moved = [x - r * v / (functions.sqrt(h) + epsilon) for x, v, h in zip(xs, means, squares)]
    after = 1 - call.attr("norm_coefficient_post", 0.0)
    return (*[after * x for x in moved], *means, *squares)


def _momentum(call: Call, rate: Tensor, step: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    xs, slopes, moments = _columns(values, 3)
    alpha, nesterov = call.attr("alpha"), call.attr("mode") == "nesterov"
    beta = comparison.where(
        comparison.greater(step, 0), casting.astype(declare.constant(call.attr("beta")), rate.dtype), 1.0
    )
    whole = [_regular(call, x, g) for x, g in zip(xs, slopes)]
    moments = [alpha * v + beta * g for v, g in zip(moments, whole)]
    ways = [g + alpha * v if nesterov else v for g, v in zip(whole, moments)]
    return (*[x - rate * way for x, way in zip(xs, ways)], *moments)


def _gradient(call: Call, *given: Value) -> tuple[Tensor, ...]:
    names = [*call.attr("xs"), *call.attr("zs", [])]
    found = [call.scope.find(name) for name in names]
    if [id(value) for value in found] != [id(value) for value in given]:
        raise FileFormatError(
            "Gradient at other values than those of its xs is not supported",
            hint="pass the tensors that xs and zs name as inputs",
        )
    y = call.scope.find(call.attr("y"))
    slopes: list[Any] = reverse.gradients(y, found[: len(call.attr("xs"))])
    return tuple(slopes)


TABLE: dict[tuple[str, str], Any] = {
    (DOMAIN, "Adagrad"): _adagrad,
    (DOMAIN, "Adam"): _adam,
    (DOMAIN, "Gradient"): _gradient,
    (DOMAIN, "Momentum"): _momentum,
}
