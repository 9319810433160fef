"""Operators that were written out by hand, recognised and given their names back.

A named operator is one node in reports and pictures, is lowered by whatever the target does best for it,
and computes its statistics accurately. The rules are of class "rounding" and carry the tag "composites",
which level O2 admits. Parts that something else needs stay what they are.

RMS normalization, attention and the cell of an LSTM have no operator; see `passes.name_composites`.
"""

from __future__ import annotations

import math
from typing import Any

from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.cost import elements
from graphflow.optimizer.pattern import Match, P, Variable, variables
from graphflow.optimizer.rule import Answer, Decline, Rule, decline, rule
from graphflow.optimizer.rules.common import FLOAT, X, fitted, in_place_of
from graphflow.optimizer.rules.polynomial import coefficients, near

EPSILON, CENTER, SCALE, OFFSET, S = variables("EPSILON CENTER SCALE OFFSET S")
AXES, COUNT, WHOLE, REST = variables("AXES COUNT WHOLE REST")

_TAG: dict[str, Any] = {"safety": "rounding", "evidence": "sampled", "tags": "composites"}


def _shared(m: Match) -> Decline | None:
    """Which inner node is needed elsewhere, so that naming the whole would compute it twice."""
    for node in m.nodes[1:]:
        users = m.rewriter.users[node.outputs[0]]
        if any([user not in m.nodes for user in users]) or m.rewriter.use_count(node.outputs[0]) != sum(
            users.values()
        ):
            return decline(f"{node.name} has other users")
    return None


# Activations


@rule([P.multiply(FLOAT, P.sigmoid(FLOAT)), P.divide(FLOAT, P.add(P.exp(P.negative(FLOAT)), 1))], **_TAG)
def silu_form(m: Match, b: Builder) -> Answer:
    """x sigmoid(x) = x / (1 + exp(-x)) = silu(x)."""
    return _shared(m) or fitted(m, b, b.silu(m.X))


@rule(P.divide(Variable("Y", kinds="float"), P.add(P.exp(FLOAT), 1)), **_TAG)
def gate_form(m: Match, b: Builder) -> Answer:
    """y / (1 + e^x) = y sigmoid(-x) for x a polynomial of y, as in activations, and for a constant y."""
    if m.splat(m.Y) is None and coefficients(m.X, {m.Y: 1}, m.rewriter) is None:
        return None
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return in_place_of(m, b.multiply(m.Y, b.sigmoid(b.negative(m.X))))


_ERF = P.erf(...).named("BEND")
_TANH = P.tanh(...).named("BEND")
_SIGMOID = P.sigmoid(...).named("BEND")


@rule(
    [
        pattern
        for bend in (_ERF, _TANH)
        for pattern in (
            P.multiply(WHOLE, P.add(bend, 1)),
            P.multiply(0.5, P.multiply(WHOLE, P.add(bend, 1))),
            P.multiply(WHOLE, P.multiply(0.5, P.add(bend, 1))),
            P.multiply(WHOLE, P.add(P.multiply(0.5, bend), 0.5)),
        )
    ]
    + [P.multiply(WHOLE, _SIGMOID)]
    + [P.add(P.multiply(WHOLE, bend), REST) for bend in (_ERF, _TANH)],
    **_TAG,
)
def gelu_form(m: Match, b: Builder) -> Answer:
    """x (1 + erf(x / sqrt 2)) / 2 = gelu(x), and likewise with tanh(sqrt(2 / pi) (x + 0.044715 x^3)).

    Since (1 + tanh(z)) / 2 = sigmoid(2 z), the latter may also be x sigmoid(2 sqrt(2 / pi) (..)).
    """
    bend = m.BEND.node
    share, argument_of = _SHARES[bend.op.name], _ARGUMENTS[bend.op.name]
    for x in (m.WHOLE, *m.WHOLE.node.inputs):
        if x.type is not m.output.type or x.dtype.kind != "float":
            continue
        outer = coefficients(m.output, {x: 1, bend.output: 100}, m.rewriter)
        if outer is None or outer.keys() != share.keys():
            continue
        if not all([near(factor, share[power], x) for power, factor in outer.items()]):
            continue
        argument = coefficients(bend.inputs[0], {x: 1}, m.rewriter)
        if argument is None or argument.keys() != argument_of.keys():
            continue
        for power, factor in argument.items():
            if not near(factor, argument_of[power], x):
                wrong = f"{factor:.9g} is not {argument_of[power]:.9g} to the precision of {x.dtype}"
                return decline(f"{wrong}, so this is not quite gelu")
        return _shared(m) or b.gelu(x, approximate=bend.op.name != "erf")
    return None


_SLOPE = math.sqrt(2 / math.pi)
_SHARES = {"erf": {1: 0.5, 101: 0.5}, "tanh": {1: 0.5, 101: 0.5}, "sigmoid": {101: 1.0}}
_ARGUMENTS = {
    "erf": {1: math.sqrt(0.5)},
    "tanh": {1: _SLOPE, 3: _SLOPE * 0.044715},
    "sigmoid": {1: 2 * _SLOPE, 3: 2 * _SLOPE * 0.044715},
}


