"""The error function against the C library's and SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special

from graphflow.ops.special import erf, erfc

POINTS = np.concatenate(
    [
        np.linspace(-30, 30, 20001),
        np.random.default_rng(0).normal(size=5000),
        np.nextafter([0.84375, 1.25, 1 / 0.35, 28.0], 0),
        [0.84375, 1.25, 1 / 0.35, 28.0, 6.0, 1e-300, 5e-324, 1e300],
    ]
)


@pytest.mark.parametrize(("ours", "theirs", "most"), [(erf, math.erf, 1), (erfc, math.erfc, 4)])
def test_within_units_in_the_last_place(ours, theirs, most):
    expected = np.array([theirs(x) for x in POINTS])
    counted = np.abs(expected) > 1e-300
    units = np.abs(ours(POINTS) - expected) / np.spacing(np.abs(expected))
    assert units[counted].max() <= most
    assert np.abs(ours(POINTS) - expected)[~counted].max() < 1e-300


def test_agrees_with_scipy():
    np.testing.assert_allclose(erf(POINTS), scipy.special.erf(POINTS), rtol=1e-15)
    np.testing.assert_allclose(erfc(POINTS), scipy.special.erfc(POINTS), rtol=1e-12, atol=1e-300)


def test_special_values():
    with np.errstate(all="ignore"):
        values = erf(np.array([np.inf, -np.inf, np.nan, 0.0, -0.0]))
        complements = erfc(np.array([np.inf, -np.inf, np.nan, 0.0]))
    np.testing.assert_array_equal(values, [1, -1, np.nan, 0, 0])
    assert np.signbit(values[4]) and not np.signbit(values[3])
    np.testing.assert_array_equal(complements, [0, 2, np.nan, 1])


@pytest.mark.parametrize("function", [erf, erfc])
def test_keeps_dtype_and_shape(function):
    for dtype in (np.float16, np.float32, np.float64):
        for shape in ((), (0,), (2, 0, 3), (2, 3), (1,)):
            result = function(np.full(shape, 0.5, dtype))
            assert result.dtype == dtype and result.shape == shape
    turned = np.linspace(-3, 3, 6).reshape(2, 3).T
    np.testing.assert_array_equal(function(turned), function(np.ascontiguousarray(turned)))
