"""Samples of convolution and its gradients: ranks 1 to 3, groups, dilation, uneven strides and padding."""

from __future__ import annotations

import numpy as np

from graphflow.ops.packed_conv import packed
from tests.samples import sample
from tests.samples.elementwise import BF16, F16

_rng = np.random.default_rng(11)


def _draw(*shape: int, dtype: type = np.float64) -> np.ndarray:
    return _rng.standard_normal(shape).astype(dtype)


# input, kernel, and the shape of the result, which the gradients take a cotangent of
_CASES = [
    ((2, 3, 7), (4, 3, 3), (2, 4, 5), {}),
    ((1, 4, 9), (6, 2, 3), (1, 6, 4), {"strides": 2, "padding": ((1, 0),), "groups": 2}),
    ((2, 2, 5, 6), (3, 2, 3, 2), (2, 3, 5, 6), {"padding": "same"}),
    ((1, 2, 7, 6), (3, 2, 3, 2), (1, 3, 4, 2), {"padding": "same", "strides": (2, 3)}),
    ((2, 3, 8, 7), (6, 1, 3, 2), (2, 6, 2, 6), {"groups": 3, "strides": (3, 1), "dilation": (2, 1)}),
    ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1), {}),
    ((1, 1, 1, 1), (2, 1, 3, 3), (1, 2, 2, 1), {"padding": ((1, 2), (2, 0))}),
    ((1, 2, 4, 3, 5), (2, 2, 2, 3, 2), (1, 2, 3, 1, 2), {"strides": (1, 1, 2)}),
    ((0, 2, 4, 4), (3, 2, 3, 3), (0, 3, 2, 2), {}),
    ((2, 2, 5, 5), (0, 2, 3, 3), (2, 0, 3, 3), {}),
    ((1, 2, 6, 7), (2, 2, 3, 2), (1, 2, 3, 7), {"padding": "same_lower", "strides": (2, 1)}),
    (
        (1, 4, 3, 4, 2),
        (4, 1, 2, 1, 2),
        (1, 4, 3, 2, 2),
        {"padding": "same", "strides": (1, 2, 1), "groups": 4},
    ),
]

for _x, _w, _y, _attrs in _CASES:
    sample("conv", _draw(*_x), _draw(*_w), **_attrs)
    sample("conv_input_gradient", _draw(*_y), _draw(*_w), input_shape=_x, **_attrs)
    sample("conv_weight_gradient", _draw(*_x), _draw(*_y), kernel_shape=_w, **_attrs)

_single = {"rtol": 1e-4, "atol": 1e-5, "gradient": False}
sample("conv", _draw(2, 3, 6, 6, dtype=np.float32), _draw(4, 3, 3, 3, dtype=np.float32), padding=1, **_single)
sample("conv", _draw(2, 3, 6, 6, dtype=np.float32), _draw(4, 3, 3, 3), padding=1, **_single)
sample("conv", np.arange(25).reshape(1, 1, 5, 5), np.full((1, 1, 2, 2), 3, np.int32), gradient=False)
sample("conv", np.full((1, 1, 3), 100, np.int8), np.full((1, 1, 3), 2, np.int8), gradient=False)
sample("conv", [[[1.0, np.nan, np.inf, -0.0, 5.0, 6.0]]], [[[1.0, -1.0]]], gradient=False)
sample(
    "conv_input_gradient",
    _draw(2, 4, 6, 6, dtype=np.float32),
    _draw(4, 3, 3, 3, dtype=np.float32),
    input_shape=(2, 3, 6, 6),
    padding=1,
    **_single,
)
sample(
    "conv_weight_gradient",
    _draw(2, 3, 6, 6, dtype=np.float32),
    _draw(2, 4, 6, 6, dtype=np.float32),
    kernel_shape=(4, 3, 3, 3),
    padding=1,
    **_single,
)

for _half, _tolerance in ((F16, 4e-3), (BF16, 3e-2)):
    _rough = {"rtol": _tolerance, "atol": _tolerance, "gradient": False, "padding": 1}
    _x, _w, _g = _draw(1, 2, 5, 5), _draw(3, 2, 3, 3), _draw(1, 3, 5, 5)
    _x, _w, _g = _x.astype(_half), _w.astype(_half), _g.astype(_half)
    sample("conv", _x, _w, **_rough)
    sample("conv_input_gradient", _g, _w, input_shape=_x.shape, **_rough)
    sample("conv_weight_gradient", _x, _g, kernel_shape=_w.shape, **_rough)


# image, columns, attributes
_PATCHES = [
    ((2, 3, 7), (2, 9, 5), {"window": 3}),
    ((1, 2, 5, 6), (1, 12, 8), {"window": (2, 3), "strides": (2, 1)}),
    ((2, 1, 4, 5), (2, 4, 20), {"window": 2, "padding": "same_lower"}),
    ((1, 2, 5, 5), (1, 8, 9), {"window": 2, "strides": 2, "dilation": 3, "padding": ((2, 1), (1, 2))}),
    ((1, 1, 3, 2, 4), (1, 4, 12), {"window": (2, 1, 2)}),
    ((1, 1, 1, 1), (1, 1, 1), {"window": 1}),
    ((0, 2, 4, 4), (0, 8, 4), {"window": 2, "strides": 2}),
    ((1, 1, 2), (1, 1, 4), {"window": 1, "padding": ((2, 0),)}),
]
for _x, _columns, _attrs in _PATCHES:
    sample("im2col", _draw(*_x), **_attrs)
    sample("col2im", _draw(*_columns), image_shape=_x[2:], **_attrs)
