"""Import of onnxruntime's normalizations of com.microsoft, most with what is added before them."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call
from graphflow.io.onnx.import_contrib_quantized import counted
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import (
    activation,
    casting,
    creation,
    elementwise,
    functions,
    indexing,
    reduction,
    shape,
    standard,
)


def _total(call: Call, x: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    """The sum of what is there, as it is normalized and as it is handed out; of 16-bit floats in 32 bits."""
    wide = dtypes.float32 if x.dtype.itemsize < 4 else x.dtype
    total = casting.astype(x, wide)
    for one in others:
        if one is not None:
            total = total + casting.astype(one, wide)
    return total, casting.astype(total, x.dtype)


def _skip_layer_norm(
    call: Call, x: Tensor, skip: Tensor, scale: Tensor, offset: Any = None, bias: Any = None
) -> tuple[Any, ...]:
    total, handed = _total(call, x, skip, bias)
    scale = casting.astype(scale, total.dtype)
    offset = None if offset is None else casting.astype(offset, total.dtype)
    epsilon = call.attr("epsilon", 1e-12)
    made, mean, rate = nn.layer_norm_with_statistics(total, scale, offset, -1, epsilon, total.dtype)
    return casting.astype(made, x.dtype), mean, rate, handed


def _skip_rms_norm(call: Call, x: Tensor, skip: Tensor, scale: Tensor, bias: Any = None) -> tuple[Any, ...]:
    total, handed = _total(call, x, skip, bias)
    epsilon = call.attr("epsilon", 1e-12)
    made = nn.rms_norm(total, casting.astype(scale, total.dtype), -1, epsilon)
    rate = functions.rsqrt(reduction.mean(elementwise.square(total), -1, keepdims=True) + epsilon)
    return casting.astype(made, x.dtype), None, rate, handed


def _embed_layer_norm(
    call: Call,
    words: Tensor,
    segments: Any,
    word_table: Tensor,
    position_table: Tensor,
    segment_table: Any = None,
    scale: Any = None,
    offset: Any = None,
    mask: Any = None,
    positions: Any = None,
) -> tuple[Any, ...]:
    where = creation.arange(words.shape[1], dtype=dtypes.int32) if positions is None else positions
    total = indexing.take(word_table, words, 0) + indexing.take(position_table, where, 0)
    if segments is not None and segment_table is not None:
        total = total + indexing.take(segment_table, segments, 0)
    made = nn.layer_norm(total, scale, offset, -1, call.attr("epsilon", 1e-12))
    return made, counted(words, mask), total


def channels_first(x: Tensor) -> Tensor:
    """[batch, channels, *space] of [batch, *space, channels]."""
    return shape.permute_dims(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def channels_last(x: Tensor) -> Tensor:
    """[batch, *space, channels] of [batch, channels, *space]."""
    return shape.permute_dims(x, (0, *range(2, x.ndim), 1))


def _group_norm(call: Call, x: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """Over groups of channels, which are last unless the node says otherwise, with SiLU on request."""
    is_last = call.flag("channels_last", True)
    scale, offset = (casting.astype(one, dtypes.float32) for one in (scale, offset))
    wide = casting.astype(channels_first(x) if is_last else x, dtypes.float32)
    made = nn.group_norm(wide, call.attr("groups"), scale, offset, call.attr("epsilon", 1e-5))
    made = nn.swish(made) if call.attr("activation", 0) == 1 else made
    return casting.astype(channels_last(made) if is_last else made, x.dtype)


def _skip_group_norm(
    call: Call, x: Tensor, scale: Tensor, offset: Tensor, skip: Tensor, bias: Any = None
) -> tuple[Tensor, ...]:
    if skip.ndim == 2:
        skip = standard.reshape(skip, (skip.shape[0], *(1,) * (x.ndim - 2), skip.shape[1]))
    _, handed = _total(call, x, skip, bias)
    return _group_norm(call, handed, scale, offset), handed


def _gated_rms_norm(call: Call, x: Tensor, scale: Tensor, gate: Tensor) -> Tensor:
    """Over each so many features as there are scales, times a function of the gate."""
    named = call.attr("activation", "silu")
    if named not in ("silu", "swish", "sigmoid"):
        raise FileFormatError(
            f"the activation {named!r:.40} of {call.label} is not supported", hint="silu and sigmoid are"
        )
    size = scale.shape[0]
    apart = standard.reshape(casting.astype(x, dtypes.float32), (*x.shape[:-1], x.shape[-1] // size, size))
    normal = nn.rms_norm(apart, casting.astype(scale, dtypes.float32), -1, call.attr("epsilon", 1e-5))
    wide = casting.astype(gate, dtypes.float32)
    opened = activation.sigmoid(wide) if named == "sigmoid" else nn.swish(wide)
    return casting.astype(standard.reshape(normal, x.shape) * opened, x.dtype)


TABLE: dict[str, Any] = {
    "EmbedLayerNormalization": _embed_layer_norm,
    "GatedRMSNorm": _gated_rms_norm,
    "GroupNorm": _group_norm,
    "SkipGroupNorm": _skip_group_norm,
    "SkipLayerNormalization": _skip_layer_norm,
    "SkipSimplifiedLayerNormalization": _skip_rms_norm,
}
