"""Exponential moving averages, against the recurrence in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, GraphError
from tests.train.runner import Runner


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99, 1.0])
def test_the_recurrence_beside_training(decay, rng):
    start = rng.standard_normal(4).astype(np.float32)
    w = gf.variable("w", initializer=start)
    slope = gf.placeholder("slope", (4,))
    average = gf.train.ExponentialMovingAverage(decay)
    runner = Runner(gf.group(gf.train.SGD(0.1).apply([(slope, w)]), average.update([w])))
    value, shadow = start.astype(np.float64), None
    for _ in range(6):
        given = rng.standard_normal(4).astype(np.float32)
        shadow = value if shadow is None else decay * shadow + (1 - decay) * value
        value = value - 0.1 * given
        runner.step({slope: given})
        np.testing.assert_allclose(runner.values[average.of(w)], shadow, rtol=1e-5, atol=1e-6)


def test_a_random_start_is_copied():
    w = gf.variable("w", (3, 2))
    average = gf.train.ExponentialMovingAverage(0.9)
    runner = Runner(average.update(w))
    start = np.float32([[1, 2], [3, 4], [5, 6]])
    runner.values[w] = start
    runner.step()
    np.testing.assert_array_equal(runner.values[average.of(w)], start)


def test_narrow_variables_are_averaged_in_float32():
    w = gf.variable("w", initializer=np.ones(2, np.float16))
    average = gf.train.ExponentialMovingAverage(0.999)
    runner = Runner(average.update([w]))
    runner.step()
    runner.values[w] = np.full(2, 2, np.float16)
    runner.step()
    shadow = runner.values[average.of(w)]
    assert shadow.dtype == np.float32
    np.testing.assert_allclose(shadow, 1.001, rtol=1e-6)


def test_two_averages_of_one_variable():
    w = gf.variable("w", initializer=[1.0])
    slow, fast = gf.train.ExponentialMovingAverage(0.99), gf.train.ExponentialMovingAverage(0.5)
    update = gf.group(slow.update([w]), fast.update([w]))
    assert [v.node.name for v in update.variables] == [
        "average/w",
        "average/started",
        "average_1/w",
        "average_1/started",
    ]
    assert not update.training


def test_variables_can_be_added_later():
    w, b = gf.variable("w", (2,)), gf.variable("b", (2,))
    average = gf.train.ExponentialMovingAverage()
    gf.group(average.update([w]), average.update([b]))
    assert average.of(w) is not average.of(b)


def test_refusals():
    w, n = gf.variable("w", (2,)), gf.variable("n", (), dtype=gf.int32)
    x = gf.placeholder("x", (2,))
    average = gf.train.ExponentialMovingAverage()
    with pytest.raises(GraphError, match="w:0 is not averaged"):
        average.of(w)
    with pytest.raises(GraphError, match="n:0 cannot be averaged: it is no floating-point variable"):
        average.update([w, n])
    with pytest.raises(GraphError, match="x:0 cannot be averaged"):
        average.update([x])
    with pytest.raises(GraphError, match="nothing to average"):
        average.update([])
    average.update([w])
    with pytest.raises(GraphError, match="averaged already"):
        average.update([w])
    with pytest.raises(AttributeValueError, match=r"decay is 1.5"):
        gf.train.ExponentialMovingAverage(1.5)
