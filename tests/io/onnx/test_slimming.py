"""Large ONNX files: weights are read one by one, and what cannot be walked is left to protobuf."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphflow as gf
from graphflow.errors import FileFormatError
from graphflow.io.onnx import slimming

W = np.random.default_rng(0).standard_normal((128, 256)).astype(np.float32)  # 128 KiB
HALF = np.tile(W, (2, 1)).astype(np.float16)[:, :200]
FOUR = np.arange(1 << 17, dtype=np.int8).reshape(256, 512) % 8


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slimming, "LEAST_FILE", 1)


def _packed(array: np.ndarray) -> bytes:
    """Two to a byte, the first in the lower half."""
    flat = array.ravel().astype(np.uint8)
    return (flat[::2] | flat[1::2] << 4).tobytes()


def model() -> onnx.ModelProto:
    """y = x w + b; beside it weights of half floats and of four bits, and one that is no raw data."""
    weights = [
        numpy_helper.from_array(W, "w"),
        numpy_helper.from_array(W[0], "b"),
        numpy_helper.from_array(HALF, "half"),
        helper.make_tensor("four", TensorProto.INT4, FOUR.shape, _packed(FOUR), raw=True),
        helper.make_tensor("plain", TensorProto.FLOAT, W.shape, W.ravel()),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Add", ["h", "b"], ["y"]),
        *[helper.make_node("Identity", [name], [f"{name}_out"]) for name in ("half", "four", "plain")],
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 128])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 256]),
            helper.make_tensor_value_info("half_out", TensorProto.FLOAT16, HALF.shape),
            helper.make_tensor_value_info("four_out", TensorProto.INT4, FOUR.shape),
            helper.make_tensor_value_info("plain_out", TensorProto.FLOAT, W.shape),
        ],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def written(folder: Path) -> Path:
    onnx.save(model(), folder / "net.onnx")
    return folder / "net.onnx"


@pytest.mark.usefixtures("small")
def test_the_content_is_all_but_the_long_data(tmp_path: Path) -> None:
    path = written(tmp_path)
    content = slimming.slimmed(path)
    assert content is not None and len(content) < path.stat().st_size - W.nbytes - FOUR.size // 2
    slim, whole = onnx.ModelProto.FromString(content), onnx.load(path)
    found = {tensor.name: tensor for tensor in slim.graph.initializer}
    away = [name for name, tensor in found.items() if tensor.data_location == TensorProto.EXTERNAL]
    assert away == ["w", "half", "four"]
    data = path.read_bytes()
    for tensor in whole.graph.initializer:
        if tensor.name in away:
            said = {entry.key: entry.value for entry in found[tensor.name].external_data}
            start = int(said["offset"])
            assert data[start : start + int(said["length"])] == tensor.raw_data
        else:
            assert found[tensor.name] == tensor
    del slim.graph.initializer[:], whole.graph.initializer[:]
    assert slim == whole


@pytest.mark.usefixtures("small")
def test_it_computes_the_same(tmp_path: Path) -> None:
    x = np.ones((2, 128), np.float32)
    loaded = gf.onnx.load(written(tmp_path))
    made = loaded.run({"x": x}, backend="numpy")
    for name, value in gf.onnx.load(model()).run({"x": x}, backend="numpy").items():
        assert made[name].dtype == value.dtype
        np.testing.assert_array_equal(made[name], value)
    np.testing.assert_array_equal(made["half_out"], HALF)
    np.testing.assert_array_equal(made["four_out"].astype(np.int8), FOUR)
    tuned = gf.onnx.load(tmp_path / "net.onnx", trainable=True)
    np.testing.assert_array_equal(tuned.weights["w"], W)
    # What was loaded stays as it is when the file is written over.
    (tmp_path / "net.onnx").write_bytes(b"\0" * 1_000_000)
    np.testing.assert_array_equal(loaded.run({"x": x}, backend="numpy")["y"], made["y"])


@pytest.mark.usefixtures("small")
def test_links_and_damaged_files_are_left_to_protobuf(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.onnx"
    link.symlink_to(path)
    assert slimming.slimmed(link) is None
    assert gf.onnx.load(link).run({"x": np.ones((1, 128))}, backend="numpy")["y"].shape == (1, 256)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content[: int(rng.integers(1, len(content)))])
        damaged[int(rng.integers(0, min(len(damaged), 400)))] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            gf.onnx.load(path)
        except gf.GraphFlowError as error:
            assert error.message


@pytest.mark.usefixtures("small")
def test_data_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    made = model()
    made.graph.initializer[0].raw_data = W.tobytes()[:-4]
    onnx.save(made, tmp_path / "net.onnx")
    with pytest.raises(FileFormatError, match=r"'w' takes 131072 bytes"):
        gf.onnx.load(tmp_path / "net.onnx")


def test_small_files_are_parsed_as_they_are(tmp_path: Path) -> None:
    assert slimming.slimmed(written(tmp_path)) is None


@pytest.mark.usefixtures("small")
def test_files_of_very_many_fields_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slimming, "_MOST_FIELDS", 10)
    assert slimming.slimmed(written(tmp_path)) is None
