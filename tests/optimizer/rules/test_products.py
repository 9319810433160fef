"""Rules for products that something cheaper computes."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.optimizer.rules import products as rules
from tests.optimizer.rewriting import assert_declines, assert_same_bits, build, rewrite, values
from tests.optimizer.rules.cases import Case

X = "x: float32[4,3]"
TURN = "axes=(1, 0)"

CASES = [
    Case(rules.outer_product, "x: float32[4,1], y: float32[1,5] -> matmul(x, y)", "multiply(x, y)"),
    Case(rules.outer_product, "x: float32[2,n,1], y: float32[1,5] -> matmul(x, y)", "multiply(x, y)"),
    Case(rules.product_with_sparse, f"{X} -> matmul(x, np.eye(3, dtype='float32'))", "x"),
    Case(rules.product_with_sparse, "x: int32[4,3] -> matmul(np.eye(4, dtype='int32'), x)", "x"),
    Case(
        rules.product_with_sparse,
        f"{X} -> matmul(x, np.diag([1., -2., 0.]).astype('float32'))",
        "multiply(x, np.array([1., -2., 0.], 'float32'))",
    ),
    Case(
        rules.product_with_sparse,
        f"{X} -> matmul(np.diag([1., -2., 0., 3.]).astype('float32'), x)",
        "multiply(x, np.array([[1.], [-2.], [0.], [3.]], 'float32'))",
    ),
    Case(
        rules.product_with_sparse,
        f"{X} -> matmul(x, np.eye(3, dtype='float32')[:, [2, 2, 0, 1]])",
        "take(x, np.array([2, 2, 0, 1], 'int32'), axis=1)",
    ),
    Case(
        rules.product_with_sparse,
        f"{X} -> matmul(np.eye(4, dtype='float32')[[3, 1]], x)",
        "take(x, np.array([3, 1], 'int32'), axis=0)",
    ),
    Case(
        rules.product_with_diagonal,
        f"{X}, d: float32[3] -> matmul(x, diagonal_matrix(d, rows=3, columns=3))",
        "multiply(x, expand_dims(d, axis=-2))",
    ),
    Case(
        rules.product_with_diagonal,
        f"{X}, d: float32[4] -> matmul(diagonal_matrix(d, rows=4, columns=4), x)",
        "multiply(x, expand_dims(d, axis=-1))",
    ),
    Case(
        rules.product_with_one_hot,
        "i: int32[2,4], y: float32[3,5] -> matmul(one_hot(i, depth=3), y)",
        "k = logical_and(greater_equal(i, 0), less(i, astype(constant(np.int32(3)), dtype=i.dtype)));"
        "where(expand_dims(k, axis=-1), take(y, i, axis=0), 0)",
    ),
    Case(
        rules.product_with_one_hot,
        "i: uint8[4], y: float32[300] -> matmul(one_hot(i, depth=300), y)",
        "where(greater_equal(i, 0), take(y, i, axis=0), 0)",
    ),
    Case(
        rules.transposed_product,
        f"x: float32[3,4], y: float32[3,5] -> permute_dims(matmul(permute_dims(x, {TURN}), y), {TURN})",
        f"matmul(permute_dims(y, {TURN}), x)",
    ),
    Case(
        rules.transposed_product,
        f"x: float32[3,4], y: float32[5,4] -> permute_dims(matmul(x, permute_dims(y, {TURN})), {TURN})",
        f"matmul(y, permute_dims(x, {TURN}))",
    ),
    Case(
        rules.sum_of_products,
        "x: float64[3,4], a: float64[4,5], b: float64[4,5] -> add(matmul(x, a), matmul(x, b))",
        "matmul(x, add(a, b))",
        1e-9,
    ),
    Case(
        rules.sum_of_products,
        "x: float64[4,5], a: float64[3,4], b: float64[3,4] -> subtract(matmul(a, x), matmul(b, x))",
        "matmul(subtract(a, b), x)",
        1e-9,
    ),
    Case(
        rules.sum_of_products,
        "x: float64[4,4], a: float64[4,4] -> subtract(matmul(x, x), matmul(a, x))",
        "matmul(subtract(x, a), x)",
        1e-9,
    ),
    Case(
        rules.sum_of_products,
        "x: float64[4,4], a: float64[4,4] -> subtract(matmul(x, a), matmul(x, x))",
        "matmul(x, subtract(a, x))",
        1e-9,
    ),
]


@pytest.mark.parametrize(
    ("rule", "text", "sentence"),
    [
        (rules.outer_product, "x: float32[1], y: float32[1,5] -> matmul(x, y)", ""),
        (rules.product_with_sparse, f"{X} -> matmul(x, np.ones((3, 3), 'float32'))", ""),
        (rules.product_with_sparse, "x: float32[4,0] -> matmul(x, np.ones((0, 3), 'float32'))", ""),
        (
            rules.product_with_sparse,
            f"{X} -> matmul(x, 2 * np.eye(3, dtype='float32')[:, [1, 0]])",
            "selects and scales",
        ),
        (
            rules.product_with_diagonal,
            f"{X}, d: float32[3] -> matmul(x, diagonal_matrix(d, rows=3, columns=4))",
            "not the main diagonal of a square matrix",
        ),
        (
            rules.product_with_one_hot,
            "i: int32[4], y: float32[4,5] -> matmul(one_hot(i, depth=3, axis=0), y)",
            "",
        ),
        (
            rules.product_with_one_hot,
            "i: int8[4], y: float32[n,5] -> matmul(one_hot(i, depth=Dim('n')), y)",
            "int8 may not hold the size n",
        ),
        (
            rules.transposed_product,
            f"x: float32[3,4], y: float32[3,5] -> z = matmul(permute_dims(x, {TURN}), y); "
            f"(permute_dims(z, {TURN}), z)",
            "matmul has other users",
        ),
        (
            rules.sum_of_products,
            "x: float32[3,4], a: float32[4,5], b: float32[4,5] -> y = matmul(x, a); (add(y, "
            "matmul(x, b)), y)",
            "matmul has other users, so its product is needed anyway",
        ),
        (
            rules.sum_of_products,
            "x: float32[3,4], a: float32[4,5], b: float32[4] -> add(matmul(x, a), "
            "expand_dims(matmul(x, b), axis=1))",
            "",
        ),
    ],
)
def test_declines(rule: object, text: str, sentence: str) -> None:
    assert_declines(rule, text, sentence)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_indices_out_of_range_give_zeros(dtype: str) -> None:
    text = f"i: {dtype}[5], y: float32[3,2] -> matmul(one_hot(i, depth=3), y)"
    plain, program = build(text), build(text)
    assert rewrite(program, rules.RULES).fired("product_with_one_hot")
    index = np.array([0, 2, 3, 100, 127] if dtype == "uint8" else [-1, 2, 3, 100, -100]).astype(dtype)
    table = np.random.default_rng(0).normal(size=(3, 2)).astype("float32")
    assert_same_bits(values(program, [index, table])[0], values(plain, [index, table])[0])


def test_what_a_product_with_zeros_loses() -> None:
    """The class "finite": 0 x infinity is NaN in the product, and is not computed in what replaces it."""
    text = f"{X} -> matmul(x, np.diag([1., 2., 3.]).astype('float32'))"
    plain, program = build(text), build(text)
    rewrite(program, rules.RULES)
    x = np.array([[np.inf, 1, 2], [0, 1, 2], [-0.0, 1, 2], [1, np.nan, 1]], "float32")
    with np.errstate(all="ignore"):
        (old,), (new,) = values(plain, [x]), values(program, [x])
    assert np.isnan(old[0]).any() and not np.isnan(new[0]).any()
    np.testing.assert_array_equal(new[1:3], old[1:3])
