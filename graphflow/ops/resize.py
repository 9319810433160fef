"""Resampling: a tensor on a finer or coarser grid along some axes, and the transposed map, its gradient.

Both are linear maps, one axis after the other; `ops/taps.py` says what each place reads. `gf.nn.resize`
is how users say it: by sizes or scales.
"""

from __future__ import annotations

import math

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir import dims
from graphflow.ir.dims import Dim
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType, as_shape
from graphflow.ops.inference import entries, normalize_axis, real_number, require
from graphflow.ops.taps import (
    COORDINATES,
    CROPPED,
    MODES,
    NEAREST_MODES,
    Kernel,
    Taps,
    integer_limits,
    plan,
)
from graphflow.ops.windows import unify_shapes


def one_of(value, choices, what):
    """The value, if it is among the choices."""
    if not isinstance(value, str) or value not in choices:
        raise AttributeValueError(
            f"{what} is one of {', '.join(map(repr, choices))}, not {value!r:.80}",
            hint="choose one of them",
        )
    return value


def _positive(value, what):
    number = real_number(value, what)
    if not 0 < number < math.inf:
        raise AttributeValueError(f"{what} has to be positive and finite, not {number}")
    return number


def _region(pair):
    bounds = entries(pair)
    if len(bounds) != 2:
        raise AttributeValueError(f"a region is a pair (start, end), not {pair!r:.80}")
    return tuple(real_number(bound, "a bound of a region") for bound in bounds)


def _listed(value, count, what, read):
    """One entry for each axis, each read by `read`; None stays None."""
    if value is None:
        return None
    values = entries(value)
    if len(values) != count:
        raise AttributeValueError(
            f"resample got {len(values)} {what} for {count} axes", hint="pass one for each axis"
        )
    return tuple(None if one is None else read(one) for one in values)


def _size(value):
    size = dims.as_size(value)
    if isinstance(size, int) and size < 0:
        raise AttributeValueError(f"resample cannot make an axis of size {size}", hint="sizes are 0 or more")
    return size


def _canonical(attrs, rank):
    """The attributes checked, with ascending axes."""
    axes = [normalize_axis(axis, rank, "resample") for axis in entries(attrs["axes"])]
    if len(set(axes)) != len(axes):
        raise AttributeValueError(f"resample got an axis twice in {axes}", hint="name each axis once")
    order = sorted(range(len(axes)), key=axes.__getitem__)
    coordinates = one_of(attrs["coordinates"], COORDINATES, "coordinates")
    columns = {
        "axes": tuple(axes),
        "sizes": _listed(attrs["sizes"], len(axes), "sizes", _size),
        "scales": _listed(attrs["scales"], len(axes), "scales", lambda one: _positive(one, "a scale")),
        "regions": _listed(attrs["regions"], len(axes), "regions", _region),
    }
    if columns["sizes"] is None or None in columns["sizes"]:
        raise AttributeValueError("resample needs the sizes of all axes", hint="pass an int for each")
    if (coordinates == CROPPED) != (columns["regions"] is not None):
        raise AttributeValueError(
            "the coordinates 'tf_crop_and_resize' take a region for each axis, and others take none",
            hint="pass regions=((start, end), ...), with 0 and 1 for the whole axis",
        )
    if columns["regions"] is not None:
        columns["regions"] = tuple(pair or (0.0, 1.0) for pair in columns["regions"])
    mode = one_of(attrs["mode"], MODES, "mode")
    if attrs["antialias"] and mode == "nearest":
        raise AttributeValueError("antialias needs the mode 'linear' or 'cubic', not 'nearest'")
    return {
        **attrs,
        **{name: column and tuple(column[at] for at in order) for name, column in columns.items()},
        "mode": mode,
        "coordinates": coordinates,
        "nearest_mode": one_of(attrs["nearest_mode"], NEAREST_MODES, "nearest_mode"),
        "cubic_coeff_a": real_number(attrs["cubic_coeff_a"], "cubic_coeff_a"),
    }


def _resample_attrs(types, attrs):
    value = real_number(attrs["extrapolation_value"], "extrapolation_value")
    return {**_canonical(attrs, types[0].rank), "extrapolation_value": value}


def _require_dtype(dtype, mode):
    if mode != "nearest" and dtype.kind not in ("int", "uint", "float"):
        raise DTypeError(
            f"{mode} interpolation does not take {dtype}", hint="it takes real numbers; use gf.astype"
        )


def _require_places(shape, attrs):
    for axis, size in zip(attrs["axes"], attrs["sizes"]):
        require(
            shape[axis] != 0 or size == 0 or isinstance(size, Dim),
            f"resize cannot make {size} places of axis {axis}, which has size 0",
            "leave out empty tensors",
        )


def _resampled(shape, attrs):
    sizes = list(shape)
    for axis, size in zip(attrs["axes"], attrs["sizes"]):
        sizes[axis] = size
    return tuple(sizes)


def _resample_type(types, attrs):
    (x,) = types
    _require_dtype(x.dtype, attrs["mode"])
    _require_places(x.shape, attrs)
    return (TensorType(x.dtype, _resampled(x.shape, attrs)),)


def kernel_of(attrs):
    """The part of the attributes that is the same for all axes."""
    return Kernel(*[attrs[name] for name in Kernel._fields])


def _widened(x):
    return x.astype(np.float32) if x.dtype.itemsize <= 2 else x


