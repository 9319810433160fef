"""Samples of reductions and running sums."""

from __future__ import annotations

import numpy as np

from tests.samples import sample
from tests.samples.elementwise import BF16, F16, _values

CUBE = _values((2, 3, 4), -2, 2)
SPOILT = np.array([[1.0, np.nan, 2.0], [np.inf, 1.0, -0.0], [-np.inf, 3.0, 3.0]], np.float32)
TIES = np.array([[2.0, 1.0, 2.0, 0.5], [0.5, 0.5, 0.5, 0.5]])
COUNTS = np.array([[100, 2, -7], [100, 0, 3]], np.int8)

for _name in ("sum", "mean", "max", "min", "prod", "logsumexp"):
    sample(_name, CUBE, rtol=4e-6)
    sample(_name, CUBE, axis=1, rtol=4e-6, atol=1e-6)
    sample(_name, CUBE, axis=(0, -1), keepdims=True, rtol=4e-6, atol=1e-6)
    sample(_name, CUBE.astype(np.float64), axis=(), rtol=1e-12)
    sample(_name, _values((1, 3), -2, 2), axis=0)
    sample(_name, np.float32(2.5))
    sample(_name, SPOILT, axis=1, gradient=False)
    sample(_name, np.zeros((0, 3), np.float32), axis=1)
    sample(_name, COUNTS, axis=1, keepdims=True, rtol=1e-3)
    sample(_name, CUBE.astype(F16), axis=-1, rtol=4e-3, atol=4e-3, gradient=False)
    sample(_name, CUBE.astype(BF16), axis=-1, rtol=3e-2, atol=3e-2, gradient=False)
    sample(_name, np.array([True, False, True]), rtol=1e-3)

for _name in ("sum", "mean", "prod", "logsumexp"):
    sample(_name, np.zeros((3, 0), np.float32), axis=1, gradient=False)
for _name in ("sum", "prod"):
    sample(_name, COUNTS.astype(np.int32) * 10**8)
    sample(_name, np.array([250, 250], np.uint8))
    sample(_name, np.array([1 + 2j, -1j, 2.0]), gradient=False)
sample("sum", np.full(5000, 0.1, F16), rtol=1e-3, gradient=False)
sample("logsumexp", np.array([[1000.0, 1000.0], [-1000.0, -999.0]]), axis=1, rtol=1e-12)
sample("logsumexp", np.full((2, 2), -np.inf), axis=1, gradient=False)
sample("prod", np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 5.0]]), axis=1)
sample("prod", np.array([[2.0, 0.0, 3.0], [4.0, 1.5, 5.0]]))

for _name in ("all", "any"):
    sample(_name, np.array([[True, False], [True, True]]), axis=1)
    sample(_name, np.array([[0, 3], [0, 0]], np.int32), axis=0, keepdims=True)
    sample(_name, np.array([[0.0, -0.0, np.nan], [1.0, 2.0, np.inf]]), axis=(0, 1))
    sample(_name, np.array([[0.0, 1.0], [1.0, 2.0]], BF16), axis=-1)
    sample(_name, np.zeros((0, 2), bool), axis=0)
    sample(_name, np.zeros((2, 3), bool), axis=())

for _name in ("argmax", "argmin"):
    sample(_name, CUBE)
    sample(_name, CUBE, axis=1)
    sample(_name, CUBE, axis=-1, keepdims=True)
    sample(_name, CUBE, keepdims=True)
    sample(_name, TIES, axis=1)
    sample(_name, SPOILT, axis=1)
    sample(_name, COUNTS, axis=0)
    sample(_name, np.array([1.0, 3.0, 3.0], BF16))
    sample(_name, np.zeros((0, 3)), axis=1)

for _name in ("cumulative_sum", "cumulative_prod"):
    for _exclusive in (False, True):
        for _reverse in (False, True):
            sample(_name, CUBE, axis=1, exclusive=_exclusive, reverse=_reverse, rtol=2e-6, atol=1e-6)
    sample(_name, _values((5,), -2, 2, 1, np.float64), rtol=1e-12)
    sample(_name, _values((2, 1), -2, 2, 2), axis=-1, exclusive=True)
    sample(_name, np.zeros((2, 0)), axis=1, exclusive=True)
    sample(_name, COUNTS, axis=1)
    sample(_name, np.array([200, 200, 2], np.uint8), reverse=True)
    sample(_name, np.array([True, True, False]))
    sample(_name, CUBE.astype(F16), axis=2, rtol=4e-3, atol=4e-3, gradient=False)
    sample(_name, SPOILT, axis=0, gradient=False)
sample("cumulative_prod", np.array([2.0, 0.0, 3.0, 0.0, 4.0]))
sample("cumulative_prod", np.array([[2.0, 0.0], [3.0, 0.0]]), axis=0, exclusive=True, reverse=True)
