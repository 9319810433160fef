"""Samples of linear algebra."""

from __future__ import annotations

import numpy as np

from tests.samples import sample

_rng = np.random.default_rng(7)


def _normal(*shape: int) -> np.ndarray:
    return _rng.normal(size=shape)


HALVES = (_normal(2, 3) * 2).round().astype(np.float16)  # products are exact

sample("matmul", _normal(3, 4), _normal(4, 5), rtol=1e-12)
sample("matmul", _normal(2, 3, 4).astype(np.float32), _normal(4, 5).astype(np.float32), rtol=1e-5, atol=1e-6)
sample("matmul", _normal(3, 4), _normal(5, 2, 4, 1), rtol=1e-12)
sample("matmul", _normal(5, 1, 2, 3), _normal(4, 3, 2), rtol=1e-12)
sample("matmul", _normal(4), _normal(4), rtol=1e-12)
sample("matmul_transposed", _normal(3, 4), _normal(5, 4), rtol=1e-12)
sample("matmul_transposed", _normal(2, 1, 4), _normal(5, 4), rtol=1e-12)
sample("matmul_transposed", _normal(4), _normal(5, 4), rtol=1e-12)
sample("matmul_transposed", _normal(0, 4), _normal(5, 4), rtol=1e-12)
sample("matmul", _normal(4), _normal(2, 4, 3), rtol=1e-12)
sample("matmul", _normal(2, 3, 4), _normal(4), rtol=1e-12)
sample("matmul", _normal(3, 4).astype(np.float32), _normal(4, 2), rtol=1e-6)
sample("matmul", np.zeros((3, 0)), np.zeros((0, 2)))
sample("matmul", np.zeros((0, 3)), _normal(3, 2))
sample("matmul", _normal(1, 1), _normal(1, 1))
sample("matmul", np.arange(6).reshape(2, 3), np.arange(12, dtype=np.int32).reshape(3, 4))
sample("matmul", np.full((2, 3), 100, np.int8), np.full((3, 2), 100, np.int8))
sample("matmul", np.full((1, 3), 200, np.uint8), np.full((3,), 200, np.uint8))
sample("matmul", HALVES, HALVES.T, rtol=1e-3, gradient=False)
sample("matmul", np.array([[1 + 2j, -1j]]), np.array([[2.0], [1 - 1j]]), gradient=False)
sample(
    "matmul", np.array([[np.inf, 1.0], [np.nan, 0.0]]), np.array([[1.0, 0.0], [-0.0, 2.0]]), gradient=False
)

sample("diagonal", _normal(3, 3))
sample("diagonal", _normal(2, 3, 5).astype(np.float32), offset=1)
sample("diagonal", _normal(4, 3), offset=-2)
sample("diagonal", _normal(2, 2), offset=5)
sample("diagonal", np.zeros((0, 3, 3)))
sample("diagonal", np.arange(6).reshape(2, 3))
sample("diagonal", np.array([[True, False], [False, False]]))
sample("diagonal", np.array([[np.nan, 1], [2, -0.0]]), gradient=False)

sample("diagonal_matrix", _normal(3), rows=3, columns=3)
sample("diagonal_matrix", _normal(2, 3).astype(np.float32), rows=4, columns=5, offset=2)
sample("diagonal_matrix", _normal(2), rows=4, columns=3, offset=-2)
sample("diagonal_matrix", np.zeros((2, 0)), rows=2, columns=2, offset=-2)
sample("diagonal_matrix", np.array([1, 2, 3]), rows=3, columns=3)
sample("diagonal_matrix", np.array([True, True]), rows=2, columns=3)
