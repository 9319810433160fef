"""Files that are damaged or hostile end in a GraphFlowError that says what is wrong."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, parser

import graphflow as gf
from tests.bad_input.refusal import refused
from tests.io.onnx import fuzz

HEAD = '<ir_version: 10, opset_import: ["": 22]> '
NET = HEAD + "net (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { h = Add(x, w) y = Relu(h) }"


def net() -> onnx.ModelProto:
    return parser.parse_model(NET)


def test_what_is_no_model(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    for content in (b"", b"\x08\x0a", b"hello, this is text", net().SerializeToString()[:-7]):
        file.write_bytes(content)
        with refused(gf.FileFormatError, "no ONNX model"):
            gf.onnx.load(file)
    with refused(gf.FileFormatError, "cannot be read"):
        gf.onnx.load(tmp_path / "none.onnx")
    with refused(gf.FileFormatError, "no ONNX model"):
        gf.onnx.load(17)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "", "no/such", "link", "a\0b"])
def test_data_outside_of_the_folder_is_not_read(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(b"\0" * 8)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    proto = net()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "net.onnx").write_bytes(proto.SerializeToString())
    with refused(gf.FileFormatError, "which is no file in the folder"):
        gf.onnx.load(folder / "net.onnx")
    with refused(gf.FileFormatError, "has no folder"):
        gf.onnx.load(proto)


def test_sizes_that_cannot_be() -> None:
    for dims in ([2**40, 2**20], [-1], [3], []):
        proto = net()
        proto.graph.initializer[0].dims[:] = dims
        with refused(gf.FileFormatError, "'w'"):
            gf.onnx.load(proto)


def test_circles_and_names_used_twice() -> None:
    circle = net()
    circle.graph.node[0].input[1] = "y"
    with refused(gf.FileFormatError, "nothing before defines it"):
        gf.onnx.load(circle)
    twice = net()
    twice.graph.node[1].output[0] = "h"
    with refused(gf.FileFormatError, "defined twice"):
        gf.onnx.load(twice)
    same = net()
    same.graph.input.append(same.graph.input[0])
    with refused(gf.FileFormatError, "there twice"):
        gf.onnx.load(same)


def test_opsets_that_are_not_known() -> None:
    proto = net()
    proto.opset_import[0].version = 99
    with refused(gf.FileFormatError, "opset 99", "1 to 28"):
        gf.onnx.load(proto)


def test_all_that_is_not_supported_is_told_at_once() -> None:
    proto = net()
    proto.opset_import.append(helper.make_opsetid("me", 4))
    proto.graph.node[0].domain, proto.graph.node[0].op_type = "me", "Odd"
    proto.graph.node[1].op_type, proto.graph.node[1].name = "NoSuch", "last"
    with refused(gf.FileFormatError, "Odd of me 4: 'h'", "NoSuch of ai.onnx 22: 'last'"):
        gf.onnx.load(proto)


def test_functions_that_call_themselves() -> None:
    text = (
        '<ir_version: 10, opset_import: ["": 22, "me": 1]> net (float[3] x) => (float[3] y) { y = me.f(x) }'
        '<domain: "me", opset_import: ["": 22, "me": 1]> f (a) => (b) { b = me.f(a) }'
    )
    with refused(gf.FileFormatError, "graphs deep"):
        gf.onnx.load(parser.parse_model(text))


def test_a_node_that_fails_is_named() -> None:
    proto = parser.parse_model(HEAD + "net (float[2, 3] x) => (float[2, 2] y) { [first] y = MatMul(x, x) }")
    with refused(gf.ShapeError, "MatMul 'first'"):
        gf.onnx.load(proto)


def test_damaged_files_end_in_errors() -> None:
    """`make fuzz-onnx` loads 20,000 of them."""
    rng, models = random.Random(1), fuzz.seeds()
    assert [fuzz.outcome(content) for content in models] == ["loaded"] * len(models)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {fuzz.outcome(fuzz.mutated(rng.choice(models), rng)) for _ in range(600)}
    assert {"loaded", "FileFormatError", "ShapeError"} <= found
