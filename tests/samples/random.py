"""Samples of random operators: all are exact but `random_normal`, which may differ in the last bits."""

from __future__ import annotations

import numpy as np

from tests.samples import sample

KEY = np.array([0x12345678, 0x9ABCDEF0], np.uint32)
LAST = np.array([0xFFFFFFFF, 0xFFFFFFFF], np.uint32)
SESSION = np.array([0, 42, 1, 0xFFFFFFFF], np.uint32)

sample("random_key", SESSION, stream="dropout")
sample("random_key", SESSION, stream="")
sample("random_key", np.zeros(4, np.uint32), stream="Maß/#0")

for _shape in ((), (0,), (1,), (7,), (2, 3, 4), (3, 0, 2), (1000,)):
    sample("random_bits", KEY, shape=_shape)
    for _dtype in ("float16", "bfloat16", "float32", "float64"):
        sample("random_uniform", KEY, shape=_shape, dtype=_dtype, rtol=0, atol=0)
        _step = {"float16": 4e-3, "bfloat16": 3.2e-2, "float32": 1e-6, "float64": 1e-14}[_dtype]
        sample("random_normal", KEY, shape=_shape, dtype=_dtype, rtol=0, atol=_step)
sample("random_bits", LAST, shape=(33,))
sample("random_uniform", LAST, shape=(4, 4), rtol=0, atol=0)
sample("random_normal", LAST, shape=(64, 64), rtol=0, atol=2e-6)

for _size in (0, 1, 2, 257):
    sample("random_permutation", KEY, size=_size)
