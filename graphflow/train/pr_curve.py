"""Precision and recall of a two-class decision at evenly spaced thresholds, from one sorting into buckets."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import DTypeError, ShapeError
from graphflow.ir import provenance

_LEAST = 1e-7  # keeps a quotient of nothing at 0


def curve_table(tag: str, labels: Any, scores: Any, thresholds: int, weights: Any = None) -> np.ndarray:
    """Rows of true and false positives, true and false negatives, precision and recall.

    >>> curve_table("two", [1, 0], [0.9, 0.2], 3)[:2]
    array([[1., 1., 0.],
           [1., 0., 0.]])
    """
    truth, values = np.asarray(labels), np.asarray(scores)
    counts = np.ones(truth.shape) if weights is None else np.asarray(weights)
    if not truth.shape == values.shape == counts.shape:
        raise ShapeError(
            f"the curve {tag!r} got labels of shape {list(truth.shape)}, scores of {list(values.shape)} "
            f"and weights of {list(counts.shape)}",
            hint="give each example a label, a score and, if any, a weight",
            origin=provenance.capture(),
        )
    positive = _numbers(tag, "labels", truth)
    chance = _numbers(tag, "scores", values)
    share = _numbers(tag, "weights", counts)
    _require(tag, "labels", "0 or 1", np.isin(positive, (0, 1)))
    _require(tag, "scores", "in [0, 1]", (chance >= 0) & (chance <= 1))
    _require(tag, "weights", "finite and not negative", np.isfinite(share) & (share >= 0))
    bucket = np.floor(chance * (thresholds - 1)).astype(np.int64)
    return _table(bucket, positive * share, (1 - positive) * share, thresholds)


def _table(bucket: np.ndarray, positive: np.ndarray, negative: np.ndarray, thresholds: int) -> np.ndarray:
    """The rows, from the bucket of each example and what it counts for either class."""
    hits = np.bincount(bucket, positive, thresholds)[::-1].cumsum()[::-1]
    alarms = np.bincount(bucket, negative, thresholds)[::-1].cumsum()[::-1]
    right, missed = alarms[0] - alarms, hits[0] - hits
    precision = hits / np.maximum(hits + alarms, _LEAST)
    recall = hits / np.maximum(hits + missed, _LEAST)
    return np.stack([hits, alarms, right, missed, precision, recall])


def _numbers(tag: str, what: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "cSUOMm":
        raise DTypeError(
            f"the curve {tag!r} got {what} of {array.dtype}",
            hint="pass real numbers",
            origin=provenance.capture(),
        )
    return array.astype(np.float64).ravel()


def _require(tag: str, what: str, wanted: str, good: np.ndarray) -> None:
    if not good.all():
        raise DTypeError(
            f"the curve {tag!r} got {int((~good).sum())} of {good.size} {what} that are not {wanted}",
            hint=f"pass {what} that are {wanted}; gf.nn.sigmoid makes such scores of logits",
            origin=provenance.capture(),
        )
