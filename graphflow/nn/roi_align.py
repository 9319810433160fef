"""RoiAlign: regions of images as the means of samples between their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import DType, int64
from graphflow.ir.node import Tensor
from graphflow.nn.places import Places, around, cast, clamped, inside
from graphflow.nn.precision import wide
from graphflow.nn.regions import Regions, checked, each, images, regions_of
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import real_number, whole_number
from graphflow.ops.rearrange import unstack
from graphflow.ops.resize import one_of

COORDINATES = ("half_pixel", "output_half_pixel")


@composite
def roi_align(
    x: Any,
    rois: Any,
    batch_indices: Any,
    output_size: Any = 1,
    mode: str = "avg",
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
    coordinate_transformation_mode: str = "half_pixel",
) -> Tensor:
    """Regions of images on a grid of bins, without rounding: each bin is the mean of samples inside of it.

    A bin has sampling_ratio x sampling_ratio samples in even distances, interpolated linearly from the
    four places around; more than one place outside of the image they are 0. Regions have a derivative too.
    With as many samples as there are places (sampling_ratio=0) the means are products with matrices, so a
    NaN or an infinity anywhere in x may reach every region.

    Arguments:
        x: floats [batch, channels, height, width].
        rois: floats [regions, 4], rows (x1, y1, x2, y2).
        batch_indices: integers [regions], the image of each region.
        output_size: the number of bins, one for both axes or (height, width).
        mode: "avg", or "max" for the largest of the samples' four weighted places.
        sampling_ratio: samples along each axis of a bin; 0 for as many as it has places, rounded up (for
            regions larger than the image, as many as one of its size has).
        spatial_scale: by what the coordinates of regions are multiplied.
        coordinate_transformation_mode: "half_pixel" shifts regions by half a place, so that places have
            whole numbers at their centres; "output_half_pixel" does not, and takes regions smaller than
            a place for one place.

    Returns:
        [regions, channels, height, width of the output].

    Raises:
        ShapeError, DTypeError, AttributeValueError: if images, regions or modes do not fit.

    ONNX RoiAlign-22; He et al., "Mask R-CNN" (2017).

    >>> import graphflow as gf
    >>> x, rois = gf.placeholder("x", (2, 8, 32, 32)), gf.placeholder("rois", ("n", 4))
    >>> gf.nn.roi_align(x, rois, gf.placeholder("image", ("n",), gf.int32), 7, sampling_ratio=2).type
    float32[n, 8, 7, 7]
    """
    b, (x, rois, image) = with_tensors(x, rois, batch_indices)
    sizes = checked("roi_align", x, rois, image, output_size)
    image = images(b, image, x.shape[0])
    one_of(mode, ("avg", "max"), "mode")
    one_of(coordinate_transformation_mode, COORDINATES, "coordinate_transformation_mode")
    ratio = whole_number(sampling_ratio, "sampling_ratio", 0)
    scale = real_number(spatial_scale, "spatial_scale")
    shifted = coordinate_transformation_mode == "half_pixel"
    scaled = b.multiply(wide(b, rois), scale)
    regions = regions_of(
        b, wide(b, x), image, unstack(b.subtract(scaled, 0.5) if shifted else scaled, axis=1)
    )
    axes = [_samples(regions, axis, size, ratio, shifted) for axis, size in enumerate(sizes)]
    if mode == "max":
        made = _largest(regions, axes)
    elif ratio:
        made = regions.sampled([one.places(b, one.weighted(b)) for one in axes])
    else:
        made = _contracted(regions, axes)
    return cast(b, made, x.dtype)


class _Samples(NamedTuple):
    """Where the bins along one axis are sampled.

    at: positions [regions, bins, samples], inside of the axis; there: which of them lie not too far
    outside; counts: which there are at all, [regions, 1, samples]; share: one over their number.
    """

    at: Tensor
    there: Tensor
    counts: Tensor
    share: Tensor
    size: Size

    def weighted(self, b: Builder) -> Tensor:
        """The weight of each sample in the mean of its bin."""
        used = b.logical_and(self.there, self.counts)
        return b.where(used, self.share, b.like(0, self.share))

    def places(self, b: Builder, weights: Tensor) -> Places:
        """The two places around each sample, [regions, bins, 2 samples], weighted by the sample's weight."""
        near = around(b, self.at, "linear", lambda place: (clamped(b, place, self.size), None))
        assert near.weights is not None
        regions, bins, samples, _ = near.indices.shape
        shape = (regions, bins, 2 * samples)
        shares = b.multiply(near.weights, b.expand_dims(weights, axis=-1))
        return Places(b.reshape(near.indices, shape=shape), b.reshape(shares, shape=shape))


