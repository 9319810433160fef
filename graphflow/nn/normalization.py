"""Normalization as functions of tensors: by batch, layer, group, instance, and root mean square.

Scale and offset may be left out everywhere. Statistics of 16-bit floats are computed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape
from graphflow.nn.precision import back, floating, wide
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import normalize_axes, normalize_axis, real_number, require
from graphflow.ops.windows import unify_shapes


def _stage(b: Builder, x: Tensor, stash_dtype: Any) -> Tensor:
    """x in the dtype in which its statistics are computed."""
    if stash_dtype is None:
        return wide(b, x)
    chosen = as_dtype(stash_dtype)
    if not chosen.is_floating:
        raise DTypeError(f"statistics cannot be computed in {chosen}", hint="pass a floating dtype")
    return x if x.dtype is chosen else b.astype(x, dtype=chosen)


def _filled(b: Builder, value: Any, default: float, x: Tensor, shape: Shape) -> Tensor:
    """A scale or offset, or where there is none a tensor that changes nothing."""
    return b.broadcast_to(b.like(default, x), shape=shape) if value is None else b.tensor(value)


def _centered(b: Builder, x: Tensor, axes: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """x - mean, mean and variance along the axes, which are kept."""
    axes = tuple(axes)
    mean = b.mean(x, axis=axes, keepdims=True)
    centered = b.subtract(x, mean)
    return centered, mean, b.mean(b.square(centered), axis=axes, keepdims=True)


@composite
def moments(x: Any, axis: Any = None, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """The mean and the variance along some axes: m = mean(x), v = mean((x - m)^2).

    The variance takes a second pass, so it stays accurate where the mean is large.

    Arguments:
        x: numbers.
        axis: an int, several, or None for all axes.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        the pair (mean, variance).

    >>> import graphflow as gf
    >>> mean, variance = gf.nn.moments(gf.placeholder("x", ("batch", 16)), axis=0)
    >>> mean.type, variance.type
    (float32[16], float32[16])
    """
    b, x = with_tensor(x)
    axes = normalize_axes(axis, x.ndim, "moments")
    _, mean, variance = _centered(b, wide(b, x), axes)
    if not keepdims and axes:
        mean, variance = b.squeeze(mean, axis=axes), b.squeeze(variance, axis=axes)
    return back(b, mean, x.dtype), back(b, variance, x.dtype)


@composite
def batch_norm(
    x: Any,
    mean: Any,
    variance: Any,
    scale: Any = None,
    offset: Any = None,
    epsilon: float = 1e-5,
    axis: int = 1,
) -> Tensor:
    """Normalize channels with given statistics: y = (x - mean) / sqrt(variance + epsilon) * scale + offset.

    `gf.layers.batch_norm` keeps the statistics and parameters; `gf.nn.moments` computes those of a batch.

    Arguments:
        x: floats; its axis `axis` holds the channels.
        mean, variance, scale, offset: one number for each channel.
        epsilon: what keeps the root away from zero.
        axis: the axis of the channels.

    Returns:
        a tensor of the type of x.

    Raises:
        ShapeError: if there is not one number for each channel.

    Source: Ioffe and Szegedy, "Batch normalization" (2015); ONNX BatchNormalization-15.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 16, 8, 8))
    >>> gf.nn.batch_norm(x, *gf.nn.moments(x, axis=(0, 2, 3))).type
    float32[batch, 16, 8, 8]
    """
    b, x = with_tensor(x)
    x = floating(b, x)
    axis = normalize_axis(axis, x.ndim, "batch_norm")
    shape = (x.shape[axis],)
    scale, offset = _filled(b, scale, 1.0, x, shape), _filled(b, offset, 0.0, x, shape)
    y = b.batch_normalization(x, mean, variance, scale, offset, epsilon=epsilon, axis=axis)
    return back(b, y, x.dtype)


@composite
def batch_norm_training(
    x: Any,
    mean: Any,
    variance: Any,
    scale: Any = None,
    offset: Any = None,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    axis: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalize channels with the statistics of the batch, and move the averages towards these.

    y = (x - m) / sqrt(v + epsilon) * scale + offset, with the mean m and the variance v = mean((x - m)^2)
    of each channel, and average = momentum * average + (1 - momentum) * statistic of the batch.

    Arguments:
        x: floats; its axis `axis` holds the channels.
        mean, variance: the averages so far, one number for each channel.
        scale, offset: one number for each channel.
        momentum: how much of the averages stays, in [0, 1].
        epsilon: what keeps the root away from zero.
        axis: the axis of the channels.

    Returns:
        the triple (y, mean, variance): y of the type of x, and the averages after this batch.

    Raises:
        ShapeError: if there is not one number for each channel.

    Source: Ioffe and Szegedy, "Batch normalization" (2015); ONNX BatchNormalization-15 with training_mode.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 16, 8, 8))
    >>> y, mean, variance = gf.nn.batch_norm_training(x, gf.zeros(16), gf.ones(16))
    >>> y.type, mean.type
    (float32[batch, 16, 8, 8], float32[16])
    """
    b, x = with_tensor(x)
    x = floating(b, x)
    axis = normalize_axis(axis, x.ndim, "batch_norm_training")
    momentum = real_number(momentum, "momentum of batch_norm_training", low=0)
    if momentum > 1:
        raise AttributeValueError(f"batch_norm_training got momentum={momentum!r}", hint="use 0 to 1")
    batch = moments(wide(b, x), [place for place in range(x.ndim) if place != axis])
    moved = []
    for average, statistic in zip((b.tensor(mean), b.tensor(variance)), batch):
        unify_shapes(
            average.shape, (x.shape[axis],), "batch_norm_training needs one average for each channel"
        )
        kept = floating(b, average)
        made = b.add(b.multiply(kept, momentum), b.multiply(statistic, 1.0 - momentum))
        moved.append(back(b, made, kept.dtype))
    return batch_norm(x, *batch, scale, offset, epsilon, axis), moved[0], moved[1]


