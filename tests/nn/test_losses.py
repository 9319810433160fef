"""Losses: against their formulas in float64, at the ends of the number range, and with wrong labels."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

import graphflow as gf
from graphflow import nn
from graphflow.autodiff.check import check_gradients
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate


def _value(tensor: gf.Tensor, feeds: Any = None) -> np.ndarray:
    return evaluate([tensor], feeds)[0]


def _log_softmax(x: np.ndarray) -> np.ndarray:
    return scipy.special.log_softmax(x, axis=-1)


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (0, 5), (3, 1)])
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.int8])
def test_cross_entropy_with_classes(shape: Any, dtype: Any, rng: np.random.Generator) -> None:
    logits = 3 * rng.standard_normal(shape)
    labels = rng.integers(0, shape[-1], shape[:-1]).astype(dtype)
    expected = -np.take_along_axis(_log_softmax(logits), labels[..., None].astype(int), -1)[..., 0]
    np.testing.assert_allclose(
        _value(nn.cross_entropy(logits, labels, reduction="none")), expected, rtol=1e-12
    )
    np.testing.assert_allclose(_value(nn.cross_entropy(logits, labels, reduction="sum")), expected.sum())
    if expected.size:
        np.testing.assert_allclose(_value(nn.cross_entropy(logits, labels)), expected.mean(), rtol=1e-12)


def test_cross_entropy_with_probabilities(rng: np.random.Generator) -> None:
    logits, p = rng.standard_normal((4, 6)), rng.dirichlet(np.ones(6), 4)
    expected = -(p * _log_softmax(logits)).sum(-1)
    np.testing.assert_allclose(_value(nn.cross_entropy(logits, p, "none")), expected, rtol=1e-12)
    hard = np.eye(6)[[1, 0, 5, 2]]
    np.testing.assert_allclose(
        _value(nn.cross_entropy(logits, hard)), _value(nn.cross_entropy(logits, np.array([1, 0, 5, 2])))
    )


def test_cross_entropy_of_far_logits_is_finite_and_exact() -> None:
    logits = np.array([[1e4, 0.0], [-1e4, 0.0], [0.0, -np.inf]], np.float32)
    made = _value(nn.cross_entropy(logits, np.array([1, 0, 0]), "none"))
    np.testing.assert_array_equal(made, np.array([1e4, 1e4, 0.0], np.float32))
    soft = _value(nn.cross_entropy(logits, np.array([[1, 0], [0, 1], [1, 0]], np.float32), "none"))
    np.testing.assert_array_equal(soft, np.zeros(3, np.float32))


def test_the_gradient_of_cross_entropy_is_softmax_less_one_hot(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (4, 6), gf.float64)
    labels = np.array([5, 0, 3, 3])
    feeds = {x: rng.standard_normal((4, 6))}
    (dx,) = gradients(nn.cross_entropy(x, labels, "sum"), [x])
    expected = scipy.special.softmax(feeds[x], -1) - np.eye(6)[labels]
    np.testing.assert_allclose(_value(dx, feeds), expected, rtol=1e-10, atol=1e-12)
    assert not any(node.op.name == "add_along_axis" for node in x.graph.nodes), "a scatter is slow"


def test_a_label_that_names_no_class_gives_nan_and_spoils_no_other() -> None:
    logits = gf.placeholder("x", (3, 4))
    losses = nn.cross_entropy(logits, np.array([-1, 4, 1]), "none")
    made = _value(losses, {logits: np.zeros((3, 4), np.float32)})
    np.testing.assert_array_equal(np.isnan(made), [True, True, False])
    # An ignored label can be masked out, without NaN in the gradient.
    kept = gf.where(gf.constant([False, False, True]), losses, 0.0)
    (dx,) = gradients(gf.sum(kept), [logits])
    gradient = _value(dx, {logits: np.zeros((3, 4), np.float32)})
    np.testing.assert_allclose(gradient, [[0] * 4, [0] * 4, [0.25, -0.75, 0.25, 0.25]])


def test_nll_is_the_negative_score(rng: np.random.Generator) -> None:
    logs = _log_softmax(rng.standard_normal((3, 4)))
    np.testing.assert_array_equal(
        _value(nn.nll(logs, np.array([0, 3, 1]), "none")), -logs[[0, 1, 2], [0, 3, 1]]
    )
    assert nn.nll(gf.constant(logs[0]), 2).shape == ()


def test_binary_cross_entropy_keeps_the_digits_of_both_sides() -> None:
    x = np.array([0.0, 3.0, -3.0, 50.0, -50.0, 1e4, -1e4])
    for t in (0.0, 1.0, 0.25):
        expected = t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)
        made = _value(nn.binary_cross_entropy_with_logits(x, t, "none"))
        np.testing.assert_allclose(made, expected, rtol=1e-12)
    far = _value(
        nn.binary_cross_entropy_with_logits(np.float32([20.0, -20.0]), np.array([True, False]), "none")
    )
    np.testing.assert_allclose(far, np.log1p(np.exp(-20.0)), rtol=1e-6)


def test_the_gradient_of_binary_cross_entropy_at_zero() -> None:
    """Where max and abs have a kink: the slope there is sigmoid(0) - target, not -target."""
    x = gf.placeholder("x", (3,), gf.float64)
    (dx,) = gradients(nn.binary_cross_entropy_with_logits(x, np.array([0.0, 1.0, 0.5]), "sum"), [x])
    np.testing.assert_allclose(_value(dx, {x: np.zeros(3)}), [0.5, -0.5, 0.0])


def test_kl_divergence(rng: np.random.Generator) -> None:
    p, t = rng.dirichlet(np.ones(5), 3), rng.dirichlet(np.ones(5), 3)
    t[0, 0] = 0.0
    expected = scipy.special.rel_entr(t, p).sum(-1)
    np.testing.assert_allclose(_value(nn.kl_divergence(np.log(p), t, "none")), expected, rtol=1e-9)
    logs = np.where(t == 0, -np.inf, np.log(np.where(t == 0, 1, t)))
    np.testing.assert_allclose(_value(nn.kl_divergence(logs, t)), 0, atol=1e-12)


def test_regression_losses(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 4, 3))
    d = np.abs(x - y)
    formulas = {
        nn.mean_squared_error: d**2,
        nn.mean_absolute_error: d,
        nn.huber: np.where(d <= 1, d**2 / 2, d - 0.5),
        nn.hinge: np.maximum(0, 1 - x * y),
    }
    for loss, expected in formulas.items():
        np.testing.assert_allclose(_value(loss(x, y, reduction="none")), expected, rtol=1e-12)
        np.testing.assert_allclose(_value(loss(x, y)), expected.mean(), rtol=1e-12)
        np.testing.assert_allclose(_value(loss(x, y, reduction="sum")), expected.sum(), rtol=1e-12)
    np.testing.assert_allclose(
        _value(nn.huber(x, y, delta=0.3, reduction="none")), scipy.special.huber(0.3, x - y), rtol=1e-12
    )
    np.testing.assert_array_equal(_value(nn.huber(np.float32([1e30]), 0.0)), np.float32(1e30))


def test_gradients(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (4, 3), gf.float64)
    feeds = {x: rng.standard_normal((4, 3))}
    p, signs = rng.dirichlet(np.ones(3), 4), rng.choice([-1.0, 1.0], (4, 3))
    for loss in (
        nn.cross_entropy(x, p),
        nn.cross_entropy(x, np.array([0, 1, 2, 1])),
        nn.binary_cross_entropy_with_logits(x, p),
        nn.kl_divergence(nn.log_softmax(x), p),
        nn.mean_squared_error(x, p),
        nn.mean_absolute_error(x, p),
        nn.huber(x, p, delta=0.5),
        nn.hinge(x, signs),
    ):
        check_gradients(loss, [x], feeds)


def test_dtypes_and_symbolic_sizes() -> None:
    x, label = gf.placeholder("x", ("batch", 10)), gf.placeholder("label", ("batch",), gf.int32)
    batch = x.shape[0]
    assert nn.cross_entropy(x, label, "none").shape == (batch,)
    assert nn.cross_entropy(x, label).dtype is gf.float32
    assert x.graph.constraints == []
    half = gf.placeholder("h", (3, 10), gf.float16)
    assert nn.cross_entropy(half, np.zeros(3, np.int32)).dtype is gf.float16
    assert nn.mean_squared_error(half, 0).dtype is gf.float16
    assert nn.mean_squared_error(np.array([1, 2]), np.array([2, 4])).dtype.is_floating


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x, i: nn.cross_entropy(x, i), ShapeError, "leading shape of float32[4, 3]: [5] != [4]"),
        (lambda x, i: nn.cross_entropy(x, np.ones((4, 2), np.float32)), ShapeError, "[4, 2] != [4, 3]"),
        (lambda x, i: nn.cross_entropy(x, np.ones(4, bool)), DTypeError, "integer labels, not bool"),
        (lambda x, i: nn.cross_entropy(gf.sum(x), i), ShapeError, "a last axis of classes"),
        (lambda x, i: nn.nll(x, np.ones(4, np.float32)), DTypeError, "integer labels, not float32"),
        (lambda x, i: nn.mean_squared_error(x, np.ones((4, 1))), ShapeError, "[4, 3] != [4, 1]"),
        (lambda x, i: nn.mean_squared_error(gf.sum(x), np.ones(3)), ShapeError, "[] != [3]"),
        (lambda x, i: nn.mean_squared_error(x, 0, "average"), AttributeValueError, "no reduction 'average'"),
        (lambda x, i: nn.huber(x, 0, delta=0), AttributeValueError, "delta=0"),
        (lambda x, i: nn.kl_divergence(1.0, 1.0), ShapeError, "a last axis of classes"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, error: type, message: str) -> None:
    x, i = gf.placeholder("x", (4, 3)), gf.placeholder("i", (5,), gf.int32)
    with pytest.raises(error, match=re.escape(message)) as caught:
        build(x, i)
    assert caught.value.hint
    assert caught.value.origin.file == __file__


def test_poisson_nll_is_that_of_the_distribution(rng: np.random.Generator) -> None:
    rates, counts = rng.uniform(0.1, 9, (3, 4)), rng.integers(0, 9, (3, 4))
    expected = -scipy.stats.poisson.logpmf(counts, rates) - scipy.special.gammaln(counts + 1.0)
    np.testing.assert_allclose(_value(nn.poisson_nll(np.log(rates), counts, "none")), expected, rtol=1e-12)
