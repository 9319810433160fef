"""gf.layers: functions that create the variables they need, each in a name scope of its own."""

from graphflow.layers.attention import multi_head_attention
from graphflow.layers.attention_cache import AttentionCache, attention_cache
from graphflow.layers.convolution import conv, conv_transpose
from graphflow.layers.dense import dense
from graphflow.layers.dropout import dropout
from graphflow.layers.embedding import embedding
from graphflow.layers.normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from graphflow.layers.recurrent import gru, lstm, rnn
from graphflow.layers.sharing import shared
from graphflow.layers.transformer import transformer_block

__all__ = [
    "AttentionCache",
    "attention_cache",
    "batch_norm",
    "conv",
    "conv_transpose",
    "dense",
    "dropout",
    "embedding",
    "group_norm",
    "gru",
    "instance_norm",
    "layer_norm",
    "lstm",
    "multi_head_attention",
    "rms_norm",
    "rnn",
    "shared",
    "transformer_block",
]


def __dir__() -> list[str]:
    return sorted(__all__)