@composite
def layer_norm(
    x: Any, scale: Any = None, offset: Any = None, axis: int = -1, epsilon: float = 1e-5
) -> Tensor:
    """Normalize over the axes from `axis` on: y = (x - mean) / sqrt(variance + epsilon) * scale + offset.

    Arguments:
        x: floats.
        scale, offset: of the shape of the normalized axes, x.shape[axis:], or another that broadcasts to
            that of x.
        axis: the first axis to normalize over.
        epsilon: what keeps the root away from zero.

    Returns:
        a tensor of the type of x.

    Raises:
        ShapeError: if scale or offset do not have the shape of the normalized axes.

    Source: Ba, Kiros and Hinton, "Layer normalization" (2016); ONNX LayerNormalization-17.

    >>> import graphflow as gf
    >>> gf.nn.layer_norm(gf.placeholder("x", ("batch", 16))).type
    float32[batch, 16]
    """
    b, x = with_tensor(x)
    x = floating(b, x)
    axis = normalize_axis(axis, x.ndim, "layer_norm")
    shape = x.shape[axis:]
    given = [None if value is None else b.tensor(value) for value in (scale, offset)]
    inner = [value if value is None or _is_inner(value, shape) else None for value in given]
    filled = [_filled(b, value, default, x, shape) for value, default in zip(inner, (1.0, 0.0))]
    if given[0] is not None and inner[0] is None and inner[1] is not None:
        filled[1], inner[1] = _filled(b, None, 0.0, x, shape), None
    y = b.layer_normalization(x, *filled, axis=axis, epsilon=epsilon)
    for operation, value, done in zip((b.multiply, b.add), given, inner):
        if value is not None and done is None:
            y = operation(y, b.broadcast_to(value, shape=x.shape))
    return back(b, y, x.dtype)


def _is_inner(parameter: Tensor, shape: Shape) -> bool:
    """Whether a scale or offset has the shape of the normalized axes, without broadcasting."""
    fits = len(parameter.shape) == len(shape)
    return fits and not any(own == 1 and size != 1 for own, size in zip(parameter.shape, shape))


