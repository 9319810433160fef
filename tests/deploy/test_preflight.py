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
        assert row.microseconds == pytest.approx((row.cycles[0] / 550, row.cycles[1] / 575))
        assert row.tile[0] == 2 and len(row.tile) == 4
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


def told(report: Preflight, op: str) -> str:
    """What the report advises for the layer of an operator."""
    (row,) = [row for row in report.rows if row.op == op and not row.layer.startswith("in ")]
    assert bool(row.hint) == bool(row.saves)
    return row.hint


def test_weights_that_are_waited_for_are_told() -> None:
    net = model(lambda x: gf.matmul(gf.exp(x), gf.constant(floats(2048, 1024))), (1, 2048))
    report = gf.preflight(net)
    assert "waits for its 8.4 MB of weights" in told(report, "matmul") and not told(report, "exp")
    assert "what to change for less time:\n  matmul (" in str(report)
    larger = gf.preflight(model(lambda x: gf.matmul(gf.exp(x), gf.constant(floats(2048, 1024))), (64, 2048)))
    assert larger.seconds < 32 * report.seconds  # what the advice says


@pytest.mark.parametrize(("channels", "rounds", "full"), [(40, "one round", 64), (70, "2 rounds", 128)])
def test_idle_lanes_are_told(channels: int, rounds: str, full: int) -> None:
    def build(count: int) -> gf.Model:
        def deep(x: gf.Tensor) -> gf.Tensor:
            for layer in range(3):
                x = gf.nn.conv(x, floats(count, x.shape[1], 3, 3, seed=layer), strides=1, padding=1)
            return gf.sum(gf.nn.max_pool(x, 28), axis=(2, 3))

        return model(deep, (1, 16, 28, 28))

    report = gf.preflight(build(channels))
    hints = [row.hint for row in report.rows if row.op == "conv" and "lanes" in row.hint]
    assert hints and all(f"{channels} channels or rows" in hint and rounds in hint for hint in hints)
    assert all(f"as {full} would" in hint for hint in hints)
    assert not [row for row in gf.preflight(build(full)).rows if "lanes" in row.hint]


def test_what_waits_for_values_is_told() -> None:
    report = gf.preflight(model(gf.exp, (1, 64, 64, 64)))
    assert "that go through DDR: make its tensors smaller" in told(report, "exp")


def test_a_slice_is_the_tile_of_what_does_not_fit() -> None:
    (row,) = gf.preflight(model(gf.exp, (1, 64, 600, 400))).rows
    assert row.slices > 1 and row.tile[:2] == (1, 64) and row.tile[2] < 600
    assert f"0/{row.slices}" in str(gf.preflight(model(gf.exp, (1, 64, 600, 400))))


def test_the_table_fits_a_wide_terminal() -> None:
    def build(x: gf.Tensor) -> gf.Tensor:
        with gf.name_scope("a_rather_long_scope/with_another_one_inside"):
            return gf.nn.relu(gf.nn.conv(x, floats(70, 64, 3, 3), padding=1))

    said = str(gf.preflight(model(build, (1, 64, 56, 56)))).splitlines()
    table = said[: next(index for index, line in enumerate(said) if line.startswith("local: "))]
    assert max(map(len, table)) <= 140 and "…" in said[1]
    assert [name in said[0] for name in ("tile", "local", "DDR", "tiu", "gdma", "bound")] == [True] * 6


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
    numbers = {"group", "slices", "tile", "local_bytes", "ddr_bytes", "cycles", "microseconds", "saves"}
    assert set(told["rows"][0]) >= numbers | {"precision", "bound", "reason", "hint"}


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
