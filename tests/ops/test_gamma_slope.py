"""The slope of gamma numbers: against quantiles from scipy, jax's function, and at the borders."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import scipy.special

from graphflow.ops.gamma_slope import digamma, log_gamma_slope

CHANCES = np.array([1e-4, 0.01, 0.2, 0.5, 0.8, 0.99, 0.9999])


@pytest.mark.parametrize("a", [0.05, 0.3, 1.0, 2.5, 10.0, 30.0, 1e3, 1e5])
def test_quantiles_move_as_it_says(a: float) -> None:
    width = 1e-4 * a
    ends = [np.log(scipy.special.gammaincinv(a + sign * width, CHANCES)) for sign in (1, -1)]
    made = log_gamma_slope(np.array(a), np.log(scipy.special.gammaincinv(a, CHANCES)))
    np.testing.assert_allclose(made, (ends[0] - ends[1]) / (2 * width), rtol=1e-7)


def test_it_equals_the_function_of_jax(rng: np.random.Generator) -> None:
    a = np.exp(rng.uniform(np.log(0.02), np.log(300), 400))
    x = rng.gamma(a)
    a, x = a[x > 1e-200], x[x > 1e-200]
    with jax.enable_x64(True):
        expected = np.asarray(jax.lax.random_gamma_grad(a, x)) / x
    np.testing.assert_allclose(log_gamma_slope(a, np.log(x)), expected, rtol=1e-10)


def test_numbers_too_small_for_a_float() -> None:
    """x = (u a Gamma(a))^(1/a) for x near 0, so a d ln x / d a = -ln x + a digamma(a) + 1 over a."""
    a, log_x = np.array([1e-3, 1e-4]), np.array([-2000.0, -1e5])
    expected = (scipy.special.digamma(a + 1) - log_x) / a
    np.testing.assert_allclose(log_gamma_slope(a, log_x), expected, rtol=1e-12)


def test_awkward_arguments() -> None:
    wrong = np.array([0.0, -1.0, np.nan, np.inf])
    assert np.isnan(log_gamma_slope(wrong, np.zeros(4))).all()
    assert np.isnan(log_gamma_slope(np.ones(3), np.array([np.nan, np.inf, -np.inf]))).all()
    assert log_gamma_slope(np.zeros((0, 2)), np.zeros(2)).shape == (0, 2)
    assert log_gamma_slope(np.array(2.0), np.array(0.5)).shape == ()


def test_digamma() -> None:
    x = np.geomspace(1e-6, 1e8, 200)
    np.testing.assert_allclose(digamma(x), scipy.special.digamma(x), rtol=1e-13, atol=1e-13)
