"""Batching of products and factorizations of matrices, whose leading axes are a batch already."""

from __future__ import annotations

from typing import Any

from graphflow.ir.node import Node, Tensor
from graphflow.vectorize.rule import Batch, Operand, batching


@batching(
    "cholesky", "qr", "svd", "svdvals", "eigh", "eigvalsh", "eig", "eigvals", "inv", "pinv", "det",
    "adjugate", "slogdet", "diagonal", "diagonal_matrix",
)  # fmt: skip
def _(batch: Batch, node: Node, x: Operand) -> Any:
    return batch.again(node, x.tensor)


def _as_matrix(batch: Batch, operand: Operand, rank: int, axis: int) -> Operand:
    """A vector as a matrix with one row (axis 0) or one column (axis 1); anything else as it is."""
    if rank != 1:
        return operand
    place = axis + 1 if operand.batched else axis
    return Operand(batch.builder.expand_dims(operand.tensor, axis=place), operand.batched)


@batching("matmul")
def _(batch: Batch, node: Node, x: Operand, y: Operand) -> Any:
    ranks = [tensor.ndim for tensor in node.inputs]
    if not y.batched and ranks[1] <= 2:
        return batch.again(node, x.tensor, y.tensor)
    left, right = _as_matrix(batch, x, ranks[0], 0), _as_matrix(batch, y, ranks[1], 1)
    rank = max(2, *ranks)
    made = batch.again(node, batch.aligned(left, rank), batch.aligned(right, rank))
    added = (made.ndim - 2,) * (ranks[0] == 1) + (made.ndim - 1,) * (ranks[1] == 1)
    return batch.builder.squeeze(made, axis=added) if added else made


@batching("solve", "triangular_solve")
def _(batch: Batch, node: Node, x: Operand, y: Operand) -> Any:
    ranks = [tensor.ndim for tensor in node.inputs]
    right = _as_matrix(batch, y, ranks[1], 1)
    rank = max(2, *ranks)
    made: Tensor = batch.again(node, batch.aligned(x, rank), batch.aligned(right, rank))
    return batch.builder.squeeze(made, axis=-1) if ranks[1] == 1 else made
