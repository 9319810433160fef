"""Normalization layers: by batch, with moving statistics, by layer, group, instance, and root mean square."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.layers.scope import layer_input, layer_scope, positive, static_size
from graphflow.layers.sharing import is_repeated, variable
from graphflow.nn import normalization
from graphflow.ops import initializers
from graphflow.ops.composite import composite
from graphflow.ops.declare import assign_node, builtin
from graphflow.ops.inference import normalize_axis, require


@composite
def batch_norm(
    x: Any,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    training: bool | None = None,
    axis: int = 1,
    name: str | None = None,
) -> Tensor:
    """Batch normalization: y = (x - mean) / sqrt(variance + epsilon) * scale + offset for each channel.

    While training mean and variance are those of the batch (variance = the mean of (x - mean)^2),
    and updates by `minimize` move the averages that take their place at inference:

        moving = momentum * moving + (1 - momentum) * batch

    Variables, one number for each channel: `scale`, `offset`, and the non-trainable `moving_mean`
    and `moving_variance`.

    Arguments:
        x: floats; its axis `axis` holds the channels, whose number must be known.
        momentum: how much of the averages stays at each step, in [0, 1].
        epsilon: what keeps the root away from zero.
        training: whether to use the statistics of the batch; gf.training decides by default.
            False freezes the layer: no update is registered either.
        axis: the axis of the channels.
        name: the scope of the variables; "batch_norm", with a suffix where needed, by default.

    Returns:
        a tensor of the type of x.

    Raises:
        GraphError: if the given name is that of another layer.

    Source: Ioffe and Szegedy, "Batch normalization" (2015).

    >>> import graphflow as gf
    >>> y = gf.layers.batch_norm(gf.placeholder("x", ("batch", 16, 8, 8)))
    >>> y.type, len(y.graph.statistics)
    (float32[batch, 16, 8, 8], 2)
    """
    x = layer_input(x, "batch_norm")
    if isinstance(momentum, bool) or not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
        raise AttributeValueError(f"batch_norm got momentum={momentum!r}", hint="use a number from 0 to 1")
    if not (training is None or isinstance(training, bool)):
        raise AttributeValueError(f"batch_norm got training={training!r}", hint="use True, False or None")
    require(
        x.ndim >= 2, f"batch_norm needs an axis besides that of the channels, not an input of rank {x.ndim}"
    )
    axis = normalize_axis(axis, x.ndim, "batch_norm")
    channels = static_size(x, axis, "batch_norm")
    with layer_scope(x, name, "batch_norm") as b:
        scale = variable("scale", (channels,), initializers.ones(), x.dtype)
        offset = variable("offset", (channels,), initializers.zeros(), x.dtype)
        moving = (
            variable("moving_mean", (channels,), initializers.zeros(), x.dtype, trainable=False),
            variable("moving_variance", (channels,), initializers.ones(), x.dtype, trainable=False),
        )
        used = moving
        if training is not False:
            batch = _batch_moments(x, axis)
            used = batch if training else _selected(b, batch, moving)
        y = b.batch_normalization(x, *used, scale, offset, epsilon=epsilon, axis=axis)
        if training is not False and not is_repeated():
            _register(b, y, moving, batch, momentum)
        return y


def _batch_moments(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    return normalization.moments(x, tuple(other for other in range(x.ndim) if other != axis))


def _selected(
    b: Builder, batch: tuple[Tensor, Tensor], moving: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """The batch's statistics if the training flag is set, else the moving ones.

    The flag is constant once a run is compiled, so that only one of the two stays.
    """
    flag = builtin(b.graph, "training_flag")
    return b.where(flag, batch[0], moving[0]), b.where(flag, batch[1], moving[1])


def _register(
    b: Builder, y: Tensor, moving: tuple[Tensor, Tensor], batch: tuple[Tensor, Tensor], momentum: float
) -> None:
    """Let training that reaches y move the averages."""
    for average, value in zip(moving, batch):
        moved = b.add(b.multiply(average, momentum), b.multiply(value, 1.0 - momentum))
        b.graph.statistics.append((y, assign_node(b, average, moved)))


@composite
def layer_norm(
    x: Any, axis: int = -1, epsilon: float = 1e-5, use_offset: bool = True, name: str | None = None
) -> Tensor:
    """Layer normalization over the axes from `axis` on, with a scale and an offset for each element.

    y = (x - mean) / sqrt(variance + epsilon) * scale + offset.

    Variables: `scale` and `offset` of the shape of the normalized axes, of the dtype of x.

    Arguments:
        x: floats; the sizes of the normalized axes must be known.
        axis: the first axis to normalize over.
        epsilon: what keeps the root away from zero.
        use_offset: whether there is an offset.
        name: the scope of the variables; "layer_norm", with a suffix where needed, by default.

    Returns:
        a tensor of the type of x.

    Raises:
        GraphError: if the given name is that of another layer.

    Source: Ba, Kiros and Hinton, "Layer normalization" (2016).

    >>> import graphflow as gf
    >>> gf.layers.layer_norm(gf.placeholder("x", ("batch", "time", 16))).type
    float32[batch, time, 16]
    """
    x = layer_input(x, "layer_norm")
    axis = normalize_axis(axis, x.ndim, "layer_norm")
    shape = tuple(static_size(x, place, "layer_norm") for place in range(axis, x.ndim))
    with layer_scope(x, name, "layer_norm"):
        scale = variable("scale", shape, initializers.ones(), x.dtype)
        offset = variable("offset", shape, initializers.zeros(), x.dtype) if use_offset else None
        return normalization.layer_norm(x, scale, offset, axis, epsilon)


@composite
def group_norm(x: Any, groups: int, epsilon: float = 1e-5, name: str | None = None) -> Tensor:
    """Group normalization, with a scale and an offset for each channel.

    y = (x - mean) / sqrt(variance + epsilon) * scale + offset, with the statistics of each sample's
    group of channels.

    Variables: `scale` and `offset` of shape [channels], of the dtype of x.

    Arguments:
        x: floats of shape [batch, channels, *spatial]; the number of channels must be known.
        groups: a divisor of the number of channels.
        epsilon: what keeps the root away from zero.
        name: the scope of the variables; "group_norm", with a suffix where needed, by default.

    Returns:
        a tensor of the type of x.

    Raises:
        ShapeError: if the channels do not divide into groups.
        GraphError: if the given name is that of another layer.

    Source: Wu and He, "Group normalization" (2018).

    >>> import graphflow as gf
    >>> gf.layers.group_norm(gf.placeholder("x", ("batch", 16, 8, 8)), groups=4).type
    float32[batch, 16, 8, 8]
    """
    x = layer_input(x, "group_norm")
    require(x.ndim >= 2, f"group_norm needs an input of batch and channels, not of rank {x.ndim}")
    groups = positive(groups, "groups", "group_norm")
    channels = static_size(x, 1, "group_norm")
    require(channels % groups == 0, f"group_norm: {channels} channels do not divide into {groups} groups")
    with layer_scope(x, name, "group_norm"):
        scale = variable("scale", (channels,), initializers.ones(), x.dtype)
        offset = variable("offset", (channels,), initializers.zeros(), x.dtype)
        return normalization.group_norm(x, groups, scale, offset, epsilon)


@composite
def instance_norm(x: Any, epsilon: float = 1e-5, name: str | None = None) -> Tensor:
    """Instance normalization, with a scale and an offset for each channel.

    y = (x - mean) / sqrt(variance + epsilon) * scale + offset, with the statistics of each channel of
    each sample.

    Variables: `scale` and `offset` of shape [channels], of the dtype of x.

    Arguments:
        x: floats of shape [batch, channels, *spatial]; the number of channels must be known.
        epsilon: what keeps the root away from zero.
        name: the scope of the variables; "instance_norm", with a suffix where needed, by default.

    Returns:
        a tensor of the type of x.

    Raises:
        ShapeError: if there are no spatial axes.
        GraphError: if the given name is that of another layer.

    Source: Ulyanov, Vedaldi and Lempitsky, "Instance normalization" (2016).

    >>> import graphflow as gf
    >>> gf.layers.instance_norm(gf.placeholder("x", ("batch", 16, 8, 8))).type
    float32[batch, 16, 8, 8]
    """
    x = layer_input(x, "instance_norm")
    require(x.ndim >= 3, f"instance_norm needs spatial axes, not an input of rank {x.ndim}")
    channels = static_size(x, 1, "instance_norm")
    with layer_scope(x, name, "instance_norm"):
        scale = variable("scale", (channels,), initializers.ones(), x.dtype)
        offset = variable("offset", (channels,), initializers.zeros(), x.dtype)
        return normalization.instance_norm(x, scale, offset, epsilon)


@composite
def rms_norm(x: Any, axis: int = -1, epsilon: float = 1e-6, name: str | None = None) -> Tensor:
    """Normalization by the root mean square over the axes from `axis` on, with a scale for each element.

    y = x / sqrt(mean(x^2) + epsilon) * scale.

    Variables: `scale` of the shape of the normalized axes, of the dtype of x.

    Arguments:
        x: floats; the sizes of the normalized axes must be known.
        axis: the first axis to normalize over.
        epsilon: what keeps the root away from zero.
        name: the scope of the variables; "rms_norm", with a suffix where needed, by default.

    Returns:
        a tensor of the type of x.

    Raises:
        GraphError: if the given name is that of another layer.

    Source: Zhang and Sennrich, "Root mean square layer normalization" (2019).

    >>> import graphflow as gf
    >>> gf.layers.rms_norm(gf.placeholder("x", ("batch", "time", 16))).type
    float32[batch, time, 16]
    """
    x = layer_input(x, "rms_norm")
    axis = normalize_axis(axis, x.ndim, "rms_norm")
    shape = tuple(static_size(x, place, "rms_norm") for place in range(axis, x.ndim))
    with layer_scope(x, name, "rms_norm"):
        scale = variable("scale", shape, initializers.ones(), x.dtype)
        return normalization.rms_norm(x, scale, axis, epsilon)
