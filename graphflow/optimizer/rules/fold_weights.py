"""Factors, biases and batch normalization folded into the weights of convolutions and matrix products.

A product is linear in its weights, so with a channel c of the result

    s_c (w_c . x)                    = (s_c w_c) . x
    s_c (w_c . x + b_c)              = (s_c w_c) . x + s_c b_c
    (w_c . x - m_c) f_c + o_c        = (f_c w_c) . x + (o_c - m_c f_c)       f = scale / sqrt(variance + e)

and likewise for factors of the channels of x. Constants are multiplied once, here; variables at every
run, where they have fewer elements than the result.

The rules are of class "rounding" and carry the tag "fold-weights", which level O2 admits: they are what
makes inference graphs small. A NaN or infinity of x comes out in the same places. Results differ by more
than rounding only where an intermediate number leaves the range of the dtype: folded constants that would
(they overflow, or underflow to 0) are declined; for variables that is not checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.pattern import Match, P, variables
from graphflow.optimizer.rule import Answer, Decline, Rule, decline, rule
from graphflow.optimizer.rules.canonical import negated
from graphflow.optimizer.rules.common import X, in_place_of
from graphflow.optimizer.rules.weights import (
    PRODUCTS,
    Folding,
    beside_channels,
    data_axis,
    factor_on_weight,
    foldable,
    is_constant,
    is_safe,
    result_axis,
    varies_along,
    vector,
    with_weight,
)

W, S, C, D, MEAN, VARIANCE, SCALE, OFFSET = variables("W S C D MEAN VARIANCE SCALE OFFSET")

_TAG: dict[str, Any] = {"safety": "rounding", "evidence": "sampled", "tags": "fold-weights"}
_OUT_OF_RANGE = "the folded weights would leave the range of their dtype"


def _product(name: str) -> Any:
    return getattr(P, name)(X, W).named("PRODUCT")


def _is_along(node: Node, *parameters: Tensor) -> bool:
    """Whether parameters differ from channel to channel of the result at most."""
    axis, rank = result_axis(node), node.output.ndim
    return all([varies_along(one, axis, rank) for one in parameters])


def _usable(m: Match, *parameters: Tensor) -> Decline | bool:
    """Whether the labelled product, and what is between it and the root, serves the root alone."""
    node = m.PRODUCT.node
    allowed = foldable(m, node, node.output, *parameters)
    if allowed is not True:
        return allowed
    for inner in m.nodes[1:]:
        if m.rewriter.use_count(inner.outputs[0]) != 1:
            return decline(f"{inner.name} has other users")
    return True


def _scaled(f: Folding, node: Node, factor: Any, divides: bool, of_result: bool) -> Tensor | None:
    """The weights of a product, times or divided by a factor a channel; None if they leave the range."""
    weight = node.inputs[1]
    placed = factor_on_weight(f, node, factor, of_result)
    with np.errstate(all="ignore"):
        made = f.tensor((f.ops.divide if divides else f.ops.multiply)(f(weight), placed), weight)
    return made if not f.constant or is_safe(made, weight, placed) else None


@rule(
    [getattr(P, name)(_product(one), S) for name in ("multiply", "divide") for one in PRODUCTS], **_TAG
)  # fmt: skip
def scale_after_product(m: Match, b: Builder) -> Answer:
    """s_c (w_c . x) = (s_c w_c) . x for a factor of each channel."""
    node = m.PRODUCT.node
    if m.output.type is not node.output.type or not _is_along(node, m.S):
        return None
    allowed = _usable(m, m.S)
    if allowed is not True:
        return allowed or None
    f = Folding(b, m.W, m.S)
    factor = vector(f, m.S, node.output.shape[result_axis(node)])
    weight = _scaled(f, node, factor, m.root.op.name == "divide", of_result=True)
    return decline(_OUT_OF_RANGE) if weight is None else with_weight(b, node, m.X, weight)


@rule(
    [getattr(P, one)(getattr(P, name)(X, S), W) for name in ("multiply", "divide") for one in PRODUCTS],
    **_TAG,
)
def scale_before_product(m: Match, b: Builder) -> Answer:
    """w . (s x) = (w s) . x for a factor of each channel of x."""
    node, scaled = m.root, m.nodes[1]
    if scaled.output.type is not m.X.type or not varies_along(m.S, data_axis(node), m.X.ndim):
        return None
    allowed = foldable(m, node, scaled.output, m.S)
    if allowed is not True:
        return allowed or None
    if not m.inner.has_one_use:
        return decline(f"{scaled.name} has other users")
    f = Folding(b, m.W, m.S)
    factor = vector(f, m.S, m.X.shape[data_axis(node)])
    weight = _scaled(f, node, factor, scaled.op.name == "divide", of_result=False)
    return decline(_OUT_OF_RANGE) if weight is None else with_weight(b, node, m.X, weight)


@rule(
    [
        getattr(P, name)(P.add(_product(one), C), S)
        for name in ("multiply", "divide")
        for one in PRODUCTS
    ],
    **_TAG,
)  # fmt: skip
def scale_after_bias(m: Match, b: Builder) -> Answer:
    """s_c (w_c . x + b_c) = (s_c w_c) . x + s_c b_c."""
    node = m.PRODUCT.node
    if m.output.type is not node.output.type or not _is_along(node, m.S, m.C):
        return None
    allowed = _usable(m, m.S, m.C)
    if allowed is not True:
        return allowed or None
    f = Folding(b, m.W, m.S, m.C)
    count, divides = node.output.shape[result_axis(node)], m.root.op.name == "divide"
    factor = vector(f, m.S, count)
    return _with_bias(
        b, f, m, _scaled(f, node, factor, divides, True), _times(f, m.C, count, factor, divides)
    )


def _times(f: Folding, bias: Tensor, count: int, factor: Any, divides: bool) -> Any:
    with np.errstate(all="ignore"):
        return (f.ops.divide if divides else f.ops.multiply)(vector(f, bias, count), factor)


def _with_bias(b: Builder, f: Folding, m: Match, weight: Tensor | None, bias: Any) -> Answer:
    """The labelled product with new weights, and a bias beside its channels."""
    node = m.PRODUCT.node
    if weight is None:
        return decline(_OUT_OF_RANGE)
    added = f.tensor(beside_channels(f, node, bias), weight)
    if not is_safe(added):
        return decline("the folded bias would leave the range of its dtype")
    return b.add(with_weight(b, node, m.X, weight), added)


@rule(
    [
        P.batch_normalization(inner, MEAN, VARIANCE, SCALE, OFFSET)
        for one in PRODUCTS
        for inner in (_product(one), P.add(_product(one), C))
    ],
    **_TAG,
)
def batch_norm_after_product(m: Match, b: Builder) -> Answer:
    """(w_c . x + b_c - m_c) f_c + o_c = (f_c w_c) . x + (o_c + (b_c - m_c) f_c), f = scale / deviation."""
    node, attrs = m.PRODUCT.node, m.root.attrs
    bias = m.C if len(m.nodes) == 3 else None
    if attrs["axis"] != result_axis(node) or m.output.type is not node.output.type:
        return None
    if bias is not None and not _is_along(node, bias):
        return None
    parameters = [m.MEAN, m.VARIANCE, m.SCALE, m.OFFSET, *([] if bias is None else [bias])]
    allowed = _usable(m, *parameters)
    if allowed is not True:
        return allowed or None
    f = Folding(b, m.W, *parameters)
    with np.errstate(all="ignore"):
        factor = f.ops.divide(f(m.SCALE), f.ops.sqrt(f.ops.add(f(m.VARIANCE), attrs["epsilon"])))
        shift = f(m.MEAN)
        if bias is not None:
            shift = f.ops.subtract(shift, vector(f, bias, node.output.shape[result_axis(node)]))
        added = f.ops.subtract(f(m.OFFSET), f.ops.multiply(shift, factor))
    return _with_bias(b, f, m, _scaled(f, node, factor, False, True), added)


@rule(
    [P.subtract(_product(one), C) for one in PRODUCTS]
    + [P.subtract(P.add(_product(one), D), C) for one in PRODUCTS],
    safety="exact",
)
def subtracted_bias(m: Match, b: Builder) -> Answer:
    """w . x - c = w . x + (-c) for a constant c, so that it is a bias as others are."""
    bias = negated(m.C, b) if m.output.dtype.kind == "float" else None
    return None if bias is None else in_place_of(m, b.add(m.root.inputs[0], bias))


@rule([P.add(P.add(_product(one), C), D) for one in PRODUCTS], **_TAG)
def merge_biases(m: Match, b: Builder) -> Answer:
    """(w_c . x + b_c) + d_c = w_c . x + (b_c + d_c) for constants."""
    node = m.PRODUCT.node
    if m.output.type is not node.output.type or not is_constant(m.C, m.D) or not _is_along(node, m.C, m.D):
        return None
    if node.output.dtype.kind != "float" or not node.output.ndim or not m.inner.has_one_use:
        return None
    f, count = Folding(b, m.C, m.D), node.output.shape[result_axis(node)]
    total = f.tensor(beside_channels(f, node, f.ops.add(vector(f, m.C, count), vector(f, m.D, count))), m.C)
    if not is_safe(total):
        return decline("the sum of the biases would leave the range of its dtype")
    return b.add(node.output, total)


@rule([P.matmul(P.add(X, C), W), P.matmul(P.subtract(X, C), W)], **_TAG)
def shift_before_matmul(m: Match, b: Builder) -> Answer:
    """(x + c) w = x w + c w, and (x - c) w = x w - c w, for a constant c a column of x, and constant w."""
    node = m.root
    if m.inner.node.output.type is not m.X.type or not varies_along(m.C, m.X.ndim - 1, m.X.ndim):
        return None
    if not is_constant(m.C, m.W) or foldable(m, node, m.X, m.C) is not True:
        return None
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    f = Folding(b, m.W, m.C)
    with np.errstate(all="ignore"):
        row = np.broadcast_to(vector(f, m.C, m.X.shape[-1]), (m.W.shape[0],)) @ f(m.W)
    added = f.tensor(row, m.W)
    if not is_safe(added):
        return decline("the folded bias would leave the range of its dtype")
    return getattr(b, m.inner.node.op.name)(b.matmul(m.X, m.W), added)


@rule(P.conv(P.pad(X).named("PAD"), W), safety="exact")
def pad_before_conv(m: Match, b: Builder) -> Answer:
    """conv(pad(x)) = conv(x) with wider padding, for zeros added along the spatial axes."""
    node, padded = m.root, m.PAD
    pads = padded.attrs["pads"]
    if padded.attrs["mode"] != "constant":
        return decline(f"{padded.name} repeats elements of x, and a convolution pads with zeros")
    value = padded.attrs["value"]
    if value != 0 or (m.X.dtype.kind == "float" and np.signbit(value)):
        return decline(f"{padded.name} pads with {value}, and a convolution with 0")
    if any([pair != (0, 0) for pair in pads[:2]]):
        return decline(f"{padded.name} pads the batch or the channels")
    if not all([isinstance(size, int) for pair in pads for size in pair]):
        return decline(f"{padded.name} pads by symbolic sizes")
    if not padded.has_one_use:
        return decline(f"{padded.name} has other users, so the padded tensor is needed anyway")
    padding = tuple(
        [(low + more, high + most) for (low, high), (more, most) in zip(node.attrs["padding"], pads[2:])]
    )
    return b.conv(m.X, m.W, **{**node.attrs, "padding": padding})


RULES: tuple[Rule, ...] = (
    pad_before_conv,
    subtracted_bias,
    scale_after_product,
    scale_before_product,
    scale_after_bias,
    batch_norm_after_product,
    merge_biases,
    shift_before_matmul,
)
