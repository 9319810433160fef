"""Convolutions and pooling, with the bias, addition and bounds that follow them taken along."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir.node import Node
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.depthwise import DepthwiseConvolution
from graphflow.runtime.bm1684.compiler.layers.pooling import AveragePool, MaximumPool
from graphflow.runtime.bm1684.compiler.layers.window import MOST_DILATION, MOST_PAD, MOST_STEP, NO_PADS
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


def steps(strides: tuple[int, ...], made: Shape) -> Window:
    """How far windows are apart: 1 where there is only one of them."""
    wanted = window(strides)
    return Window(wanted.h if made.h > 1 else 1, wanted.w if made.w > 1 else 1)


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
    strides, pads = steps(node.attrs["strides"], output.shape), pads_of(node.attrs["padding"])
    dilation = window(node.attrs["dilation"])
    shared: dict[str, Any] = {"output": output, "inputs": (value,), "nodes": (node.name,)}
    shared |= {"strides": strides, "pads": pads, "dilation": dilation}
    near = max(strides) <= MOST_STEP and max(pads) <= MOST_PAD and max(dilation) <= MOST_DILATION
    if groups == value.shape.c == len(kernel) and near and min(pads) >= 0:
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
    strides, kernel = steps(node.attrs["strides"], output.shape), window(node.attrs["window"])
    pads = _reached(pads_of(node.attrs["padding"]), value.shape, output.shape, kernel, strides)
    shared: dict[str, Any] = {"output": output, "inputs": (value,), "nodes": (node.name,)}
    shared |= {"kernel": kernel, "strides": strides, "pads": pads}
    kind: type[MaximumPool | AveragePool] = MaximumPool
    if node.op.name == "avg_pool":
        if node.attrs.get("divisor") is not None:
            raise Refused("its divisor is given", hint="multiply what a mean without divisor gives")
        kind = AveragePool
        shared["counted"] = pads_of(node.attrs["padding"]) if node.attrs["count_include_pad"] else Pads()
    if max(strides) > MOST_STEP:
        shared = _first_of_two(legalizer, kind, shared)
    if max(shared["pads"]) > MOST_PAD:
        raise Refused(f"it is padded by {max(pads)}", hint=f"pad by at most {MOST_PAD}, or by a layer before")
    legalizer.add(kind(**shared))


def _first_of_two(
    legalizer: Legalizer, kind: type[MaximumPool | AveragePool], shared: dict[str, Any]
) -> dict[str, Any]:
    """Add a pool over a part of windows that do not overlap; what is left to do, by steps that fit.

    Raises:
        Refused: if windows overlap or are padded, or their sizes have no such parts.
    """
    strides, output, (value,) = shared["strides"], shared["output"], shared["inputs"]
    told = f"its windows are {tuple(strides)} apart, and a command steps by at most {MOST_STEP}"
    if shared["kernel"] != strides or shared["pads"] != NO_PADS:
        raise Refused(
            told, hint="pool in two steps: windows side by side, of sizes that multiply to this one"
        )
    parts = [
        next((n for n in range(1, MOST_STEP + 1) if not one % n and one // n <= MOST_STEP), 0)
        for one in strides
    ]
    if 0 in parts:
        raise Refused(told, hint="choose a window whose sizes have divisors: 16 x 16 is 4 x 4 of 4 x 4")
    first = Window(*parts)
    second = Window(strides.h // first.h, strides.w // first.w)
    shape = output.shape._replace(h=output.shape.h * second.h, w=output.shape.w * second.w)
    inner = legalizer.inner(f"{output.name} first", shape)
    legalizer.add(kind(**shared | {"output": inner, "inputs": (value,), "kernel": first, "strides": first}))
    return shared | {"inputs": (inner,), "kernel": second, "strides": second}


def _reached(pads: Pads, given: Shape, made: Shape, kernel: Window, strides: Window) -> Pads:
    """Pads that let the last windows end where the padded input does: more than asked in ceil mode."""
    bottom = (made.h - 1) * strides.h + kernel.h - given.h - pads.top
    right = (made.w - 1) * strides.w + kernel.w - given.w - pads.left
    return Pads(pads.top, max(0, bottom), pads.left, max(0, right))
