"""Curves with fewer points: what has to stay stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.board.store.thinning import METHODS, kept_points
from graphflow.errors import AttributeValueError

NUMBERS = st.floats(width=32) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0])


@settings(max_examples=60, deadline=None)
@given(st.lists(NUMBERS, max_size=120), st.integers(2, 40), st.sampled_from(METHODS))
def test_ascending_and_few_enough(values, most, method):
    array = np.array(values)
    kept = kept_points(np.arange(array.size), array, most, method)
    assert kept.size == array.size if array.size <= most else 2 <= kept.size <= most
    assert (np.diff(kept) > 0).all() and (not kept.size or 0 <= kept[0] <= kept[-1] < array.size)
    if method != "last" and array.size:
        assert kept[0] == 0 and kept[-1] == array.size - 1


def test_peaks_stay(rng):
    values = rng.standard_normal(10_000)
    values[[123, 4567]] = 50, -50
    kept = kept_points(np.arange(values.size), values, 100)
    assert {0, 123, 4567, 9999} <= set(kept.tolist()) and kept.size <= 100


def test_nan_and_infinity_stay_in_sight(rng):
    values = rng.standard_normal(10_000)
    values[777], values[888:1500], values[5000] = np.nan, np.inf, -np.inf
    kept = set(kept_points(np.arange(values.size), values, 300).tolist())
    assert {777, 5000} <= kept and any(888 <= one < 1500 for one in kept)


def test_triangles_follow_a_curve():
    steps = np.arange(0, 10_000)
    values = np.where(steps < 5000, 0.0, 1.0)
    kept = kept_points(steps, values, 50, "lttb")
    around = np.interp(steps, steps[kept], values[kept])
    assert np.abs(around - values).mean() < 0.02


@pytest.mark.parametrize(("most", "method"), [(1, "minmax"), (5, "median")])
def test_what_cannot_be_asked_for(most, method):
    with pytest.raises(AttributeValueError) as caught:
        kept_points(np.arange(9), np.zeros(9), most, method)
    assert caught.value.hint
