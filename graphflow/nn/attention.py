"""Scaled dot-product attention: a mean of values, weighted by how well queries and keys agree.

It is a composition, so that rules and derivatives see a product, a softmax and a product:

    softmax(mask(cap(q k^T * scale))) v

Where heads share their keys, the queries of a group are rows of one product; nothing is repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import DType, as_dtype, bool_, float32
from graphflow.ir.node import Tensor
from graphflow.nn.attention_masks import all_of, conditions, window_pair
from graphflow.nn.dropout import dropout as drop
from graphflow.nn.heads import merge_heads, split_heads
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import real_number, require, whole_number
from graphflow.ops.linalg import transposed

SCORES = ("scaled", "capped", "masked", "weights")


class AttentionOutputs(NamedTuple):
    """What `attention_outputs` gives: the means, the keys and values with those of the past, the scores."""

    y: Tensor
    key: Tensor
    value: Tensor
    scores: Tensor | None


@composite
def attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    causal: bool = False,
    scale: float | None = None,
    window: Any = None,
    offset: Any = None,
    lengths: Any = None,
    softcap: float | None = None,
    softmax_dtype: Any = None,
    dropout: float = 0.0,
) -> Tensor:
    """Attend from queries to keys: y = softmax(mask(q k^T * scale)) v.

    A query that may attend to no key at all gets zeros.

    Arguments:
        q: queries, floats of shape [..., heads, queries, features], or of a lower rank from 2 on.
        k: keys, [..., heads, keys, features].
        v: values, [..., heads, keys, outputs]. The leading axes broadcast; at rank 4 or more there may
            be fewer heads of keys and values, each for heads / (heads of keys) successive heads of q.
        mask: broadcasts to [..., heads, queries, keys]: booleans, true where attention is allowed, or
            numbers that are added to the scores; -inf forbids.
        causal: let a query attend to no key behind its own position, which is offset + its index.
        scale: 1 / sqrt(features) by default.
        window: (left, right): let a query attend to so many keys before and behind its position; None
            leaves a side open, an int is taken for both.
        offset: the position of the first query among the keys: an int, a Dim, or integers of shape [] or
            [batch]; lengths - queries if lengths are given, else 0, by default.
        lengths: how many of the keys there are, those behind are ignored: integers of shape [] or [batch].
        softcap: c bounds the scores to c tanh(score / c), before the mask.
        softmax_dtype: the floating dtype of the weights until they meet the values.
        dropout: the probability of dropping a weight while training.

    Returns:
        [..., heads, queries, outputs].

    Raises:
        ShapeError, DTypeError, AttributeValueError: if sizes, dtypes or options do not fit.

    Source: Vaswani et al., "Attention is all you need" (2017), section 3.2; Ainslie et al., "GQA" (2023);
    ONNX Attention-25.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 4, "time", 16))
    >>> memory = gf.placeholder("memory", ("batch", 2, "keys", 16))
    >>> gf.nn.attention(x, x, x, causal=True).type, gf.nn.attention(x, memory, memory, window=8).type
    (float32[batch, 4, time, 16], float32[batch, 4, time, 16])
    """
    b, (q, k, v) = with_tensors(q, k, v)
    mask, offset, lengths = _optional(b, mask, offset, lengths)
    options = _options(causal, scale, window, softcap, softmax_dtype, dropout)
    return _attend(b, q, k, v, mask, offset, lengths, options).y


@composite
def attention_outputs(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    past_key: Any = None,
    past_value: Any = None,
    lengths: Any = None,
    causal: bool = False,
    scale: float | None = None,
    window: Any = None,
    softcap: float | None = None,
    softmax_dtype: Any = None,
    heads: int | None = None,
    kv_heads: int | None = None,
    scores: str | None = None,
) -> AttentionOutputs:
    """`attention` with all that ONNX's operator takes and gives: a past, packed heads, and the scores.

    Arguments:
        q, k, v: of rank 4 as for `attention`, or packed, [batch, positions, heads * size].
        mask: as for `attention`; its last axis may also be shorter than the keys, which are forbidden then.
        past_key, past_value: [batch, heads, past, size], set before the keys and values; the queries
            stand behind the past.
        lengths: as for `attention`; not together with a past.
        causal, scale, window, softcap, softmax_dtype: as for `attention`.
        heads, kv_heads: how many heads are packed; required for rank 3, not allowed for another.
        scores: which to return: "scaled" products, those "capped", "masked" ones (-inf where forbidden),
            or the "weights"; None for none.

    Returns:
        an AttentionOutputs: y, of the rank of q; key and value, [batch, heads, past + keys, size]; and
        scores, [batch, heads, queries, past + keys], or None.

    Raises:
        ShapeError, DTypeError, AttributeValueError: if sizes, dtypes or options do not fit.

    Source: ONNX Attention-25, where scores are modes 0 to 3 of qk_matmul_output.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 1, 64))
    >>> past = gf.placeholder("past", ("batch", 4, "past", 16))
    >>> made = gf.nn.attention_outputs(x, x, x, None, past, past, causal=True, heads=4, kv_heads=4)
    >>> made.y.type, made.key.type
    (float32[batch, 1, 64], float32[batch, 4, past + 1, 16])
    """
    b, (q, k, v) = with_tensors(q, k, v)
    mask, past_key, past_value, lengths = _optional(b, mask, past_key, past_value, lengths)
    require(q.ndim in (3, 4), f"attention_outputs needs queries of rank 3 or 4, not {q.ndim}")
    packed = q.ndim == 3
    if packed:
        q, k, v = (split_heads(one, count) for one, count in ((q, heads), (k, kv_heads), (v, kv_heads)))
    elif heads is not None or kv_heads is not None:
        raise AttributeValueError(
            "heads and kv_heads are for packed queries [batch, positions, features]",
            hint="leave them out: the axes of rank 4 tell",
        )
    offset = None
    if past_key is not None or past_value is not None:
        k, v, offset = _with_past(b, k, v, past_key, past_value, lengths)
    mask = mask if mask is None else _full_mask(b, mask, k)
    options = _options(causal, scale, window, softcap, softmax_dtype, 0.0, scores)
    made = _attend(b, q, k, v, mask, offset, lengths, options)
    return made._replace(y=merge_heads(made.y)) if packed else made


@dataclass(frozen=True)
class _Options:
    causal: bool
    scale: float | None
    window: tuple[int | None, int | None]
    softcap: float | None
    softmax_dtype: DType | None
    dropout: float
    scores: str | None


def _options(
    causal: Any, scale: Any, window: Any, softcap: Any, softmax_dtype: Any, dropout: Any, scores: Any = None
) -> _Options:
    if not isinstance(causal, (bool, np.bool_)):
        raise AttributeValueError(f"attention got causal={causal!r:.80}", hint="use True or False")
    if scores is not None and scores not in SCORES:
        raise AttributeValueError(f"there are no scores {scores!r:.80}", hint=f"use one of {SCORES}")
    scale = None if scale is None else real_number(scale, "the scale of attention")
    softcap = real_number(softcap, "the softcap of attention", 0.0) or None if softcap is not None else None
    dtype = None if softmax_dtype is None else as_dtype(softmax_dtype)
    if dtype is not None and not dtype.is_floating:
        raise DTypeError(f"attention cannot compute a softmax in {dtype}", hint="use a floating dtype")
    return _Options(bool(causal), scale, window_pair(window), softcap, dtype, dropout, scores)


def _optional(b: Builder, *values: Any) -> list[Any]:
    """Tensors of the values, None where there is none."""
    return [None if one is None else b.tensor(one) for one in values]


def _attend(
    b: Builder,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    offset: Tensor | None,
    lengths: Tensor | None,
    options: _Options,
) -> AttentionOutputs:
    _check(q, k, v)
    groups = _groups(q, k, v)
    scaled = _grouped_product(b, b.multiply(q, _factor(q.shape[-1], options.scale)), transposed(b, k), groups)
    capped = scaled
    if options.softcap is not None:
        capped = b.multiply(b.tanh(b.divide(scaled, options.softcap)), options.softcap)
    if offset is None and lengths is not None:
        offset = b.subtract(lengths, b.tensor(q.shape[-2], dtype=lengths.dtype))
    sure = mask is None and offset is None and options.window == (None, None) and lengths is None
    terms = conditions(b, scaled.shape[-2:], scaled.ndim, options.causal, options.window, offset, lengths)
    biased = capped
    if mask is not None and mask.dtype is bool_:
        terms.append(mask if mask.ndim else b.expand_dims(mask, axis=0))
    elif mask is not None:
        biased = b.add(capped, _bias(b, mask, capped.dtype))
        terms += _not_forbidden(b, mask)
    allowed = all_of(b, terms)
    weights = _weights(b, biased, allowed, options.softmax_dtype, v.dtype)
    used = drop(weights, options.dropout) if options.dropout else weights
    y = _grouped_product(b, used, v, groups)
    seen = None if sure or allowed is None else b.any(allowed, axis=-1, keepdims=True)
    if seen is not None:
        y = b.where(seen, y, 0)
    shown = _shown(b, options.scores, (scaled, capped, biased, weights), allowed, seen)
    return AttentionOutputs(y, k, v, shown)


def _shown(
    b: Builder,
    which: str | None,
    stages: tuple[Tensor, ...],
    allowed: Tensor | None,
    seen: Tensor | None,
) -> Tensor | None:
    """The scores that were asked for, of the dtype of the products."""
    if which is None:
        return None
    shown = stages[SCORES.index(which)]
    if which == "masked" and allowed is not None:
        shown = b.where(allowed, shown, b.like(-math.inf, shown))
    if which == "weights" and seen is not None:
        shown = b.where(seen, shown, 0)
    dtype = stages[0].dtype
    return shown if shown.dtype is dtype else b.astype(shown, dtype=dtype)


def _check(q: Tensor, k: Tensor, v: Tensor) -> None:
    for name, one in (("queries", q), ("keys", k), ("values", v)):
        require(
            one.ndim >= 2,
            f"attention needs {name} of shape [..., positions, features], not of rank {one.ndim}",
        )
        if not one.dtype.is_floating:
            raise DTypeError(f"attention needs floats, not {one.dtype} {name}", hint="convert with gf.astype")


def _groups(q: Tensor, k: Tensor, v: Tensor) -> int:
    """How many successive heads of q share a head of k and v; 1 where the axes simply broadcast."""
    if min(q.ndim, k.ndim, v.ndim) < 4:
        return 1
    heads, shared, of_values = q.shape[-3], k.shape[-3], v.shape[-3]
    if isinstance(heads, Dim) or isinstance(shared, Dim) or shared in (0, heads) or heads % shared:
        return 1
    require(
        of_values == shared,
        f"attention got {shared} heads of keys and {of_values} of values",
        "let them agree where the heads of q share them",
    )
    return heads // shared


def _grouped_product(b: Builder, x: Tensor, y: Tensor, groups: int) -> Tensor:
    """x y, where so many successive heads of x meet the same head of y, as rows of one product."""
    if groups == 1:
        return b.matmul(x, y)
    *lead, heads, rows, inner = x.shape
    folded = b.matmul(b.reshape(x, shape=(*lead, heads // groups, groups * rows, inner)), y)
    return b.reshape(folded, shape=(*folded.shape[:-3], heads, rows, y.shape[-1]))


def _factor(features: Any, scale: float | None) -> float:
    if scale is not None:
        return scale
    require(
        isinstance(features, int) and features > 0,
        f"attention cannot derive its scale from {features} features",
        "pass scale=",
    )
    return 1.0 / math.sqrt(features)


def _bias(b: Builder, mask: Tensor, dtype: DType) -> Tensor:
    """A mask of numbers, in the dtype of the scores."""
    if not mask.dtype.is_floating:
        raise DTypeError(
            f"attention does not take a mask of {mask.dtype}",
            hint="booleans forbid, floats are added to the scores; convert with gf.astype",
        )
    return mask if mask.dtype is dtype else b.astype(mask, dtype=dtype)


def _not_forbidden(b: Builder, mask: Tensor) -> list[Tensor]:
    """Where a mask that is added does not say -inf; nothing for a constant that never does."""
    known = mask.node.attrs["value"] if mask.node.op.name == "constant" else None
    if known is not None and not np.isneginf(np.asarray(known, dtype=np.float64)).any():
        return []
    allowed = b.not_equal(mask, b.like(-math.inf, mask))
    return [allowed if allowed.ndim else b.expand_dims(allowed, axis=0)]


def _weights(
    b: Builder, scores: Tensor, allowed: Tensor | None, dtype: DType | None, result: DType
) -> Tensor:
    """The softmax of the scores, computed in `dtype`, with next to nothing where attention is not allowed.

    -inf in place of the lowest numbers would make NaN of a row in which nothing is allowed.
    """
    if dtype is not None and scores.dtype is not dtype:
        scores = b.astype(scores, dtype=dtype)
    if allowed is not None:
        precise = scores.dtype if scores.dtype.name != "bfloat16" else float32
        lowest = float(np.finfo(precise.numpy).min) * 0.7
        scores = b.where(allowed, scores, b.like(lowest, scores))
    weights = b.softmax(scores, axis=-1)
    return weights if dtype is None else b.astype(weights, dtype=result)


def _with_past(
    b: Builder, k: Tensor, v: Tensor, key: Tensor | None, value: Tensor | None, lengths: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Keys and values behind those of the past, and how long the past is."""
    if key is None or value is None or lengths is not None:
        raise AttributeValueError(
            "attention_outputs takes past_key and past_value together, and then no lengths",
            hint="lengths are for keys and values that hold the past already",
        )
    require(key.ndim == 4, f"past keys have the shape [batch, heads, past, size], not rank {key.ndim}")
    offset = b.tensor(key.shape[2])
    return b.concat(key, k, axis=2), b.concat(value, v, axis=2), offset


def _full_mask(b: Builder, mask: Tensor, k: Tensor) -> Tensor:
    """The mask, with what forbids behind it where it covers the first keys only."""
    if not mask.ndim or isinstance(mask.shape[-1], Dim) or isinstance(k.shape[2], Dim):
        return mask
    missing = whole_number(k.shape[2], "the number of keys") - mask.shape[-1]
    if missing <= 0:
        return mask
    pairs = [(0, 0)] * (mask.ndim - 1) + [(0, missing)]
    return b.pad(mask, pads=pairs, value=0 if mask.dtype is bool_ else -math.inf)
