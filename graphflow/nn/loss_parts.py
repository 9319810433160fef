"""What losses share: reductions, pairs of one shape, and the scores of the labelled classes."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dtypes import float32, int32
from graphflow.ir.node import Tensor
from graphflow.ops.composite import with_tensors
from graphflow.ops.inference import require, show
from graphflow.ops.windows import unify_shapes


def require_reduction(reduction: Any) -> None:
    """Raise an AttributeValueError unless it is "mean", "sum" or "none"."""
    if not isinstance(reduction, str) or reduction not in ("mean", "sum", "none"):
        raise AttributeValueError(
            f"there is no reduction {reduction!r:.80}", hint='use "mean", "sum" or "none"'
        )


def reduced(b: Builder, losses: Tensor, reduction: str, weights: Tensor | None = None) -> Tensor:
    """The losses, their sum, or their mean: with the weights of the items, divided by the sum of those."""
    require_reduction(reduction)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return b.sum(losses)
    return b.mean(losses) if weights is None else b.divide(b.sum(losses), b.sum(weights))


def pair(operation: str, predictions: Any, targets: Any) -> tuple[Builder, Tensor, Tensor]:
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
    """Raise unless there is an axis of classes."""
    require(
        scores.ndim >= 1,
        f"{operation} needs an axis of classes, but got a scalar",
        "pass one number for each class: shape [..., classes]",
    )


def require_classes(operation: str, scores: Tensor, labels: Tensor, axis: int = -1) -> None:
    """Raise unless labels are integer classes of the shape of scores less the axis of classes."""
    require_class_axis(operation, scores)
    if not labels.dtype.is_integer:
        raise DTypeError(
            f"{operation} needs integer labels, not {labels.dtype}",
            hint="labels are class numbers 0 ... classes - 1; convert with gf.astype",
        )
    place = axis % scores.ndim
    wanted = scores.shape[:place] + scores.shape[place + 1 :]
    where = "the leading shape" if place == scores.ndim - 1 else f"the shape, but for axis {place},"
    unify_shapes(
        labels.shape,
        wanted,
        f"{operation}: labels do not have {where} of {scores.type}",
        f"for classes along axis {place}, labels have the shape {show(wanted)}",
    )


def at_labels(b: Builder, scores: Tensor, labels: Tensor, axis: int = -1) -> tuple[Tensor, Tensor, Tensor]:
    """The scores of the labelled classes, the labels as a column, and the class numbers.

    What labels that are no class get is for the caller to replace.
    """
    if labels.dtype.itemsize < 4:
        labels = b.astype(labels, dtype=int32)
    place = axis % scores.ndim
    column = b.expand_dims(labels, axis=place)
    classes = along(b, b.iota(size=scores.shape[place], dtype=labels.dtype), scores, place)
    chosen = b.take_along_axis(scores, column, axis=place)
    return b.squeeze(chosen, axis=place), column, classes


def along(b: Builder, vector: Tensor, x: Tensor, axis: int) -> Tensor:
    """A vector laid along an axis of x, so that it broadcasts."""
    behind = x.ndim - 1 - axis % x.ndim
    return b.reshape(vector, shape=(*vector.shape, *(1,) * behind)) if behind else vector


def weighted(b: Builder, weights: Tensor, values: Tensor) -> Tensor:
    """weights * values, where a weight of 0 makes 0 even of an infinite value."""
    return b.where(b.equal(weights, 0), 0, b.multiply(weights, values))
