"""The report before a file: every node with what it becomes, and why a model cannot be compiled."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.deploy import Preflight
from tests.deploy.models import convolving, floats, model


def test_every_node_is_in_the_report() -> None:
    report = gf.preflight(convolving(), sizes={"batch": 2})
    assert report.supported and not report.refused and report.problem == ""
    rows = {row.op: row for row in report.rows}
    assert {"conv", "relu", "max_pool", "matmul"} <= set(rows)
    assert report.seconds == gf.compile(convolving(), sizes={"batch": 2}).cycles.seconds
    layers = [row for row in report.rows if row.group >= 0 and not row.layer.startswith("in ")]
    assert layers
    for row in layers:
        assert row.precision == "float32" and row.slices >= 1
        assert 0 < row.local_bytes <= 512 * 1024
        assert row.bound in ("compute", "transfer") and max(row.microseconds) > 0
        assert "test_preflight" in row.source or "models.py" in row.source
    moved = gf.compile(convolving(), sizes={"batch": 2}).memory.moved[0]
    assert sum(row.ddr_bytes for row in report.rows) == moved


def test_rows_that_share_a_layer_count_once() -> None:
    """A ReLU that its convolution takes along has no time of its own."""
    net = model(lambda x: gf.nn.relu(gf.nn.conv(x, floats(4, 3, 3, 3))), (1, 3, 8, 8))
    first, second = gf.preflight(net).rows
    assert (first.op, second.op) == ("conv", "relu")
    assert first.layer.startswith("in ") and first.microseconds == (0.0, 0.0)
    assert second.layer.endswith("Convolution") and second.microseconds[0] > 0
    assert "in " in str(gf.preflight(net))


def test_a_reshape_takes_no_command() -> None:
    net = model(lambda x: gf.exp(gf.reshape(x, (3, 2))), (2, 3))
    assert "(no command)" in str(gf.preflight(net))


def test_all_nodes_that_cannot_run_are_named_at_once() -> None:
    net = model(lambda x: {"a": gf.sort(x), "b": gf.astype(gf.exp(x), gf.int32), "c": x * 2.0}, (2, 3))
    report = gf.preflight(net)
    assert not report.supported and report.seconds == 0
    assert [row.op for row in report.refused] == ["sort", "astype"]
    assert all(row.reason and row.hint and row.source for row in report.refused)
    said = str(report)
    assert said.startswith("sort (sort) at ") and "    try: " in said
    assert said.count("NOT SUPPORTED") == 2 and said.endswith("not compiled")
    assert "the chip cannot run this model" not in said


def test_a_model_that_is_too_large_gets_a_report_too() -> None:
    net = model(lambda x: gf.nn.max_pool(x, (1, 140_000), strides=1), (1, 1, 2, 140_001))
    report = gf.preflight(net)
    assert not report.supported and not report.refused
    assert "of every lane at once" in report.problem and "make its rows shorter" in report.problem
    assert str(report).startswith("the chip cannot run this model: max_pool (MaximumPool) needs")


@pytest.mark.parametrize("operator", [gf.sort, gf.exp])
def test_the_report_as_json(operator: Any) -> None:
    report = gf.preflight(model(operator, (2, 3)))
    told = json.loads(report.to_json())
    assert told["supported"] is report.supported and len(told["rows"]) == len(report.rows) == 1
    assert told["rows"][0]["op"] == operator.__name__
    assert set(told["rows"][0]) >= {"local_bytes", "ddr_bytes", "microseconds", "reason", "hint", "precision"}


def test_a_model_without_nodes() -> None:
    report = gf.preflight(model(lambda x: {"a": x}, (2, 3)))
    assert isinstance(report, Preflight) and report.supported and report.rows == ()
    assert "ms by the cycle formulas" in str(report)


def test_weights_of_a_session_are_those_of_the_file() -> None:
    """Variables become coefficients with the values they have."""
    with gf.Graph("net") as graph:
        x = gf.placeholder("x", (1, 3))
        w = gf.variable("w", initializer=np.ones((3, 2), np.float32))
        y = gf.matmul(x, w)
        update = gf.assign(w, w * 5.0)
    with gf.Session(graph, backend="numpy") as sess:
        sess.run(update)
        net = gf.Model(inputs=[x], outputs={"y": y}, session=sess)
    made = gf.compile(net).simulate({"x": np.ones((1, 3), np.float32)})["y"]
    np.testing.assert_allclose(made, [[15, 15]], rtol=1e-6)
