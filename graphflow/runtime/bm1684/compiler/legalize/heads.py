"""Which factors of products are heads of attention, found before anything is made of the nodes.

Heads are cut out of projections by a reshape and a transposition, and scaled. As the factors of a batched
product they can be read where they lie, so that none of this takes a command: rows on lanes for what is
multiplied from the left and for values; features on lanes for keys, whose projection is computed so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from graphflow.ir.node import Node, Tensor
from graphflow.runtime.bm1684.compiler.layers.layer import Layer
from graphflow.runtime.bm1684.compiler.layers.movement import Turned
from graphflow.runtime.bm1684.compiler.layers.product import RowProduct
from graphflow.runtime.bm1684.compiler.tensors import Value


def sizes(tensor: Tensor) -> tuple[int, ...]:
    """The sizes of a tensor; -1 for one that is not known."""
    return tuple([size if isinstance(size, int) else -1 for size in tensor.shape])


ROWS = (0, 2, 1, 3)
TURNED = (0, 2, 3, 1)
"""How axes (items, rows, heads, size) stand as a factor: heads of rows, and the same transposed."""


class Projection(NamedTuple):
    """x @ matrix + bias."""

    x: Tensor
    matrix: np.ndarray
    bias: np.ndarray | None


class Heads(NamedTuple):
    """A factor of a product that is cut out of a tensor (items, rows, heads * size).

    Attributes:
        base: the tensor.
        parts: how many heads.
        turned: whether the factor is (items, heads, size, rows).
        scale: by what the factor is to be multiplied.
        projection: what the tensor is computed as, if that is left to the product.
        nodes: all nodes that are taken along.
    """

    base: Tensor
    parts: int
    turned: bool
    scale: float
    projection: Projection | None
    nodes: tuple[Node, ...]


def find_heads(
    order: Iterable[Node], uses: Mapping[Tensor, int] | Counter[Tensor], data: Mapping[Tensor, np.ndarray]
) -> dict[Tensor, Heads]:
    """The factors of products of two activations that are heads.

    Arguments:
        uses: how often each tensor is read.
        data: of constant tensors.
    """
    found = {}
    for node in order:
        if node.op.name != "matmul" or any(x in data for x in node.inputs):
            continue
        for place, x in enumerate(node.inputs):
            heads = _heads(x, uses, data)
            if heads is None:
                continue
            size = sizes(heads.base)[2] // heads.parts
            if place == 0 and (heads.turned or size % 2):
                continue
            if place == 1 and (heads.projection is None and heads.scale != 1.0):
                continue
            found[x] = heads
    return found


def _heads(x: Tensor, uses: Mapping[Tensor, int], data: Mapping[Tensor, np.ndarray]) -> Heads | None:
    nodes, scale, tensor = list[Node](), 1.0, x
    while uses[tensor] == 1:
        node = tensor.node
        factor = _factor(node, data)
        if factor is None:
            break
        tensor, scale = factor[0], scale * factor[1]
        nodes.append(node)
    moved = tensor.node
    if uses[tensor] != 1 or moved.op.name != "permute_dims":
        return None
    axes, whole = tuple(moved.attrs["axes"]), moved.inputs[0]
    cut = whole.node
    if axes not in (ROWS, TURNED) or uses[whole] != 1 or cut.op.name != "reshape":
        return None
    base, shape = cut.inputs[0], sizes(whole)
    if min(shape) < 1:
        return None
    if len(sizes(base)) != 3 or sizes(base)[:2] != shape[:2] or base in data:
        return None
    nodes += [moved, cut]
    projection = _projection(base, uses, data) if axes == TURNED or scale != 1.0 else None
    if projection is not None:
        nodes += projection[1]
    return Heads(base, shape[2], axes == TURNED, scale, projection and projection[0], tuple(nodes))


def _factor(node: Node, data: Mapping[Tensor, np.ndarray]) -> tuple[Tensor, float] | None:
    """The tensor that a node multiplies by a constant, and the constant."""
    if node.op.name not in ("multiply", "divide"):
        return None
    for x, other in (node.inputs, node.inputs[::-1]):
        known = data.get(other)
        if known is not None and known.size == 1 and x not in data and sizes(x) == sizes(node.output):
            if node.op.name == "multiply":
                return x, float(known.reshape(-1)[0])
            if x is node.inputs[0]:
                return x, 1 / float(known.reshape(-1)[0])
    return None


def _projection(
    base: Tensor, uses: Mapping[Tensor, int], data: Mapping[Tensor, np.ndarray]
) -> tuple[Projection, list[Node]] | None:
    """A tensor as a product by constant weights that nothing else reads, and its nodes."""
    bias, nodes, tensor = None, list[Node](), base
    if uses[base] == 1 and base.node.op.name == "add":
        for x, other in (base.node.inputs, base.node.inputs[::-1]):
            known = data.get(other)
            if known is not None and known.size == known.shape[-1:][0] == sizes(base)[2]:
                bias, tensor, nodes = known.reshape(-1), x, [base.node]
    node = tensor.node
    if uses[tensor] != 1 or node.op.name != "matmul" or node.inputs[1] not in data:
        return None
    matrix = data[node.inputs[1]]
    if matrix.ndim != 2 or node.inputs[0] in data or len(sizes(node.inputs[0])) != 3:
        return None
    return Projection(node.inputs[0], matrix, bias), [*nodes, node]


def turned_ahead(layers: Sequence[Layer], sources: Iterable[Value]) -> list[Layer]:
    """The layers, so that the tensor unit has something to do while a value is turned through DDR.

    Behind the layer that computes such a value come the one that turns it, then all products of it.

    Arguments:
        sources: the values that are turned.
    """
    computed = {layer.output for layer in layers}
    behind: dict[Value, list[Layer]] = {value: [] for value in sources if value in computed}
    for kind in (Turned, RowProduct):
        for layer in layers:
            if isinstance(layer, kind) and layer.inputs[0] in behind:
                behind[layer.inputs[0]].append(layer)
    pending, made = list(reversed(layers)), list[Layer]()
    done = set[Value]()
    while pending:
        layer = pending.pop()
        if layer.output not in done:
            done.add(layer.output)
            made.append(layer)
            pending += reversed(behind.get(layer.output, []))
    return made
