"""Samples of factorizations, systems and determinants: batches, dtypes, no rows, one row, singular ones."""

from __future__ import annotations

import numpy as np

from tests.samples import sample

_rng = np.random.default_rng(19)


def _normal(*shape: int) -> np.ndarray:
    return _rng.normal(size=shape)


def _complex(*shape: int) -> np.ndarray:
    return _normal(*shape) + 1j * _normal(*shape)


def _definite(x: np.ndarray) -> np.ndarray:
    return x @ np.conj(x.swapaxes(-1, -2)) + 2 * np.eye(x.shape[-1], dtype=x.dtype)


EXACT = {"rtol": 1e-9, "atol": 1e-11}
SINGLE = {"rtol": 2e-4, "atol": 2e-5}
FOUR, STACK, PAIRS = _normal(4, 4), _normal(2, 3, 3), _complex(2, 3, 3)
WHOLE = np.array([[2, 1], [1, 3]], np.int32)
NONE, NONE_OF_THREE = np.zeros((0, 0)), np.zeros((0, 3, 3))
NAN = np.array([[np.nan, 1.0], [1.0, 2.0]])

for name in ("cholesky", "eigh", "eigvalsh", "inv", "det", "slogdet", "solve", "adjugate", "eigvals", "eig"):
    right = {"solve": [_normal(4, 2)]}.get(name, [])
    short = [part[:3] for part in right]
    sample(name, _definite(FOUR), *right, **EXACT)
    sample(name, _definite(STACK), *short, **EXACT)
    sample(name, _definite(STACK).astype(np.float32), *[y.astype(np.float32) for y in short], **SINGLE)
    sample(name, _definite(PAIRS), *short, **EXACT)
    sample(name, _definite(PAIRS).astype(np.complex64), *[y.astype(np.complex64) for y in short], **SINGLE)
    sample(name, WHOLE, *[part[:2] for part in right], **EXACT)
    sample(name, np.array([[3.0]]), *[part[:1] for part in right], **EXACT)
    sample(name, NONE_OF_THREE, *short)

sample("cholesky", _definite(STACK), upper=True, **EXACT)
sample("cholesky", _definite(PAIRS), upper=True, **EXACT)
sample("cholesky", FOUR + 20 * np.eye(4), **EXACT)  # of which the symmetric part is used
sample("cholesky", np.stack([np.eye(3), -np.eye(3)]), gradient=False)
sample("cholesky", NONE)

sample("eigh", STACK, **EXACT)
sample("eigvalsh", STACK, **EXACT)
sample("eigvals", FOUR, **EXACT)
sample("eig", FOUR, **EXACT)

for name, options in [("svd", {"full_matrices": False}), ("svdvals", {}), ("pinv", {})]:
    sample(name, FOUR, **options, **EXACT)
    sample(name, _normal(5, 3), **options, **EXACT)
    sample(name, _normal(2, 3, 5), **options, **EXACT)
    sample(name, _normal(3, 4).astype(np.float32), **options, **SINGLE)
    sample(name, _complex(4, 3), **options, **EXACT)
    sample(name, _complex(2, 3, 4).astype(np.complex64), **options, **SINGLE)
    sample(name, np.array([[1, 2, 3]]), **options, **EXACT)
    sample(name, np.zeros((0, 3, 2)), **options)
sample("svd", FOUR, **EXACT)
sample("svd", _normal(4, 3), gradient=False, **EXACT)
sample("svd", _complex(2, 3, 4), gradient=False, **EXACT)
sample("pinv", _normal(4, 1) @ _normal(1, 3), gradient=False, **EXACT)

sample("qr", FOUR, **EXACT)
sample("qr", _normal(5, 3), **EXACT)
sample("qr", _normal(2, 4, 3).astype(np.float32), **SINGLE)
sample("qr", _complex(4, 3), **EXACT)
sample(
    "qr", _normal(3, 5), gradient=False, **EXACT
)  # JAX has no gradient of it; test_decompositions.py checks ours
sample("qr", _complex(2, 3, 5), gradient=False, **EXACT)
sample("qr", _normal(4, 3), mode="complete", gradient=False, **EXACT)
sample("qr", np.array([[1, 2]]), **EXACT)

sample("solve", FOUR, _normal(4), **EXACT)
sample("solve", STACK, _normal(3), **EXACT)
sample("solve", _normal(2, 1, 3, 3), _normal(5, 3, 1), **EXACT)
sample("solve", STACK, _normal(3, 0))
for upper in (False, True):
    shifted = STACK + 3 * np.eye(3)
    sample("triangular_solve", shifted, _normal(3, 2), upper=upper, **EXACT)
    sample("triangular_solve", shifted[0], _normal(2, 3, 4), upper=upper, unit_diagonal=True, **EXACT)
    sample(
        "triangular_solve",
        shifted.astype(np.float32),
        _normal(3, 2).astype(np.float32),
        upper=upper,
        **SINGLE,
    )
    sample("triangular_solve", PAIRS + 3 * np.eye(3), _normal(2, 3, 1), upper=upper, **EXACT)
    sample("triangular_solve", NONE_OF_THREE, _normal(3, 1), upper=upper)
    sample("triangular_solve", np.array([[2]]), np.array([[4]]), upper=upper)

SINGULAR = np.outer([1.0, 2.0, 3.0], [1.0, -1.0, 2.0]) + np.outer([0.0, 1.0, 1.0], [2.0, 0.0, 1.0])
for name in ("det", "adjugate"):
    sample(name, SINGULAR, gradient=name == "det", **EXACT)
    sample(name, np.zeros((2, 2)), gradient=False)
sample("det", NONE, gradient=False)  # JAX cannot differentiate it
sample("slogdet", -np.eye(3))
sample("slogdet", np.zeros((2, 2)), gradient=False)
sample("det", NAN, gradient=False)
sample("inv", np.stack([np.eye(2), NAN]), gradient=False)
