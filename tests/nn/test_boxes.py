"""The overlap of boxes, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.nn.backends import everywhere


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    low = np.maximum(np.minimum(one[:2], one[2:]), np.minimum(other[:2], other[2:]))
    high = np.minimum(np.maximum(one[:2], one[2:]), np.maximum(other[:2], other[2:]))
    common = np.prod(np.maximum(high - low, 0))
    union = abs(np.prod(one[2:] - one[:2])) + abs(np.prod(other[2:] - other[:2])) - common
    return common / union if union > 0 else 0.0


def test_agrees_with_a_loop_and_has_derivatives(rng: np.random.Generator) -> None:
    first, second = rng.uniform(0, 4, (6, 4)), rng.uniform(0, 4, (5, 4))
    made = everywhere(gf.nn.box_iou, first, second)
    expected = [[_overlap(one, other) for other in second] for one in first]
    assert (made > 0).any()
    np.testing.assert_allclose(made, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(np.diag(evaluate([gf.nn.box_iou(first, first)], {})[0]), 1, rtol=1e-12)


def test_centres_and_leading_axes(rng: np.random.Generator) -> None:
    boxes = np.sort(rng.uniform(0, 4, (2, 3, 2, 2)), axis=2).reshape(2, 3, 4).astype(np.float32)
    low, high = boxes[..., :2], boxes[..., 2:]
    centred = np.concatenate([(low + high) / 2, high - low], axis=2)
    plain, other = evaluate(
        [gf.nn.box_iou(boxes, boxes[:1]), gf.nn.box_iou(centred, centred[:1], center_point_box=True)], {}
    )
    assert plain.shape == (2, 3, 3)
    np.testing.assert_allclose(plain, other, rtol=1e-4, atol=1e-5)


def test_boxes_without_area_overlap_with_nothing() -> None:
    point, square = [[1.0, 1.0, 1.0, 1.0]], [[0.0, 0.0, 2.0, 2.0]]
    both = gf.nn.box_iou(point, gf.constant([*point, *square]))
    assert evaluate([both], {})[0].tolist() == [[0, 0]]
    x = gf.constant(point)
    assert evaluate(gf.gradients([gf.nn.box_iou(x, x)], [x]), {})[0].tolist() == [[0, 0, 0, 0]]


def test_refusals() -> None:
    with pytest.raises(ShapeError, match=r"boxes of shape \[..., n, 4\]"):
        gf.nn.box_iou(gf.zeros((3, 5)), gf.zeros((3, 4)))
    with pytest.raises(DTypeError, match="needs floats, not int32"):
        gf.nn.box_iou(gf.zeros((3, 4), gf.int32), gf.zeros((3, 4)))
