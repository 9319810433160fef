"""Writing ONNX models: whole networks, control flow, sizes, files, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import graphflow as gf
from graphflow.errors import AttributeValueError, FileFormatError
from graphflow.io.onnx import export
from graphflow.ir.dtypes import as_dtype

RNG = np.random.default_rng(5)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def agree(
    model: gf.Model, feeds: dict[str, Any], opset: int = 22, tolerance: float = 1e-5
) -> onnx.ModelProto:
    """Compare the model with what onnx's evaluator, and the import, make of the export."""
    proto = gf.onnx.to_proto(model, opset)
    onnx.checker.check_model(proto, full_check=True)
    want = model.run(feeds, backend="numpy", level="O0")
    evaluated = ReferenceEvaluator(proto).run(None, feeds)
    imported = gf.onnx.load(proto).run(feeds, backend="numpy")
    assert list(imported) == list(want) == [one.name for one in proto.graph.output]
    for (name, value), reference in zip(want.items(), evaluated, strict=True):
        for got in (reference, imported[name]):
            assert got.dtype == value.dtype and got.shape == value.shape
            np.testing.assert_allclose(got, value, rtol=tolerance, atol=tolerance)
    return proto


# Networks


@pytest.mark.parametrize("opset", [17, 22, 28])
def test_a_cnn_and_its_gradients(opset: int) -> None:
    with gf.Graph():
        image, label = (
            gf.placeholder("image", ("batch", 1, 8, 8)),
            gf.placeholder("label", ("batch",), "int64"),
        )
        kernel, bias = gf.variable("kernel", (4, 1, 3, 3)), gf.variable("bias", (4, 1, 1))
        weight = gf.variable("weight", (64, 3))
        with gf.name_scope("body"):
            x = gf.nn.relu(gf.nn.conv(image, kernel, padding=1) + bias)
            x = gf.nn.max_pool(x, 2)
        logits = gf.matmul(gf.reshape(x, (-1, 64)), weight)
        loss = gf.mean(gf.sum(gf.nn.log_softmax(logits) * gf.one_hot(label, 3), axis=-1))
        slopes = gf.gradients(loss, [kernel, bias, weight])
        outputs = {"logits": logits, "loss": loss, **{f"slope{i}": one for i, one in enumerate(slopes)}}
        model = gf.Model(inputs=[image, label], outputs=outputs)
    proto = agree(model, {"image": floats(5, 1, 8, 8), "label": np.array([0, 1, 2, 1, 0])}, opset, 1e-4)
    assert "body/conv" in [node.name for node in proto.graph.node]
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert {"kernel", "bias", "weight"} <= {one.name for one in proto.graph.initializer}


def test_a_strided_grouped_convolution_and_its_gradients() -> None:
    with gf.Graph():
        x, w = gf.placeholder("x", ("n", 4, 9, 7)), gf.placeholder("w", (6, 2, 3, 2))
        y = gf.nn.conv(x, w, strides=2, padding=((1, 0), (1, 1)), groups=2)
        dx, dw = gf.gradients(gf.sum(gf.square(y)), [x, w])
        model = gf.Model(inputs=[x, w], outputs={"y": y, "dw": dw, "dx": dx})
    # onnx's evaluator runs transposed convolutions in groups wrongly, so that the import is the reference.
    feeds = {"x": floats(2, 4, 9, 7), "w": floats(6, 2, 3, 2)}
    proto = gf.onnx.to_proto(model)
    onnx.checker.check_model(proto, full_check=True)
    want, got = model.run(feeds, backend="numpy"), gf.onnx.load(proto).run(feeds, backend="numpy")
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("opset", [17, 22])
def test_a_transformer_block(opset: int) -> None:
    with gf.Graph():
        x = gf.placeholder("x", ("batch", "time", 8))
        y = x + gf.layers.multi_head_attention(gf.layers.layer_norm(x), 2, causal=True)
        y = y + gf.layers.dense(gf.nn.gelu(gf.layers.dense(gf.layers.layer_norm(y), 16)), 8)
        model = gf.Model(inputs=[x], outputs={"y": y})
    agree(model, {"x": floats(2, 5, 8)}, opset)


def test_an_lstm() -> None:
    with gf.Graph():
        x = gf.placeholder("x", ("time", 2, 3))
        w, r = gf.constant(floats(1, 16, 3)), gf.constant(floats(1, 16, 4))
        y, *_ = gf.nn.lstm(x, w, r)
        model = gf.Model(inputs=[x], outputs={"y": y})
    proto = agree(model, {"x": floats(5, 2, 3)})
    assert "Scan" in {node.op_type for node in proto.graph.node}


# Control flow


