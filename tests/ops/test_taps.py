"""The places that resampling reads: their transposes, their number, and what lies outside."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.ops.taps import COORDINATES, CROPPED, MODES, Kernel, Taps, integer_limits, taps


def _kernel(mode: str, coordinates: str, **others: object) -> Kernel:
    plain = {"nearest_mode": "floor", "cubic_coeff_a": -0.75, "exclude_outside": False, "antialias": False}
    return Kernel(mode=mode, coordinates=coordinates, **{**plain, **others})


def _matrix(one: Taps, length: int) -> np.ndarray:
    size, count = one.indices.shape
    weights = np.ones((size, count)) if one.weights is None else one.weights
    if one.outside is not None:
        weights = np.where(one.outside[:, None], 0, weights)
    made = np.zeros((size, length))
    np.add.at(made, (np.arange(size)[:, None], one.indices), weights)
    return made


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize(("length", "size"), [(5, 9), (9, 4), (1, 3), (6, 1), (7, 7), (4, 0)])
def test_the_transpose_is_the_transposed_matrix(mode: str, coordinates: str, length: int, size: int) -> None:
    region = (-0.2, 1.1) if coordinates == CROPPED else None
    found = taps(length, size, None, region, _kernel(mode, coordinates))
    turned = found.transposed(length)
    assert turned.indices.shape[0] == length
    np.testing.assert_allclose(_matrix(turned, size), _matrix(found, length).T, atol=1e-15)


def test_weights_add_up_to_one() -> None:
    for mode in ("linear", "cubic"):
        for antialias in (False, True):
            for exclude in (False, True):
                kernel = _kernel(mode, "half_pixel", antialias=antialias, exclude_outside=exclude)
                for sizes in ((5, 9), (9, 4), (30, 7)):
                    weights = taps(*sizes, None, None, kernel).weights
                    assert weights is not None
                    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-12)


def test_a_tap_without_weight_reads_what_the_others_read() -> None:
    found = taps(3, 5, None, None, _kernel("linear", "align_corners"))
    assert found.indices.tolist() == [[0, 0], [0, 1], [1, 1], [1, 2], [2, 2]]


def test_an_antialiasing_kernel_covers_all_places() -> None:
    found = taps(64, 4, None, None, _kernel("linear", "half_pixel", antialias=True))
    assert (np.abs(_matrix(found, 64)).sum(0) > 0).all()
    assert found.indices.shape[1] == 32
    plain = taps(64, 4, None, None, _kernel("linear", "half_pixel"))
    assert plain.indices.shape[1] == 2


def test_outside_is_named_only_where_something_is() -> None:
    kernel = _kernel("nearest", CROPPED)
    assert taps(5, 3, None, (0.0, 1.0), kernel).outside is None
    outside = taps(5, 3, None, (-0.5, 1.0), kernel).outside
    assert outside is not None and outside.tolist() == [True, False, False]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_integer_limits_are_held_by_the_dtype(dtype: str) -> None:
    low, high = integer_limits(np.dtype(dtype))
    info = np.iinfo(dtype)
    assert int(low) == info.min and info.max - 2048 < int(high) <= info.max