def _along(vector, axis, rank):
    return vector.reshape([-1 if place == axis else 1 for place in range(rank)])


def _read(x, axis, taps: Taps):
    """The sum of what the taps read along an axis."""
    indices, weights, _ = taps
    if weights is None:
        return np.take(x, indices[:, 0], axis)
    total = np.zeros((*x.shape[:axis], len(indices), *x.shape[axis + 1 :]), x.dtype)
    for place, weight in zip(indices.T, weights.T):
        total += np.take(x, place, axis) * _along(weight.astype(x.dtype), axis, x.ndim)
    return total


def _computed(x, steps, attrs):
    """One axis after the other, and then the fixed value wherever one of them left the source."""
    for axis, _, taps in steps:
        x = _read(x, axis, taps)
    for axis, _, taps in steps:
        if taps.outside is not None:
            value = np.asarray(attrs["extrapolation_value"]).astype(x.dtype)
            x = np.where(_along(taps.outside, axis, x.ndim), value, x)
    return x


@op("resize", infer=_resample_type, normalize=_resample_attrs, traits="")
def resample(
    x,
    /,
    axes,
    sizes,
    scales=None,
    regions=None,
    mode="nearest",
    coordinates="half_pixel",
    nearest_mode="round_prefer_floor",
    cubic_coeff_a=-0.75,
    exclude_outside=False,
    antialias=False,
    extrapolation_value=0.0,
):
    """The tensor on another grid: y[i] = sum_k w[i, k] x[p[i, k]] along each of the axes.

    Arguments:
        x: a tensor; real numbers unless the mode is "nearest". Integers are rounded to even, and clamped.
        axes: the axes that change.
        sizes: their sizes in the result, symbolic too.
        scales: what positions are multiplied by; size / (size in x) by default, or where it is None.
        regions: for the coordinates "tf_crop_and_resize" (start, end) of each axis, as parts of it.
        mode, coordinates, nearest_mode, cubic_coeff_a, exclude_outside, antialias, extrapolation_value:
            see `gf.nn.resize`.

    ONNX Resize-19.

    >>> import graphflow as gf
    >>> gf.ops.resize.resample(gf.placeholder("x", ("n", 3, 8)), axes=2, sizes=16, mode="linear").type
    float32[n, 3, 16]
    """
    attrs = {key: value for key, value in locals().items() if key != "x"}
    steps = plan(x.shape, attrs, kernel_of(attrs))
    if mode == "nearest" or not steps:
        return _computed(x, steps, attrs)
    if x.dtype.kind in "iu":
        low, high = integer_limits(x.dtype)
        return np.clip(np.rint(_computed(x.astype(np.float64), steps, attrs)), low, high).astype(x.dtype)
    return _computed(_widened(x), steps, attrs).astype(x.dtype)


_OF_VALUE = ("extrapolation_value",)


@resample.gradient
def _(b, node, g):
    shared = {name: value for name, value in node.attrs.items() if name not in _OF_VALUE}
    return [b.resample_gradient(g, input_shape=node.inputs[0].shape, **shared)]


def _gradient_attrs(types, attrs):
    shape = as_shape(attrs["input_shape"])
    return {**_canonical(attrs, len(shape)), "input_shape": shape}


def _gradient_type(types, attrs):
    (g,), shape = types, attrs["input_shape"]
    if g.dtype.kind not in ("float", "complex"):
        raise DTypeError(f"resample_gradient does not take {g.dtype}", hint="convert with gf.astype")
    _require_places(shape, attrs)
    unify_shapes(g.shape, _resampled(shape, attrs), "resample_gradient: g has not the resampled shape")
    return (TensorType(g.dtype, shape),)


def transposed_plan(attrs):
    """The steps of the transposed map, in the order in which they undo those of `resample`."""
    steps = plan(attrs["input_shape"], attrs, kernel_of(attrs))
    return [(axis, length, taps.transposed(length)) for axis, length, taps in reversed(steps)]


@op("resize", infer=_gradient_type, normalize=_gradient_attrs, traits="")
def resample_gradient(
    g,
    /,
    input_shape,
    axes,
    sizes,
    scales=None,
    regions=None,
    mode="nearest",
    coordinates="half_pixel",
    nearest_mode="round_prefer_floor",
    cubic_coeff_a=-0.75,
    exclude_outside=False,
    antialias=False,
):
    """The gradient of `resample`, its transpose: dx[j] = sum of w[i, k] g[i] over i, k with p[i, k] = j.

    Arguments:
        g: the cotangent of the result.
        input_shape: the shape of what was resampled.
        axes, sizes, scales, regions, mode, coordinates, nearest_mode, cubic_coeff_a, exclude_outside,
            antialias: those of the resampling.

    Returns:
        a tensor of shape `input_shape`.

    >>> import graphflow as gf
    >>> g = gf.placeholder("g", ("n", 3, 16))
    >>> gf.ops.resize.resample_gradient(g, input_shape=(gf.Dim("n"), 3, 8), axes=2, sizes=16).type
    float32[n, 3, 8]
    """
    attrs = {key: value for key, value in locals().items() if key != "g"}
    dx = _widened(g)
    for axis, _, taps in transposed_plan(attrs):
        dx = _read(dx, axis, taps)
    return dx.astype(g.dtype)


@resample_gradient.gradient
def _(b, node, u):
    shared = {name: value for name, value in node.attrs.items() if name != "input_shape"}
    return [b.resample(u, **shared)]
