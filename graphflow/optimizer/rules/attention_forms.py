"""Attention written out by hand, brought into the form that `gf.nn.attention` gives it.

    softmax(c (q k^T)) = softmax((c q) k^T)                            where gf.nn.attention scales
    q (k of each head repeated)^T = (the queries of a group as rows) k^T      the copies are never made

so that hand-written attention is recognised under the same name and computed in the same way. The rules
are of class "rounding" and carry the tag "composites", which level O2 admits.
"""

from __future__ import annotations

import math
from typing import Any

from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.pattern import Match, P, variables
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import CONDITION, X, Y, Z

S = variables("S")[0]

_TAG: dict[str, Any] = {"safety": "rounding", "evidence": "sampled", "tags": "composites"}
_PRODUCTS = [
    P.matmul(X, Y).named("PRODUCT"),
    P.reshape(P.matmul(P.reshape(X).named("ROWS"), Y).named("PRODUCT")).named("HEADS"),
]
_SCALED = [
    getattr(P, name)(product, S).named("SCALED") for name in ("multiply", "divide") for product in _PRODUCTS
]


@rule(
    [
        P.softmax(inner)
        for scaled in _SCALED
        for inner in (
            scaled,
            P.add(scaled, Z).named("MASK"),
            P.where(CONDITION, scaled, Z).named("MASK"),
            P.where(CONDITION, Z, scaled).named("MASK"),
        )
    ],
    **_TAG,
)
def scale_scores_before(m: Match, b: Builder) -> Answer:
    """softmax(c (x y)) = softmax((c x) y), with or without a mask, for one factor c."""
    factor = m.splat(m.S)
    if factor is None or not math.isfinite(factor) or m.X.dtype.kind != "float":
        return None
    used = _used_elsewhere(m)
    if used is not None:
        return decline(f"{used.name} has other users")
    scaled, met = m.SCALED, m.labels
    made = getattr(b, scaled.node.op.name)(m.X, b.like(float(factor), m.X))
    if "ROWS" in met:
        made = b.reshape(made, shape=m.ROWS.node.output.shape)
    made = b.matmul(made, m.Y)
    if "HEADS" in met:
        made = b.reshape(made, shape=m.HEADS.node.output.shape)
    if "MASK" in met:
        mask = m.MASK.node
        inputs = [made if tensor is scaled.tensor else tensor for tensor in mask.inputs]
        made = b.apply(mask.op, inputs, dict(mask.attrs))
    return b.softmax(made, axis=m.root.attrs["axis"])


def _used_elsewhere(m: Match) -> Node | None:
    """The first node inside the match that something else reads."""
    return next((node for node in m.nodes[1:] if m.rewriter.use_count(node.outputs[0]) != 1), None)


_REPEATED = [P.repeat(Y), P.reshape(P.broadcast_to(P.reshape(Y)))]


@rule(
    [
        P.matmul(X, pattern)
        for repeated in _REPEATED
        for pattern in (repeated, P.permute_dims(repeated).named("TURNED"))
    ],
    **_TAG,
)
def product_with_repeated_heads(m: Match, b: Builder) -> Answer:
    """x y with y repeated for a group of heads of x is one product of all rows of the group with y."""
    x, y = m.X, m.Y
    turned = "TURNED" in m.labels
    if x.ndim != y.ndim or x.ndim < 3 or x.dtype.kind != "float":
        return None
    groups = _groups(m, y.ndim - 3)
    swap = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)
    if groups is None or (turned and m.TURNED.attrs["axes"] != swap):
        return None
    used = _used_elsewhere(m)
    if used is not None:
        return decline(f"{used.name} has other users, so the copies are needed anyway")
    *lead, heads, rows, inner = x.shape
    if heads != dims.product((y.shape[-3], groups)) or tuple(lead) != y.shape[:-3]:
        return None
    folded = b.reshape(x, shape=(*lead, y.shape[-3], groups * rows, inner))
    right = b.permute_dims(y, axes=swap) if turned else y
    made: Tensor = b.reshape(b.matmul(folded, right), shape=m.output.shape)
    return made


def _groups(m: Match, axis: int) -> int | None:
    """How often each head is repeated along the axis of heads; None if that is not what the nodes do."""
    last = m.nodes[-1]
    if last.op.name == "repeat":
        count = last.attrs["repeats"]
        return count if last.attrs["axis"] == axis and isinstance(count, int) and count > 1 else None
    wide, joined = m.nodes[-2], m.nodes[-3]
    shape, inner = m.Y.shape, last.output.shape
    if inner != (*shape[: axis + 1], 1, *shape[axis + 1 :]):
        return None
    count = wide.output.shape[axis + 1]
    if not isinstance(count, int) or count < 2:
        return None
    spread = (*shape[: axis + 1], count, *shape[axis + 1 :])
    whole = (*shape[:axis], shape[axis] * count, *shape[axis + 1 :])
    return count if wide.output.shape == spread and joined.output.shape == whole else None


RULES: tuple[Rule, ...] = (scale_scores_before, product_with_repeated_heads)
