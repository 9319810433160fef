"""Export of reductions, running sums, sorting, products of matrices and quantisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.io.onnx.export_shape import reshaped
from graphflow.io.onnx.export_writer import NoForm, Writer, number_or_none
from graphflow.ir import dims, dtypes
from graphflow.ir.found_sizes import is_found
from graphflow.ir.node import Node


def _reduce(op_type: str) -> Any:
    def say(w: Writer, node: Node, x: str) -> Any:
        attrs = node.attrs
        axes = [attrs.axis] if isinstance(attrs.axis, int) else attrs.axis
        every = list(range(node.inputs[0].ndim)) if axes is None else list(axes)
        return reduced(w, op_type, w.cast(x, node.output.dtype), every, attrs.keepdims)

    return say


def reduced(w: Writer, op_type: str, x: str, axes: list[int], keepdims: bool) -> Any:
    """A reduction along axes, which older opsets take as an attribute."""
    if not axes:
        return w.emit("Identity", x)
    if w.opset < 18 and op_type != "ReduceSum":
        return w.emit(op_type, x, axes=axes, keepdims=int(keepdims))
    return w.emit(op_type, x, w.ints(axes), keepdims=int(keepdims))


def _position(op_type: str) -> Any:
    def say(w: Writer, node: Node, x: str) -> Any:
        axis, shape = node.attrs.axis, node.inputs[0].shape
        if axis is None:
            x = reshaped(w, x, (dims.product(shape),))
        made = w.emit(op_type, x, axis=axis or 0, keepdims=int(node.attrs.keepdims and axis is not None))
        return reshaped(w, made, node.output.shape) if axis is None else made

    return say


def _running(op_type: str) -> Any:
    def say(w: Writer, node: Node, x: str) -> Any:
        attrs = node.attrs
        axis = w.constant(np.array(attrs.axis, np.int64))
        options: dict[str, Any] = {"exclusive": int(attrs.exclusive), "reverse": int(attrs.reverse)}
        return w.emit(op_type, w.cast(x, node.output.dtype), axis, **options)

    return say


def _sorted(place: int) -> Any:
    def say(w: Writer, node: Node, x: str) -> str:
        attrs, shape = node.attrs, node.inputs[0].shape
        made = w.emit("TopK", x, w.vector(shape[attrs.axis]), outputs=2, axis=attrs.axis,
                      largest=int(attrs.descending), sorted=1)  # fmt: skip
        return str(made[0]) if place == 0 else w.cast(made[1], node.output.dtype)

    return say


def _top_k(w: Writer, node: Node, x: str) -> Any:
    attrs = node.attrs
    values, places = w.emit(
        "TopK", x, w.vector(attrs.k), outputs=2, axis=attrs.axis, largest=int(attrs.largest), sorted=1
    )
    return values, w.cast(places, node.outputs[1].dtype)


def _argwhere(w: Writer, node: Node, x: str) -> Any:
    count = node.output.shape[0]
    symbol = None if isinstance(count, int) else count.symbol
    if symbol is None or not is_found(symbol.name):
        raise NoForm("ONNX finds all places, and not a number of them that is given")
    return w.emit("Transpose", w.emit("NonZero", w.cast(x, dtypes.bool_)), perm=[1, 0])


def _matmul(w: Writer, node: Node, x: str, y: str) -> Any:
    return w.emit("MatMul", x, y)


def _blocks(w: Writer, node: Node) -> dict[str, Any]:
    """The axis and the block size; the axis is only said where scales belong to it."""
    attrs, scales = node.attrs, node.inputs[1]
    if attrs.block_size and w.opset < 21:
        raise NoForm(f"opset {w.opset} has no scales of blocks")
    axis = attrs.axis if scales.ndim else None
    return {"axis": axis, "block_size": attrs.block_size or None}


def _quantize(w: Writer, node: Node, x: str, scale: str, zero: str) -> Any:
    attrs, options = node.attrs, _blocks(w, node)
    if not attrs.saturate:
        options["saturate"] = 0
    precision = attrs.precision
    if precision is not None and precision is not node.inputs[1].dtype:
        if w.opset < 23:
            raise NoForm(f"QuantizeLinear of opset {w.opset} has no precision")
        options["precision"] = number_or_none(precision)
    if w.dtype(x).kind == "float":
        x = w.cast(x, node.inputs[1].dtype)
    return w.emit("QuantizeLinear", x, scale, zero, kinds=[number_or_none(node.output.dtype)], **options)


def _dequantize(w: Writer, node: Node, x: str, scale: str, zero: str) -> Any:
    target = node.output.dtype
    if target is not node.inputs[1].dtype:
        raise NoForm(f"DequantizeLinear of {node.inputs[1].dtype} scales gives no {target}")
    known = w.shared.arrays.get(zero)
    if known is not None and not known.astype(np.float32).any():
        zero = ""
    return w.emit("DequantizeLinear", x, scale, zero, kinds=[number_or_none(target)], **_blocks(w, node))


TABLE: dict[str, Any] = {
    "all": _reduce("ReduceMin"),
    "any": _reduce("ReduceMax"),
    "argmax": _position("ArgMax"),
    "argmin": _position("ArgMin"),
    "argsort": _sorted(1),
    "argwhere": _argwhere,
    "cumulative_prod": _running("CumProd"),
    "cumulative_sum": _running("CumSum"),
    "dequantize_linear": _dequantize,
    "det": lambda w, node, x: w.emit("Det", x),
    "logsumexp": _reduce("ReduceLogSumExp"),
    "matmul": _matmul,
    "matmul_integer": lambda w, node, *inputs: w.emit("MatMulInteger", *inputs),
    "max": _reduce("ReduceMax"),
    "mean": _reduce("ReduceMean"),
    "min": _reduce("ReduceMin"),
    "prod": _reduce("ReduceProd"),
    "quantize_linear": _quantize,
    "sort": _sorted(0),
    "sum": _reduce("ReduceSum"),
    "top_k": _top_k,
}
