"""Nodes of com.microsoft with inputs that are hard on them, for onnxruntime and for ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


@dataclass(frozen=True)
class Case:
    """A node.

    Attributes:
        op: its operator.
        inputs: an array each, or None for one that is left out.
        attributes: of the node.
        outputs: how many it has; "" names one that is not asked for.
        fixed: which inputs are initializers.
        steps: by how much results of whole numbers may differ.
        close: the greatest difference of floats, as a part of the largest.
        axes: for inputs, the axes without a size and their names.
        domain: of the operator.
    """

    op: str
    inputs: tuple[Any, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ("y",)
    fixed: tuple[int, ...] = ()
    steps: int = 0
    close: float = 2e-6
    axes: dict[int, dict[int, str]] = field(default_factory=dict)
    domain: str = "com.microsoft"

    def model(self, prefix: str = "") -> onnx.ModelProto:
        """The node as a model of its own, with something before its names."""
        names = ["" if one is None else f"{prefix}x{place}" for place, one in enumerate(self.inputs)]
        made = [name and prefix + name for name in self.outputs]
        node = helper.make_node(self.op, names, made, domain=self.domain, **self.attributes)
        given, held = [], []
        for place, (name, value) in enumerate(zip(names, self.inputs)):
            if value is None:
                continue
            if place in self.fixed:
                held.append(numpy_helper.from_array(value, name))
                continue
            free = self.axes.get(place, {})
            shape = [free.get(axis, size) for axis, size in enumerate(value.shape)]
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            given.append(helper.make_tensor_value_info(name, kind, shape))
        outputs = [onnx.ValueInfoProto(name=name) for name in made if name]
        sets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
        graph = helper.make_graph([node], self.op, given, outputs, held)
        return helper.make_model(graph, opset_imports=sets, ir_version=10)

    def feeds(self, prefix: str = "") -> dict[str, np.ndarray]:
        """What the inputs are given."""
        return {
            f"{prefix}x{place}": one
            for place, one in enumerate(self.inputs)
            if one is not None and place not in self.fixed
        }


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng((seed, *shape)).standard_normal(shape) * scale).astype(np.float32)


def whole(*shape: int, low: int = 0, high: int = 256, seed: int = 0, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).integers(low, high, shape).astype(dtype)


def number(value: float, dtype: Any = np.float32) -> np.ndarray:
    return np.asarray(value, dtype)


def byte(value: int) -> np.ndarray:
    return number(value, np.uint8)


EDGES = np.float32([[0.0, -0.0, 1e-30, -1e-30, 5.0, -5.0], [40.0, -40.0, 1e4, -1e4, np.inf, np.nan]])
MOST = np.float32([[3e38, -3e38, 1e20, -1e20, 0.5, -0.5]])
ALL_BYTES = np.arange(256, dtype=np.uint8).reshape(2, 128)
SIGNED = np.arange(-128, 128, dtype=np.int8).reshape(2, 128)
HALF = normal(2, 3, 8, seed=5).astype(np.float16)


def _activations() -> list[Case]:
    return [
        Case("Gelu", (EDGES,)),
        Case("Gelu", (normal(0, 6),)),
        Case("BiasGelu", (EDGES[:1], normal(6))),
        Case("BiasGelu", (normal(2, 3, 6, scale=4), normal(6))),
        Case("FastGelu", (EDGES[:1],)),
        Case("FastGelu", (normal(3, 4), normal(4, seed=1))),
        Case("QuickGelu", (EDGES[:1],)),
        Case("QuickGelu", (normal(3, 4),), {"alpha": 1.0}),
        Case("QuickGelu", (normal(3, 4),), {"alpha": -0.5}),
    ]


def _products() -> list[Case]:
    a, b, image, kernel = normal(2, 3, 4), normal(2, 4, 5), normal(1, 4, 6, 5), normal(6, 2, 3, 2)
    made = [
        Case("FusedMatMul", (a, b), {"alpha": 0.25}),
        Case("FusedMatMul", (normal(2, 4, 3), normal(2, 5, 4)), {"transA": 1, "transB": 1}),
        Case("FusedMatMul", (normal(3, 2, 4), b), {"transBatchA": 1}),
        Case("FusedMatMul", (a, normal(4, 2, 5)), {"transBatchB": 1, "alpha": -2.0}),
        Case(
            "FusedMatMul",
            (normal(4, 2, 3), normal(5, 2, 4)),
            {"transBatchA": 1, "transA": 1, "transBatchB": 1, "transB": 1},
        ),
        Case("FusedMatMul", (normal(3, 2, 5, 4), normal(2, 5, 4, 6)), {"transBatchA": 1}),
        Case("FusedMatMul", (a, normal(4, 5))),
        Case("FusedMatMul", (normal(4), normal(4, 3)), {"alpha": 3.0}),
        Case("FusedMatMul", (normal(0, 4), normal(4, 3))),
        Case("TransposeMatMul", (normal(4, 3), normal(4, 5)), {"transA": 1}),
    ]
    for named, numbers in (
        ("Relu", []),
        ("Tanh", []),
        ("Sigmoid", []),
        ("LeakyRelu", [0.3]),
        ("Clip", [-0.5, 0.25]),
        ("HardSigmoid", [0.4, 0.3]),
    ):
        options = {"activation": named, **({"activation_params": numbers} if numbers else {})}
        made.append(
            Case("FusedConv", (image, kernel, normal(6)), {**options, "group": 2, "pads": [1, 0, 1, 1]})
        )
    made += [
        Case("FusedConv", (image, kernel, normal(6), normal(1, 6, 4, 4)), {"activation": "Relu", "group": 2}),
        Case("FusedConv", (image, kernel, None, normal(1, 6, 2, 2)), {"group": 2, "strides": [2, 2]}),
    ]
    rows, matrix = normal(3, 4), normal(5, 4)
    for named, options in (
        ("Relu", {}),
        ("LeakyRelu", {"activation_alpha": 0.2}),
        ("Tanh", {}),
        ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4}),
        ("Softplus", {}),
        ("Elu", {"activation_alpha": 0.5}),
        ("ThresholdedRelu", {"activation_alpha": 0.7}),
        ("Sigmoid", {}),
        ("Softsign", {}),
    ):
        given = {"activation": named, **options, "transB": 1, "alpha": 0.5, "beta": 2.0}
        made.append(Case("FusedGemm", (rows, matrix, normal(5)), given))
    return [*made, Case("FusedGemm", (rows, normal(4, 5)), {"activation": "Relu"})]


def _normalizations() -> list[Case]:
    x, skip, scale, offset = normal(2, 3, 8), normal(2, 3, 8, seed=1), normal(8, seed=2), normal(8, seed=3)
    flat = np.full((2, 3, 8), 7, np.float32)
    ids, table = whole(2, 4, high=9, dtype=np.int32), normal(9, 8)
    kinds, places = whole(2, 4, high=2, dtype=np.int32), normal(6, 8, seed=7)
    mask = np.int32([[1, 1, 0, 0], [1, 1, 1, 1]])
    all_four = ("y", "", "", "total")
    made = [
        Case("SimplifiedLayerNormalization", (x, scale), {"epsilon": 1e-3}, domain=""),
        Case("SimplifiedLayerNormalization", (normal(2, 3, 8, scale=1e-3), scale), domain=""),
        Case("SkipLayerNormalization", (x, skip, scale, offset), {"epsilon": 1e-5}),
        Case("SkipLayerNormalization", (x, skip, scale), {"epsilon": 1e-5}, all_four),
        Case("SkipLayerNormalization", (x, skip, scale, offset, normal(8, seed=4)), {}, all_four),
        Case("SkipLayerNormalization", (x, skip[:1], scale, offset), {}, all_four),
        Case("SkipLayerNormalization", (x, skip[0], scale, None, offset), {"epsilon": 1e-5}, all_four),
        Case("SkipLayerNormalization", (flat, flat, scale, offset), {"epsilon": 1e-5}),
        Case("SkipLayerNormalization", (x * 1e4, skip, scale, offset), {"epsilon": 1e-5}),
        Case(
            "SkipLayerNormalization",
            (HALF, HALF[::-1], HALF[0, 0], HALF[1, 0]),
            {"epsilon": 1e-3},
            close=1e-3,
        ),
        Case("SkipSimplifiedLayerNormalization", (x, skip, scale), {"epsilon": 1e-5}, all_four),
        Case("SkipSimplifiedLayerNormalization", (x, skip[0], scale, offset), {}, all_four),
        Case(
            "EmbedLayerNormalization",
            (ids, kinds, table, places, normal(2, 8), scale, offset),
            {"epsilon": 1e-5},
            ("y", "kept", "total"),
        ),
        Case(
            "EmbedLayerNormalization",
            (ids, kinds, table, places, normal(2, 8), scale, offset, mask),
            {"epsilon": 1e-5},
            ("y", "kept"),
        ),
        Case(
            "EmbedLayerNormalization",
            (ids, None, table, places, None, scale, offset, None, ids % 6),
            {},
            ("y", "kept"),
        ),
        Case(
            "EmbedLayerNormalization",
            (ids, None, table, places, None, scale, offset, mask, ids[:1] % 6),
            {},
            ("y", "kept"),
        ),
    ]
    return made


def _small() -> list[Case]:
    x = normal(3, 4)
    return [
        Case("CDist", (normal(3, 4), normal(5, 4, seed=1)), {"metric": "sqeuclidean"}),
        Case("CDist", (normal(3, 4), normal(5, 4, seed=1)), {"metric": "euclidean"}),
        Case("ExpandDims", (x, number(-1, np.int32)), fixed=(1,)),
        Case("ExpandDims", (x, number(1, np.int32)), fixed=(1,)),
        Case("GatherND", (x, np.int64([[0, 1], [2, 3], [-1, -1]]))),
        Case("Inverse", (normal(2, 3, 3) + 3 * np.eye(3, dtype=np.float32),), close=1e-5),
        Case("Pad", (x, np.int64([1, 0, -1, 2]), number(0.5).reshape(1)), fixed=(1,)),
        Case("Pad", (x, np.int64([1, 2, 1, 1])), {"mode": "reflect"}, fixed=(1,)),
        Case("Pad", (x, np.int64([1, 2, 0, 1])), {"mode": "edge"}, fixed=(1,)),
        Case("Range", (number(1), number(7.5), number(1.5)), fixed=(0, 1, 2)),
        Case("Range", (number(5, np.int32), number(-3, np.int32), number(-2, np.int32)), fixed=(0, 1, 2)),
        Case("Trilu", (normal(2, 4, 5), number(1, np.int64)), {"upper": 0}, fixed=(1,)),
        Case("Trilu", (normal(4, 3),)),
        Case("GridSample", (normal(1, 2, 4, 5), np.tanh(normal(1, 3, 3, 2)))),
        Case(
            "GridSample",
            (normal(1, 2, 4, 5), 1.5 * np.tanh(normal(1, 3, 3, 2))),
            {"mode": "nearest", "padding_mode": "border", "align_corners": 1},
        ),
    ]


def _attention() -> list[Case]:
    x, w, bias = normal(2, 5, 8), normal(8, 24, scale=0.4), normal(24)
    ends = np.int32([3, 5])
    rows = np.int32([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]])
    nothing = np.int32([[0, 0, 0, 0, 0], [1, 0, 0, 0, 0]])
    two = {"num_heads": 2}
    past = normal(2, 2, 2, 3, 4)
    made = [
        Case("Attention", (x, w, bias), two),
        Case("Attention", (x, w), two),
        Case("Attention", (x, w, bias), {**two, "unidirectional": 1}),
        Case("Attention", (x, w, bias), {**two, "scale": 0.1}),
        Case("Attention", (x, w, bias, ends), two),
        Case("Attention", (x, w, bias, np.int32([3, 5, 1, 0])), two),
        Case("Attention", (x, w, bias, rows), two),
        Case("Attention", (x, w, bias, rows), {**two, "unidirectional": 1}),
        Case("Attention", (x, w, bias, nothing), two),
        Case("Attention", (x, w, bias, nothing), {**two, "mask_filter_value": -3.0}),
        Case("Attention", (x, w, bias, np.tril(np.ones((2, 5, 5), np.int32))), two),
        Case("Attention", (x, w, bias, None, None, normal(1, 2, 5, 5)), two),
        Case("Attention", (x, w, bias, rows, None, normal(2, 1, 5, 5)), two),
        Case("Attention", (x, w, bias, None, past), {**two, "unidirectional": 1}, ("y", "present")),
        Case("Attention", (x, w, bias, np.int32(normal(2, 8) > 0), past), two, ("y", "present")),
        Case("Attention", (x[:, :1], w, bias, None, past), {**two, "unidirectional": 1}, ("y", "present")),
        Case("Attention", (x, normal(8, 20), normal(20)), {**two, "qkv_hidden_sizes": [8, 8, 4]}),
        Case("Attention", (x[:1, :1], w, bias), {"num_heads": 8}),
    ]
    q, k, v = normal(2, 3, 8), normal(2, 5, 8, seed=1), normal(2, 5, 8, seed=2)
    wide, three = normal(2, 5, 12, seed=2), ("y", "keys", "values")
    before = normal(2, 2, 2, 4, seed=3), normal(2, 2, 2, 4, seed=4)
    turned = normal(2, 2, 5, 4, seed=1), normal(2, 2, 5, 4, seed=2)
    return made + [
        Case("MultiHeadAttention", (q, k, v), two),
        Case("MultiHeadAttention", (q, k, wide), two),
        Case("MultiHeadAttention", (q, k, v, bias), {**two, "scale": 0.3}),
        Case("MultiHeadAttention", (q, k, wide, normal(28)), two),
        Case("MultiHeadAttention", (q, k, v, None, rows), two),
        Case("MultiHeadAttention", (q, k, v, bias, ends), two),
        Case("MultiHeadAttention", (q, k, v, None, nothing), two),
        Case("MultiHeadAttention", (q, k, v, None, np.int32(normal(2, 3, 5) > 0)), two),
        Case("MultiHeadAttention", (q, k, v, None, None, normal(2, 2, 3, 5)), two),
        Case("MultiHeadAttention", (k, k, v), {**two, "unidirectional": 1}),
        Case("MultiHeadAttention", (q, *turned), two),
        Case("MultiHeadAttention", (q, *turned, bias), two),
        Case("MultiHeadAttention", (q, k[:, :3], v[:, :3], None, None, None, *before), two, three),
        Case(
            "MultiHeadAttention",
            (q, k[:, :3], v[:, :3], bias, None, None, *before),
            {**two, "unidirectional": 1},
            three,
        ),
    ]


def _rotary() -> list[Case]:
    x, cos, sin = normal(2, 3, 8), normal(6, 2), normal(6, 2, seed=1)
    places = np.int64([[0, 2, 5], [1, 1, 4]])
    return [
        Case("RotaryEmbedding", (x, places, cos, sin)),
        Case("RotaryEmbedding", (x, np.int64([2]), cos, sin)),
        Case("RotaryEmbedding", (x, places, cos, sin), {"interleaved": 1}),
        Case("RotaryEmbedding", (normal(2, 4, 3, 4), places, cos, sin)),
        Case(
            "RotaryEmbedding",
            (normal(2, 3, 12), places, cos, sin),
            {"num_heads": 2, "rotary_embedding_dim": 4},
        ),
    ]


def _quantized() -> list[Case]:
    s, t, u = number(0.05), number(0.02), number(0.11)
    other = np.roll(ALL_BYTES, 77)
    image = whole(1, 3, 5, 4)
    last = np.ascontiguousarray(np.moveaxis(image, 1, -1))
    signed, small = number(-3, np.int8), number(9, np.int8)
    made = []
    for op in ("QLinearAdd", "QLinearMul"):
        made += [
            Case(op, (ALL_BYTES, s, byte(120), other, t, byte(7), u, byte(130)), steps=1),
            Case(op, (ALL_BYTES, s, byte(120), other[:1, :1], t, byte(7), u, byte(0)), steps=1),
            Case(op, (SIGNED, s, signed, np.roll(SIGNED, 50), t, small, u, signed), steps=1),
        ]
    for op, options in (
        ("QLinearSigmoid", {}),
        ("QLinearLeakyRelu", {"alpha": 0.3}),
        ("QLinearLeakyRelu", {}),
    ):
        made += [
            Case(op, (ALL_BYTES, s, byte(100), number(1 / 256), byte(3)), options, fixed=(1, 2, 3, 4)),
            Case(op, (SIGNED, s, signed, number(1 / 99), small), options),
        ]
    pool = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
    made += [
        Case("QLinearAveragePool", (image, s, byte(9), t, byte(4)), pool, steps=1),
        Case(
            "QLinearAveragePool", (image, s, byte(9), t, byte(4)), {**pool, "count_include_pad": 1}, steps=1
        ),
        Case("QLinearAveragePool", (last, s, byte(9), u, byte(4)), {**pool, "channels_last": 1}, steps=1),
        Case("QLinearGlobalAveragePool", (image, s, byte(9), t, byte(4)), steps=1),
        Case("QLinearGlobalAveragePool", (last, s, byte(9), u, byte(4)), {"channels_last": 1}, steps=1),
        Case("QLinearConcat", (u, byte(5), image, s, byte(3), image[:, :1], t, byte(200)), {"axis": 1}),
        Case("QLinearConcat", (u, signed, SIGNED, s, small, SIGNED, u, signed), {"axis": -1}),
        Case(
            "QLinearSoftmax",
            (ALL_BYTES, s, byte(9), number(1 / 256), byte(0)),
            {"opset": 13, "axis": -1},
            fixed=(1, 2, 3, 4),
            steps=1,
        ),
        Case(
            "QLinearSoftmax",
            (image, s, byte(9), number(1 / 256), byte(0)),
            {"opset": 11, "axis": 1},
            fixed=(1, 2, 3, 4),
            steps=1,
        ),
        Case(
            "QLinearWhere",
            (ALL_BYTES % 3 == 0, ALL_BYTES, s, byte(1), other, t, byte(2), u, byte(3)),
            fixed=(2, 3, 5, 6, 7, 8),
            steps=1,
        ),
        Case("QLinearConv", (image, s, byte(9), whole(4, 3, 2, 2), t, byte(70), u, byte(4)), steps=1),
        Case(
            "QLinearConv",
            (
                last,
                s,
                byte(9),
                whole(4, 3, 2, 2),
                np.abs(normal(4)),
                whole(4),
                u,
                byte(4),
                whole(4, high=999, dtype=np.int32),
            ),
            {"channels_last": 1, "pads": [1, 0, 1, 0]},
            fixed=(1, 2, 3, 4, 5, 6, 7, 8),
            steps=1,
        ),
        Case("NhwcMaxPool", (last,), {"kernel_shape": [2, 2], "strides": [2, 1]}),
    ]
    return made + _quantized_products()


def _quantized_products() -> list[Case]:
    a, b, rows = whole(3, 8), whole(8, 4, seed=1), normal(3, 8)
    s, t = number(0.05), number(0.02)
    each = np.abs(normal(4)) + np.float32(0.01)
    packed = whole(5, 2, 16)  # 5 columns, 2 blocks of 32 rows, of 4 bits
    scales = np.abs(normal(5, 2))
    four = {"K": 40, "N": 5, "bits": 4, "block_size": 32}
    return [
        Case("MatMulIntegerToFloat", (a, b, s, t)),
        Case("MatMulIntegerToFloat", (a, b, s, each, byte(8), whole(4), normal(4))),
        Case("MatMulIntegerToFloat", (a, whole(8, 4, low=-128, high=128, dtype=np.int8), s, t, byte(255))),
        Case("DynamicQuantizeMatMul", (rows, b, t)),
        Case("DynamicQuantizeMatMul", (rows + 5, b, each, whole(4), normal(4))),
        Case("DynamicQuantizeMatMul", (0 * rows, b, t, byte(3), normal(4))),
        Case("QGemm", (a, s, byte(3), b, t, byte(9))),
        Case(
            "QGemm",
            (a, s, byte(3), b.T.copy(), t, byte(9), whole(4, high=999, dtype=np.int32)),
            {"transB": 1, "alpha": 0.5},
        ),
        Case("QGemm", (a, s, byte(3), b, t, byte(9), None, number(2.0), byte(99)), steps=1),
        Case(
            "QGemm",
            (a, s, byte(3), b, each, whole(4), whole(4, high=999, dtype=np.int32), number(9.0), byte(9)),
            steps=1,
        ),
        Case("MatMulNBits", (normal(3, 40), packed, scales.ravel()), four, fixed=(1, 2), close=1e-5),
        Case(
            "MatMulNBits",
            (normal(2, 3, 40), packed, scales.ravel(), whole(5)),
            four,
            fixed=(1, 2, 3),
            close=1e-5,
        ),
        Case(
            "MatMulNBits",
            (normal(3, 40), whole(5, 2, 32), scales.ravel(), None, None, normal(5)),
            {**four, "bits": 8},
            fixed=(1, 2),
            close=1e-5,
        ),
        Case(
            "MatMulNBits",
            (normal(3, 40), packed, scales.ravel(), np.abs(normal(5, 2, seed=9)).ravel() * 9),
            four,
            fixed=(1, 2, 3),
            close=1e-5,
        ),
        Case("QuantizeLinear", (EDGES[:, :4], number(0.1), byte(3))),
        Case(
            "QuantizeLinear",
            (normal(2, 3, scale=9), np.float32([0.1, 0.2, 0.3]), np.int16([1, -2, 3])),
            {"axis": 1},
        ),
        Case("DequantizeLinear", (whole(2, 3), np.float32([0.1, 2.0, 1e-3]), whole(3)), {"axis": 1}),
        Case(
            "DequantizeLinear", (whole(2, 3, high=60000, dtype=np.uint16), number(0.1), number(77, np.uint16))
        ),
    ]


def cases() -> Sequence[Case]:
    """All of them."""
    return [
        *_activations(),
        *_products(),
        *_normalizations(),
        *_small(),
        *_attention(),
        *_rotary(),
        *_quantized(),
    ]
