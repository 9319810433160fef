"""Rules that bring hand-written attention into the form of `gf.nn.attention`."""

from __future__ import annotations

import pytest

from graphflow.optimizer.rules import attention_forms as rules
from tests.optimizer.rewriting import assert_declines
from tests.optimizer.rules.cases import Case

QK = "q: float64[2,4,5,3], k: float64[2,4,3,6]"
GROUPED = "q: float64[2,4,5,3], k: float64[2,2,6,3]"
TURN = "axes=(0, 1, 3, 2)"
ROWS = "reshape(q, shape=(2, 2, 10, 3))"

CASES = [
    Case(
        rules.scale_scores_before,
        f"{QK} -> softmax(multiply(matmul(q, k), 0.5))",
        "softmax(matmul(multiply(q, 0.5), k))",
        1e-9,
    ),
    Case(
        rules.scale_scores_before,
        f"{QK} -> softmax(divide(matmul(q, k), 8.0))",
        "softmax(matmul(divide(q, 8.0), k))",
        1e-9,
    ),
    Case(
        rules.scale_scores_before,
        f"{QK}, m: bool[5,6] -> softmax(where(m, multiply(0.5, matmul(q, k)), -1e9))",
        "softmax(where(m, matmul(multiply(q, 0.5), k), -1e9))",
        1e-9,
    ),
    Case(
        rules.scale_scores_before,
        f"{QK}, m: float64[5,6] -> softmax(add(multiply(0.5, matmul(q, k)), m))",
        "softmax(add(matmul(multiply(q, 0.5), k), m))",
        1e-9,
    ),
    Case(
        rules.scale_scores_before,
        f"{GROUPED} -> softmax(multiply(0.5, reshape(matmul({ROWS}, permute_dims(k, {TURN})), "
        f"shape=(2, 4, 5, 6))))",
        "softmax(reshape(matmul(reshape(multiply(q, 0.5), shape=(2, 2, 10, 3)), "
        f"permute_dims(k, {TURN})), shape=(2, 4, 5, 6)))",
        1e-9,
    ),
    Case(
        rules.product_with_repeated_heads,
        f"{GROUPED} -> matmul(q, permute_dims(repeat(k, repeats=2, axis=1), {TURN}))",
        f"reshape(matmul({ROWS}, permute_dims(k, {TURN})), shape=(2, 4, 5, 6))",
        1e-9,
    ),
    Case(
        rules.product_with_repeated_heads,
        "q: float64[2,4,5,6], k: float64[2,2,6,3] -> "
        "matmul(q, reshape(broadcast_to(reshape(k, shape=(2, 2, 1, 6, 3)), shape=(2, 2, 2, 6, 3)), "
        "shape=(2, 4, 6, 3)))",
        "reshape(matmul(reshape(q, shape=(2, 2, 10, 6)), k), shape=(2, 4, 5, 3))",
        1e-9,
    ),
]


@pytest.mark.parametrize(
    ("rule", "text", "sentence"),
    [
        (rules.scale_scores_before, f"{QK}, c: float64[5,6] -> softmax(multiply(matmul(q, k), c))", ""),
        (rules.scale_scores_before, f"{QK} -> softmax(multiply(matmul(q, k), -np.inf))", ""),
        (
            rules.scale_scores_before,
            f"{QK} -> y = matmul(q, k); (softmax(multiply(y, 0.5)), y)",
            "matmul has other users",
        ),
        (
            rules.product_with_repeated_heads,
            f"{GROUPED} -> y = repeat(k, repeats=2, axis=1); (matmul(q, permute_dims(y, {TURN})), y)",
            "repeat has other users, so the copies are needed anyway",
        ),
        (
            rules.product_with_repeated_heads,
            "q: float64[2,4,5,6], k: float64[2,2,6,3] -> y = repeat(k, repeats=2, axis=1); (matmul(q, y), y)",
            "repeat has other users, so the copies are needed anyway",
        ),
        (
            rules.product_with_repeated_heads,
            "q: float64[2,4,5,6], k: float64[2,4,3,3] -> matmul(q, repeat(k, repeats=2, axis=2))",
            "",
        ),
    ],
)
def test_declines(rule: object, text: str, sentence: str) -> None:
    assert_declines(rule, text, sentence)
