"""Arithmetic of boxes: how much they overlap."""

from __future__ import annotations

from typing import Any

from graphflow.errors import DTypeError
from graphflow.ir.builder import Builder
from graphflow.ir.node import Tensor
from graphflow.nn.places import cast
from graphflow.nn.precision import wide
from graphflow.nn.sampling import flag
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import require, show


@composite
def box_iou(boxes1: Any, boxes2: Any, center_point_box: bool = False) -> Tensor:
    """The overlap of each box with each other: the area they share over that of their union.

    0 where they share none, or have no area at all.

    Arguments:
        boxes1, boxes2: floats [..., n, 4] and [..., m, 4], whose leading axes broadcast: two opposite
            corners, (x1, y1, x2, y2) or (y1, x1, y2, x2).
        center_point_box: whether boxes are (x centre, y centre, width, height) instead.

    Returns:
        [..., n, m], from 0 to 1.

    Raises:
        ShapeError, DTypeError: for what are no boxes.

    >>> import graphflow as gf
    >>> gf.nn.box_iou(gf.placeholder("found", ("n", 4)), gf.placeholder("true", (5, 4))).type
    float32[n, 5]
    """
    b, (boxes1, boxes2) = with_tensors(boxes1, boxes2)
    flag(center_point_box, "center_point_box")
    for boxes in (boxes1, boxes2):
        require(
            boxes.ndim >= 2 and boxes.shape[-1] == 4,
            f"box_iou needs boxes of shape [..., n, 4], not {show(boxes.shape)}",
        )
        if not boxes.dtype.is_floating:
            raise DTypeError(f"box_iou needs floats, not {boxes.dtype}", hint="convert with gf.astype")
    first = _corners(b, b.expand_dims(wide(b, boxes1), axis=boxes1.ndim - 1), center_point_box)
    second = _corners(b, b.expand_dims(wide(b, boxes2), axis=boxes2.ndim - 2), center_point_box)
    sides = b.subtract(b.minimum(first[1], second[1]), b.maximum(first[0], second[0]))
    common = _area(b, b.maximum(sides, 0))
    union = b.subtract(b.add(_area(b, b.subtract(*first[::-1])), _area(b, b.subtract(*second[::-1]))), common)
    real = b.greater(union, 0)
    made = b.where(real, b.divide(common, b.where(real, union, b.like(1, union))), b.like(0, union))
    return cast(b, made, boxes1.dtype if boxes1.dtype is boxes2.dtype else made.dtype)


def _corners(b: Builder, boxes: Tensor, centered: bool) -> tuple[Tensor, Tensor]:
    """The lower and the upper corners, [..., 2] each."""
    first, second = _part(b, boxes, 0, 2), _part(b, boxes, 2, 4)
    if centered:
        half = b.multiply(second, 0.5)
        return b.subtract(first, half), b.add(first, half)
    return b.minimum(first, second), b.maximum(first, second)


def _area(b: Builder, sides: Tensor) -> Tensor:
    width, height = (b.squeeze(_part(b, sides, at, at + 1), axis=-1) for at in (0, 1))
    return b.multiply(width, height)


def _part(b: Builder, x: Tensor, start: int, stop: int) -> Tensor:
    return b.slice(x, starts=(start,), stops=(stop,), axes=(-1,))
