"""Merge products of one input with several weights into one product, which is split afterwards.

    x a, x b, x c  =  split(x [a b c])          conv(x, a), conv(x, b)  =  split(conv(x, [a; b]))

as for the queries, keys and values of attention. It saves starting products and reading x; it costs
copying the results apart and, unless the weights are constants, joining them at every run. Products are
merged where by this count of bytes the savings are larger; START, READING and COPYING were measured with
XLA on two cores, where merging pays for few rows and narrow weights (up to 1.4 times as fast), and does
not for many rows (0.85).

The columns do not mix, but a library may add up a wider product in another order: the class is "rounding".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphflow.ir.dims import Dim
from graphflow.ir.node import Node, Tensor
from graphflow.ops.conv import conv
from graphflow.ops.linalg import matmul
from graphflow.optimizer.analysis.cost import type_bytes
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.passes.edits import is_excluded, replaced
from graphflow.optimizer.program import Program
from graphflow.optimizer.rewrite_builder import RewriteBuilder
from graphflow.optimizer.rewriter import Rewriter
from graphflow.optimizer.rules.weights import array_of, is_constant, is_weight
from graphflow.optimizer.rules.whole_forms import MERGE_PRODUCTS

START = 20_000
"""Starting a product takes as long as copying so many bytes."""

READING = 0.25
"""Reading x again, in bytes copied a byte: it stays in the cache."""

COPYING = 1.5
"""Splitting the results, in bytes copied a byte: slices are rows with gaps."""


@dataclass(frozen=True)
class MergeProducts(Pass):
    """Merge products that share their input.

    Attributes:
        start: the bytes that could be copied while a product is started.
    """

    name: ClassVar[str] = "merge-products"
    start: int = START

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Merge each group for which that pays."""
        if is_excluded(context, MERGE_PRODUCTS):
            return PassResult(False)
        rewriter, merged = context.rewriter, 0
        groups: dict[tuple, list[Node]] = {}
        for node in rewriter.order():
            key = _key(node)
            if key is not None:
                groups.setdefault(key, []).append(node)
        for nodes in groups.values():
            if len(nodes) > 1 and not context.journal.is_full:
                merged += self._merge(nodes, context)
        return PassResult(merged > 0, f"{merged} groups merged" if merged else "")

    def _merge(self, nodes: list[Node], context: PassContext) -> bool:
        saved, spent = self.saving(nodes), self.price(nodes)
        what = f"{len(nodes)} products of {nodes[0].inputs[0].node.name}"
        reason = f"{what}: saves {saved} bytes, costs {spent}"
        problem = _problem(nodes, context.rewriter)
        if problem or saved <= spent:
            context.journal.decline(MERGE_PRODUCTS.name, nodes[0], problem or f"merging {reason}")
            return False
        builder = context.rewriter.builder.standing_for(nodes, MERGE_PRODUCTS.name)
        pieces = _merged(builder, nodes)
        return any(
            [replaced(context, node, [piece], MERGE_PRODUCTS, reason) for node, piece in zip(nodes, pieces)]
        )

    def saving(self, nodes: list[Node]) -> int:
        """What merging saves, in bytes copied."""
        return round((len(nodes) - 1) * (self.start + READING * type_bytes(nodes[0].inputs[0].type)))

    def price(self, nodes: list[Node]) -> int:
        """What merging costs, in bytes copied."""
        weights = [node.inputs[1] for node in nodes]
        results = sum([type_bytes(node.output.type) for node in nodes])
        joined = 0 if is_constant(*weights) else sum([type_bytes(one.type) for one in weights])
        return round(COPYING * results) + joined


def _key(node: Node) -> tuple | None:
    """What products must have in common to be merged; None for what cannot be."""
    if node.op is not matmul and node.op is not conv:
        return None
    data, weight = node.inputs
    if data.dtype.kind != "float" or not is_weight(weight) or is_weight(data):
        return None
    if 0 in weight.shape:
        return None  # joined with another weight it may be that one, and nothing would be merged
    if node.op is matmul:
        return (matmul, data, weight.shape[0]) if weight.ndim == 2 else None
    return (conv, data, weight.shape[1:], node.attrs) if node.attrs["groups"] == 1 else None


def _problem(nodes: list[Node], rewriter: Rewriter) -> str:
    """Why products of one input cannot be merged; "" if they can."""
    for node in nodes:
        weight = node.inputs[1]
        if any([isinstance(size, Dim) for size in (*weight.shape, *node.output.shape)]):
            return f"{node.name} has symbolic sizes, so what merging saves is not known"
        if is_constant(weight) and rewriter.use_count(weight) > 1:
            return f"{weight.node.name} has other users, so a second copy of it would be kept"
    return ""


def _merged(b: RewriteBuilder, nodes: list[Node]) -> tuple[Tensor, ...]:
    """The results of the products, cut out of one product."""
    first = nodes[0]
    weight_axis, axis = (1, first.output.ndim - 1) if first.op is matmul else (0, 1)
    weights = [node.inputs[1] for node in nodes]
    if is_constant(*weights):
        joined = b.constant(value=np.concatenate([array_of(one) for one in weights], axis=weight_axis))
    else:
        joined = b.concat(*weights, axis=weight_axis)
    made = b.apply(first.op, [first.inputs[0], joined], dict(first.attrs))
    pieces: tuple[Tensor, ...] = b.split(
        made, sections=tuple([one.shape[weight_axis] for one in weights]), axis=axis
    )
    return pieces
