"""Sizes that depend on values: their names, runs on numpy at every level, gradients, text, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import MemoryPlanError, ShapeError
from graphflow.ir.found_sizes import found_in, is_found

ROWS = np.array([[1, 0, 2, 0], [0, 0, 3, 4], [0, 0, 0, 0]], np.float32)
LEVELS = ("O0", "O1", "O2", "O3")


def run(fetches, feeds, level="O2"):
    with gf.Session(backend="numpy", level=level) as session:
        return session.run(fetches, feeds)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("rows", [ROWS, ROWS[:0], np.zeros((2, 4), np.float32)])
def test_selections_find_as_many_as_there_are(level: str, rows: np.ndarray) -> None:
    x = gf.placeholder("x", ("n", 4))
    mask = gf.sum(x, axis=1) > 2.0
    made = [*gf.nonzero(x), gf.compress(mask, x, axis=0)]
    found = run([*made, *gf.unique_all(x), gf.unique_values(x)], {x: rows}, level)
    expected = np.unique(rows, return_index=True, return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(np.stack(found[:2]), np.stack(np.nonzero(rows)))
    np.testing.assert_array_equal(found[2], rows[rows.sum(axis=1) > 2.0])
    for one, other in zip(found[3:7], expected):
        np.testing.assert_array_equal(one, other.reshape(one.shape))
    np.testing.assert_array_equal(found[7], expected[0])


@pytest.mark.parametrize("level", LEVELS)
def test_what_follows_knows_the_size_when_it_runs(level: str) -> None:
    x = gf.placeholder("x", ("n", 4))
    chosen = gf.compress(gf.sum(x, axis=1) > 2.0, x, axis=0)
    ones = gf.full_like(chosen, 1.0)  # reads no value of what finds the size
    doubled = gf.concat([chosen, ones])
    folded = gf.reshape(chosen, (-1, 2))
    (slope,) = gf.gradients(gf.mean(chosen * chosen), x)
    found = run(
        [ones, doubled, folded, gf.shape_of(doubled), gf.mean(chosen, axis=0), slope], {x: ROWS}, level
    )
    kept = ROWS[:2]
    np.testing.assert_array_equal(found[0], np.ones((2, 4)))
    np.testing.assert_array_equal(found[1], np.concatenate([kept, np.ones((2, 4))]))
    np.testing.assert_array_equal(found[2], kept.reshape(-1, 2))
    assert found[3].tolist() == [4, 4]
    np.testing.assert_array_equal(found[4], kept.mean(axis=0))
    np.testing.assert_allclose(found[5], np.concatenate([kept / 4, np.zeros((1, 4))]))


def test_two_searches_have_sizes_of_their_own() -> None:
    x, y = gf.placeholder("x", (3,)), gf.placeholder("y", (3,))
    first, second = gf.nonzero(x)[0], gf.nonzero(y)[0]
    assert first.shape != second.shape
    found = run([first, second], {x: [1, 0, 0], y: [1, 1, 0]})
    assert [one.tolist() for one in found] == [[0], [0, 1]]


def test_text_and_saved_models_keep_them(tmp_path) -> None:
    x = gf.placeholder("x", ("n",))
    chosen = gf.compress(x > 0.0, x)
    graph = chosen.graph
    graph.outputs = [chosen]
    text = gf.print_graph(graph)
    assert gf.print_graph(gf.parse_graph(text)) == text
    gf.verify(graph)
    assert list(found_in(chosen.node)) and all(map(is_found, found_in(chosen.node)))
    gf.saved_model.save(tmp_path / "model", gf.Session(backend="numpy"), inputs=[x], outputs=[chosen])
    model = gf.saved_model.load(tmp_path / "model")
    (made,) = model.run({"x": np.array([1.0, -1.0, 2.0], np.float32)}, backend="numpy").values()
    assert made.tolist() == [1.0, 2.0]


def test_boxes_that_are_kept() -> None:
    boxes = np.array([[[0, 0, 1, 1], [0, 0, 1, 1.01], [3, 3, 4, 4]]], np.float32)
    rows = gf.nn.non_max_suppression(gf.constant(boxes), gf.constant([[[0.5, 0.6, 0.7]]]), 10)
    assert run(rows, {}).tolist() == [[0, 0, 2], [0, 0, 1]]


def test_refusals() -> None:
    x = gf.placeholder("x", (2, 3))
    with pytest.raises(ShapeError, match=r"inside of .* depends on values"):
        gf.map(lambda row: gf.nonzero(row)[0], x)
    with pytest.raises(MemoryPlanError, match="bytes are not known"):
        gf.Session(backend="numpy").memory(gf.nonzero(x)[0])
    with pytest.raises(gf.BackendError, match="could not be broadcast"):
        run(gf.nonzero(x)[0] + gf.nonzero(x > 1.0)[0], {x: [[1, 2, 3], [0, 0, 0]]})
