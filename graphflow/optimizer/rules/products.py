"""Products of matrices that something cheaper computes: of diagonals, selections, columns, and sums.

A product adds terms in an order that is the library's affair, so what leaves a sum of several terms
behind is of class "rounding" (and carries the tag "products"). Where all terms but one are 0, the sum is
that term, and only 0 x NaN, 0 x infinity and the sign of zero tell the two apart: class "finite".
"""

from __future__ import annotations

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.pattern import Match, P, Variable, variables
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules.common import FLOAT, X, Y

A, B = variables("A B")
CONSTANT = Variable("CONSTANT", constant=True)


@rule(P.matmul(X, Y), safety="finite")
def outer_product(m: Match, b: Builder) -> Answer:
    """A column times a row is the product of each with each: z_ij = x_i y_j."""
    if m.X.ndim < 2 or m.Y.ndim < 2 or m.X.shape[-1] != 1:
        return None
    return b.multiply(m.X, m.Y)


@rule([P.matmul(X, CONSTANT), P.matmul(CONSTANT, X)], safety="finite")
def product_with_sparse(m: Match, b: Builder) -> Answer:
    """x I = x, x diag(d) = x_j d_j, and a matrix with one 1 a column (or a row, left of x) selects from x."""
    on_right = m.root.inputs[0] is m.X
    matrix = m.value(CONSTANT) if on_right else m.value(CONSTANT).T
    if matrix.ndim != 2 or m.X.ndim < 2 or 0 in matrix.shape or not _is_sparse(matrix):
        return None
    columns = matrix.shape[1]
    places = np.argmax(matrix != 0, axis=0)
    entries = matrix[places, np.arange(columns)]
    if matrix.shape[0] == columns and (places[entries != 0] == np.arange(columns)[entries != 0]).all():
        if (entries == 1).all():
            return m.X
        return b.multiply(m.X, b.constant(value=entries if on_right else entries[:, None]))
    if not (entries == 1).all():
        return decline("the constant selects and scales, so a product with it is not a selection")
    return b.take(m.X, b.constant(value=places.astype(np.int32)), axis=m.X.ndim - (1 if on_right else 2))


def _is_sparse(matrix: np.ndarray) -> bool:
    """Whether no column has more than one number that is not 0; two columns rule most matrices out."""
    if np.count_nonzero(matrix[:, 0]) > 1 or np.count_nonzero(matrix[:, -1]) > 1:
        return False
    return bool((np.count_nonzero(matrix, axis=0) <= 1).all())


@rule([P.matmul(X, P.diagonal_matrix(Y)), P.matmul(P.diagonal_matrix(Y), X)], safety="finite")
def product_with_diagonal(m: Match, b: Builder) -> Answer:
    """x diag(d) = x_ij d_j, and diag(d) x = d_i x_ij."""
    attrs = m.inner.attrs
    if attrs["offset"] != 0 or attrs["rows"] != attrs["columns"]:
        return decline(f"{m.inner.name} is not the main diagonal of a square matrix")
    if m.X.ndim < 2:
        return b.multiply(m.X, m.Y) if m.Y.ndim == 1 else None
    on_right = m.root.inputs[0] is m.X
    return b.multiply(m.X, b.expand_dims(m.Y, axis=-2 if on_right else -1))


@rule(P.matmul(P.one_hot(X), Y), safety="finite")
def product_with_one_hot(m: Match, b: Builder) -> Answer:
    """one_hot(i) y is row i of y, and zeros where i is out of range."""
    if m.inner.attrs["axis"] != m.X.ndim or m.Y.ndim not in (1, 2):
        return None
    if m.Y.shape[0] == 0:
        return decline(f"{m.Y.name} has no rows")
    known, size = b.greater_equal(m.X, b.like(0, m.X)), m.Y.shape[0]
    most = np.iinfo(m.X.dtype.numpy).max
    if not isinstance(size, int) and most < 2**31 - 1:
        return decline(f"{m.X.dtype} may not hold the size {size}")
    if not isinstance(size, int) or size <= most:
        known = b.logical_and(known, b.less(m.X, b.astype(b.tensor(size), dtype=m.X.dtype)))
    if m.Y.ndim == 2:
        known = b.expand_dims(known, axis=-1)
    return b.where(known, b.take(m.Y, m.X, axis=0), b.like(0, m.Y))


@rule(
    [P.permute_dims(P.matmul(P.permute_dims(A), B)), P.permute_dims(P.matmul(A, P.permute_dims(B)))],
    safety="rounding", evidence="sampled", tags="products",
)  # fmt: skip
def transposed_product(m: Match, b: Builder) -> Answer:
    """(x^T y)^T = y^T x and (x y^T)^T = y x^T, which takes one transposition less."""
    product = m.nodes[1]
    if not all([_swaps(one) for one in (m.root, m.nodes[2])]):
        return None
    if not m.inner.has_one_use:
        return decline(f"{product.name} has other users")
    left, right = product.inputs
    if right.ndim != left.ndim or all([one.node.op.name == "permute_dims" for one in (left, right)]):
        return None  # `strength.transpose_of_product` is for that
    return b.matmul(_transposed(b, right), _transposed(b, left))


def _swaps(node: Node) -> bool:
    """Whether a permutation exchanges the last two axes and nothing else."""
    axes = list(node.attrs["axes"])
    return len(axes) >= 2 and axes == [*range(len(axes) - 2), len(axes) - 1, len(axes) - 2]


def _transposed(b: Builder, x: Tensor) -> Tensor:
    """x with its last two axes exchanged; what is exchanged already is taken back."""
    if x.node.op.name == "permute_dims" and _swaps(x.node):
        return x.node.inputs[0]
    made: Tensor = b.permute_dims(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))
    return made


@rule(
    [
        getattr(P, name)(*pair)
        for name in ("add", "subtract")
        for pair in (
            (P.matmul(FLOAT, A).named("LEFT"), P.matmul(FLOAT, B).named("RIGHT")),
            (P.matmul(A, FLOAT).named("LEFT"), P.matmul(B, FLOAT).named("RIGHT")),
        )
    ],
    safety="rounding", evidence="sampled", tags="products",
)  # fmt: skip
def sum_of_products(m: Match, b: Builder) -> Answer:
    """x a + x b = x (a + b), and a x + b x = (a + b) x, which is one product instead of two."""
    if m.A.type is not m.B.type or m.A is m.B:
        return None
    for met in (m.LEFT, m.RIGHT):
        if not met.has_one_use:
            return decline(f"{met.name} has other users, so its product is needed anyway")
    total = getattr(b, m.root.op.name)(m.A, m.B)
    on_left = all([met.node.inputs[0] is m.X for met in (m.LEFT, m.RIGHT)])
    return b.matmul(m.X, total) if on_left else b.matmul(total, m.X)


RULES: tuple[Rule, ...] = (
    product_with_diagonal,
    product_with_sparse,
    product_with_one_hot,
    outer_product,
    transposed_product,
    sum_of_products,
)
