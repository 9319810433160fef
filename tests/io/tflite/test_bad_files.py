"""Files that are damaged or hostile end in a GraphFlowError that says what is wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.io.tflite import importer
from tests.bad_input.refusal import refused
from tests.io import fuzzing
from tests.io.tflite import fuzz
from tests.io.tflite.build import Net, Writer, file_of
from tests.io.tflite.test_control import branch


def small(**how: object) -> Net:
    """y = x + c."""
    net = Net()
    x, c = net.input((2,)), net.constant([1, 2], np.float32)
    y = net.tensor((2,))
    net.op("ADD", [x, c], [y], "AddOptions", **how)
    return net.out(y)


def test_what_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "net.tflite"
    for content in (b"", b"\x1c\0\0\0TFL2", b"hello, this is text", file_of(small())[:6]):
        file.write_bytes(content)
        with refused(gf.FileFormatError, "no TensorFlow Lite model"):
            gf.tflite.load(file)
    with refused(gf.FileFormatError, "cannot be read"):
        gf.tflite.load(tmp_path / "none.tflite")
    with refused(gf.FileFormatError, "no TensorFlow Lite model"):
        gf.tflite.load(17)


def test_every_place_where_it_may_be_cut_off() -> None:
    content = file_of(small())
    for end in range(8, len(content) - 8, 3):
        try:
            gf.tflite.load(content[:end])
        except gf.GraphFlowError:
            continue
        raise AssertionError(f"loaded from {end} of {len(content)} bytes")


def test_all_that_is_not_supported_is_told_at_once() -> None:
    net = small()
    odd, last = net.tensor((2,)), net.tensor((2,))
    net.op("CUSTOM", [net.outputs[0]], [odd], custom="TFLite_Detection_PostProcess", version=2)
    net.op("SVDF", [odd], [last], version=3)
    content = file_of(net.out(last))
    told = ["CUSTOM 'TFLite_Detection_PostProcess' version 2: operator 1", "SVDF version 3: operator 2"]
    assert gf.tflite.unsupported(content) == told
    with refused(gf.FileFormatError, *told):
        gf.tflite.load(content)


def test_operators_of_a_newer_schema() -> None:
    net = small()
    net.operators[0]["code"] = 4000
    with refused(gf.FileFormatError, "the builtin operator 4000 version 1: operator 0"):
        gf.tflite.load(file_of(net))


def test_subgraphs_that_call_themselves_or_one_another_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    x, y = net.input((3,)), net.tensor((3,))
    net.op("CALL", [x], [y], "CallOptions", Subgraph=0)
    with refused(gf.FileFormatError, "subgraph 0 calls itself"):
        gf.tflite.load(file_of(net.out(y)))
    nets = []
    for level in range(40):
        net = Net()
        x, h, y = net.input((3,)), net.tensor((3,)), net.tensor((3,))
        net.op("CALL", [x], [h], "CallOptions", Subgraph=level + 1)
        net.op("CALL", [h], [y], "CallOptions", Subgraph=level + 1)
        nets.append(net.out(y))
    with refused(gf.FileFormatError, "lies more than 32 graphs deep"):
        gf.tflite.load(file_of(*nets, branch("ADD", 1.0)))
    with monkeypatch.context() as patched, refused(gf.FileFormatError, "too often"):
        patched.setattr(importer, "MORE_OPERATORS", 2000)
        gf.tflite.load(file_of(*nets[:20], branch("ADD", 1.0)))


def test_circles_and_tensors_written_twice() -> None:
    net = small()
    net.operators[0]["inputs"][1] = net.outputs[0]
    with refused(gf.FileFormatError, "nothing before makes it"):
        gf.tflite.load(file_of(net))
    net = small()
    net.op("NEG", [net.inputs[0]], net.outputs)
    with refused(gf.FileFormatError, "written twice"):
        gf.tflite.load(file_of(net))


@pytest.mark.parametrize("shape", [(2**31 - 1, 2**31 - 1), (3,), (), (-5,)])
def test_sizes_that_cannot_be(shape: tuple[int, ...]) -> None:
    net = small()
    net.tensors[1]["shape"] = list(shape)
    with refused(gf.FileFormatError, "takes"):
        gf.tflite.load(file_of(net))


def test_inputs_of_any_size_take_no_memory() -> None:
    net = Net()
    x, y = net.input((2**31 - 1, 2**31 - 1)), net.tensor((1,))
    net.op("NEG", [x], [y])
    assert gf.tflite.load(file_of(net.out(y))).outputs["t1"].shape == (2**31 - 1, 2**31 - 1)


def test_places_outside_of_the_file() -> None:
    net = small()
    net.operators[0]["inputs"][0] = 99
    with refused(gf.FileFormatError, "tensor 99 of 3"):
        gf.tflite.load(file_of(net))
    writer = Writer()
    content = bytearray(writer.file([small()]))
    data = np.array([1, 2], np.float32).tobytes()
    at = bytes(content).index(data) - 4
    struct.pack_into("<I", content, at, 0x7FFFFFF0)
    with refused(gf.FileFormatError, "Data is to have 2147483632 elements"):
        gf.tflite.load(bytes(content))


def test_tables_that_stand_in_many_places() -> None:
    """4,000 subgraphs that are one, of 4,000 operators that are one, in a file of 32 KB."""
    writer = Writer()
    net = small()
    operator = writer.operator(net.operators[0])
    writer.operator = lambda one: operator
    net.operators *= 4000
    graph = writer.net(net)
    writer.net = lambda one: graph
    content = writer.file([net] * 4000)
    assert len(content) < 40_000
    with refused(gf.FileFormatError, "too often"):
        gf.tflite.load(content)


def test_constants_that_share_their_bytes() -> None:
    """A megabyte that 500 convolutions have as their kernels, each with a tensor of its own."""
    net = Net()
    x = net.input((1, 4, 4, 512))
    data = np.zeros((512, 1, 1, 512), np.float32)
    for _ in range(500):
        w, y = net.constant(data), net.tensor((1, 4, 4, 512))
        net.op("CONV_2D", [x, w, -1], [y], "Conv2DOptions", StrideH=1, StrideW=1)
    writer = Writer()
    writer.share = True
    with refused(gf.FileFormatError, "share their bytes too often", "operator"):
        gf.tflite.load(writer.file([net.out(y)]))


def test_options_of_another_operator() -> None:
    net = Net()
    x, y = net.input((1, 4, 4, 2)), net.tensor((1,))
    net.op("SPACE_TO_DEPTH", [x], [y], "AddOptions")
    with refused(gf.FileFormatError, "AddOptions, which have no BlockSize"):
        gf.tflite.load(file_of(net.out(y)))


@pytest.mark.parametrize(("scale", "told"), [(0.0, "no positive number"), (np.nan, "no positive number")])
def test_scales_that_cannot_be(scale: float, told: str) -> None:
    net = Net()
    x, y = net.input((2,), "int8", scale=scale), net.tensor((2,))
    net.op("DEQUANTIZE", [x], [y])
    with refused(gf.FileFormatError, told):
        gf.tflite.load(file_of(net.out(y)))


def test_activations_and_paddings_that_there_are_not() -> None:
    with refused(gf.FileFormatError, "unknown activation 77", "operator 0 (ADD)"):
        gf.tflite.load(file_of(small(FusedActivationFunction=77)))


def test_text_is_not_supported() -> None:
    net = small()
    net.tensors[0]["kind"] = 5
    with refused(gf.DTypeError, "text"):
        gf.tflite.load(file_of(net))


def test_damaged_files_end_in_errors() -> None:
    """`make fuzz-tflite` loads 20,000 of them."""
    models = fuzz.seeds()
    assert [fuzzing.outcome(gf.tflite.load, content) for content in models] == ["loaded"] * len(models)
    found = fuzzing.outcomes(gf.tflite.load, models, fuzz.mutated, seed=1, count=500)
    assert {"loaded", "FileFormatError"} < set(found)
