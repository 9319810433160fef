"""The causal convolution of a sequence, channel by channel, which can go on where it stopped."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import require
from graphflow.ops.windows import unify_shapes

ACTIVATIONS = (None, "none", "silu", "swish")


@composite
def causal_conv_with_state(
    x: Any, w: Any, bias: Any = None, state: Any = None, activation: str | None = None
) -> tuple[Tensor, Tensor]:
    """A convolution of each channel of a sequence with its own kernel, that sees no later elements.

    y[n, c, t] = activation(sum_k w[c, 0, k] x[n, c, t + k - (size - 1)] + bias[c]), where elements before
    the first are those of the state, or zero. The new state makes a later call go on from here.

    Arguments:
        x: floats of shape [batch, channels, length].
        w: kernels of shape [channels, 1, size].
        bias: one number for each channel.
        state: the size - 1 elements that came before, [batch, channels, size - 1].
        activation: "silu" (or "swish"), or None (or "none").

    Returns:
        the pair (y, state): [batch, channels, length] and [batch, channels, size - 1].

    Raises:
        ShapeError, AttributeValueError: if shapes do not fit, or the activation is another.

    Source: Gu and Dao, "Mamba: linear-time sequence modeling with selective state spaces" (2023);
    ONNX CausalConvWithState-27.

    >>> import graphflow as gf
    >>> x, w = gf.placeholder("x", ("batch", 16, "time")), gf.variable("w", (16, 1, 4))
    >>> y, state = gf.nn.causal_conv_with_state(x, w, activation="silu")
    >>> y.type, state.type
    (float32[batch, 16, time], float32[batch, 16, 3])
    """
    b, (x, w) = with_tensors(x, w)
    if not (activation is None or isinstance(activation, str)) or activation not in ACTIVATIONS:
        raise AttributeValueError(
            f"causal_conv_with_state has no activation {activation!r:.80}", hint="use 'silu' or None"
        )
    require(x.ndim == 3, f"causal_conv_with_state needs batch, channels and length, not rank {x.ndim}")
    require(w.ndim == 3, f"causal_conv_with_state needs kernels [channels, 1, size], not of rank {w.ndim}")
    batch, channels, length = x.shape
    size = w.shape[2]
    if not isinstance(channels, int):
        channels = w.shape[0]
    require(
        isinstance(channels, int) and isinstance(size, int) and size > 0 and channels > 0,
        f"causal_conv_with_state needs kernels of fixed shape, not {list(w.shape)}",
    )
    unify_shapes(w.shape, (x.shape[1], 1, size), "causal_conv_with_state needs a kernel for each channel")
    past = size - 1
    if state is None:
        longer = b.pad(x, pads=((0, 0), (0, 0), (past, 0)))
    else:
        state = b.tensor(state)
        message = "causal_conv_with_state needs as many earlier elements as a window reaches back"
        unify_shapes(state.shape, (batch, x.shape[1], past), message)
        longer = b.concat(state, x, axis=2)
    y = b.conv(longer, w, groups=channels)
    if bias is not None:
        bias = b.tensor(bias)
        unify_shapes(bias.shape, (x.shape[1],), "causal_conv_with_state needs a bias for each channel")
        y = b.add(y, b.reshape(bias, shape=(x.shape[1], 1)))
    if activation in ("silu", "swish"):
        y = b.silu(y)
    return y, b.slice(longer, starts=(length,), stops=(None,), axes=(2,))