sample("im2col", np.arange(8, dtype=np.uint8).reshape(1, 2, 4), window=2, gradient=False)
sample("im2col", [[[np.nan, np.inf, -0.0, -np.inf]]], window=2, padding=1, gradient=False)
sample("col2im", np.full((1, 2, 3), 100, np.int8), image_shape=(4,), window=2, gradient=False)
sample("col2im", [[[np.nan, 1.0, 2.0], [-0.0, 1.0, np.inf]]], image_shape=(4,), window=2, gradient=False)
sample(
    "col2im", _draw(1, 4, 4).astype(F16), image_shape=(3, 3), window=2, rtol=2e-3, atol=2e-3, gradient=False
)


# Channels last: the same cases with permuted axes, by each algorithm that can compute them
def _last(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], *shape[2:], shape[1])


def _kernel_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[2:], shape[1], shape[0])


def _channels_last(x: tuple, w: tuple, y: tuple, **attrs: object) -> None:
    x, w, y = _last(x), _kernel_last(w), _last(y)
    sample("channels_last_conv", _draw(*x), _draw(*w), **attrs)
    sample("channels_last_conv_input_gradient", _draw(*y), _draw(*w), input_shape=x, **attrs)
    sample("channels_last_conv_weight_gradient", _draw(*x), _draw(*y), kernel_shape=w, **attrs)


for _x, _w, _y, _attrs in _CASES:
    _channels_last(_x, _w, _y, **_attrs)
_channels_last((1, 3, 4, 5), (2, 3, 1, 1), (1, 2, 2, 3), strides=2, algorithm="dot")
_channels_last((0, 3, 4), (2, 3, 1), (0, 2, 4), algorithm="dot")
_uneven = {"strides": (2, 1), "padding": ((1, 0), (0, 0)), "groups": 2}
_wide = {"dilation": (2, 1), "padding": ((0, 0), (1, 1))}
_by_channel = {"strides": (2, 1), "padding": 1, "groups": 3}
_channels_last((2, 4, 5, 6), (6, 2, 3, 2), (2, 6, 2, 5), algorithm="im2col", **_uneven)
_channels_last((1, 2, 5, 5), (3, 2, 2, 3), (1, 3, 3, 5), algorithm="im2col", **_wide)
_channels_last((2, 3, 6, 5), (6, 1, 3, 3), (2, 6, 3, 5), algorithm="shifts", **_by_channel)
_channels_last((1, 2, 7), (2, 1, 2), (1, 2, 5), dilation=2, groups=2, algorithm="shifts")
for _algorithm in ("direct", "shifts"):
    sample(
        "channels_last_conv", _draw(1, 5, 5, 2).astype(F16), _draw(3, 3, 1, 2).astype(F16),
        padding=1, groups=2, algorithm=_algorithm, rtol=4e-3, atol=4e-3, gradient=False,
    )  # fmt: skip

for _tile, _size in ((2, 16), (4, 36)):
    sample("winograd_conv", _draw(2, 6, 5, 3), _draw(_size, 3, 4), padding=1, tile=_tile)
    sample("winograd_conv", _draw(1, 9, 4, 2), _draw(_size, 2, 1), padding=((0, 2), (3, 0)), tile=_tile)
sample("winograd_conv", _draw(0, 6, 5, 3), _draw(16, 3, 4))

# image, weights that the panels are made of, result, lanes, attributes
_PACKED = [
    ((5, 7), (7, 10), (5, 10), 4, {}),
    ((1, 3), (3, 1), (1, 1), 16, {"lower": 0.0, "upper": 6.0}),
    ((0, 3), (3, 5), (0, 5), 4, {}),
    ((4, 3), (3, 0), (4, 0), 4, {}),
    ((2, 9, 4), (3, 4, 6), (2, 5, 6), 8, {"strides": 2, "padding": ((2, 0),), "lower": -0.5}),
    (
        (2, 7, 6, 8),
        (3, 2, 4, 10),
        (2, 3, 4, 10),
        4,
        {"strides": (2, 1), "dilation": (1, 2), "groups": 2, "upper": 0.25},
    ),
    ((1, 5, 5, 3), (3, 3, 3, 20), (1, 5, 5, 20), 16, {"padding": "same"}),
    ((1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1), 1, {}),
]
for _x, _w, _y, _lanes, _attrs in _PACKED:
    _panels = packed(_draw(*_w, dtype=np.float32), _attrs.get("groups", 1), _lanes)
    _given = _draw(*_x, dtype=np.float32), _panels
    _bias, _addend = _draw(_w[-1], dtype=np.float32), _draw(*_y, dtype=np.float32)
    _attrs = {"kernel": _w[:-2], "outputs": _w[-1], **_attrs, **_single}
    sample("packed_conv", *_given, **_attrs)
    sample("packed_conv", *_given, _bias, bias=True, **_attrs)
    sample("packed_conv", *_given, _addend, addend=True, **_attrs)
    sample("packed_conv", *_given, _bias, _addend, bias=True, addend=True, **_attrs)
_awkward = np.array([[np.nan, 1.0], [np.inf, -np.inf], [-0.0, 0.0], [3e38, 3e38]], np.float32)
_ones = packed(np.ones((2, 3), np.float32), 1, 2)
sample("packed_conv", _awkward, _ones, kernel=(), outputs=3, lower=0.0, upper=9.0, gradient=False)
sample("packed_conv", _awkward, _ones, kernel=(), outputs=3, lower=2.0, upper=1.0, gradient=False)
