"""Samples of normalization: every channel axis, a large mean, a variance of zero, and special values."""

from __future__ import annotations

import numpy as np

from tests.samples import sample
from tests.samples.elementwise import BF16, F16

_rng = np.random.default_rng(13)


def _channel(count: int) -> tuple[np.ndarray, ...]:
    """mean, variance, scale and offset."""
    return (
        _rng.standard_normal(count),
        _rng.uniform(0.5, 2.0, count),
        _rng.standard_normal(count),
        _rng.standard_normal(count),
    )


for _shape, _attrs in [
    ((4, 3), {}),
    ((2, 3, 4, 5), {}),
    ((2, 4, 5, 3), {"axis": -1}),
    ((3,), {"axis": 0}),
    ((2, 1, 4), {"epsilon": 0.1}),
    ((0, 3, 2), {}),
    ((2, 3, 1, 2, 2), {"epsilon": 0}),
]:
    _axis = _attrs.get("axis", 1)
    sample("batch_normalization", _rng.standard_normal(_shape), *_channel(_shape[_axis]), **_attrs)

sample(
    "batch_normalization",
    *[array.astype(np.float32) for array in (_rng.standard_normal((4, 3)), *_channel(3))],
    rtol=1e-5,
    atol=1e-5,
)
sample(
    "batch_normalization",
    [[np.nan, np.inf, -np.inf], [-0.0, 0.0, 1e300]],
    [0.0, 1.0, 2.0],
    [0.0, 1.0, -1.0],
    [1.0, 2.0, 3.0],
    [0.0, -0.0, 1.0],
    gradient=False,
)

for _shape, _axis in [
    ((4, 6), -1),
    ((2, 3, 4), 1),
    ((2, 3, 4), 0),
    ((5,), -1),
    ((3, 1), -1),
    ((0, 4), -1),
    ((2, 3, 4, 5), 2),
]:
    _inner = _shape[_axis:] if _axis >= 0 else _shape[-1:]
    sample(
        "layer_normalization",
        _rng.standard_normal(_shape),
        _rng.standard_normal(_inner),
        _rng.standard_normal(_inner),
        axis=_axis,
    )

_ones, _zeros = np.ones(4), np.zeros(4)
sample("layer_normalization", np.full((2, 4), 7.0), _ones, _zeros, gradient=False)
sample("layer_normalization", [[1, np.nan, 2, 3], [1, np.inf, 2, 3]], _ones, _zeros, gradient=False)
sample("layer_normalization", 1e6 + _rng.standard_normal((2, 4)), _ones, _zeros, rtol=1e-5, gradient=False)
sample(
    "layer_normalization",
    _rng.standard_normal((3, 4)).astype(np.float32),
    _ones.astype(np.float32),
    _zeros.astype(np.float32),
    rtol=1e-5,
    atol=1e-5,
)

for _half, _tolerance in ((F16, 4e-3), (BF16, 3e-2)):
    _rough = {"rtol": _tolerance, "atol": _tolerance, "gradient": False}
    _row = [array.astype(_half) for array in _channel(3)]
    sample("batch_normalization", _rng.standard_normal((4, 3, 2)).astype(_half), *_row, **_rough)
    sample("layer_normalization", _rng.standard_normal((4, 3)).astype(_half), *_row[2:], **_rough)
