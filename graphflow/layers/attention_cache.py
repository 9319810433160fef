"""The cache of an attention layer: keys and values of the positions before, in room for those to come."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import as_dtype, float32
from graphflow.ir.graph import default_graph, scoped
from graphflow.ir.node import Tensor
from graphflow.layers.scope import positive
from graphflow.nn.caches import cache_update
from graphflow.ops import initializers
from graphflow.ops.composite import composite
from graphflow.ops.declare import Update, assign, group, variable
from graphflow.ops.inference import require


class AttentionCache(NamedTuple):
    """What `multi_head_attention` remembers, and where it goes on.

    Attributes:
        key, value: floats of shape [batch, kv_heads, room, head_size].
        position: integers of shape [] or [batch], how many positions are filled. There has to be room
            for those to come: what exceeds it overwrites the last place.
    """

    key: Tensor
    value: Tensor
    position: Tensor

    def assign(self, new: AttentionCache) -> Update:
        """An Update that moves on from this cache, made of variables, to the one that a layer returned."""
        if not isinstance(new, AttentionCache):
            raise AttributeValueError(
                f"{new!r:.80} is no attention cache", hint="pass what the layer returned"
            )
        return group(*[assign(old, value) for old, value in zip(self, new)], name="advance_cache")

    def restart(self) -> Update:
        """An Update after which the cache of variables is empty: nothing behind its position is read."""
        return assign(self.position, 0)


@composite
def attention_cache(
    batch: int, kv_heads: int, room: int, head_size: int, dtype: Any = float32, name: str | None = None
) -> AttentionCache:
    """A cache for `multi_head_attention`, of variables that no training changes.

    Variables: `key`, `value` and `position`.

    Arguments:
        batch: how many sequences go on together.
        kv_heads: the number of heads of keys and values.
        room: how many positions there are at most.
        head_size: the size of each head.
        dtype: a floating dtype, that of the layer's input.
        name: the scope of the variables; "attention_cache", with a suffix where needed, by default.

    Raises:
        AttributeValueError, DTypeError: for numbers that are not positive, or a dtype that is no float's.

    Source: Shazeer, "Fast transformer decoding" (2019).

    >>> import graphflow as gf
    >>> cache = gf.layers.attention_cache(batch=1, kv_heads=4, room=100, head_size=16)
    >>> x = gf.placeholder("x", (1, 1, 64))
    >>> y, new = gf.layers.multi_head_attention(x, heads=4, causal=True, cache=cache)
    >>> advance = cache.assign(new)
    >>> y.type, cache.key.type
    (float32[1, 1, 64], float32[1, 4, 100, 16])
    """
    kind = "attention_cache"
    sizes = {"batch": batch, "kv_heads": kv_heads, "room": room, "head_size": head_size}
    shape = tuple(positive(size, what, kind) for what, size in sizes.items())
    dtype = as_dtype(dtype)
    if not dtype.is_floating:
        raise DTypeError(f"an attention cache holds floats, not {dtype}", hint="pass a floating dtype")
    graph, zeros = default_graph(), initializers.zeros()
    with graph.attempt():
        fresh = graph.unique_name(name or kind).removeprefix(graph.scope)
        with scoped(graph, name or fresh):
            key = variable("key", shape, zeros, dtype, trainable=False)
            value = variable("value", shape, zeros, dtype, trainable=False)
            position = variable("position", (), zeros, "int32", trainable=False)
    return AttentionCache(key, value, position)


def checked_cache(cache: Any) -> AttentionCache:
    """The cache, if it is one."""
    if not isinstance(cache, AttentionCache) or not all(isinstance(one, Tensor) for one in cache):
        raise AttributeValueError(
            f"{cache!r:.80} is no attention cache", hint="make one with gf.layers.attention_cache"
        )
    require(
        cache.key.ndim == 4 and cache.value.ndim == 4 and cache.position.ndim < 2,
        "an attention cache holds keys and values [batch, kv_heads, room, head_size] and a position [] or "
        f"[batch], not {cache.key.type}, {cache.value.type} and {cache.position.type}",
    )
    return cache


def extended(b: Builder, cache: AttentionCache, key: Tensor, value: Tensor) -> AttentionCache:
    """The cache with new keys and values written behind what it holds."""
    starts = b.broadcast_to(cache.position, shape=(key.shape[0],))
    for old, new in ((cache.key, key), (cache.value, value)):
        if old.dtype is not new.dtype:
            raise DTypeError(
                f"an attention cache of {old.dtype} cannot take {new.dtype}",
                hint="make it with dtype= of the layer's input",
            )
    return AttentionCache(
        cache_update(cache.key, key, starts),
        cache_update(cache.value, value, starts),
        b.add(cache.position, b.tensor(key.shape[2], dtype=cache.position.dtype)),
    )
