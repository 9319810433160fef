"""Images made larger or smaller: resized by interpolation, or cropped and padded around their centre."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.dims import Size
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import entries, normalize_axis, real_number, require, show
from graphflow.ops.resize import one_of

POLICIES = ("stretch", "not_larger", "not_smaller")
_SIMPLE = 1000
"""The largest denominator of a scale that is taken for a fraction rounded to a float."""


@composite
def resize(
    x: Any,
    sizes: Any = None,
    scales: Any = None,
    mode: str = "nearest",
    coordinates: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    extrapolation_value: float = 0.0,
    axes: Any = None,
    regions: Any = None,
    keep_aspect_ratio_policy: str = "stretch",
) -> Tensor:
    """The tensor on a finer or coarser grid: y[i] = sum_k w_k(p(i)) x[k], along one axis after the other.

    p(i) is where place i of the result lies in x, and the weights w_k are those of the places around it.
    With s = scale and n, m the sizes of an axis in x and in the result, `coordinates` says that p(i) is

    - half_pixel: (i + 0.5) / s - 0.5; pytorch_half_pixel is the same, but 0 for m = 1
    - half_pixel_symmetric: that, shifted by n/2 (1 - m / (s n)), so that the centres coincide
    - align_corners: i (n - 1) / (m - 1), so that the outermost places coincide
    - asymmetric: i / s
    - tf_crop_and_resize: (n - 1) (start + i (end - start) / (m - 1)), or the middle of the region for m = 1

    Arguments:
        x: a tensor; real numbers unless the mode is "nearest". Integers are rounded to even, and clamped.
        sizes: those of the resized axes in the result, symbolic too; or one for all spatial axes.
        scales: instead of sizes, the factors by which they grow: m = floor(n s), with s taken for the
            fraction that it stands for (0.1 for 1/10).
        mode: "nearest", "linear" or "cubic".
        coordinates: see above.
        nearest_mode: how positions are rounded: "round_prefer_floor", "round_prefer_ceil" (they differ in
            the middle of two places), "floor" or "ceil".
        cubic_coeff_a: the coefficient of the cubic kernel; -0.5 in TensorFlow.
        exclude_outside: leave out the weights of places outside, and divide by the sum of the others;
            otherwise such a place has the value of the outermost.
        antialias: where an axis shrinks, widen the kernel so that all places count.
        extrapolation_value: what positions outside of x get with tf_crop_and_resize.
        axes: those that sizes or scales are for; the last ones by default, and for a single number all
            but the first two.
        regions: for tf_crop_and_resize, (start, end) of each axis as parts of it: (0, 1) for the whole.
        keep_aspect_ratio_policy: "stretch" to the sizes, or scale all axes alike by the smallest
            ("not_larger") or largest ("not_smaller") scale that they ask for.

    Raises:
        AttributeValueError: unless exactly one of sizes and scales is given, for each axis.
        DTypeError: for other than real numbers in the modes "linear" and "cubic".
        ShapeError: where an empty axis should grow, or an aspect ratio has symbolic sizes.

    ONNX Resize-19, whose roi is given by axis here; Upsample-10 is nearest_mode="floor" and
    coordinates="asymmetric".

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("n", 3, 32, 32))
    >>> gf.nn.resize(x, (64, 48), mode="linear").type, gf.nn.resize(x, scales=0.5).type
    (float32[n, 3, 64, 48], float32[n, 3, 16, 16])
    """
    b, x = with_tensor(x)
    one_of(keep_aspect_ratio_policy, POLICIES, "keep_aspect_ratio_policy")
    if (sizes is None) == (scales is None):
        raise AttributeValueError("resize takes either sizes or scales", hint="pass one of them")
    given, places = _by_axis(x.shape, scales if sizes is None else sizes, axes)
    if sizes is None:
        factors: Any = tuple(_scale(one) for one in given)
        made = tuple(scaled(x.shape[axis], factor) for axis, factor in zip(places, factors))
    else:
        made, factors = _fitted(x.shape, places, given, keep_aspect_ratio_policy)
    return b.resample(
        x,
        axes=places,
        sizes=made,
        scales=factors,
        regions=regions,
        mode=mode,
        coordinates=coordinates,
        nearest_mode=nearest_mode,
        cubic_coeff_a=cubic_coeff_a,
        exclude_outside=exclude_outside,
        antialias=antialias,
        extrapolation_value=extrapolation_value,
    )


def _by_axis(shape: Shape, value: Any, axes: Any) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Sizes or scales, and the axes that they are for."""
    rank, given = len(shape), entries(value)
    alike = given == (value,)
    if axes is not None:
        places = tuple(normalize_axis(axis, rank, "resize") for axis in entries(axes))
    else:
        fits = rank > 2 if alike else len(given) <= rank
        require(
            fits,
            f"resize got {value!r:.80} for a tensor of shape {show(shape)}",
            "pass a size or scale for each of the last axes, or one number for all but the first two",
        )
        places = tuple(range(2 if alike else rank - len(given), rank))
    given = given * len(places) if alike else given
    if len(given) != len(places):
        raise AttributeValueError(
            f"resize got {len(given)} sizes or scales for {len(places)} axes", hint="pass one for each axis"
        )
    return given, places


