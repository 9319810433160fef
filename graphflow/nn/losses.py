"""Losses: how far predictions are from targets, as numbers to minimize.

All take `reduction`: "mean" (the default) and "sum" give a scalar, "none" one loss for each item.
Predictions and targets must have the same shape: broadcasting [batch, 1] against [batch] would
silently compare everything with everything.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dtypes import float32, int32
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import require, require_dtype, show
from graphflow.ops.windows import unify_shapes


def _reduced(b: Builder, losses: Tensor, reduction: str) -> Tensor:
    if not isinstance(reduction, str) or reduction not in ("mean", "sum", "none"):
        raise AttributeValueError(
            f"there is no reduction {reduction!r:.80}", hint='use "mean", "sum" or "none"'
        )
    if reduction == "none":
        return losses
    return b.mean(losses) if reduction == "mean" else b.sum(losses)


def _pair(operation: str, predictions: Any, targets: Any) -> tuple[Builder, Tensor, Tensor]:
    """Both as floats of one shape; a target may also be a scalar."""
    b, (predictions, targets) = with_tensors(predictions, targets)
    if targets.ndim:
        unify_shapes(
            predictions.shape,
            targets.shape,
            f"{operation}: predictions and targets differ in shape",
            "reshape one of them; they do not broadcast",
        )
    if not predictions.dtype.is_floating:
        predictions = b.astype(predictions, dtype=float32)
    if not targets.dtype.is_floating:
        targets = b.astype(targets, dtype=predictions.dtype)
    return b, predictions, targets


def strong(*values: Any) -> tuple[Builder, list[Tensor]]:
    """A builder, and each value as a tensor; a Python int stays an integer beside a float tensor."""
    b = builder_for(values)
    return b, [b.tensor(value) for value in values]


def require_class_axis(operation: str, scores: Tensor) -> None:
    """Raise unless there is a last axis of classes."""
    require(
        scores.ndim >= 1,
        f"{operation} needs a last axis of classes, but got a scalar",
        "pass one number for each class: shape [..., classes]",
    )


def require_classes(operation: str, scores: Tensor, labels: Tensor) -> None:
    """Raise unless labels are integer classes of the leading shape of scores [..., classes]."""
    require_class_axis(operation, scores)
    if not labels.dtype.is_integer:
        raise DTypeError(
            f"{operation} needs integer labels, not {labels.dtype}",
            hint="labels are class numbers 0 ... classes - 1; convert with gf.astype",
        )
    unify_shapes(
        labels.shape,
        scores.shape[:-1],
        f"{operation}: labels do not have the leading shape of {scores.type}",
        f"for classes in the last axis, labels have the shape {show(scores.shape[:-1])}",
    )


def at_labels(b: Builder, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The scores of the labelled classes, the labels as a column, and the class numbers.

    The sum of a selection, rather than a gather, so that its gradient is a selection, not a scatter.
    """
    if labels.dtype.itemsize < 4:
        labels = b.astype(labels, dtype=int32)
    column = b.expand_dims(labels, axis=-1)
    classes = b.iota(size=scores.shape[-1], dtype=labels.dtype)
    chosen = b.where(b.equal(column, classes), scores, 0)
    return b.sum(chosen, axis=-1), column, classes


@composite
def nll(log_probabilities: Any, labels: Any, reduction: str = "mean") -> Tensor:
    """The negative log-likelihood of classes: loss[i] = -log_probabilities[i, labels[i]].

    A label outside of 0 ... classes - 1 gives NaN.

    Arguments:
        log_probabilities: floats of shape [..., classes], such as gf.nn.log_softmax gives.
        labels: integer classes of shape [...].
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError, DTypeError: if the labels are not integers of the leading shape.

    Source: ONNX NegativeLogLikelihoodLoss-22.

    >>> import graphflow as gf
    >>> p, label = gf.placeholder("p", ("batch", 10)), gf.placeholder("label", ("batch",), gf.int32)
    >>> gf.nn.nll(p, label, reduction="none").type
    float32[batch]
    """
    b, (scores, labels) = strong(log_probabilities, labels)
    require_dtype(scores.type, "float", "log_probabilities of nll")
    require_classes("nll", scores, labels)
    picked, _, _ = at_labels(b, scores, labels)
    valid = b.logical_and(b.greater_equal(labels, 0), b.less(labels, scores.shape[-1]))
    return _reduced(b, b.where(valid, b.negative(picked), b.like(np.nan, picked)), reduction)


