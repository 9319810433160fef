"""Export of convolutions, poolings, their gradients, and normalization."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.io.onnx.export_shape import filled, padded, ranged, reshaped, sliced, unsqueezed
from graphflow.io.onnx.export_writer import NoForm, Writer
from graphflow.ir import dims
from graphflow.ir.dims import Size
from graphflow.ir.node import Node


def _pads(padding: Sequence[tuple[int, int]]) -> list[int]:
    """ONNX's list of all beginnings and all ends."""
    made = [before for before, _ in padding] + [after for _, after in padding]
    if not all(isinstance(one, int) for one in made):
        raise NoForm("the padding of windows has to be numbers")
    return made


def _window(attrs: Any) -> dict[str, Any]:
    return {
        "strides": list(attrs.strides),
        "pads": _pads(attrs.padding),
        "dilations": list(attrs.dilation),
    }


def _require_floats(node: Node) -> None:
    if node.output.dtype.kind != "float":
        raise NoForm("ONNX convolves floats, or 8-bit integers into 32 bits")


def _conv(w: Writer, node: Node, x: str, kernel: str) -> Any:
    _require_floats(node)
    return w.emit("Conv", x, kernel, group=node.attrs.groups, **_window(node.attrs))


def _transposed(w: Writer, g: str, kernel: str, attrs: Any, wanted: Sequence[Size], groups: int = 1) -> str:
    """The transpose of a convolution without padding, of which the wanted places are cut out."""
    strides = list(attrs.strides)
    rank = len(strides)
    made = w.emit(
        "ConvTranspose", g, kernel, strides=strides, dilations=list(attrs.dilation), group=groups,
        output_padding=[stride - 1 for stride in strides],
    )  # fmt: skip
    begin = [before for before, _ in attrs.padding]
    ends = [before + size for before, size in zip(begin, wanted)]
    return sliced(w, made, begin, ends, [1] * rank, [2 + axis for axis in range(rank)])


def _input_gradient(w: Writer, node: Node, g: str, kernel: str) -> str:
    _require_floats(node)
    attrs = node.attrs
    return _transposed(w, g, kernel, attrs, attrs.input_shape[2:], attrs.groups)


def _weight_gradient(w: Writer, node: Node, x: str, g: str) -> str:
    """A convolution of x by g in which the batch is summed over, and strides and dilation change places."""
    _require_floats(node)
    attrs, groups = node.attrs, node.attrs.groups
    batch, channels, *sizes = node.inputs[0].shape
    rank, inner = len(sizes), dims.floor_divide(channels, groups)
    x = reshaped(w, x, (batch, groups, inner, *sizes))
    x = w.emit("Transpose", x, perm=[2, 1, 0, *range(3, 3 + rank)])
    x = reshaped(w, x, (inner, groups * batch, *sizes))
    swapped = [1, 0, *range(2, 2 + rank)]
    g = w.emit("Transpose", g, perm=swapped)
    made = w.emit(
        "Conv", x, g, group=groups, pads=_pads(attrs.padding), strides=list(attrs.dilation),
        dilations=list(attrs.strides),
    )  # fmt: skip
    made = sliced(w, made, [0] * rank, attrs.kernel_shape[2:], [1] * rank, list(range(2, 2 + rank)))
    return str(w.emit("Transpose", made, perm=swapped))


def _im2col(w: Writer, node: Node, x: str) -> str:
    """The elements of each place of the window, gathered axis by axis."""
    attrs, shape = node.attrs, node.inputs[0].shape
    rank = len(attrs.window)
    if any(sum(pair) for pair in attrs.padding):
        x = padded(w, x, [(0, 0), (0, 0), *attrs.padding])
    for axis in range(rank):
        size, window, step = (
            shape[2 + axis] + sum(attrs.padding[axis]),
            attrs.window[axis],
            attrs.strides[axis],
        )
        reach = (window - 1) * attrs.dilation[axis] + 1
        count = dims.floor_divide(size - reach, step) + 1
        places = unsqueezed(w, ranged(w, 0, window, attrs.dilation[axis]), [1])
        index = w.emit("Add", places, ranged(w, 0, count, step))
        x = w.emit("Gather", x, index, axis=2 + 2 * axis)
    order = [0, 1, *range(2, 2 + 2 * rank, 2), *range(3, 3 + 2 * rank, 2)]
    return reshaped(w, w.emit("Transpose", x, perm=order), node.output.shape)


def _col2im(w: Writer, node: Node, x: str) -> Any:
    attrs = node.attrs
    return w.emit("Col2Im", x, w.shape(attrs.image_shape), w.ints(attrs.window), **_window(attrs))


# Pooling


def _pool(node: Node) -> dict[str, Any]:
    attrs = node.attrs
    return {**_window(attrs), "kernel_shape": list(attrs.window), "ceil_mode": int(attrs.ceil_mode)}


def _max_pool(w: Writer, node: Node, x: str) -> Any:
    return w.emit("MaxPool", x, **_pool(node))


def _places(w: Writer, node: Node, x: str) -> str:
    """The places of the largest elements in the flattened x, as a vector."""
    _, places = w.emit("MaxPool", x, outputs=2, **_pool(node))
    return str(w.emit("Reshape", places, w.ints([-1])))


