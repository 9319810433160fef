"""Samples of the Fourier transforms: even, odd and prime lengths, one point, every axis, both widths."""

from __future__ import annotations

import numpy as np

from tests.samples import sample

_rng = np.random.default_rng(23)
EXACT = {"rtol": 1e-10, "atol": 1e-12}
SINGLE = {"rtol": 1e-4, "atol": 1e-5}


def _complex(*shape: int) -> np.ndarray:
    return _rng.normal(size=shape) + 1j * _rng.normal(size=shape)


for inverse in (False, True):
    sample("complex_dft", _complex(8), inverse=inverse, **EXACT)
    sample("complex_dft", _complex(2, 7, 3), axis=1, inverse=inverse, **EXACT)
    sample("complex_dft", _complex(3, 12).astype(np.complex64), axis=-1, inverse=inverse, **SINGLE)
    sample("complex_dft", _complex(1, 4), axis=0, inverse=inverse, **EXACT)
    sample("complex_dft", np.zeros((0, 4), np.complex64), inverse=inverse)

for length in (1, 2, 5, 8):
    sample("real_dft", _rng.normal(size=(3, length)), **EXACT)
    sample("real_dft", _rng.normal(size=(length, 2)).astype(np.float32), axis=0, **SINGLE)
    sample("inverse_real_dft", _complex(3, length // 2 + 1), length=length, **EXACT)
    sample(
        "inverse_real_dft", _complex(length // 2 + 1, 2).astype(np.complex64), length=length, axis=0, **SINGLE
    )
sample("real_dft", np.zeros((0, 4)))
sample("inverse_real_dft", np.zeros((0, 3), np.complex128), length=4)
