"""The multi-head attention layer: several attentions side by side, each on its own projection."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.layers.dense import dense
from graphflow.layers.scope import layer_input, layer_scope, positive, static_size
from graphflow.nn.attention import attention
from graphflow.ops.composite import composite
from graphflow.ops.inference import require


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
) -> Tensor:
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

    Returns:
        a tensor of the type of x.

    Raises:
        ShapeError: if x does not have rank 3.
        AttributeValueError: if the features do not divide into heads and no head_size is given.
        GraphError: if the given name is that of another layer.

    Source: Vaswani et al., "Attention is all you need" (2017), section 3.2.2.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", "time", 64))
    >>> gf.layers.multi_head_attention(x, heads=4, causal=True).type
    float32[batch, time, 64]
    """
    kind = "multi_head_attention"
    x = layer_input(x, kind)
    source = x if memory is None else layer_input(memory, kind)
    for one in (x, source):
        require(
            one.ndim == 3,
            f"{kind} needs inputs of shape [batch, positions, features], not of rank {one.ndim}",
        )
    heads, features = positive(heads, "heads", kind), static_size(x, -1, kind)
    size = _head_size(features, heads, head_size)
    with layer_scope(x, name, kind) as b:

        def project(value: Tensor, part: str) -> Tensor:
            return _split(
                b, dense(value, heads * size, None, use_bias, kernel_initializer, name=part), heads, size
            )

        q, k, v = project(x, "query"), project(source, "key"), project(source, "value")
        mixed = b.permute_dims(attention(q, k, v, mask, causal), axes=(0, 2, 1, 3))
        joined = b.reshape(mixed, shape=(*x.shape[:2], heads * size))
        return dense(joined, features, None, use_bias, kernel_initializer, name="output")


def _head_size(features: int, heads: int, head_size: int | None) -> int:
    if head_size is not None:
        return positive(head_size, "head_size", "multi_head_attention")
    if features % heads:
        raise AttributeValueError(
            f"multi_head_attention: {features} features do not divide into {heads} heads",
            hint="choose a divisor, or pass head_size=",
        )
    return features // heads


def _split(b: Builder, x: Tensor, heads: int, size: int) -> Tensor:
    """[batch, positions, heads * size] as [batch, heads, positions, size]."""
    return b.permute_dims(b.reshape(x, shape=(*x.shape[:2], heads, size)), axes=(0, 2, 1, 3))
