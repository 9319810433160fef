"""Regions of images, each brought to one size: cropped and resized, or pooled by whole places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import int64
from graphflow.ir.node import Tensor
from graphflow.nn.places import Places, around, cast, clamped, gathered, inside, read
from graphflow.nn.precision import wide
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import entries, real_number, require, show, whole_number
from graphflow.ops.rearrange import stack, unstack
from graphflow.ops.resize import one_of
from graphflow.ops.taps import MODES
from graphflow.ops.windows import unify_shapes


def checked(operation: str, x: Tensor, boxes: Tensor, image: Tensor | None, size: Any) -> tuple[int, int]:
    """Height and width of the result, once it is known that images and regions are some."""
    columns = 5 if image is None else 4
    require(x.ndim == 4, f"{operation} needs images [batch, channels, height, width], not {show(x.shape)}")
    require(
        boxes.ndim == 2 and boxes.shape[1] == columns,
        f"{operation} needs regions of shape [regions, {columns}], not {show(boxes.shape)}",
    )
    if image is not None:
        wanted = f"{operation} needs a batch index for each region"
        unify_shapes(image.shape, boxes.shape[:1], wanted)
        if not image.dtype.is_integer:
            raise DTypeError(f"{wanted}: an integer, not {image.dtype}", hint="convert with gf.astype")
    for tensor in (x, boxes):
        if not tensor.dtype.is_floating:
            raise DTypeError(f"{operation} does not take {tensor.dtype}", hint="convert with gf.astype")
    sizes = entries(size)
    sizes = sizes * 2 if len(sizes) == 1 else sizes
    if len(sizes) != 2:
        raise AttributeValueError(f"{operation} needs a height and a width, not {size!r:.80}")
    height, width = (whole_number(one, f"a size of {operation}", 1) for one in sizes)
    return height, width


class Regions(NamedTuple):
    """Images and the regions in them: where along height (axis 0) and width (axis 1) each starts and ends."""

    b: Builder
    x: Tensor
    image: Tensor
    starts: tuple[Tensor, Tensor]
    ends: tuple[Tensor, Tensor]

    def sampled(self, places: Sequence[Places]) -> Tensor:
        """The weighted sums [regions, channels, height, width] of what is read along the two axes."""
        b = self.b
        made = read(b, self.x, each(b, self.image, 2), self.crossed(places))
        return b.permute_dims(made, axes=(0, 3, 1, 2))

    def gathered(self, places: Sequence[Places]) -> tuple[Tensor, Tensor | None]:
        """What is read, [regions, height, width, taps, taps, channels], and the weights."""
        return gathered(self.b, self.x, each(self.b, self.image, 2), self.crossed(places))

    def crossed(self, places: Sequence[Places]) -> list[Places]:
        """Places along height and along width as places of a grid of both."""
        return [_lifted(self.b, places[0], 2), _lifted(self.b, places[1], 1)]


def _lifted(b: Builder, places: Places, axis: int) -> Places:
    """Places of [regions, positions] with an axis of 1 for the positions along the other axis."""
    weights = None if places.weights is None else b.expand_dims(places.weights, axis=axis)
    return Places(b.expand_dims(places.indices, axis=axis), weights)


def regions_of(b: Builder, x: Tensor, image: Tensor, columns: Sequence[Tensor]) -> Regions:
    """Regions given as columns x1, y1, x2, y2, each [regions]."""
    x1, y1, x2, y2 = columns
    return Regions(b, x, image, (y1, x1), (y2, x2))


def each(b: Builder, tensor: Tensor, count: int) -> Tensor:
    """[regions] with axes of 1 behind."""
    return b.reshape(tensor, shape=(tensor.shape[0], *[1] * count))


def images(b: Builder, image: Tensor, count: Size) -> Tensor:
    """The numbers of images; negative ones count from the last, those out of range are clamped."""
    image = cast(b, image, int64)
    return clamped(b, b.where(b.less(image, 0), b.add(image, count), image), count)


# Cropped


@composite
def crop_and_resize(
    x: Any,
    boxes: Any,
    batch_indices: Any,
    output_size: Any,
    mode: str = "linear",
    extrapolation_value: float = 0.0,
) -> Tensor:
    """Parts of images, each resized to one size: the corners of a box become the corners of the result.

    Row i of the m rows of a result reads at (h - 1) (y1 + (y2 - y1) i / (m - 1)), for m = 1 in the middle;
    so do the columns. Boxes may be turned round, and have derivatives too.

    Arguments:
        x: floats [batch, channels, height, width].
        boxes: floats [boxes, 4], rows (y1, x1, y2, x2), from 0 to 1 over the image.
        batch_indices: integers [boxes], the image of each box.
        output_size: one for both axes or (height, width).
        mode: "linear", "nearest" or "cubic".
        extrapolation_value: what lies outside of the image.

    Returns:
        [boxes, channels, height, width of the output].

    Raises:
        ShapeError, DTypeError, AttributeValueError: if images, boxes or modes do not fit.

    TensorFlow `crop_and_resize`; ONNX Resize-19 with "tf_crop_and_resize" for a box that is computed.

    >>> import graphflow as gf
    >>> x, boxes = gf.placeholder("x", (2, 3, 32, 32)), gf.placeholder("boxes", ("n", 4))
    >>> gf.nn.crop_and_resize(x, boxes, gf.placeholder("image", ("n",), gf.int32), 16).type
    float32[n, 3, 16, 16]
    """
    b, (x, boxes, image) = with_tensors(x, boxes, batch_indices)
    sizes = checked("crop_and_resize", x, boxes, image, output_size)
    one_of(mode, MODES, "mode")
    value = real_number(extrapolation_value, "extrapolation_value")
    y1, x1, y2, x2 = unstack(wide(b, boxes), axis=1)
    image = images(b, image, x.shape[0])
    regions = regions_of(b, wide(b, x), image, (x1, y1, x2, y2))
    places, seen = zip(*[_cropped(regions, axis, size, mode) for axis, size in enumerate(sizes)])
    made = regions.sampled(places)
    count = boxes.shape[0]
    shapes = (count, 1, sizes[0], 1), (count, 1, 1, sizes[1])
    visible = b.logical_and(*[b.reshape(one, shape=shape) for one, shape in zip(seen, shapes)])
    return cast(b, b.where(visible, made, b.like(value, made)), x.dtype)


def _cropped(regions: Regions, axis: int, count: int, mode: str) -> tuple[Places, Tensor]:
    """What the rows of the result read along one axis, and which of them are inside of the image."""
    b, size = regions.b, regions.x.shape[2 + axis]
    start, end = each(b, regions.starts[axis], 1), each(b, regions.ends[axis], 1)
    if count == 1:
        at = b.multiply(b.add(start, end), 0.5)
    else:
        part = b.divide(b.iota(size=count, dtype=start.dtype), count - 1)
        at = b.add(start, b.multiply(b.subtract(end, start), part))
    at = b.multiply(at, size - 1)
    seen = inside(b, at, 0, size - 1)
    if mode == "nearest":
        place = clamped(b, b.floor(b.add(at, 0.5)), size)
        return Places(b.expand_dims(place, axis=-1), None), seen
    return around(b, at, mode, lambda place: (clamped(b, place, size), None)), seen


# Pooled


@composite
def max_roi_pool(x: Any, rois: Any, output_size: Any, spatial_scale: float = 1.0) -> Tensor:
    """Regions of images cut into bins of whole places: the largest element of each bin, 0 where it is empty.

    A region from x1 to x2, both rounded, has w = x2 - x1 + 1 places, at least one, and bin q of m those from
    x1 + floor(q w / m) up to x1 + ceil((q + 1) w / m); bins may share a place.

    Arguments:
        x: floats [batch, channels, height, width].
        rois: floats [regions, 5], rows (image, x1, y1, x2, y2).
        output_size: the number of bins, one for both axes or (height, width).
        spatial_scale: by what the coordinates of regions are multiplied before they are rounded.

    Returns:
        [regions, channels, height, width of the output].

    Raises:
        ShapeError, DTypeError, AttributeValueError: if images and regions do not fit.

    ONNX MaxRoiPool-22; Girshick, "Fast R-CNN" (2015).

    >>> import graphflow as gf
    >>> x, rois = gf.placeholder("x", (2, 8, 32, 32)), gf.placeholder("rois", ("n", 5))
    >>> gf.nn.max_roi_pool(x, rois, (6, 6), spatial_scale=0.25).type
    float32[n, 8, 6, 6]
    """
    b, (x, rois) = with_tensors(x, rois)
    sizes = checked("max_roi_pool", x, rois, None, output_size)
    scale = real_number(spatial_scale, "spatial_scale")
    image, *columns = unstack(wide(b, rois), axis=1)
    bounds = [_rounded(b, b.multiply(column, scale)) for column in columns]
    regions = regions_of(b, x, images(b, image, x.shape[0]), bounds)
    masks = [_bins(regions, axis, size) for axis, size in enumerate(sizes)]
    made = b.take(x, regions.image, axis=0)
    for axis in (1, 0):
        parts = [_pooled(b, made, mask, axis) for mask in unstack(masks[axis], axis=1)]
        made = stack(parts, axis=-1)
        made = made if axis else b.permute_dims(made, axes=(0, 1, 3, 2))
    filled = [b.any(mask, axis=2) for mask in masks]
    count = rois.shape[0]
    shapes = (count, 1, sizes[0], 1), (count, 1, 1, sizes[1])
    some = b.logical_and(*[b.reshape(one, shape=shape) for one, shape in zip(filled, shapes)])
    return b.where(some, made, b.like(0, made))


def _rounded(b: Builder, x: Tensor) -> Tensor:
    """The nearest integers; halves away from 0."""
    return b.astype(b.multiply(b.sign(x), b.floor(b.add(b.abs(x), 0.5))), dtype=int64)


def _bins(regions: Regions, axis: int, count: int) -> Tensor:
    """Which places of an axis each bin holds: booleans [regions, bins, places]."""
    b, size = regions.b, regions.x.shape[2 + axis]
    start, end = each(b, regions.starts[axis], 1), each(b, regions.ends[axis], 1)
    extent = b.maximum(b.add(b.subtract(end, start), 1), 1)
    ordinal = b.iota(size=count, dtype=int64)
    low = b.add(start, b.floor_divide(b.multiply(ordinal, extent), count))
    high = b.subtract(start, b.floor_divide(b.multiply(b.negative(b.add(ordinal, 1)), extent), count))
    places = b.iota(size=size, dtype=int64)
    low, high = (b.expand_dims(bound, axis=-1) for bound in (low, high))
    return b.logical_and(b.less_equal(low, places), b.less(places, high))


def _pooled(b: Builder, x: Tensor, mask: Tensor, axis: int) -> Tensor:
    """The largest elements along height (axis 0) or width where a mask [regions, places] holds."""
    shape = (mask.shape[0], 1, 1, mask.shape[1]) if axis else (mask.shape[0], 1, mask.shape[1], 1)
    return b.max(b.where(b.reshape(mask, shape=shape), x, b.like(float("-inf"), x)), axis=2 + axis)
