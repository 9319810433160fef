"""Commands on ONNX files, which are recognised by what is in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