def test_branches() -> None:
    with gf.Graph():
        flag, index = gf.placeholder("flag", (), "bool"), gf.placeholder("index", (), "int32")
        x = gf.placeholder("x", ("n",))
        chosen = gf.cond(flag, lambda: x * 2.0, lambda: gf.cond(x[0] > 0.0, lambda: -x, lambda: gf.exp(x)))
        cases = gf.switch_case(index, [lambda: x, lambda: x + 1.0, lambda: x * x])
        model = gf.Model(inputs=[flag, index, x], outputs={"chosen": chosen, "cases": cases})
    for flag_value, number in ((True, -3), (False, 0), (False, 1), (True, 2), (True, 9)):
        agree(model, {"flag": np.array(flag_value), "index": np.array(number, np.int32), "x": floats(3)})


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_with_its_gradient(reverse: bool) -> None:
    with gf.Graph():
        xs, w = gf.placeholder("xs", ("t", 3)), gf.placeholder("w", (3, 3))

        def step(c: Any, x: Any) -> Any:
            made = gf.tanh(gf.matmul(c, w) + x)
            return made, gf.sum(made)

        last, rows = gf.scan(step, gf.zeros((3,)), xs, reverse=reverse)
        slope = gf.gradients(gf.sum(last) + gf.sum(rows), [w])[0]
        model = gf.Model(inputs=[xs, w], outputs={"last": last, "rows": rows, "slope": slope})
    agree(model, {"xs": floats(4, 3), "w": floats(3, 3)})


def test_loops() -> None:
    with gf.Graph():
        x = gf.placeholder("x", (2,))
        grown = gf.while_loop(lambda c: gf.sum(c * c) < 50.0, lambda c: c * 1.5, x)
        few = gf.while_loop(lambda c: gf.sum(c * c) < 50.0, lambda c: c * 1.5, x, max_steps=2)
        counted = gf.fori_loop(0, 3, lambda i, c: c + gf.astype(i, "float32"), x)
        model = gf.Model(inputs=[x], outputs={"grown": grown, "few": few, "counted": counted})
    agree(model, {"x": np.array([1, -0.5], np.float32)})
    agree(model, {"x": np.array([100, 0], np.float32)})


# Sizes and types


