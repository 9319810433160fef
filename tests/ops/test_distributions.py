"""Distributions whose parameters are tensors: what is drawn, its gradients, shapes and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, GradientError, GraphFlowError, ShapeError

COUNT = 20_000


@pytest.fixture(params=["numpy", "jax"])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a backend."""
    return request.param


def _run(fetches: Any, feeds: Any = None, backend: str = "numpy", seed: int = 17) -> Any:
    with gf.Session(backend=backend, seed=seed) as sess:
        return sess.run(fetches, feeds)


def test_continuous_distributions(backend: str) -> None:
    shape = (COUNT,)
    made = [
        gf.random.gamma(2.5, 4.0, shape), gf.random.gamma(0.2, shape=shape), gf.random.beta(0.5, 0.5, shape),
        gf.random.beta(2, 5, shape), gf.random.laplace(shape, 1.0, 0.5),
        gf.random.laplace(shape, dtype="float64"),
    ]  # fmt: skip
    expected = [
        scipy.stats.gamma(2.5, scale=0.25), scipy.stats.gamma(0.2), scipy.stats.beta(0.5, 0.5),
        scipy.stats.beta(2, 5), scipy.stats.laplace(1, 0.5), scipy.stats.laplace(),
    ]  # fmt: skip
    for value, distribution in zip(_run(made, backend=backend), expected, strict=True):
        assert np.isfinite(value).all()
        assert scipy.stats.kstest(value.astype(np.float64), distribution.cdf).pvalue > 1e-3, distribution


def test_each_number_has_its_own_parameters(backend: str) -> None:
    a = np.array([0.5, 3.0, 50.0], np.float32)
    made = [
        gf.random.gamma(a, [1.0, 2.0, 10.0], (COUNT, 3)), gf.random.poisson(a, (COUNT, 3)),
        gf.random.binomial([1, 10, 200], [0.5, 0.3, 0.25], (COUNT, 3)),
    ]  # fmt: skip
    gamma, poisson, binomial = _run(made, backend=backend)
    np.testing.assert_allclose(gamma.mean(0), a / [1, 2, 10], rtol=0.04)
    np.testing.assert_allclose(poisson.mean(0), a, rtol=0.04)
    np.testing.assert_allclose(poisson.var(0), a, rtol=0.06)
    np.testing.assert_allclose(binomial.mean(0), [0.5, 3, 50], rtol=0.04)
    assert poisson.dtype == binomial.dtype == np.int32


