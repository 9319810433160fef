"""Samples of pooling: windows that tile, overlap, reach into padding and skip places; ties and NaN."""

from __future__ import annotations

import numpy as np

from tests.samples import sample
from tests.samples.elementwise import BF16, F16

_rng = np.random.default_rng(12)


def _distinct(*shape: int) -> np.ndarray:
    """Values so far apart that a maximum stays where it is under a small change."""
    return _rng.permutation(int(np.prod(shape))).reshape(shape) / 4.0


def _nasty(*shape: int) -> np.ndarray:
    return _rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 1.0, 2.0], shape)


# input, the shape of the result, attributes
_CASES = [
    ((2, 3, 8), (2, 3, 4), {"window": 2}),
    ((2, 2, 6, 5), (2, 2, 3, 2), {"window": 2}),
    ((1, 2, 7, 6), (1, 2, 4, 3), {"window": 3, "strides": 2, "padding": ((1, 1), (0, 1))}),
    ((1, 2, 6, 5), (1, 2, 6, 5), {"window": 3, "strides": 1, "padding": "same"}),
    ((1, 1, 7, 9), (1, 1, 4, 3), {"window": (2, 3), "strides": (2, 3), "padding": "same"}),
    ((1, 2, 9, 8), (1, 2, 3, 2), {"window": 3, "strides": (2, 3), "dilation": 2}),
    ((1, 2, 7, 7), (1, 2, 3, 3), {"window": 5, "strides": 1}),
    ((1, 1, 4, 3, 5), (1, 1, 3, 2, 4), {"window": 2, "strides": 1}),
    ((3, 1, 1, 1), (3, 1, 1, 1), {"window": 1}),
    ((0, 2, 4, 4), (0, 2, 2, 2), {"window": 2}),
    ((1, 2, 5), (1, 2, 3), {"window": 2, "ceil_mode": True}),
    ((1, 1, 7, 5), (1, 1, 4, 2), {"window": (2, 3), "padding": ((0, 1), (1, 2)), "ceil_mode": True}),
    ((1, 2, 8, 10), (1, 2, 3, 4), {"window": 3, "strides": (3, 2), "dilation": (1, 2), "ceil_mode": True}),
    ((2, 1, 9, 4), (2, 1, 3, 2), {"window": 1, "strides": (4, 3), "ceil_mode": True}),
    ((1, 1, 3, 3), (1, 1, 1, 1), {"window": 5, "strides": 3, "ceil_mode": True}),
    ((1, 1, 3, 6, 4), (1, 1, 2, 3, 2), {"window": 2, "padding": "same_lower", "ceil_mode": True}),
    ((1, 1, 6, 5), (1, 1, 3, 5), {"window": (3, 2), "strides": (2, 1), "padding": "same_lower"}),
]

for _x, _y, _attrs in _CASES:
    sample("max_pool", _distinct(*_x), **_attrs)
    sample("max_pool_gradient", _distinct(*_x), _rng.standard_normal(_y), **_attrs)
    sample("max_pool_select", _distinct(*_x), _rng.standard_normal(_x), **_attrs)
    for _counted in (False, True):
        sample("avg_pool", _rng.standard_normal(_x), count_include_pad=_counted, **_attrs)
        sample(
            "avg_pool_gradient",
            _rng.standard_normal(_y),
            input_shape=_x,
            count_include_pad=_counted,
            **_attrs,
        )
    sample("max_pool", _nasty(*_x), gradient=False, **_attrs)
    sample("max_pool", _rng.integers(-9, 9, _x), gradient=False, **_attrs)
    sample("max_pool_gradient", _nasty(*_x), _rng.standard_normal(_y), gradient=False, **_attrs)
    sample("max_pool_select", _nasty(*_x), _rng.standard_normal(_x), gradient=False, **_attrs)

for _x, _y, _attrs in _CASES[1:-2:3]:
    sample("avg_pool", _rng.standard_normal(_x), divisor=1, **_attrs)
    sample("avg_pool_gradient", _rng.standard_normal(_y), input_shape=_x, divisor=-2.5, **_attrs)

sample("max_pool_select", _distinct(1, 1, 5), np.arange(5).reshape(1, 1, 5), window=2, gradient=False)
sample("max_pool", np.full((1, 1, 4), 255, np.uint8), window=3, strides=1, padding=1, gradient=False)
sample("max_pool", np.full((1, 1, 4), -np.inf), window=3, strides=1, padding=1, gradient=False)
sample(
    "max_pool_gradient",
    np.full((1, 1, 4), -np.inf),
    np.ones((1, 1, 4)),
    window=3,
    strides=1,
    padding=1,
    gradient=False,
)
sample("avg_pool", np.arange(12).reshape(1, 1, 3, 4), window=2, strides=1, gradient=False)
sample("avg_pool", [[[1.0, np.nan, 3.0, np.inf, 5.0, -np.inf, 0.0, 7.0]]], window=2, gradient=False)
sample("avg_pool", np.ones((1, 1, 5), np.float32), window=3, strides=1, padding=1)

for _half, _tolerance in ((F16, 2e-3), (BF16, 2e-2)):
    _rough = {
        "rtol": _tolerance,
        "atol": _tolerance,
        "gradient": False,
        "window": 3,
        "strides": 2,
        "padding": 1,
    }
    _x, _g = _distinct(1, 2, 5, 5).astype(_half), _rng.standard_normal((1, 2, 3, 3)).astype(_half)
    sample("max_pool", _x, **_rough)
    sample("max_pool_gradient", _x, _g, **_rough)
    sample("max_pool_select", _x, _x, **_rough)
    sample("avg_pool", _x, **_rough)
    sample("avg_pool_gradient", _g, input_shape=_x.shape, **_rough)


# indices of a pooling of 2 x 2 windows, with padding and stride 3, and of what is no pooling
_PLACES = [
    ((1, 1, 2, 2), [[[[5, 7], [13, 10]]]], (1, 1, 4, 4)),
    ((2, 1, 2), [[[1, 3]], [[4, 7]]], (2, 1, 4)),
    ((1, 2, 1, 1, 1), [[[[[3]]], [[[9]]]]], (1, 2, 2, 1, 3)),
    ((3,), [2, 0, 2], (2, 3)),
    ((2, 2), [[-1, 6], [5, 0]], (6,)),
    ((0, 1, 2), np.zeros((0, 1, 2), np.int64), (0, 1, 4)),
    ((2,), [0, 0], (0,)),
    ((), 1, (2,)),
]
for _x, _indices, _y in _PLACES:
    sample("max_unpool", _rng.standard_normal(_x), _indices, output_shape=_y)
    sample("max_unpool_gradient", _rng.standard_normal(_y), _indices)
sample("max_unpool", [1, 2, 3], np.array([255, 1, 1], np.uint8), output_shape=(300,), gradient=False)
sample("max_unpool", [np.nan, -0.0], np.array([2**63, 1], np.uint64), output_shape=(3,), gradient=False)
sample("max_unpool", [np.nan, np.inf], np.array([0, 2], np.int32), output_shape=(3,), gradient=False)
