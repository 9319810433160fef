"""Each method against optax, fed with the same gradients: SGD, RMSProp, Adafactor, Adam, AdamW, LAMB."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import graphflow as gf
from graphflow.errors import GraphFlowError
from tests.train.runner import Runner

STEPS = 7
SHAPES = {"matrix": (6, 4), "vector": (4,), "scalar": (), "kernel": (2, 3, 5, 5)}

CASES: dict[str, tuple[Any, Any]] = {
    "sgd": (lambda: gf.train.SGD(0.1), lambda: optax.sgd(0.1)),
    "momentum": (lambda: gf.train.SGD(0.1, momentum=0.9), lambda: optax.sgd(0.1, 0.9)),
    "nesterov": (
        lambda: gf.train.SGD(0.1, momentum=0.9, nesterov=True),
        lambda: optax.sgd(0.1, 0.9, nesterov=True),
    ),
    "weight decay": (
        lambda: gf.train.SGD(0.1, momentum=0.5, weight_decay=0.01),
        lambda: optax.chain(optax.add_decayed_weights(0.01), optax.sgd(0.1, 0.5)),
    ),
    "rmsprop": (
        lambda: gf.train.RMSProp(0.01, decay=0.8),
        lambda: optax.rmsprop(0.01, decay=0.8, eps=1e-8),
    ),
    "rmsprop with momentum": (
        lambda: gf.train.RMSProp(0.01, momentum=0.9, epsilon=1e-3),
        lambda: optax.rmsprop(0.01, decay=0.9, eps=1e-3, momentum=0.9),
    ),
    "adam": (lambda: gf.train.Adam(0.01), lambda: optax.adam(0.01)),
    "adam with other betas": (
        lambda: gf.train.Adam(0.01, beta1=0.5, beta2=0.9, epsilon=1e-3),
        lambda: optax.adam(0.01, 0.5, 0.9, 1e-3),
    ),
    "adam without first moment": (lambda: gf.train.Adam(0.01, beta1=0), lambda: optax.adam(0.01, 0.0)),
    "adamw": (
        lambda: gf.train.AdamW(0.01, weight_decay=0.1),
        lambda: optax.adamw(0.01, weight_decay=0.1),
    ),
    "lamb": (
        lambda: gf.train.Lamb(0.01, weight_decay=0.1),
        lambda: optax.lamb(0.01, weight_decay=0.1),
    ),
    "adafactor": (
        lambda: gf.train.Adafactor(0.01, min_size_to_factor=4),
        lambda: optax.adafactor(0.01, min_dim_size_to_factor=4),
    ),
    "adafactor, not factored": (
        lambda: gf.train.Adafactor(0.01, clip_threshold=0.5, scale_by_parameter=False),
        lambda: optax.adafactor(0.01, clipping_threshold=0.5, multiply_by_parameter_scale=False),
    ),
    "clipped": (
        lambda: gf.train.SGD(0.1, momentum=0.9, clip_norm=1.5),
        lambda: optax.chain(optax.clip_by_global_norm(1.5), optax.sgd(0.1, 0.9)),
    ),
    "clipping that does nothing": (
        lambda: gf.train.Adam(0.01, clip_norm=1e6),
        lambda: optax.chain(optax.clip_by_global_norm(1e6), optax.adam(0.01)),
    ),
    "with a schedule": (
        lambda: gf.train.Adam(gf.train.schedules.exponential(0.1, 2, 0.5)),
        lambda: optax.adam(optax.exponential_decay(0.1, 2, 0.5)),
    ),
}

COUNTED_IN_FLOAT32 = ("adafactor", "adafactor, not factored", "with a schedule")
"""Where optax computes with the number of updates in float32 whatever the parameters are."""


def trajectories(method: Any, oracle: Any, dtype: str, rng: Any) -> tuple[dict, dict]:
    """The variables after each of STEPS steps on the same random gradients, in GraphFlow and in optax.

    What is narrower than float32 is stepped in float32 and rounded, as the methods promise.
    """
    start, *slopes = (
        {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}
        for _ in range(STEPS + 1)
    )
    variables = {name: gf.variable(name, initializer=value) for name, value in start.items()}
    inputs = {name: gf.placeholder(f"slope_{name}", value.shape, dtype) for name, value in start.items()}
    runner = Runner(method.apply([(inputs[name], variables[name]) for name in SHAPES]))
    found: dict[str, list] = {name: [] for name in SHAPES}
    expected: dict[str, list] = {name: [] for name in SHAPES}
    wide = np.dtype("float32" if dtype == "float16" else dtype)
    with jax.enable_x64(True):
        params = {name: jnp.asarray(value) for name, value in start.items()}
        state = oracle.init({name: value.astype(wide) for name, value in params.items()})
        for given in slopes:
            runner.step({inputs[name]: value for name, value in given.items()})
            wider = {name: value.astype(wide) for name, value in params.items()}
            slope = {name: jnp.asarray(value, wide) for name, value in given.items()}
            updates, state = oracle.update(slope, state, wider)
            stepped = optax.apply_updates(wider, updates)
            params = {name: value.astype(dtype) for name, value in stepped.items()}
            for name in SHAPES:
                found[name].append(runner.values[variables[name]])
                expected[name].append(np.asarray(params[name]))
    return found, expected


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-9), ("float32", 2e-4), ("float16", 4e-3)])
@pytest.mark.parametrize("case", CASES)
def test_trajectories_are_those_of_optax(case, dtype, rtol, rng):
    make, oracle = CASES[case]
    found, expected = trajectories(make(), oracle(), dtype, rng)
    if dtype == "float64" and case in COUNTED_IN_FLOAT32:
        rtol = 1e-5
    for name in SHAPES:
        assert found[name][0].dtype == dtype
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=rtol / 10, err_msg=name)
    assert not np.array_equal(found["matrix"][0], found["matrix"][-1])


def test_adam_takes_its_exact_first_step_in_float32():
    w = gf.variable("w", initializer=[1.0, -2.0, 3.0])
    runner = Runner(gf.train.Adam(0.5, epsilon=0).minimize(gf.sum(w * w)))
    runner.step()
    np.testing.assert_array_equal(runner.values[w], np.float32([0.5, -1.5, 2.5]))


def test_adam_in_float16_survives_tiny_gradients():
    w = gf.variable("w", initializer=np.ones(3, np.float16))
    slope = gf.placeholder("slope", (3,), gf.float16)
    runner = Runner(gf.train.Adam(0.125).apply([(slope, w)]))
    runner.step({slope: np.float16([0, 1e-6, -1e-6])})
    np.testing.assert_allclose(runner.values[w], [1.0, 0.875, 1.125], rtol=3e-3)


def test_a_zero_gradient_changes_nothing_and_makes_no_nan():
    for make in (gf.train.Adam, gf.train.RMSProp, gf.train.Lamb, gf.train.Adafactor):
        with gf.Graph():
            w = gf.variable("w", initializer=np.zeros((3, 2), np.float32))
            runner = Runner(make(0.1, clip_norm=1.0).apply([(gf.constant(np.zeros((3, 2), np.float32)), w)]))
            for _ in range(3):
                runner.step()
            np.testing.assert_array_equal(runner.values[w], np.zeros((3, 2)), err_msg=make.__name__)


def test_an_empty_variable_is_no_trouble():
    w = gf.variable("w", initializer=np.zeros((0, 2), np.float32))
    runner = Runner(gf.train.Adam(0.1).minimize(gf.sum(w * w)))
    runner.step()
    assert runner.values[w].shape == (0, 2)


def test_adafactor_keeps_rows_and_columns_of_large_matrices_only():
    shapes = {"large": (8, 5, 6), "small": (3, 6), "vector": (9,)}
    variables = [gf.variable(name, shape) for name, shape in shapes.items()]
    loss = gf.sum(variables[0]) + gf.sum(variables[1]) + gf.sum(variables[2])
    update = gf.train.Adafactor(min_size_to_factor=5).minimize(loss)
    made = {v.node.name.removeprefix("adafactor/"): v.shape for v in update.variables[3:]}
    assert made == {
        "large/row_mean": (8, 5),
        "large/column_mean": (8, 6),
        "small/second_moment": (3, 6),
        "vector/second_moment": (9,),
        "step": (),
    }


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: gf.train.SGD(-0.1), "the learning rate is -0.1"),
        (lambda: gf.train.SGD(float("nan")), "the learning rate is nan"),
        (lambda: gf.train.SGD("fast"), "the learning rate is 'fast'"),
        (lambda: gf.train.SGD(None), "the learning rate is None"),
        (
            lambda: gf.train.SGD(gf.constant([0.1])),
            r"is float32\[1\], but it has to be",
        ),
        (lambda: gf.train.SGD(gf.constant(1)), r"is int32\[\], but"),
        (lambda: gf.train.SGD(0.1, momentum=1.0), r"momentum is 1.0"),
        (lambda: gf.train.SGD(0.1, clip_norm=0), "clip_norm is 0"),
        (lambda: gf.train.Adam(beta1=1.0), r"beta1 is 1.0"),
        (lambda: gf.train.Adam(beta2=-0.1), "beta2 is -0.1"),
        (lambda: gf.train.Adam(epsilon=True), "epsilon is True"),
        (lambda: gf.train.AdamW(weight_decay=-1), "weight_decay is -1"),
        (lambda: gf.train.RMSProp(decay=2), "decay is 2"),
        (lambda: gf.train.Adafactor(min_size_to_factor=2.5), "min_size_to_factor is 2.5"),
    ],
)
def test_settings_that_make_no_sense(make, words):
    with pytest.raises(GraphFlowError, match=words) as caught:
        make()
    assert caught.value.hint
