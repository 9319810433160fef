"""Metrics: how good predictions are, in numbers for people. None of them has a useful gradient."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import bool_, float32, int32
from graphflow.ir.node import Tensor
from graphflow.nn.loss_parts import at_labels, require_classes, strong
from graphflow.nn.losses import mean_absolute_error
from graphflow.ops.composite import composite
from graphflow.ops.inference import whole_number
from graphflow.ops.windows import unify_shapes

__all__ = [
    "accuracy",
    "confusion_matrix",
    "f1",
    "mean_absolute_error",
    "precision",
    "recall",
    "top_k_accuracy",
]


def _share(b: Builder, hits: Tensor) -> Tensor:
    return b.mean(b.astype(hits, dtype=float32))


@composite
def accuracy(logits: Any, labels: Any) -> Tensor:
    """The share of items whose highest score is at the label: mean(argmax(logits) = labels).

    Arguments:
        logits: scores of shape [..., classes].
        labels: integer classes of shape [...].

    Returns:
        a float32 scalar.

    >>> import graphflow as gf
    >>> x, label = gf.placeholder("x", ("batch", 10)), gf.placeholder("label", ("batch",), gf.int32)
    >>> gf.nn.metrics.accuracy(x, label).type
    float32[]
    """
    b, (logits, labels) = strong(logits, labels)
    require_classes("accuracy", logits, labels)
    best = b.argmax(logits, axis=-1)
    return _share(b, b.equal(best, b.astype(labels, dtype=best.dtype)))


@composite
def top_k_accuracy(logits: Any, labels: Any, k: int = 5) -> Tensor:
    """The share of items whose label is among the k highest scores.

    The rank of a label is the number of classes with a higher score, or the same and a lower number.

    Arguments:
        logits: scores of shape [..., classes].
        labels: integer classes of shape [...].
        k: how many scores count.

    Returns:
        a float32 scalar.

    >>> import graphflow as gf
    >>> x, label = gf.placeholder("x", ("batch", 10)), gf.placeholder("label", ("batch",), gf.int32)
    >>> gf.nn.metrics.top_k_accuracy(x, label, k=3).type
    float32[]
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise AttributeValueError(f"top_k_accuracy got k={k!r}", hint="pass a positive int")
    b, (logits, labels) = strong(logits, labels)
    require_classes("top_k_accuracy", logits, labels)
    score, column, classes = at_labels(b, logits, labels)
    own = b.expand_dims(score, axis=-1)
    ties = b.logical_and(b.equal(logits, own), b.less(classes, column))
    ahead = b.logical_or(b.greater(logits, own), ties)
    rank = b.sum(b.astype(ahead, dtype=int32), axis=-1)
    known = b.any(b.logical_and(b.equal(column, classes), b.equal(logits, logits)), axis=-1)
    return _share(b, b.logical_and(known, b.less(rank, k)))


def _counts(operation: str, predictions: Any, labels: Any, threshold: float) -> tuple[Builder, Any, Any, Any]:
    """How many predictions are true and right, true and wrong, and how many labels are missed."""
    b, (predictions, labels) = strong(predictions, labels)
    unify_shapes(predictions.shape, labels.shape, f"{operation}: predictions and labels differ in shape")
    positive = predictions if predictions.dtype is bool_ else b.greater_equal(predictions, threshold)
    wanted = labels if labels.dtype is bool_ else b.not_equal(labels, 0)

    def count(items: Tensor) -> Tensor:
        return b.sum(b.astype(items, dtype=float32))

    right = count(b.logical_and(positive, wanted))
    wrong = count(b.logical_and(positive, b.logical_not(wanted)))
    missed = count(b.logical_and(b.logical_not(positive), wanted))
    return b, right, wrong, missed


def _ratio(b: Builder, part: Tensor, whole: Tensor) -> Tensor:
    """part / whole; 0 for 0 / 0."""
    return b.divide(part, b.maximum(whole, 1))


