"""Batching of operators on texts that are not elementwise."""

from __future__ import annotations

from typing import Any

from graphflow.ir.node import Node
from graphflow.vectorize.rule import Batch, Operand, batching


@batching("string_split")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    return batch.again(node, x.tensor)


@batching("tf_idf_vectorizer")
def _(batch: Batch, node: Node, x: Operand) -> Any:
    shape, made = node.inputs[0].shape, node.outputs[0]
    if len(shape) == 1:
        return batch.again(node, x.tensor)
    rows = batch.builder.reshape(x.tensor, shape=(batch.size * shape[0], shape[1]))
    return batch.builder.reshape(batch.again(node, rows), shape=(batch.size, *made.shape))
