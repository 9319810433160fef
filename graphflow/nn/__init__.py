"""gf.nn: functions of tensors for neural networks; those that also make variables are in gf.layers."""

from graphflow.nn import losses, metrics
from graphflow.nn.activations import celu, hardmax, prelu, shrink, swiglu, swish, thresholded_relu
from graphflow.nn.adaptive_pooling import adaptive_avg_pool, adaptive_max_pool
from graphflow.nn.attention import AttentionOutputs, attention, attention_outputs
from graphflow.nn.attention_masks import attention_mask
from graphflow.nn.boxes import box_iou
from graphflow.nn.caches import cache_update
from graphflow.nn.causal_conv import causal_conv_with_state
from graphflow.nn.convolution import conv_transpose
from graphflow.nn.deform_conv import deform_conv
from graphflow.nn.dropout import dropout
from graphflow.nn.heads import merge_heads, split_heads
from graphflow.nn.linear_attention import linear_attention
from graphflow.nn.local_normalization import local_response_norm, lp_normalize, mean_variance_norm
from graphflow.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_embedding,
    cross_entropy,
    ctc_loss,
    focal_loss,
    hinge,
    huber,
    kl_divergence,
    mean_absolute_error,
    mean_squared_error,
    nll,
    poisson_nll,
    triplet_margin,
)
from graphflow.nn.normalization import (
    batch_norm,
    batch_norm_training,
    group_norm,
    instance_norm,
    layer_norm,
    layer_norm_with_statistics,
    moments,
    rms_norm,
)
from graphflow.nn.pooling import global_avg_pool, global_lp_pool, global_max_pool, lp_pool
from graphflow.nn.positions import alibi_bias, rotary_embedding, rotary_tables, sinusoidal_positions
from graphflow.nn.rearrangement import depth_to_space, space_to_depth
from graphflow.nn.recurrent import gru, lstm, rnn
from graphflow.nn.regions import crop_and_resize, max_roi_pool
from graphflow.nn.resize import center_crop_pad, resize, upsample
from graphflow.nn.roi_align import roi_align
from graphflow.nn.sampling import affine_grid, grid_sample
from graphflow.nn.similarity import cosine_similarity
from graphflow.nn.unpooling import max_pool_with_indices, max_unpool
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
from graphflow.ops.detection import non_max_suppression
from graphflow.ops.indexing import one_hot
from graphflow.ops.patches import col2im, im2col
from graphflow.ops.pooling import avg_pool, max_pool
from graphflow.ops.softmax import log_softmax, softmax
from graphflow.ops.trigonometry import tanh

__all__ = [
    # activations
    "celu",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_swish",
    "hardmax",
    "leaky_relu",
    "log_softmax",
    "mish",
    "prelu",
    "relu",
    "selu",
    "shrink",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swiglu",
    "swish",
    "tanh",
    "thresholded_relu",
    # convolution and pooling
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "causal_conv_with_state",
    "col2im",
    "conv",
    "conv_transpose",
    "deform_conv",
    "depth_to_space",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "im2col",
    "lp_pool",
    "max_pool",
    "max_pool_with_indices",
    "max_unpool",
    "space_to_depth",
    # images
    "affine_grid",
    "box_iou",
    "center_crop_pad",
    "crop_and_resize",
    "grid_sample",
    "max_roi_pool",
    "non_max_suppression",
    "resize",
    "roi_align",
    "upsample",
    # normalization
    "batch_norm",
    "batch_norm_training",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "layer_norm_with_statistics",
    "local_response_norm",
    "lp_normalize",
    "mean_variance_norm",
    "moments",
    "rms_norm",
    # attention
    "AttentionOutputs",
    "alibi_bias",
    "attention",
    "attention_mask",
    "attention_outputs",
    "linear_attention",
    "merge_heads",
    "rotary_embedding",
    "rotary_tables",
    "sinusoidal_positions",
    "split_heads",
    # recurrent nets
    "gru",
    "lstm",
    "rnn",
    # others
    "cache_update",
    "cosine_similarity",
    "dropout",
    "one_hot",
    # losses
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding",
    "cross_entropy",
    "ctc_loss",
    "focal_loss",
    "hinge",
    "huber",
    "kl_divergence",
    "mean_absolute_error",
    "mean_squared_error",
    "nll",
    "poisson_nll",
    "triplet_margin",
    "losses",
    "metrics",
]


def __dir__() -> list[str]:
    return sorted(__all__)
