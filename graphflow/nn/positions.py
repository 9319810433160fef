"""What tells a transformer where its tokens stand: rotations, waves, and a penalty on distance."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dims import Dim, Size
from graphflow.ir.dtypes import DType, as_dtype, float32
from graphflow.ir.node import Tensor
from graphflow.ir.types import as_shape
from graphflow.nn.heads import merge_heads, split_heads
from graphflow.ops.composite import composite, with_tensor, with_tensors
from graphflow.ops.inference import real_number, require, whole_number

MOST = 1_000_000
"""Features or heads beyond which a number is taken for a mistake."""


def _positions(b: Builder, positions: Any, dtype: DType) -> Tensor:
    """The positions as floats: those given, or 0, 1, ... up to a size."""
    if isinstance(positions, (int, np.integer, str, Dim)) and not isinstance(positions, bool):
        (size,) = as_shape(positions)
        positions = b.iota(size=size, dtype="int32")
    return b.astype(b.tensor(positions), dtype=dtype)


def _angles(b: Builder, positions: Any, count: int, base: float, dtype: DType) -> Tensor:
    """positions * base^(-i / count) for i in 0 ... count - 1, along a new last axis."""
    rates = base ** (-np.arange(count) / count)
    where = b.expand_dims(_positions(b, positions, dtype), axis=-1)
    return b.multiply(where, b.tensor(rates.astype(dtype.numpy)))


def _even(features: Any, what: str) -> int:
    features = _limited(whole_number(features, what, 0), what)
    require(features % 2 == 0, f"{what} must be even, not {features}")
    return features


def _limited(count: int, what: str) -> int:
    """The count, unless a table with a place for each could only be a mistake."""
    if count > MOST:
        raise AttributeValueError(f"{what} cannot be {count}", hint=f"use at most {MOST}")
    return count


def _floating(dtype: Any) -> DType:
    kind = as_dtype(dtype)
    if not kind.is_floating or kind.itemsize < 4:
        raise DTypeError(f"angles of positions need float32 or float64, not {kind}", hint="cast the result")
    return kind


@composite
def rotary_tables(
    positions: Any, dim: int, base: float = 10000.0, dtype: Any = float32
) -> tuple[Tensor, Tensor]:
    """The tables of `rotary_embedding`: cos and sin of positions * base^(-2 i / dim), for i < dim / 2.

    Arguments:
        positions: numbers of any shape, or a size n for 0, 1, ..., n - 1. Divided by a factor they
            stretch the range that a model has learned.
        dim: how many features are turned, an even number.
        base: what the wavelengths grow to, in units of 2 pi.
        dtype: float32 or float64.

    Returns:
        the pair (cos, sin), each of shape [*positions, dim / 2].

    Raises:
        ShapeError, AttributeValueError: for an odd or negative dim, or a base of 0 or less.

    Source: Su et al., "RoFormer" (2021), section 3.2.2.

    >>> import graphflow as gf
    >>> [table.type for table in gf.nn.rotary_tables(100, 64)]
    [float32[100, 32], float32[100, 32]]
    """
    b = builder_for([positions])
    half = _even(dim, "the dim of rotary_tables") // 2
    angles = _angles(b, positions, half, _positive(base), _floating(dtype))
    return b.cos(angles), b.sin(angles)


def _positive(base: Any) -> float:
    return real_number(base, "the base of the wavelengths", 1e-30)


@composite
def rotary_embedding(
    x: Any,
    cos: Any,
    sin: Any,
    positions: Any = None,
    interleaved: bool = False,
    dim: int | None = None,
    heads: int | None = None,
) -> Tensor:
    """Turn pairs of features by angles that grow with the position, so that products tell distances.

    (y_1, y_2) = (x_1 cos - x_2 sin, x_1 sin + x_2 cos), where the pairs (x_1, x_2) are features i and
    i + dim / 2, or 2 i and 2 i + 1 if interleaved.

    Arguments:
        x: floats of shape [batch, heads, time, size], or of another rank from 2 on, [..., time, size];
            with `heads`, [batch, time, heads * size].
        cos, sin: of shape [time, dim / 2] or [batch, time, dim / 2]; with `positions`, tables
            [rows, dim / 2] as of `rotary_tables`.
        positions: integers of shape [time] or [batch, time]: the rows of the tables.
        interleaved: whether neighbours are pairs.
        dim: how many of the features are turned, the first ones; all by default.
        heads: how many heads the features of x of rank 3 hold.

    Returns:
        a tensor of the type of x.

    Raises:
        ShapeError: if sizes do not fit.

    Source: Su et al., "RoFormer" (2021); ONNX RotaryEmbedding-23.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 4, "time", 16))
    >>> gf.nn.rotary_embedding(x, *gf.nn.rotary_tables(x.shape[2], 16)).type
    float32[batch, 4, time, 16]
    """
    b, (x, cos, sin) = with_tensors(x, cos, sin)
    if not x.dtype.is_floating:
        raise DTypeError(f"rotary_embedding needs floats, not {x.dtype}", hint="convert with gf.astype")
    if heads is not None and x.ndim == 3:
        apart = split_heads(x, heads)
        return merge_heads(rotary_embedding(apart, cos, sin, positions, interleaved, dim))
    require(x.ndim >= 2, f"rotary_embedding needs x of shape [..., time, size], not of rank {x.ndim}")
    size = x.shape[-1]
    turned = _turned(size, dim)
    cos, sin = (_table(b, one, positions, x, turned) for one in (cos, sin))
    if turned == size:
        return _turn(b, x, cos, sin, interleaved)
    part, rest = b.split(x, sections=(turned, size - turned), axis=-1)
    return b.concat(_turn(b, part, cos, sin, interleaved), rest, axis=-1)


def _turned(size: Size, dim: int | None) -> int:
    if not isinstance(size, int):
        raise ShapeError(f"rotary_embedding needs a fixed number of features, not {size}", hint="reshape x")
    turned = _even(dim or size, "the dim of rotary_embedding")
    require(0 < turned <= size, f"rotary_embedding cannot turn {turned} of {size} features")
    return turned


def _table(b: Builder, table: Tensor, positions: Any, x: Tensor, turned: int) -> Tensor:
    """A table in the dtype of x that broadcasts to [..., time, dim / 2]."""
    if positions is not None:
        require(
            table.ndim == 2, f"with positions a table has the shape [rows, dim / 2], not rank {table.ndim}"
        )
        table = b.take(table, positions, axis=0)
    require(
        table.ndim in (2, 3) and table.ndim <= x.ndim,
        f"rotary_embedding got a table of rank {table.ndim} for x of rank {x.ndim}",
        "give [time, dim / 2], or [batch, time, dim / 2] where x has a batch",
    )
    require(
        table.shape[-1] == turned // 2,
        f"rotary_embedding turns {turned} features, which takes tables of {turned // 2} columns, "
        f"not {table.shape[-1]}",
        "pass dim=, or other tables",
    )
    if table.ndim == 3:
        batch, time, half = table.shape
        table = b.reshape(table, shape=(batch, *[1] * (x.ndim - 3), time, half))
    return table if table.dtype is x.dtype else b.astype(table, dtype=x.dtype)


def _turn(b: Builder, x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool) -> Tensor:
    *lead, dim = x.shape
    if interleaved:
        pairs = b.reshape(x, shape=(*lead, dim // 2, 2))
        first, second = (b.squeeze(one, axis=-1) for one in b.split(pairs, sections=2, axis=-1))
    else:
        first, second = b.split(x, sections=2, axis=-1)
    real = b.subtract(b.multiply(first, cos), b.multiply(second, sin))
    imaginary = b.add(b.multiply(first, sin), b.multiply(second, cos))
    if not interleaved:
        return b.concat(real, imaginary, axis=-1)
    woven = b.concat(b.expand_dims(real, axis=-1), b.expand_dims(imaginary, axis=-1), axis=-1)
    return b.reshape(woven, shape=x.shape)


@composite
def sinusoidal_positions(
    positions: Any, features: int, base: float = 10000.0, dtype: Any = float32
) -> Tensor:
    """Waves that tell positions apart: y[p, 2 i] = sin(p base^(-2 i / features)), and y[p, 2 i + 1] its cos.

    Arguments:
        positions: numbers of any shape, or a size n for 0, 1, ..., n - 1.
        features: an even number.
        base: what the wavelengths grow to, in units of 2 pi.
        dtype: float32 or float64.

    Returns:
        [*positions, features].

    Raises:
        ShapeError, AttributeValueError: for odd or negative features, or a base of 0 or less.

    Source: Vaswani et al., "Attention is all you need" (2017), section 3.5.

    >>> import graphflow as gf
    >>> gf.nn.sinusoidal_positions("time", 64).type
    float32[time, 64]
    """
    b = builder_for([positions])
    half = _even(features, "the features of sinusoidal_positions") // 2
    angles = _angles(b, positions, half, _positive(base), _floating(dtype))
    waves = [b.expand_dims(wave, axis=-1) for wave in (b.sin(angles), b.cos(angles))]
    return b.reshape(b.concat(*waves, axis=-1), shape=(*angles.shape[:-1], 2 * half))


@composite
def alibi_bias(heads: int, queries: Any, keys: Any, offset: Any = 0, dtype: Any = float32) -> Tensor:
    """A mask for `attention` that lowers scores in proportion to the distance, at another rate in each head.

    y[h, i, j] = -rate_h |i + offset - j|, with rates 2^(-8 / heads), 2^(-16 / heads), ..., 2^-8; where
    heads is no power of two those of the power below come first, then every other one of the power above.

    Arguments:
        heads: how many.
        queries, keys: how many there are: ints, names or Dims.
        offset: the position of the first query: an int, a Dim, or an integer scalar tensor.
        dtype: a floating dtype.

    Returns:
        [heads, queries, keys].

    Raises:
        AttributeValueError, ShapeError, DTypeError: if heads, sizes or offset are none.

    Source: Press, Smith and Lewis, "Train short, test long" (2022).

    >>> import graphflow as gf
    >>> gf.nn.alibi_bias(4, "time", "time").type
    float32[4, time, time]
    """
    b, offset = with_tensor(offset)
    count = _limited(whole_number(heads, "the number of heads", 1), "the number of heads")
    require(offset.ndim == 0, f"the offset of alibi_bias is one number, not of rank {offset.ndim}")
    if not offset.dtype.is_integer:
        raise DTypeError(f"the offset of alibi_bias is an integer, not {offset.dtype}", hint="pass an int")
    kind = as_dtype(dtype)
    if not kind.is_floating:
        raise DTypeError(f"alibi_bias gives floats, not {kind}", hint="leave dtype out")
    sizes = as_shape((queries, keys))
    rows, columns = (b.iota(size=size, dtype="int32") for size in sizes)
    placed = b.expand_dims(b.add(rows, b.astype(offset, dtype="int32")), axis=1)
    distance = b.astype(b.abs(b.subtract(placed, columns)), dtype=kind)
    return b.multiply(b.tensor(-_rates(count)[:, None, None].astype(kind.numpy)), distance)


def _rates(heads: int) -> np.ndarray:
    """The slopes of the heads, as the paper's appendix gives them for any number of heads."""
    power = 1 << (heads.bit_length() - 1)
    rates = 2.0 ** (-8.0 / power * np.arange(1, power + 1))
    between = 2.0 ** (-4.0 / power * np.arange(1, 2 * power + 1, 2))
    return np.concatenate([rates, between[: heads - power]])
