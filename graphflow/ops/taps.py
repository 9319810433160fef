"""Where resampling reads along one axis: for each place of the result, some places and their weights.

A place of the result lies somewhere between the places of the source; the kernel (nearest, linear or
cubic) says which of them count, and how much. As resampling is linear, its gradient reads in the same
way, with the transposed weights. All of it depends on the sizes alone, so it is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from graphflow.errors import ShapeError

MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
CROPPED = "tf_crop_and_resize"
_ROUNDING: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
NEAREST_MODES = tuple(_ROUNDING)


class Kernel(NamedTuple):
    """How the places of the source are found and weighted: the attributes of `resample`."""

    mode: str
    coordinates: str
    nearest_mode: str
    cubic_coeff_a: float
    exclude_outside: bool
    antialias: bool


class Taps(NamedTuple):
    """What is read along one axis: y[i] = sum over k of weights[i, k] x[indices[i, k]].

    indices: [size, count]. weights: [size, count], or None where each place is a copy of one other.
    outside: which places lie outside of the source and get a fixed value; None if none does.
    """

    indices: np.ndarray
    weights: np.ndarray | None
    outside: np.ndarray | None

    def transposed(self, length: int) -> Taps:
        """The taps of the transposed map, to an axis of `length` places."""
        size, count = self.indices.shape
        weights = np.ones((size, count)) if self.weights is None else self.weights
        if self.outside is not None:
            weights = np.where(self.outside[:, None], 0.0, weights)
        used = weights != 0
        pairs = (self.indices * size + np.arange(size)[:, None])[used]
        pairs, inverse = np.unique(pairs, return_inverse=True)
        shares = np.bincount(inverse, weights[used], len(pairs))
        rows, sources = np.divmod(pairs, size) if size else (pairs, pairs)
        counts = np.bincount(rows, minlength=length)
        ordinal = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        made = np.zeros((2, length, counts.max(initial=0)))
        made[:, rows, ordinal] = sources, shares
        return Taps(_with_spares(made[0].astype(np.int64), made[1]), made[1], None)


def _with_spares(indices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The indices, those of weight 0 replaced by the one that weighs most, so that they read nothing else."""
    if not indices.size:
        return indices
    main = np.take_along_axis(indices, np.abs(weights).argmax(1)[:, None], 1)
    return np.where(weights == 0, main, indices)


def plan(shape: tuple[int, ...], attrs: Mapping[str, Any], kernel: Kernel) -> list[tuple[int, int, Taps]]:
    """For each axis that changes: axis, length of the source and taps; the axes that shrink most first."""
    steps = []
    scales, regions = attrs["scales"], attrs["regions"]
    for at, (axis, size) in enumerate(zip(attrs["axes"], attrs["sizes"])):
        scale, region = scales and scales[at], regions and regions[at]
        if size == shape[axis] and scale in (None, 1.0) and region in (None, (0.0, 1.0)):
            continue
        if size and not shape[axis]:
            raise ShapeError(
                f"resize cannot make {size} places of axis {axis}, which has size 0",
                hint="leave out empty tensors",
            )
        steps.append((axis, shape[axis], taps(shape[axis], size, scale, region, kernel)))
    return sorted(steps, key=lambda step: len(step[2].indices) / max(step[1], 1))


@lru_cache(maxsize=256)
def taps(
    length: int, size: int, scale: float | None, region: tuple[float, float] | None, kernel: Kernel
) -> Taps:
    """What the `size` places of the result read of the `length` places of the source.

    >>> kernel = Kernel("linear", "half_pixel", "round_prefer_floor", -0.75, False, False)
    >>> taps(4, 2, None, None, kernel).indices.tolist(), taps(4, 2, None, None, kernel).weights.tolist()
    ([[0, 1], [2, 3]], [[0.5, 0.5], [0.5, 0.5]])
    """
    if not size:
        return Taps(np.zeros((0, 1), np.int64), None, None)
    at = _positions(length, size, scale, region, kernel.coordinates)
    outside = (at < 0) | (at > length - 1) if kernel.coordinates == CROPPED else np.zeros(1, bool)
    found = outside if outside.any() else None
    if kernel.mode == "nearest":
        places = _ROUNDING[kernel.nearest_mode](at).astype(np.int64)[:, None]
        return Taps(np.clip(places, 0, length - 1), None, found)
    factor = size / length if scale is None else scale
    places, weights = _weighted(at, min(factor, 1.0) if kernel.antialias else 1.0, kernel)
    if kernel.exclude_outside:
        weights = _normalized(np.where((places < 0) | (places >= length), 0.0, weights))
    return Taps(_with_spares(np.clip(places, 0, length - 1), weights), weights, found)


def _positions(
    length: int, size: int, scale: float | None, region: tuple[float, float] | None, coordinates: str
) -> np.ndarray:
    """Where the places of the result lie in the source, as ONNX Resize-19 defines it."""
    at = np.arange(size, dtype=np.float64)
    width = size if scale is None else scale * length  # fractional: the size before it was rounded
    factor = size / length if scale is None else scale
    if coordinates == "align_corners":
        return at * (length - 1) / (width - 1) if width != 1 else np.zeros(size)
    if coordinates == "asymmetric":
        return at / factor
    if region is not None:
        start, end = region
        if width == 1:
            return np.full(size, 0.5 * (start + end) * (length - 1))
        return start * (length - 1) + at * (end - start) * (length - 1) / (width - 1)
    centered = (at + 0.5) / factor - 0.5
    if coordinates == "half_pixel_symmetric":
        return centered + length / 2 * (1 - size / width)
    return np.zeros(size) if coordinates == "pytorch_half_pixel" and size == 1 else centered


def _weighted(at: np.ndarray, stretch: float, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """The places around each position, not yet clamped, and their weights; a stretched kernel has more."""
    radius = 1 if kernel.mode == "linear" else 2
    first = int(np.floor(-radius / stretch)) + 1
    places = np.floor(at).astype(np.int64)[:, None] + np.arange(first, 2 - first)
    distance = np.abs(places - at[:, None]) * stretch
    if kernel.mode == "linear":
        weights = np.maximum(1 - distance, 0)
    else:
        weights = _cubic(distance, kernel.cubic_coeff_a)
    return places, _normalized(weights) if kernel.antialias else weights


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """The cubic convolution kernel of Keys (1981), equation 4."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _normalized(weights: np.ndarray) -> np.ndarray:
    total = weights.sum(1, keepdims=True)
    return weights / np.where(total == 0, 1.0, total)


def integer_limits(dtype: np.dtype) -> tuple[float, float]:
    """The least and the greatest float64 that an integer dtype can hold.

    >>> integer_limits(np.dtype(np.uint8))
    (0.0, 255.0)
    """
    info = np.iinfo(dtype)
    high = float(info.max)
    return float(info.min), high if int(high) <= info.max else float(np.nextafter(high, 0))
