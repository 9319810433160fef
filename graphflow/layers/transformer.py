"""The transformer block: attention, then a dense net at each position, each added to what comes in."""

from __future__ import annotations

from typing import Any

from graphflow.ir.node import Tensor
from graphflow.layers.attention import multi_head_attention
from graphflow.layers.attention_cache import AttentionCache
from graphflow.layers.dense import dense
from graphflow.layers.normalization import layer_norm
from graphflow.layers.scope import Activation, layer_input, layer_scope, positive, static_size
from graphflow.nn.dropout import dropout as drop
from graphflow.ops.activation import gelu
from graphflow.ops.composite import composite
from graphflow.ops.inference import require


@composite
def transformer_block(
    x: Any,
    heads: int,
    hidden: int | None = None,
    activation: Activation = gelu,
    dropout: float = 0.0,
    name: str | None = None,
    *,
    mask: Any = None,
    causal: bool = False,
    kv_heads: int | None = None,
    rotary: Any = False,
    window: Any = None,
    softcap: float | None = None,
    cache: AttentionCache | None = None,
) -> Any:
    """A block of a transformer, normalized before each part: y = h + net(norm(h)), h = x + attend(norm(x)).

    net is a dense layer with an activation and one without.

    Variables: layers `attention_norm`, `attention`, `net_norm`, `hidden` and `output`.

    Arguments:
        x: floats of shape [batch, positions, features].
        heads: the number of attentions.
        hidden: the units between the dense layers; 4 features by default.
        activation: a function of a tensor.
        dropout: the probability with which what is added, and the weights of the attention, are dropped
            while training.
        name: the scope; "transformer_block", with a suffix where needed, by default.
        mask, causal, kv_heads, rotary, window, softcap, cache: see `multi_head_attention`.

    Returns:
        a tensor of the type of x; with a cache the pair of that and the new AttentionCache.

    Raises:
        ShapeError, AttributeValueError, GraphError: as `multi_head_attention`.

    Source: Xiong et al., "On layer normalization in the transformer architecture" (2020).

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", "time", 64))
    >>> gf.layers.transformer_block(x, heads=4, causal=True, rotary=True).type
    float32[batch, time, 64]
    """
    kind = "transformer_block"
    x = layer_input(x, kind)
    require(x.ndim == 3, f"{kind} needs an input [batch, positions, features], not of rank {x.ndim}")
    features = static_size(x, -1, kind)
    units = 4 * features if hidden is None else positive(hidden, "hidden", kind)
    with layer_scope(x, name, kind) as b:
        made = multi_head_attention(
            layer_norm(x, name="attention_norm"), heads, mask=mask, causal=causal, name="attention",
            kv_heads=kv_heads, rotary=rotary, window=window, softcap=softcap, dropout=dropout, cache=cache,
        )  # fmt: skip
        mixed, new = made if isinstance(made, tuple) else (made, None)
        h = b.add(x, drop(mixed, dropout))
        inner = dense(layer_norm(h, name="net_norm"), units, activation, name="hidden")
        y: Tensor = b.add(h, drop(dense(inner, features, name="output"), dropout))
        return y if new is None else (y, new)
