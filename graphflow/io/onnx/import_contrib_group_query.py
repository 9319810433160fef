"""Import of GroupQueryAttention of com.microsoft, the attention of decoders with a cache of keys and values.

Of each entry of the batch T keys are there after the step, seqlens_k + 1. The queries are the last S of them,
or the first `query_seqlens` of the S given ones are; P = T - S keys were there before, so query s stands at
position P + s. What the cache holds behind T is zero here, and nobody attends to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow import nn
from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call
from graphflow.ir import dims, dtypes
from graphflow.ir.dims import Size
from graphflow.ir.node import Tensor
from graphflow.nn.heads import merge_heads, split_heads
from graphflow.ops import arrange, casting, comparison, creation, declare, elementwise, shape, standard


@dataclass(frozen=True)
class _Step:
    """Which positions a step is about.

    Attributes:
        after: how many keys each entry of the batch has after it, [batch].
        before: how many it had before it, [batch]; None if there were none.
        longest: how many the longest entry has after it.
    """

    after: Tensor
    before: Tensor | None
    longest: Size


def _group_query(
    call: Call,
    query: Tensor,
    key: Any = None,
    value: Any = None,
    past_key: Any = None,
    past_value: Any = None,
    lengths: Any = None,
    total: Any = None,
    cos: Any = None,
    sin: Any = None,
    positions: Any = None,
    score_bias: Any = None,
    sink: Any = None,
    k_scale: Any = None,
    v_scale: Any = None,
    q_norm: Any = None,
    k_norm: Any = None,
    query_lengths: Any = None,
) -> tuple[Any, ...]:
    _refuse(call, quantized=k_scale is not None or v_scale is not None)
    if lengths is None or total is None:
        raise FileFormatError(
            f"{call.label} does not tell how long its sequences are", hint="get the model again"
        )
    q, k, v = _operands(call, query, key, value)
    if q_norm is not None and k_norm is not None:
        q, k = _normalized(call, "q", q, q_norm), _normalized(call, "k", k, k_norm)
    step = _step(call, lengths, total, q.shape[2], past_key, query_lengths)
    if call.flag("do_rotary"):
        if cos is None or sin is None:
            raise FileFormatError(f"{call.label} has no tables to rotate with", hint="get the model again")
        where = positions if positions is not None else _positions(step, q.shape[2])
        q, k = (_rotated(call, one, cos, sin, where) for one in (q, k))
    present = [_cached(past, new, step) for past, new in ((past_key, k), (past_value, v))]
    seen = [one if one.shape[2] == step.longest else one[:, :, : step.longest] for one in present]
    smooth = call.flag("smooth_softmax")
    if sink is None and smooth:
        sink = declare.constant(np.zeros(call.attr("num_heads"), q.dtype.numpy))
    if sink is None:
        y = nn.attention(q, seen[0], seen[1], score_bias, **_which(call, step), **_options(call, q))
    else:
        y = _attended_with_sink(call, q, seen, step, score_bias, sink)
    return merge_heads(y), *present


def _refuse(call: Call, quantized: bool) -> None:
    quantized |= any(call.attr(f"{side}_quant_type", "NONE") != "NONE" for side in "kv")
    for told, given in (
        ("with a quantized cache", quantized),
        ("with sliding_window_cache", call.flag("sliding_window_cache")),
        ("that hands out its scores", call.attr("qk_output", 0) or call.asks(3)),
    ):
        if given:
            raise FileFormatError(f"{call.label} {told} is not supported", hint="export the model without it")


def _operands(call: Call, query: Tensor, key: Any, value: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, [batch, heads, positions, size], that may come in one tensor."""
    heads, shared = call.attr("num_heads"), call.attr("kv_num_heads")
    if key is not None and value is not None:
        return split_heads(query, heads), split_heads(key, shared), split_heads(value, shared)
    q, k, v = arrange.split(split_heads(query, heads + 2 * shared), (heads, shared, shared), 1)
    return q, k, v


