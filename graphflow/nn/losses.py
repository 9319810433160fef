"""Losses: how far predictions are from targets, as numbers to minimize.

All take `reduction`: "mean" (the default) and "sum" give a scalar, "none" one loss for each item.
Predictions and targets must have the same shape: broadcasting [batch, 1] against [batch] would
silently compare everything with everything. Here are those of numbers and of distributions; those of
classes, of similarity and of sequences have files of their own.
"""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.node import Tensor
from graphflow.nn.class_losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    focal_loss,
    nll,
)
from graphflow.nn.ctc import ctc_loss
from graphflow.nn.loss_parts import pair, reduced, require_class_axis, weighted
from graphflow.nn.similarity import cosine_embedding, triplet_margin
from graphflow.ops.composite import composite

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding",
    "cross_entropy",
    "ctc_loss",
    "focal_loss",
    "hinge",
    "huber",
    "kl_divergence",
    "mean_absolute_error",
    "mean_squared_error",
    "nll",
    "poisson_nll",
    "triplet_margin",
]


@composite
def kl_divergence(log_predictions: Any, targets: Any, reduction: str = "mean") -> Tensor:
    """The Kullback-Leibler divergence: loss[i] = sum_c t[i, c] (log t[i, c] - log_predictions[i, c]).

    Arguments:
        log_predictions: logarithms of probabilities, [..., classes].
        targets: probabilities of the same shape; where one is 0 its term is 0.
        reduction: "mean", "sum" or "none" (of shape [...]).

    Raises:
        ShapeError: if the shapes differ.

    Source: Kullback and Leibler, "On information and sufficiency" (1951).

    >>> import graphflow as gf
    >>> p, t = gf.placeholder("p", ("batch", 10)), gf.placeholder("t", ("batch", 10))
    >>> gf.nn.kl_divergence(p, t).type
    float32[]
    """
    b, logs, targets = pair("kl_divergence", log_predictions, targets)
    require_class_axis("kl_divergence", logs)
    safe = b.where(b.equal(targets, 0), 1, targets)
    terms = weighted(b, targets, b.subtract(b.log(safe), logs))
    return reduced(b, b.sum(terms, axis=-1), reduction)


@composite
def mean_squared_error(predictions: Any, targets: Any, reduction: str = "mean") -> Tensor:
    """The squared difference: loss = (predictions - targets)^2, element by element, then reduced.

    Arguments:
        predictions: numbers of any shape.
        targets: numbers of the same shape, or a scalar.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: if the shapes differ.

    >>> import graphflow as gf
    >>> gf.nn.mean_squared_error(gf.placeholder("x", ("batch", 3)), 0).type
    float32[]
    """
    b, predictions, targets = pair("mean_squared_error", predictions, targets)
    return reduced(b, b.square(b.subtract(predictions, targets)), reduction)


@composite
def mean_absolute_error(predictions: Any, targets: Any, reduction: str = "mean") -> Tensor:
    """The absolute difference: loss = |predictions - targets|, element by element, then reduced.

    Arguments:
        predictions: numbers of any shape.
        targets: numbers of the same shape, or a scalar.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: if the shapes differ.

    >>> import graphflow as gf
    >>> gf.nn.mean_absolute_error(gf.placeholder("x", ("batch", 3)), 0).type
    float32[]
    """
    b, predictions, targets = pair("mean_absolute_error", predictions, targets)
    return reduced(b, b.abs(b.subtract(predictions, targets)), reduction)


@composite
def huber(predictions: Any, targets: Any, delta: float = 1.0, reduction: str = "mean") -> Tensor:
    """The Huber loss: d^2 / 2 where |d| <= delta, delta (|d| - delta / 2) beyond, d = predictions - targets.

    Arguments:
        predictions: numbers of any shape.
        targets: numbers of the same shape, or a scalar.
        delta: where the square turns into a line; positive.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError, AttributeValueError: if the shapes differ, or delta is not positive.

    Source: Huber, "Robust estimation of a location parameter" (1964).

    >>> import graphflow as gf
    >>> gf.nn.huber(gf.placeholder("x", ("batch", 3)), 0).type
    float32[]
    """
    if isinstance(delta, bool) or not isinstance(delta, (int, float)) or not delta > 0:
        raise AttributeValueError(f"huber got delta={delta!r}", hint="use a positive number")
    b, predictions, targets = pair("huber", predictions, targets)
    # With c = min(|d|, delta) both branches are c (|d| - c / 2), free of the overflow of a square.
    distance = b.abs(b.subtract(predictions, targets))
    inner = b.where(b.greater(distance, delta), delta, distance)
    return reduced(b, b.multiply(inner, b.subtract(distance, b.multiply(inner, 0.5))), reduction)


@composite
def hinge(scores: Any, targets: Any, reduction: str = "mean") -> Tensor:
    """The hinge loss of a margin: loss = max(0, 1 - targets * scores).

    Arguments:
        scores: numbers of any shape; the sign is the prediction.
        targets: -1 or 1, of the same shape.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: if the shapes differ.

    Source: Cortes and Vapnik, "Support-vector networks" (1995).

    >>> import graphflow as gf
    >>> gf.nn.hinge(gf.placeholder("x", ("batch",)), 1).type
    float32[]
    """
    b, scores, targets = pair("hinge", scores, targets)
    return reduced(b, b.relu(b.subtract(1, b.multiply(targets, scores))), reduction)


@composite
def poisson_nll(log_rates: Any, targets: Any, reduction: str = "mean") -> Tensor:
    """The negative log-likelihood of counts: loss = e^x - targets x, less what does not depend on x.

    Arguments:
        log_rates: x, the logarithms of the expected counts, of any shape.
        targets: counts of the same shape, or a scalar.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: if the shapes differ.

    Source: the Poisson distribution, without the term ln(targets!).

    >>> import graphflow as gf
    >>> gf.nn.poisson_nll(gf.placeholder("x", ("batch",)), 3).type
    float32[]
    """
    b, x, targets = pair("poisson_nll", log_rates, targets)
    return reduced(b, b.subtract(b.exp(x), b.multiply(targets, x)), reduction)
