"""Resampling on the chip: exact where elements are copied, close where they are weighted."""

from __future__ import annotations

import pytest

import graphflow as gf
from tests.runtime.bm1684.compiler.legalize.comparing import assert_close, assert_same


@pytest.mark.parametrize("sizes", [(7, 9), (3, 4), (10, 18)])
def test_nearest(sizes):
    assert_same(lambda x: gf.nn.resize(x, sizes=sizes, axes=(2, 3), mode="nearest"), (1, 3, 5, 6))


@pytest.mark.parametrize("channels", (1, 63, 65, 130))
def test_twice_as_large_and_linear(channels):
    assert_close(lambda x: gf.nn.upsample(x, 2, mode="linear"), (1, channels, 4, 5))


@pytest.mark.parametrize("mode", ("linear", "cubic"))
@pytest.mark.parametrize("coordinates", ("half_pixel", "align_corners"))
def test_other_sizes_and_batches(mode, coordinates):
    def build(x):
        return gf.nn.resize(x, sizes=(9, 4), axes=(2, 3), mode=mode, coordinates=coordinates)

    assert_close(build, (3, 3, 5, 6))
