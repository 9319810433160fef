"""Fourier transforms under the names of the array API: `gf.fft`.

A transform cuts or pads its axis to the length n, and scales as `norm` says:

    norm         transform    inverse
    "backward"   1            1 / n
    "ortho"      1 / sqrt n   1 / sqrt n
    "forward"    1 / n        1

float32 gives complex64, float64 and integers complex128; 16-bit floats have to be converted.
Source: Python array API standard 2024.12, extension `fft`; the meaning is that of `numpy.fft`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import DType, as_dtype, float32, float64, int64
from graphflow.ir.graph import default_graph
from graphflow.ir.node import Tensor
from graphflow.ir.types import TensorType
from graphflow.ops.complex import complex_dtype, conjugate, real_dtype
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.creation import SMALL
from graphflow.ops.dft import require_points
from graphflow.ops.inference import (
    entries,
    normalize_axes,
    normalize_axis,
    real_number,
    require,
    require_dtype,
)

__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn",
    "rfft", "rfftfreq", "rfftn",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)


NORMS = ("backward", "ortho", "forward")

# Lengths and scales


def _floats(b: Builder, x: Tensor) -> Tensor:
    return x if x.dtype.is_differentiable else b.astype(x, dtype=float64)


def _complexes(b: Builder, x: Tensor) -> Tensor:
    x = _floats(b, x)
    return x if x.dtype.kind == "complex" else b.astype(x, dtype=complex_dtype(x.dtype))


def _length(n: Any, size: Size) -> Size:
    """The length that a user gives for an axis of this size; None and -1 leave it."""
    if n is None or (isinstance(n, int) and n == -1):
        return size
    length = dims.as_size(n)
    require_points(length)
    return length


def resized(b: Builder, x: Tensor, axis: int, length: Size) -> Tensor:
    """x with an axis cut, or padded with zeros at its end, to a length."""
    size = x.shape[axis]
    if size == length:
        return x
    missing = dims.maximum(length - size, 0)
    if missing != 0:
        x = b.pad(x, pads=tuple((0, missing if place == axis else 0) for place in range(x.ndim)))
    return x if x.shape[axis] == length else b.slice(x, starts=(0,), stops=(length,), axes=(axis,))


def _scaled(b: Builder, x: Tensor, length: Size, norm: Any, inverse: bool) -> Tensor:
    if not isinstance(norm, str) or norm not in NORMS:
        raise AttributeValueError(f"{norm!r:.80} is no norm", hint="use " + ", ".join(map(repr, NORMS)))
    if norm == ("forward" if inverse else "backward"):
        return x
    if isinstance(length, int):
        return b.multiply(x, 1 / (math.sqrt(length) if norm == "ortho" else length))
    count = b.dimension(size=length, dtype=real_dtype(x.dtype))
    return b.multiply(x, b.rsqrt(count) if norm == "ortho" else b.reciprocal(count))


def _complex_transform(b: Builder, x: Tensor, n: Any, axis: int, norm: Any, inverse: bool) -> Tensor:
    length = _length(n, x.shape[axis])
    made = b.complex_dft(resized(b, x, axis, length), axis=axis, inverse=inverse)
    return _scaled(b, made, length, norm, inverse)


def _to_half(b: Builder, x: Tensor, n: Any, axis: int, norm: Any) -> Tensor:
    length = _length(n, x.shape[axis])
    return _scaled(b, b.real_dft(resized(b, x, axis, length), axis=axis), length, norm, False)


def _from_half(b: Builder, x: Tensor, n: Any, axis: int, norm: Any) -> Tensor:
    length = _length(n, 2 * (x.shape[axis] - 1))
    x = resized(b, x, axis, dims.floor_divide(length, 2) + 1)
    return _scaled(b, b.inverse_real_dft(x, length=length, axis=axis), length, norm, True)


def _swapped(norm: Any) -> Any:
    """The norm of the opposite direction; what is none stays, to be refused."""
    return {"backward": "forward", "forward": "backward"}.get(norm, norm) if isinstance(norm, str) else norm


def _axes_and_lengths(x: Tensor, s: Any, axes: Any, name: str) -> list[tuple[int, Any]]:
    """The axes to transform with the lengths given for them, as of numpy.fft.fftn."""
    lengths = None if s is None else entries(s)
    if axes is None:
        count = x.ndim if lengths is None else len(lengths)
        require(count <= x.ndim, f"{name} got {count} lengths for a tensor of rank {x.ndim}")
        axes = range(x.ndim - count, x.ndim)
    places = [normalize_axis(axis, x.ndim, name) for axis in entries(axes)]
    if len(set(places)) != len(places):
        raise AttributeValueError(f"{name} got an axis twice in {entries(axes)}", hint="name each axis once")
    if lengths is not None and len(lengths) != len(places):
        raise AttributeValueError(f"{name} got {len(lengths)} lengths for {len(places)} axes")
    return list(zip(places, lengths or (None,) * len(places)))


# One axis


@composite
def fft(x: Any, n: Any = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The discrete Fourier transform along an axis: y_k = sum_j x_j e^(-2 pi i j k / n), for k < n.

    Arguments:
        x: complex or real numbers.
        n: the length, to which the axis is cut or padded with zeros; its own by default.
        axis: the axis to transform.
        norm: how it is scaled: "backward", "ortho" or "forward"; see the module.

    Array API `fft.fft`.

    >>> import graphflow as gf
    >>> gf.fft.fft(gf.placeholder("x", ("batch", 6)), n=8).type
    complex64[batch, 8]
    """
    b, x = with_tensor(x)
    place = normalize_axis(axis, x.ndim, "fft")
    return _complex_transform(b, _complexes(b, x), n, place, norm, False)


