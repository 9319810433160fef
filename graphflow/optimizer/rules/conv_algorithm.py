"""Rules that choose how a convolution is computed: the one that is cheapest by the model, or as measured.

They look at convolutions with channels last, which the rules of layout have made. All estimates of a
convolution stand in the sentence with which a rule declines.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from math import prod
from typing import Any

from graphflow.ir.builder import Builder
from graphflow.ir.node import Node
from graphflow.ops.winograd import transformed, transformed_weights
from graphflow.optimizer.analysis.conv_cost import Choice, Geometry, estimates, fits_winograd
from graphflow.optimizer.driver import EveryNode
from graphflow.optimizer.pattern import Match
from graphflow.optimizer.preparation import is_steady
from graphflow.optimizer.rule import Answer, Rule, decline

Timer = Callable[[Node, Sequence[str]], dict[str, float]]
"""(a `channels_last_conv`, algorithms) -> the seconds that it takes by each, measured."""

_MARGIN = 0.8
"""Winograd's algorithm costs digits: it has to take at most this part of the time of the others."""

_RULE_OF = {
    "dot": "conv_as_product",
    "shifts": "conv_as_shifts",
    "im2col": "conv_as_patches",
    "winograd2": "conv_by_winograd",
    "winograd4": "conv_by_winograd",
}
"""The rule that chooses an algorithm; "direct" needs none, and what will be "packed" stays "direct"."""

_CONV = "channels_last_conv"
_GRADIENTS = (f"{_CONV}_input_gradient", f"{_CONV}_weight_gradient")


def geometry_of(node: Node) -> Geometry | None:
    """What the cost of a convolution, or of a gradient of one, depends on; None while a size is symbolic."""
    attrs = node.attrs
    x: Any = node.inputs[0].shape
    y: Any = node.output.shape
    kernel: Any = attrs.get("kernel_shape", node.inputs[1].shape)
    if node.op.name == _GRADIENTS[0]:
        x, y = attrs["input_shape"], node.inputs[0].shape
    elif node.op.name == _GRADIENTS[1]:
        y = node.inputs[1].shape
    if not all([isinstance(size, int) for size in (*x, *y, *kernel)]):
        return None
    constant = is_steady(node.inputs[1])
    itemsize, padded = node.output.dtype.itemsize, any(map(any, attrs["padding"]))
    return Geometry(
        prod(y[:-1]), y[1:-1], x[-1], y[-1], attrs["groups"], kernel[:-2], prod(x), itemsize,
        attrs["strides"], attrs["dilation"], padded, constant,
    )  # fmt: skip


def choices(
    node: Node,
    largest_tile: int,
    timer: Timer | None,
    excluded: Collection[str] = (),
    is_packed: bool = False,
) -> list[Choice]:
    """The algorithms that can compute a node with their costs, the cheapest first; none where unknown.

    Those whose rules are excluded are left out, so that the next best is taken.
    """
    geometry = geometry_of(node)
    if geometry is None or node.output.dtype.itemsize < 4 or not geometry.flops:
        return []
    is_forward = node.op.name == _CONV
    found = estimates(geometry, largest_tile if is_forward else 0, is_packed and is_forward)
    if node.op.name in _GRADIENTS:
        found = [choice for choice in found if choice.algorithm != "im2col"]
    found = [choice for choice in found if _RULE_OF.get(choice.algorithm) not in excluded]
    if timer is not None and is_forward and len(found) > 1:
        seconds = timer(node, [choice.algorithm for choice in found])
        found = [Choice(choice.algorithm, seconds[choice.algorithm]) for choice in found]
    return sorted(found, key=_handicapped)


def _handicapped(choice: Choice) -> float:
    return choice.seconds / _MARGIN if choice.algorithm.startswith("winograd") else choice.seconds


def _cheaper(found: Sequence[Choice]) -> str:
    """Why the first of the choices is taken."""
    return f"{found[0].algorithm} is cheaper ({', '.join(map(str, found))})"


