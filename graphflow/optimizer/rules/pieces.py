"""Rules of cutting and joining: slices, concatenations and pads. All hold to the bit."""

from __future__ import annotations

from typing import Any

from graphflow.ir.attrs import value_key
from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.pattern import Match, P
from graphflow.optimizer.rule import Answer, Rule, rule
from graphflow.optimizer.rules.common import X


@rule(P.slice(X), safety="exact")
def slice_of_everything(m: Match, b: Builder) -> Answer:
    """x[:] = x."""
    attrs = m.root.attrs
    forward = all([step == 1 for step in attrs["steps"]]) and not any(attrs["starts"])
    return m.X if forward and m.X.type is m.output.type else None


@rule(P.slice(P.slice(X)), safety="exact")
def slice_of_slice(m: Match, b: Builder) -> Answer:
    """Element k of x[a::s][c::t] is element a + s (c + t k) of x."""
    inner, outer, shape = m.inner.attrs, m.root.attrs, m.output.shape
    if not _all_known(m.X, m.inner.node, m.root) or 0 in shape:
        return None
    starts, stops, steps = [], [], []
    for axis, count in enumerate(shape):
        first = inner["starts"][axis] + inner["steps"][axis] * outer["starts"][axis]
        step = inner["steps"][axis] * outer["steps"][axis]
        starts.append(first)
        stops.append(_stop(first, step, count))
        steps.append(step)
    return b.slice(m.X, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))


def _stop(first: int, step: int, count: Any) -> int | None:
    """Where a slice of `count` elements ends; None stands for "through element 0"."""
    last = first + step * (count - 1)
    if step > 0:
        return last + 1
    return last - 1 if last else None


def _all_known(tensor: Tensor, *slices: Node) -> bool:
    """Whether sizes and positions are all numbers."""
    positions = [value for node in slices for what in ("starts", "stops") for value in node.attrs[what]]
    return tensor.type.is_static and all([value is None or isinstance(value, int) for value in positions])


@rule(P.slice(P.concat(...)), safety="exact")
def slice_of_concat(m: Match, b: Builder) -> Answer:
    """A slice that lies inside one piece of a concatenation is a slice of that piece."""
    joined, attrs = m.inner.node, m.root.attrs
    axis = joined.attrs["axis"]
    if not _all_known(m.inner.tensor, m.root) or 0 in m.output.shape:
        return None
    first, step = attrs["starts"][axis], attrs["steps"][axis]
    last = first + step * (int(m.output.shape[axis]) - 1)
    low, high, offset = min(first, last), max(first, last), 0
    for piece in joined.inputs:
        size = int(piece.shape[axis])
        if offset <= low and high < offset + size:
            starts, stops = list(attrs["starts"]), list(attrs["stops"])
            starts[axis] = first - offset
            stops[axis] = _stop(first - offset, step, m.output.shape[axis])
            return b.slice(piece, starts=tuple(starts), stops=tuple(stops), steps=attrs["steps"])
        offset += size
    return None


@rule(P.concat(X), safety="exact")
def concat_of_one(m: Match, b: Builder) -> Answer:
    """Joining a single tensor gives that tensor."""
    return m.X


@rule(P.concat(...), safety="exact")
def concat_of_concat(m: Match, b: Builder) -> Answer:
    """concat(concat(x, y), z) = concat(x, y, z) along one axis."""
    axis = m.root.attrs["axis"]
    pieces: list[Tensor] = []
    for tensor in m.root.inputs:
        node = tensor.node
        same = node.op is m.root.op and node.attrs["axis"] == axis
        # A join that others read is made anyway, and reading its parts again would only cost.
        pieces += node.inputs if same and m.rewriter.use_count(tensor) == 1 else [tensor]
    return b.concat(*pieces, axis=axis) if len(pieces) > len(m.root.inputs) else None


@rule(P.concat(...), safety="exact")
def concat_of_nothing(m: Match, b: Builder) -> Answer:
    """Empty pieces add nothing to a concatenation."""
    axis, inputs = m.root.attrs["axis"], m.root.inputs
    filled = [tensor for tensor in inputs if tensor.shape[axis] != 0] or [inputs[0]]
    return b.concat(*filled, axis=axis) if len(filled) < len(inputs) else None


@rule(P.pad(P.pad(X)), safety="exact")
def pad_of_pad(m: Match, b: Builder) -> Answer:
    """Padding twice with one constant is padding once with the sums."""
    inner, outer = m.inner.attrs, m.root.attrs
    if inner["mode"] != "constant" or outer["mode"] != "constant":
        return None
    if value_key(inner["value"]) != value_key(outer["value"]):
        return None
    pads = [(a + c, d + e) for (a, d), (c, e) in zip(inner["pads"], outer["pads"])]
    return b.pad(m.X, pads=tuple(pads), mode="constant", value=outer["value"])


RULES: tuple[Rule, ...] = (
    slice_of_everything,
    slice_of_slice,
    slice_of_concat,
    concat_of_one,
    concat_of_concat,
    concat_of_nothing,
    pad_of_pad,
)