@composite
def cross_entropy(logits: Any, labels: Any, reduction: str = "mean") -> Tensor:
    """The cross entropy of labels and softmax(logits): loss[i] = -sum_c p[i, c] log softmax(logits)[i, c].

    For integer labels p is 1 at the label and 0 elsewhere; a label outside of 0 ... classes - 1 gives NaN.

    Arguments:
        logits: floats of shape [..., classes].
        labels: integer classes of shape [...], or probabilities of the shape of the logits.
        reduction: "mean", "sum" or "none" (of shape [...]).

    Raises:
        ShapeError: if labels are neither of the leading shape nor of the logits' shape.

    Source: ONNX SoftmaxCrossEntropyLoss-13.

    >>> import graphflow as gf
    >>> x, label = gf.placeholder("x", ("batch", 10)), gf.placeholder("label", ("batch",), gf.int32)
    >>> gf.nn.cross_entropy(x, label).type
    float32[]
    """
    b, (logits, labels) = strong(logits, labels)
    require_class_axis("cross_entropy", logits)
    logs = b.log_softmax(logits, axis=-1)
    if not labels.dtype.is_floating:
        require_classes("cross_entropy", logits, labels)
        return nll(logs, labels, reduction)
    unify_shapes(
        labels.shape,
        logits.shape,
        "cross_entropy: labels with a floating type are probabilities and need the logits' shape",
        "for class numbers use an integer type",
    )
    return _reduced(b, b.negative(b.sum(_weighted(b, labels, logs), axis=-1)), reduction)


def _weighted(b: Builder, weights: Tensor, values: Tensor) -> Tensor:
    """weights * values, where a weight of 0 makes 0 even of an infinite value."""
    return b.where(b.equal(weights, 0), 0, b.multiply(weights, values))


@composite
def binary_cross_entropy_with_logits(logits: Any, targets: Any, reduction: str = "mean") -> Tensor:
    """The cross entropy of a yes-or-no target: loss = -t log s(x) - (1 - t) log(1 - s(x)), s the sigmoid.

    Computed as t softplus(-x) + (1 - t) softplus(x), which loses no digits on either side.

    Arguments:
        logits: floats of any shape.
        targets: probabilities, booleans or 0 and 1, of the same shape.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: if the shapes differ.

    >>> import graphflow as gf
    >>> gf.nn.binary_cross_entropy_with_logits(gf.placeholder("x", ("batch",)), 1).type
    float32[]
    """
    b, x, t = _pair("binary_cross_entropy_with_logits", logits, targets)
    yes, no = b.softplus(b.negative(x)), b.softplus(x)
    return _reduced(b, b.add(_weighted(b, t, yes), _weighted(b, b.subtract(1, t), no)), reduction)


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
    b, logs, targets = _pair("kl_divergence", log_predictions, targets)
    require_class_axis("kl_divergence", logs)
    safe = b.where(b.equal(targets, 0), 1, targets)
    terms = _weighted(b, targets, b.subtract(b.log(safe), logs))
    return _reduced(b, b.sum(terms, axis=-1), reduction)


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
    b, predictions, targets = _pair("mean_squared_error", predictions, targets)
    return _reduced(b, b.square(b.subtract(predictions, targets)), reduction)


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
    b, predictions, targets = _pair("mean_absolute_error", predictions, targets)
    return _reduced(b, b.abs(b.subtract(predictions, targets)), reduction)


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
    b, predictions, targets = _pair("huber", predictions, targets)
    # With c = min(|d|, delta) both branches are c (|d| - c / 2), free of the overflow of a square.
    distance = b.abs(b.subtract(predictions, targets))
    inner = b.where(b.greater(distance, delta), delta, distance)
    return _reduced(b, b.multiply(inner, b.subtract(distance, b.multiply(inner, 0.5))), reduction)


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
    b, scores, targets = _pair("hinge", scores, targets)
    return _reduced(b, b.relu(b.subtract(1, b.multiply(targets, scores))), reduction)
