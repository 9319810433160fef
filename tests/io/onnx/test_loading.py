"""gf.onnx.load: what becomes of inputs, weights, names and control flow, against onnx's own evaluator."""

from __future__ import annotations

import mmap
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

import graphflow as gf
from graphflow.ir.traversal import ancestors

HEAD = '<ir_version: 10, opset_import: ["": 22]> '


def model(text: str) -> onnx.ModelProto:
    made = parser.parse_model(HEAD + text)
    for node in made.graph.node:
        node.name = "/block/act/Relu" if node.op_type == "Relu" else ""
    return made


def same(proto: onnx.ModelProto, feeds: dict[str, Any], **options: Any) -> dict[str, np.ndarray]:
    """The outputs, once they are those of onnx's evaluator."""
    made = gf.onnx.load(proto, **options).run(feeds, backend="numpy")
    evaluated = ReferenceEvaluator(proto).run(None, {**feeds, **options.get("values", {})})
    for name, expected in zip(made, evaluated, strict=True):
        assert made[name].dtype == expected.dtype and made[name].shape == expected.shape
        np.testing.assert_allclose(made[name], expected, rtol=1e-6)
    return made


MLP = "mlp (float[n, 3] x) => (float[n, 2] y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}, float[2] b = {1, -9}>" + (
    "{ h = Gemm(x, w, b) y = Relu(h) }"
)


def test_sizes_are_symbols_and_nodes_keep_their_names() -> None:
    made = gf.onnx.load(model(MLP))
    assert str(made.inputs["x"].type) == "float32[n, 3]"
    relu = made.outputs["y"].node
    assert relu.name == "block/act/relu" and relu.origin is not None
    assert relu.origin.source_name == "/block/act/Relu"
    assert relu.origin.file == __file__
    assert {node.origin.source_name for node in ancestors([made.outputs["y"]]) if node.origin} >= {
        "w",
        "b",
        "h",
    }
    same(model(MLP), {"x": np.float32([[1, 2, 3], [0, 0, 0]])})


def test_weights_are_variables_on_request() -> None:
    text = (
        "net (float[2, 3, 4] x) => (float[2, 3, 4] y) <float[3] s = {1, 2, 3}, float[3] o = {0, 1, 0},"
        "float[3] m = {0, 0, 1}, float[3] v = {1, 2, 1}, float k = {2}> {"
        " n = BatchNormalization(x, s, o, m, v) y = Mul(n, k) }"
    )
    made = gf.onnx.load(model(text), trainable=True)
    trained = {name: tensor.node.attrs["trainable"] for name, tensor in made.graph.variables.items()}
    assert trained == {"s": True, "o": True, "m": False, "v": False}
    assert gf.onnx.load(model(text)).weights == {}
    same(model(text), {"x": np.arange(24, dtype=np.float32).reshape(2, 3, 4)}, trainable=True)


def test_initializers_that_are_inputs_too_are_no_inputs() -> None:
    proto = model(MLP)
    proto.graph.input.append(helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [3, 2]))
    made = gf.onnx.load(proto)
    assert list(made.inputs) == ["x"]
    other = gf.onnx.load(proto, values={"w": np.zeros((3, 2), np.float32)})
    assert other.run({"x": np.ones((1, 3))}, backend="numpy")["y"].tolist() == [[1.0, 0.0]]


def test_names_that_nodes_cannot_have_stay_those_of_the_model() -> None:
    proto = model("net (float[2] x, float[2] z) => (float[2] y) { y = Add(x, z) }")
    names = {"x": "in put:0", "z": "in.put:0", "y": "/out/"}
    for entry in [*proto.graph.input, *proto.graph.output]:
        entry.name = names[entry.name]
    node = proto.graph.node[0]
    node.input[:], node.output[:] = [names["x"], names["z"]], [names["y"]]
    made = gf.onnx.load(proto)
    assert list(made.inputs) == [names["x"], names["z"]]
    assert made.run({names["x"]: [1, 2], names["z"]: [3, 4]}, backend="numpy")["/out/"].tolist() == [4, 6]


def test_fed_shapes_are_fed_sizes() -> None:
    proto = model("net (float[n] x, int64[2] s) => (float[a, b] y) { y = Reshape(x, s) }")
    made = gf.onnx.load(proto)
    for shape in ([2, 3], [3, 2], [6, 1]):
        assert made.run({"x": np.ones(6), "s": shape}, backend="numpy")["y"].shape == tuple(shape)


SLICE = "net (float[6] x, int64[1] step) => (float[n] y) <int64[1] a = {0}, int64[1] e = {6}>" + (
    "{ axis = Constant<value_ints = [0]>() y = Slice(x, a, e, axis, step) }"
)


def test_values_that_decide_the_graph_are_asked_for() -> None:
    with pytest.raises(gf.ShapeError, match="step") as caught:
        gf.onnx.load(model(SLICE))
    assert "values={'step': ...}" in str(caught.value)
    same(model(SLICE), {"x": np.arange(6, dtype=np.float32)}, values={"step": np.array([2])})


