"""Convolutions and pooling, with the bias, addition and bounds that follow them taken along."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir.node import Node
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.depthwise import DepthwiseConvolution
from graphflow.runtime.bm1684.compiler.layers.pooling import AveragePool, MaximumPool
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, Refused, legal, sizes
from graphflow.runtime.bm1684.isa import Pads, Shape, Window


def four_axes(shape: tuple[int, ...], what: str) -> Shape:
    """The sizes of what has one or two spatial axes, with h of 1 for one.

    Raises:
        Refused: if there are three.
    """
    if len(shape) == 3:
        return Shape(shape[0], shape[1], 1, shape[2])
    if len(shape) == 4:
        return Shape(*shape)
    raise Refused(
        f"{what} has {len(shape) - 2} spatial axes",
        hint="the chip has windows over one or two: slice the third axis and add what the slices give",
    )


def window(values: tuple[int, ...]) -> Window:
    """What an attribute says for each spatial axis, over h and w."""
    return Window(*([1] * (2 - len(values))), *values)


def pads_of(padding: tuple[tuple[int, int], ...]) -> Pads:
    """Pads over h and w from pairs for each spatial axis."""
    pairs = [(0, 0)] * (2 - len(padding)) + [tuple(pair) for pair in padding]
    (top, bottom), (left, right) = pairs
    return Pads(top, bottom, left, right)


@legal("conv")
def conv(legalizer: Legalizer, node: Node) -> None:
    """A convolution with constant weights; one for each channel where groups are as many."""
    x, w = node.inputs
    weights = legalizer.constant(w)
    if weights is None:
        raise Refused(
            "its weights are computed", hint="let the weights be constants or variables of the model"
        )
    value = legalizer.value(x, four_axes(sizes(x), x.name))
    output = legalizer.output(node.output, four_axes(sizes(node.output), node.name))
    kernel = np.ascontiguousarray(weights, np.float32).reshape(
        *weights.shape[:2], *window(tuple(weights.shape[2:]))
    )
    groups = int(node.attrs["groups"])
    shared: dict[str, Any] = {
        "output": output,
        "inputs": (value,),
        "nodes": (node.name,),
        "strides": window(node.attrs["strides"]),
        "pads": pads_of(node.attrs["padding"]),
        "dilation": window(node.attrs["dilation"]),
    }
    if groups == value.shape.c == len(kernel):
        legalizer.add(DepthwiseConvolution(**shared, weights=kernel[:, 0]))
        return
    layer = Convolution(**shared, weights=kernel, groups=groups)
    reason = layer.refusal()
    if reason is not None:
        raise Refused(reason, hint="see docs/bm1684.md for what the chip can do")
    legalizer.add(layer)


@legal("max_pool", "avg_pool")
def pool(legalizer: Legalizer, node: Node) -> None:
    """The maximum or mean over windows."""
    (x,) = node.inputs
    if any(one != 1 for one in node.attrs.get("dilation", ())):
        raise Refused("its windows are dilated", hint="the chip pools over windows without gaps")
    value = legalizer.value(x, four_axes(sizes(x), x.name))
    output = legalizer.output(node.output, four_axes(sizes(node.output), node.name))
    strides, kernel = window(node.attrs["strides"]), window(node.attrs["window"])
    pads = _reached(pads_of(node.attrs["padding"]), value.shape, output.shape, kernel, strides)
    shared: dict[str, Any] = {"output": output, "inputs": (value,), "nodes": (node.name,)}
    shared |= {"kernel": kernel, "strides": strides, "pads": pads}
    if node.op.name == "max_pool":
        legalizer.add(MaximumPool(**shared))
        return
    if node.attrs.get("divisor") is not None:
        raise Refused("its divisor is given", hint="multiply what a mean without divisor gives")
    counted = pads_of(node.attrs["padding"]) if node.attrs["count_include_pad"] else Pads()
    legalizer.add(AveragePool(**shared, counted=counted))


def _reached(pads: Pads, given: Shape, made: Shape, kernel: Window, strides: Window) -> Pads:
    """Pads that let the last windows end where the padded input does: more than asked in ceil mode."""
    bottom = (made.h - 1) * strides.h + kernel.h - given.h - pads.top
    right = (made.w - 1) * strides.w + kernel.w - given.w - pads.left
    return Pads(pads.top, max(0, bottom), pads.left, max(0, right))
