"""Commands on ONNX files, which are recognised by what is in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser

from tests.cli.conftest import Answer

Call = Callable[..., Answer]


@pytest.fixture(params=["net.onnx", "net.bin"])
def file(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    proto = parser.parse_model(
        '<ir_version: 10, opset_import: ["": 22]> net (float[n, 3] x) => (float[n, 2] y)'
        "<float[3, 2] w = {1, 2, 3, 4, 5, 6}> { h = MatMul(x, w) y = Relu(h) }"
    )
    path = tmp_path / str(request.param)
    path.write_bytes(proto.SerializeToString())
    assert isinstance(proto, onnx.ModelProto)
    return path


def test_show(call: Call, file: Path) -> None:
    status, out, err = call("show", file)
    assert (status, err) == (0, "")
    assert "in   x  float32[n, 3]" in out and "out  y  float32[n, 2]" in out


def test_run(call: Call, file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 3), np.float32))
    target = tmp_path / "y.npy"
    status, _, err = call(
        "run", file, "--feed", f"x={tmp_path / 'x.npy'}", "-o", target, "--backend", "numpy"
    )
    assert (status, err) == (0, "")
    assert np.load(target).tolist() == [[9, 12], [9, 12]]


def test_explain(call: Call, file: Path) -> None:
    status, out, err = call("explain", file)
    assert (status, err) == (0, "") and "after O2" in out


def test_a_damaged_file(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"no model at all")
    status, _, err = call("show", path)
    assert status == 1 and "no ONNX model" in err and "try: " in err


def test_nodes_stand_in_the_file_and_not_on_a_line_of_the_command(call: Call, file: Path) -> None:
    status, out, err = call("explain", file, "--tensor", "y")
    assert (status, err) == (0, "") and f"{file.name} (" in out
    text = call("show", file, "--text").out
    assert f'"{file.name}":0 "' in text and "runpy" not in text and ".py" not in text


WRONG = """
from graphflow.optimizer.pattern import P, variables
from graphflow.optimizer.rule import rule

X = variables("X")[0]

@rule(P.relu(X), safety="exact")
def relu_is_abs(m, b):
    "relu(x) = |x|, which is wrong."
    return b.abs(m.X)
"""


def test_what_bisect_writes_fails_until_the_rule_is_mended(call: Call, file: Path, tmp_path: Path) -> None:
    rules, folder = tmp_path / "wrong.py", tmp_path / "found"
    rules.write_text(WRONG)
    np.savez(tmp_path / "inputs.npz", x=np.float32([[1, -2, -3]]))
    found = call("bisect", file, "--input", tmp_path / "inputs.npz", "--rules", rules, "-o", folder)
    assert found.status == 1
    assert "relu_is_abs in canonicalize" in found.out and f"({file.name} (" in found.out

    def written() -> Callable[[], None]:
        space: dict[str, Any] = {"__file__": str(folder / "test_relu_is_abs.py")}
        exec((folder / "test_relu_is_abs.py").read_text(), space)
        test: Callable[[], None] = space["test_relu_is_abs"]
        return test

    with pytest.raises(AssertionError, match="is the first to part"):
        written()()
    rules.write_text(WRONG.replace("b.abs(m.X)", "None"))
    written()()
