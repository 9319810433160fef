"""Rules that cut steady weights into panels, and let what follows a product be done as it is written.

    channels_last_conv(x, w)  =  packed_conv(x, packed(w))
    x w                       =  packed_conv(x, packed(w))  for rows x

A kernel of machine code reads panels from their beginning to their end, a vector of outputs at a time. It
holds a result in registers until all its products are added up; so a bias, a tensor that is added and
bounds that come next cost nothing more, if nobody else reads what is between.

    packed_conv(x) + v                = packed_conv(x; bias = v)      where v varies along the last axis alone
    packed_conv(x) + z                = packed_conv(x; addend = z)    where z has the type of the sum
    max(packed_conv(x; [l, u]), c)    = packed_conv(x; [max(l, c), max(u, c)])
    min(packed_conv(x; [l, u]), c)    = packed_conv(x; [l, min(u, c)])

as min(max(y, l), u) is distributive in l and u. NaN stays NaN in all of these. Of two zeros of different sign
either may come out of max and min, here as there: what they promise says no more, so that relu, maximum and
minimum are taken in alike, with bounds of 0.0 and -0.0.

The same products are added up in another order: class "rounding", done for speed as the choice of a
convolution's algorithm is.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.ops.packed_conv import MOST_AXES, packed, panels_of
from graphflow.optimizer.analysis.conv_cost import fills_vectors
from graphflow.optimizer.analysis.cost import elements, type_bytes
from graphflow.optimizer.pattern import Match, P
from graphflow.optimizer.preparation import is_steady
from graphflow.optimizer.rewriter import Rewriter
from graphflow.optimizer.rule import Answer, Rule, decline
from graphflow.optimizer.rules.common import X, Y, is_constant
from graphflow.optimizer.rules.weights import array_of, varies_along

LANES = 16
"""Outputs side by side: the float32 numbers in a register of AVX-512."""

LEAST_ELEMENTS = 1024
"""Elements of a matrix below which the call of a kernel takes longer than it gains."""

ROW_BYTES = 4 << 20
"""Bytes of a matrix below which a product of one row is quicker by XLA: measured on two cores, chains of four
products of one row take 0.6 of the time with 512 x 512, and 1.3 times as long with 1024 x 2048."""

_UNKNOWN = "a size is not known"
_EMPTY = "it has no elements"


class _Packer:
    """The rules that make panels of so many lanes."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes

    def conv_in_panels(self, match: Match, b: Builder) -> Answer:
        """channels_last_conv(x, w) = packed_conv(x, packed(w)) for w that is constant or steady."""
        node = match.root
        (x, w), attrs = node.inputs, node.attrs
        why = _why_not_conv(node) or _why_not_weights(w) or _why_not_sizes(x, w, node.output)
        if why:
            return decline(why)
        panels = self._panels(b, w, attrs.groups)
        geometry = {name: attrs[name] for name in ("strides", "padding", "dilation", "groups")}
        return b.packed_conv(x, panels, kernel=w.shape[:-2], outputs=w.shape[-1], **geometry)

    def product_in_panels(self, match: Match, b: Builder) -> Answer:
        """x w = packed_conv(x, packed(w)) for such a matrix w, with the leading axes of x as one."""
        x, w = match.root.inputs
        if w.ndim != 2 and (is_constant(w) or not is_constant(x)):
            return None
        why = _why_not_product(x, w) or _why_not_weights(w) or _why_not_sizes(x, w)
        if why:
            return decline(why)
        if elements(w.shape) < LEAST_ELEMENTS:
            return decline(
                f"{w.name} has {elements(w.shape)} elements, too few to be worth a kernel of its own"
            )
        if prod(x.shape[:-1]) == 1 and type_bytes(w.type) < ROW_BYTES:
            return decline(f"one row by {w.name}, which stays in the caches, takes XLA less time")
        size, outputs = w.shape
        panels = self._panels(b, w, 1)
        rows = _reshaped(b, x, (prod(x.shape[:-1]), size))
        made = b.packed_conv(rows, panels, kernel=(), outputs=outputs)
        return _reshaped(b, made, match.output.shape)

    def _panels(self, b: Builder, w: Tensor, groups: int) -> Tensor:
        """The weights in panels: of a constant now, of others by nodes that are prepared once."""
        if w.node.op.name == "constant":
            constant: Tensor = b.constant(value=packed(array_of(w), groups, self.lanes))
            return constant
        made: Tensor = panels_of(b, w, groups, self.lanes)
        return made


