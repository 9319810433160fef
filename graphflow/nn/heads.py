"""Heads: features that are cut into groups, with an axis of its own for the groups."""

from __future__ import annotations

from typing import Any

from graphflow.ir.dims import Dim, floor_divide
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.inference import require, whole_number


@composite
def split_heads(x: Any, heads: Any) -> Tensor:
    """Cut features into heads: y[b, h, t, f] = x[b, t, h * size + f], where size = features / heads.

    Arguments:
        x: [batch, positions, features].
        heads: how many; it divides the features.

    Returns:
        [batch, heads, positions, size].

    Raises:
        ShapeError: for another rank, or features that do not divide.

    >>> import graphflow as gf
    >>> gf.nn.split_heads(gf.placeholder("x", ("batch", "time", 64)), 4).type
    float32[batch, 4, time, 16]
    """
    b, x = with_tensor(x)
    heads = whole_number(heads, "the number of heads", 1)
    require(
        x.ndim == 3, f"heads are split from the shape [batch, positions, features], not from rank {x.ndim}"
    )
    features = x.shape[2]
    require(
        isinstance(features, Dim) or features % heads == 0,
        f"{features} features do not divide into {heads} heads",
        "choose a divisor, or another number of features",
    )
    apart = b.reshape(x, shape=(x.shape[0], x.shape[1], heads, floor_divide(features, heads)))
    return b.permute_dims(apart, axes=(0, 2, 1, 3))


@composite
def merge_heads(x: Any) -> Tensor:
    """Put heads side by side, the inverse of `split_heads`: y[b, t, h * size + f] = x[b, h, t, f].

    Arguments:
        x: [batch, heads, positions, size].

    Returns:
        [batch, positions, heads * size].

    Raises:
        ShapeError: for another rank.

    >>> import graphflow as gf
    >>> gf.nn.merge_heads(gf.placeholder("x", ("batch", 4, "time", 16))).type
    float32[batch, time, 64]
    """
    b, x = with_tensor(x)
    require(
        x.ndim == 4, f"heads are merged from the shape [batch, heads, positions, size], not rank {x.ndim}"
    )
    batch, heads, positions, size = x.shape
    return b.reshape(b.permute_dims(x, axes=(0, 2, 1, 3)), shape=(batch, positions, heads * size))
