"""A rule for products of few rows with large matrices: the weights are stored transposed.

    x w  =  matmul_transposed(x, w^T)

XLA:CPU brings the right-hand matrix of a product into another order in every run. Over many rows that is
no matter; with few it is most of the work, since to read the weights takes longer than to multiply by
them. `matmul_transposed` takes them as they are, once. Measured with float32 on two cores that read 28 GB/s
(AMD EPYC 9004, jax 0.10), chains of products whose weights, 113 MB together, do not stay in the caches; GB/s
of weights, and the quotient:

    rows                 1     2     4     8    16    32    64   128   256
    768 x 3072        17.8   9.3  11.2  10.3   8.3   6.0   4.9   2.6   1.4
      transposed      26.0  21.0  21.8  21.0  15.6   9.8   5.9   2.8   1.4
                      1.46  2.26  1.95  2.04  1.88  1.64  1.18  1.08  1.00
    768 x 768         20.7        15.0  13.1  11.0   7.0   4.2   2.8   1.5
      transposed      24.2        19.3  15.0  13.6   8.1   4.7   2.8   1.5
    4096 x 4096       21.8              14.3
      transposed      25.5              24.7

From 16 rows on both come near the 150 GFLOP/s of the two cores. Matrices that stay in the cache of a core, up
to 512 x 512, take as long either way (0.8 to 1.1). Slower than both for 2 to 256 rows were: handing the
product the transposed matrix as its right-hand one (7 to 10 GB/s), halves or blocks of the columns (3 to 10),
and XLA's other libraries for products (2 to 14).

The same products are added up in another order, which is the library's affair either way: class "rounding",
done for speed as the choice of a convolution's algorithm is. On variables it would take a pass over them in
every run, so that they stay, unless it is their transposed form that is multiplied by.
"""

from __future__ import annotations

from math import prod

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.cost import type_bytes
from graphflow.optimizer.pattern import Match, P
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import FLOAT, Y
from graphflow.optimizer.rules.weights import array_of, is_constant

MOST_ROWS = 64
"""With more rows transposing gains less than a tenth."""

LEAST_BYTES = 1 << 20
"""Smaller matrices stay in the cache of a core, from which they are read as fast in either order."""


@rule(P.matmul(FLOAT, Y), safety="rounding", evidence="sampled", tags="algorithm")
def transposed_weights(m: Match, b: Builder) -> Answer:
    """x w = matmul_transposed(x, w^T), for few rows x and a matrix w that is constant, or transposed."""
    data, weight = m.root.inputs
    if weight.ndim != 2 or weight.dtype.name != "float32" or not _is_static(data, weight):
        return None
    size, rows = type_bytes(weight.type), _rows(data)
    if size < LEAST_BYTES:
        return decline(f"{weight.name} has {size} bytes, which stay in the cache of a core")
    if not 0 < rows <= MOST_ROWS:
        return decline(f"{rows} rows make a product that takes longer than to reorder {weight.name}")
    maker = weight.node
    if maker.op.name == "permute_dims":
        return b.matmul_transposed(data, maker.inputs[0])
    if not is_constant(weight):
        return decline(f"{weight.name} is no constant, so it would be transposed in every run")
    if not all([_is_like(node, weight) for node in m.rewriter.users[weight]]):
        return decline(f"{weight.name} has other users, so a second copy of its {size} bytes would be kept")
    if m.rewriter.use_count(weight) > sum(m.rewriter.users[weight].values()):
        return decline(f"{weight.name} is a result, too")
    return b.matmul_transposed(data, b.constant(value=np.ascontiguousarray(array_of(weight).T)))


def _is_static(*tensors: Tensor) -> bool:
    return all([isinstance(size, int) for tensor in tensors for size in tensor.shape])


def _rows(data: Tensor) -> int:
    return prod([int(size) for size in data.shape[:-1]])


def _is_like(node: Node, weight: Tensor) -> bool:
    """Whether a user of a weight is a product of few rows with it."""
    if node.op.name != "matmul" or node.inputs[1] is not weight or node.inputs[0] is weight:
        return False
    data = node.inputs[0]
    return _is_static(data) and 0 < _rows(data) <= MOST_ROWS


RULES: tuple[Rule, ...] = (transposed_weights,)
