"""Formulas as JAX, Flax, Keras and TensorFlow export them: each comes out in few, named operators at O2."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.optimizer.pipelines import optimize
from tests.optimizer.rewriting import awkward, build, values

X = "x: float64[2,3,8]"
IMAGE = "x: float64[2,3,6,6]"
WEIGHTS = "w = np.cos(np.arange(54.)).reshape(2, 3, 3, 3); f = np.array([[[.5]], [[-2.]]])"

SPELLINGS = {
    "Flax LayerNorm, with the variance in one pass and kept from falling below 0": (
        f"{X}, s: float64[8], o: float64[8] -> m = mean(x, axis=2); "
        "v = maximum(0.0, subtract(mean(square(x), axis=2), square(m))); "
        "f = multiply(rsqrt(add(expand_dims(v, axis=2), 1e-6)), s); "
        "add(multiply(subtract(x, expand_dims(m, axis=2)), f), o)",
        ["layer_normalization"],
    ),
    "jax.nn.softplus, with a guard for NaN": (
        f"{X} -> d = subtract(x, 0.0); "
        "where(not_equal(d, d), add(x, 0.0), add(maximum(x, 0.0), log1p(exp(negative(abs(d))))))",
        ["softplus"],
    ),
    "jax.nn.logsumexp, with a guard for infinities": (
        f"{X} -> m = max(x, axis=2); c = where(is_finite(m), m, 0.0); "
        "t = abs(sum(exp(subtract(x, reshape(c, (2, 3, 1)))), axis=2)); add(log(t), c)",
        ["logsumexp"],
    ),
    "a batch normalization written out after a convolution": (
        f"{IMAGE} -> {WEIGHTS}; add(multiply(divide(subtract(conv(x, w), f), sqrt(square(f))), f), f)",
        ["conv", "add"],
    ),
    "an input that is normalized before a product": (
        "x: float64[5,3] -> w = np.cos(np.arange(12.)).reshape(3, 4); "
        "add(matmul(divide(subtract(x, 0.5), 0.25), w), np.arange(4.))",
        ["matmul", "add"],
    ),
    "TensorFlow's bias and activation between two transpositions": (
        f"{IMAGE}, c: float64[3] -> permute_dims(relu(add(permute_dims(x, (0, 2, 3, 1)), c)), (0, 3, 1, 2))",
        ["reshape", "add", "relu"],
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_spelling(name: str) -> None:
    text, wanted = SPELLINGS[name]
    plain, program = build(text), optimize(build(text), "O2", strict=True)
    found = [node.op.name for node in program.order() if node.op.name not in ("placeholder", "constant")]
    assert [op for op in found if op != "broadcast_to"] == wanted
    given = [awkward(tensor, place, finite=True) for place, tensor in enumerate(plain.feeds)]
    np.testing.assert_allclose(values(program, given)[0], values(plain, given)[0], rtol=1e-9, atol=1e-9)
