"""Gradient accumulation: several runs make exactly the step of one run on all the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError
from tests.train.runner import Runner

METHODS = {
    "sgd": lambda: gf.train.SGD(0.1, momentum=0.9),
    "adam": lambda: gf.train.Adam(gf.train.schedules.exponential(0.1, 1, 0.5)),
    "clipped": lambda: gf.train.Adam(0.1, clip_norm=0.01),
}


def regression(method: Any, batch: int, start: np.ndarray) -> tuple[Any, ...]:
    """A graph that trains w on a mean square error; its inputs, variable and runner."""
    with gf.Graph():
        x, y = gf.placeholder("x", (batch, 3), gf.float64), gf.placeholder("y", (batch,), gf.float64)
        w = gf.variable("w", initializer=start)
        update = method.minimize(gf.mean(gf.square(gf.matmul(x, w) - y)))
        return x, y, w, Runner(update)


@pytest.mark.parametrize("name", METHODS)
def test_small_batches_make_the_step_of_a_large_one(name, rng):
    start = rng.standard_normal(3)
    data = [(rng.standard_normal((8, 3)), rng.standard_normal(8)) for _ in range(3)]
    x, y, w, large = regression(METHODS[name](), 8, start)
    accumulated = gf.train.GradientAccumulation(METHODS[name](), 4)
    small_x, small_y, small_w, small = regression(accumulated, 2, start)
    for inputs, labels in data:
        large.step({x: inputs, y: labels})
        before = small.values[small_w]
        for part in range(4):
            np.testing.assert_array_equal(small.values[small_w], before)
            rows = slice(2 * part, 2 * part + 2)
            small.step({small_x: inputs[rows], small_y: labels[rows]})
        np.testing.assert_allclose(small.values[small_w], large.values[w], rtol=1e-12)


def test_one_run_a_step_is_the_method_itself(rng):
    start = rng.standard_normal(3)
    x, y, w, plain = regression(METHODS["adam"](), 4, start)
    wrapped_x, wrapped_y, wrapped_w, wrapped = regression(
        gf.train.GradientAccumulation(METHODS["adam"](), 1), 4, start
    )
    for _ in range(3):
        inputs, labels = rng.standard_normal((4, 3)), rng.standard_normal(4)
        plain.step({x: inputs, y: labels})
        wrapped.step({wrapped_x: inputs, wrapped_y: labels})
        np.testing.assert_array_equal(plain.values[w], wrapped.values[wrapped_w])


def test_a_bad_gradient_of_one_step_is_gone_in_the_next():
    w = gf.variable("w", initializer=[1.0])
    slope = gf.placeholder("slope", (1,))
    update = gf.train.GradientAccumulation(gf.train.SGD(1.0), 2).apply([(slope, w)])
    runner = Runner(update)
    for given in (1e30, -1e30, 0.25, 0.75):
        runner.step({slope: np.float32([given])})
    np.testing.assert_allclose(runner.values[w], [0.5])
    held = next(v for v in update.variables if v.node.name.endswith("/sum"))
    np.testing.assert_array_equal(runner.values[held], [0.0])


def test_float16_gradients_are_summed_in_float32():
    w = gf.variable("w", initializer=np.zeros(1, np.float16))
    slope = gf.placeholder("slope", (1,), gf.float16)
    runner = Runner(gf.train.GradientAccumulation(gf.train.SGD(1.0), 4).apply([(slope, w)]))
    for given in (6e4, 6e4, 6e4, -6e4):
        runner.step({slope: np.float16([given])})
    np.testing.assert_allclose(runner.values[w], [-3e4], rtol=1e-3)


def test_names_and_number_of_updates():
    w = gf.variable("w", (2,))
    update = gf.train.GradientAccumulation(gf.train.SGD(0.1, momentum=0.5), 2).minimize(gf.sum(w * w))
    assert [v.node.name for v in update.variables] == [
        "w",
        "accumulation/sgd/w/velocity",
        "accumulation/sgd/step",
        "accumulation/w/sum",
        "accumulation/count",
    ]
    assert update.training
    assert sum(node.op.name == "assign" for node in w.graph.nodes) == len(update.assigns)


def test_accumulations_nest():
    w = gf.variable("w", initializer=[0.0])
    inner = gf.train.GradientAccumulation(gf.train.SGD(1.0), 2)
    slope = gf.placeholder("slope", (1,))
    runner = Runner(gf.train.GradientAccumulation(inner, 2).apply([(slope, w)]))
    seen = []
    for _ in range(8):
        runner.step({slope: np.float32([1.0])})
        seen.append(float(runner.values[w][0]))
    assert seen == [0, 0, 0, -1, -1, -1, -1, -2]


@pytest.mark.parametrize("steps", [0, -1, 1.5, True, "2"])
def test_steps_that_make_no_sense(steps):
    with pytest.raises(AttributeValueError, match="steps is"):
        gf.train.GradientAccumulation(gf.train.SGD(0.1), steps)


def test_what_is_no_method():
    with pytest.raises(AttributeValueError, match="no training method"):
        gf.train.GradientAccumulation(0.1, 2)
