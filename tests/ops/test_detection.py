"""Non-maximum suppression against ONNX's own and a plain double loop, on both backends; and refusals."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from tests.onnx_reference import onnx_run


def _boxes(rng: np.random.Generator, batch: int, count: int) -> np.ndarray:
    start = rng.uniform(0, 5, (batch, count, 2))
    boxes = np.concatenate([start, start + rng.uniform(-3, 3, (batch, count, 2))], axis=2)
    return boxes.astype(np.float32)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.6, 1.0])
@pytest.mark.parametrize("least", [None, 0.5])
def test_agrees_with_onnx(
    rng: np.random.Generator, backend: str, centered: bool, threshold: float, least: float | None
) -> None:
    boxes, scores = _boxes(rng, 2, 25), rng.integers(0, 9, (2, 3, 25)).astype(np.float32) / 8
    x = gf.placeholder("boxes", ("batch", "n", 4))
    y = gf.placeholder("scores", ("batch", 3, "n"))
    kept = gf.nn.non_max_suppression(x, y, 6, threshold, least, centered, size=40)
    with gf.Session(backend=backend) as session:
        found = session.run(kept, {x: boxes, y: scores})
    limits = [np.array([value], np.float32) for value in (threshold, least) if value is not None]
    expected = onnx_run(
        "NonMaxSuppression", boxes, scores, np.array([6]), *limits, center_point_box=int(centered)
    )
    assert len(expected) <= 36
    np.testing.assert_array_equal(found[: len(expected)], expected)
    assert (found[len(expected) :] == -1).all()


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_what_does_not_fit_is_left_out(backend: str) -> None:
    boxes = gf.constant([[[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]]], gf.float32)
    scores = gf.constant([[[0.1, np.nan, 0.3]]], allow_nan=True)
    two, one, more = (
        gf.nn.non_max_suppression(boxes, scores, 3, size=size, fill_value=9) for size in (2, 1, 4)
    )
    with gf.Session(backend=backend) as session:
        assert session.run(two).tolist() == [[0, 0, 2], [0, 0, 0]]
        assert session.run(one).tolist() == [[0, 0, 2]]
        assert session.run(more).tolist() == [[0, 0, 2], [0, 0, 0], [9, 9, 9], [9, 9, 9]]


def test_its_rows_are_indices() -> None:
    boxes, scores = gf.placeholder("boxes", (1, 5, 4)), gf.placeholder("scores", (1, 1, 5))
    rows = gf.nn.non_max_suppression(boxes, scores, 3, size=3)
    best = gf.gather_nd(boxes, gf.take(rows, gf.constant([0, 2]), axis=1))
    assert best.type.shape == (3, 4)
    slopes = gf.gradients([gf.astype(rows, gf.float32)], [scores], unconnected="none")
    assert slopes == [None]


def test_refusals() -> None:
    boxes, scores = gf.placeholder("boxes", (1, 5, 4)), gf.placeholder("scores", (1, 1, 5))
    with pytest.raises(AttributeValueError, match="size of at least 0"):
        gf.nn.non_max_suppression(boxes, scores, 3, size=-1)
    with pytest.raises(AttributeValueError, match="max_output_boxes_per_class"):
        gf.nn.non_max_suppression(boxes, scores, -3, size=3)
    with pytest.raises(ShapeError, match="not for the same boxes"):
        gf.nn.non_max_suppression(boxes, gf.zeros((1, 1, 6)), 3, size=3)
    with pytest.raises(ShapeError, match=r"needs boxes \[batch, n, 4\]"):
        gf.nn.non_max_suppression(gf.zeros((1, 5, 5)), scores, 3, size=3)
    with pytest.raises(DTypeError, match="does not take int32"):
        gf.nn.non_max_suppression(gf.zeros((1, 5, 4), gf.int32), gf.zeros((1, 1, 5), gf.int32), 3, size=3)
