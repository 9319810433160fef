"""Similarity: against optax and formulas, the vector zero, and slopes there."""

from __future__ import annotations

from typing import Any

import numpy as np
import optax
import pytest

import graphflow as gf
from graphflow import nn
from graphflow.autodiff.check import check_gradients
from graphflow.autodiff.reverse import gradients
from graphflow.errors import GraphFlowError
from graphflow.ir.interpret import evaluate


def _value(tensor: gf.Tensor, feeds: Any = None) -> np.ndarray:
    return evaluate([tensor], feeds)[0]


def test_cosine_similarity_is_that_of_optax(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(2, 4, 3)).astype(np.float32)
    expected = optax.cosine_similarity(x, y)
    np.testing.assert_allclose(_value(nn.cosine_similarity(x, y)), expected, rtol=1e-5)
    np.testing.assert_allclose(_value(nn.cosine_similarity(x.T, y.T, axis=0)), expected, rtol=1e-5)
    p, q = gf.placeholder("p", (4, 3), gf.float64), gf.placeholder("q", (4, 3), gf.float64)
    check_gradients(gf.sum(nn.cosine_similarity(p, q)), [p, q], {p: x.astype(float), q: y.astype(float)})


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_vector_zero_is_like_nothing(dtype: Any) -> None:
    x = gf.placeholder("x", (2,), dtype)
    y = nn.cosine_similarity(x, np.ones(2, dtype))
    made = evaluate([y, *gradients([y], [x])], {x: np.zeros(2, dtype)})
    assert made[0] == 0 and np.isfinite(made[1]).all()


def test_cosine_embedding(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(2, 6, 3))
    targets = np.array([1, -1, 1, -1, -1, 1])
    cosine = (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)
    expected = np.where(targets > 0, 1 - cosine, np.maximum(0, cosine - 0.2))
    for how, reduced in (("none", expected), ("sum", expected.sum()), ("mean", expected.mean())):
        np.testing.assert_allclose(_value(nn.cosine_embedding(x, y, targets, 0.2, how)), reduced)


def test_triplet_margin(rng: np.random.Generator) -> None:
    a, p, n = rng.normal(size=(3, 5, 4))
    expected = np.maximum(0, np.linalg.norm(a - p, axis=-1) - np.linalg.norm(a - n, axis=-1) + 0.5)
    np.testing.assert_allclose(_value(nn.triplet_margin(a, p, n, 0.5, "none")), expected)
    x = gf.placeholder("x", (1, 3))
    (slope,) = evaluate(gradients(nn.triplet_margin(x, np.ones((1, 3)), x + 0.0), [x]), {x: np.ones((1, 3))})
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: nn.cosine_similarity(x, gf.ones((3,))),
        lambda x: nn.cosine_similarity(x, gf.ones((2, 4))),
        lambda x: nn.cosine_similarity(1.0, 2.0),
        lambda x: nn.cosine_similarity(x, x, axis=2),
        lambda x: nn.cosine_similarity(x, x, epsilon=-1),
        lambda x: nn.cosine_embedding(x, x, gf.ones((3,))),
        lambda x: nn.cosine_embedding(x, x, gf.ones((2,)), reduction="all"),
        lambda x: nn.triplet_margin(x, x, gf.ones((2, 1))),
        lambda x: nn.triplet_margin(x, x, x, margin=None),
        lambda x: nn.triplet_margin(gf.constant([1j]), gf.constant([1j]), gf.constant([1j])),
    ],
)
def test_refusals(call: Any) -> None:
    with pytest.raises(GraphFlowError):
        call(gf.placeholder("x", (2, 3)))