def _max_pool_gradient(w: Writer, node: Node, x: str, g: str) -> str:
    total = dims.product(node.inputs[0].shape)
    zeros = filled(w, w.like(0, g), (total,))
    flat = w.emit("Reshape", g, w.ints([-1]))
    made = w.emit("ScatterElements", zeros, _places(w, node, x), flat, axis=0, reduction="add")
    return reshaped(w, made, node.output.shape)


def _max_pool_select(w: Writer, node: Node, x: str, y: str) -> str:
    flat = w.emit("Reshape", y, w.ints([-1]))
    return reshaped(w, w.emit("Gather", flat, _places(w, node, x), axis=0), node.output.shape)


def _avg_pool(w: Writer, node: Node, x: str) -> Any:
    attrs, options = node.attrs, _pool(node)
    x = w.cast(x, node.output.dtype)
    if all(step == 1 for step in attrs.dilation):
        del options["dilations"]
    elif w.opset < 19:
        raise NoForm(f"AveragePool of opset {w.opset} has no dilations")
    if attrs.divisor is None:
        return w.emit("AveragePool", x, count_include_pad=int(attrs.count_include_pad), **options)
    if attrs.ceil_mode:
        raise NoForm("AveragePool with ceil_mode has no divisor")
    mean = w.emit("AveragePool", x, count_include_pad=1, **options)
    return w.emit("Mul", mean, w.like(math.prod(attrs.window) / attrs.divisor, mean))


def _avg_pool_gradient(w: Writer, node: Node, g: str) -> str:
    """Each cotangent over its count, spread over the window by a transposed convolution of each channel."""
    attrs, shape, given = node.attrs, node.attrs.input_shape, node.inputs[0].shape
    if attrs.ceil_mode:
        raise NoForm("the gradient of windows beyond the padding is no transposed convolution")
    ones = w.like(np.ones((1, 1, *attrs.window)), g)
    batch = dims.product(shape[:2])
    unpadded = not any(sum(pair) for pair in attrs.padding)
    if attrs.divisor is not None or attrs.count_include_pad or unpadded:
        divisor = attrs.divisor if attrs.divisor is not None else math.prod(attrs.window)
        g = w.emit("Div", g, w.like(divisor, g))
    else:
        count = w.emit("Conv", filled(w, w.like(1, g), (1, 1, *shape[2:])), ones, **_window(attrs))
        g = w.emit("Div", g, count)
    made = _transposed(w, reshaped(w, g, (batch, 1, *given[2:])), ones, attrs, shape[2:])
    return reshaped(w, made, shape)


# Normalization


def _batch_normalization(
    w: Writer, node: Node, x: str, mean: str, variance: str, scale: str, offset: str
) -> Any:
    if node.attrs.axis != 1:
        raise NoForm("BatchNormalization has its channels on axis 1")
    return w.emit("BatchNormalization", x, scale, offset, mean, variance, epsilon=node.attrs.epsilon)


def _layer_normalization(w: Writer, node: Node, x: str, scale: str, offset: str) -> Any:
    attrs = node.attrs
    if node.output.dtype.itemsize > 4:
        raise NoForm("LayerNormalization computes in float32")
    return w.emit("LayerNormalization", x, scale, offset, axis=attrs.axis, epsilon=attrs.epsilon)


def _exact_scales(node: Node) -> np.ndarray:
    """The scales as float32, if sizes and samples are the same with these."""
    attrs = node.attrs
    made = np.array(attrs.scales, np.float32)
    for axis, size, scale, given in zip(attrs.axes, attrs.sizes, attrs.scales, made):
        whole = node.inputs[0].shape[axis]
        fits = not isinstance(whole, int) or int(whole * float(given)) == size
        if float(given) != scale or not fits:
            raise NoForm("Resize takes scales as float32, from which it computes the sizes")
    return made


def _resample(w: Writer, node: Node, x: str) -> Any:
    attrs = node.attrs
    if w.opset < 18:
        raise NoForm(f"Resize of opset {w.opset} has no axes")
    roi = scales = sizes = ""
    if attrs.regions is not None:
        ends = [start for start, _ in attrs.regions] + [end for _, end in attrs.regions]
        roi = w.constant(np.array(ends, np.float32))
    if attrs.scales is not None:
        scales = w.constant(_exact_scales(node))
    else:
        sizes = w.shape([node.output.shape[axis] for axis in attrs.axes])
    return w.emit(
        "Resize", x, roi, *([scales] if scales else ["", sizes]),
        axes=list(attrs.axes), mode=attrs["mode"], coordinate_transformation_mode=attrs.coordinates,
        nearest_mode=attrs.nearest_mode, cubic_coeff_a=attrs.cubic_coeff_a,
        exclude_outside=int(attrs.exclude_outside), antialias=int(attrs.antialias),
        extrapolation_value=attrs.extrapolation_value,
    )  # fmt: skip


TABLE: dict[str, Any] = {
    "avg_pool": _avg_pool,
    "avg_pool_gradient": _avg_pool_gradient,
    "batch_normalization": _batch_normalization,
    "col2im": _col2im,
    "conv": _conv,
    "conv_input_gradient": _input_gradient,
    "conv_weight_gradient": _weight_gradient,
    "im2col": _im2col,
    "layer_normalization": _layer_normalization,
    "max_pool": _max_pool,
    "max_pool_gradient": _max_pool_gradient,
    "max_pool_select": _max_pool_select,
    "resample": _resample,
}
