"""Sums of what is chosen by its position: programs, values out of range, and where they stay."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.optimizer.rules import selections as rules
from tests.optimizer.rewriting import assert_declines, build, rewrite, values
from tests.optimizer.rules.cases import Case

CLASSES = "i: int32[4]"
COLUMN = "i: int32[4,1], y: float32[4,1]"
DOWN = "constant(np.arange(7, dtype=np.int32).reshape(7, 1))"
INSIDE = "logical_and(greater_equal(r, 0), less(r, 7))"
PLACES = "constant(np.arange(7, dtype=np.int32))"

CASES = [
    Case(
        rules.sum_of_one_hot,
        f"{CLASSES}, y: float32[4,1] -> sum(multiply(one_hot(i, 7), y), axis=1)",
        f"r = reshape(i, (4, 1)); reshape(where({INSIDE}, y, 0.0), (4,))",
    ),
    Case(
        rules.sum_of_one_hot,
        f"{CLASSES} -> sum(one_hot(i, 7), axis=1, keepdims=True)",
        f"r = reshape(i, (4, 1)); where({INSIDE}, 1.0, 0.0)",
    ),
    Case(
        rules.sum_of_one_hot,
        "i: int8[4] -> sum(one_hot(i, 200, axis=0), axis=0)",
        "r = astype(reshape(i, (1, 4)), 'int64');"
        "reshape(where(logical_and(greater_equal(r, 0), less(r, 200)), 1.0, 0.0), (4,))",
    ),
    Case(
        rules.sum_of_selected,
        f"{COLUMN} -> sum(where(equal(i, {PLACES}), y, 0.0), axis=1, keepdims=True)",
        "r = i; where(logical_and(greater_equal(r, 0), less(r, 7)), y, 0.0)",
    ),
    Case(
        rules.sum_of_selected,
        f"i: int32[1,4], y: float32[] -> sum(where(equal({DOWN}, i), y, 0.0), axis=0)",
        f"r = i; reshape(where({INSIDE}, y, 0.0), (4,))",
    ),
    Case(
        rules.sum_of_one_hot,
        f"{CLASSES}, y: float32[4,7] -> sum(multiply(one_hot(i, 7), y), axis=1)",
        f"r = reshape(i, (4, 1)); reshape(where({INSIDE}, take_along_axis(y, r, axis=1), 0.0), (4,))",
    ),
    Case(
        rules.sum_of_selected,
        f"i: int32[1], y: float32[4,7] -> sum(where(equal(i, {PLACES}), y, 0.0), axis=1, keepdims=True)",
        "r = broadcast_to(i, (4, 1));"
        "where(logical_and(greater_equal(i, 0), less(i, 7)), take_along_axis(y, r, axis=1), 0.0)",
    ),
]


@pytest.mark.parametrize(
    "text",
    [
        "i: int32[6], y: float32[6,1] -> sum(multiply(one_hot(i, 7), y), axis=1)",
        f"i: int32[6,1], y: float32[6,1] -> sum(where(equal(i, {PLACES}), y, 0.0), axis=1)",
    ],
)
def test_out_of_range_and_awkward_values(text: str) -> None:
    """Out of range there is nothing; what is inside comes out as it is, also where 0 inf made it NaN."""
    program = build(text)
    assert rewrite(program, rules.RULES).edits
    index = np.array([0, 6, 7, -1, 3, 2], np.int32).reshape(program.feeds[0].shape)
    y = np.array([1.5, np.inf, 5, np.nan, np.nan, -np.inf], np.float32)[:, None]
    (found,) = values(program, [index, y])
    np.testing.assert_array_equal(found, np.array([1.5, np.inf, 0, 0, np.nan, -np.inf], np.float32))


@pytest.mark.parametrize(
    "text",
    [
        "i: int32[6], y: float32[6,7] -> sum(multiply(one_hot(i, 7), y), axis=1)",
        "i: int8[6], y: float32[6,7] -> sum(multiply(one_hot(i, 7), y), axis=1)",
        f"i: int32[6,1], y: float32[6,7] -> sum(where(equal(i, {PLACES}), y, 0.0), axis=1)",
    ],
)
def test_one_element_of_a_row_is_read(text: str) -> None:
    """An element out of range is none, and what is not chosen does not matter, NaN or infinite."""
    program = build(text)
    assert rewrite(program, rules.RULES).edits
    index = np.array([0, 6, 7, -1, 3, 2], program.feeds[0].dtype.numpy).reshape(program.feeds[0].shape)
    y = np.arange(42, dtype=np.float32).reshape(6, 7)
    y[0, 1:], y[1, 6], y[2], y[3], y[4, 3] = -np.inf, np.inf, np.nan, np.nan, np.nan
    (found,) = values(program, [index, y])
    np.testing.assert_array_equal(found, np.array([0, np.inf, 0, 0, np.nan, 37], np.float32))


def test_an_index_that_changes_along_the_axis_stays() -> None:
    assert_declines(
        rules.sum_of_one_hot,
        f"{CLASSES}, z: float32[7] -> h = one_hot(i, 7);"
        "(sum(multiply(h, z), axis=1), sum(h, axis=0), sum(h), sum(h, axis=(0, 1)))",
    )
    other = "constant(np.arange(1, 8, dtype=np.int32))"
    assert_declines(
        rules.sum_of_selected,
        f"i: int32[4,1], j: int32[4,7], y: float32[4,7] -> w = where(equal(i, {PLACES}), 2.0, 0.0);"
        f"(sum(where(equal(j, {PLACES}), y, 0.0), axis=1), sum(where(equal(j, {PLACES}), 2.0, 0.0), axis=1),"
        f"sum(where(equal(i, {other}), 2.0, 0.0), axis=1), sum(w, axis=0), sum(w))",
    )
