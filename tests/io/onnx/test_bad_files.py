"""Files that are damaged or hostile end in a GraphFlowError that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, parser

import graphflow as gf
from tests.bad_input.refusal import refused
from tests.io import fuzzing
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


def test_the_way_out_is_told_by_domain() -> None:
    proto = net()
    with refused(gf.FileFormatError, "not supported"):
        proto.graph.node[0].op_type = "NoSuch"
        gf.onnx.load(proto)
    for domain, op, way in (
        ("com.microsoft", "BeamSearch", "without its loop"),
        ("me", "Odd", "make_function"),
    ):
        proto.opset_import.append(helper.make_opsetid(domain, 1))
        proto.graph.node[0].domain, proto.graph.node[0].op_type = domain, op
        with pytest.raises(gf.FileFormatError, match=f"{op} of {domain} 1") as caught:
            gf.onnx.load(proto)
        assert way in caught.value.hint


def test_a_sequence_where_sizes_are_wanted() -> None:
    text = "net (float[4] x) => (float[2] y) { s = SplitToSequence(x) t = SplitToSequence(x, s) y = Relu(t) }"
    with refused(gf.FileFormatError, "cannot take a sequence"):
        gf.onnx.load(parser.parse_model(HEAD + text))


@pytest.mark.parametrize("count", [2**40, 1, 0, -1])
def test_a_split_into_a_number_of_parts_that_cannot_be(count: int) -> None:
    text = "net (float[4] x) => (float[2] y) { y, z = Split <num_outputs: int = 2> (x) }"
    proto = parser.parse_model(HEAD + text)
    proto.graph.node[0].attribute[0].i = count
    with refused(gf.FileFormatError, "has 2 outputs, but num_outputs"):
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
    models = fuzz.seeds()
    assert [fuzzing.outcome(gf.onnx.load, content) for content in models] == ["loaded"] * len(models)
    found = fuzzing.outcomes(gf.onnx.load, models, fuzz.mutated, seed=1, count=600)
    assert {"loaded", "FileFormatError", "ShapeError"} <= set(found)
