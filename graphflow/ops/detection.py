"""Detection: which of many overlapping boxes to keep."""

from __future__ import annotations

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir import dims
from graphflow.ir.dtypes import int64
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.inference import only, real_number, require, show, whole_number
from graphflow.ops.precision import wide
from graphflow.ops.windows import unify_shapes

_LARGEST = 2**63 - 1


def corners(boxes, centered, xp=np):
    """The lower and the upper corners of boxes, two arrays [..., 2]; xp is numpy or jax.numpy."""
    first, second = boxes[..., :2], boxes[..., 2:]
    if centered:
        half = second / 2
        return first - half, first + half
    return xp.minimum(first, second), xp.maximum(first, second)


def overlaps(low, high, one_low, one_high, threshold, xp=np):
    """Which boxes [..., n] overlap with one box [..., 1] by more than a threshold, as parts of their union.

    Boxes without area overlap with none.
    """
    sides = xp.minimum(high, one_high) - xp.maximum(low, one_low)
    common = sides[..., 0] * sides[..., 1]
    area = (high - low)[..., 0] * (high - low)[..., 1]
    other = (one_high - one_low)[..., 0] * (one_high - one_low)[..., 1]
    union = area + other - common
    real = (sides[..., 0] > 0) & (sides[..., 1] > 0) & (area > 0) & (other > 0) & (union > 0)
    # Elsewhere the union may be 0, and dividing by it is no error worth a warning.
    return real & (common / xp.where(real, union, xp.ones_like(union)) > threshold)


def _suppression_attrs(types, attrs):
    size = dims.as_size(attrs["size"])
    if isinstance(size, int) and size < 0:
        raise AttributeValueError(f"non_max_suppression needs a size of at least 0, not {size}")
    fill = whole_number(attrs["fill_value"], "the fill_value of non_max_suppression")
    if not -_LARGEST <= fill <= _LARGEST:
        raise AttributeValueError(f"non_max_suppression cannot fill int64 with {fill}")
    score = attrs["score_threshold"]
    most = whole_number(attrs["max_output_boxes_per_class"], "max_output_boxes_per_class", 0)
    return {
        **attrs,
        "max_output_boxes_per_class": min(most, _LARGEST),
        "iou_threshold": real_number(attrs["iou_threshold"], "the iou_threshold of non_max_suppression"),
        "score_threshold": None if score is None else real_number(score, "score_threshold"),
        "size": size,
        "fill_value": fill,
    }


def _suppression_type(types, attrs):
    boxes, scores = types
    require(
        boxes.rank == 3 and scores.rank == 3 and dims.unify(boxes.shape[2], 4) is not None,
        "non_max_suppression needs boxes [batch, n, 4] and scores [batch, classes, n], not "
        f"{show(boxes.shape)} and {show(scores.shape)}",
        "add missing axes with gf.expand_dims; gf.permute_dims brings the classes before the boxes",
    )
    shape = (scores.shape[0], scores.shape[2])
    unify_shapes(boxes.shape[:2], shape, "non_max_suppression: boxes and scores are not for the same boxes")
    return (TensorType(int64, (attrs["size"], 3)),)


def _kept(low, high, scores, most, iou_threshold, score_threshold):
    """The numbers of the boxes that one class keeps, best first."""
    alive = scores == scores if score_threshold is None else scores > score_threshold
    order = np.argsort(-scores, kind="stable")
    found: list = []
    for number in order[alive[order]]:
        if len(found) == most:
            break
        if alive[number]:
            found.append(number)
            one = slice(number, number + 1)
            alive &= ~overlaps(low, high, low[one], high[one], iou_threshold)
    return found


@op(
    "detection",
    infer=only("float", _suppression_type, "non_max_suppression"),
    normalize=_suppression_attrs,
    promotion="same",
    traits="finds_size",
)
@wide
def non_max_suppression(
    boxes,
    scores,
    /,
    max_output_boxes_per_class,
    iou_threshold=0.5,
    score_threshold=None,
    center_point_box=False,
    size=None,
    fill_value=-1,
):
    """The best boxes that do not overlap much: each is kept unless a better one that is kept overlaps it.

    That is decided for each image and class by itself. Boxes overlap by their common area over that of
    their union; by exactly the threshold is not too much. Of equal scores the lower number wins; a box
    whose score is NaN is never kept.

    Arguments:
        boxes: floats [batch, n, 4]: two opposite corners, (y1, x1, y2, x2) or (x1, y1, x2, y2).
        scores: [batch, classes, n].
        max_output_boxes_per_class: the most that each class of each image keeps.
        iou_threshold: the overlap above which the worse box goes.
        score_threshold: only boxes with a higher score count; None for all.
        center_point_box: whether boxes are (x centre, y centre, width, height) instead.
        size: the most there can be in all, symbolic too; more are left out. None for all that are kept,
            on the numpy backend; on others batch * classes * max_output_boxes_per_class is always enough.
        fill_value: the entries of the rows that are left over.

    Returns:
        int64 [size, 3]: rows (image, class, number of the box), by image, class and falling score.

    Raises:
        BackendError: on jax without `size`, as the number of rows depends on the values.
        ShapeError: if boxes and scores do not fit.

    ONNX NonMaxSuppression-11.

    >>> import graphflow as gf
    >>> boxes, scores = gf.placeholder("boxes", ("n", 50, 4)), gf.placeholder("scores", ("n", 3, 50))
    >>> gf.nn.non_max_suppression(boxes, scores, 10, size=30).type
    int64[30, 3]
    """
    most = max_output_boxes_per_class
    low, high = corners(boxes, center_point_box)
    iou = np.asarray(iou_threshold, boxes.dtype)
    least = None if score_threshold is None else np.asarray(score_threshold, boxes.dtype)
    rows = [
        (image, label, number)
        for image in range(scores.shape[0])
        for label in range(scores.shape[1])
        for number in _kept(low[image], high[image], scores[image, label], most, iou, least)
    ]
    result = np.full((len(rows) if isinstance(size, dims.Dim) else size, 3), fill_value, np.int64)
    kept = rows[: len(result)]
    if kept:
        result[: len(kept)] = kept
    return result


non_max_suppression.not_differentiable("its results are indices", zero=True)
