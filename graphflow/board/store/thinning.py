"""Curves with fewer points that look the same: which points to keep."""

from __future__ import annotations

import numpy as np

from graphflow.errors import AttributeValueError

METHODS = ("minmax", "lttb", "last", "spread")


def kept_points(steps: np.ndarray, values: np.ndarray, most: int, method: str = "minmax") -> np.ndarray:
    """The positions of at most `most` points, ascending.

    Arguments:
        steps, values: of the curve.
        most: 2 or more.
        method: "minmax" keeps the smallest and the largest value of each bucket, so that no peak is lost,
            and the first NaN or infinity; "lttb" the points that make the largest triangles (Steinarsson,
            Downsampling Time Series for Visual Representation, 2013); "last" the last ones; "spread" every
            n-th. All but "last" keep the first and the last point.

    Raises:
        AttributeValueError: for another method, or fewer than 2 points.

    >>> kept_points(np.arange(8), np.array([0, 1, 9, 1, 1, -9, 1, 0.0]), 6).tolist()
    [0, 1, 2, 4, 5, 7]
    """
    if method not in METHODS:
        raise AttributeValueError(f"{method!r:.40} is no way to thin out", hint="use " + ", ".join(METHODS))
    if most < 2:
        raise AttributeValueError(f"a curve of {most!r} points shows nothing", hint="keep 2 or more")
    count = values.size
    if count <= most:
        return np.arange(count)
    if method == "last":
        return np.arange(count - most, count)
    if method == "spread" or most < 5:
        return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))
    return _extremes(values, most) if method == "minmax" else _triangles(steps, values, most)


def _extremes(values: np.ndarray, most: int) -> np.ndarray:
    """First and last, and of each bucket between them the smallest, the largest, the first non-finite."""
    inner = values[1:-1]
    finite = np.isfinite(inner)
    each = 2 if finite.all() else 3
    borders = np.linspace(0, inner.size, max((most - 2) // each, 1) + 1).astype(np.int64)
    starts = borders[:-1]
    low = _first_where(inner, np.where(finite, inner, np.inf), starts, np.minimum)
    high = _first_where(inner, np.where(finite, inner, -np.inf), starts, np.maximum)
    ends = np.array([0, values.size - 1])
    parts = [ends, low + 1, high + 1]
    if each == 3:
        odd = np.flatnonzero(~finite)
        bucket = np.searchsorted(borders, odd, side="right")
        parts.append(odd[np.unique(bucket, return_index=True)[1]] + 1)
    return np.unique(np.concatenate(parts))


def _first_where(inner: np.ndarray, filled: np.ndarray, starts: np.ndarray, ufunc: np.ufunc) -> np.ndarray:
    """The first position in each bucket that has the bucket's extreme value."""
    sizes = np.diff(starts, append=inner.size)
    best = np.repeat(ufunc.reduceat(filled, starts), sizes)
    hits = np.flatnonzero(filled == best)
    bucket = np.searchsorted(starts, hits, side="right")
    return hits[np.unique(bucket, return_index=True)[1]]


def _triangles(steps: np.ndarray, values: np.ndarray, most: int) -> np.ndarray:
    at = steps.astype(np.float64)
    what = np.where(np.isfinite(values), values, 0.0)
    scale = max(float(np.abs(what).max()), 1e-300)
    what = what / scale
    borders = np.linspace(1, values.size - 1, most - 1).astype(np.int64)
    chosen = [0]
    for number in range(most - 2):
        begin, end = int(borders[number]), int(borders[number + 1])
        after = int(borders[number + 2]) if number + 2 < borders.size else values.size
        last = chosen[-1]
        middle, height = at[end:after].mean(), what[end:after].mean()
        area = np.abs(
            (at[last] - middle) * (what[begin:end] - what[last])
            - (at[last] - at[begin:end]) * (height - what[last])
        )
        chosen.append(begin + int(np.argmax(area)))
    return np.array([*chosen, values.size - 1])
