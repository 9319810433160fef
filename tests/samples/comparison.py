"""Samples of comparison, logic and choice."""

from __future__ import annotations

import numpy as np

from tests.samples import sample
from tests.samples.elementwise import BF16, F16, INTS, PAIRS, _values

TRUTH = np.array([[True, True, False, False], [True, False, True, False]])

for _name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
    sample(_name, *PAIRS)
    sample(_name, np.round(_values((2, 3, 1), -2, 2)), np.round(_values((3, 4), -2, 2, 1)))
    sample(_name, INTS, INTS[::-1].copy())
    sample(_name, np.array([1, 2, 3], np.uint8), np.array([2], np.int8))
    sample(_name, np.zeros((2, 0)), np.zeros(()))
    sample(_name, *TRUTH)
    for _dtype in (F16, BF16):
        sample(_name, np.array([1.0, 2.0], _dtype), np.array([2.0, 2.0], _dtype))
sample("equal", np.array([1 + 1j, 2]), np.array([1 + 1j, 2j]))

for _name in ("logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor"):
    sample(_name, *TRUTH)
    sample(_name, TRUTH, np.array([[True], [False]]))
    sample(_name, np.zeros((0,), bool), np.array(True))
for _name in ("logical_not", "bitwise_invert"):
    sample(_name, TRUTH)
    sample(_name, np.zeros((2, 0), bool))

for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    sample(_name, INTS, np.array([12], np.int32))
    sample(_name, np.array([200, 3], np.uint8), np.array([[7], [255]], np.uint8))
    sample(_name, INTS, np.array([12, 1, 2, 3, 4, -5]))
sample("bitwise_invert", INTS)
sample("bitwise_invert", np.array([200, 3], np.uint8))

PLACES = np.array([0, 1, 31, 32, 100, -1], np.int32)
for _name in ("bitwise_left_shift", "bitwise_right_shift"):
    sample(_name, INTS, PLACES)
    sample(_name, np.array([[200], [3]], np.uint8), np.array([0, 1, 7, 8, 9], np.uint8))
    sample(_name, np.array([-5, 5]), np.array([62, 63]))

sample("where", TRUTH, _values((2, 4), -2, 2), _values((2, 4), -2, 2, 1))
sample("where", TRUTH[0], _values((3, 4), -2, 2), _values((3, 1), -2, 2, 1))
sample("where", np.array(True), _values((2, 1), -2, 2), _values((), -2, 2, 1))
sample("where", TRUTH[0], np.array([np.nan, np.inf, -0.0, 1.0]), np.array(-np.inf), gradient=False)
sample("where", TRUTH, np.array(3), np.array([1, 2, 3, 4], np.int8))
sample("where", TRUTH, np.array(1.5, F16), np.arange(4).astype(BF16), gradient=False)
sample("where", np.zeros((0, 1), bool), np.zeros((1,)), np.ones((3,)))
