"""Operators of com.microsoft against onnxruntime, whose they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import graphflow as gf
from graphflow.errors import GraphFlowError
from graphflow.io.onnx.import_contrib import NAMES
from tests.io.onnx.contrib_cases import Case, byte, cases, normal, number, whole
from tests.io.onnx.numerics.comparing import distance, expected

CASES = {
    f"{case.op}-{place}": case
    for op in dict.fromkeys(case.op for case in cases())
    for place, case in enumerate(one for one in cases() if one.op == op)
}
WITHOUT_KERNEL = {"BiasSoftmax", "FusedMatMulActivation", "NhwcConv", "NhwcFusedConv"}
"""Of which onnxruntime has no form for CPUs."""

Arrays = dict[str, np.ndarray]


def check(made: Arrays, wanted: Arrays, case: Case) -> None:
    assert list(made) == list(wanted)
    for name, value in made.items():
        if value.dtype.kind in "iu" and case.steps:
            assert value.dtype == wanted[name].dtype and value.shape == wanted[name].shape
            apart = np.abs(value.astype(np.int64) - wanted[name])
            assert apart.max(initial=0) <= case.steps and (apart != 0).mean() < 0.1, name
        elif value.size:
            assert distance(value, wanted[name]) < case.close, name
        else:
            assert value.shape == wanted[name].shape and value.dtype == wanted[name].dtype


def run(op: str, *inputs: Any, outputs: tuple[str, ...] = ("y",), **attributes: Any) -> Arrays:
    case = Case(op, inputs, attributes, outputs)
    return gf.onnx.load(case.model()).run(case.feeds(), backend="numpy")


def test_every_operator_is_here() -> None:
    assert {case.op for case in CASES.values()} | WITHOUT_KERNEL == {*NAMES, "SimplifiedLayerNormalization"}


@pytest.mark.parametrize("name", CASES)
def test_as_onnxruntime(name: str) -> None:
    case = CASES[name]
    wanted = expected(case.model(), case.feeds())
    model = gf.onnx.load(case.model())
    for level in ("O0", "O2"):
        check(model.run(case.feeds(), backend="numpy", level=level), wanted, case)


def test_two_of_each_on_jax() -> None:
    """As one model, which is compiled once."""
    last = {case.op: name for name, case in CASES.items()}
    chosen = [name for name, case in CASES.items() if name.endswith("-0") or last[case.op] == name]
    models = {name: CASES[name].model(f"{name}.") for name in chosen}
    whole_model = onnx.ModelProto()
    whole_model.CopyFrom(next(iter(models.values())))
    for one in list(models.values())[1:]:
        for field in ("node", "initializer", "input", "output"):
            getattr(whole_model.graph, field).extend(getattr(one.graph, field))
    feeds = {key: value for name in chosen for key, value in CASES[name].feeds(f"{name}.").items()}
    made = gf.onnx.load(whole_model).run(feeds, backend="jax")
    for name in chosen:
        case = CASES[name]
        wanted = expected(case.model(), case.feeds())
        check({key: made[f"{name}.{key}"] for key in wanted}, wanted, case)


BATCH = {0: {0: "batch", 1: "time"}}


@pytest.mark.parametrize(
    "case",
    [
        Case(
            "Attention",
            (normal(2, 5, 8), normal(8, 24), normal(24), np.int32([[1, 1, 1, 1, 0]] * 2)),
            {"num_heads": 2, "unidirectional": 1},
            axes={**BATCH, 3: {0: "batch", 1: "time"}},
        ),
        Case(
            "Attention",
            (normal(2, 5, 8), normal(8, 24), normal(24), np.int32([5, 0])),
            {"num_heads": 2},
            axes={**BATCH, 3: {0: "batch"}},
        ),
        Case(
            "MultiHeadAttention",
            (normal(2, 3, 8), normal(2, 5, 8), normal(2, 5, 8), normal(24), np.int32([5, 2])),
            {"num_heads": 2},
            axes={**BATCH, 1: {0: "batch", 1: "keys"}, 2: {0: "batch", 1: "keys"}, 4: {0: "batch"}},
        ),
        Case(
            "MultiHeadAttention",
            (
                normal(2, 1, 8),
                normal(2, 1, 8),
                normal(2, 1, 8),
                None,
                None,
                None,
                normal(2, 2, 6, 4),
                normal(2, 2, 6, 4, seed=1),
            ),
            {"num_heads": 2},
            ("y", "keys", "values"),
            axes={**BATCH, 6: {0: "batch", 2: "past"}, 7: {0: "batch", 2: "past"}},
        ),
        Case("RotaryEmbedding", (normal(2, 3, 8), np.int64([1]), normal(6, 2), normal(6, 2)), axes=BATCH),
        Case(
            "EmbedLayerNormalization",
            (
                whole(2, 4, high=9, dtype=np.int32),
                None,
                normal(9, 8),
                normal(6, 8),
                None,
                normal(8),
                normal(8),
            ),
            {},
            ("y", "kept"),
            axes=BATCH,
        ),
        Case("DynamicQuantizeMatMul", (normal(2, 3, 8), whole(8, 4), number(0.1)), axes=BATCH),
        Case(
            "QLinearGlobalAveragePool",
            (whole(2, 3, 4, 5), number(0.1), byte(3), number(0.05), byte(9)),
            steps=1,
            axes={0: {0: "batch", 2: "height"}},
        ),
    ],
    ids=lambda case: case.op,
)
def test_sizes_that_are_not_known(case: Case) -> None:
    wanted = expected(case.model(), case.feeds())
    model = gf.onnx.load(case.model())
    check(model.run(case.feeds(), backend="numpy"), wanted, case)


def test_packed_queries_keys_and_values() -> None:
    """onnxruntime has them on GPUs alone; they are what the plain form says."""
    packed, query = normal(2, 5, 2, 3, 4), normal(2, 3, 8)
    q, k, v = (packed[:, :, :, place].reshape(2, 5, 8) for place in range(3))
    (made,) = run("MultiHeadAttention", packed, num_heads=2).values()
    (wanted,) = run("MultiHeadAttention", q, k, v, num_heads=2).values()
    np.testing.assert_array_equal(made, wanted)
    (made,) = run("MultiHeadAttention", query, packed[:, :, :, 1:], num_heads=2).values()
    (wanted,) = run("MultiHeadAttention", query, k, v, num_heads=2).values()
    np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize("op", ["NhwcConv", "NhwcFusedConv"])
def test_images_with_channels_last(op: str) -> None:
    image, kernel, bias = normal(1, 4, 6, 5), normal(6, 2, 3, 2), normal(6)
    geometry = {"group": 2, "pads": [1, 0, 1, 1], "strides": [2, 1], "kernel_shape": [3, 2]}
    plain = Case("FusedConv", (image, kernel, bias), {**geometry, "activation": "Relu"})
    (wanted,) = expected(plain.model(), plain.feeds()).values()
    options = {**geometry, "activation": "Relu"} if op == "NhwcFusedConv" else geometry
    (made,) = run(op, np.moveaxis(image, 1, -1).copy(), kernel, bias, **options).values()
    np.testing.assert_allclose(np.maximum(np.moveaxis(made, -1, 1), 0), wanted, atol=1e-5)
    with pytest.raises(GraphFlowError, match="kernels of shape"):
        run(op, np.moveaxis(image, 1, -1).copy(), np.moveaxis(kernel, 1, -1).copy(), bias, **geometry)


def test_softmax_of_a_biased_tensor() -> None:
    x, bias = normal(2, 3, 4, 5, scale=9), normal(2, 1, 1, 5)
    (made,) = run("BiasSoftmax", x, bias, axis=2, is_inner_broadcast=1).values()
    total = (x + bias).astype(np.float64)
    powers = np.exp(total - total.max((2, 3), keepdims=True))
    np.testing.assert_allclose(made, powers / powers.sum((2, 3), keepdims=True), rtol=1e-5)


def test_a_product_with_an_activation() -> None:
    a, b = normal(3, 4), normal(4, 5)
    plain = Case("FusedMatMul", (a, b), {"alpha": 0.5})
    (wanted,) = expected(plain.model(), plain.feeds()).values()
    (made,) = run(
        "FusedMatMulActivation", a, b, alpha=0.5, activation="LeakyRelu", activation_alpha=0.1
    ).values()
    np.testing.assert_allclose(made, np.where(wanted < 0, 0.1 * wanted, wanted), atol=1e-6)


def test_statistics_of_skip_layer_norm() -> None:
    """onnxruntime gives them while training alone."""
    x, skip, scale = normal(2, 3, 8), normal(2, 3, 8, seed=1), normal(8)
    made = run("SkipLayerNormalization", x, skip, scale, outputs=("y", "mean", "rate"), epsilon=1e-3)
    total = (x + skip).astype(np.float64)
    np.testing.assert_allclose(made["mean"], total.mean(-1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(made["rate"], 1 / np.sqrt(total.var(-1, keepdims=True) + 1e-3), rtol=1e-5)
    made = run("SkipSimplifiedLayerNormalization", x, skip, scale, outputs=("y", "", "rate"), epsilon=1e-3)
    np.testing.assert_allclose(
        made["rate"], 1 / np.sqrt((total**2).mean(-1, keepdims=True) + 1e-3), rtol=1e-5
    )


X, W = normal(2, 5, 8), normal(8, 24)
REFUSED: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("do_rotary", (X, W), {"op": "Attention", "num_heads": 2, "do_rotary": 1}),
    ("mask of rank 4", (X, W, None, np.ones((2, 1, 5, 5), np.int32)), {"op": "Attention", "num_heads": 2}),
    ("a mask of 8 numbers", (X, W, None, np.ones(8, np.int32)), {"op": "Attention", "num_heads": 2}),
    ("has no keys", (X,), {"op": "MultiHeadAttention", "num_heads": 2}),
    (
        "shared buffer",
        (X, X, X, *[None] * 5, number(1, np.int32)),
        {"op": "MultiHeadAttention", "num_heads": 2},
    ),
    ("has a scale", (X, np.int64([1]), normal(9, 2), normal(9, 2)), {"op": "RotaryEmbedding", "scale": 2.0}),
    (
        "is_packed",
        (X, np.int64([1]), normal(9, 2), normal(9, 2)),
        {"op": "RotaryEmbedding", "is_packed_batching": 1},
    ),
    ("activation 'Odd'", (normal(2, 3), normal(3, 2)), {"op": "FusedGemm", "activation": "Odd"}),
    ("activation 'Clip'", (normal(2, 3), normal(3, 2)), {"op": "FusedGemm", "activation": "Clip"}),
    (
        "of 3 bits",
        (normal(2, 32), whole(5, 1, 12), normal(5)),
        {"op": "MatMulNBits", "K": 32, "N": 5, "bits": 3, "block_size": 32},
    ),
    (
        "in another order",
        (normal(2, 32), whole(5, 1, 16), normal(5), None, np.zeros(32, np.int32)),
        {"op": "MatMulNBits", "K": 32, "N": 5, "bits": 4, "block_size": 32},
    ),
    (
        "a scale and a zero point",
        (number(1), byte(0), byte(1).reshape(1), number(1)),
        {"op": "QLinearConcat", "axis": 0},
    ),
]


@pytest.mark.parametrize(("told", "inputs", "options"), REFUSED, ids=[one[0] for one in REFUSED])
def test_what_is_refused(told: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
    attributes = dict(options)
    with pytest.raises(GraphFlowError, match=told) as caught:
        run(attributes.pop("op"), *inputs, **attributes)
    assert caught.value.hint


def test_operators_that_are_missing_are_told() -> None:
    case = Case("MoE", (normal(2, 3), normal(3, 2)))
    with pytest.raises(GraphFlowError, match=r"MoE of com\.microsoft 1"):
        gf.onnx.load(case.model())


def test_normalizations_of_either_domain_are_the_same() -> None:
    x, scale = normal(2, 3, 8), normal(8)
    for op in ("LayerNormalization", "SimplifiedLayerNormalization"):
        node = helper.make_node(op, ["x0", "x1"], ["y"])
        model = Case(op, (x, scale)).model()
        (wanted,) = gf.onnx.load(model).run({"x0": x, "x1": scale}, backend="numpy").values()
        model.graph.node[0].CopyFrom(node)
        (made,) = gf.onnx.load(model).run({"x0": x, "x1": scale}, backend="numpy").values()
        np.testing.assert_array_equal(made, wanted)