def _why_not_conv(node: Node) -> str:
    """Why a convolution is none for a kernel of packed weights, or ""."""
    (x, w), groups = node.inputs, node.attrs.groups
    if node.output.dtype.name != "float32":
        return f"there are kernels for float32, not for {node.output.dtype}"
    if node.attrs.algorithm == "shifts":
        return "as a sum of shifted images it has no products of rows with panels"
    if w.ndim - 2 > MOST_AXES:
        return f"an image has at most {MOST_AXES} spatial axes, not {w.ndim - 2}"
    channels, outputs = x.shape[-1], w.shape[-1]
    if (
        isinstance(channels, int)
        and isinstance(outputs, int)
        and not fills_vectors(channels, outputs, groups)
    ):
        return f"{channels // groups} channels and {outputs // groups} outputs a group fill no vector"
    return ""


def _why_not_product(x: Tensor, w: Tensor) -> str:
    if x.dtype.name != "float32":
        return f"there are kernels for float32, not for {x.dtype}"
    if is_constant(x) and not is_constant(w):
        return f"the constant {x.name} is the left operand; panels are cut of the right one"
    return ""


def _why_not_weights(w: Tensor) -> str:
    if is_steady(w):
        return ""
    return f"{w.name} is not the same in every run, so it would be cut into panels in each"


def _why_not_sizes(*tensors: Tensor) -> str:
    sizes = [size for tensor in tensors for size in tensor.shape]
    if not all([isinstance(size, int) for size in sizes]):
        return _UNKNOWN
    return _EMPTY if 0 in sizes else ""


def _reshaped(b: Builder, x: Tensor, shape: Any) -> Tensor:
    if x.shape == tuple(shape):
        return x
    made: Tensor = b.reshape(x, shape=tuple(shape))
    return made


# What follows


class _Head:
    """A packed product that a node reads, and what may still be done in it.

    Attributes:
        tensor: what the node reads: the product, or its rows under other leading axes.
        node: the product.
    """

    __slots__ = ("node", "rewriter", "tensor")

    def __init__(self, tensor: Tensor, rewriter: Rewriter) -> None:
        self.tensor, self.rewriter = tensor, rewriter
        self.node = tensor.node.inputs[0].node if tensor.node.op.name == "reshape" else tensor.node

    @property
    def why_not(self) -> str:
        """Why nothing can be taken in, or ""."""
        for tensor in (self.tensor, self.node.output):
            if self.rewriter.use_count(tensor) > 1:
                return f"{tensor.name} has other users, so it has to be written as it is"
        return "" if self.tensor.shape[-1:] == self.node.output.shape[-1:] else "its channels are reshaped"

    @property
    def why_no_sum(self) -> str:
        """Why nothing can be added, or ""."""
        attrs = self.node.attrs
        if attrs.lower != -np.inf or attrs.upper != np.inf:
            return f"{self.node.name} has bounds, which come after all that is added"
        if attrs.addend:
            return f"{self.node.name} has something added to it already"
        return self.why_not

    def again(self, b: Builder, rest: list[Tensor], **changes: Any) -> Tensor:
        """The product with other attributes, and other tensors after the panels."""
        attrs = {**self.node.attrs, **changes}
        made = b.apply(self.node.op, [*self.node.inputs[:2], *rest], attrs)
        return _reshaped(b, made, self.tensor.shape)


def _other(match: Match) -> Tensor:
    """The operand of a sum, or of a bound, that is not the product which the pattern met."""
    other: Tensor = match.Y
    return other


def _head(match: Match) -> _Head:
    """The product that the pattern met: below the root there is it alone, or a reshape in front of it."""
    return _Head(match.nodes[1].output, match.rewriter)


