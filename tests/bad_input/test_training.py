"""Mistakes in layers, losses and training: refused with the way out, and no variable is made or changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import (
    AttributeValueError,
    DTypeError,
    GradientError,
    GraphError,
    GraphFlowError,
    ShapeError,
)

Case = tuple[Callable[[gf.Tensor], Any], type[GraphFlowError], str]

LAYERS: dict[str, Case] = {
    "no units": (lambda x: gf.layers.dense(x, 0), AttributeValueError, "units of dense"),
    "fractional units": (lambda x: gf.layers.dense(x, 2.5), AttributeValueError, "2.5"),
    "units by name": (lambda x: gf.layers.dense(x, "ten"), AttributeValueError, "'ten'"),
    "units True": (lambda x: gf.layers.dense(x, True), AttributeValueError, "True"),
    "an activation by name": (lambda x: gf.layers.dense(x, 2, "relu"), AttributeValueError, "gf.nn.relu"),
    "a scalar input": (lambda x: gf.layers.dense(1.0, 2), ShapeError, "rank 0"),
    "an input of ints": (lambda x: gf.layers.dense(gf.constant([[1, 2]]), 2), DTypeError, "int32"),
    "an open number of features": (
        lambda x: gf.layers.dense(gf.placeholder("open", ("batch", "features")), 2),
        AttributeValueError,
        "features",
    ),
    "a flat image": (lambda x: gf.layers.conv(x, 8, 3), ShapeError, "rank 2"),
    "a kernel of nothing": (lambda x: gf.layers.conv(gf.zeros((1, 1, 8, 8)), 8, 0), GraphFlowError, ""),
    "a kernel larger than the image": (
        lambda x: gf.layers.conv(gf.zeros((1, 1, 8, 8)), 8, 9, padding="valid"),
        ShapeError,
        "does not fit",
    ),
    "padding by another name": (
        lambda x: gf.layers.conv(gf.zeros((1, 1, 8, 8)), 8, 3, padding="SAMES"),
        AttributeValueError,
        "'same', 'same_lower' or 'valid'",
    ),
    "a dropout of everything": (lambda x: gf.layers.dropout(x, 1.0), AttributeValueError, "1.0"),
    "a negative dropout": (lambda x: gf.layers.dropout(x, -0.1), AttributeValueError, "-0.1"),
    "a dropout by name": (lambda x: gf.layers.dropout(x, "half"), AttributeValueError, "'half'"),
    "a training mode by name": (lambda x: gf.layers.dropout(x, 0.5, training="yes"), GraphFlowError, "yes"),
    "words that are floats": (lambda x: gf.layers.embedding(x, 10, 4), DTypeError, "float32"),
    "an initializer of another shape": (
        lambda x: gf.layers.dense(x, 2, kernel_initializer=np.zeros((2, 4))),
        ShapeError,
        "[2, 4]",
    ),
    "heads that do not divide": (
        lambda x: gf.layers.multi_head_attention(gf.zeros((2, 5, 6)), heads=4),
        GraphFlowError,
        "4",
    ),
    "groups that do not divide": (
        lambda x: gf.layers.group_norm(gf.zeros((2, 6, 4)), groups=4),
        GraphFlowError,
        "4",
    ),
}


def refuses(case: Case, *arguments: Any) -> None:
    act, kind, fact = case
    with pytest.raises(kind) as caught:
        act(*arguments)
    shown = str(caught.value)
    assert fact in shown and "test_training.py:" in shown and "\n  try: " in shown, shown


@pytest.mark.parametrize("case", LAYERS)
def test_layers(case: str) -> None:
    x = gf.placeholder("x", ("batch", 4))
    refuses(LAYERS[case], x)
    assert not gf.default_graph().variables
    assert gf.layers.dense(x, 2).name.startswith("dense/")


LOSSES: dict[str, Case] = {
    "labels of another batch": (
        lambda x: gf.nn.cross_entropy(gf.zeros((3, 4)), gf.zeros((2,), gf.int32)),
        ShapeError,
        "[3]",
    ),
    "labels as a column": (
        lambda x: gf.nn.cross_entropy(x, gf.placeholder("label", ("batch", 1), gf.int32)),
        ShapeError,
        "[batch, 1]",
    ),
    "labels as floats": (
        lambda x: gf.nn.cross_entropy(x, gf.placeholder("label", ("batch",))),
        ShapeError,
        "use an integer type",
    ),
    "one-hot labels of other classes": (lambda x: gf.nn.cross_entropy(x, gf.zeros((2, 5))), ShapeError, "5"),
    "logits without classes": (lambda x: gf.nn.cross_entropy(gf.zeros(()), 1), ShapeError, "classes"),
    "a column against a row": (
        lambda x: gf.nn.mean_squared_error(gf.zeros((3, 1)), gf.zeros((3,))),
        ShapeError,
        "do not broadcast",
    ),
    "an unknown reduction": (
        lambda x: gf.nn.mean_squared_error(x, x, reduction="average"),
        AttributeValueError,
        "'average'",
    ),
    "None for labels": (lambda x: gf.nn.cross_entropy(x, None), DTypeError, "object"),
}


@pytest.mark.parametrize("case", LOSSES)
def test_losses(case: str) -> None:
    refuses(LOSSES[case], gf.placeholder("x", ("batch", 4)))


METHODS: dict[str, Case] = {
    "a negative rate": (lambda w: gf.train.SGD(-0.1), AttributeValueError, "-0.1"),
    "a rate that is NaN": (lambda w: gf.train.Adam(float("nan")), AttributeValueError, "nan"),
    "a rate by name": (lambda w: gf.train.Adam("1e-3"), AttributeValueError, "'1e-3'"),
    "no rate": (lambda w: gf.train.SGD(None), AttributeValueError, "None"),
    "a vector of rates": (lambda w: gf.train.SGD(w), ShapeError, "float32[3]"),
    "a momentum of 1": (lambda w: gf.train.SGD(0.1, momentum=1.0), AttributeValueError, "momentum"),
    "a beta of 2": (lambda w: gf.train.Adam(0.1, beta1=2), AttributeValueError, "beta1"),
    "a clip of 0": (lambda w: gf.train.SGD(0.1, clip_norm=0), AttributeValueError, "clip_norm"),
    "steps of 0": (
        lambda w: gf.train.GradientAccumulation(gf.train.SGD(0.1), 0),
        AttributeValueError,
        "steps",
    ),
    "accumulation of nothing": (
        lambda w: gf.train.GradientAccumulation("adam", 2),
        AttributeValueError,
        "'adam'",
    ),
    "a vector for a loss": (lambda w: gf.train.SGD(0.1).minimize(w * w), ShapeError, "gf.mean"),
    "an int for a loss": (lambda w: gf.train.SGD(0.1).minimize(gf.argmax(w)), DTypeError, "int64"),
    "None for a loss": (lambda w: gf.train.SGD(0.1).minimize(None), DTypeError, "None"),
    "a loss of constants": (
        lambda w: gf.train.SGD(0.1).minimize(gf.constant(1.0)),
        GradientError,
        "no variable",
    ),
    "a variable that does not matter": (
        lambda w: gf.train.SGD(0.1).minimize(gf.sum(w), [gf.variable("v", (2,))]),
        GradientError,
        "v",
    ),
    "a placeholder to change": (
        lambda w: gf.train.SGD(0.1).apply([(w, gf.placeholder("p", (3,)))]),
        GraphError,
        "p",
    ),
    "a variable twice": (lambda w: gf.train.SGD(0.1).apply([(w, w), (w, w)]), GraphError, "twice"),
    "no pairs": (lambda w: gf.train.SGD(0.1).apply([]), GradientError, "pairs"),
    "what is no pair": (lambda w: gf.train.SGD(0.1).apply([w]), GradientError, "pairs"),
    "a gradient of another shape": (
        lambda w: gf.train.SGD(0.1).apply([(gf.zeros((4,)), w)]),
        ShapeError,
        "float32[4]",
    ),
    "variables by name": (lambda w: gf.train.SGD(0.1).minimize(gf.sum(w), ["w"]), GradientError, "'w'"),
    "an average of a tensor": (
        lambda w: gf.train.ExponentialMovingAverage().update([w * 2.0]),
        GraphError,
        "no floating-point variable",
    ),
    "an average that is none": (lambda w: gf.train.ExponentialMovingAverage().of(w), GraphError, "update"),
    "a norm of nothing": (lambda w: gf.train.global_norm([]), ShapeError, "norm of no tensors"),
    "a schedule that gives text": (
        lambda w: gf.train.SGD(lambda done: "fast").minimize(gf.sum(w)),
        GraphFlowError,
        "string[]",
    ),
    "boundaries that descend": (
        lambda w: gf.train.schedules.step(0.1, [20, 10], 0.5),
        AttributeValueError,
        "ascend",
    ),
}


@pytest.mark.parametrize("case", METHODS)
def test_methods(case: str) -> None:
    w = gf.variable("w", (3,))
    refuses(METHODS[case], w)
    assert [name for name in gf.default_graph().variables if name not in "wv"] == []
    with gf.Session(backend="numpy") as sess:
        sess.run(gf.train.SGD(0.5).minimize(gf.sum(w)))
        assert sess.variables["w"].tolist() == [-0.5] * 3 and "sgd/step" in sess.variables