def test_sizes_are_computed_from_the_inputs() -> None:
    with gf.Graph():
        x, n = gf.placeholder("x", ("a", "b", 4)), gf.placeholder("n", (), "int64")
        a, b = x.shape[0], x.shape[1]
        outputs = {
            "flat": gf.reshape(x, (a * b * 2, 2)),
            "half": gf.broadcast_to(gf.sum(x), (a // 2 + 1, b % 3)),
            "mean": gf.mean(x, axis=(0, 1)),
            "range": gf.arange(a) * 2,
            "fed": gf.broadcast_to(gf.max(x), (n, 2)),
            "padded": gf.pad(x, ((0, 0), (1, 2), (0, 0))),
        }
        model = gf.Model(inputs=[x, n], outputs=outputs)
    agree(model, {"x": floats(3, 5, 4), "n": np.array(3)})
    agree(model, {"x": floats(6, 4, 4), "n": np.array(0)})


def test_found_sizes_are_those_of_results() -> None:
    with gf.Graph():
        x = gf.placeholder("x", ("n",))
        places = gf.argwhere(x > 0.0)
        model = gf.Model(inputs=[x], outputs={"places": places, "ones": gf.ones((places.shape[0], 2))})
    agree(model, {"x": np.array([1, -1, 2, 0], np.float32)})


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4"])
def test_narrow_types_are_stored_as_they_are(dtype: str) -> None:
    weights = np.arange(-3, 3).clip(0 if dtype == "uint4" else -3).astype(as_dtype(dtype).numpy)
    with gf.Graph():
        x = gf.placeholder("x", (6,))
        model = gf.Model(inputs=[x], outputs={"y": x * gf.astype(gf.constant(weights), "float32")})
    agree(model, {"x": floats(6)}, tolerance=0)


def test_a_type_that_an_operator_does_not_take_is_widened() -> None:
    with gf.Graph():
        x = gf.placeholder("x", (3,), "bfloat16")
        model = gf.Model(inputs=[x], outputs={"y": gf.sin(x)})
    old, new = gf.onnx.to_proto(model, 17), gf.onnx.to_proto(model, 22)
    assert [node.op_type for node in old.graph.node] == ["Cast", "Sin", "Cast"]
    assert [node.op_type for node in new.graph.node] == ["Sin"]
    onnx.checker.check_model(old, full_check=True)


# Operators of users


def test_an_operator_of_a_user() -> None:
    with gf.Graph():
        custom = gf.op(name="test_export_scaled", infer=lambda types, attrs: [types[0]])(
            lambda x, /, by=2.0: x * by
        )
        custom.onnx("Scaled", domain="com.example", since_version=3, attributes={"by": "factor"})
        x = gf.placeholder("x", (3,))
        model = gf.Model(inputs=[x], outputs={"y": custom(x, by=3.0)})
    proto = gf.onnx.to_proto(model)
    custom.forget()
    (node,) = proto.graph.node
    assert (node.op_type, node.domain, node.attribute[0].name, node.attribute[0].f) == (
        "Scaled",
        "com.example",
        "factor",
        3.0,
    )
    assert {one.domain: one.version for one in proto.opset_import} == {"": 22, "com.example": 3}


# Files


def test_data_beside_the_file(tmp_path: Path) -> None:
    with gf.Graph():
        x = gf.placeholder("x", ("n", 300))
        small = gf.constant(np.arange(6).reshape(2, 3).astype(ml_dtypes.int4))
        y = gf.matmul(x, gf.constant(floats(300, 3))) + gf.astype(small, "float32")[0]
        model = gf.Model(inputs=[x], outputs={"y": y})
    path = tmp_path / "net.onnx"
    gf.onnx.save(model, path, external=True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    onnx.checker.check_model(str(path), full_check=True)
    assert path.stat().st_size < 3600 <= (tmp_path / "net.onnx.data").stat().st_size
    feeds = {"x": floats(2, 300)}
    want = model.run(feeds, backend="numpy")["y"]
    np.testing.assert_array_equal(gf.onnx.load(path).run(feeds, backend="numpy")["y"], want)
    np.testing.assert_allclose(ReferenceEvaluator(str(path)).run(None, feeds)[0], want, rtol=1e-5)


@pytest.mark.parametrize(("most", "files"), [(4000, ["net.onnx"]), (3000, ["net.onnx", "net.onnx.data"])])
def test_what_is_too_large_for_one_file_takes_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, files: list[str]
) -> None:
    monkeypatch.setattr(export, "LARGEST_INSIDE", most)
    x = gf.placeholder("x", (900,))
    gf.onnx.save(gf.Model(inputs=[x], outputs={"y": x * gf.constant(floats(900))}), tmp_path / "net.onnx")
    assert sorted(one.name for one in tmp_path.iterdir()) == files


def test_a_session_gives_the_weights(tmp_path: Path) -> None:
    with gf.Graph() as graph:
        x, w = gf.placeholder("x", (2,)), gf.variable("w", (2,))
        y = x * w
    with gf.Session(graph, backend="numpy") as session:
        session.variables["w"] = np.array([3.0, 4.0], np.float32)
        gf.onnx.save(gf.Model(inputs=[x], outputs={"y": y}, session=session), tmp_path / "net.onnx")
    (weights,) = onnx.load(tmp_path / "net.onnx").graph.initializer
    assert weights.name == "w" and onnx.numpy_helper.to_array(weights).tolist() == [3, 4]


def test_outputs_that_are_inputs_constants_or_the_same() -> None:
    with gf.Graph():
        x = gf.placeholder("x", (2,))
        y = gf.exp(x)
        outputs = {"same": x, "one": gf.constant(1.0), "first": y, "second": y, "exp": x + 1.0}
        model = gf.Model(inputs={"y": x}, outputs=outputs)
    agree(model, {"y": floats(2)})


def test_dropout_is_off() -> None:
    with gf.Graph():
        x = gf.placeholder("x", (2,))
        model = gf.Model(inputs=[x], outputs={"y": gf.nn.dropout(x, 0.5) * 2.0})
    assert [node.op_type for node in agree(model, {"x": floats(2)}).graph.node] == ["Mul"]


# What is refused


def test_all_that_cannot_be_said_is_listed(tmp_path: Path) -> None:
    with gf.Graph():
        x = gf.placeholder("x", (2, 2))
        y = gf.linalg.inv(x) + gf.random.normal((2, 2))
        model = gf.Model(
            inputs=[x],
            outputs={"y": gf.linalg.cholesky(gf.cond(x[0, 0] > 0.0, lambda: y, lambda: gf.linalg.inv(y)))},
        )
    with pytest.raises(FileFormatError) as told:
        gf.onnx.save(model, tmp_path / "net.onnx")
    said = str(told.value)
    assert said.count("ONNX has no such operator") == 3 and "test_export.py" in said
    assert "inv 'inv'" in said and "cholesky" in said and "feed what is drawn" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("opset", [16, 29, True, "22", None])
def test_an_opset_that_is_not_written(opset: Any) -> None:
    x = gf.placeholder("x", (2,))
    with pytest.raises(AttributeValueError, match="not written for opset"):
        gf.onnx.to_proto(gf.Model(inputs=[x], outputs=[gf.exp(x)]), opset)


def test_what_is_no_model() -> None:
    with pytest.raises(FileFormatError, match="is no Model"):
        gf.onnx.to_proto(gf.placeholder("x", (2,)))


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    x = gf.placeholder("x", (2,))
    with pytest.raises(FileFormatError, match="cannot be written"):
        gf.onnx.save(gf.Model(inputs=[x], outputs=[gf.exp(x)]), tmp_path / "no" / "net.onnx")