def bias_into_panels(match: Match, b: Builder) -> Answer:
    """packed_conv(x) + v = packed_conv(x; bias = v) where v varies along the last axis alone."""
    head, v = _head(match), _other(match)
    if v.node.op.name == "broadcast_to":
        v = v.node.inputs[0]
    rank = head.tensor.ndim
    if head.tensor.type is not match.output.type or not varies_along(v, rank - 1, rank):
        return None
    if v.type is match.output.type and v.node.op.name != "constant":
        return None  # a row that is added to a row is an addend
    why = head.why_no_sum
    if why:
        return decline(why)
    added, given = _vector(b, v, head.node.attrs.outputs), list(head.node.inputs[2:])
    if given:
        if not is_constant(given[0]) or not is_constant(added):
            return decline(f"{head.node.name} has a bias already")
        added = b.constant(value=array_of(given[0]) + array_of(added))
    return head.again(b, [added], bias=True)


def _vector(b: Builder, v: Tensor, size: int) -> Tensor:
    """What varies along the last axis alone as a vector of that size."""
    made: Tensor
    if v.node.op.name == "constant":
        made = b.constant(value=np.broadcast_to(array_of(v).reshape(v.shape[-1:]), (size,)).copy())
        return made
    made = _reshaped(b, v, v.shape[-1:] or (1,))
    return made if made.shape == (size,) else b.broadcast_to(made, shape=(size,))


def addend_into_panels(match: Match, b: Builder) -> Answer:
    """packed_conv(x) + z = packed_conv(x; addend = z) for z of the type of the sum."""
    head, z = _head(match), _other(match)
    if head.tensor.type is not match.output.type or z.type is not match.output.type:
        return None
    why = head.why_no_sum
    if why:
        return decline(why)
    if _is_later(z, head):
        return None  # it takes this one in
    # Nothing but this sum reads the product, so z cannot depend on it.
    given = list(head.node.inputs[2:])
    return head.again(b, [*given, _reshaped(b, z, head.node.output.shape)], addend=True)


def _is_later(z: Tensor, head: _Head) -> bool:
    """Whether what is added is a product, too, which was made later and can take the other in."""
    inner = z.node.inputs[0].node if z.node.op.name == "reshape" else z.node
    if inner.op.name != "packed_conv" or inner.id < head.node.id:
        return False
    return not _Head(z, head.rewriter).why_no_sum


def bound_into_panels(match: Match, b: Builder) -> Answer:
    """min(max(packed_conv(x), c), d) = packed_conv(x; lower = c, upper = d) for numbers c and d."""
    head, name = _head(match), match.root.op.name
    if head.tensor.type is not match.output.type:
        return None
    limit = 0.0 if name == "relu" else match.splat(_other(match))
    if limit is None:
        return None
    if np.isnan(limit):
        return decline("a bound is NaN")
    why = head.why_not
    if why:
        return decline(why)
    lower, upper, limit = head.node.attrs.lower, head.node.attrs.upper, float(limit)
    bounds = (lower, min(upper, limit)) if name == "minimum" else (max(lower, limit), max(upper, limit))
    return head.again(b, list(head.node.inputs[2:]), lower=bounds[0], upper=bounds[1])


_MADE = (P.packed_conv(...), P.reshape(P.packed_conv(...)))
_SUMS = tuple([P.add(made, Y) for made in _MADE])
_BOUNDS = tuple(
    [pattern for made in _MADE for pattern in (P.relu(made), P.maximum(made, Y), P.minimum(made, Y))]
)


def packing_rules(lanes: int = LANES) -> tuple[Rule, ...]:
    """The rules, for panels of so many lanes."""
    packer = _Packer(lanes)
    return (
        _rule(packer.conv_in_panels, P.channels_last_conv(X, Y)),
        _rule(packer.product_in_panels, P.matmul(X, Y)),
        _rule(bias_into_panels, *_SUMS),
        _rule(addend_into_panels, *_SUMS),
        _rule(bound_into_panels, *_BOUNDS),
    )


def _rule(function: Any, *patterns: Any) -> Rule:
    tags = frozenset({"algorithm"})
    return Rule(function.__name__, patterns, function, "rounding", "sampled", tags, function.__doc__)


RULES: tuple[Rule, ...] = packing_rules()
