"""Scaled dot-product attention: a mean of values, weighted by how well queries and keys agree."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphflow.ir.builder import Builder
from graphflow.ir.dtypes import bool_, float32
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import require


@composite
def attention(
    q: Any, k: Any, v: Any, mask: Any = None, causal: bool = False, scale: float | None = None
) -> Tensor:
    """Attend from queries to keys: y = softmax(q k^T * scale + mask) v.

    A query that may attend to no key at all gets the mean of the values.

    Arguments:
        q: queries, floats of shape [..., queries, features].
        k: keys, [..., keys, features].
        v: values, [..., keys, outputs]. The leading axes of q, k and v (batch, heads) broadcast.
        mask: broadcasts to [..., queries, keys]: booleans, true where attention is allowed, or
            numbers that are added to the scores.
        causal: let query i attend to the keys 0 ... i only.
        scale: 1 / sqrt(features) by default.

    Returns:
        [..., queries, outputs].

    Raises:
        ShapeError: if sizes do not fit.

    Source: Vaswani et al., "Attention is all you need" (2017), section 3.2; ONNX Attention-23.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 4, "time", 16))
    >>> gf.nn.attention(x, x, x, causal=True).type
    float32[batch, 4, time, 16]
    """
    b, (q, k, v) = with_tensors(q, k, v)
    for name, one in (("queries", q), ("keys", k), ("values", v)):
        require(
            one.ndim >= 2,
            f"attention needs {name} of shape [..., positions, features], not of rank {one.ndim}",
        )
    factor = _factor(q.shape[-1], scale)
    transposed = b.permute_dims(k, axes=(*range(k.ndim - 2), k.ndim - 1, k.ndim - 2))
    scores = b.matmul(b.multiply(q, factor), transposed)
    if mask is not None:
        mask = b.tensor(mask)
        scores = _excluded(b, scores, mask) if mask.dtype is bool_ else b.add(scores, mask)
    if causal:
        scores = _excluded(b, scores, _causal(b, scores))
    return b.matmul(b.softmax(scores, axis=-1), v)


def _factor(features: Any, scale: float | None) -> float:
    if scale is not None:
        return scale
    require(
        isinstance(features, int) and features > 0,
        f"attention cannot derive its scale from {features} features",
        "pass scale=",
    )
    return 1.0 / math.sqrt(features)


def _excluded(b: Builder, scores: Tensor, allowed: Tensor) -> Tensor:
    """Scores so low where attention is not allowed that their weights vanish.

    -inf would make NaN of a row in which nothing is allowed.
    """
    dtype = scores.dtype
    lowest = float(np.finfo(dtype.numpy if dtype.name != "bfloat16" else float32.numpy).min)
    return b.where(allowed, scores, b.like(lowest * 0.7, scores))


def _causal(b: Builder, scores: Tensor) -> Tensor:
    """Booleans [queries, keys], true where the key is not later than the query."""
    queries, keys = scores.shape[-2:]
    rows = b.expand_dims(b.iota(size=queries, dtype="int32"), axis=1)
    return b.greater_equal(rows, b.iota(size=keys, dtype="int32"))