class _Chooser:
    """The rules for given options; what is found for a node serves all of them."""

    def __init__(
        self, largest_tile: int, timer: Timer | None, excluded: Collection[str], is_packed: bool
    ) -> None:
        self.timer, self.excluded, self.is_packed = timer, excluded, is_packed
        self.largest_tile = 0 if "conv_by_winograd" in excluded else largest_tile
        self._last: tuple[Node | None, list[Choice]] = (None, [])

    def found(self, node: Node) -> list[Choice]:
        """`choices`, remembered for the node that the driver is at."""
        if self._last[0] is not node:
            found = choices(node, self.largest_tile, self.timer, self.excluded, self.is_packed)
            self._last = (node, found)
        return self._last[1]

    def answer(self, match: Match, b: Builder, algorithm: str) -> Answer:
        """The node by the algorithm, if that is the cheapest; else why not."""
        node = match.root
        if node.attrs["algorithm"] != "direct":
            return None
        found = self.found(node)
        if not any([one.algorithm == algorithm for one in found]):
            return None
        if found[0].algorithm != algorithm:
            return decline(_cheaper(found))
        return b.apply(node.op, list(node.inputs), {**node.attrs, "algorithm": algorithm})

    def conv_as_product(self, match: Match, b: Builder) -> Answer:
        """A convolution with kernels of one element is a product of matrices."""
        return self.answer(match, b, "dot")

    def conv_as_shifts(self, match: Match, b: Builder) -> Answer:
        """A convolution of each channel by itself is a sum of shifted images times numbers."""
        return self.answer(match, b, "shifts")

    def conv_as_patches(self, match: Match, b: Builder) -> Answer:
        """A convolution is a product of matrices with what its windows hold."""
        return self.answer(match, b, "im2col")

    def conv_by_winograd(self, match: Match, b: Builder) -> Answer:
        """conv(x, w) = A^T ((G w G^T) (.) (B^T x B)) A for tiles of x, in which NaN and infinity spread."""
        node = match.root
        if not self.largest_tile or node.attrs["algorithm"] != "direct":
            return None
        found = self.found(node)
        if not found:
            return decline("only for float32 and float64, and known sizes")
        geometry = geometry_of(node)
        if geometry is None or not fits_winograd(geometry):
            return decline("only for 3x3 kernels with strides, dilation and groups of 1")
        if not found[0].algorithm.startswith("winograd"):
            sizes = " x ".join(map(str, geometry.sizes))
            return decline(f"{geometry.channels} channels on {sizes} places: {_cheaper(found)}")
        return _winograd(node, b, int(found[0].algorithm[-1]))


def _winograd(node: Node, b: Builder, tile: int) -> Answer:
    x, w = node.inputs
    maker = w.node
    if maker.op.name == "constant":
        u = b.constant(value=transformed_weights(maker.attrs["value"], tile))
    else:
        u = transformed(b, w, tile)
    return b.winograd_conv(x, u, tile=tile, padding=node.attrs["padding"])


def algorithm_rules(
    largest_tile: int = 0,
    timer: Timer | None = None,
    excluded: Collection[str] = (),
    is_packed: bool = False,
) -> list[tuple[Rule, EveryNode]]:
    """The rules, each with the nodes that it is tried at.

    Arguments:
        largest_tile: of Winograd's algorithm: 0 (never), 2 or 4.
        timer: measures what algorithms take; the model estimates it where there is none.
        excluded: names of rules whose algorithms are not even compared.
        is_packed: whether the pass `pack-weights` follows.
    """
    chooser = _Chooser(largest_tile, timer, excluded, is_packed)
    forward = EveryNode(lambda op, child_ops: op.name == _CONV)
    all_three = EveryNode(lambda op, child_ops: op.name == _CONV or op.name in _GRADIENTS)
    return [
        (_rule(chooser.conv_as_product, "rounding"), all_three),
        (_rule(chooser.conv_as_shifts, "rounding"), all_three),
        (_rule(chooser.conv_as_patches, "rounding"), forward),
        (_rule(chooser.conv_by_winograd, "rounding"), forward),
    ]


def _rule(function: Any, safety: str) -> Rule:
    algebra = function.__doc__
    return Rule(function.__name__, (), function, safety, "sampled", frozenset({"algorithm"}), algebra)


RULES: tuple[Rule, ...] = tuple([rule for rule, _ in algorithm_rules()])
