"""Import of onnxruntime's attention: Attention, MultiHeadAttention, RotaryEmbedding of com.microsoft.

Masks of 0 and 1 add a number to the scores of keys that do not count, -10000 unless the node says another, so
that a query for which none counts attends to them all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow import nn
from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call
from graphflow.io.onnx.import_contrib_quantized import matmul_to_float
from graphflow.ir import dtypes
from graphflow.ir.dims import Dim
from graphflow.ir.node import Tensor
from graphflow.ops import arrange, casting, comparison, creation, declare, linalg, rearrange, shape, standard

Size = int | Dim


def _attention(
    call: Call,
    x: Tensor,
    w: Tensor,
    bias: Any = None,
    mask: Any = None,
    past: Any = None,
    score_bias: Any = None,
    past_length: Any = None,
) -> tuple[Any, ...]:
    made = linalg.matmul(x, w) if bias is None else linalg.matmul(x, w) + bias
    return _self_attention(call, made, mask, past, score_bias)


def _quantized_attention(
    call: Call,
    x: Tensor,
    w: Tensor,
    bias: Tensor,
    x_scale: Tensor,
    w_scale: Tensor,
    mask: Any = None,
    x_zero: Any = None,
    w_zero: Any = None,
    past: Any = None,
) -> tuple[Any, ...]:
    made = matmul_to_float(call, x, w, x_scale, w_scale, x_zero, w_zero, bias)
    return _self_attention(call, made, mask, past, None)


def _self_attention(call: Call, made: Tensor, mask: Any, past: Any, score_bias: Any) -> tuple[Any, ...]:
    """Of queries, keys and values side by side."""
    _refuse(call, "do_rotary", "past_present_share_buffer")
    sizes = call.attr("qkv_hidden_sizes")
    q, k, v = arrange.split(made, tuple(sizes) if sizes else 3, -1)
    heads = call.attr("num_heads")
    q, k, v = (_heads(one, heads) for one in (q, k, v))
    pasts = (None, None) if past is None else (past[0], past[1])
    y, key, value = _attended(call, q, k, v, mask, score_bias, pasts)
    return (y, rearrange.stack([key, value], 0)) if call.asks(1) else (y,)


def _multi_head(
    call: Call,
    query: Tensor,
    key: Any = None,
    value: Any = None,
    bias: Any = None,
    mask: Any = None,
    score_bias: Any = None,
    past_key: Any = None,
    past_value: Any = None,
    past_length: Any = None,
    indirection: Any = None,
) -> tuple[Any, ...]:
    if past_length is not None or indirection is not None or call.asks(3):
        raise FileFormatError(
            f"{call.label} with a shared buffer for the past, or that hands out its scores, is not supported",
            hint="export the model without it",
        )
    heads = call.attr("num_heads")
    q, k, v = _operands(call, query, key, value)
    biases: list[Any] = [None] * 3
    if bias is not None:
        biases = [_row(one, heads) for one in arrange.split(bias, _widths(bias, q, v, heads), 0)]
    if key is not None and key.ndim == 4:
        biases[1:] = [None, None]  # they come from an earlier step, which has added it
    q, k, v = (one if more is None else one + more for one, more in zip((q, k, v), biases))
    y, present_key, present_value = _attended(call, q, k, v, mask, score_bias, (past_key, past_value))
    return y, present_key, present_value, None


def _decoder(
    call: Call,
    query: Tensor,
    key: Any = None,
    value: Any = None,
    mask: Any = None,
    score_bias: Any = None,
    past_key: Any = None,
    past_value: Any = None,
    past_length: Any = None,
    beams: Any = None,
    indirection: Any = None,
    bias: Any = None,
) -> tuple[Any, ...]:
    """MultiHeadAttention of one position, with its inputs in another order."""
    _refuse(call, "past_present_share_buffer", "output_qk")
    rest = (bias, mask, score_bias, past_key, past_value, past_length, indirection)
    return _multi_head(call, query, key, value, *rest)


def _operands(call: Call, query: Tensor, key: Any, value: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, [batch, heads, positions, size], however they are packed."""
    heads = call.attr("num_heads")
    if query.ndim == 5:  # [batch, positions, heads, 3, size]
        q, k, v = (_turned(query[:, :, :, place]) for place in range(3))
        return q, k, v
    q = _heads(query, heads)
    if key is None:
        raise FileFormatError(f"{call.label} has no keys", hint="get the model again")
    if key.ndim == 5:  # [batch, positions, heads, 2, size]
        return q, _turned(key[:, :, :, 0]), _turned(key[:, :, :, 1])
    k, v = (one if one.ndim == 4 else _heads(one, heads) for one in (key, value))
    return q, k, v


