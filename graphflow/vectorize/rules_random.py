"""Batching of random operators: each example has a key of its own, and the numbers that it gives."""

from __future__ import annotations

from typing import Any

from graphflow.ir.node import Node
from graphflow.vectorize.rule import Batch, Operand, batching


@batching("random_bits", "random_uniform", "random_normal", "random_permutation")
def _(batch: Batch, node: Node, key: Operand) -> Any:
    return batch.again(node, key.tensor)


@batching("random_fold_in")
def _(batch: Batch, node: Node, key: Operand, data: Operand) -> Any:
    rank = max(node.inputs[0].ndim - 1, node.inputs[1].ndim)
    return batch.again(node, batch.aligned(key, rank + 1), batch.aligned(data, rank))