@composite
def ifft(x: Any, n: Any = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `fft`: y_j = (1 / n) sum_k x_k e^(2 pi i j k / n). Array API `fft.ifft`.

    >>> import graphflow as gf
    >>> gf.fft.ifft(gf.zeros(8, gf.complex64)).type
    complex64[8]
    """
    b, x = with_tensor(x)
    place = normalize_axis(axis, x.ndim, "ifft")
    return _complex_transform(b, _complexes(b, x), n, place, norm, True)


@composite
def rfft(x: Any, n: Any = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The points k = 0 ... n // 2 of the Fourier transform of real numbers; the others mirror them.

    Arguments as of `fft`. Array API `fft.rfft`.

    >>> import graphflow as gf
    >>> gf.fft.rfft(gf.placeholder("x", ("batch", 6))).type
    complex64[batch, 4]
    """
    b, x = with_tensor(x)
    return _to_half(b, _floats(b, x), n, normalize_axis(axis, x.ndim, "rfft"), norm)


@composite
def irfft(x: Any, n: Any = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `rfft`: n real numbers from the n // 2 + 1 first points of their transform.

    Arguments as of `fft`, but n is 2 (m - 1) by default for an axis of size m, as if it had been even.
    Array API `fft.irfft`.

    >>> import graphflow as gf
    >>> gf.fft.irfft(gf.zeros(5, gf.complex64)).type, gf.fft.irfft(gf.zeros(5, gf.complex64), n=9).type
    (float32[8], float32[9])
    """
    b, x = with_tensor(x)
    return _from_half(b, _complexes(b, x), n, normalize_axis(axis, x.ndim, "irfft"), norm)


@composite
def hfft(x: Any, n: Any = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The Fourier transform, which is real, of n numbers that mirror their conjugates, from n // 2 + 1.

    Arguments as of `irfft`. Array API `fft.hfft`.

    >>> import graphflow as gf
    >>> gf.fft.hfft(gf.zeros(5, gf.complex64)).type
    float32[8]
    """
    b, x = with_tensor(x)
    x = conjugate(b, _complexes(b, x))
    return _from_half(b, x, n, normalize_axis(axis, x.ndim, "hfft"), _swapped(norm))


@composite
def ihfft(x: Any, n: Any = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `hfft`: n // 2 + 1 numbers from n real ones. Array API `fft.ihfft`.

    >>> import graphflow as gf
    >>> gf.fft.ihfft(gf.zeros(8)).type
    complex64[5]
    """
    b, x = with_tensor(x)
    place = normalize_axis(axis, x.ndim, "ihfft")
    return b.conj(_to_half(b, _floats(b, x), n, place, _swapped(norm)))


# Several axes


@composite
def fftn(x: Any, s: Any = None, axes: Any = None, norm: str = "backward") -> Tensor:
    """The Fourier transform along several axes, one after the other. Array API `fft.fftn`.

    Arguments:
        x: complex or real numbers.
        s: the length of each axis, -1 for its own; all their own by default.
        axes: the axes to transform; the last len(s) by default, all without s.
        norm: as of `fft`.

    >>> import graphflow as gf
    >>> gf.fft.fftn(gf.placeholder("x", ("batch", 6, 6)), s=(8, 4)).type
    complex64[batch, 8, 4]
    """
    b, x = with_tensor(x)
    return _along(b, _complexes(b, x), _axes_and_lengths(x, s, axes, "fftn"), norm, False)


@composite
def ifftn(x: Any, s: Any = None, axes: Any = None, norm: str = "backward") -> Tensor:
    """The inverse of `fftn`, with its arguments. Array API `fft.ifftn`.

    >>> import graphflow as gf
    >>> gf.fft.ifftn(gf.zeros((3, 8), gf.complex64)).type
    complex64[3, 8]
    """
    b, x = with_tensor(x)
    return _along(b, _complexes(b, x), _axes_and_lengths(x, s, axes, "ifftn"), norm, True)


@composite
def rfftn(x: Any, s: Any = None, axes: Any = None, norm: str = "backward") -> Tensor:
    """The Fourier transform of real numbers along several axes, of the last of which half is kept.

    Arguments as of `fftn`. Array API `fft.rfftn`.

    >>> import graphflow as gf
    >>> gf.fft.rfftn(gf.zeros((6, 6))).type
    complex64[6, 4]
    """
    b, x = with_tensor(x)
    *others, (place, length) = _at_least_one(_axes_and_lengths(x, s, axes, "rfftn"), "rfftn")
    return _along(b, _to_half(b, _floats(b, x), length, place, norm), others, norm, False)


@composite
def irfftn(x: Any, s: Any = None, axes: Any = None, norm: str = "backward") -> Tensor:
    """The inverse of `rfftn`; the last length is 2 (m - 1) by default, for an axis of size m.

    Arguments as of `fftn`. Array API `fft.irfftn`.

    >>> import graphflow as gf
    >>> gf.fft.irfftn(gf.zeros((6, 4), gf.complex64)).type
    float32[6, 6]
    """
    b, x = with_tensor(x)
    *others, (place, length) = _at_least_one(_axes_and_lengths(x, s, axes, "irfftn"), "irfftn")
    return _from_half(b, _along(b, _complexes(b, x), others, norm, True), length, place, norm)


def _along(b: Builder, x: Tensor, places: list[tuple[int, Any]], norm: Any, inverse: bool) -> Tensor:
    for place, length in reversed(places):
        x = _complex_transform(b, x, length, place, norm, inverse)
    return x


def _at_least_one(places: list[tuple[int, Any]], name: str) -> list[tuple[int, Any]]:
    require(bool(places), f"{name} needs an axis to transform", "a scalar has none; gf.expand_dims adds one")
    return places


# Frequencies


@composite
def fftfreq(n: Any, d: float = 1.0, dtype: Any = float32) -> Tensor:
    """The frequencies of the points of `fft`: (0, 1, ..., -n // 2, ..., -1) / (n d). Array API `fft.fftfreq`.

    Arguments:
        n: the length of the transform; may be symbolic.
        d: the distance of the samples in time.
        dtype: float32 or float64.

    >>> import graphflow as gf
    >>> gf.fft.fftfreq(8, d=0.1).type
    float32[8]
    """
    b, length, distance, kind = _frequency_arguments(n, d, dtype, "fftfreq")
    if isinstance(length, int) and length <= SMALL:
        return b.constant(value=np.fft.fftfreq(length, distance).astype(kind.numpy), name="fftfreq")
    place = b.iota(size=length, dtype=int64)
    size = b.tensor(length, int64)
    upper = b.greater_equal(b.multiply(place, 2), size)
    signed = b.where(upper, b.subtract(place, size), place)
    return _per_second(b, signed, length, distance, kind)


@composite
def rfftfreq(n: Any, d: float = 1.0, dtype: Any = float32) -> Tensor:
    """The frequencies of the points of `rfft`: (0, 1, ..., n // 2) / (n d). Array API `fft.rfftfreq`.

    >>> import graphflow as gf
    >>> gf.fft.rfftfreq(8, d=0.1).type
    float32[5]
    """
    b, length, distance, kind = _frequency_arguments(n, d, dtype, "rfftfreq")
    if isinstance(length, int) and length <= SMALL:
        return b.constant(value=np.fft.rfftfreq(length, distance).astype(kind.numpy), name="rfftfreq")
    place = b.iota(size=dims.floor_divide(length, 2) + 1, dtype=int64)
    return _per_second(b, place, length, distance, kind)


def _frequency_arguments(n: Any, d: Any, dtype: Any, name: str) -> tuple[Builder, Size, float, DType]:
    length, kind = dims.as_size(n), as_dtype(dtype)
    require_points(length)
    require_dtype(TensorType(kind, ()), (float32, float64), f"the result of {name}")
    distance = real_number(d, f"the distance d of {name}")
    if distance == 0:
        raise AttributeValueError(f"{name} needs a distance other than 0", hint="d is seconds per sample")
    return Builder(default_graph()), length, distance, kind


def _per_second(b: Builder, place: Tensor, length: Size, distance: float, kind: DType) -> Tensor:
    span = b.multiply(b.tensor(length, kind), distance)
    return b.divide(b.astype(place, dtype=kind), span)


@composite
def fftshift(x: Any, axes: Any = None) -> Tensor:
    """Rotate axes so that frequency 0, which a transform puts first, comes to the middle.

    Arguments:
        x: a tensor of any dtype.
        axes: an axis or several; all by default.

    Array API `fft.fftshift`.

    >>> import graphflow as gf
    >>> gf.fft.fftshift(gf.placeholder("x", ("n", 8))).type
    float32[n, 8]
    """
    b, x = with_tensor(x)
    for axis in normalize_axes(axes, x.ndim, "fftshift"):
        size = x.shape[axis]
        x = _rotated(b, x, axis, size - dims.floor_divide(size, 2))
    return x


@composite
def ifftshift(x: Any, axes: Any = None) -> Tensor:
    """The inverse of `fftshift`. Array API `fft.ifftshift`.

    >>> import graphflow as gf
    >>> gf.fft.ifftshift(gf.placeholder("x", ("n", 8)), axes=0).type
    float32[n, 8]
    """
    b, x = with_tensor(x)
    for axis in normalize_axes(axes, x.ndim, "ifftshift"):
        x = _rotated(b, x, axis, dims.floor_divide(x.shape[axis], 2))
    return x


def _rotated(b: Builder, x: Tensor, axis: int, first: Size) -> Tensor:
    """x with the element `first` of an axis at its beginning."""
    size = x.shape[axis]
    if isinstance(size, int):
        return b.roll(x, shift=-first, axis=axis) if size > 1 else x
    ends = [b.slice(x, starts=(a,), stops=(z,), axes=(axis,)) for a, z in ((first, size), (0, first))]
    return b.reshape(b.concat(ends, axis=axis), shape=x.shape)
