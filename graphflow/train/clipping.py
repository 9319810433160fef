"""Clipping gradients by their global norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.errors import ShapeError
from graphflow.ir import provenance
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.node import Tensor
from graphflow.train import settings
from graphflow.train.precision import cast, widened


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all elements of all tensors: sqrt(sum_i sum(t_i^2)).

    It is computed in float32 at least, as squares of 16-bit numbers overflow early.

    Raises:
        ShapeError: if there are none, or one of them is None.

    >>> import graphflow as gf
    >>> gf.train.global_norm([gf.constant([3.0]), gf.constant([4.0])]).type
    float32[]
    """
    if not isinstance(tensors, (list, tuple)) or not tensors or not all(map(_is_tensor, tensors)):
        raise ShapeError(
            f"the norm of no tensors, or of other things than tensors, is asked for: {tensors!r:.80}",
            hint="pass at least one gradient, and drop the Nones of unconnected='none'",
            origin=provenance.capture(),
        )
    b = builder_for(tensors)
    total: Tensor | None = None
    for tensor in tensors:
        wide = widened(b, tensor)
        part = b.sum(b.multiply(wide, wide))
        total = part if total is None else b.add(total, part)
    root: Tensor = b.sqrt(total)
    return root


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def clip_by_global_norm(tensors: Sequence[Tensor], norm: float) -> tuple[list[Tensor], Tensor]:
    """Scale all tensors by min(1, norm / global_norm), so that they keep their directions.

    Returns:
        the scaled tensors, and the global norm before scaling.

    Raises:
        AttributeValueError: if norm is not a positive number.

    Source: Pascanu et al., On the difficulty of training recurrent neural networks, ICML 2013.

    >>> import graphflow as gf
    >>> clipped, norm = gf.train.clip_by_global_norm([gf.constant([3.0, 4.0])], 1.0)
    >>> clipped[0].type, norm.type
    (float32[2], float32[])
    """
    limit = settings.number("the norm", norm, 0, open_ends="low")
    total = global_norm(tensors)
    b = builder_for(tensors)
    scale = b.divide(limit, b.maximum(total, limit))
    return [_scaled(b, tensor, scale) for tensor in tensors], total


def _scaled(b: Builder, tensor: Tensor, scale: Tensor) -> Tensor:
    wide = widened(b, tensor)
    return cast(b, b.multiply(wide, cast(b, scale, wide.dtype)), tensor.dtype)
