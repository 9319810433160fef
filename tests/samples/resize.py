"""Samples of the resize family: each kernel and coordinate mode, up and down, odd scales, integers, empty."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from graphflow.ops.taps import COORDINATES, NEAREST_MODES
from tests.samples import sample

RNG = np.random.default_rng(11)
IMAGE = RNG.normal(size=(2, 3, 4, 5))
ROW = RNG.normal(size=(1, 7)).astype(np.float32)
BYTES = RNG.integers(0, 256, (1, 4, 6), dtype=np.uint8)
WILD = np.array([[1.0, np.inf, -0.0, np.nan, 2.0]], np.float32)
PLAIN = [name for name in COORDINATES if name != "tf_crop_and_resize"]
CROP = {"coordinates": "tf_crop_and_resize", "regions": ((-0.25, 0.75), (0.1, 1.2))}
LARGE = np.linspace(-1, 1, 160)[None]

for mode in ("nearest", "linear", "cubic"):
    for coordinates in PLAIN:
        sample("resample", IMAGE, axes=(2, 3), sizes=(7, 3), mode=mode, coordinates=coordinates)
        sample("resample", ROW, axes=1, sizes=(4,), scales=(0.6,), mode=mode, coordinates=coordinates)
        sample("resample", ROW, axes=1, sizes=(1,), mode=mode, coordinates=coordinates)
    sample("resample", IMAGE, axes=(3, 2), sizes=(4, 6), mode=mode, **CROP)
    sample("resample", IMAGE, axes=(2, 3), sizes=(1, 8), mode=mode, extrapolation_value=2.5, **CROP)
    sample("resample", IMAGE, axes=(1, 2), sizes=(6, 8), mode=mode, scales=(None, 2.0))
    sample("resample", IMAGE[:, :, :1], axes=(2,), sizes=(3,), mode=mode)
    sample("resample", IMAGE, axes=(0, 1, 2, 3), sizes=(2, 3, 4, 5), mode=mode)
    sample("resample", np.zeros((0, 3)), axes=1, sizes=(2,), mode=mode)
    sample("resample", np.zeros((0, 3)), axes=(0, 1), sizes=(0, 5), mode=mode)
    sample("resample", ROW, axes=1, sizes=(0,), mode=mode)
    sample("resample", BYTES, axes=(1, 2), sizes=(8, 3), mode=mode)
    sample("resample", ROW.astype(np.float16), axes=1, sizes=(10,), mode=mode, rtol=1e-3)
    sample("resample", ROW.astype(ml_dtypes.bfloat16), axes=1, sizes=(10,), mode=mode, rtol=1e-2)
for mode in ("linear", "cubic"):
    sample("resample", IMAGE, axes=(2, 3), sizes=(2, 9), mode=mode, antialias=True)
    sample("resample", IMAGE, axes=(2, 3), sizes=(3, 9), mode=mode, exclude_outside=True)
    sample("resample", LARGE, axes=1, sizes=(10,), mode=mode, antialias=True, exclude_outside=True)
    sample("resample", WILD, axes=1, sizes=(9,), mode=mode, coordinates="align_corners", gradient=False)
    sample("resample", BYTES.astype(np.int64) - 100, axes=2, sizes=(4,), mode=mode)
for rounding in NEAREST_MODES:
    sample("resample", IMAGE, axes=(2, 3), sizes=(8, 2), nearest_mode=rounding)
    sample("resample", ROW, axes=1, sizes=(9,), nearest_mode=rounding, coordinates="asymmetric")
sample("resample", WILD, axes=1, sizes=(10,), gradient=False)
sample("resample", WILD == 1, axes=1, sizes=(3,))
sample("resample", IMAGE + 1j, axes=2, sizes=(6,), gradient=False)
sample("resample", IMAGE, axes=2, sizes=(9,), mode="cubic", cubic_coeff_a=-0.5)

G = RNG.normal(size=(2, 3, 7, 3))
for mode in ("nearest", "linear", "cubic"):
    for coordinates in PLAIN:
        attrs = {"axes": (2, 3), "sizes": (7, 3), "mode": mode, "coordinates": coordinates}
        sample("resample_gradient", G, input_shape=IMAGE.shape, **attrs)
    sample("resample_gradient", G, input_shape=(2, 3, 7, 3), axes=2, sizes=(7,), mode=mode)
    sample("resample_gradient", G, input_shape=(2, 3, 4, 5), axes=(2, 3), sizes=(7, 3), mode=mode, **CROP)
    sample("resample_gradient", np.zeros((1, 0)), input_shape=(1, 5), axes=1, sizes=(0,), mode=mode)
    sample("resample_gradient", ROW.astype(np.float16), input_shape=(1, 3), axes=1, sizes=(7,), rtol=1e-3)
sample("resample_gradient", ROW, input_shape=(1, 60), axes=1, sizes=(7,), mode="linear", antialias=True)
sample(
    "resample_gradient", LARGE, input_shape=(1, 5), axes=1, sizes=(160,), mode="cubic", exclude_outside=True
)
