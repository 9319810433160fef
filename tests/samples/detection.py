"""Samples of the detection family: ties, thresholds met exactly, no area, awkward scores, nothing to keep."""

from __future__ import annotations

import numpy as np

from tests.samples import sample

RNG = np.random.default_rng(5)
STARTS = RNG.uniform(0, 4, (2, 30, 2))
BOXES = np.concatenate([STARTS, STARTS + RNG.uniform(0.5, 3, (2, 30, 2))], 2)
SCORES = RNG.normal(size=(2, 3, 30))
TIED = RNG.integers(0, 3, (2, 3, 30)).astype(np.float32)
ROW = np.array([[[0, 0, 1, 1], [1, 1, 0, 0], [0, 0.5, 1, 1], [2, 2, 2, 5], [2, 2, 2, 5]]], np.float32)
WILD = np.array([[[np.nan, -np.inf, np.inf, 0.0, -0.0]]], np.float32)

for threshold in (0.0, 0.3, 0.5, 1.0):
    sample(
        "non_max_suppression", BOXES, SCORES, max_output_boxes_per_class=9, iou_threshold=threshold, size=60
    )
    sample(
        "non_max_suppression", BOXES.astype(np.float32), TIED, max_output_boxes_per_class=30, size=40,
        iou_threshold=threshold, score_threshold=0.5,
    )  # fmt: skip
    sample("non_max_suppression", ROW, WILD, max_output_boxes_per_class=5, iou_threshold=threshold, size=7)
sample("non_max_suppression", BOXES, SCORES, max_output_boxes_per_class=4, size=24, center_point_box=True)
sample(
    "non_max_suppression", ROW, WILD, max_output_boxes_per_class=5, score_threshold=-1e9, size=4, fill_value=7
)
sample("non_max_suppression", ROW, WILD, max_output_boxes_per_class=2**40, size=2)
sample("non_max_suppression", ROW, WILD, max_output_boxes_per_class=0, size=2)
sample("non_max_suppression", ROW, WILD, max_output_boxes_per_class=3, size=0)
sample(
    "non_max_suppression",
    ROW.astype(np.float16),
    WILD.astype(np.float16),
    max_output_boxes_per_class=3,
    size=5,
)
sample("non_max_suppression", np.zeros((1, 0, 4)), np.zeros((1, 2, 0)), max_output_boxes_per_class=3, size=2)
sample("non_max_suppression", np.zeros((0, 3, 4)), np.zeros((0, 2, 3)), max_output_boxes_per_class=3, size=2)
