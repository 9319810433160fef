"""`graphflow convert`: from and to ONNX files and saved models, which compute the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax.export
import numpy as np
import onnx
import pytest

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


def test_to_stablehlo(call: Call, tmp_path: Path) -> None:
    source, file = saved(tmp_path), tmp_path / "net.stablehlo"
    answer = call("convert", source, "--to", "stablehlo", "-o", file, "--platforms", "cpu,cuda")
    assert answer == (0, f"wrote {file}\n", "")
    found = jax.export.deserialize(bytearray(file.read_bytes()))
    assert found.platforms == ("cpu", "cuda") and not found.has_vjp()
    want = gf.saved_model.load(source).run({"x": X}, backend="numpy")["y"]
    assert found.call({}, {"x": X})["y"].tolist() == want.tolist()


def test_to_stablehlo_with_weights_beside_it(call: Call, tmp_path: Path) -> None:
    load_file = pytest.importorskip("safetensors.numpy").load_file
    source, file, weights = saved(tmp_path), tmp_path / "net.stablehlo", tmp_path / "net.safetensors"
    options = ("--size", "batch=2", "--gradient", "--weights", weights)
    answer = call("convert", source, "--to", "stablehlo", "-o", file, *options)
    assert answer == (0, f"wrote {weights}\nwrote {file}\n", "")
    found = jax.export.deserialize(bytearray(file.read_bytes()))
    want = gf.saved_model.load(source).run({"x": X}, backend="numpy")["y"]
    assert found.has_vjp() and found.call(load_file(weights), {"x": X})["y"].tolist() == want.tolist()


def test_options_of_another_format(call: Call, tmp_path: Path) -> None:
    source = saved(tmp_path)
    status, _, err = call("convert", source, "--to", "onnx", "--gradient", "-o", tmp_path / "y")
    assert status == 1 and "--gradient is for StableHLO" in err
    bad = ("--to", "stablehlo", "--platforms", "abacus", "-o", tmp_path / "y")
    status, _, err = call("convert", source, *bad)
    assert status == 1 and "no platform 'abacus'" in err and not (tmp_path / "y").exists()
