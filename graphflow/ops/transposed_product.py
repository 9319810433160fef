"""The product of rows with the rows of a matrix, z = x w^T, as few rows are multiplied fastest.

A matrix of weights [features, units] holds a unit's weights apart; transposed they lie side by side, and a
product with few rows is one pass over them. Users write `matmul`; the pass `product-layout` puts this in
its place where the target gains by it.
"""

from __future__ import annotations

import numpy as np

from graphflow.errors import DTypeError
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops import linalg
from graphflow.ops.inference import require
from graphflow.ops.precision import wide
from graphflow.ops.windows import unify_shapes


def _type(types, attrs):
    x, w = types
    if x.dtype.kind == "bool":
        raise DTypeError("matmul_transposed does not take bool", hint="convert with gf.astype")
    require(x.rank >= 1 and w.rank == 2, "matmul_transposed needs rows [..., k] and a matrix [m, k]")
    unify_shapes(x.shape[-1:], w.shape[1:], "matmul_transposed needs rows of the same size on both sides")
    return (TensorType(x.dtype, (*x.shape[:-1], w.shape[0])),)


@op("linalg", infer=_type, promotion="same", traits="contraction")
@wide
def matmul_transposed(x, w, /):
    """The matrix product with a transposed matrix: z_ij = sum_k x_ik w_jk.

    Arguments:
        x: numbers [..., k].
        w: numbers [m, k].

    Returns:
        [..., m] of the promoted dtype.

    Raises:
        ShapeError: if the last sizes differ, or w is no matrix.

    Source: BLAS xGEMM with transb = "T".

    >>> import graphflow as gf
    >>> x, w = gf.placeholder("x", ("batch", 64)), gf.placeholder("w", (10, 64))
    >>> gf.ops.transposed_product.matmul_transposed(x, w).type
    float32[batch, 10]
    """
    return np.matmul(x, w.T)


@matmul_transposed.gradient
def _(b, node, g):
    x, w = node.inputs
    return [
        lambda: b.matmul(g, w),
        lambda: b.matmul(linalg.transposed(b, linalg.rows_of(b, g)), linalg.rows_of(b, x)),
    ]


@matmul_transposed.decomposition
def _(b, node):
    x, w = node.inputs
    return [b.matmul(x, linalg.transposed(b, w))]