# Normalization

_VARIANCES = [
    P.mean(P.square(P.subtract(X, CENTER)), axis=AXES, keepdims=True),
    P.multiply(P.sum(P.square(P.subtract(X, CENTER)), axis=AXES, keepdims=True), COUNT),
    P.divide(P.sum(P.square(P.subtract(X, CENTER)), axis=AXES, keepdims=True), COUNT),
]


_SPREADS = [P.add(variance, EPSILON).named("SPREAD") for variance in _VARIANCES] + _VARIANCES
_CENTERED = P.subtract(X, CENTER)


@rule(
    [
        pattern
        for spread in _SPREADS
        for pattern in (
            P.divide(_CENTERED, P.sqrt(spread)),
            P.multiply(_CENTERED, P.rsqrt(spread)),
            P.multiply(_CENTERED, P.reciprocal(P.sqrt(spread))),
            P.multiply(_CENTERED, P.pow(spread, -0.5)),
        )
    ]
    + [
        P.divide(
            _CENTERED,
            P.where(P.equal(variance, 0), 0, P.sqrt(P.where(P.equal(variance, 0), 1, variance))),
        )
        for variance in _VARIANCES
    ],
    **_TAG,
)
def layer_norm_form(m: Match, b: Builder) -> Answer:
    """(x - mean) / sqrt(mean((x - mean)^2) + e) = layer_norm(x), over all axes from one on.

    Without e, as in (x - mean) / std, e is 0: slices of equal elements are NaN, as they were.
    """
    x, axes = m.X, tuple(m.AXES)
    inner = x.shape[axes[0] :] if axes else ()
    if axes != tuple(range(x.ndim - len(axes), x.ndim)) or not axes or x.dtype.kind != "float":
        return None
    if not all([isinstance(size, int) and size for size in inner]):
        return decline("layer_norm needs static sizes of 1 or more along the normalized axes")
    count = elements(inner)
    epsilon = m.splat(m.EPSILON) if "SPREAD" in m.labels else 0.0
    if epsilon is None or not epsilon >= 0 or not _is_mean(m, m.CENTER, x, axes):
        return None
    if any([node.op.name == "sum" for node in m.nodes]):
        divides = any([node.op.name == "divide" and m.COUNT in node.inputs for node in m.nodes])
        if not _is_share(m.splat(m.COUNT), divides, count, x):
            return None
    if m.output.type is not x.type:
        return None
    shared = _shared(m)
    if shared is not None:
        return shared
    one, zero = (b.broadcast_to(b.like(value, x), shape=inner) for value in (1.0, 0.0))
    return b.layer_normalization(x, one, zero, axis=axes[0], epsilon=float(epsilon))


def _is_mean(m: Match, tensor: Tensor, x: Tensor, axes: tuple[int, ...]) -> bool:
    """Whether a tensor is the mean of x over axes that are kept, or its sum over their number."""
    node = tensor.node
    if node.op.name in ("multiply", "divide"):
        total = next((one for one in node.inputs if one.node.op.name == "sum"), None)
        count = next((m.splat(one) for one in node.inputs if one is not total), None)
        if total is None or (node.op.name == "divide" and node.inputs[0] is not total):
            return False
        if not _is_share(count, node.op.name == "divide", elements(x.shape[axes[0] :]), x):
            return False
        node = total.node
    elif node.op.name != "mean":
        return False
    return node.inputs[0] is x and tuple(node.attrs["axis"]) == axes and node.attrs["keepdims"] is True


def _is_share(count: Any, divides: bool, size: int, x: Tensor) -> bool:
    """Whether to multiply by `count`, or to divide by it, makes a mean of a sum of so many elements."""
    if not count:
        return False
    return near(float(count) / size if divides else float(count) * size, 1.0, x)


def _as_inner(b: Builder, parameter: Tensor, node: Node) -> Tensor | None:
    """A scale or offset under the shape of the normalized axes; None if it has another."""
    inner = node.output.shape[node.attrs["axis"] :]
    shape = parameter.shape
    while len(shape) > len(inner) and shape[0] == 1:
        shape = shape[1:]
    if len(shape) > len(inner) or any(
        [size not in (1, whole) for size, whole in zip(shape[::-1], inner[::-1])]
    ):
        return None
    made: Tensor = parameter if shape == parameter.shape else b.reshape(parameter, shape=shape)
    return made if shape == inner else b.broadcast_to(made, shape=inner)


@rule(P.multiply(P.layer_normalization(X, SCALE, OFFSET).named("NORM"), S), **_TAG)
def scale_layer_norm(m: Match, b: Builder) -> Answer:
    """layer_norm(x) s = layer_norm(x, s)."""
    one, zero = m.splat(m.SCALE), m.splat(m.OFFSET)
    if one is None or zero is None or one != 1 or zero != 0 or m.output.type is not m.X.type:
        return None
    scale = _as_inner(b, m.S, m.NORM.node)
    if scale is None:
        return None
    return _shared(m) or b.layer_normalization(m.X, scale, m.OFFSET, **m.NORM.attrs)


