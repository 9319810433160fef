"""Profiles: a row a node, with its user's line, and nothing changed by looking."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import BackendError, FileFormatError


def test_every_node_has_a_row(backend: str, tmp_path: Path) -> None:
    x = gf.placeholder("x", ("n", 4))
    w = gf.variable("w", (4,), initializer=gf.initializers.ones())
    y = gf.exp(gf.add(gf.multiply(x, w, name="scaled"), 1.0, name="shifted"), name="raised")
    with gf.Session(backend=backend, level="O1") as sess:
        profile = sess.profile([y, gf.assign(w, w * 2.0)], {x: np.zeros((8, 4))}, repeats=2)
        assert sess.step == 0 and sess.variables[w].tolist() == [1.0] * 4
        rows = {row.name: row for row in profile.rows}
        assert {"scaled", "shifted", "raised"} <= rows.keys()
        assert rows["scaled"].bytes == (2 * 8 * 4 + 4) * 4 and rows["scaled"].type == "float32[8, 4]"
        assert rows["raised"].line.startswith("test_profile.py:")
        assert all(0 < row.seconds < 60 for row in profile.rows)
        assert profile.seconds == pytest.approx(sum(row.seconds for row in profile.rows))
        assert f"nodes on {backend}" in str(profile) and "scaled" in str(profile)
        profile.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [event["name"] for event in events] == [row.name for row in profile.rows]
    assert all(event["ph"] == "X" and event["dur"] > 0 for event in events)
    for before, after in itertools.pairwise(events):
        assert after["ts"] == pytest.approx(before["ts"] + before["dur"])


def test_random_nodes_and_equal_nodes(backend: str) -> None:
    key = gf.registry["random_key"](gf.ops.declare.builtin(gf.default_graph(), "session_key"), "s")
    drawn = gf.registry["random_uniform"](key, (3,))
    with gf.Session(backend=backend, level="O0") as sess:
        profile = sess.profile(gf.exp(drawn) + gf.exp(drawn * 2.0))
        assert [row.op for row in profile.rows].count("exp") == 2


def test_the_failing_node_is_named() -> None:
    x = gf.placeholder("x", (2,))
    y = gf.exp(x, name="culprit")
    definition = gf.registry["exp"]
    original = definition.reference

    def broken(x: np.ndarray) -> np.ndarray:
        raise MemoryError("no memory left")

    with gf.Session(backend="numpy") as sess:
        definition.reference = broken
        try:
            with pytest.raises(BackendError, match=r"culprit.*no memory left"):
                sess.profile(y, {x: [1.0, 2.0]})
        finally:
            definition.reference = original


def test_a_trace_that_cannot_be_written(tmp_path: Path) -> None:
    x = gf.placeholder("x", ())
    with gf.Session(backend="numpy") as sess:
        profile = sess.profile(gf.exp(x), {x: 1.0})
    with pytest.raises(FileFormatError, match="cannot be written"):
        profile.save(tmp_path / "missing" / "trace.json")