def _normalized(call: Call, side: str, x: Tensor, weight: Tensor) -> Tensor:
    epsilon = call.attr(f"{side}_norm_epsilon", call.attr("qk_norm_epsilon", 1e-6))
    return nn.rms_norm(x, weight, -1, epsilon, dtypes.float32)


def _step(call: Call, lengths: Tensor, total: Tensor, steps: Size, past: Any, valid: Any) -> _Step:
    longest = call.number(total)
    after = casting.astype(standard.reshape(lengths, (-1,)), dtypes.int32) + np.int32(1)
    if past is None and longest == steps and valid is None:
        return _Step(after, None, longest)
    new = creation.full((), steps, dtypes.int32) if valid is None else casting.astype(valid, dtypes.int32)
    return _Step(after, elementwise.maximum(after - new, np.int32(0)), longest)


def _positions(step: _Step, steps: Size) -> Tensor:
    places = creation.arange(steps, dtype=dtypes.int32)
    return places if step.before is None else shape.expand_dims(step.before, 1) + places


def _rotated(call: Call, x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor) -> Tensor:
    dim: Any = cos.shape[1] * 2
    interleaved = call.flag("rotary_interleaved")
    return nn.rotary_embedding(x, cos, sin, positions, interleaved=interleaved, dim=dim)


def _cached(past: Any, new: Tensor, step: _Step) -> Tensor:
    """The keys or values of the past with the new ones behind them, and zeros behind those."""
    if step.before is None:
        return new
    batch, heads, _, size = new.shape
    if past is None:
        old = creation.zeros((batch, heads, step.longest, size), new.dtype)
    else:
        room = dims.maximum(past.shape[2], step.longest)
        more = room - past.shape[2]
        wide = past if more == 0 else _lengthened(past, more)
        places = creation.arange(room, dtype=dtypes.int32)
        there = comparison.less(places, shape.expand_dims(step.before, 1))
        old = comparison.where(shape.expand_dims(there, (1, 3)), wide, creation.zeros((), new.dtype))
    return nn.cache_update(old, new, step.before)


def _lengthened(x: Tensor, more: Size) -> Tensor:
    """Keys or values with so many zeros behind them."""
    zeros = creation.zeros((*x.shape[:2], more, x.shape[3]), x.dtype)
    return standard.concat(x, zeros, axis=2)


def _options(call: Call, q: Tensor) -> dict[str, Any]:
    return {
        "scale": call.attr("scale", 0.0) or None,
        "softcap": call.attr("softcap", 0.0) or None,
        "softmax_dtype": dtypes.float32 if q.dtype.itemsize < 4 else None,
    }


def _which(call: Call, step: _Step) -> dict[str, Any]:
    """What a query may attend to; one that is causal sees no key behind the last, either."""
    causal, left = call.flag("causal", True), call.attr("local_window_size", -1)
    return {
        "causal": causal,
        "window": (left - 1, None) if left > 0 else None,
        "offset": step.before,
        "lengths": None if causal else step.after,
    }


def _attended_with_sink(
    call: Call, q: Tensor, seen: list[Tensor], step: _Step, score_bias: Any, sink: Tensor
) -> Tensor:
    """With one more key, of zeros, whose value is zero and whose score is that of the sink of the head."""
    k, v = seen
    which = _which(call, step)
    offset = which.pop("offset")
    allowed = nn.attention_mask(q.shape[2], k.shape[2], **which, offset=0 if offset is None else offset)
    zero, least = (declare.constant(np.asarray(one, q.dtype.numpy)) for one in (0.0, -np.inf))
    added = comparison.where(allowed, zero if score_bias is None else score_bias, least)
    rows = (*q.shape[:3], 1)
    added = shape.broadcast_to(added, (*q.shape[:3], k.shape[2]))
    last = shape.broadcast_to(standard.reshape(sink, (-1, 1, 1)), rows)
    mask = standard.concat(added, casting.astype(last, q.dtype), axis=-1)
    return nn.attention(q, _lengthened(k, 1), _lengthened(v, 1), mask, **_options(call, q))


TABLE: dict[str, Any] = {"GroupQueryAttention": _group_query}
