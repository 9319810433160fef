"""`graphflow optimize`: the optimised model as a saved model or in ONNX, which computes the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx

import graphflow as gf
from tests.cli.conftest import Answer

Call = Callable[..., Answer]
X = np.array([[1.0, -2.0, 0.5]], np.float32)


def test_to_a_saved_model(call: Call, model: Path, tmp_path: Path) -> None:
    before, made = gf.saved_model.load(model), tmp_path / "made.gfm"
    status, out, _ = call("optimize", model, "-o", made)
    after = gf.saved_model.load(made)
    assert status == 0 and f"wrote {made}" in out
    assert f"{len(before.graph.nodes)} nodes before, {len(after.graph.nodes)} after" in out
    assert len(after.graph.nodes) < len(before.graph.nodes)
    (want,), (found,) = [one.run({"x": X}, backend="numpy").values() for one in (before, after)]
    assert found.tolist() == want.tolist()


def test_to_onnx(call: Call, model: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.onnx"
    assert call("optimize", model, "-o", made).status == 0
    proto = onnx.load(made)
    onnx.checker.check_model(proto, full_check=True)
    assert [node.op_type for node in proto.graph.node] == ["MatMul", "Exp"]


def test_what_is_left_out_stays(call: Call, model: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.onnx"
    assert call("optimize", model, "-o", made, "-p", "eliminate").status == 0
    assert [node.op_type for node in onnx.load(made).graph.node] == ["MatMul", "Exp", "Mul"]


def test_an_unknown_pass_writes_nothing(call: Call, model: Path, tmp_path: Path) -> None:
    status, _, err = call("optimize", model, "-o", tmp_path / "made", "-p", "elimnate")
    assert status == 1 and "eliminate" in err and not (tmp_path / "made").exists()
