"""Loss scaling: exact where nothing overflows, a step left out where something does, a scale that adapts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as gf
from tests.train.runner import Runner


def training(method: Any, dtype: Any = gf.float32) -> tuple[gf.Tensor, Any, Runner]:
    """A graph that trains w on sum((w * x)^2); its input, the graph and a runner."""
    with gf.Graph() as graph:
        x = gf.placeholder("x", (3,), dtype)
        w = gf.variable("w", initializer=np.array([1.0, -2.0, 0.5], np.float32))
        product = gf.astype(w, dtype) * x
        return x, graph, Runner(method.minimize(gf.sum(product * product)))


def value(runner: Runner, graph: Any, name: str) -> np.ndarray:
    return runner.values[graph.variables[name]]


@pytest.mark.parametrize("method", [lambda: gf.train.SGD(0.1, momentum=0.9), lambda: gf.train.Adam(0.01)])
def test_a_power_of_two_changes_nothing(method: Any) -> None:
    x, graph, plain = training(method())
    scaled_x, scaled_graph, scaled = training(gf.train.LossScale(method(), 1024.0))
    for step in range(4):
        data = np.array([0.5, 1.0, step], np.float32)
        plain.step({x: data})
        scaled.step({scaled_x: data})
        np.testing.assert_array_equal(value(scaled, scaled_graph, "w"), value(plain, graph, "w"))


def test_a_step_that_overflows_is_left_out_and_halves_the_scale() -> None:
    x, _, runner = training(gf.train.LossScale(gf.train.Adam(0.1), 2.0**20), gf.float16)
    before = {tensor.node.name: array.copy() for tensor, array in runner.values.items()}
    runner.step({x: np.array([1.0, 1.0, 1.0], np.float16)})
    after = {tensor.node.name: array for tensor, array in runner.values.items()}
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert changed == ["loss_scale/scale"] and after["loss_scale/scale"] == 2.0**19


def test_it_recovers_and_then_steps() -> None:
    x, graph, runner = training(gf.train.LossScale(gf.train.SGD(0.125), 2.0**18), gf.float16)
    for _ in range(12):
        runner.step({x: np.array([1.0, 1.0, 1.0], np.float16)})
    assert 1 <= value(runner, graph, "loss_scale/scale") < 2.0**18
    assert np.abs(value(runner, graph, "w")).max() < 1.0


def test_it_saves_gradients_that_would_vanish() -> None:
    tiny = np.array([1e-5, 1e-5, 1e-5], np.float16)
    x, graph, plain = training(gf.train.SGD(1e6), gf.float16)
    plain.step({x: tiny})
    np.testing.assert_array_equal(value(plain, graph, "w"), np.float32([1.0, -2.0, 0.5]))
    x, graph, scaled = training(gf.train.LossScale(gf.train.SGD(1e6)), gf.float16)
    scaled.step({x: tiny})
    assert not np.array_equal(value(scaled, graph, "w"), np.float32([1.0, -2.0, 0.5]))


def test_the_scale_grows_after_finite_steps_in_a_row() -> None:
    x, graph, runner = training(gf.train.LossScale(gf.train.SGD(0.0), 4.0, growth_steps=3, factor=8.0))
    scales = []
    for _ in range(7):
        runner.step({x: np.ones(3, np.float32)})
        scales.append(float(value(runner, graph, "loss_scale/scale")))
    assert scales == [4.0, 4.0, 32.0, 32.0, 32.0, 256.0, 256.0]


def test_nan_leaves_the_step_out_and_the_scale_stops_at_one() -> None:
    x, graph, runner = training(gf.train.LossScale(gf.train.SGD(0.1), 2.0))
    for expected in (1.0, 1.0):
        runner.step({x: np.array([np.nan, 1.0, 1.0], np.float32)})
        assert value(runner, graph, "loss_scale/scale") == expected
    np.testing.assert_array_equal(value(runner, graph, "w"), np.float32([1.0, -2.0, 0.5]))


def test_what_makes_no_sense_is_refused() -> None:
    w = gf.variable("w", (3,))
    for arguments in ({"initial": 0.5}, {"factor": 1.0}, {"growth_steps": 0}):
        with pytest.raises(gf.GraphFlowError):
            gf.train.LossScale(gf.train.SGD(0.1), **arguments)
    with pytest.raises(gf.GraphFlowError, match="no training method"):
        gf.train.LossScale("adam")
    with pytest.raises(gf.GraphFlowError, match=r"call minimize|scale the loss"):
        gf.train.LossScale(gf.train.SGD(0.1)).apply([(w, w)])
