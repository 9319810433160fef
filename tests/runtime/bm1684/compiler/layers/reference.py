"""What the layers compute, in doubles: written for plainness, one element of the kernel at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from graphflow.runtime.bm1684.compiler.layers.window import NO_PADS, ONE
from graphflow.runtime.bm1684.isa import Pads, Window


def padded(x: np.ndarray, pads: Pads, fill: float = 0.0) -> np.ndarray:
    around = ((0, 0), (0, 0), (pads.top, pads.bottom), (pads.left, pads.right))
    return np.pad(x.astype(np.float64), around, constant_values=fill)


def taps(
    x: np.ndarray, kernel: tuple[int, int], strides: Window, dilation: Window = ONE
) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """For each element of the kernel, what it meets of a padded input."""
    rows = (x.shape[2] - (kernel[0] - 1) * dilation.h - 1) // strides.h + 1
    columns = (x.shape[3] - (kernel[1] - 1) * dilation.w - 1) // strides.w + 1
    for row, column in np.ndindex(*kernel):
        top, left = row * dilation.h, column * dilation.w
        met = x[:, :, top : top + rows * strides.h : strides.h, left : left + columns * strides.w : strides.w]
        yield (row, column), met[:, :, :rows, :columns]


def convolved(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None = None,
    strides: Window = ONE,
    pads: Pads = NO_PADS,
    dilation: Window = ONE,
    groups: int = 1,
) -> np.ndarray:
    made, taken = len(weights) // groups, weights.shape[1]
    total = []
    for group in range(groups):
        part = padded(x[:, group * taken : (group + 1) * taken], pads)
        factor = weights[group * made : (group + 1) * made].astype(np.float64)
        total.append(
            sum(
                np.einsum("nihw,oi->nohw", met, factor[:, :, row, column])
                for (row, column), met in taps(part, weights.shape[2:], strides, dilation)
            )
        )
    return np.concatenate(total, 1) + (0 if bias is None else bias.astype(np.float64)[:, None, None])


def transposed(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    strides: Window,
    pads: Pads,
    dilation: Window,
    groups: int,
    more: Window,
) -> np.ndarray:
    """Every element of the input adds the kernel to the result, which is cropped in the end."""
    n, inputs, h, w = x.shape
    made, (height, width) = weights.shape[1], weights.shape[2:]
    shape = (
        (h - 1) * strides.h + (height - 1) * dilation.h + 1 + more.h,
        (w - 1) * strides.w + (width - 1) * dilation.w + 1 + more.w,
    )
    total = np.zeros((n, made * groups, *shape))
    for i, k, m in np.ndindex(inputs, h, w):
        first = i // (inputs // groups) * made
        for row, column in np.ndindex(height, width):
            at = k * strides.h + row * dilation.h, m * strides.w + column * dilation.w
            added = x[:, i, k, m, None].astype(np.float64) * weights[i, :, row, column]
            total[:, first : first + made, at[0], at[1]] += added
    rows, columns = shape[0] - pads.bottom, shape[1] - pads.right
    return total[:, :, pads.top : rows, pads.left : columns] + bias[:, None, None]


def largest(x: np.ndarray, kernel: Window, strides: Window, pads: Pads) -> np.ndarray:
    met = [part for _, part in taps(padded(x, pads, -np.inf), kernel, strides)]
    return np.max(met, axis=0)


def mean(x: np.ndarray, kernel: Window, strides: Window, pads: Pads, counted: Pads) -> np.ndarray:
    """The sum over what each window sees, by how many elements of it count."""
    counts = np.zeros_like(padded(x[:1, :1], pads))
    counts[
        :,
        :,
        pads.top - counted.top : pads.top + x.shape[2] + counted.bottom,
        pads.left - counted.left : pads.left + x.shape[3] + counted.right,
    ] = 1
    total = sum(met for _, met in taps(padded(x, pads), kernel, strides))
    return np.asarray(total / sum(met for _, met in taps(counts, kernel, strides)))
