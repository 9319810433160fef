"""Samples of the sorting family: ties, NaN, both zeros, narrow dtypes, empty axes, sizes that do not fit."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tests.samples import sample

APART = np.random.default_rng(3).permutation(24).reshape(2, 3, 4) / 4 - 2
CUBE = APART.astype(np.float32)
VECTOR = np.array([0.5, -1.0, 3.0, 2.0, -4.0])
WILD = np.array([0.0, -0.0, np.nan, 1, 1, -np.inf, -np.nan, np.inf, -0.0, 0.0, 1], np.float32)
COARSE = WILD[WILD == WILD].astype(ml_dtypes.bfloat16)
TIES = np.array([[3, 1, 3, 1], [2, 2, 2, 2], [-128, 127, -128, 0]], np.int8)
BOOLS = np.array([True, False, True, False, True])
BIG = np.array([2**64 - 1, 0, 2**63, 2**64 - 1], np.uint64)
EMPTY = np.zeros((0, 3), np.float32)
ONE = np.array([[7.0]])

for name in ("sort", "argsort"):
    sample(name, APART)
    sample(name, CUBE, axis=1, descending=True)
    sample(name, APART, axis=0)
    sample(name, ONE)
    sample(name, EMPTY, axis=0)
    sample(name, EMPTY, axis=1, descending=True)
    for down in (False, True):
        sample(name, WILD, descending=down, gradient=False)
        sample(name, WILD.astype(np.float64), descending=down, gradient=False)
        sample(name, WILD.astype(np.float16), descending=down, gradient=False)
        sample(name, COARSE, descending=down, gradient=False)
        sample(name, TIES, descending=down)
        sample(name, TIES, axis=0, descending=down)
        sample(name, BOOLS, descending=down)
        sample(name, BIG, descending=down)

sample("top_k", APART, k=2)
sample("top_k", CUBE, k=1, axis=1, largest=False)
sample("top_k", APART, k=2, axis=0, largest=False)
sample("top_k", CUBE, k=3, axis=1)
sample("top_k", VECTOR, k=0)
sample("top_k", ONE, k=1)
sample("top_k", EMPTY, k=0, axis=0)
sample("top_k", EMPTY, k=2)
for best in (True, False):
    sample("top_k", WILD, k=11, largest=best, gradient=False)
    sample("top_k", WILD, k=4, largest=best, gradient=False)
    sample("top_k", WILD.astype(np.float64), k=7, largest=best, gradient=False)
    sample("top_k", WILD.astype(np.float16), k=7, largest=best, gradient=False)
    sample("top_k", COARSE, k=7, largest=best, gradient=False)
    sample("top_k", TIES, k=3, largest=best)
    sample("top_k", BOOLS, k=4, largest=best)
    sample("top_k", BIG, k=2, largest=best)

STEPS = np.array([-1.5, -0.0, 0.0, 2.0, 2.0, np.inf, np.nan], np.float32)
for side in ("left", "right"):
    sample("searchsorted", STEPS, WILD, side=side, gradient=False)
    sample("searchsorted", np.arange(5.0), APART + 0.125, side=side)
    sample("searchsorted", STEPS[:-1].astype(ml_dtypes.bfloat16), COARSE, side=side)
    sample("searchsorted", np.array([1, 3, 3, 9]), np.array([[3, 0], [10, 4]]), side=side)
    sample("searchsorted", np.array([False, True]), BOOLS, side=side)
sample("searchsorted", np.zeros(0), VECTOR)
sample("searchsorted", VECTOR[:1], np.zeros((2, 0)))
sample("searchsorted", np.array([1, 2], np.int8), np.float32(1.5))

sample("argwhere", TIES - 2, size=12, fill_value=-1)
sample("argwhere", WILD, size=3)
sample("argwhere", WILD, size=20, fill_value=11)
sample("argwhere", APART, size=24)
sample("argwhere", np.array([[1j, 0], [0, 2]]), size=3, fill_value=-7)
sample("argwhere", BOOLS, size=0)
sample("argwhere", EMPTY, size=2, fill_value=5)
sample("argwhere", np.zeros((2, 2)), size=2)

sample("unique_all", VECTOR, size=5)
sample("unique_all", APART, size=30, fill_value=9)
sample("unique_all", APART, size=10)
sample("unique_all", CUBE, size=24, fill_value=float("inf"))
sample("unique_all", WILD, size=11, fill_value=-3, gradient=False)
sample("unique_all", COARSE, size=4, gradient=False)
sample("unique_all", TIES, size=12, fill_value=-1)
sample("unique_all", TIES, size=2)
sample("unique_all", BOOLS, size=4, fill_value=True)
sample("unique_all", BIG, size=4, fill_value=2**64 - 1)
sample("unique_all", np.float64(3.0), size=2)
sample("unique_all", EMPTY, size=2, fill_value=4.0)
sample("unique_all", VECTOR, size=0)

sample("slice_ranks", np.array([[1, 0, 0], [0, 5, 1], [1, 0, 0], [0, 5, 0]], np.int32))
sample(
    "slice_ranks",
    np.array([[0.0, np.nan, 1], [-0.0, np.nan, 1], [0, 2, 3], [0.0, 2, 3]]),
    axis=0,
    gradient=False,
)
sample("slice_ranks", np.array([[[1, 1], [0, 1], [2, 1], [0, 1]]] * 2, np.float32), axis=1, gradient=False)
sample("slice_ranks", np.array([True, False, True]))
sample("slice_ranks", np.zeros((3, 0), np.float32))
sample("slice_ranks", np.zeros((0, 3), np.float32))
sample("slice_ranks", np.ones((1, 1), np.int8), axis=-1)
sample("slice_ranks", np.array([[np.inf, -np.inf]], np.float16), axis=1, gradient=False)
