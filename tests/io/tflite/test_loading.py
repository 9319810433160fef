"""Names, origins, signatures, constants and their memory, and the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.cli.main import main
from tests.bad_input.refusal import refused
from tests.io.tflite.build import Net, file_of
from tests.io.tflite.oracle import computed

FOLDER = Path(__file__).parent / "networks"


def line() -> Net:
    """y = relu(x w + b), with the names that a converter gives."""
    net = Net()
    x = net.input((-1, 3), name="serving_default_x:0")
    w = net.constant(np.arange(6).reshape(2, 3), np.float32, name="net/dense/MatMul")
    b = net.constant([1, -9], np.float32, name="net/dense/BiasAdd/ReadVariableOp")
    h = net.tensor((-1, 2), name="net/dense/MatMul;net/dense/BiasAdd")
    y = net.tensor((-1, 2), name="StatefulPartitionedCall:0")
    net.op("FULLY_CONNECTED", [x, w, b], [h], "FullyConnectedOptions")
    net.op("RELU", [h], [y])
    return net.out(y)


def test_names_of_tensors_and_of_a_signature() -> None:
    model = gf.tflite.load(file_of(line()))
    assert list(model.inputs) == ["serving_default_x:0"]
    assert list(model.outputs) == ["StatefulPartitionedCall:0"]
    signed = file_of(line(), signature={"inputs": {"x": 0}, "outputs": {"y": 4}})
    model = gf.tflite.load(signed)
    assert (list(model.inputs), list(model.outputs)) == (["x"], ["y"])
    got = model.run({"x": [[1.0, 2.0, 3.0]]}, backend="numpy")["y"]
    np.testing.assert_array_equal(got, [[9, 17]])


def test_nodes_keep_their_names_and_scopes() -> None:
    model = gf.tflite.load(file_of(line()))
    told = {node.op.name: (node.name, node.origin.source_name) for node in model.graph}
    assert told["matmul"] == ("net/dense/matmul", "net/dense/MatMul")
    assert told["relu"][1] == "StatefulPartitionedCall:0"


def test_weights_are_variables_on_request() -> None:
    assert not gf.tflite.load(file_of(line())).weights
    made = gf.tflite.load(file_of(line()), trainable=True).weights
    assert {name: one.shape for name, one in made.items()} == {
        "net/dense/BiasAdd/ReadVariableOp": (2,),
        "net/dense/MatMul": (2, 3),
    }


def test_inputs_and_outputs_that_share_tensors() -> None:
    net = Net()
    x = net.input((2,), name="same")
    y = net.tensor((2,), name="same")
    net.op("NEG", [x], [y])
    content = file_of(net.out(y, y, x))
    model = gf.tflite.load(content)
    assert list(model.outputs) == ["same", "same_", "same__"]
    for got, sign in zip(computed(content, [np.ones(2, np.float32)]), (-1, -1, 1)):
        np.testing.assert_array_equal(got, [sign, sign])


def test_constants_are_views_of_the_file() -> None:
    """What is not moved is not copied: a table of 8 MB takes no more memory than the file."""
    net = Net()
    table = net.constant(np.ones((2_000_000,), np.float32))
    y = net.tensor((2_000_000,))
    net.op("NEG", [table], [y])
    content = file_of(net.out(y, table))
    held = [node.attrs["value"] for node in gf.tflite.load(content).graph if node.op.name == "constant"]
    assert [one.nbytes for one in held] == [8_000_000]
    assert np.shares_memory(held[0], np.frombuffer(content, np.uint8))


def test_without_the_package_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['tflite'] = None\n"
        "import graphflow as gf\n"
        "try: gf.tflite.load(b'....TFL3')\n"
        "except gf.BackendError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install" in done.stdout and "[tflite]" in done.stdout


def test_shapes_of_inputs_that_there_are_not() -> None:
    with refused(gf.FileFormatError, "no input 'z'", "serving_default_x:0"):
        gf.tflite.load(file_of(line()), shapes={"z": (1, 3)})


@pytest.mark.parametrize(
    "arguments", [["show"], ["plan", "--size", "x_0=2"], ["explain"], ["check", "--backends", "numpy"]]
)
def test_commands_take_it_under_any_name(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(file_of(line(), signature={"inputs": {"x": 0}, "outputs": {"y": 4}}))
    command, *more = arguments
    assert main([command, str(path), *more]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out


def test_run_and_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(file_of(line(), signature={"inputs": {"x": 0}, "outputs": {"y": 4}}))
    np.savez(tmp_path / "in.npz", x=np.ones((1, 3), np.float32))
    run = ["run", str(path), "--feed", str(tmp_path / "in.npz"), "--backend", "numpy"]
    assert main(run) == 0, capsys.readouterr().err
    saved = tmp_path / "saved"
    assert main(["convert", str(path), "--to", "saved-model", "-o", str(saved)]) == 0, capsys.readouterr().err
    again = gf.saved_model.load(saved).run({"x": [[1.0, 1.0, 1.0]]}, backend="numpy")["y"]
    np.testing.assert_array_equal(again, [[4, 3]])
