"""Which arrays are copies of one value, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.optimizer.analysis.constants import common_value


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (np.ones((2, 3), "f4"), np.float32(1)),
        (np.array(5), np.int64(5)),
        (np.zeros(4, bool), np.False_),
        (np.full(3, -0.0), np.float64(-0.0)),
        (np.broadcast_to(np.float32(2), (3, 3)), np.float32(2)),
    ],
)
def test_copies_of_one_value(array: np.ndarray, value: np.generic) -> None:
    found = common_value(array)
    assert found.dtype == value.dtype and found.tobytes() == value.tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.array([1.0, 2.0]),
        np.array([0.0, -0.0]),
        np.array([1, 2, 1]),
        np.zeros((0, 3)),
        np.array([True, False]),
    ],
)
def test_other_arrays(array: np.ndarray) -> None:
    assert common_value(array) is None


def test_nan_is_told_by_its_bits() -> None:
    assert np.isnan(common_value(np.array([np.nan, np.nan])))
    assert common_value(np.array([np.nan, -np.nan])) is None
