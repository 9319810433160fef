"""Losses of classes: weights, ignored labels, smoothing and other axes; focal loss; probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import optax
import pytest
import scipy.special

import graphflow as gf
from graphflow import nn
from graphflow.autodiff.check import check_gradients
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, GraphFlowError, ShapeError
from graphflow.ir.interpret import evaluate

WEIGHTS = np.array([0.5, 2.0, 0.0, 1.5])


def _value(tensor: gf.Tensor, feeds: Any = None) -> np.ndarray:
    return evaluate([tensor], feeds)[0]


def _expected(
    logs: np.ndarray, labels: np.ndarray, weights: np.ndarray, ignored: int, smoothing: float
) -> Any:
    """Losses and weights of the items, for classes on axis 1, item by item."""
    losses, shares = np.zeros(labels.shape), np.zeros(labels.shape)
    for place in np.ndindex(labels.shape):
        row = logs[(place[0], slice(None), *place[1:])]
        label = labels[place]
        if label != ignored:
            spread = -(weights * row).mean()
            losses[place] = -(1 - smoothing) * weights[label] * row[label] + smoothing * spread
            shares[place] = weights[label]
    return losses, shares


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("ignored", [-1, 2, 255])
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 2), (2, 4, 3, 2)])
def test_weights_ignored_labels_and_smoothing(
    shape: Any, ignored: int, smoothing: float, rng: np.random.Generator
) -> None:
    logits = rng.normal(size=shape)
    labels = rng.integers(0, 4, (shape[0], *shape[2:]))
    labels[0] = ignored
    logs = scipy.special.log_softmax(logits, axis=1)
    losses, shares = _expected(logs, labels, WEIGHTS, ignored, smoothing)
    options: dict[str, Any] = {
        "class_weights": WEIGHTS,
        "ignore_index": ignored,
        "label_smoothing": smoothing,
    }
    for axis, given in ((1, logits), (-1, np.moveaxis(logits, 1, -1))):
        made = evaluate(
            [nn.cross_entropy(given, labels, how, axis=axis, **options) for how in ("none", "sum", "mean")]
        )
        np.testing.assert_allclose(made[0], losses, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(made[1], losses.sum(), rtol=1e-10)
        np.testing.assert_allclose(made[2], losses.sum() / shares.sum(), rtol=1e-10)
    if not smoothing:
        made = evaluate([nn.nll(logs, labels, "mean", 1, WEIGHTS, ignored)])
        np.testing.assert_allclose(made[0], losses.sum() / shares.sum(), rtol=1e-10)


def test_smoothing_without_weights_is_that_of_optax(rng: np.random.Generator) -> None:
    logits, labels = rng.normal(size=(5, 4)).astype(np.float32), rng.integers(0, 4, 5)
    smooth = optax.smooth_labels(np.eye(4, dtype=np.float32)[labels], 0.2)
    expected = optax.softmax_cross_entropy(logits, smooth)
    hard = nn.cross_entropy(logits, labels, "none", label_smoothing=0.2)
    soft = nn.cross_entropy(logits, np.eye(4, dtype=np.float32)[labels], "none", label_smoothing=0.2)
    for made in evaluate([hard, soft]):
        np.testing.assert_allclose(made, expected, rtol=1e-5)


def test_weights_of_probabilities(rng: np.random.Generator) -> None:
    logits, p = rng.normal(size=(3, 4, 5)), rng.dirichlet(np.ones(4), (3, 5)).transpose(0, 2, 1)
    expected = -(p * WEIGHTS[:, None] * scipy.special.log_softmax(logits, 1)).sum(1)
    made = _value(nn.cross_entropy(logits, p, "none", axis=1, class_weights=WEIGHTS))
    np.testing.assert_allclose(made, expected, rtol=1e-12)


def test_ignored_items_have_no_gradient_and_spoil_nothing() -> None:
    x = gf.placeholder("x", (3, 4), gf.float64)
    loss = nn.cross_entropy(x, np.array([-100, 1, 2]), ignore_index=-100, class_weights=WEIGHTS)
    data = np.zeros((3, 4))
    data[0] = np.inf
    value, slope = evaluate([loss, *gradients(loss, [x])], {x: data})
    np.testing.assert_allclose(value, np.log(4))
    np.testing.assert_allclose(slope[1:], [[0.25, -0.75, 0.25, 0.25], [0] * 4])
    everything = nn.cross_entropy(np.zeros((2, 3)), np.array([0, 0]), ignore_index=0)
    with np.errstate(invalid="ignore"):
        assert np.isnan(_value(everything))


def test_gradients(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (2, 4, 3), gf.float64)
    labels = rng.integers(0, 4, (2, 3))
    loss = nn.cross_entropy(x, labels, axis=1, class_weights=WEIGHTS, ignore_index=3, label_smoothing=0.1)
    check_gradients(loss, [x], {x: rng.normal(size=(2, 4, 3))})
    p = gf.placeholder("p", (2, 3), gf.float64)
    fed = {p: rng.uniform(0.1, 0.9, (2, 3))}
    check_gradients(nn.binary_cross_entropy(p, rng.uniform(size=(2, 3))), [p], fed)
    check_gradients(nn.focal_loss(p, np.array([[0, 1, 1], [1, 0, 0]]), alpha=0.3), [p], fed)


def test_binary_cross_entropy_at_its_ends() -> None:
    p = gf.placeholder("p", (4,), gf.float64)
    loss = nn.binary_cross_entropy(p, np.array([0.0, 1.0, 1.0, 0.25]), "none")
    values = np.array([0.0, 1.0, 0.5, 0.5])
    made, slope = evaluate([loss, *gradients([loss], [p])], {p: values})
    np.testing.assert_allclose(made, [0, 0, np.log(2), np.log(2)])
    np.testing.assert_allclose(slope, [1, -1, -2, 1])
    with np.errstate(divide="ignore"):
        assert _value(nn.binary_cross_entropy(np.array([0.0]), 1)) == np.inf


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_loss_is_that_of_optax(alpha: Any, rng: np.random.Generator) -> None:
    x, t = 5 * rng.normal(size=(4, 3)).astype(np.float32), rng.integers(0, 2, (4, 3)).astype(np.float32)
    for gamma in (0.0, 1.5, 2.0):
        expected = optax.sigmoid_focal_loss(x, t, alpha=alpha, gamma=gamma)
        np.testing.assert_allclose(_value(nn.focal_loss(x, t, gamma, alpha, "none")), expected, rtol=2e-5)
    far = _value(nn.focal_loss(np.array([300.0, -300.0]), np.array([1, 1]), reduction="none"))
    np.testing.assert_allclose(far, [0, 300])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"axis": 3}, AttributeValueError),
        ({"axis": 0}, ShapeError),
        ({"class_weights": [1.0, 2.0]}, ShapeError),
        ({"class_weights": [[1.0] * 4]}, ShapeError),
        ({"class_weights": [1j] * 4}, DTypeError),
        ({"ignore_index": 0.5}, AttributeValueError),
        ({"label_smoothing": 1.5}, AttributeValueError),
        ({"label_smoothing": -0.1}, AttributeValueError),
        ({"reduction": "batch"}, AttributeValueError),
    ],
)
def test_refusals(options: dict[str, Any], error: Any) -> None:
    logits, labels = gf.placeholder("x", (2, 4, 3)), gf.placeholder("t", (2, 3), gf.int32)
    with pytest.raises(error):
        nn.cross_entropy(logits, labels, **{"axis": 1, **options})
    if "label_smoothing" not in options:
        with pytest.raises(GraphFlowError):
            nn.nll(logits, labels, **{"axis": 1, **options})


def test_a_label_among_probabilities_cannot_be_ignored() -> None:
    with pytest.raises(AttributeValueError, match="ignore"):
        nn.cross_entropy(gf.ones((2, 3)), gf.ones((2, 3)), ignore_index=0)
