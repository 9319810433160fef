"""Samples of complex numbers: both widths, real operands, special values, broadcasting, no elements."""

from __future__ import annotations

import numpy as np

from tests.samples import sample

_rng = np.random.default_rng(11)
WIDE = _rng.normal(size=(2, 3)) + 1j * _rng.normal(size=(2, 3))
WILD = np.array([complex(np.inf, -0.0), complex(np.nan, 1), complex(-0.0, -np.inf), 0, -1], np.complex64)
REAL = _rng.normal(size=(3, 1))

for name in ("real", "imag", "conj"):
    sample(name, WIDE)
    sample(name, WIDE.astype(np.complex64))
    sample(name, WILD, gradient=False)
    sample(name, REAL)
    sample(name, REAL.astype(np.float16))
    sample(name, np.array([1, -2], np.int8))
    sample(name, np.zeros((0, 2), np.complex64))

sample("complex", REAL, _rng.normal(size=(2, 1, 4)))
sample("complex", REAL, REAL)
sample("complex", REAL.astype(np.float32), np.float32(2.0))
sample("complex", np.array([1, -2]), REAL)
sample("complex", np.array([1, -2], np.int16), np.array([3], np.uint8))
sample("complex", np.array([np.inf, np.nan, -0.0]), np.array([-0.0, np.inf, np.nan]), gradient=False)
sample("complex", np.zeros((0, 1)), np.zeros(3))
