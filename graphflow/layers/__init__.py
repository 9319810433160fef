"""gf.layers: functions that create the variables they need, each in a name scope of its own."""

from graphflow.layers.attention import multi_head_attention
from graphflow.layers.convolution import conv, conv_transpose
from graphflow.layers.dense import dense
from graphflow.layers.dropout import dropout
from graphflow.layers.embedding import embedding
from graphflow.layers.normalization import batch_norm, group_norm, layer_norm

__all__ = [
    "batch_norm",
    "conv",
    "conv_transpose",
    "dense",
    "dropout",
    "embedding",
    "group_norm",
    "layer_norm",
    "multi_head_attention",
]
