"""`graphflow convert`: from and to ONNX files and saved models, which compute the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx

import graphflow as gf
from tests.cli.conftest import Answer

Call = Callable[..., Answer]
X = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)


def saved(folder: Path) -> Path:
    with gf.Graph():
        x = gf.placeholder("x", ("batch", 2))
        model = gf.Model(inputs=[x], outputs={"y": gf.nn.relu(x) * gf.variable("w", (2,))})
    gf.saved_model.save(folder / "model", model)
    return folder / "model"


def test_there_and_back(call: Call, tmp_path: Path) -> None:
    source, file, back = saved(tmp_path), tmp_path / "net.onnx", tmp_path / "back"
    assert call("convert", source, "--to", "onnx", "--opset", 18, "-o", file) == (0, f"wrote {file}\n", "")
    proto = onnx.load(file)
    onnx.checker.check_model(proto, full_check=True)
    assert [one.version for one in proto.opset_import] == [18]
    assert call("convert", file, "--to", "saved-model", "-o", back) == (0, f"wrote {back}\n", "")
    want = gf.saved_model.load(source).run({"x": X}, backend="numpy")["y"]
    assert gf.saved_model.load(back).run({"x": X}, backend="numpy")["y"].tolist() == want.tolist()


def test_an_opset_of_a_saved_model(call: Call, tmp_path: Path) -> None:
    status, _, err = call(
        "convert", saved(tmp_path), "--to", "saved-model", "--opset", 18, "-o", tmp_path / "y"
    )
    assert status == 1 and "--opset is for ONNX" in err and not (tmp_path / "y").exists()


def test_what_cannot_be_written_is_listed(call: Call, tmp_path: Path) -> None:
    with gf.Graph():
        x = gf.placeholder("x", (2, 2))
        model = gf.Model(inputs=[x], outputs={"y": gf.linalg.inv(x)})
    gf.saved_model.save(tmp_path / "model", model)
    status, _, err = call("convert", tmp_path / "model", "--to", "onnx", "-o", tmp_path / "net.onnx")
    assert status == 1 and "inv 'inv'" in err and not (tmp_path / "net.onnx").exists()
