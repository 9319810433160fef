"""Operators of com.microsoft against onnxruntime, whose they are."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from scipy import special

import graphflow as gf
from graphflow.errors import GraphFlowError
from graphflow.io.onnx.import_contrib import NAMES
from tests.io.onnx.contrib_cases import Case, byte, normal, number, whole
from tests.io.onnx.contrib_cases import cases as contrib_cases
from tests.io.onnx.decoder_cases import (
    COS,
    PAST,
    PLAIN,
    SIN,
    SIZE,
    THREE,
    K,
    Q,
    V,
    decoder_cases,
    group_query,
)
from tests.io.onnx.numerics.comparing import distance, expected

ALL = [*contrib_cases(), *decoder_cases()]
CASES = {
    f"{case.op}-{place}": case
    for op in dict.fromkeys(case.op for case in ALL)
    for place, case in enumerate(one for one in ALL if one.op == op)
}
WITHOUT_KERNEL = {
    "BiasAdd", "BiasSoftmax", "BiasSplitGelu", "FusedMatMulActivation", "GemmFastGelu", "GroupNorm",
    "NhwcConv", "NhwcFusedConv", "SkipGroupNorm",
}  # fmt: skip
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
    fixed = attributes.pop("fixed", ())
    return run_case(Case(op, inputs, attributes, outputs, fixed))


def run_case(case: Case) -> Arrays:
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
    """As one model, which is compiled once; of what decoders are made of only one."""
    older = dict.fromkeys(case.op for case in contrib_cases())
    last = {case.op: name for name, case in CASES.items() if case.op in older}
    newer = {"DynamicQuantizeLSTM-0", "GatherBlockQuantized-0", "GroupQueryAttention-14", "MoE-4", "QMoE-3"}
    chosen = [name for name in CASES if name in newer or name in last.values()]
    chosen += [name for op in older if (name := f"{op}-0") not in chosen]
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


def test_attention_to_a_past_that_differs_in_length() -> None:
    """Rows behind the end of a sentence are padding, of which nothing is said."""
    q, k, v = Q, K, V
    prompt = (q, k, v, None, None, np.int32([1, 2]), number(3, np.int32), COS, SIN)
    late = (q, k, v, *(np.pad(one, [(0, 0)] * 2 + [(0, 4), (0, 0)]) for one in PAST), np.int32([5, 4]))
    chunk = (*late, number(9, np.int32), *[None] * 9, np.int32([1, 3]))
    for inputs, options, kept, there in (
        (prompt, {"do_rotary": 1}, (2, 3), (2, 3)),
        (chunk, {"local_window_size": 3}, (1, 3), (6, 5)),
    ):
        case = group_query(inputs, **options)
        wanted, made = expected(case.model(), case.feeds()), run_case(case)
        for row, (few, many) in enumerate(zip(kept, there)):
            assert distance(made["y"][row, :few], wanted["y"][row, :few]) < 2e-6
            for name in ("keys", "values"):
                assert distance(made[name][row, :, :many], wanted[name][row, :, :many]) < 2e-6


def test_group_query_attention_normalizes_heads_on_request() -> None:
    """onnxruntime does on GPUs alone; before it are the nodes that it would be made of."""
    q_norm, k_norm = normal(SIZE, seed=6), normal(SIZE, seed=7)

    def normalized(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        apart = x.reshape(2, 3, -1, SIZE)
        rate = 1 / np.sqrt((apart.astype(np.float64) ** 2).mean(-1, keepdims=True) + 1e-3)
        return (apart * rate * weight).reshape(x.shape).astype(np.float32)

    tail = (None, None, np.int32([2, 2]), number(3, np.int32), COS, SIN)
    plain = group_query((normalized(Q, q_norm), normalized(K, k_norm), V, *tail), do_rotary=1)
    norms = (*[None] * 5, q_norm, k_norm)
    made = run_case(group_query((Q, K, V, *tail, *norms), do_rotary=1, qk_norm_epsilon=1e-3))
    check(made, expected(plain.model(), plain.feeds()), dataclasses.replace(plain, close=1e-5))


def test_a_decoder_on_its_own_past() -> None:
    """onnxruntime has it in place alone; it is what MultiHeadAttention of one position does."""
    q, past = normal(2, 1, 8), (normal(2, 2, 4, 4), normal(2, 2, 4, 4, seed=1))
    mask, bias = np.int32([[1, 0, 1, 1, 1], [1] * 5]), normal(24)
    plain = Case("MultiHeadAttention", (q, q, q, bias, mask, None, *past), {"num_heads": 2}, THREE)
    inputs = (q, q, q, mask, None, *past, *[None] * 3, bias)
    case = Case("DecoderMaskedMultiHeadAttention", inputs, {"num_heads": 2}, THREE)
    check(run_case(case), expected(plain.model(), plain.feeds()), case)


def test_experts_that_are_not_chosen_do_not_count() -> None:
    weights = np.ones((2, 4, 4), np.float32)
    weights[1] = np.nan
    (made,) = run("MoE", np.ones((1, 4), np.float32), np.float32([[9, 0]]), weights, None, weights).values()
    assert np.isfinite(made).all()


@pytest.mark.parametrize("last", [True, False])
def test_group_norm_with_a_skip(last: bool) -> None:
    x, scale, offset, bias = normal(2, 3, 5, 8), normal(8), normal(8, seed=1), normal(8, seed=2)
    skip = normal(2, 8, seed=3)
    total = (x + skip[:, None, None] + bias).astype(np.float64)
    apart = total.reshape(2, 15, 4, 2)
    middle, spread = apart.mean((1, 3), keepdims=True), apart.var((1, 3), keepdims=True)
    normal_ones = ((apart - middle) / np.sqrt(spread + 1e-3)).reshape(x.shape) * scale + offset
    wanted = normal_ones / (1 + np.exp(-normal_ones))
    options = {"groups": 4, "epsilon": 1e-3, "activation": 1}
    if last:
        made = run("SkipGroupNorm", x, scale, offset, skip, bias, outputs=("y", "total"), **options)
        np.testing.assert_allclose(made["total"], total, atol=1e-6)
    else:
        first = np.moveaxis(total, -1, 1).astype(np.float32)
        made = run("GroupNorm", first, scale, offset, channels_last=0, **options)
        wanted = np.moveaxis(wanted, -1, 1)
    np.testing.assert_allclose(made["y"], wanted, atol=1e-5)


def test_what_stable_diffusion_is_optimized_to() -> None:
    x, bias, skip, w = normal(2, 3, 8), normal(8), normal(2, 3, 8, seed=1), normal(8, 4)
    (made,) = run("BiasAdd", x, bias, skip).values()
    np.testing.assert_allclose(made, x + bias + skip, rtol=1e-6)
    half = (x + bias)[..., 4:].astype(np.float64)
    (made,) = run("BiasSplitGelu", x, bias).values()
    gelu = half / 2 * (1 + special.erf(half / np.sqrt(2)))
    np.testing.assert_allclose(made, (x + bias)[..., :4] * gelu, atol=1e-6)
    plain = Case("FastGelu", (x @ w, bias[:4]))
    (wanted,) = expected(plain.model(), plain.feeds()).values()
    (made,) = run("GemmFastGelu", x, w, bias[:4]).values()
    np.testing.assert_allclose(made, wanted, atol=1e-5)


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
GROUPED = {"op": "GroupQueryAttention", **PLAIN}
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
        "quantized cache",
        (Q, K, V, *PAST),
        {"op": "GroupQueryAttention", **PLAIN, "k_quant_type": "PER_TENSOR"},
    ),
    ("sliding_window", (Q, K, V, *PAST), {"op": "GroupQueryAttention", **PLAIN, "sliding_window_cache": 1}),
    ("how long", (Q, K, V), {"op": "GroupQueryAttention", **PLAIN}),
    (
        "no tables",
        (Q, K, V, None, None, np.int32([2, 2]), number(3, np.int32)),
        {**GROUPED, "do_rotary": 1, "fixed": (6,)},
    ),
    (
        "activation 'odd'",
        (X[0, :, :4], X[0, :, :2], normal(2, 6, 4), None, normal(2, 4, 6)),
        {"op": "MoE", "activation_type": "odd"},
    ),
    (
        "sparse mixer",
        (X[0], X[0], normal(8, 6, 8), None, normal(8, 8, 6)),
        {"op": "MoE", "use_sparse_mixer": 1},
    ),
    ("floats of few bits", (X[0], X[0], *[whole(8, 8, 8)] * 6), {"op": "QMoE", "quant_type": "fp4"}),
    ("ndim=2", (X, normal(5, 1, 3)), {"op": "CausalConvWithState", "ndim": 2}),
    (
        "along an axis with blocks",
        (whole(7, 16), np.int64([0]), normal(7, 2)),
        {"op": "GatherBlockQuantized", "quantize_axis": 0},
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
    case = Case("MurmurHash3", (normal(2, 3),))
    with pytest.raises(GraphFlowError, match=r"MurmurHash3 of com\.microsoft 1"):
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