def _scale(value: Any) -> float:
    scale = real_number(value, "a scale of resize")
    if not 0 < scale < float("inf"):
        raise AttributeValueError(f"a scale of resize has to be positive and finite, not {scale}")
    return scale


def scaled(size: Size, scale: float) -> Size:
    """floor(size * scale); a scale that is a rounded simple fraction counts as that fraction.

    >>> scaled(10, 0.7), scaled(dims.Dim("n"), 1.5)
    (7, (3*n)//2)
    """
    exact = Fraction(scale)
    simple = exact.limit_denominator(_SIMPLE)
    meant = simple if abs(simple - exact) <= exact / 2**24 else exact
    return size * meant.numerator // meant.denominator


def _fitted(shape: Shape, places: tuple[int, ...], sizes: Any, policy: str) -> tuple[Any, Any]:
    """The sizes to make, and the scales where they are not what the sizes say."""
    wanted = tuple(map(dims.as_size, sizes))
    if policy == "stretch":
        return wanted, None
    pairs = [(size, shape[axis]) for size, axis in zip(wanted, places)]
    fixed = [(a, n) for a, n in pairs if isinstance(a, int) and isinstance(n, int) and a > 0 and n > 0]
    if len(fixed) != len(pairs) or not fixed:
        raise ShapeError(
            f"resize cannot keep the aspect ratio of {show(shape)} at sizes {show(wanted)}",
            hint="it needs fixed sizes of at least 1; pass scales instead",
        )
    ratios = [Fraction(*pair) for pair in fixed]
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    made = tuple(int((2 * size * ratio + 1) // 2) for _, size in fixed)
    return made, (float(ratio),) * len(places)


@composite
def upsample(x: Any, scale: Any = 2, mode: str = "nearest", align_corners: bool = False) -> Tensor:
    """The spatial axes grown by a factor: each place repeated, or interpolated.

    Arguments:
        x: [batch, channels, *spatial].
        scale: a number, or one for each spatial axis; the new sizes are rounded down.
        mode: "nearest", "linear" (bilinear for images) or "cubic".
        align_corners: let the outermost places keep their values; otherwise places are small areas, and
            the corners of the whole area coincide.

    Returns:
        [batch, channels, *spatial * scale].

    Raises:
        ShapeError, AttributeValueError: if x has no spatial axes or the scale does not fit.

    PyTorch `Upsample`; see `gf.nn.resize` for all there is to choose.

    >>> import graphflow as gf
    >>> gf.nn.upsample(gf.placeholder("x", ("n", 8, "h", 16)), 2).type
    float32[n, 8, 2*h, 32]
    """
    x = with_tensor(x)[1]
    require(
        x.ndim > 2,
        f"upsample needs an input of batch, channels and spatial axes, not of shape {show(x.shape)}",
        "add missing axes with gf.expand_dims",
    )
    if not isinstance(align_corners, bool):
        raise AttributeValueError(f"align_corners is True or False, not {align_corners!r:.80}")
    spatial = tuple(range(2, x.ndim))
    coordinates = "align_corners" if align_corners else "half_pixel"
    return resize(x, scales=scale, axes=spatial, mode=mode, coordinates=coordinates)


@composite
def center_crop_pad(x: Any, shape: Any, axes: Any = None) -> Tensor:
    """x cut, or filled up with zeros, to the given sizes, with its centre kept in place.

    y[i] = x[i + floor((n - m) / 2)] for an axis of n places that gets m < n; for m > n there are
    floor((m - n) / 2) zeros before it, and the rest behind.

    Arguments:
        x: a tensor of any dtype.
        shape: the sizes of the axes in the result; symbolic too.
        axes: which axes they are for; all by default.

    Raises:
        ShapeError, AttributeValueError: if sizes and axes do not fit.

    ONNX CenterCropPad-18.

    >>> import graphflow as gf
    >>> gf.nn.center_crop_pad(gf.placeholder("x", ("n", 3, 20, 30)), (24, 24), axes=(2, 3)).type
    float32[n, 3, 24, 24]
    """
    b, x = with_tensor(x)
    wanted = tuple(map(dims.as_size, entries(shape)))
    listed = range(x.ndim) if axes is None else entries(axes)
    places = [normalize_axis(axis, x.ndim, "center_crop_pad") for axis in listed]
    if len(wanted) != len(places) or len(set(places)) != len(places):
        raise AttributeValueError(
            f"center_crop_pad got the sizes {show(wanted)} for the axes {tuple(places)}",
            hint="pass one size for each axis, and name no axis twice",
        )
    if any(isinstance(size, int) and size < 0 for size in wanted):
        raise AttributeValueError(f"center_crop_pad cannot make the sizes {show(wanted)}", hint="use 0 up")
    sizes = dict(zip(places, wanted))
    starts, stops, pads = [], [], []
    for axis, size in enumerate(x.shape):
        target = sizes.get(axis, size)
        start = dims.maximum(size - target, 0) // 2
        room = dims.maximum(target - size, 0)
        starts.append(start)
        stops.append(start + dims.minimum(size, target))
        pads.append((room // 2, room - room // 2))
    if starts != [0] * x.ndim or tuple(stops) != x.shape:
        x = b.slice(x, starts=starts, stops=stops)
    if any(pair != (0, 0) for pair in pads):
        x = b.pad(x, pads=pads)
    return x
