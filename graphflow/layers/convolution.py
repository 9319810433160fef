"""Convolution layers: kernels that slide over the spatial axes, and their transposes."""

from __future__ import annotations

from typing import Any

from graphflow.ir.attrs import freeze
from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.layers.scope import Activation, activated, layer_input, layer_scope, positive, static_size
from graphflow.layers.sharing import variable
from graphflow.nn.convolution import conv_transpose as transposed
from graphflow.ops.composite import composite
from graphflow.ops.inference import require
from graphflow.ops.windows import per_axis, spatial_rank


@composite
def conv(
    x: Any,
    filters: int,
    kernel_size: Any,
    strides: Any = 1,
    padding: Any = "same",
    dilation: Any = 1,
    groups: int = 1,
    activation: Activation = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = None,
    name: str | None = None,
) -> Tensor:
    """A convolution layer over 1 to 3 spatial axes: y = activation(conv(x, kernel) + bias).

    Variables: `kernel` of shape [filters, channels / groups, *kernel_size] and `bias` of shape
    [filters], of the dtype of x.

    Arguments:
        x: floats of shape [batch, channels, *spatial]; the number of channels must be known.
        filters: the number of out channels.
        kernel_size: an int, or one per spatial axis.
        strides, padding, dilation, groups: see `gf.nn.conv`.
        activation: a function of a tensor, such as gf.nn.relu.
        use_bias: whether there is a bias; a batch normalization that follows makes it useless.
        kernel_initializer: glorot_uniform by default.
        bias_initializer: zeros by default.
        name: the scope of the variables; "conv", with a suffix where that is taken, by default.

    Returns:
        [batch, filters, *positions].

    Raises:
        ShapeError: if channels, groups or sizes do not fit.
        GraphError: if the given name is that of another layer.

    Source: LeCun et al., "Gradient-based learning applied to document recognition" (1998).

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 1, 8, 8))
    >>> gf.layers.conv(x, filters=16, kernel_size=3, activation=gf.nn.relu).type
    float32[batch, 16, 8, 8]
    """
    x = layer_input(x, "conv")
    kernel_size = per_axis(freeze(kernel_size), spatial_rank(x.ndim, "conv"), "kernel_size", "conv")
    filters, groups = positive(filters, "filters", "conv"), positive(groups, "groups", "conv")
    channels = static_size(x, 1, "conv")
    require(channels % groups == 0, f"conv: {channels} channels do not divide into {groups} groups")
    with layer_scope(x, name, "conv") as b:
        shape = (filters, channels // groups, *kernel_size)
        kernel = variable("kernel", shape, kernel_initializer, x.dtype)
        y = b.conv(x, kernel, strides=strides, padding=padding, dilation=dilation, groups=groups)
        return activated(_biased(b, y, filters, use_bias, bias_initializer), activation)


def _biased(b: Builder, y: Tensor, filters: int, use_bias: bool, initializer: Any) -> Tensor:
    """y plus a number for each channel."""
    if not use_bias:
        return y
    bias = variable("bias", (filters,), initializer, y.dtype)
    return b.add(y, b.reshape(bias, shape=(filters, *[1] * (y.ndim - 2))))


@composite
def conv_transpose(
    x: Any,
    filters: int,
    kernel_size: Any,
    strides: Any = 1,
    padding: Any = "same",
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    activation: Activation = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = None,
    output_shape: Any = None,
    name: str | None = None,
) -> Tensor:
    """A transposed convolution layer, which enlarges: y = activation(conv_transpose(x, kernel) + bias).

    Variables: `kernel` of shape [channels, filters / groups, *kernel_size] and `bias` of shape
    [filters], of the dtype of x.

    Arguments:
        x: floats of shape [batch, channels, *spatial]; the number of channels must be known.
        filters: the number of out channels.
        kernel_size: an int, or one per spatial axis.
        strides, padding, output_padding, dilation, groups, output_shape: see `gf.nn.conv_transpose`.
        activation: a function of a tensor, such as gf.nn.relu.
        use_bias: whether there is a bias.
        kernel_initializer: glorot_uniform by default.
        bias_initializer: zeros by default.
        name: the scope of the variables; "conv_transpose", with a suffix where needed, by default.

    Returns:
        [batch, filters, *spatial], larger by the strides.

    Raises:
        ShapeError: if channels, groups or sizes do not fit.
        GraphError: if the given name is that of another layer.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic" (2016).

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 16, 4, 4))
    >>> gf.layers.conv_transpose(x, filters=8, kernel_size=3, strides=2).type
    float32[batch, 8, 8, 8]
    """
    kind = "conv_transpose"
    x = layer_input(x, kind)
    kernel_size = per_axis(freeze(kernel_size), spatial_rank(x.ndim, kind), "kernel_size", kind)
    filters, groups = positive(filters, "filters", kind), positive(groups, "groups", kind)
    channels = static_size(x, 1, kind)
    require(filters % groups == 0, f"{kind}: {filters} filters do not divide into {groups} groups")
    with layer_scope(x, name, kind) as b:
        shape = (channels, filters // groups, *kernel_size)
        kernel = variable("kernel", shape, kernel_initializer, x.dtype)
        y = transposed(x, kernel, strides, padding, output_padding, dilation, groups, output_shape)
        return activated(_biased(b, y, filters, use_bias, bias_initializer), activation)