LOOPS = """net (float[3] x, bool go, int64 n)
=> (float[3] a, float[3] b, float[3] c, float[4, 3] d, float[k] e)
<int64 four = {4}, int64 three = {3}> {
  a = If (go) <then_branch: graph = t () => (float[3] p) {p = Exp(x)},
    else_branch: graph = f () => (float[3] q) {q = Neg(x)}>
  c, d = Loop (four, "", x) <body: graph = l (int64 i, bool g, float[3] s) => (bool h, float[3] u, float[3] v)
    {h = Identity(g) u = Add(s, x) v = Mul(u, s)}>
  b = Loop (n, "", x) <body: graph = m (int64 i, bool g, float[3] s) => (bool h, float[3] u)
    {h = Less(i, three) u = Add(s, s)}>
  e = Loop (three, "", x) <body: graph = w (int64 i, bool g, float[k] s) => (bool h, float[k] u)
    {h = Identity(g) u = Concat<axis = 0>(s, x)}>
}"""


@pytest.mark.parametrize(("go", "count"), [(True, 2), (False, 9)])
def test_branches_and_loops(go: bool, count: int) -> None:
    """Fed choices, counted loops, loops with a condition, and a loop that is laid out as its carry grows."""
    x = np.float32([1, -2, 3])
    made = gf.onnx.load(model(LOOPS)).run({"x": x, "go": np.array(go), "n": np.array(count)}, backend="numpy")
    np.testing.assert_allclose(made["a"], np.exp(x) if go else -x, rtol=1e-6)
    assert made["b"].tolist() == (x * 2 ** min(count, 4)).tolist()
    assert made["c"].tolist() == (5 * x).tolist()
    assert made["d"].tolist() == [((step + 2) * (step + 1) * x * x).tolist() for step in range(4)]
    assert made["e"].tolist() == np.tile(x, 4).tolist()
    found = {node.op.name for node in gf.onnx.load(model(LOOPS)).graph.nodes}
    assert {"switch_case", "scan", "while_loop"} <= found


def test_functions_of_the_model() -> None:
    proto = parser.parse_model(
        '<ir_version: 10, opset_import: ["": 22, "me": 1]> net (float[3] x) => (float[3] y) {'
        " y = me.twice <factor = 3.0> (x) }"
        '<domain: "me", opset_import: ["": 22, "me": 1]> twice <factor> (a) => (c)'
        "{ b = me.once <factor: float = @factor> (a) c = me.once <factor: float = @factor> (b) }"
        '<domain: "me", opset_import: ["": 22]> once <factor> (a) => (b)'
        "{ f = Constant <value_float: float = @factor> () b = Mul(a, f) }"
    )
    assert gf.onnx.load(proto).run({"x": [1, 2, 3]}, backend="numpy")["y"].tolist() == [9, 18, 27]


@pytest.mark.parametrize("opset", [1, 5, 6, 9, 11, 13, 18, 28])
def test_old_opsets(opset: int) -> None:
    """Attributes that became inputs, broadcasting by an axis, and a softmax of all axes from one on."""
    nodes = [helper.make_node("Softmax", ["x"], ["s"], axis=1)]
    inside: list[onnx.TensorProto] = [helper.make_tensor("b", onnx.TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])]
    if opset < 7:
        nodes.append(helper.make_node("Add", ["s", "b"], ["y"], broadcast=1, axis=1))
        bias = np.float32([1, 2, 3])[:, None]
    else:
        nodes.append(helper.make_node("Add", ["s", "b"], ["y"]))
        bias = np.float32([1, 2, 3])
    x = np.arange(18, dtype=np.float32).reshape(2, 3, 3) / 10
    entry = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)
    out = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, x.shape)
    graph = helper.make_graph(nodes, "g", [entry], [out], inside)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    flat = np.exp(x.reshape(2, 9) if opset < 13 else x)
    expected = (flat / flat.sum(1, keepdims=True)).reshape(x.shape) + bias
    found = gf.onnx.load(proto).run({"x": x}, backend="numpy")["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def owner(array: np.ndarray) -> object:
    """What the memory of an array belongs to."""
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    return base


def test_data_beside_the_model_is_mapped(tmp_path: Path) -> None:
    proto = model(MLP)
    for tensor in proto.graph.initializer:  # only raw data can be moved out
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    onnx.save(proto, tmp_path / "net.onnx", save_as_external_data=True, size_threshold=0, location="net.data")
    made = gf.onnx.load(tmp_path / "net.onnx")
    weights = [node.attrs["value"] for node in made.graph.nodes if node.op.name == "constant"]
    assert sorted(array.shape for array in weights) == [(2,), (3, 2)]
    assert all(isinstance(owner(array), mmap.mmap) for array in weights)
    expected = gf.onnx.load(model(MLP)).run({"x": np.eye(3)}, backend="numpy")
    np.testing.assert_array_equal(made.run({"x": np.eye(3)}, backend="numpy")["y"], expected["y"])


def test_importing_the_package_does_not_import_onnx() -> None:
    told = "import sys, graphflow; print(sorted({'onnx', 'google.protobuf'} & set(sys.modules)))"
    made = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"
