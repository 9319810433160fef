"""The multi-head attention layer: several attentions side by side, each on its own projection."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import float32
from graphflow.ir.node import Tensor
from graphflow.layers.attention_cache import AttentionCache, checked_cache, extended
from graphflow.layers.dense import dense
from graphflow.layers.scope import layer_input, layer_scope, positive, static_size
from graphflow.nn.attention import attention
from graphflow.nn.heads import merge_heads, split_heads
from graphflow.nn.positions import rotary_embedding, rotary_tables
from graphflow.ops.composite import composite
from graphflow.ops.inference import require

KIND = "multi_head_attention"


@composite
def multi_head_attention(
    x: Any,
    heads: int,
    memory: Any = None,
    head_size: int | None = None,
    mask: Any = None,
    causal: bool = False,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    name: str | None = None,
    *,
    kv_heads: int | None = None,
    rotary: Any = False,
    window: Any = None,
    softcap: float | None = None,
    dropout: float = 0.0,
    cache: AttentionCache | None = None,
) -> Any:
    """Multi-head attention: y = concat_h(attention(x Q_h, m K_h, m V_h)) W, where m is the memory.

    Variables: dense layers `query`, `key`, `value` and `output`.

    Arguments:
        x: floats of shape [batch, positions, features], which ask.
        heads: the number of attentions.
        memory: what is attended to, [batch, keys, features]; x itself by default.
        head_size: the size of each head; features / heads by default.
        mask: broadcasts to [batch, heads, positions, keys]; see `gf.nn.attention`.
        causal: let position i attend to 0 ... i only.
        use_bias: whether the projections have biases.
        kernel_initializer: glorot_uniform by default.
        name: the scope; "multi_head_attention", with a suffix where needed, by default.
        kv_heads: the number of heads of keys and values, a divisor of heads; heads by default.
        rotary: turn queries and keys by their positions; True, or the base of the wavelengths.
        window, softcap, dropout: see `gf.nn.attention`.
        cache: the keys and values of earlier positions, see `gf.layers.attention_cache`: those of x are
            put behind them, and x attends to all that is filled.

    Returns:
        a tensor of the type of x; with a cache the pair of that and the new AttentionCache.

    Raises:
        ShapeError: if x does not have rank 3, or the cache does not fit.
        AttributeValueError: if the features do not divide into heads and no head_size is given, or
            memory is given with what is for x alone.
        GraphError: if the given name is that of another layer.

    Source: Vaswani et al., "Attention is all you need" (2017), section 3.2.2.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", "time", 64))
    >>> gf.layers.multi_head_attention(x, heads=4, kv_heads=2, causal=True, rotary=True).type
    float32[batch, time, 64]
    """
    x, source = _inputs(x, memory)
    heads, features = positive(heads, "heads", KIND), static_size(x, -1, KIND)
    shared, size = _kv_heads(heads, kv_heads), _head_size(features, heads, head_size)
    cache = None if cache is None else checked_cache(cache)
    if memory is not None and (cache is not None or rotary is not False):
        raise AttributeValueError(
            f"{KIND} cannot attend to a memory with a cache or rotary positions",
            hint="those are for attention to x itself",
        )
    with layer_scope(x, name, KIND) as b:
        q, k, v = (
            split_heads(dense(value, count * size, None, use_bias, kernel_initializer, name=part), count)
            for value, count, part in (
                (x, heads, "query"),
                (source, shared, "key"),
                (source, shared, "value"),
            )
        )
        mixed, new = _mixed(
            b, (q, k, v), cache, rotary, mask, causal, window=window, softcap=softcap, dropout=dropout
        )
        y = dense(merge_heads(mixed), features, None, use_bias, kernel_initializer, name="output")
        return y if new is None else (y, new)


def _mixed(
    b: Builder,
    heads: tuple[Tensor, Tensor, Tensor],
    cache: AttentionCache | None,
    rotary: Any,
    mask: Any,
    causal: bool,
    **options: Any,
) -> tuple[Tensor, AttentionCache | None]:
    """The attentions of queries to keys, each with its value, and the cache with those of now."""
    q, k, v = heads
    start = None if cache is None else cache.position
    if rotary is not False:
        q, k = _rotated(b, (q, k), 10000.0 if rotary is True else rotary, start)
    new = None if cache is None else extended(b, cache, k, v)
    k, v = (k, v) if new is None else (new.key, new.value)
    filled = None if new is None or causal else new.position
    return attention(q, k, v, mask, causal, offset=start, lengths=filled, **options), new


def _inputs(x: Any, memory: Any) -> tuple[Tensor, Tensor]:
    """What asks, and what is attended to."""
    x = layer_input(x, KIND)
    source = x if memory is None else layer_input(memory, KIND)
    for one in (x, source):
        require(
            one.ndim == 3,
            f"{KIND} needs inputs of shape [batch, positions, features], not of rank {one.ndim}",
        )
    return x, source


def _head_size(features: int, heads: int, head_size: int | None) -> int:
    if head_size is not None:
        return positive(head_size, "head_size", KIND)
    if features % heads:
        raise AttributeValueError(
            f"{KIND}: {features} features do not divide into {heads} heads",
            hint="choose a divisor, or pass head_size=",
        )
    return features // heads


def _kv_heads(heads: int, kv_heads: int | None) -> int:
    count = heads if kv_heads is None else positive(kv_heads, "kv_heads", KIND)
    if heads % count:
        raise AttributeValueError(
            f"{KIND}: {heads} heads cannot share {count} heads of keys and values evenly",
            hint="let kv_heads divide heads",
        )
    return count


def _rotated(
    b: Builder, parts: tuple[Tensor, Tensor], base: float, start: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Queries and keys, turned by their positions from `start` on."""
    q, k = parts
    size = static_size(q, -1, KIND)
    positions = b.iota(size=q.shape[2], dtype="int32")
    if start is not None:
        first = b.expand_dims(start, axis=1) if start.ndim else start
        positions = b.add(b.astype(first, dtype="int32"), positions)
    tables = rotary_tables(positions, size, base, q.dtype if q.dtype.itemsize > 2 else float32)
    return rotary_embedding(q, *tables), rotary_embedding(k, *tables)
