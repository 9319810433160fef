"""ONNX's own cases of the operators that are small, computed by what the vocabulary says for each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

import graphflow as gf
from graphflow.ir.interpret import evaluate
from graphflow.ops.onnx_vocabulary import SPELLINGS
from tests.onnx_cases import Case, cases

Said = Callable[..., Any]

SAME: dict[str, Said] = {
    "Abs": gf.abs, "Acos": gf.acos, "Acosh": gf.acosh, "Add": gf.add, "And": gf.logical_and, "Asin": gf.asin,
    "Asinh": gf.asinh, "Atan": gf.atan, "Atanh": gf.atanh, "BitwiseAnd": gf.bitwise_and,
    "BitwiseNot": gf.bitwise_invert, "BitwiseOr": gf.bitwise_or, "BitwiseXor": gf.bitwise_xor,
    "Ceil": gf.ceil, "Celu": gf.nn.celu, "Clip": gf.clip, "Cos": gf.cos, "Cosh": gf.cosh, "Elu": gf.nn.elu,
    "Equal": gf.equal, "Erf": gf.erf, "Exp": gf.exp, "Floor": gf.floor, "Greater": gf.greater,
    "GreaterOrEqual": gf.greater_equal, "HardSwish": gf.nn.hard_swish, "IsNaN": gf.is_nan,
    "LeakyRelu": gf.nn.leaky_relu, "Less": gf.less, "LessOrEqual": gf.less_equal, "Log": gf.log,
    "MatMul": gf.matmul, "Mish": gf.nn.mish, "Mul": gf.multiply, "Neg": gf.negative, "Not": gf.logical_not,
    "Or": gf.logical_or, "PRelu": gf.nn.prelu, "Reciprocal": gf.reciprocal,
    "Relu": gf.nn.relu, "Round": gf.round, "Sigmoid": gf.nn.sigmoid, "Sign": gf.sign, "Sin": gf.sin,
    "Sinh": gf.sinh, "Softplus": gf.nn.softplus, "Softsign": gf.nn.softsign, "Sqrt": gf.sqrt,
    "Sub": gf.subtract, "SwiGLU": gf.nn.swiglu, "Swish": gf.nn.swish, "Tan": gf.tan, "Tanh": gf.tanh,
    "ThresholdedRelu": gf.nn.thresholded_relu, "Where": gf.where, "Xor": gf.logical_xor,
}  # fmt: skip
"""Operators whose inputs and attributes are just those of the function."""


def _numbers(values: np.ndarray | None) -> Any:
    """What a tensor of sizes or axes says, as Python numbers."""
    return None if values is None else np.asarray(values).tolist()


def _arg(find: Said, x: np.ndarray, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
    if not select_last_index:
        return find(x, axis=axis, keepdims=bool(keepdims))
    return x.shape[axis] - 1 - find(gf.flip(x, axis=axis), axis=axis, keepdims=bool(keepdims))


def _bit_shift(x: Any, y: Any, direction: str) -> Any:
    return gf.bitwise_left_shift(x, y) if direction == "LEFT" else gf.bitwise_right_shift(x, y)


def _is_inf(x: Any, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    found = gf.is_inf(x)
    found = found if detect_negative else gf.logical_and(found, gf.greater(x, 0))
    return found if detect_positive else gf.logical_and(found, gf.less(x, 0))


def _gemm(
    a: Any, b: Any, c: Any = 0, alpha: float = 1, beta: float = 1, transA: int = 0, transB: int = 0
) -> Any:
    left = gf.matrix_transpose(a) if transA else a
    right = gf.matrix_transpose(b) if transB else b
    return alpha * gf.matmul(left, right) + beta * gf.constant(c, np.asarray(a).dtype)


def _one_hot(indices: np.ndarray, depth: np.ndarray, values: np.ndarray, axis: int = -1) -> Any:
    whole, count = gf.astype(indices, gf.int64), int(np.asarray(depth).reshape(()))
    chosen = gf.one_hot(gf.where(whole < 0, whole + count, whole), count, axis, gf.bool)
    return gf.where(chosen, values[1], values[0])


def _eye(x: np.ndarray, k: int = 0, dtype: int | None = None) -> Any:
    kind = x.dtype if dtype is None else onnx.helper.tensor_dtype_to_np_dtype(dtype)
    return gf.eye(*x.shape, k=k, dtype=kind)


def _trilu(x: np.ndarray, k: Any = 0, upper: int = 1) -> Any:
    return (gf.triu if upper else gf.tril)(x, int(k))


def _pad(x: Any, pads: Any, value: Any = 0, axes: Any = None, mode: str = "constant") -> Any:
    flat = _numbers(pads)
    pairs = list(zip(flat[: len(flat) // 2], flat[len(flat) // 2 :]))
    return gf.pad(x, pairs, mode, 0 if value is None else gf.constant(value), _numbers(axes))


def _slice(x: Any, starts: Any, stops: Any, axes: Any = None, steps: Any = None) -> Any:
    return gf.slice(
        x, *(None if part is None else tuple(_numbers(part)) for part in (starts, stops, steps, axes))
    )


def _split(
    x: np.ndarray, sizes: Any = None, axis: int = 0, num_outputs: int | None = None, asked: int = 0
) -> Any:
    if sizes is not None:
        return gf.split(x, _numbers(sizes), axis)
    count, size = num_outputs or asked, x.shape[axis]
    piece = -(-size // count)
    return gf.split(x, [min(piece, size - piece * index) for index in range(count)], axis)


def _expand(x: np.ndarray, shape: Any) -> Any:
    return gf.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(_numbers(shape))))


def _reduced(
    say: Said, x: Any, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0, **old: Any
) -> Any:
    given = _numbers(axes) if axes is not None else old.get("axes")
    if not given:
        given = () if noop_with_empty_axes else None
    return say(x, given, bool(keepdims))


def _compress(x: np.ndarray, condition: np.ndarray, axis: int | None = None) -> Any:
    return gf.compress(condition, x, axis, size=int(condition.sum()))


def _unique(x: np.ndarray, asked: np.ndarray, axis: int | None = None, sorted: int = 1) -> Any:
    size = asked.shape[0 if axis is None else axis]
    values, indices, inverse, counts = gf.unique(x, axis, bool(sorted), size)
    return values, indices, gf.reshape(inverse, (-1,)), counts


def _nll(
    x: Any, labels: Any, weights: Any = None, reduction: str = "mean", ignore_index: int | None = None
) -> Any:
    return gf.nn.nll(x, labels, reduction, 1, weights, ignore_index)


def _cross_entropy(
    x: Any, labels: Any, weights: Any = None, reduction: str = "mean", ignore_index: int | None = None
) -> Any:
    loss = gf.nn.cross_entropy(x, labels, reduction, 1, weights, ignore_index)
    return loss, gf.nn.log_softmax(x, 1)


def _running(say: Said, x: Any, axis: Any, exclusive: int = 0, reverse: int = 0) -> Any:
    made = say(x, int(axis), bool(exclusive), bool(reverse))
    return gf.astype(made, np.asarray(x).dtype)


def _top_k(x: Any, k: Any, axis: int = -1, largest: int = 1, sorted: int = 1) -> Any:
    return gf.top_k(x, int(np.asarray(k).reshape(())), axis, bool(largest))


def _hard_sigmoid(x: Any, alpha: float = 0.2, beta: float = 0.5) -> Any:
    return gf.nn.hard_sigmoid(x, alpha, beta)


def _selu(x: Any, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Any:
    return gamma * gf.nn.elu(x, alpha)


def _divided(x: Any, y: Any) -> Any:
    whole = np.asarray(x).dtype.kind in "iu"
    return gf.floor_divide(gf.subtract(x, gf.fmod(x, y)), y) if whole else gf.divide(x, y)


def _range(start: Any, stop: Any, step: Any, **_: Any) -> Any:
    return gf.arange(start.item(), stop.item(), step.item(), start.dtype)


def _filled(shape: Any, value: Any = None) -> Any:
    number = np.zeros(1, np.float32) if value is None else onnx.numpy_helper.to_array(value)
    return gf.full(_numbers(shape), number[0].item(), number.dtype)


def _shape(x: Any, start: int = 0, end: int | None = None) -> Any:
    return gf.astype(gf.shape_of(x)[start:end], gf.int64)


DIFFERENT: dict[str, Said] = {
    "ArgMax": functools.partial(_arg, gf.argmax),
    "ArgMin": functools.partial(_arg, gf.argmin),
    "BitShift": _bit_shift,
    "Compress": _compress,
    "ConstantOfShape": _filled,
    "CumProd": functools.partial(_running, gf.cumulative_prod),
    "CumSum": functools.partial(_running, gf.cumulative_sum),
    "Div": _divided,
    "Expand": _expand,
    "EyeLike": _eye,
    "GatherElements": lambda x, i, axis=0: gf.take_along_axis(x, i, axis),
    "GatherND": lambda x, i, batch_dims=0: gf.gather_nd(x, i, batch_dims),
    "Gelu": lambda x, approximate="none": gf.nn.gelu(x, approximate == "tanh"),
    "Gemm": _gemm,
    "HardSigmoid": _hard_sigmoid,
    "Hardmax": lambda x, axis=-1: gf.nn.hardmax(x, axis),
    "IsInf": _is_inf,
    "LogSoftmax": lambda x, axis=-1: gf.nn.log_softmax(x, axis),
    "Max": lambda *xs: functools.reduce(gf.maximum, xs),
    "Mean": lambda *xs: functools.reduce(gf.add, xs) / len(xs),
    "Min": lambda *xs: functools.reduce(gf.minimum, xs),
    "Mod": lambda x, y, fmod=0: gf.fmod(x, y) if fmod else gf.remainder(x, y),
    "NegativeLogLikelihoodLoss": _nll,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Pow": lambda x, y: gf.astype(gf.pow(x, y), x.dtype),
    "Range": _range,
    "ReduceL1": functools.partial(_reduced, lambda x, *how: gf.sum(gf.abs(x), *how)),
    "ReduceL2": functools.partial(_reduced, gf.vector_norm),
    "ReduceLogSum": functools.partial(_reduced, lambda x, *how: gf.log(gf.sum(x, *how))),
    "ReduceLogSumExp": functools.partial(_reduced, gf.logsumexp),
    "ReduceMax": functools.partial(_reduced, gf.max),
    "ReduceMean": functools.partial(_reduced, gf.mean),
    "ReduceMin": functools.partial(_reduced, gf.min),
    "ReduceProd": functools.partial(_reduced, gf.prod),
    "ReduceSum": functools.partial(_reduced, gf.sum),
    "ReduceSumSquare": functools.partial(_reduced, lambda x, *how: gf.sum(gf.square(x), *how)),
    "ReverseSequence": gf.reverse_sequence,
    "ScatterElements": lambda x, i, v, axis=0, reduction="none": gf.put_along_axis(x, i, v, axis, reduction),
    "ScatterND": gf.scatter_nd,
    "Selu": _selu,
    "Shape": _shape,
    "Shrink": lambda x, lambd=0.5, bias=0.0: gf.nn.shrink(x, lambd, bias),
    "Size": lambda x: gf.prod(gf.shape_of(x)),
    "Slice": _slice,
    "Softmax": lambda x, axis=-1: gf.nn.softmax(x, axis),
    "SoftmaxCrossEntropyLoss": _cross_entropy,
    "Split": _split,
    "Sum": lambda *xs: functools.reduce(gf.add, xs),
    "TensorScatter": gf.nn.cache_update,
    "Tile": lambda x, counts: gf.tile(x, tuple(_numbers(counts))),
    "TopK": _top_k,
    "Trilu": _trilu,
    "Unique": _unique,
}

MODULES = {
    "And": "and_", "NegativeLogLikelihoodLoss": "negativeloglikelihoodloss", "Not": "not_", "Or": "or_",
    "Range": "rangeop", "ReduceLogSum": "reduce_log_sum", "ReduceLogSumExp": "reduce_log_sum_exp",
    "SoftmaxCrossEntropyLoss": "softmax_cross_entropy_loss", "GreaterOrEqual": "greater_or_equal",
    "LessOrEqual": "less_or_equal",
}  # fmt: skip

OTHERWISE = {
    "test_reduce_max_empty_set": "gf.max refuses an axis without elements",
    "test_reduce_max_empty_set_bool": "gf.max refuses an axis without elements",
    "test_reduce_min_empty_set": "gf.min refuses an axis without elements",
}
"""Cases in which GraphFlow does something else, with the reason."""


def _said(operator: str, case: Case) -> list[gf.Tensor]:
    attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in case.attributes.items()}
    inputs: list[Any] = list(case.inputs)
    if operator == "Unique":
        inputs.append(case.outputs[0])
    if operator == "Split":
        attributes["asked"] = len(case.outputs)
    made = (SAME.get(operator) or DIFFERENT[operator])(*inputs, **attributes)
    made = made if isinstance(made, (tuple, list)) else [made]
    return [one if isinstance(one, gf.Tensor) else gf.constant(one) for one in made]


def _close(operator: str, case: Case, result: np.ndarray, expected: Any) -> None:
    expected = np.asarray(expected)
    assert result.dtype == expected.dtype, f"{case.name}: {result.dtype} is not {expected.dtype}"
    assert result.shape == expected.shape, f"{case.name}: {result.shape} is not {expected.shape}"
    if result.dtype.kind not in "fV":
        np.testing.assert_array_equal(result, expected, err_msg=case.name)
        return
    loose = 1e-2 if result.dtype.itemsize == 2 else 1e-5
    pair = result.astype(np.float64), expected.astype(np.float64)
    np.testing.assert_allclose(*pair, rtol=loose, atol=1e-6, err_msg=case.name)


@pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")
@pytest.mark.parametrize("operator", sorted({**SAME, **DIFFERENT}))
def test_cases_of_onnx(operator: str) -> None:
    assert operator in SPELLINGS
    known = [one for one in cases(MODULES.get(operator, operator.lower()), operator)]
    known = [one for one in known if one.name not in OTHERWISE]
    assert known, f"ONNX has no case of {operator}"
    for case in known:
        results = evaluate(_said(operator, case))
        for result, expected in zip(results, case.outputs):
            if expected is not None:
                _close(operator, case, result, expected)


def test_exceptions_are_still_exceptions() -> None:
    for name in OTHERWISE:
        operator = "ReduceMax" if "max" in name else "ReduceMin"
        (case,) = [one for one in cases(operator.lower(), operator) if one.name == name]
        with pytest.raises(gf.GraphFlowError):
            _said(operator, case)
