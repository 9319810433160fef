"""Activations: canonical attributes, corners, and what the generic tests cannot see."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats

from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.dtypes import float32, float64
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate
from graphflow.ops import activation, softmax
from graphflow.ops.declare import constant, placeholder

WIDE = np.concatenate([np.linspace(-60, 60, 1201), [-800.0, 800.0]])


def _value(tensor):
    return evaluate([tensor])[0]


def _slope(function, values):
    with Graph():
        x = placeholder("x", np.shape(values), np.float64)
        return evaluate(gradients(function(x), [x]), {x: np.asarray(values)})[0]


def test_against_scipy():
    x = constant(WIDE)
    np.testing.assert_allclose(_value(activation.sigmoid(x)), scipy.special.expit(WIDE), rtol=4e-15)
    np.testing.assert_allclose(_value(activation.softplus(x)), np.logaddexp(WIDE, 0), rtol=1e-15)
    near = WIDE[np.abs(WIDE) < 30]
    np.testing.assert_allclose(
        _value(activation.gelu(constant(near))), near * scipy.stats.norm.cdf(near), rtol=1e-12, atol=1e-300
    )
    rows = np.random.default_rng(0).normal(0, 300, (4, 9))
    np.testing.assert_allclose(
        _value(softmax.softmax(constant(rows), axis=1)), scipy.special.softmax(rows, axis=1), rtol=1e-12
    )
    np.testing.assert_allclose(
        _value(softmax.log_softmax(constant(rows), axis=0)),
        scipy.special.log_softmax(rows, axis=0),
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    "name", ["sigmoid", "softplus", "gelu", "silu", "elu", "selu", "mish", "softsign", "hard_swish"]
)
def test_slopes_are_finite_far_out(name):
    slope = _slope(getattr(activation, name), WIDE)
    assert np.isfinite(slope).all()
    flat = name in ("sigmoid", "softsign")
    assert slope[-1] == pytest.approx(0 if flat else 1.0507009873554805 if name == "selu" else 1, abs=1e-5)
    assert slope[-2] == pytest.approx(0, abs=1e-5)


def test_slopes_at_the_corners():
    assert _slope(activation.relu, [-1.0, 0.0, -0.0, 1.0]).tolist() == [0, 0, 0, 1]
    assert _slope(lambda x: activation.leaky_relu(x, alpha=0.25), [-1.0, 0.0, 1.0]).tolist() == [0.25, 1, 1]
    assert _slope(activation.elu, [0.0]).tolist() == [1]
    assert _slope(activation.hard_sigmoid, [-3.5, 3.5]).tolist() == [0, 0]


def test_selu_has_its_fixed_point():
    """Of a standard normal variable, selu keeps mean 0 and variance 1."""
    x = scipy.stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    y = _value(activation.selu(constant(x)))
    assert y.mean() == pytest.approx(0, abs=1e-4) and y.var() == pytest.approx(1, abs=1e-3)


def test_alpha_is_kept_as_a_float():
    node = activation.elu(constant([1.0]), alpha=2).node
    assert type(node.attrs["alpha"]) is float
    assert node.attrs == activation.elu(constant([1.0]), alpha=2.0).node.attrs


def test_axis_is_kept_non_negative():
    x = constant(np.ones((2, 3)))
    assert softmax.softmax(x).node.attrs["axis"] == 1
    assert softmax.softmax(x, -1).node.attrs == softmax.softmax(x, axis=1).node.attrs


@pytest.mark.parametrize(("axis", "message"), [(2, "got axis 2"), (-3, "got axis -3"), (1.5, "integer axis")])
def test_wrong_axes_are_refused(axis, message):
    with pytest.raises(AttributeValueError, match=message):
        softmax.softmax(constant(np.ones((2, 3))), axis=axis)


def test_a_scalar_has_no_softmax():
    with pytest.raises(AttributeValueError, match="got axis -1, but its operand has rank 0"):
        softmax.log_softmax(constant(1.0))


def test_dtypes():
    assert activation.sigmoid(constant([1, 2])).dtype is float64
    assert activation.sigmoid(2).dtype is float64
    assert activation.sigmoid(2.0).dtype is float32
    for function in (activation.relu, activation.gelu, softmax.softmax):
        with pytest.raises(DTypeError, match="does not take complex64"):
            function(constant([1j]))
    with pytest.raises(DTypeError, match="relu does not take bool"):
        activation.relu(constant([True]))


@pytest.mark.parametrize(("approximate", "rtol"), [(False, 1e-12), (True, 2e-3)])
def test_gelu_keeps_its_digits_in_the_tail(approximate, rtol):
    """Where 1 + erf(x / sqrt 2) has lost all of them."""
    x = np.array([-9.0, -8.0, -7.0])
    made = _value(activation.gelu(constant(x), approximate=approximate))
    if approximate:
        inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
        np.testing.assert_allclose(made, x * np.exp(2 * inner), rtol=rtol)
    else:
        np.testing.assert_allclose(made, x * scipy.stats.norm.cdf(x), rtol=rtol)