@composite
def layer_norm_with_statistics(
    x: Any,
    scale: Any = None,
    offset: Any = None,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_dtype: Any = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """`gf.nn.layer_norm`, and the statistics that it uses: the mean m and r = 1 / sqrt(variance + epsilon).

    y = (x - m) * r * scale + offset.

    Arguments:
        x, scale, offset, axis, epsilon: see `gf.nn.layer_norm`.
        stash_dtype: the floating dtype of the statistics, in which x is normalized; by default that of x,
            but float32 for 16-bit floats.

    Returns:
        the triple (y, m, r): y of the type of x, m and r with the axes from `axis` on of size 1.

    Raises:
        ShapeError: if scale or offset do not broadcast to the shape of x.

    Source: ONNX LayerNormalization-17.

    >>> import graphflow as gf
    >>> y, mean, inverse = gf.nn.layer_norm_with_statistics(gf.placeholder("x", ("batch", 16)))
    >>> y.type, mean.type, inverse.type
    (float32[batch, 16], float32[batch, 1], float32[batch, 1])
    """
    b, x = with_tensor(x)
    x = floating(b, x)
    axis = normalize_axis(axis, x.ndim, "layer_norm_with_statistics")
    epsilon = real_number(epsilon, "epsilon of layer_norm_with_statistics", low=0)
    centered, mean, variance = _centered(b, _stage(b, x, stash_dtype), range(axis, x.ndim))
    inverse = b.rsqrt(b.add(variance, epsilon))
    y = b.multiply(centered, inverse)
    for operation, value in ((b.multiply, scale), (b.add, offset)):
        if value is not None:
            y = operation(y, b.broadcast_to(b.tensor(value), shape=x.shape))
    return back(b, y, x.dtype), mean, inverse


@composite
def group_norm(
    x: Any,
    groups: int,
    scale: Any = None,
    offset: Any = None,
    epsilon: float = 1e-5,
    stash_dtype: Any = None,
) -> Tensor:
    """Normalize over groups of channels: y = (x - mean) / sqrt(variance + epsilon) * scale + offset.

    mean and variance are those of each sample's group: of channels / groups channels at all places.

    Arguments:
        x: floats of shape [batch, channels, *spatial].
        groups: a divisor of the number of channels; 1 is layer normalization over all but the batch.
        scale, offset: one number for each channel.
        epsilon: what keeps the root away from zero.
        stash_dtype: the floating dtype of the statistics; that of x, but at least float32, by default.

    Returns:
        a tensor of the type of x.

    Raises:
        ShapeError: if the channels do not divide into groups.

    Source: Wu and He, "Group normalization" (2018); ONNX GroupNormalization-21.

    >>> import graphflow as gf
    >>> gf.nn.group_norm(gf.placeholder("x", ("batch", 16, 8, 8)), groups=4).type
    float32[batch, 16, 8, 8]
    """
    b, x = with_tensor(x)
    x = floating(b, x)
    require(x.ndim >= 2, f"group_norm needs an input of batch and channels, not of rank {x.ndim}")
    batch, channels, *spatial = x.shape
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise AttributeValueError(f"group_norm got groups={groups!r}", hint="pass a positive int")
    rest = channels % groups
    require(rest == 0 or not isinstance(rest, int), f"{channels} channels do not divide into {groups} groups")
    grouped = b.reshape(_stage(b, x, stash_dtype), shape=(batch, groups, channels // groups, *spatial))
    normal = b.reshape(_standardized(b, grouped, range(2, grouped.ndim), epsilon), shape=x.shape)
    return back(b, _affine(b, normal, scale, offset), x.dtype)


def _standardized(b: Builder, x: Tensor, axes: Sequence[int], epsilon: float) -> Tensor:
    centered, _, variance = _centered(b, x, tuple(axes))
    return b.multiply(centered, b.rsqrt(b.add(variance, epsilon)))


def _affine(b: Builder, x: Tensor, scale: Any, offset: Any) -> Tensor:
    """x * scale + offset, channel by channel, less what is left out."""
    channels = x.shape[1]
    shape = (channels, *[1] * (x.ndim - 2))
    for operation, value in ((b.multiply, scale), (b.add, offset)):
        if value is not None:
            vector = b.tensor(value)
            unify_shapes(vector.shape, (channels,), "normalization needs one number for each channel")
            x = operation(x, b.reshape(vector, shape=shape))
    return x


@composite
def instance_norm(x: Any, scale: Any = None, offset: Any = None, epsilon: float = 1e-5) -> Tensor:
    """Normalize each channel of each sample: y = (x - mean) / sqrt(variance + epsilon) * scale + offset.

    Arguments:
        x: floats of shape [batch, channels, *spatial].
        scale, offset: one number for each channel.
        epsilon: what keeps the root away from zero.

    Returns:
        a tensor of the type of x.

    Source: Ulyanov, Vedaldi and Lempitsky, "Instance normalization" (2016); ONNX InstanceNormalization-22.

    >>> import graphflow as gf
    >>> gf.nn.instance_norm(gf.placeholder("x", ("batch", 16, 8, 8))).type
    float32[batch, 16, 8, 8]
    """
    b, x = with_tensor(x)
    x = floating(b, x)
    require(x.ndim >= 3, f"instance_norm needs spatial axes to normalize over, not an input of rank {x.ndim}")
    normal = _standardized(b, wide(b, x), range(2, x.ndim), epsilon)
    return back(b, _affine(b, normal, scale, offset), x.dtype)


@composite
def rms_norm(
    x: Any, scale: Any = None, axis: int = -1, epsilon: float = 1e-6, stash_dtype: Any = None
) -> Tensor:
    """Divide by the root mean square over the axes from `axis` on: y = x / sqrt(mean(x^2) + epsilon) * scale.

    Arguments:
        x: floats.
        scale: of the shape of the normalized axes, x.shape[axis:], or another that broadcasts to that of x.
        axis: the first axis to normalize over.
        epsilon: what keeps the root away from zero.
        stash_dtype: the floating dtype of the statistics; that of x, but at least float32, by default.

    Returns:
        a tensor of the type of x.

    Source: Zhang and Sennrich, "Root mean square layer normalization" (2019); ONNX RMSNormalization-23.

    >>> import graphflow as gf
    >>> gf.nn.rms_norm(gf.placeholder("x", ("batch", 16))).type
    float32[batch, 16]
    """
    b, x = with_tensor(x)
    x = floating(b, x)
    axis = normalize_axis(axis, x.ndim, "rms_norm")
    wider = _stage(b, x, stash_dtype)
    power = b.mean(b.square(wider), axis=tuple(range(axis, x.ndim)), keepdims=True)
    y = b.multiply(wider, b.rsqrt(b.add(power, epsilon)))
    if scale is not None:
        weights, inner = b.tensor(scale), x.shape[axis:]
        if _is_inner(weights, inner):
            message = "rms_norm: scale does not have the shape of the normalized axes"
            unify_shapes(weights.shape, inner, message)
        y = b.multiply(y, b.broadcast_to(weights, shape=x.shape))
    return back(b, y, x.dtype)
