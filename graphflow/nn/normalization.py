"""Normalization as functions of tensors: by batch, layer, group, instance, and root mean square.

Scale and offset may be left out everywhere. Statistics of 16-bit floats are computed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import DType, float32
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import normalize_axes, normalize_axis, require
from graphflow.ops.windows import unify_shapes


def _floating(b: Builder, x: Tensor) -> Tensor:
    return x if x.dtype.is_floating else b.astype(x, dtype=float32)


def _wide(b: Builder, x: Tensor) -> Tensor:
    """x in float32, unless it is float32 or wider."""
    return b.astype(x, dtype=float32) if x.dtype.itemsize == 2 or not x.dtype.is_floating else x


def _back(b: Builder, x: Tensor, dtype: DType) -> Tensor:
    return x if x.dtype is dtype or not dtype.is_floating else b.astype(x, dtype=dtype)


def _filled(b: Builder, value: Any, default: float, x: Tensor, shape: Shape) -> Tensor:
    """A scale or offset, or where there is none a tensor that changes nothing."""
    return b.broadcast_to(b.like(default, x), shape=shape) if value is None else b.tensor(value)


def _centered(b: Builder, x: Tensor, axes: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """x - mean, mean and variance along the axes, which are kept."""
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
    _, mean, variance = _centered(b, _wide(b, x), axes)
    if not keepdims and axes:
        mean, variance = b.squeeze(mean, axis=axes), b.squeeze(variance, axis=axes)
    return _back(b, mean, x.dtype), _back(b, variance, x.dtype)


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
    x = _floating(b, x)
    axis = normalize_axis(axis, x.ndim, "batch_norm")
    shape = (x.shape[axis],)
    scale, offset = _filled(b, scale, 1.0, x, shape), _filled(b, offset, 0.0, x, shape)
    return b.batch_normalization(x, mean, variance, scale, offset, epsilon=epsilon, axis=axis)


@composite
def layer_norm(
    x: Any, scale: Any = None, offset: Any = None, axis: int = -1, epsilon: float = 1e-5
) -> Tensor:
    """Normalize over the axes from `axis` on: y = (x - mean) / sqrt(variance + epsilon) * scale + offset.

    Arguments:
        x: floats.
        scale, offset: of the shape of the normalized axes, x.shape[axis:].
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
    x = _floating(b, x)
    axis = normalize_axis(axis, x.ndim, "layer_norm")
    shape = x.shape[axis:]
    scale, offset = _filled(b, scale, 1.0, x, shape), _filled(b, offset, 0.0, x, shape)
    return b.layer_normalization(x, scale, offset, axis=axis, epsilon=epsilon)


@composite
def group_norm(x: Any, groups: int, scale: Any = None, offset: Any = None, epsilon: float = 1e-5) -> Tensor:
    """Normalize over groups of channels: y = (x - mean) / sqrt(variance + epsilon) * scale + offset.

    mean and variance are those of each sample's group: of channels / groups channels at all places.

    Arguments:
        x: floats of shape [batch, channels, *spatial].
        groups: a divisor of the number of channels; 1 is layer normalization over all but the batch.
        scale, offset: one number for each channel.
        epsilon: what keeps the root away from zero.

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
    x = _floating(b, x)
    require(x.ndim >= 2, f"group_norm needs an input of batch and channels, not of rank {x.ndim}")
    batch, channels, *spatial = x.shape
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise AttributeValueError(f"group_norm got groups={groups!r}", hint="pass a positive int")
    rest = channels % groups
    require(rest == 0 or not isinstance(rest, int), f"{channels} channels do not divide into {groups} groups")
    grouped = b.reshape(_wide(b, x), shape=(batch, groups, channels // groups, *spatial))
    normal = b.reshape(_standardized(b, grouped, range(2, grouped.ndim), epsilon), shape=x.shape)
    return _back(b, _affine(b, normal, scale, offset), x.dtype)


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
    x = _floating(b, x)
    require(x.ndim >= 3, f"instance_norm needs spatial axes to normalize over, not an input of rank {x.ndim}")
    normal = _standardized(b, _wide(b, x), range(2, x.ndim), epsilon)
    return _back(b, _affine(b, normal, scale, offset), x.dtype)


@composite
def rms_norm(x: Any, scale: Any = None, axis: int = -1, epsilon: float = 1e-6) -> Tensor:
    """Divide by the root mean square over the axes from `axis` on: y = x / sqrt(mean(x^2) + epsilon) * scale.

    Arguments:
        x: floats.
        scale: of the shape of the normalized axes, x.shape[axis:].
        axis: the first axis to normalize over.
        epsilon: what keeps the root away from zero.

    Returns:
        a tensor of the type of x.

    Source: Zhang and Sennrich, "Root mean square layer normalization" (2019); ONNX RMSNormalization-23.

    >>> import graphflow as gf
    >>> gf.nn.rms_norm(gf.placeholder("x", ("batch", 16))).type
    float32[batch, 16]
    """
    b, x = with_tensor(x)
    x = _floating(b, x)
    axis = normalize_axis(axis, x.ndim, "rms_norm")
    wide = _wide(b, x)
    power = b.mean(b.square(wide), axis=tuple(range(axis, x.ndim)), keepdims=True)
    y = b.multiply(wide, b.rsqrt(b.add(power, epsilon)))
    if scale is not None:
        weights = b.tensor(scale)
        unify_shapes(
            weights.shape, x.shape[axis:], "rms_norm: scale does not have the shape of the normalized axes"
        )
        y = b.multiply(y, weights)
    return _back(b, y, x.dtype)
