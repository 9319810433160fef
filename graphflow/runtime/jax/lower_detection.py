"""JAX lowering of detection: all images and classes keep their next best box at once."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from graphflow.ops.detection import corners, overlaps
from graphflow.runtime.jax.lowering import lowering


@lowering("non_max_suppression")
def _non_max_suppression(
    boxes: Any,
    scores: Any,
    max_output_boxes_per_class: int,
    iou_threshold: float,
    score_threshold: float | None,
    center_point_box: bool,
    size: int,
    fill_value: int,
) -> Any:
    if boxes.dtype.itemsize <= 2:
        boxes, scores = boxes.astype(jnp.float32), scores.astype(jnp.float32)
    images, classes, count = scores.shape
    most = min(max_output_boxes_per_class, count)
    if not (size and images and classes and most):
        return jnp.full((size, 3), fill_value, jnp.int64)
    if score_threshold is None:
        alive = scores == scores
    else:
        alive = scores > np.asarray(score_threshold, scores.dtype)
    low, high = (jnp.expand_dims(part, 1) for part in corners(boxes, center_point_box, jnp))
    chosen = _chosen(low, high, scores, alive, most, np.asarray(iou_threshold, boxes.dtype))
    return _rows(chosen, size, fill_value)


def _chosen(low: Any, high: Any, scores: Any, alive: Any, most: int, threshold: Any) -> Any:
    """The numbers of the boxes that each class keeps, best first: [images, classes, most], -1 for none."""
    numbers = lax.broadcasted_iota(jnp.int32, scores.shape, 2)

    def goes_on(state: Any) -> Any:
        step, alive, _ = state
        return (step < most) & alive.any()

    def keep_best(state: Any) -> Any:
        step, alive, chosen = state
        best = jnp.max(jnp.where(alive, scores, -jnp.inf), axis=2, keepdims=True)
        # Among those alive, as a score may be -inf too.
        pick = jnp.argmax(alive & (scores == best), axis=2, keepdims=True).astype(jnp.int32)
        there = alive.any(axis=2, keepdims=True)
        one_low, one_high = (jnp.take_along_axis(part, pick[..., None], axis=2) for part in (low, high))
        gone = overlaps(low, high, one_low, one_high, threshold, jnp) | (numbers == pick)
        chosen = lax.dynamic_update_slice_in_dim(chosen, jnp.where(there, pick, -1), step, axis=2)
        return step + 1, alive & ~gone, chosen

    start = jnp.int32(0), alive, jnp.full((*scores.shape[:2], most), -1, jnp.int32)
    return lax.while_loop(goes_on, keep_best, start)[2]


def _rows(chosen: Any, size: int, fill_value: int) -> Any:
    """(image, class, number) of the first `size` boxes that were chosen."""
    _, classes, most = chosen.shape
    flat = chosen.reshape(-1)
    at = jnp.nonzero(flat >= 0, size=size, fill_value=flat.size)[0]
    inside = jnp.minimum(at, flat.size - 1)
    rows = jnp.stack([inside // (classes * most), inside // most % classes, flat[inside]], axis=1)
    return jnp.where(at[:, None] < flat.size, rows, fill_value).astype(jnp.int64)
