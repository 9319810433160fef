"""Composed activations: against their formulas, far values, slopes at the seams, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import graphflow as gf
from graphflow import nn
from graphflow.autodiff.check import check_gradients
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate

X = np.array([-1e30, -3.0, -0.5, -0.0, 0.0, 0.5, 3.0, 1e30, np.inf, -np.inf, np.nan])


def _value(tensor: gf.Tensor, feeds: Any = None) -> np.ndarray:
    return evaluate([tensor], feeds)[0]


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, -1.0])
def test_celu(alpha: float) -> None:
    with np.errstate(over="ignore"):
        curve = alpha * np.expm1(np.minimum(X, 0) / alpha)
    np.testing.assert_allclose(_value(nn.celu(X, alpha)), np.where(X > 0, X, curve), rtol=1e-12)
    x = gf.placeholder("x", X.shape, gf.float64)
    (slope,) = evaluate(gradients([nn.celu(x, 2.0)], [x]), {x: X})
    np.testing.assert_allclose(slope[[1, 2, 5, 6, 7, 8, 9]], [np.exp(-1.5), np.exp(-0.25), 1, 1, 1, 1, 0])


def test_prelu_broadcasts_its_slopes_to_x(rng: np.random.Generator) -> None:
    data, slopes = rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 1))
    np.testing.assert_array_equal(_value(nn.prelu(data, slopes)), np.where(data >= 0, data, slopes * data))
    x, slope = gf.placeholder("x", (2, 3, 4), gf.float64), gf.placeholder("s", (3, 1), gf.float64)
    check_gradients(gf.sum(nn.prelu(x, slope)), [x, slope], {x: data, slope: slopes})
    assert nn.prelu(gf.placeholder("n", ("n", 3)), 0.1).shape[1] == 3
    np.testing.assert_array_equal(_value(nn.prelu(np.array([-4, 4], np.int32), 2)), [-8, 4])


def test_thresholds() -> None:
    np.testing.assert_array_equal(_value(nn.thresholded_relu(X, 0.5)), np.where(X > 0.5, X, 0))
    hard, soft = _value(nn.shrink(X, 0.5)), _value(nn.shrink(X, 0.5, 0.5))
    np.testing.assert_array_equal(hard, np.where(np.abs(X) > 0.5, X, 0))
    np.testing.assert_array_equal(soft, np.where(np.abs(X) > 0.5, X - np.sign(X) * 0.5, 0))
    whole = _value(nn.shrink(np.array([-3, -1, 0, 1, 3], np.int8), 1.5, 2))
    assert whole.dtype == np.int8 and whole.tolist() == [-1, 0, 0, 0, 1]


def test_hardmax_takes_the_first_largest() -> None:
    x = np.array([[1, 3, 3], [np.nan, 5, 1], [0, 0, 0]], np.float32)
    np.testing.assert_array_equal(_value(nn.hardmax(x)), [[0, 1, 0], [1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(_value(nn.hardmax(x, axis=0)), [[0, 0, 1], [1, 1, 0], [0, 0, 0]])
    p = gf.placeholder("p", (3, 3))
    np.testing.assert_array_equal(_value(gradients([nn.hardmax(p)], [p])[0], {p: x}), np.zeros((3, 3)))
    assert nn.hardmax(gf.placeholder("s", ("n", "m"))).dtype is gf.float32


def test_swish_and_swiglu(rng: np.random.Generator) -> None:
    gate, data = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    for alpha in (0.0, 1.0, 1.702):
        expected = gate * scipy.special.expit(alpha * gate)
        np.testing.assert_allclose(_value(nn.swish(gate, alpha)), expected, rtol=1e-12)
        np.testing.assert_allclose(_value(nn.swiglu(gate, data, alpha)), expected * data, rtol=1e-12)
    assert nn.swish(gf.constant([1.0])).node.op.name == "silu"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: nn.celu(x, 0), AttributeValueError),
        (lambda x: nn.celu(x, "1"), AttributeValueError),
        (lambda x: nn.prelu(x, gf.ones((2, 3))), ShapeError),
        (lambda x: nn.prelu(x, gf.ones((1, 1, 3))), ShapeError),
        (lambda x: nn.prelu(gf.constant([1j]), 1.0), DTypeError),
        (lambda x: nn.thresholded_relu(x, None), AttributeValueError),
        (lambda x: nn.shrink(x, float("nan")), AttributeValueError),
        (lambda x: nn.hardmax(x, 2), AttributeValueError),
        (lambda x: nn.swiglu(x, gf.ones((4, 1))), ShapeError),
        (lambda x: nn.swish(gf.constant([1j])), DTypeError),
    ],
)
def test_refusals(call: Any, error: Any) -> None:
    with pytest.raises(error):
        call(gf.placeholder("x", (4, 3)))
