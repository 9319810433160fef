"""Hidden layers that have their features on the lanes, between two products by constant weights.

Rows on lanes waste what is left of the last 64 rows; features on lanes, 16 rows at a time, waste less. To
come and go takes a way through DDR, so that this is for pairs of large products, as in a transformer's
feed-forward part: product, bias, function of each element, product, bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from graphflow.ir.node import Node, Tensor
from graphflow.runtime.bm1684.compiler.layers.product import cycles_of
from graphflow.runtime.bm1684.compiler.layers.window import LONGEST, MOST_CHANNELS
from graphflow.runtime.bm1684.compiler.tensors import WORD
from graphflow.runtime.bm1684.cycles import GDMA_HERTZ, TIU_HERTZ, transfer_cycles
from graphflow.runtime.bm1684.isa import Direction

_FUNCTIONS = frozenset(("relu", "gelu", "silu", "sigmoid", "tanh", "elu", "leaky_relu", "hard_swish", "mish"))

FIRST, BIAS, SECOND, SUM = "first", "bias", "second", "sum"
"""What nodes of hidden layers are: the first product, sums with a bias, the second, the sum with a tensor."""


class Hidden(NamedTuple):
    """What is computed with features on the lanes.

    Attributes:
        roles: of each node what it is.
        ends: the tensors that leave.
        added: by the first product, the tensor that is added at the end.
    """

    roles: dict[Node, str]
    ends: set[Tensor]
    added: dict[Node, Tensor]


def find_hidden(
    order: Sequence[Node], uses: Mapping[Tensor, int], data: Mapping[Tensor, np.ndarray]
) -> Hidden:
    """The hidden layers that gain.

    Arguments:
        uses: how often each tensor is read.
        data: of constant tensors.
    """
    reader = {x: node for node in order for x in node.inputs if uses[x] == 1}
    made = Hidden({}, set(), {})
    for node in order:
        if node in made.roles or not _by_weights(node, data):
            continue
        chain: dict[Node, str] = {node: FIRST}
        tensor = _with_bias(node.output, reader, data, chain)
        while tensor in reader and reader[tensor].op.name in _FUNCTIONS:
            tensor = reader[tensor].output
        second = reader.get(tensor)
        if second is None or tensor is second.inputs[-1] or not _by_weights(second, data):
            continue
        if tensor.node in chain or not _gains(node, second, data):
            continue
        chain[second] = SECOND
        end = _with_bias(second.output, reader, data, chain)
        added = reader.get(end)
        if added is not None and _adds_alike(added, data):
            chain[added] = SUM
            made.added[node] = added.inputs[1] if added.inputs[0] is end else added.inputs[0]
            end = added.output
        made.ends.add(end)
        made.roles.update(chain)
    return made


def _adds_alike(node: Node, data: Mapping[Tensor, np.ndarray]) -> bool:
    """Whether a node adds two different tensors of the same sizes."""
    if node.op.name != "add" or any(x in data for x in node.inputs):
        return False
    return node.inputs[0].shape == node.inputs[1].shape and node.inputs[0] is not node.inputs[1]


def _by_weights(node: Node, data: Mapping[Tensor, np.ndarray]) -> bool:
    if node.op.name != "matmul" or node.inputs[0] in data or node.inputs[1] not in data:
        return False
    x, matrix = node.inputs[0], data[node.inputs[1]]
    fits = matrix.ndim == 2 and max(matrix.shape) <= MOST_CHANNELS
    return fits and x.ndim == 3 and all(isinstance(size, int) and size <= LONGEST for size in x.shape[:2])


def _with_bias(
    tensor: Tensor, reader: Mapping[Tensor, Node], data: Mapping[Tensor, np.ndarray], chain: dict[Node, str]
) -> Tensor:
    """The tensor, or its sum with a bias, which is noted."""
    node = reader.get(tensor)
    if node is None or node.op.name != "add":
        return tensor
    known = data.get(node.inputs[1] if node.inputs[0] is tensor else node.inputs[0])
    if known is None or known.shape != tensor.shape[-1:] or node.output.shape != tensor.shape:
        return tensor
    chain[node] = BIAS
    return node.output


def _gains(first: Node, second: Node, data: Mapping[Tensor, np.ndarray]) -> bool:
    """Whether features on lanes save more time than the ways through DDR take."""
    batch, rows, inner = (int(size) for size in first.inputs[0].shape)
    saved = 0
    for node in (first, second):
        taken, made = data[node.inputs[1]].shape
        took = cycles_of(rows, taken, made, bias=True)
        saved += batch * (took["rows"] - took["features"])
    moved = 0
    for size in (inner, data[second.inputs[1]].shape[1]):
        size *= batch * rows * WORD
        moved += transfer_cycles(size, rows * WORD, Direction.STORE, scattered=True)
        moved += transfer_cycles(size, size, Direction.LOAD)
    return saved / TIU_HERTZ > moved / GDMA_HERTZ