def _widths(bias: Tensor, q: Tensor, v: Tensor, heads: int) -> tuple[Size, ...]:
    width, last = heads * q.shape[-1], heads * v.shape[-1]
    return width, width, last


def _row(bias: Tensor, heads: int) -> Tensor:
    """A bias of all features as one of [heads, 1, size]."""
    return standard.reshape(bias, (heads, 1, bias.shape[0] // heads))


def _heads(x: Tensor, heads: int) -> Tensor:
    """[batch, heads, positions, size] of [batch, positions, heads * size]."""
    return _turned(standard.reshape(x, (*x.shape[:2], heads, x.shape[2] // heads)))


def _turned(x: Tensor) -> Tensor:
    return shape.permute_dims(x, (0, 2, 1, 3))


def _attended(
    call: Call, q: Tensor, k: Tensor, v: Tensor, mask: Any, score_bias: Any, past: tuple[Any, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """The means, [batch, positions, heads * size], and the keys and values with those of the past."""
    keys = k.shape[2] if past[0] is None else k.shape[2] + past[0].shape[2]
    added = None if mask is None else _added(call, mask, q.shape[0], keys)
    if score_bias is not None:
        added = score_bias if added is None else added + score_bias
    made = nn.attention_outputs(
        q,
        k,
        v,
        None if added is None else casting.astype(added, q.dtype),
        *past,
        causal=call.flag("unidirectional"),
        scale=call.attr("scale", 0.0) or None,
    )
    y = _turned(made.y)
    return standard.reshape(y, (*y.shape[:2], y.shape[2] * y.shape[3])), made.key, made.value


def _added(call: Call, mask: Tensor, batch: Size, keys: Size) -> Tensor:
    """What a mask adds to scores [batch, heads, queries, keys], with axes of 1 where it does not tell."""
    if mask.ndim == 1:
        counts = _from_lengths(call, mask, batch, keys)
    elif mask.ndim in (2, 3):
        counts = comparison.greater(casting.astype(mask, dtypes.int32), 0)
    else:
        raise FileFormatError(
            f"{call.label} with a mask of rank {mask.ndim} is not supported",
            hint="masks [batch], [batch, keys] and [batch, queries, keys] are",
        )
    wide = shape.expand_dims(counts, 1 if mask.ndim == 3 else (1, 2))
    least = np.float32(call.attr("mask_filter_value", -10000.0))
    return comparison.where(wide, declare.constant(np.float32(0)), declare.constant(least))


def _from_lengths(call: Call, mask: Tensor, batch: Size, keys: Size) -> Tensor:
    """Which keys lie before the ends, and not before the beginnings, if they are told."""
    place = creation.arange(keys, dtype=mask.dtype)
    if mask.shape[0] == batch:
        return comparison.less(place, shape.expand_dims(mask, 1))
    if mask.shape[0] == batch * 2:
        ends, starts = (shape.expand_dims(one, 1) for one in arrange.split(mask, 2, 0))
        return comparison.logical_and(comparison.less(place, ends), comparison.greater_equal(place, starts))
    raise FileFormatError(
        f"{call.label} has a mask of {mask.shape[0]} numbers for a batch of {batch}, which is not supported",
        hint="lengths [batch], or ends and beginnings [2 * batch], are",
    )


def _rotary(call: Call, x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    _refuse(call, "is_packed_batching")
    if call.attr("scale", 1.0) not in (0.0, 1.0):
        raise FileFormatError(
            f"{call.label} has a scale, which is not supported", hint="put it into the tables"
        )
    dim = call.attr("rotary_embedding_dim", 0) or None
    heads = call.attr("num_heads", 0) or None
    if x.ndim == 3 and heads is None:
        heads = x.shape[2] // (2 * cos.shape[1])
    time = x.shape[1] if x.ndim == 3 else x.shape[2]
    if positions.ndim == 1:  # the position of the first
        positions = creation.arange(time, dtype=dtypes.int64) + casting.astype(positions, dtypes.int64)
    return nn.rotary_embedding(
        x, cos, sin, positions, interleaved=call.flag("interleaved"), dim=dim, heads=heads
    )


def _refuse(call: Call, *flags: str) -> None:
    for name in flags:
        if call.flag(name):
            raise FileFormatError(f"{call.label} with {name} is not supported", hint="export it without")


TABLE: dict[str, Any] = {
    "Attention": _attention,
    "DecoderMaskedMultiHeadAttention": _decoder,
    "MultiHeadAttention": _multi_head,
    "QAttention": _quantized_attention,
    "RotaryEmbedding": _rotary,
}
