"""Writing into caches: against the loop of the ONNX text, at the end, symbolic sizes, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from graphflow.nn import cache_update
from tests.ops.symbolic import run


def _written(cache: np.ndarray, update: np.ndarray, starts: Any, axis: int, mode: str) -> np.ndarray:
    result = cache.copy()
    for prefix in np.ndindex(cache.shape[:axis]):
        for step in range(update.shape[axis]):
            place = int(starts[prefix[0]]) + step
            place = place % cache.shape[axis] if mode == "circular" else place
            result[(*prefix, place)] = update[(*prefix, step)]
    return result


@pytest.mark.parametrize(
    ("shape", "axis", "length"), [((2, 3, 6, 4), -2, 2), ((3, 5), 1, 3), ((2, 4, 3, 2), 1, 1)]
)
def test_against_the_loop_of_onnx(shape: Any, axis: int, length: int, rng: np.random.Generator) -> None:
    place = axis % len(shape)
    cache = rng.normal(size=shape)
    update = rng.normal(size=(*shape[:place], length, *shape[place + 1 :]))
    starts = rng.integers(0, shape[place] - length + 1, shape[0]).astype(np.int32)
    late = starts + shape[place] - 1
    for mode, begin in (("linear", starts), ("circular", late)):
        (made,) = evaluate([cache_update(cache, update, begin, axis, mode)])
        np.testing.assert_array_equal(made, _written(cache, update, begin, place, mode))
    (made,) = evaluate([cache_update(cache, update, axis=axis)])
    np.testing.assert_array_equal(made, _written(cache, update, [0] * shape[0], place, "linear"))


def test_gradients_and_symbolic_sizes() -> None:
    cache, update = gf.placeholder("cache", ("n", "m", 2)), gf.placeholder("update", ("n", 1, 2))
    starts = gf.placeholder("starts", ("n",), gf.int64)
    y = cache_update(cache, update, starts, axis=1, mode="circular")
    assert y.shape == cache.shape
    feeds = {cache: np.zeros((2, 3, 2), np.float32), update: np.ones((2, 1, 2), np.float32)}
    feeds[starts] = np.array([1, 5])
    value, dcache, dupdate = run([y, *gradients([y], [cache, update])], feeds, n=2, m=3)
    expected = np.zeros((2, 3, 2))
    expected[0, 1] = expected[1, 2] = 1
    np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(dcache, 1 - expected)
    np.testing.assert_array_equal(dupdate, np.ones((2, 1, 2)))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"update": gf.float32}, ShapeError),
        ({"shape": (2, 9, 4)}, ShapeError),
        ({"shape": (2, 1, 3)}, ShapeError),
        ({"shape": (2, 1)}, ShapeError),
        ({"dtype": gf.int32}, DTypeError),
        ({"starts": [1, 2, 3]}, ShapeError),
        ({"starts": [1.0, 2.0]}, DTypeError),
        ({"axis": 0}, AttributeValueError),
        ({"axis": 3}, AttributeValueError),
        ({"mode": "ring"}, AttributeValueError),
        ({"mode": None}, AttributeValueError),
    ],
)
def test_refusals(change: dict[str, Any], error: Any) -> None:
    cache = gf.placeholder("cache", (2, 6, 4))
    update = gf.placeholder("update", change.get("shape", (2, 1, 4)), change.get("dtype", gf.float32))
    if "update" in change:
        update = gf.placeholder("scalar", ())
    with pytest.raises(error):
        cache_update(
            cache, update, change.get("starts"), change.get("axis", -2), change.get("mode", "linear")
        )