def _samples(regions: Regions, axis: int, bins: int, ratio: int, shifted: bool) -> _Samples:
    b, size = regions.b, regions.x.shape[2 + axis]
    start, end = regions.starts[axis], regions.ends[axis]
    extent = b.subtract(end, start)
    step = b.divide(extent if shifted else b.maximum(extent, 1), bins)
    most = ratio or dims.maximum((size + bins - 1) // bins, 1)
    number = b.full_like(ratio, step) if ratio else b.minimum(b.ceil(step), most)
    divisor = b.maximum(number, 1)
    ordinal = _counted(b, most, step.dtype)
    inner = b.divide(b.add(ordinal, 0.5), each(b, divisor, 2))
    at = b.multiply(b.add(_counted(b, bins, step.dtype, 1), inner), each(b, step, 2))
    at = b.add(at, each(b, start, 2))
    return _Samples(
        clamped(b, at, size),
        inside(b, at, -1, size),
        b.less(ordinal, each(b, number, 2)),
        b.reciprocal(each(b, divisor, 2)),
        size,
    )


def _contracted(regions: Regions, axes: Sequence[_Samples]) -> Tensor:
    """The means by products with matrices, which cost the same however many samples there may be."""
    b, x, image = regions.b, regions.x, regions.image
    batch, channels, height, width = x.shape
    rows, columns = (_matrix(b, one) for one in axes)
    count, bins, across = rows.shape[0], rows.shape[1], columns.shape[1]
    own = b.astype(b.equal(each(b, image, 1), b.iota(size=batch, dtype=int64)), dtype=x.dtype)
    rows = b.multiply(b.expand_dims(rows, axis=2), b.reshape(own, shape=(count, 1, batch, 1)))
    rows = b.reshape(rows, shape=(count * bins, batch * height))
    lines = b.reshape(b.permute_dims(x, axes=(0, 2, 1, 3)), shape=(batch * height, channels * width))
    made = b.reshape(b.matmul(rows, lines), shape=(count, bins * channels, width))
    made = b.matmul(made, b.permute_dims(columns, axes=(0, 2, 1)))
    return b.permute_dims(b.reshape(made, shape=(count, bins, channels, across)), axes=(0, 2, 1, 3))


def _matrix(b: Builder, samples: _Samples) -> Tensor:
    """How much each place of an axis counts for each bin: [regions, bins, places]."""
    places = b.iota(size=samples.size, dtype=samples.at.dtype)
    distance = b.abs(b.subtract(b.expand_dims(samples.at, axis=-1), places))
    near = b.maximum(b.subtract(1, distance), 0)
    return b.sum(b.multiply(near, b.expand_dims(samples.weighted(b), axis=-1)), axis=2)


def _largest(regions: Regions, axes: Sequence[_Samples]) -> Tensor:
    """The largest weighted place of the samples of each bin, 0 where there are none."""
    b = regions.b
    places = [one.places(b, b.astype(one.there, dtype=one.at.dtype)) for one in axes]
    values, weights = regions.gathered(places)
    counts = [_lifted_taps(b, one, axis) for axis, one in enumerate(axes)]
    used = b.logical_and(*counts)
    weighted = b.multiply(values, weights)
    found = b.where(used, weighted, b.like(float("-inf"), weighted))
    largest = b.max(found, axis=(3, 4))
    some = b.any(used, axis=(3, 4))
    made = b.where(some, largest, b.like(0, largest))
    return b.permute_dims(made, axes=(0, 3, 1, 2))


def _lifted_taps(b: Builder, samples: _Samples, axis: int) -> Tensor:
    """Which samples there are, as [regions, 1, 1, places read along both axes, 1]."""
    regions, _, most = samples.counts.shape
    both = b.broadcast_to(b.expand_dims(samples.counts, axis=-1), shape=(regions, 1, most, 2))
    shape = (regions, 1, 1, 2 * most, 1, 1) if axis == 0 else (regions, 1, 1, 1, 2 * most, 1)
    return b.reshape(both, shape=shape)


def _counted(b: Builder, size: Size, dtype: DType, behind: int = 0) -> Tensor:
    """0, 1, ... along an axis, with axes of 1 behind."""
    return b.reshape(b.iota(size=size, dtype=dtype), shape=(size, *[1] * behind))
