"""Samplers that draw again: both targets accept the same numbers, and the distributions are scipy's."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
import scipy.special
import scipy.stats

from graphflow.ops import rejection
from graphflow.runtime.jax.lower_random import _TARGET

KEY = np.array([3, 5], np.uint32)
COUNT = 20_000
KINDS = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def quiet() -> Any:
    with np.errstate(all="ignore"):
        yield


def _both(sampler: Any, *parameters: np.ndarray, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    ours = sampler(rejection.NUMPY, KEY, *parameters, **options)
    with jax.enable_x64(True):
        compiled = jax.jit(lambda *arrays: sampler(_TARGET, *arrays, **options))
        return ours, np.asarray(compiled(KEY, *parameters))


def _agree(ours: np.ndarray, other: np.ndarray, rtol: float) -> None:
    """All but one in a thousand are equal; where rounding decided otherwise, another number was drawn."""
    assert ours.dtype == other.dtype and ours.shape == other.shape
    same = np.isclose(ours, other, rtol=rtol, atol=0, equal_nan=True)
    assert same.mean() >= 0.999, f"{same.mean():.5f} agree"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("log", [False, True])
def test_targets_accept_the_same_gamma_numbers(kind: type, log: bool) -> None:
    a = np.geomspace(0.05, 1e5, COUNT).astype(kind)
    _agree(*_both(rejection.gamma, a, log=log), rtol=2e-4 if kind is np.float32 else 1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_targets_accept_the_same_counts(kind: type) -> None:
    rate = np.geomspace(0.01, 1e6, COUNT).astype(kind)
    _agree(*_both(rejection.poisson, rate), rtol=0)
    n, p = np.floor(np.geomspace(1, 1e5, COUNT)).astype(kind), np.linspace(0, 1, COUNT).astype(kind)
    _agree(*_both(rejection.binomial, n, p), rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("a", [0.05, 0.3, 0.999, 1.0, 2.5, 30.0, 1e4, 1e6])
def test_gamma_distribution(a: float, kind: type) -> None:
    drawn = rejection.gamma(rejection.NUMPY, KEY, np.full(COUNT, a, kind), False)
    assert scipy.stats.kstest(drawn.astype(np.float64), scipy.stats.gamma(a).cdf).pvalue > 1e-3
    assert drawn.mean(dtype=np.float64) == pytest.approx(a, abs=5 * np.sqrt(a / COUNT))
    logarithm = rejection.gamma(rejection.NUMPY, KEY, np.full(COUNT, a, kind), True)
    seen = drawn > 1e-30
    np.testing.assert_allclose(np.log(drawn[seen]), logarithm[seen], rtol=1e-5, atol=1e-5)


def test_logarithms_do_not_underflow() -> None:
    drawn = rejection.gamma(rejection.NUMPY, KEY, np.full(COUNT, 1e-4, np.float32), True)
    assert np.isfinite(drawn).all()
    assert (
        scipy.stats.kstest(np.exp(1e-4 * drawn.astype(np.float64)), scipy.stats.uniform().cdf).pvalue > 1e-3
    )


def _counts_fit(drawn: np.ndarray, distribution: Any) -> None:
    assert np.array_equal(drawn, np.floor(drawn))
    values = np.unique(distribution.ppf(np.linspace(0, 1, 25)[1:-1]))
    edges = np.concatenate([[-1], values[values < distribution.support()[1]], [1e18]])
    expected = np.diff(distribution.cdf(edges)) * drawn.size
    observed = np.histogram(drawn, edges + 0.5)[0]
    assert scipy.stats.chisquare(observed, expected).pvalue > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [0.1, 3.0, 9.99, 10.0, 10.5, 40.0, 1e3, 1e6])
def test_poisson_distribution(rate: float, kind: type) -> None:
    drawn = rejection.poisson(rejection.NUMPY, KEY, np.full(COUNT, rate, kind))
    _counts_fit(drawn, scipy.stats.poisson(float(kind(rate))))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("n", "p"),
    [(1, 0.5), (10, 0.3), (5, 0.9), (1000, 0.005), (25, 0.5), (100, 0.5), (1000, 0.99), (1e6, 0.4)],
)
def test_binomial_distribution(n: float, p: float, kind: type) -> None:
    drawn = rejection.binomial(rejection.NUMPY, KEY, np.full(COUNT, n, kind), np.full(COUNT, p, kind))
    assert drawn.min() >= 0 and drawn.max() <= n
    _counts_fit(drawn, scipy.stats.binom(int(n), float(kind(p))))


def test_ends_of_the_parameters() -> None:
    awkward = np.array([0.0, -0.0, -1.0, np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(
        rejection.gamma(rejection.NUMPY, KEY, awkward, False), [0, 0, np.nan, np.nan, np.inf, np.nan]
    )
    np.testing.assert_array_equal(
        rejection.gamma(rejection.NUMPY, KEY, awkward, True),
        [-np.inf, -np.inf, np.nan, np.nan, np.inf, np.nan],
    )
    np.testing.assert_array_equal(
        rejection.poisson(rejection.NUMPY, KEY, awkward), [0, 0, -1, -1, np.inf, -1]
    )
    half = np.array(0.5)
    np.testing.assert_array_equal(
        rejection.binomial(rejection.NUMPY, KEY, awkward, half), [0, 0, -1, -1, -1, -1]
    )
    chances = np.array([0.0, 1.0, 1.5, -0.5, np.nan])
    np.testing.assert_array_equal(
        rejection.binomial(rejection.NUMPY, KEY, np.array(30.0), chances), [0, 30, -1, -1, -1]
    )


def test_empty_and_single_elements() -> None:
    for kind in KINDS:
        empty, one = np.zeros((0, 2), kind), np.array(2.5, kind)
        assert rejection.gamma(rejection.NUMPY, KEY, empty, False).shape == (0, 2)
        assert rejection.poisson(rejection.NUMPY, KEY, empty).shape == (0, 2)
        assert rejection.gamma(rejection.NUMPY, KEY, one, False).shape == ()
        assert rejection.poisson(rejection.NUMPY, KEY, one).dtype == kind


def test_the_rounds_are_enough() -> None:
    """No element of the worst cases is left over after a quarter of the rounds that are allowed."""
    longest = 0

    def counting(step: Any, state: tuple) -> tuple:
        nonlocal longest
        number = 0
        while state[0].any():
            state = step(number, *state)
            number += 1
        longest = max(longest, number)
        return state

    target = rejection.NUMPY._replace(repeat=counting)
    rejection.gamma(target, KEY, np.full(200_000, 1.0), False)
    rejection.poisson(target, KEY, np.full(200_000, 10.0))
    rejection.binomial(target, KEY, np.full(200_000, 20.0), np.full(200_000, 0.5))
    assert longest <= 16
    rejection.poisson(target, KEY, np.full(200_000, 9.999))
    assert longest <= 32  # by counting: as many rounds as the largest count, and one


def test_the_parts_of_the_chances() -> None:
    k = np.concatenate([np.arange(30.0), [1e3, 1e6]])
    expected = scipy.special.gammaln(k + 1) - (scipy.special.xlogy(k, k) - k)
    np.testing.assert_allclose(rejection._excess(np, k), expected, atol=1e-9)
    mean = np.array([[0.5], [10.0], [900.0]])
    exact = scipy.special.xlogy(k, k / mean) - k + mean
    np.testing.assert_allclose(rejection._deviance(np, k, mean), exact, rtol=1e-9, atol=1e-9)
    n, p = np.float64(60.0), 0.37
    places = np.arange(61.0)
    np.testing.assert_allclose(
        rejection._binomial_chance(np, places, n, p), scipy.stats.binom.logpmf(places, 60, p), atol=1e-9
    )
