"""Losses of classes: cross entropy and its relatives, for one class of many and for yes or no."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.nn.loss_parts import (
    along,
    at_labels,
    pair,
    reduced,
    require_class_axis,
    require_classes,
    strong,
    weighted,
)
from graphflow.ops.composite import composite
from graphflow.ops.inference import normalize_axis, real_number, require, require_dtype, whole_number
from graphflow.ops.windows import unify_shapes


@composite
def nll(
    log_probabilities: Any,
    labels: Any,
    reduction: str = "mean",
    axis: int = -1,
    class_weights: Any = None,
    ignore_index: int | None = None,
) -> Tensor:
    """The negative log-likelihood of classes: loss[i] = -w[labels[i]] log_probabilities[i, labels[i]].

    A label outside of 0 ... classes - 1 gives NaN, unless it is the one to be ignored.

    Arguments:
        log_probabilities: floats of shape [..., classes], such as gf.nn.log_softmax gives.
        labels: integer classes of shape [...].
        reduction: "mean" (the sum divided by that of the items' weights), "sum" or "none".
        axis: the axis of the classes, 1 for [batch, classes, ...]; labels have the other axes.
        class_weights: w, one number for each class; 1 by default.
        ignore_index: the label of items that count for nothing: their loss and weight are 0.

    Raises:
        ShapeError, DTypeError: if the labels are not integers of that shape, or the weights no vector.

    Source: ONNX NegativeLogLikelihoodLoss-22, whose classes are on axis 1.

    >>> import graphflow as gf
    >>> p, label = gf.placeholder("p", ("batch", 10)), gf.placeholder("label", ("batch",), gf.int32)
    >>> gf.nn.nll(p, label, reduction="none").type
    float32[batch]
    """
    b, (scores, labels) = strong(log_probabilities, labels)
    require_dtype(scores.type, "float", "log_probabilities of nll")
    require_class_axis("nll", scores)
    place = normalize_axis(axis, scores.ndim, "nll")
    require_classes("nll", scores, labels, place)
    weights = _class_weights(b, class_weights, scores, place)
    return _of_labels(b, scores, labels, reduction, place, weights, ignore_index, 0.0)


def _class_weights(b: Builder, given: Any, scores: Tensor, axis: int) -> Tensor | None:
    """A vector of the dtype of the scores with a weight for each class."""
    if given is None:
        return None
    weights = b.tensor(given)
    count = scores.shape[axis]
    fits = weights.ndim == 1 and dims.unify(weights.shape[0], count) is not None
    require(
        fits,
        f"class_weights have the type {weights.type}, but there are {count} classes",
        "pass a vector with one weight for each class",
    )
    require_dtype(weights.type, "int uint float", "class_weights")
    return b.astype(weights, dtype=scores.dtype)


def _of_labels(
    b: Builder,
    logs: Tensor,
    labels: Tensor,
    reduction: str,
    axis: int,
    class_weights: Tensor | None,
    ignore_index: int | None,
    smoothing: float,
) -> Tensor:
    """The loss of labels, and of probabilities spread over all classes as far as it is smoothed."""
    picked, _, _ = at_labels(b, logs, labels, axis)
    valid = b.logical_and(b.greater_equal(labels, 0), b.less(labels, logs.shape[axis]))
    losses = b.where(valid, b.negative(picked), b.like(np.nan, picked))
    weights = None
    if class_weights is not None:
        weights = b.take(class_weights, labels)
        losses = b.where(valid, weighted(b, weights, losses), losses)
    if smoothing:
        spread = logs if class_weights is None else weighted(b, along(b, class_weights, logs, axis), logs)
        losses = b.multiply(losses, 1 - smoothing)
        losses = b.subtract(losses, b.multiply(b.mean(spread, axis=axis), smoothing))
    if ignore_index is not None:
        kept = b.not_equal(labels, whole_number(ignore_index, "the ignore_index of a loss"))
        losses = b.where(kept, losses, 0)
        weights = b.astype(kept, dtype=logs.dtype) if weights is None else b.where(kept, weights, 0)
    return reduced(b, losses, reduction, weights)


@composite
def cross_entropy(
    logits: Any,
    labels: Any,
    reduction: str = "mean",
    axis: int = -1,
    class_weights: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy of labels and s = softmax(logits): loss[i] = -sum_c w[c] p[i, c] log s[i, c].

    For integer labels p is 1 at the label and 0 elsewhere; a label outside of 0 ... classes - 1 gives NaN,
    unless it is the one to be ignored.

    Arguments:
        logits: floats of shape [..., classes].
        labels: integer classes of shape [...], or probabilities of the shape of the logits.
        reduction: "mean", "sum" or "none" (of shape [...]). The mean of integer labels is the sum divided
            by that of the items' weights w[labels[i]].
        axis: the axis of the classes, 1 for [batch, classes, ...]; integer labels have the other axes.
        class_weights: w, one number for each class; 1 by default.
        ignore_index: the integer label of items that count for nothing: their loss and weight are 0.
        label_smoothing: e: p is replaced by (1 - e) p + e / classes.

    Raises:
        ShapeError: if labels are neither of the shape without the classes nor of the logits' shape.
        AttributeValueError: for a label to ignore among probabilities, or smoothing outside of 0 ... 1.

    Source: ONNX SoftmaxCrossEntropyLoss-13, whose classes are on axis 1; C. Szegedy et al., arXiv 1512.00567.

    >>> import graphflow as gf
    >>> x, label = gf.placeholder("x", ("batch", 10)), gf.placeholder("label", ("batch",), gf.int32)
    >>> gf.nn.cross_entropy(x, label).type
    float32[]
    """
    b, (logits, labels) = strong(logits, labels)
    require_class_axis("cross_entropy", logits)
    place = normalize_axis(axis, logits.ndim, "cross_entropy")
    smoothing = real_number(label_smoothing, "label_smoothing", 0)
    if smoothing > 1:
        raise AttributeValueError(f"label_smoothing is {smoothing}", hint="use a number from 0 to 1")
    logs = b.log_softmax(logits, axis=place)
    weights = _class_weights(b, class_weights, logs, place)
    if not labels.dtype.is_floating:
        require_classes("cross_entropy", logits, labels, place)
        return _of_labels(b, logs, labels, reduction, place, weights, ignore_index, smoothing)
    unify_shapes(
        labels.shape,
        logits.shape,
        "cross_entropy: labels with a floating type are probabilities and need the logits' shape",
        "for class numbers use an integer type",
    )
    if ignore_index is not None:
        raise AttributeValueError(
            "cross_entropy cannot ignore a label among probabilities",
            hint="items of probability 0 everywhere count for nothing",
        )
    return _of_probabilities(b, logs, labels, reduction, place, weights, smoothing)


def _of_probabilities(
    b: Builder,
    logs: Tensor,
    labels: Tensor,
    reduction: str,
    axis: int,
    weights: Tensor | None,
    smoothing: float,
) -> Tensor:
    if smoothing:
        share = b.divide(smoothing, b.tensor(logs.shape[axis], dtype=labels.dtype))
        labels = b.add(b.multiply(labels, 1 - smoothing), share)
    if weights is not None:
        labels = b.multiply(labels, along(b, weights, logs, axis))
    return reduced(b, b.negative(b.sum(weighted(b, labels, logs), axis=axis)), reduction)


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
    b, x, t = pair("binary_cross_entropy_with_logits", logits, targets)
    yes, no = b.softplus(b.negative(x)), b.softplus(x)
    return reduced(b, b.add(weighted(b, t, yes), weighted(b, b.subtract(1, t), no)), reduction)


@composite
def binary_cross_entropy(probabilities: Any, targets: Any, reduction: str = "mean") -> Tensor:
    """The cross entropy of a yes-or-no target: loss = -t log p - (1 - t) log(1 - p).

    A term whose factor is 0 is 0. Near 0 and 1 `gf.nn.binary_cross_entropy_with_logits` keeps digits that
    probabilities do not have.

    Arguments:
        probabilities: p, floats from 0 to 1 of any shape, such as gf.nn.sigmoid gives.
        targets: t, probabilities, booleans or 0 and 1, of the same shape.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: if the shapes differ.

    >>> import graphflow as gf
    >>> gf.nn.binary_cross_entropy(gf.placeholder("p", ("batch",)), 1).type
    float32[]
    """
    b, p, t = pair("binary_cross_entropy", probabilities, targets)
    rest = b.subtract(1, t)
    # A safe argument where the factor is 0, so that the gradient there is 0 too, and not 0 / 0.
    yes = b.log(b.where(b.equal(t, 0), 1, p))
    no = b.log1p(b.negative(b.where(b.equal(rest, 0), 0, p)))
    return reduced(b, b.negative(b.add(b.multiply(t, yes), b.multiply(rest, no))), reduction)


@composite
def focal_loss(
    logits: Any, targets: Any, gamma: float = 2.0, alpha: float | None = None, reduction: str = "mean"
) -> Tensor:
    """The cross entropy of a yes-or-no target, less where it is easy: loss = -a (1 - p)^gamma log p.

    Here p = s(x) for a target of 1 and 1 - s(x) for one of 0, s the sigmoid, and a = alpha or 1 - alpha.

    Arguments:
        logits: x, floats of any shape.
        targets: booleans or 0 and 1, of the same shape.
        gamma: how much less; 0 gives gf.nn.binary_cross_entropy_with_logits.
        alpha: the weight of the target 1, that of 0 being 1 - alpha; None weighs both by 1.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError, AttributeValueError: if the shapes differ, or gamma is negative.

    Source: T.-Y. Lin et al., arXiv 1708.02002.

    >>> import graphflow as gf
    >>> gf.nn.focal_loss(gf.placeholder("x", ("batch",)), 1, alpha=0.25).type
    float32[]
    """
    power = real_number(gamma, "gamma of focal_loss", 0)
    b, x, t = pair("focal_loss", logits, targets)

    def mixed(for_yes: Any, for_no: Any) -> Tensor:
        return b.add(b.multiply(t, for_yes), b.multiply(b.subtract(1, t), for_no))

    losses = mixed(b.softplus(b.negative(x)), b.softplus(x))
    if power:
        losses = b.multiply(losses, b.pow(mixed(b.sigmoid(b.negative(x)), b.sigmoid(x)), power))
    if alpha is not None:
        share = real_number(alpha, "alpha of focal_loss")
        losses = b.multiply(losses, mixed(share, 1 - share))
    return reduced(b, losses, reduction)
