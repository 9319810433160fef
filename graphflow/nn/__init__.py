"""gf.nn: functions of tensors for neural networks; those that also make variables are in gf.layers."""

from graphflow.nn import losses, metrics
from graphflow.nn.attention import attention
from graphflow.nn.convolution import conv_transpose
from graphflow.nn.dropout import dropout
from graphflow.nn.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge,
    huber,
    kl_divergence,
    mean_absolute_error,
    mean_squared_error,
    nll,
)
from graphflow.nn.normalization import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    moments,
    rms_norm,
)
from graphflow.nn.pooling import global_avg_pool, global_max_pool
from graphflow.ops.activation import (
    elu,
    gelu,
    hard_sigmoid,
    hard_swish,
    leaky_relu,
    mish,
    relu,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
)
from graphflow.ops.conv import conv
from graphflow.ops.indexing import one_hot
from graphflow.ops.pooling import avg_pool, max_pool
from graphflow.ops.softmax import log_softmax, softmax
from graphflow.ops.trigonometry import tanh

__all__ = [
    # activations
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_swish",
    "leaky_relu",
    "log_softmax",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
    # convolution and pooling
    "avg_pool",
    "conv",
    "conv_transpose",
    "global_avg_pool",
    "global_max_pool",
    "max_pool",
    # normalization
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "moments",
    "rms_norm",
    # others
    "attention",
    "dropout",
    "one_hot",
    # losses
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "hinge",
    "huber",
    "kl_divergence",
    "mean_absolute_error",
    "mean_squared_error",
    "nll",
    "losses",
    "metrics",
]
