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

for _number in (np.int32(7), np.uint32(0xFFFFFFFF), np.int64(2**40 + 3), np.int32(-1), np.uint8(0)):
    sample("random_fold_in", KEY, np.array(_number))
sample("random_fold_in", LAST, np.array(1, np.uint64))

for _shape in ((), (0,), (1,), (7,), (2, 3, 4), (3, 0, 2), (1000,)):
    sample("random_bits", KEY, shape=_shape)
    for _dtype in ("float16", "bfloat16", "float32", "float64"):
        sample("random_uniform", KEY, shape=_shape, dtype=_dtype, rtol=0, atol=0)
        _step = {"float16": 4e-3, "bfloat16": 3.2e-2, "float32": 1e-6, "float64": 1e-14}[_dtype]
        sample("random_normal", KEY, shape=_shape, dtype=_dtype, rtol=0, atol=_step)
sample("random_bits", LAST, shape=(33,))
sample("random_uniform", LAST, shape=(4, 4), rtol=0, atol=0)
sample("random_normal", LAST, shape=(64, 64), rtol=0, atol=2e-6)

KEYS = np.arange(24, dtype=np.uint32).reshape(4, 3, 2) * np.uint32(0x9E3779B9)
sample("random_fold_in", KEY, np.arange(-2, 3))
sample("random_fold_in", KEYS, np.arange(3, dtype=np.uint8))
sample("random_fold_in", KEYS[:, :0], np.int32(7))
for _some in (KEYS, KEYS[0, :1], KEYS[:0]):
    sample("random_bits", _some, shape=(5,))
    sample("random_uniform", _some, shape=(), dtype="float64", rtol=0, atol=0)
    sample("random_normal", _some, shape=(2, 3), rtol=0, atol=1e-6)
    sample("random_permutation", _some, size=9)

for _size in (0, 1, 2, 257):
    sample("random_permutation", KEY, size=_size)

# Where rounding decides, all elements may not agree: these do. The gradient of gamma numbers keeps
# their quantiles, not the words they come from, so differences cannot check it.
_CONCENTRATIONS = np.array([1e-3, 0.05, 0.5, 1.0, 1.5, 3.0, 40.0, 1e4, 1e6])
_AWKWARD = np.array([0.0, -0.0, -1.0, np.nan, np.inf, -np.inf])
for _log in (False, True):
    for _kind, _step in ((np.float32, 1e-5), (np.float64, 1e-12)):
        _many = np.tile(_CONCENTRATIONS, (20, 1)).astype(_kind)
        sample("random_gamma", KEY, _many, log=_log, rtol=_step, atol=_step, gradient=False)
    sample("random_gamma", KEY, _AWKWARD.astype(np.float32), log=_log, gradient=False)
    sample("random_gamma", KEY, np.array([0.5, 2, 9], np.float16), log=_log, rtol=4e-3, gradient=False)
    sample("random_gamma", KEY, np.float32(2.5), log=_log, rtol=1e-5, gradient=False)
    sample("random_gamma", KEY, np.zeros((0, 3), np.float32), log=_log)

_QUANTILES = np.log(np.array([[1e-30], [0.01], [0.7], [1.0], [1.3], [8.0], [30.0], [55.0]]))
sample("random_gamma_slope", np.array([0.05, 0.5, 1.0, 3.0, 20.0, 60.0]), _QUANTILES, rtol=1e-10)
sample("random_gamma_slope", np.array([0.5, 3.0, 60.0], np.float32), np.float32(1.0))
sample("random_gamma_slope", np.array([1e-3, 2e-3]), np.array([-5000.0, -400.0]), rtol=1e-12)
sample("random_gamma_slope", _AWKWARD, np.float64(0.5), gradient=False)
sample("random_gamma_slope", np.float64(2.0), _AWKWARD, rtol=1e-10, gradient=False)
sample("random_gamma_slope", np.array([2, 3]), np.zeros((0, 2), np.float16), gradient=False)

_RATES = np.array([0.0, 0.02, 0.5, 2.0, 9.5, 10.0, 10.5, 37.0, 400.0, 1e5])
for _kind in (np.float16, np.float32, np.float64):
    sample("random_poisson", KEY, np.tile(np.minimum(_RATES, 6e4), (30, 1)).astype(_kind), gradient=False)
sample("random_poisson", LAST, _AWKWARD.astype(np.float32), gradient=False)
sample("random_poisson", KEY, np.float32(3.0), gradient=False)
sample("random_poisson", KEY, np.zeros((2, 0), np.float32), gradient=False)

_CHANCES = np.array([[0.0], [0.01], [0.3], [0.5], [0.7], [0.99], [1.0]])
for _kind in (np.float32, np.float64):
    _trials = np.tile([0, 1, 5, 19.5, 40, 300, 10_000], 6).astype(_kind)
    sample("random_binomial", KEY, _trials, _CHANCES.astype(_kind), gradient=False)
sample("random_binomial", KEY, np.float32(30), _AWKWARD.astype(np.float32), gradient=False)
sample("random_binomial", KEY, _AWKWARD.astype(np.float32), np.float32(0.5), gradient=False)
sample("random_binomial", KEY, np.zeros((0,), np.float32), np.float32(0.5), gradient=False)
