"""Transposed convolutions on the chip against the reference."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from tests.runtime.bm1684.compiler.legalize.comparing import assert_close


def draw(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


@pytest.mark.parametrize(
    "weights,options",
    [
        ((6, 7, 3, 3), {"strides": 2, "padding": 1}),
        ((6, 2, 4, 3), {"strides": (3, 2), "groups": 3}),
        ((6, 4, 3, 3), {"strides": 2, "dilation": 2, "output_padding": 1}),
        ((6, 65, 2, 2), {"strides": 2}),
        ((6, 1, 1, 5), {}),
    ],
)
def test_two_axes(weights, options):
    assert_close(lambda x: gf.nn.conv_transpose(x, draw(*weights), **options), (3, 6, 4, 5))


def test_one_axis():
    assert_close(lambda x: gf.nn.conv_transpose(x, draw(6, 4, 3), strides=2), (2, 6, 5))


def test_groups_of_convolutions_are_taken_together():
    assert_close(lambda x: gf.nn.conv(x, draw(32, 4, 3, 3), padding=1, groups=8), (2, 32, 7, 9))