@rule(P.add(P.layer_normalization(X, SCALE, OFFSET).named("NORM"), S), **_TAG)
def shift_layer_norm(m: Match, b: Builder) -> Answer:
    """layer_norm(x, s) + o = layer_norm(x, s, o)."""
    zero = m.splat(m.OFFSET)
    if zero is None or zero != 0 or m.output.type is not m.X.type:
        return None
    offset = _as_inner(b, m.S, m.NORM.node)
    if offset is None:
        return None
    return _shared(m) or b.layer_normalization(m.X, m.SCALE, offset, **m.NORM.attrs)


# A scale or an offset inside of a normalization, drawn out of it

_MEAN = P.mean(P.square(X), axis=AXES, keepdims=True).named("SQUARES")
_SQUARES = [P.add(P.mean(P.square(X), axis=AXES, keepdims=True), EPSILON).named("SQUARES"), _MEAN]
_ROOTS = [root for squares in _SQUARES for root in (P.rsqrt(squares), P.reciprocal(P.sqrt(squares)))]


@rule(
    [P.multiply(X, P.multiply(root, S)) for root in _ROOTS]
    + [P.multiply(P.multiply(X, S), root) for root in _ROOTS]
    + [P.divide(P.multiply(X, S), P.sqrt(squares)) for squares in _SQUARES],
    **_TAG,
)
def scale_inside_norm(m: Match, b: Builder) -> Answer:
    """x (s rsqrt(mean(x^2) + e)) = (s x) rsqrt(mean(x^2) + e) = (x rsqrt(mean(x^2) + e)) s."""
    x, scale = m.X, m.S
    if x.dtype.kind != "float" or not _is_plain(m) or scale is x:
        return None
    lead = scale.shape[: max(0, scale.ndim - len(m.AXES))]
    if scale.shape[-1:] != x.shape[-1:] or any([size != 1 for size in lead]):
        return None
    inner = [node for node in m.nodes[1:] if node.op.name in ("multiply", "rsqrt", "sqrt", "reciprocal")]
    used = next((node for node in inner if m.rewriter.use_count(node.output) != 1), None)
    if used is not None:
        return decline(f"{used.name} has other users")
    made = b.multiply(b.multiply(x, b.rsqrt(m.SQUARES.tensor)), scale)
    return in_place_of(m, made)


def _is_plain(m: Match) -> bool:
    """Whether what is under the root is a mean square, with one number added or none."""
    return m.SQUARES.node.op.name == "mean" or m.splat(m.EPSILON) is not None


FACTOR = variables("FACTOR")[0]


@rule(P.add(P.multiply(X, FACTOR), P.subtract(S, P.multiply(CENTER, FACTOR))), **_TAG)
def center_inside_norm(m: Match, b: Builder) -> Answer:
    """x f + (o - c f) = (x - c) f + o, for f = s rsqrt(mean((x - c)^2) + e): TensorFlow's normalization."""
    centered = _centered_by(m.FACTOR.node)
    if centered is None or centered.inputs != (m.X, m.CENTER):
        return None
    made = b.add(b.multiply(centered.output, m.FACTOR), m.S)
    return _shared(m) or in_place_of(m, made)


def _centered_by(node: Node) -> Node | None:
    """The difference d of a factor s rsqrt(mean(d^2) + e), with or without s."""
    if node.op.name == "multiply":
        node = next((one.node for one in node.inputs if one.node.op.name == "rsqrt"), node)
    for name in ("rsqrt", "add", "mean", "square"):
        if node.op.name != name:
            return None
        above = [tensor.node for tensor in node.inputs]
        node = next((one for one in above if one.op.name == "mean"), above[0])
    return node if node.op.name == "subtract" else None


@rule(
    [
        pattern
        for squares in _SQUARES
        for pattern in (
            P.divide(X, P.sqrt(squares).named("ROOT")),
            P.multiply(X, P.reciprocal(P.sqrt(squares).named("ROOT")).named("SHARE")),
            P.multiply(X, P.pow(squares, -0.5).named("ROOT")),
        )
    ],
    **_TAG,
)
def divide_by_root_mean_square(m: Match, b: Builder) -> Answer:
    """x / sqrt(mean(x^2) + e) = x rsqrt(mean(x^2) + e), as gf.nn.rms_norm writes it; also without e."""
    if m.X.dtype.kind != "float" or not _is_plain(m):
        return None
    root = m.SHARE if "SHARE" in m.labels else m.ROOT
    if not (root.has_one_use and m.ROOT.has_one_use):
        return decline(f"{root.name} has other users")
    return b.multiply(m.X, b.rsqrt(m.SQUARES.tensor))


RULES: tuple[Rule, ...] = (
    silu_form,
    gate_form,
    gelu_form,
    layer_norm_form,
    scale_layer_norm,
    shift_layer_norm,
    scale_inside_norm,
    center_inside_norm,
    divide_by_root_mean_square,
)
