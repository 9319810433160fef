"""Distances in ulps at awkward values, and what each safety class permits."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer import closeness
from graphflow.optimizer.closeness import distance, judge

NAN, INF = np.nan, np.inf


def ulps(left: object, right: object, dtype: str = "float32") -> float:
    return distance(np.asarray(left, dtype), np.asarray(right, dtype)).ulps


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_neighbours_are_one_apart(dtype: str) -> None:
    for start in (0.0, 1.0, -1.0, 1e-7, -65000.0):
        value = np.asarray(start, dtype)
        for _ in range(3):
            following = np.nextafter(value, np.asarray(INF, dtype))
            assert ulps(value, following, dtype) == ulps(following, value, dtype) == 1
            value = following


def test_awkward_values() -> None:
    assert ulps([NAN, INF, -INF, 0.0], [NAN, INF, -INF, 0.0]) == 0
    assert ulps(0.0, -0.0) == 1
    assert ulps(NAN, 1.0) == ulps(INF, 1e38) == ulps(1.0, NAN) == INF
    assert ulps(INF, -INF) > 1e9
    assert ulps([], []) == 0 and ulps(np.zeros((0, 3)), np.zeros((0, 3))) == 0
    assert ulps(-3.4e38, 3.4e38) > 2**31  # more than an int32 holds
    assert ulps(-1.7e308, 1.7e308, "float64") > 2**63


def test_other_kinds() -> None:
    assert ulps([1, -5], [1, 7], "int8") == 12 and ulps(0, 2**64 - 1, "uint64") == 2.0**64
    assert ulps([True, False], [True, True], "bool") == 1
    assert ulps(1 + 2j, 1 + 2j, "complex64") == 0
    found = distance(np.array([1, 2 + 1j]), np.array([1, 2 + 3j]))
    assert found.place == (1,) and found.absolute == 2
    text = np.array(["a", "b"], gf.string.numpy)
    assert distance(text, text).ulps == 0 and distance(text, text[::-1].copy()).ulps == INF
    narrow = np.array([0.5, 1.0], gf.bfloat16.numpy)
    assert distance(narrow, np.array([0.5, 1.0078125], gf.bfloat16.numpy)).ulps == 1
    tiny = np.array([0.5, 1.0], gf.float4_e2m1fn.numpy)
    assert distance(tiny, tiny).ulps == 0 and distance(tiny, tiny[::-1].copy()).ulps > 0


def test_shapes_and_dtypes_have_to_agree() -> None:
    assert distance(np.zeros(3), np.zeros((3, 1))).ulps == INF
    assert distance(np.zeros(3), np.zeros(3, np.float32)).ulps == INF


@pytest.mark.parametrize(
    ("left", "right", "safety", "fine"),
    [
        ([1.0, NAN], [1.0, NAN], "exact", True),
        ([0.0], [-0.0], "exact", False),
        ([0.0], [-0.0], "finite", True),
        ([NAN, INF], [0.0, 1.0], "finite", True),
        ([1.0], [1.0000001], "finite", False),
        ([1.0], [1.0000001], "rounding", True),
        ([1.0, 1e-9], [1.0, 3e-9], "rounding", True),
        ([1.0], [1.001], "rounding", False),
        ([1.0], [NAN], "rounding", False),
        ([-INF], [-500.0], "rounding", True),
    ],
)
def test_classes_permit_what_they_say(left: list, right: list, safety: str, fine: bool) -> None:
    arrays = np.array(left, np.float32), np.array(right, np.float32)
    assert judge(*arrays, safety, 1e-5)[0] is fine


def test_integers_may_differ_below_rounding_only_where_that_is_allowed() -> None:
    left, right = np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5])
    assert not judge(left, right, "rounding", 1e-5)[0] and judge(left, right, "rounding", 0.3)[0]
    assert not judge(left, right, "finite", 0.3)[0]


def test_a_distance_is_json_and_text() -> None:
    found = distance(np.array([[1.0, 2.0]]), np.array([[1.0, NAN]]))
    assert found.to_dict()["ulps"] == "inf" and found.to_dict()["place"] == [0, 1]
    assert str(found).startswith("2.0 became nan at [0, 1], apart")


def test_the_magnitude_of_what_is_larger_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closeness, "_BLOCK", 4)
    array = np.arange(-7.0, 6.0, dtype=np.float32)
    assert closeness.magnitude(array) == 7.0
    assert closeness.magnitude(np.broadcast_to(array[:, None], (13, 3)).T) == 7.0
    assert closeness.magnitude(np.float32([1, NAN, INF, 2, -INF] * 3)) == 2.0
    assert closeness.magnitude(np.full(9, NAN)) == 0.0
