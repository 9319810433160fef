"""Linear attention: a state of fixed size that each position decays, corrects, writes to and reads from.

Where nothing is corrected and a head decays as a whole, chunks of positions are products of matrices,
and only their ends follow one another; otherwise each position is a step of a loop.
"""

from __future__ import annotations

import math
from typing import Any

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import float32
from graphflow.ir.node import Tensor
from graphflow.ir.types import Shape
from graphflow.nn.heads import merge_heads, split_heads
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import real_number, require, show, whole_number
from graphflow.ops.linalg import transposed
from graphflow.ops.looping import scan

Parts = dict[str, Tensor]


@composite
def linear_attention(
    q: Any,
    k: Any,
    v: Any,
    state: Any = None,
    decay: Any = None,
    beta: Any = None,
    scale: float | None = None,
    chunk_size: int = 64,
    heads: int | None = None,
    kv_heads: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention without a softmax: a state S goes from position to position, and y_t = scale q_t^T S_t.

    S_t = D_t S_{t-1} + k_t u_t^T, where D_t = exp(decay_t), or 1 without decay, and what is written is
    u_t = v_t, or with beta only what the state does not say yet: u_t = beta_t (v_t - (D_t S_{t-1})^T k_t).

    Arguments:
        q: queries, floats of shape [batch, heads, time, size].
        k: keys, [batch, kv_heads, time, size], where kv_heads divides heads; with beta of length 1.
        v: values, [batch, kv_heads, time, outputs].
        state: what the positions before have left, [batch, kv_heads, size, outputs]; zeros by default.
        decay: logarithms, so mostly below 0, [batch, kv_heads, time, 1 or size].
        beta: between 0 and 1, [batch, kv_heads or 1, time, 1].
        scale: 1 / sqrt(size) by default.
        chunk_size: how many positions are one product, where they can be; it changes no value.
        heads, kv_heads: how many heads are packed, where q, k, v, decay and beta have rank 3, for example
            q of shape [batch, time, heads * size] and beta of [batch, time, kv_heads or 1].

    Returns:
        the pair of y, [batch, heads, time, outputs] or packed as q is, and the state after the last
        position, of the dtype of the state given, or else of q.

    Raises:
        ShapeError, DTypeError, AttributeValueError: if sizes, dtypes or options do not fit.

    Source: Yang et al., "Gated linear attention" (2024) and "Parallelizing linear transformers with the
    delta rule" (2024); ONNX LinearAttention-27, whose update rules are told here by decay and beta.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 4, "time", 16))
    >>> y, state = gf.nn.linear_attention(x, x, x, decay=-gf.abs(x))
    >>> y.type, state.type
    (float32[batch, 4, time, 16], float32[batch, 4, 16, 16])
    """
    b, (q, k, v) = with_tensors(q, k, v)
    state, decay, beta = [None if one is None else b.tensor(one) for one in (state, decay, beta)]
    packed = heads is not None or kv_heads is not None
    if packed:
        decay, beta = _unpacked_rates(decay, beta, kv_heads)
        q, k, v = split_heads(q, heads), split_heads(k, kv_heads), split_heads(v, kv_heads)
    parts = _checked(q, k, v, decay, beta)
    kind, kept = q.dtype, q.dtype if state is None else state.dtype
    factor = _factor(q, scale)
    parts = {name: _wide(b, part) for name, part in parts.items()}
    state = _first_state(b, parts, state)
    parts["q"] = _grouped(b, b.multiply(parts["q"], factor), parts["k"].shape[1])
    y, state = _run(b, state, parts, whole_number(chunk_size, "the chunk_size of linear_attention", 1))
    y = b.astype(b.reshape(y, shape=(*q.shape[:3], v.shape[3])), dtype=kind)
    return merge_heads(y) if packed else y, b.astype(state, dtype=kept)


def _unpacked_rates(decay: Any, beta: Any, kv_heads: Any) -> list[Any]:
    """Decay and beta with an axis for heads; a beta of one column is for all heads."""
    return [
        one if one is None else split_heads(one, 1 if shared and one.shape[-1:] == (1,) else kv_heads)
        for one, shared in ((decay, False), (beta, True))
    ]


def _checked(q: Tensor, k: Tensor, v: Tensor, decay: Tensor | None, beta: Tensor | None) -> Parts:
    """The parts by name, if their shapes and dtypes fit."""
    given = {"q": q, "k": k, "v": v, "decay": decay, "beta": beta}
    parts = {name: part for name, part in given.items() if part is not None}
    for name, part in parts.items():
        if not part.dtype.is_floating:
            raise DTypeError(f"linear_attention needs floats, but {name} is {part.dtype}", hint="use astype")
        require(
            part.ndim == 4,
            f"linear_attention needs {name} of shape [batch, heads, time, size], not of rank {part.ndim}",
            "with packed heads, pass heads= and kv_heads=",
        )
    batch, heads, time, size = q.shape
    shared = k.shape[1]
    _require_shape(k, (batch, shared, time, size), "k")
    _require_shape(v, (batch, shared, time, v.shape[3]), "v")
    divides = isinstance(heads, int) and isinstance(shared, int) and shared > 0 and heads % shared == 0
    require(
        divides,
        f"linear_attention: {heads} heads cannot share {shared} heads of keys evenly",
        "let kv_heads divide heads",
    )
    if decay is not None:
        _require_shape(decay, (batch, shared, time, 1 if decay.shape[3] == 1 else size), "decay")
    if beta is not None:
        _require_shape(beta, (batch, 1 if beta.shape[1] == 1 else shared, time, 1), "beta")
    return parts


def _require_shape(part: Tensor, wanted: Shape, name: str) -> None:
    fits = part.ndim == len(wanted) and all(
        dims.unify(size, other) is not None for size, other in zip(part.shape, wanted)
    )
    require(fits, f"linear_attention needs {name} of shape {show(wanted)}, not {show(part.shape)}")


def _factor(q: Tensor, scale: float | None) -> float:
    if scale is not None:
        return real_number(scale, "the scale of linear_attention")
    size = q.shape[3]
    if not isinstance(size, int) or size == 0:
        raise AttributeValueError(f"a scale cannot be derived from {size} features", hint="pass scale=")
    return 1.0 / math.sqrt(size)


def _wide(b: Builder, x: Tensor) -> Tensor:
    """x in float32, unless it is wider."""
    return b.astype(x, dtype=float32) if x.dtype.itemsize < 4 else x


def _first_state(b: Builder, parts: Parts, state: Tensor | None) -> Tensor:
    k, v = parts["k"], parts["v"]
    shape = (*k.shape[:2], k.shape[3], v.shape[3])
    if state is None:
        return b.broadcast_to(b.like(0.0, v), shape=shape)
    _require_shape(state, shape, "a state")
    return b.astype(state, dtype=v.dtype)


def _grouped(b: Builder, q: Tensor, shared: Size) -> Tensor:
    """[batch, heads, time, size] as [batch, kv_heads, group, time, size]."""
    batch, heads, time, size = q.shape
    return b.reshape(q, shape=(batch, shared, heads // shared, time, size))


def _run(b: Builder, state: Tensor, parts: Parts, chunk: int) -> tuple[Tensor, Tensor]:
    """y of shape [batch, kv_heads, group, time, outputs], and the last state."""
    time = parts["k"].shape[2]
    whole = "decay" not in parts or parts["decay"].shape[3] == 1
    if isinstance(time, int) and time > 1 and chunk > 1 and whole and "beta" not in parts:
        return _by_chunks(b, state, parts, min(chunk, time))
    turns = {
        name: b.permute_dims(part, axes=_front(part.ndim, part.ndim - 2)) for name, part in parts.items()
    }
    last, y = scan(_step, state, turns, length=time, name="linear_attention")
    return b.permute_dims(y, axes=(1, 2, 3, 0, 4)), last


def _front(rank: int, axis: int) -> tuple[int, ...]:
    """A permutation that moves an axis to the front."""
    return (axis, *[other for other in range(rank) if other != axis])


def _step(state: Tensor, x: Parts) -> tuple[Tensor, Tensor]:
    """One position: the state after it, and what the queries read."""
    b = builder_for([state])
    key, value = b.expand_dims(x["k"], axis=3), b.expand_dims(x["v"], axis=2)
    if "decay" in x:
        state = b.multiply(state, b.exp(b.expand_dims(x["decay"], axis=3)))
    if "beta" in x:
        told = b.matmul(b.expand_dims(x["k"], axis=2), state)
        value = b.multiply(b.expand_dims(x["beta"], axis=2), b.subtract(value, told))
    state = b.add(state, b.multiply(key, value))
    return state, b.matmul(x["q"], state)


def _by_chunks(b: Builder, state: Tensor, parts: Parts, chunk: int) -> tuple[Tensor, Tensor]:
    """The same by chunks; positions that fill the last one up write nothing and decay nothing."""
    time = int(parts["k"].shape[2])
    count = -(-time // chunk)
    turns = {name: _chunked(b, part, count, chunk) for name, part in parts.items()}
    last, y = scan(_chunk, state, turns, name="linear_attention")
    batch, shared, group, _, outputs = y.shape[1:]
    joined = b.reshape(
        b.permute_dims(y, axes=(1, 2, 3, 0, 4, 5)), shape=(batch, shared, group, count * chunk, outputs)
    )
    if count * chunk == time:
        return joined, last
    return b.split(joined, sections=(time, count * chunk - time), axis=3)[0], last


def _chunked(b: Builder, part: Tensor, count: int, chunk: int) -> Tensor:
    """[..., time, size] as [count, ..., chunk, size], filled up with zeros."""
    *lead, time, size = part.shape
    missing = count * chunk - time
    if missing:
        part = b.pad(part, pads=[(0, 0)] * len(lead) + [(0, missing), (0, 0)])
    cut = b.reshape(part, shape=(*lead, count, chunk, size))
    return b.permute_dims(cut, axes=_front(cut.ndim, len(lead)))


def _chunk(state: Tensor, x: Parts) -> tuple[Tensor, Tensor]:
    """The positions of a chunk: what they read of the state before it, and of one another."""
    b = builder_for([state])
    q, k, v = x["q"], x["k"], x["v"]
    batch, shared, group, chunk, size = q.shape
    rows = b.reshape(q, shape=(batch, shared, group * chunk, size))
    scores = b.reshape(b.matmul(rows, transposed(b, k)), shape=(batch, shared, group, chunk, chunk))
    old = b.reshape(b.matmul(rows, state), shape=(batch, shared, group, chunk, v.shape[3]))
    place = b.iota(size=chunk, dtype="int32")
    later = b.less(b.expand_dims(place, axis=1), place)
    if "decay" in x:
        faded = b.cumulative_sum(x["decay"], axis=2)
        between = b.subtract(faded, transposed(b, faded))
        weight = b.exp(b.where(later, b.like(-math.inf, between), between))
        scores = b.multiply(scores, b.expand_dims(weight, axis=2))
        old = b.multiply(old, b.exp(b.expand_dims(faded, axis=2)))
        total = b.split(faded, sections=(chunk - 1, 1), axis=2)[1]
        state = b.multiply(state, b.exp(total))
        k = b.multiply(k, b.exp(b.subtract(total, faded)))
    else:
        scores = b.where(later, b.like(0.0, scores), scores)
    own = b.matmul(b.reshape(scores, shape=(batch, shared, group * chunk, chunk)), v)
    y = b.add(old, b.reshape(own, shape=old.shape))
    return b.add(state, b.matmul(transposed(b, k), v)), y