@composite
def precision(predictions: Any, labels: Any, threshold: float = 0.5) -> Tensor:
    """The share of the positive predictions that are right: tp / (tp + fp); 0 where there is none.

    Arguments:
        predictions: booleans, or scores that are positive from `threshold` on.
        labels: booleans, or numbers that are positive where not 0; of the same shape.
        threshold: the least positive score.

    Returns:
        a float32 scalar.

    >>> import graphflow as gf
    >>> gf.nn.metrics.precision(gf.placeholder("p", ("n",)), gf.placeholder("label", ("n",), bool)).type
    float32[]
    """
    b, right, wrong, _ = _counts("precision", predictions, labels, threshold)
    return _ratio(b, right, b.add(right, wrong))


@composite
def recall(predictions: Any, labels: Any, threshold: float = 0.5) -> Tensor:
    """The share of the positive labels that are found: tp / (tp + fn); 0 where there is none.

    Arguments:
        predictions: booleans, or scores that are positive from `threshold` on.
        labels: booleans, or numbers that are positive where not 0; of the same shape.
        threshold: the least positive score.

    Returns:
        a float32 scalar.

    >>> import graphflow as gf
    >>> gf.nn.metrics.recall(gf.placeholder("p", ("n",)), gf.placeholder("label", ("n",), bool)).type
    float32[]
    """
    b, right, _, missed = _counts("recall", predictions, labels, threshold)
    return _ratio(b, right, b.add(right, missed))


@composite
def f1(predictions: Any, labels: Any, threshold: float = 0.5) -> Tensor:
    """The harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn); 0 where there is none.

    Arguments:
        predictions: booleans, or scores that are positive from `threshold` on.
        labels: booleans, or numbers that are positive where not 0; of the same shape.
        threshold: the least positive score.

    Returns:
        a float32 scalar.

    Source: van Rijsbergen, "Information retrieval" (1979).

    >>> import graphflow as gf
    >>> gf.nn.metrics.f1(gf.placeholder("p", ("n",)), gf.placeholder("label", ("n",), bool)).type
    float32[]
    """
    b, right, wrong, missed = _counts("f1", predictions, labels, threshold)
    both = b.multiply(right, 2)
    return _ratio(b, both, b.add(both, b.add(wrong, missed)))


@composite
def confusion_matrix(predictions: Any, labels: Any, classes: int) -> Tensor:
    """How often each class was taken for each: m[i, j] = the number of items of class i predicted as j.

    Items whose label or prediction is outside of 0 ... classes - 1 are not counted.

    Arguments:
        predictions: integer classes of any shape, or scores with one more axis, of size `classes`.
        labels: integer classes.
        classes: their number.

    Returns:
        int32 of shape [classes, classes].

    >>> import graphflow as gf
    >>> x, label = gf.placeholder("x", ("batch", 10)), gf.placeholder("label", ("batch",), gf.int32)
    >>> gf.nn.metrics.confusion_matrix(x, label, classes=10).type
    int32[10, 10]
    """
    b, (predictions, labels) = strong(predictions, labels)
    classes = whole_number(classes, "the number of classes", 1)
    if predictions.dtype.is_floating:
        require_classes("confusion_matrix", predictions, labels)
        unify_shapes(predictions.shape[-1:], (classes,), "confusion_matrix: scores and classes do not fit")
        predictions = b.argmax(predictions, axis=-1)
    for one in (predictions, labels):
        if not one.dtype.is_integer:
            raise DTypeError(f"confusion_matrix needs integer classes, not {one.dtype}")
    unify_shapes(predictions.shape, labels.shape, "confusion_matrix: predictions and labels differ in shape")
    actual = b.one_hot(b.reshape(labels, shape=(labels.size,)), depth=classes, axis=0, dtype=int32)
    found = b.one_hot(b.reshape(predictions, shape=(labels.size,)), depth=classes, dtype=int32)
    return b.matmul(actual, found)
