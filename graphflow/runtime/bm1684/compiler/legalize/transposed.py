"""Transposed convolutions: the gradient of a convolution by its input, which is what they are imported as."""

from __future__ import annotations

import numpy as np

from graphflow.ir.node import Node
from graphflow.runtime.bm1684.compiler.layers.transposed import TransposedConvolution
from graphflow.runtime.bm1684.compiler.legalize.context import Legalizer, Refused, legal, sizes
from graphflow.runtime.bm1684.compiler.legalize.windows import four_axes, pads_of, window
from graphflow.runtime.bm1684.isa import Window


@legal("conv_input_gradient")
def conv_input_gradient(legalizer: Legalizer, node: Node) -> None:
    """A transposed convolution with constant weights, (input channels, output channels of a group, h, w)."""
    g, w = node.inputs
    weights = legalizer.constant(w)
    if weights is None:
        raise Refused(
            "its weights are computed", hint="let the weights be constants or variables of the model"
        )
    given = legalizer.value(g, four_axes(sizes(g), g.name))
    output = legalizer.output(node.output, four_axes(sizes(node.output), node.name))
    kernel = window(tuple(weights.shape[2:]))
    strides, spread = window(node.attrs["strides"]), window(node.attrs["dilation"])
    pads = pads_of(node.attrs["padding"])
    wanted = [
        (had - 1) * step + (size - 1) * apart + 1 - before - after
        for had, step, size, apart, before, after in zip(
            given.shape[2:], strides, kernel, spread, (pads.top, pads.left), (pads.bottom, pads.right)
        )
    ]
    layer = TransposedConvolution.of(
        output,
        given,
        np.ascontiguousarray(weights, np.float32).reshape(*weights.shape[:2], *kernel),
        strides=strides,
        pads=pads,
        dilation=spread,
        groups=int(node.attrs["groups"]),
        more=Window(output.shape.h - wanted[0], output.shape.w - wanted[1]),
        nodes=(node.name,),
    )
    reason = layer.refusal()
    if reason is not None:
        raise Refused(reason, hint="see docs/bm1684.md for what the chip can do")
    legalizer.add(layer)
