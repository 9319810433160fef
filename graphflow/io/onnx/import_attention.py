"""Import of attention and what goes with it."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.io.onnx.call import Call
from graphflow.ir.node import Tensor
from graphflow.nn.attention import SCORES


def _attention(
    call: Call,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Any = None,
    past_key: Any = None,
    past_value: Any = None,
    lengths: Any = None,
) -> tuple[Any, ...]:
    sides = [call.attr(f"{side}_window_size", -1) for side in ("left", "right")]
    made = nn.attention_outputs(
        q,
        k,
        v,
        mask,
        past_key,
        past_value,
        lengths,
        causal=call.flag("is_causal"),
        scale=call.attr("scale"),
        window=[None if side < 0 else side for side in sides],
        softcap=call.attr("softcap"),
        softmax_dtype=call.dtype("softmax_precision"),
        heads=call.attr("q_num_heads"),
        kv_heads=call.attr("kv_num_heads"),
        scores=SCORES[call.attr("qk_matmul_output_mode", 0)] if call.asks(3) else None,
    )
    return tuple(made)


def _linear_attention(
    call: Call, q: Tensor, k: Tensor, v: Tensor, state: Any = None, decay: Any = None, beta: Any = None
) -> tuple[Tensor, ...]:
    return nn.linear_attention(
        q,
        k,
        v,
        state,
        decay,
        beta,
        scale=call.attr("scale") or None,
        chunk_size=call.attr("chunk_size", 64),
        heads=call.attr("q_num_heads"),
        kv_heads=call.attr("kv_num_heads"),
    )


def _rotary(call: Call, x: Tensor, cos: Tensor, sin: Tensor, positions: Any = None) -> Tensor:
    return nn.rotary_embedding(
        x,
        cos,
        sin,
        positions,
        interleaved=call.flag("interleaved"),
        dim=call.attr("rotary_embedding_dim", 0) or None,
        heads=call.attr("num_heads", 0) or None,
    )


TABLE: dict[str, Any] = {
    "Attention": _attention,
    "LinearAttention": _linear_attention,
    "RotaryEmbedding": _rotary,
}
