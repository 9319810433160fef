"""What is told of the sign of a tensor."""

from __future__ import annotations

import pytest

from graphflow.optimizer.analysis.signs import DEPTH, is_nonnegative
from tests.optimizer.rewriting import build

X = "x: float32[4,7]"


@pytest.mark.parametrize(
    "text",
    [
        "exp(x)", "square(x)", "abs(x)", "sigmoid(x)", "softmax(x)", "softplus(x)", "sqrt(x)", "relu(x)",
        "add(mean(square(x), axis=1, keepdims=True), 1e-5)", "multiply(abs(x), exp(x))",
        "reshape(permute_dims(abs(x)), (28,))", "concat(exp(x), abs(x), axis=0)", "constant(0.0)",
    ],
)  # fmt: skip
def test_what_cannot_be_negative(text: str) -> None:
    (tensor,) = build(f"{X} -> {text}").outputs
    assert is_nonnegative(tensor)


@pytest.mark.parametrize(
    "text", ["x", "sin(x)", "subtract(exp(x), 1.0)", "add(exp(x), x)", "constant(-1.0)", "reciprocal(abs(x))"]
)
def test_what_may_be_negative(text: str) -> None:
    """1 / |x| among them: |x| may be -0.0 by way of sums, of which the inverse is -inf."""
    (tensor,) = build(f"{X} -> {text}").outputs
    assert not is_nonnegative(tensor)


def test_integers_wrap() -> None:
    assert not is_nonnegative(build("x: int8[3] -> square(x)").outputs[0])
    assert is_nonnegative(build("x: uint8[3] -> x").outputs[0])


def test_it_looks_no_deeper_than_it_says() -> None:
    deep = "exp(x)"
    for _ in range(DEPTH):
        deep = f"reshape({deep}, (4, 7))"
    assert is_nonnegative(build(f"{X} -> {deep}").outputs[0])
    assert not is_nonnegative(build(f"{X} -> reshape({deep}, (28,))").outputs[0])
    wide = "+".join(["exp(x)"] * 3)
    text = f"{X} -> y = {wide}; " + "y = y + y; " * 30 + "y"
    assert not is_nonnegative(build(text).outputs[0])
