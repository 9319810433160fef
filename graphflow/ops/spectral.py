"""Spectra of signals under the names of ONNX: `gf.signal`, windows, transforms of frames, and the mel scale.

ONNX has no complex numbers: here a last axis of size 2 holds a real and an imaginary part, and one
of size 1 a real part alone. `gf.fft` transforms complex tensors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import DType, as_dtype, float32, float64, int64
from graphflow.ir.graph import default_graph
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.creation import SMALL
from graphflow.ops.fourier import fft, ifft, irfft, rfft
from graphflow.ops.inference import normalize_axis, real_number, require, show, whole_number
from graphflow.ops.matrices import at_most

__all__ = ["blackman_window", "dft", "hamming_window", "hann_window", "mel_weight_matrix", "stft"]


def __dir__() -> list[str]:
    return sorted(__all__)


# Windows


def _window(name: str, size: Any, periodic: Any, dtype: Any, weights: tuple[float, ...]) -> Tensor:
    """sum_m weights_m cos(2 pi m i / n) for i < size, with n = size, or size - 1 if symmetric."""
    length, kind = dims.as_size(size), as_dtype(dtype)
    if not kind.is_floating and not kind.is_integer:
        raise DTypeError(f"{name} cannot be {kind}", hint="use a real floating dtype, or an integer one")
    if not isinstance(periodic, (bool, int, np.bool_)) or periodic not in (0, 1):
        raise AttributeValueError(f"{name} needs True or False as periodic, not {periodic!r:.80}")
    b = Builder(default_graph())
    require(not isinstance(length, int) or length >= 0, f"{name} needs a size of at least 0, not {length}")
    if isinstance(length, int) and length <= SMALL:
        turns = np.arange(length) / max(length if periodic else length - 1, 1)
        waves = [weight * np.cos(2 * np.pi * m * turns) for m, weight in enumerate(weights)]
        fixed = np.ones(1) if length == 1 and not periodic else np.sum(waves, axis=0)
        return b.constant(value=fixed.astype(kind.numpy), name=name)
    count = b.tensor(dims.maximum(length if periodic else length - 1, 1), float64)
    turns = b.divide(b.iota(size=length, dtype=float64), count)
    made = b.full_like(weights[0], turns)
    for m, weight in enumerate(weights[1:], 1):
        made = b.add(made, b.multiply(b.cos(b.multiply(turns, 2 * math.pi * m)), weight))
    if not periodic:
        made = b.where(b.equal(b.tensor(length, int64), 1), b.like(1.0, made), made)
    return b.astype(made, dtype=kind)


@composite
def hann_window(size: Any, periodic: bool = True, dtype: Any = float32) -> Tensor:
    """The Hann window: w_i = sin^2(pi i / n), n = size, or size - 1 if not periodic. ONNX HannWindow-17.

    Arguments:
        size: how many points; may be symbolic.
        periodic: for spectra; otherwise it is symmetric, for filters. One symmetric point is 1.
        dtype: that of the result; float32 by default.

    >>> import graphflow as gf
    >>> gf.signal.hann_window(16).type
    float32[16]
    """
    return _window("hann_window", size, periodic, dtype, (0.5, -0.5))


@composite
def hamming_window(size: Any, periodic: bool = True, dtype: Any = float32) -> Tensor:
    """The Hamming window: w_i = 25/46 - 21/46 cos(2 pi i / n). ONNX HammingWindow-17.

    Arguments as of `hann_window`.

    >>> import graphflow as gf
    >>> gf.signal.hamming_window(16, periodic=False).type
    float32[16]
    """
    return _window("hamming_window", size, periodic, dtype, (25 / 46, -21 / 46))


@composite
def blackman_window(size: Any, periodic: bool = True, dtype: Any = float32) -> Tensor:
    """The Blackman window: w_i = 0.42 - 0.5 cos(2 pi i / n) + 0.08 cos(4 pi i / n). ONNX BlackmanWindow-17.

    Arguments as of `hann_window`.

    >>> import graphflow as gf
    >>> gf.signal.blackman_window(16, dtype=gf.float64).type
    float64[16]
    """
    return _window("blackman_window", size, periodic, dtype, (0.42, -0.5, 0.08))


# Transforms


def _joined(b: Builder, x: Tensor, name: str) -> Tensor:
    """The numbers whose parts the last axis holds: complex ones for two, real ones for one."""
    require(
        x.ndim >= 2 and x.shape[-1] in (1, 2),
        f"{name} needs a last axis of size 1 (real) or 2 (complex), but got shape {show(x.shape)}",
        "gf.expand_dims(x, -1) adds that of real numbers; gf.fft takes complex tensors",
    )
    if not x.dtype.is_floating:
        raise DTypeError(f"{name} does not take {x.dtype}", hint="convert to a float with gf.astype")
    last = x.ndim - 1
    parts = [
        b.squeeze(b.slice(x, starts=(i,), stops=(i + 1,), axes=(last,)), axis=last)
        for i in range(2)
        if x.shape[-1] == 2 or i == 0
    ]
    return parts[0] if len(parts) == 1 else b.complex(*parts)


def _parted(b: Builder, x: Tensor) -> Tensor:
    """The parts of numbers on a new last axis."""
    parts = [b.real(x), b.imag(x)] if x.dtype.kind == "complex" else [x]
    return b.concat([b.expand_dims(part, axis=-1) for part in parts], axis=-1)


@composite
def dft(
    x: Any, dft_length: Any = None, axis: int = -2, inverse: bool = False, onesided: bool = False
) -> Tensor:
    """The discrete Fourier transform along an axis: y_k = sum_j x_j e^(-2 pi i j k / n). ONNX DFT-20.

    Arguments:
        x: float32 or float64 [..., 1] of real, or [..., 2] of complex numbers.
        dft_length: n, to which the axis is cut or padded with zeros; its own by default, and
            2 (m - 1) for the onesided inverse of an axis of size m.
        axis: the axis to transform, not the last.
        inverse: x_j = (1 / n) sum_k y_k e^(2 pi i j k / n) instead.
        onesided: give only k <= n // 2, of real numbers; inverse, take those and give real numbers.

    Returns:
        [..., 2]; for the onesided inverse [..., 1].

    >>> import graphflow as gf
    >>> gf.signal.dft(gf.placeholder("x", ("batch", 16, 1)), onesided=True).type
    float32[batch, 9, 2]
    """
    b, x = with_tensor(x)
    place = normalize_axis(axis, x.ndim, "dft")
    if place == x.ndim - 1:
        raise AttributeValueError(
            f"dft cannot transform axis {axis}, which holds real and imaginary parts", hint="use axis=-2"
        )
    numbers = _joined(b, x, "dft")
    if onesided and not inverse:
        if numbers.dtype.kind == "complex":
            raise AttributeValueError("dft of complex numbers has no mirror", hint="use onesided=False")
        return _parted(b, rfft(numbers, dft_length, place))
    if onesided:
        return _parted(b, irfft(numbers, dft_length, place))
    return _parted(b, (ifft if inverse else fft)(numbers, dft_length, place))


def _frame_length(window: Tensor | None, frame_length: Any, length: Size) -> Size:
    if window is not None:
        require(window.ndim == 1, f"stft needs a vector as window, but got shape {show(window.shape)}")
    if frame_length is None:
        return length if window is None else window.shape[0]
    size = dims.as_size(frame_length)
    if window is not None and dims.unify(window.shape[0], size) is None:
        raise AttributeValueError(
            f"stft got a window of {window.shape[0]} points for frames of {size}",
            hint="leave one out",
        )
    return size


@composite
def stft(
    signal: Any, frame_step: int, window: Any = None, frame_length: Any = None, onesided: bool = True
) -> Tensor:
    """The Fourier transforms of overlapping frames of a signal, each times a window. ONNX STFT-17.

    Frame t holds the points from t frame_step on; those that would reach past the end are left out.

    Arguments:
        signal: float32 or float64 [batch, length, 1] of real, or [batch, length, 2] of complex numbers.
        frame_step: the distance between the beginnings of frames.
        window: the factors [frame_length]; ones by default.
        frame_length: the points of a frame; those of the window, or of the signal, by default.
        onesided: give only the first frame_length // 2 + 1 points, for real signals.

    Returns:
        [batch, frames, points, 2].

    >>> import graphflow as gf
    >>> gf.signal.stft(gf.placeholder("x", ("batch", 400, 1)), 80, gf.signal.hann_window(160)).type
    float32[batch, 4, 81, 2]
    """
    b, tensors = with_tensors(signal, *([] if window is None else [window]))
    signal, window = tensors[0], tensors[1] if len(tensors) > 1 else None
    require(signal.ndim == 3, f"stft needs [batch, length, 1 or 2], but got shape {show(signal.shape)}")
    step = whole_number(frame_step, "the frame_step of stft", 1)
    length = signal.shape[1]
    size = _frame_length(window, frame_length, length)
    require(
        at_most(1, size) is not False and at_most(size, length) is not False,
        f"stft cannot cut frames of {size} points out of a signal of {length}",
    )
    numbers = _joined(b, signal, "stft")
    if onesided and numbers.dtype.kind == "complex":
        raise AttributeValueError("stft of complex numbers has no mirror", hint="use onesided=False")
    count = dims.floor_divide(length - size, step) + 1
    begin = b.expand_dims(b.multiply(b.iota(size=count, dtype=int64), step), axis=1)
    places = b.add(begin, b.expand_dims(b.iota(size=size, dtype=int64), axis=0))
    frames = b.take(numbers, places, axis=1)
    if window is not None:
        frames = b.multiply(frames, b.astype(window, dtype=signal.dtype))
    return _parted(b, (rfft if onesided else fft)(frames))


# The mel scale


def _edges(bins: int, length: int, rate: int, low: float, high: float) -> np.ndarray:
    """The points of the spectrum at which the triangles begin, peak and end."""
    bottom, top = (2595 * np.log10(1 + hertz / 700) for hertz in (low, high))
    mels = bottom + np.arange(bins + 2) * (top - bottom) / (bins + 2)
    hertz = 700 * (10.0 ** (mels / 2595) - 1)
    return np.floor((length + 1) * hertz / rate).astype(np.int64)


@composite
def mel_weight_matrix(
    num_mel_bins: int,
    dft_length: int,
    sample_rate: int,
    lower_edge_hertz: float,
    upper_edge_hertz: float,
    dtype: Any = float32,
) -> Tensor:
    """Weights that sum the points of a spectrum into bands of equal width in mel. ONNX MelWeightMatrix-17.

    The bands are triangles of height 1 on the scale mel(f) = 2595 log10(1 + f / 700).

    Arguments:
        num_mel_bins: the number of bands.
        dft_length: the length of the transform, of which dft_length // 2 + 1 points are kept.
        sample_rate: in samples a second.
        lower_edge_hertz, upper_edge_hertz: the range of frequencies.
        dtype: that of the result; float32 by default.

    Returns:
        [dft_length // 2 + 1, num_mel_bins], to multiply a spectrum with from the right.

    >>> import graphflow as gf
    >>> gf.signal.mel_weight_matrix(8, 64, 16000, 0, 8000).type
    float32[33, 8]
    """
    bins = whole_number(num_mel_bins, "num_mel_bins", 0)
    length = whole_number(dft_length, "dft_length", 1)
    rate = whole_number(sample_rate, "sample_rate", 1)
    low = real_number(lower_edge_hertz, "lower_edge_hertz", 0)
    high = real_number(upper_edge_hertz, "upper_edge_hertz", low)
    points, kind = length // 2 + 1, _mel_dtype(dtype)
    require(bins * points <= 2**24, f"mel weights of {points} x {bins} are too many to be a constant")
    require(high <= rate, f"upper_edge_hertz = {high:g} lies above the sample rate of {rate}")
    edges = _edges(bins, length, rate, low, high)
    require(
        bins == 0 or int(edges[-2]) < points,
        f"the bands up to {high:g} Hz reach past point {points - 1}, the last of the spectrum",
        f"use an upper_edge_hertz of at most {rate / 2:g}, half the sample rate",
    )
    return Builder(default_graph()).constant(
        value=_triangles(edges, points).astype(kind.numpy), name="mel_weight_matrix"
    )


def _mel_dtype(dtype: Any) -> DType:
    kind = as_dtype(dtype)
    if not kind.is_floating and not kind.is_integer:
        raise DTypeError(f"a mel_weight_matrix cannot be {kind}", hint="use a real floating dtype")
    return kind


def _triangles(edges: np.ndarray, points: int) -> np.ndarray:
    """A column for each band; a rise, or a fall, of no width is left out, but the peak is 1."""
    left, peak, right = edges[:-2], edges[1:-1], edges[2:]
    place = np.arange(points)[:, None]
    rise = (place - left) / np.maximum(peak - left, 1)
    fall = (right - place) / np.maximum(right - peak, 1)
    rising = (place >= left) & (place < peak)
    falling = (place > peak) & (place < right)
    return np.where(place == peak, 1.0, np.where(rising, rise, np.where(falling, fall, 0.0)))
