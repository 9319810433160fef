"""Similarity of vectors, and losses that bring what belongs together near to each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.ir import dims
from graphflow.ir.dtypes import float16, float32
from graphflow.ir.node import Tensor
from graphflow.nn.loss_parts import reduced
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import normalize_axis, real_number, require, require_dtype, show
from graphflow.ops.linalg import vector_norm


def _vectors(operation: str, *values: Any) -> tuple[Any, list[Tensor]]:
    """The values as floats of one shape, with an axis of vectors at the end."""
    b, tensors = with_tensors(*values)
    for tensor in tensors:
        require_dtype(tensor.type, "bool int uint float", f"a vector of {operation}")
        first = tensors[0].shape
        same = len(first) == tensor.ndim and all(
            dims.unify(*pair) is not None for pair in zip(first, tensor.shape)
        )
        require(
            same and tensor.ndim >= 1,
            f"{operation} got vectors of shape {show(first)} and {show(tensor.shape)}",
            "give all of them the same shape; they do not broadcast",
        )
    return b, [tensor if tensor.dtype.is_floating else b.astype(tensor, dtype=float32) for tensor in tensors]


@composite
def cosine_similarity(x: Any, y: Any, axis: int = -1, epsilon: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors: z = sum_i x_i y_i / (max(|x|, epsilon) max(|y|, epsilon)).

    Arguments:
        x, y: real numbers of one shape.
        axis: the axis of the vectors.
        epsilon: the least length that is divided by, so that the vector 0 gives 0 (no less than what
            the dtype can square).

    Raises:
        ShapeError: if the shapes differ.

    >>> import graphflow as gf
    >>> x, y = gf.placeholder("x", ("batch", 8)), gf.placeholder("y", ("batch", 8))
    >>> gf.nn.cosine_similarity(x, y).type
    float32[batch]
    """
    b, (x, y) = _vectors("cosine_similarity", x, y)
    place = normalize_axis(axis, x.ndim, "cosine_similarity")
    square = real_number(epsilon, "epsilon of cosine_similarity", 0) ** 2
    least = max(square, float(np.finfo(np.float16 if x.dtype is float16 else np.float32).tiny))

    def inverse_length(vector: Tensor) -> Tensor:
        return b.rsqrt(b.maximum(b.sum(b.square(vector), axis=place), least))

    product = b.sum(b.multiply(x, y), axis=place)
    return b.multiply(product, b.multiply(inverse_length(x), inverse_length(y)))


@composite
def cosine_embedding(x: Any, y: Any, targets: Any, margin: float = 0.0, reduction: str = "mean") -> Tensor:
    """How little alike pairs are that belong together, and how alike those that do not.

    loss = 1 - c for a target of 1 and max(0, c - margin) for one of -1, where c is the cosine similarity.

    Arguments:
        x, y: real numbers [..., n].
        targets: 1 for pairs that belong together and -1 for others, [...].
        margin: the similarity that others may have.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: if the shapes do not fit.

    >>> import graphflow as gf
    >>> x, y = gf.placeholder("x", ("batch", 8)), gf.placeholder("y", ("batch", 8))
    >>> gf.nn.cosine_embedding(x, y, gf.placeholder("t", ("batch",), gf.int32)).type
    float32[]
    """
    alike = cosine_similarity(x, y)
    b, (alike, targets) = with_tensors(alike, targets)
    fits = not targets.ndim or (
        targets.ndim == alike.ndim
        and all(dims.unify(*pair) is not None for pair in zip(targets.shape, alike.shape))
    )
    require(
        fits,
        f"cosine_embedding got targets of shape {show(targets.shape)} for pairs {show(alike.shape)}",
        "give one target for each pair of vectors",
    )
    apart = b.relu(b.subtract(alike, real_number(margin, "margin of cosine_embedding")))
    return reduced(b, b.where(b.greater(targets, 0), b.subtract(1, alike), apart), reduction)


@composite
def triplet_margin(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """How far the right example is behind the wrong one: loss = max(0, |a - p| - |a - n| + margin).

    Arguments:
        anchor: a, real numbers [..., size].
        positive, negative: p that belongs to it, and n that does not, of the same shape.
        margin: how much nearer the right example has to be.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: if the shapes differ.

    Source: F. Schroff et al., "FaceNet", arXiv 1503.03832, with distances in place of their squares.

    >>> import graphflow as gf
    >>> a, p, n = (gf.placeholder(name, ("batch", 8)) for name in "apn")
    >>> gf.nn.triplet_margin(a, p, n).type
    float32[]
    """
    b, (anchor, positive, negative) = _vectors("triplet_margin", anchor, positive, negative)
    near, far = (vector_norm(b.subtract(anchor, other), axis=-1) for other in (positive, negative))
    gap = b.add(b.subtract(near, far), real_number(margin, "margin of triplet_margin"))
    return reduced(b, b.relu(gap), reduction)
