"""Schedules against optax's and against their formulas, at many steps."""

from __future__ import annotations

import numpy as np
import optax
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError
from graphflow.ir.interpret import evaluate
from graphflow.train import schedules

STEPS = np.array([0, 1, 2, 3, 9, 10, 11, 49, 50, 51, 99, 100, 101, 149, 150, 151, 500, 10_000])

CASES = {
    "constant": (schedules.constant(0.1), optax.constant_schedule(0.1)),
    "step": (
        schedules.step(0.1, [10, 100], 0.5),
        lambda t: 0.1 * 0.5 ** (int(t >= 10) + int(t >= 100)),
    ),
    "step without boundaries": (schedules.step(0.1, []), optax.constant_schedule(0.1)),
    "exponential": (schedules.exponential(0.1, 50, 0.9), optax.exponential_decay(0.1, 50, 0.9)),
    "staircase": (
        schedules.exponential(0.1, 50, 0.9, staircase=True),
        optax.exponential_decay(0.1, 50, 0.9, staircase=True),
    ),
    "cosine": (schedules.cosine(0.1, 100), optax.cosine_decay_schedule(0.1, 100)),
    "cosine to a rest": (schedules.cosine(0.1, 100, 0.02), optax.cosine_decay_schedule(0.1, 100, 0.2)),
    "warm-up": (schedules.warm_up(10, 0.1), optax.linear_schedule(0.0, 0.1, 10)),
    "warm-up, then cosine": (
        schedules.warm_up(10, schedules.cosine(0.1, 100)),
        optax.warmup_cosine_decay_schedule(0.0, 0.1, 10, 110),
    ),
    "no warm-up": (schedules.warm_up(0, schedules.cosine(0.1, 100)), optax.cosine_decay_schedule(0.1, 100)),
    "joined": (
        schedules.join(
            [schedules.constant(0.3), schedules.cosine(0.1, 50), schedules.constant(0.01)], [10, 100]
        ),
        optax.join_schedules(
            [
                optax.constant_schedule(0.3),
                optax.cosine_decay_schedule(0.1, 50),
                optax.constant_schedule(0.01),
            ],
            [10, 100],
        ),
    ),
    "joined alone": (schedules.join([schedules.constant(0.3)], []), optax.constant_schedule(0.3)),
}


@pytest.mark.parametrize("case", CASES)
def test_rates_are_those_of_optax(case):
    schedule, oracle = CASES[case]
    done = gf.placeholder("done", ())
    rate = schedule(done)
    assert rate.type is done.type
    found = [evaluate([rate], {done: np.float32(step)})[0] for step in STEPS]
    expected = [float(oracle(step)) for step in STEPS]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_they_compute_in_the_dtype_they_are_given(case):
    done = gf.placeholder("done", (), gf.float64)
    assert CASES[case][0](done).type is done.type


def test_a_function_of_a_tensor_is_a_schedule():
    done = gf.placeholder("done", ())
    rate = schedules.warm_up(4, lambda t: 1.0 / (t + 1.0))(done)
    found = [float(evaluate([rate], {done: np.float32(step)})[0]) for step in (0, 2, 4, 5)]
    assert found == [0.0, 0.5, 1.0, 0.5]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: schedules.constant(-1), "the rate is -1"),
        (lambda: schedules.step(0.1, [10, 5]), "do not ascend"),
        (lambda: schedules.step(0.1, [0.5]), "the boundaries is 0.5"),
        (lambda: schedules.exponential(0.1, 0, 0.9), "decay_steps is 0"),
        (lambda: schedules.exponential(0.1, 10, 0.0), "the factor is 0.0"),
        (lambda: schedules.cosine(0.1, -5), "decay_steps is -5"),
        (lambda: schedules.cosine(0.1, 5, float("inf")), "the final rate is inf"),
        (lambda: schedules.warm_up(-1, 0.1), "steps is -1"),
        (lambda: schedules.warm_up(1, "fast"), "the rate is 'fast'"),
        (lambda: schedules.join([schedules.constant(1)], [3]), "1 schedules and 1 boundaries"),
        (lambda: schedules.join([], []), "0 schedules"),
    ],
)
def test_settings_that_make_no_sense(make, words):
    with pytest.raises(AttributeValueError, match=words):
        make()
