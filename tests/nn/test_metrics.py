"""Metrics: against scikit-learn and NumPy, with ties, NaN, and nothing to count."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import sklearn.metrics

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from graphflow.nn import metrics


def _value(tensor: gf.Tensor) -> np.ndarray:
    return evaluate([tensor])[0]


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64])
def test_accuracy_and_top_k(dtype: Any, rng: np.random.Generator) -> None:
    logits = rng.standard_normal((200, 7))
    labels = rng.integers(0, 7, 200).astype(dtype)
    np.testing.assert_allclose(_value(metrics.accuracy(logits, labels)), (logits.argmax(-1) == labels).mean())
    for k in (1, 2, 3, 7, 9):
        expected = np.mean([label in np.argsort(-row)[:k] for row, label in zip(logits, labels)])
        np.testing.assert_allclose(_value(metrics.top_k_accuracy(logits, labels, k)), expected, rtol=1e-6)
    assert metrics.accuracy(logits, labels).dtype is gf.float32


def test_among_equal_scores_the_lower_class_is_ahead() -> None:
    logits = np.ones((3, 3))
    labels = np.array([0, 1, 2])
    np.testing.assert_allclose(_value(metrics.accuracy(logits, labels)), 1 / 3)
    made = [_value(metrics.top_k_accuracy(logits, labels, k)) for k in (1, 2, 3)]
    np.testing.assert_allclose(made, [1 / 3, 2 / 3, 1])


def test_nan_scores_and_unknown_labels_are_never_right() -> None:
    logits = np.array([[np.nan, np.nan], [1.0, 0.0]])
    labels = np.array([1, 2])
    assert _value(metrics.top_k_accuracy(logits[:1], labels[:1], 1)) == 0
    assert _value(metrics.top_k_accuracy(logits[1:], labels[1:], 2)) == 0
    assert _value(metrics.accuracy(logits[1:], labels[1:])) == 0


def test_leading_axes_count_as_items(rng: np.random.Generator) -> None:
    logits, labels = rng.standard_normal((4, 5, 3)), rng.integers(0, 3, (4, 5))
    flat = metrics.accuracy(logits.reshape(20, 3), labels.reshape(20))
    assert _value(metrics.accuracy(logits, labels)) == _value(flat)


@pytest.mark.parametrize("as_boolean", [False, True])
def test_binary_metrics_are_those_of_scikit_learn(as_boolean: bool, rng: np.random.Generator) -> None:
    scores, labels = rng.uniform(size=100).astype(np.float32), rng.integers(0, 2, 100)
    positive = scores >= 0.7
    given = (positive, labels.astype(bool)) if as_boolean else (scores, labels)
    extra = {} if as_boolean else {"threshold": 0.7}
    for ours, theirs in (
        (metrics.precision, sklearn.metrics.precision_score),
        (metrics.recall, sklearn.metrics.recall_score),
        (metrics.f1, sklearn.metrics.f1_score),
    ):
        np.testing.assert_allclose(_value(ours(*given, **extra)), theirs(labels, positive), rtol=1e-6)


def test_nothing_to_divide_by_gives_zero() -> None:
    none = np.zeros(3, bool)
    for metric in (metrics.precision, metrics.recall, metrics.f1):
        assert _value(metric(none, none)) == 0


def test_confusion_matrix(rng: np.random.Generator) -> None:
    logits, labels = rng.standard_normal((50, 4)), rng.integers(0, 4, 50)
    expected = sklearn.metrics.confusion_matrix(labels, logits.argmax(-1), labels=range(4))
    for given in (logits, logits.argmax(-1)):
        made = _value(metrics.confusion_matrix(given, labels, 4))
        assert made.dtype == np.int32
        np.testing.assert_array_equal(made, expected)
    outside = _value(metrics.confusion_matrix(np.array([0, 9]), np.array([-1, 1]), 2))
    np.testing.assert_array_equal(outside, np.zeros((2, 2)))


def test_confusion_matrix_of_a_symbolic_batch() -> None:
    x, label = gf.placeholder("x", ("n", "m", 3)), gf.placeholder("label", ("n", "m"), gf.int64)
    assert metrics.confusion_matrix(x, label, 3).shape == (3, 3)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x, i: metrics.accuracy(x, i), ShapeError, "[5] != [4]"),
        (lambda x, i: metrics.top_k_accuracy(x, i, 0), AttributeValueError, "k=0"),
        (lambda x, i: metrics.precision(x, i), ShapeError, "[4, 3] != [5]"),
        (lambda x, i: metrics.confusion_matrix(x[:, 0], i, 3), ShapeError, "[5] != []"),
        (
            lambda x, i: metrics.confusion_matrix(i, gf.astype(i, gf.float32), 3),
            DTypeError,
            "integer classes",
        ),
        (lambda x, i: metrics.confusion_matrix(x, i[:4], 4), ShapeError, "scores and classes"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, error: type, message: str) -> None:
    x, i = gf.placeholder("x", (4, 3)), gf.placeholder("i", (5,), gf.int32)
    with pytest.raises(error, match=re.escape(message)):
        build(x, i)