def test_dirichlet(backend: str) -> None:
    a = np.array([0.01, 0.5, 2.0, 7.0], np.float32)
    drawn = _run(gf.random.dirichlet(a, (COUNT, 4)), backend=backend)
    np.testing.assert_allclose(drawn.sum(-1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(drawn.mean(0), a / a.sum(), atol=0.01)
    for place in (1, 3):
        marginal = scipy.stats.beta(float(a[place]), float(a.sum() - a[place]))
        assert scipy.stats.kstest(drawn[:, place].astype(np.float64), marginal.cdf).pvalue > 1e-3


def test_small_concentrations_neither_underflow_nor_give_nan(backend: str) -> None:
    made = [gf.random.beta(1e-3, 1e-3, (COUNT,)), gf.random.dirichlet([1e-4, 1e-4], (COUNT, 2))]
    beta, dirichlet = _run(made, backend=backend)
    assert np.isfinite(beta).all() and np.isfinite(dirichlet).all()
    assert abs(beta.mean() - 0.5) < 0.02 and abs(dirichlet[:, 0].mean() - 0.5) < 0.02


def test_laplace_is_symmetric_and_finite_at_the_ends_of_its_words() -> None:
    drawn = _run(gf.random.laplace((COUNT,), dtype="float16"))
    assert np.isfinite(drawn).all() and abs(int((drawn > 0).sum()) - COUNT // 2) < 5 * np.sqrt(COUNT / 4)
    assert (drawn != 0).all()


def test_multinomial(backend: str) -> None:
    probabilities = np.array([[0.5, 0.2, 0.3, 0.0], [0.25] * 4], np.float32)
    with np.errstate(divide="ignore"):
        logits = gf.constant(np.log(probabilities) + 3.0)
    drawn = _run(gf.random.multinomial(logits, COUNT, dtype=gf.int32), backend=backend)
    assert drawn.shape == (2, COUNT) and drawn.dtype == np.int32
    for row, chances in zip(drawn, probabilities):
        counts = np.bincount(row, minlength=4)
        assert not counts[chances == 0].any()
        assert scipy.stats.chisquare(counts[chances > 0], chances[chances > 0] * COUNT).pvalue > 1e-3


# Gradients


def test_gradient_of_gamma_is_that_of_its_quantiles(backend: str) -> None:
    a = gf.placeholder("a", (200,), dtype=gf.float64)
    rate = gf.placeholder("rate", (), dtype=gf.float64)
    drawn = gf.random.gamma(a, rate)
    slopes = gf.gradients(drawn, [a, rate])
    point = np.geomspace(0.3, 300, 200)
    value, by_a, by_rate = _run([drawn, *slopes], {a: point, rate: 2.0}, backend)
    chance = scipy.special.gammainc(point, 2 * value)
    ends = [scipy.special.gammaincinv(point * (1 + width), chance) for width in (1e-5, -1e-5)]
    np.testing.assert_allclose(by_a, (ends[0] - ends[1]) / (2e-5 * point) / 2, rtol=2e-5)
    np.testing.assert_allclose(by_rate, -(value / 2).sum(), rtol=1e-9)


def test_gradients_estimate_those_of_expectations() -> None:
    """d E[ln x] / da of gamma, and d E[x] / da of beta and Dirichlet, at small concentrations too."""
    for a0 in (0.05, 2.0):
        a = gf.placeholder(f"a_{a0}", (), dtype=gf.float64)
        spread = gf.broadcast_to(a, (COUNT,))
        logarithm = gf.mean(gf.log(gf.random.gamma(spread)))
        beta = gf.mean(gf.random.beta(spread, 3.0))
        rows = gf.stack([spread, gf.ones_like(spread)], axis=1)
        dirichlet = gf.mean(gf.random.dirichlet(rows)[:, 0])
        of_log, of_beta, of_dirichlet = _run(
            [gf.gradients(y, [a])[0] for y in (logarithm, beta, dirichlet)], {a: a0}
        )
        assert of_log == pytest.approx(scipy.special.polygamma(1, a0), rel=0.06)
        assert of_beta == pytest.approx(3 / (a0 + 3) ** 2, rel=0.06)
        assert of_dirichlet == pytest.approx(1 / (a0 + 1) ** 2, rel=0.06)


def test_gradient_of_a_gamma_number_that_is_zero() -> None:
    a = gf.placeholder("a", (500,))
    drawn = gf.random.gamma(a)
    value, slope = _run([drawn, gf.gradients(drawn, [a])[0]], {a: np.full(500, 1e-3)})
    assert (value == 0).sum() > 100 and np.isfinite(slope).all() and not slope[value == 0].any()


def test_gradients_that_there_are_not() -> None:
    rate = gf.placeholder("rate", (3,))
    (zero,) = gf.gradients(gf.random.poisson(rate, dtype=gf.float32), [rate])
    assert not _run(zero).any()
    with pytest.raises(GradientError, match="counts jump"):
        gf.gradients(gf.random.poisson(rate, dtype=gf.float32), [rate], unconnected="raise")
    (slope,) = gf.gradients(gf.random.gamma(rate), [rate])
    with pytest.raises(GradientError, match="second derivatives"):
        gf.gradients(slope, [rate])


# Shapes and dtypes


def test_symbolic_shapes(backend: str) -> None:
    a = gf.placeholder("a", ("batch", 1))
    made = [
        gf.random.gamma(a, shape=("batch", 4)), gf.random.poisson(a), gf.random.binomial(9, a, ("batch", 2)),
        gf.random.dirichlet(gf.broadcast_to(a, ("batch", 3))), gf.random.multinomial(a, gf.Dim("batch")),
    ]  # fmt: skip
    values = _run(made, {a: np.full((5, 1), 0.5)}, backend)
    assert [value.shape for value in values] == [(5, 4), (5, 1), (5, 2), (5, 3), (5, 5)]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtypes(dtype: str, backend: str) -> None:
    a = gf.constant(np.full((50,), 2.0), dtype=dtype)
    made = [
        gf.random.gamma(a),
        gf.random.beta(a, a),
        gf.random.dirichlet(a),
        gf.random.laplace((3,), dtype=dtype),
    ]
    for tensor, value in zip(made, _run(made, backend=backend)):
        assert tensor.dtype.name == dtype and value.dtype == gf.as_dtype(dtype).numpy
        assert np.isfinite(value.astype(np.float64)).all()
    counts = _run(gf.random.poisson(a, dtype="int8"), backend=backend)
    assert counts.dtype == np.int8 and 0 <= counts.min() <= counts.max() < 15


def test_whole_numbers_are_parameters_and_counts_saturate(backend: str) -> None:
    made = [
        gf.random.gamma(3),
        gf.random.poisson(gf.constant([1000]), dtype="int8"),
        gf.random.binomial(0, 0.5),
    ]
    assert made[0].dtype is gf.float32
    assert _run(made, backend=backend)[1:] == [np.int8([127]), np.int32(0)]


def test_wrong_parameters_in_tensors_show(backend: str) -> None:
    a = gf.placeholder("a", (3,))
    made = [gf.random.gamma(a), gf.random.poisson(a), gf.random.binomial(a, 0.5)]
    gamma, poisson, binomial = _run(made, {a: [-1.0, np.nan, 0.0]}, backend)
    np.testing.assert_array_equal(gamma, [np.nan, np.nan, 0])
    assert poisson.tolist() == binomial.tolist() == [-1, -1, 0]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: gf.random.gamma(-1.0), AttributeValueError),
        (lambda: gf.random.gamma(1.0, float("nan")), AttributeValueError),
        (lambda: gf.random.gamma([1.0, 2.0], shape=(3,)), ShapeError),
        (lambda: gf.random.gamma([1.0, 2.0], shape=()), ShapeError),
        (lambda: gf.random.gamma(1j), DTypeError),
        (lambda: gf.random.beta(1.0, -2.0), AttributeValueError),
        (lambda: gf.random.beta([1.0, 2.0], [1.0, 2.0, 3.0]), ShapeError),
        (lambda: gf.random.dirichlet(1.0), ShapeError),
        (lambda: gf.random.poisson(-0.5), AttributeValueError),
        (lambda: gf.random.poisson(1.0, dtype="uint8"), DTypeError),
        (lambda: gf.random.poisson(1.0, dtype="bool"), DTypeError),
        (lambda: gf.random.binomial(3, 1.5), AttributeValueError),
        (lambda: gf.random.binomial(-3, 0.5), AttributeValueError),
        (lambda: gf.random.binomial(3, [0.1, 0.2], (3,)), ShapeError),
        (lambda: gf.random.laplace((2,), scale=-1.0), AttributeValueError),
        (lambda: gf.random.laplace((2,), dtype="int32"), DTypeError),
        (lambda: gf.random.multinomial(gf.constant(1.0), 3), ShapeError),
        (lambda: gf.random.multinomial(gf.constant([1.0]), -3), ShapeError),
        (lambda: gf.random.multinomial(gf.constant([1.0]), 3, dtype="float32"), DTypeError),
    ],
)
def test_bad_arguments_are_refused(make: Any, error: type) -> None:
    with pytest.raises(error) as caught:
        make()
    assert isinstance(caught.value, GraphFlowError)
    assert "test_distributions.py" in str(caught.value) and "try: " in str(caught.value)
