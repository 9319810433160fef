"""The discrete Fourier transforms, none of which scales (family fourier): of complex numbers, of real
ones to half their spectrum, and back. `fourier.py` makes of them what users call.

Source of the names of the directions and halves: `numpy.fft`, whose pocketfft computes the references.
"""

from __future__ import annotations

import numpy as np

from graphflow.errors import ShapeError
from graphflow.ir import dims
from graphflow.ir.dtypes import float32, float64, int64
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.complex import complex_dtype, real_dtype
from graphflow.ops.inference import normalize_axis, only, require_dtype, show


def _axis_attrs(operation):
    def normalize(types, attrs):
        axis = normalize_axis(attrs["axis"], types[0].rank, operation)
        require_points(types[0].shape[axis])
        if "length" in attrs:
            attrs = {**attrs, "length": dims.as_size(attrs["length"])}
            require_points(attrs["length"])
        return {**attrs, "axis": axis}

    return normalize


def require_points(size):
    """Raise a ShapeError for an axis that is known to be empty."""
    if isinstance(size, int) and size < 1:
        raise ShapeError(
            f"a Fourier transform needs at least one point, not {size}", hint="leave out empty tensors"
        )


def _resized_type(type, axis, size, dtype):
    return TensorType(dtype, (*type.shape[:axis], size, *type.shape[axis + 1 :]))


@op(
    "fourier",
    infer=only("complex", lambda types, attrs: (types[0],), "complex_dft"),
    normalize=_axis_attrs("complex_dft"),
)
def complex_dft(x, /, axis=-1, inverse=False):
    """The discrete Fourier transform of n complex numbers: y_k = sum_j x_j e^(-2 pi i j k / n), unscaled.

    Arguments:
        x: complex numbers.
        axis: the axis to transform.
        inverse: turn the sign of the exponent round.

    `numpy.fft.fft`, and `ifft` with norm="forward".

    >>> import graphflow as gf
    >>> from graphflow.ops.dft import complex_dft
    >>> complex_dft(gf.constant([1 + 2j, 3 - 1j])).type
    complex64[2]
    """
    return np.fft.ifft(x, axis=axis, norm="forward") if inverse else np.fft.fft(x, axis=axis)


@complex_dft.gradient
def _(b, node, g):
    return [b.complex_dft(g, **node.attrs)]


def _real_dft_type(types, attrs):
    require_dtype(types[0], (float32, float64), "the operand of real_dft")
    axis, type = attrs["axis"], types[0]
    size = dims.floor_divide(type.shape[axis], 2) + 1
    return (_resized_type(type, axis, size, complex_dtype(type.dtype)),)


@op(
    "fourier",
    infer=only("float", _real_dft_type, "real_dft"),
    normalize=_axis_attrs("real_dft"),
)
def real_dft(x, /, axis=-1):
    """The first half, k = 0 ... n // 2, of the Fourier transform of n real numbers; the rest mirrors it.

    Arguments:
        x: float32 or float64.
        axis: the axis to transform.

    `numpy.fft.rfft`.

    >>> import graphflow as gf
    >>> from graphflow.ops.dft import real_dft
    >>> real_dft(gf.zeros((3, 8))).type
    complex64[3, 5]
    """
    return np.fft.rfft(x, axis=axis)


@real_dft.gradient
def _(b, node, g):
    """sum_k Re(g_k e^(-2 pi i j k / n)): the inverse, of conjugates, does not double what is mirrored."""
    axis = node.attrs["axis"]
    halved = _on_mirrored(b, b.conj(g), axis, node.inputs[0].shape[axis], 0.5)
    return [b.inverse_real_dft(halved, length=node.inputs[0].shape[axis], axis=axis)]


def _on_mirrored(b, x, axis, length, factor):
    """x, those of its points that stand for two of the full spectrum times a factor."""
    count = x.shape[axis]
    place = b.iota(size=count, dtype=int64)
    half = b.multiply(place, 2)
    alone = b.logical_or(b.equal(place, 0), b.equal(half, b.tensor(length, int64)))
    weight = b.where(alone, b.like(1, x), b.like(factor, x))
    return b.multiply(x, b.reshape(weight, shape=(count, *(1,) * (x.ndim - axis - 1))))


def _inverse_type(types, attrs):
    axis, type, length = attrs["axis"], types[0], attrs["length"]
    wanted = dims.floor_divide(length, 2) + 1
    if dims.unify(type.shape[axis], wanted) is None:
        raise ShapeError(
            f"inverse_real_dft to {length} points needs {wanted}, but axis {axis} of shape "
            f"{show(type.shape)} has {type.shape[axis]}",
            hint="gf.fft.irfft cuts or pads them",
        )
    return (_resized_type(type, axis, length, real_dtype(type.dtype)),)


@op(
    "fourier",
    infer=only("complex", _inverse_type, "inverse_real_dft"),
    normalize=_axis_attrs("inverse_real_dft"),
)
def inverse_real_dft(x, /, length, axis=-1):
    """The real numbers whose Fourier transform has this first half, times their number n: n real_dft^-1(x).

    The imaginary parts of x_0, and for even n of the last, count as 0.

    Arguments:
        x: complex numbers, n // 2 + 1 along the axis.
        length: n.
        axis: the axis to transform.

    `numpy.fft.irfft` with norm="forward".

    >>> import graphflow as gf
    >>> from graphflow.ops.dft import inverse_real_dft
    >>> inverse_real_dft(gf.zeros((3, 5), gf.complex64), 9).type
    float32[3, 9]
    """
    return np.fft.irfft(x, length, axis=axis, norm="forward")


@inverse_real_dft.gradient
def _(b, node, g):
    axis = node.attrs["axis"]
    return [_on_mirrored(b, b.conj(b.real_dft(g, axis=axis)), axis, node.attrs["length"], 2)]
