"""Operators on whole numbers: within one step of TensorFlow Lite, and exact where elements only move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from tests.io.tflite.build import Net, file_of
from tests.io.tflite.oracle import computed, expected

RNG = np.random.default_rng(1)


@dataclass
class Q:
    """Whole numbers that stand for others; fed unless it is a constant."""

    shape: tuple[int, ...]
    scale: Any = 0.05
    zero: int = 3
    dtype: str = "int8"
    axis: int = 0
    constant: bool = False


@dataclass
class Quantized:
    """An operator on them."""

    op: str
    given: list[Any]
    made: list[Q]
    options: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    steps: int = 1
    label: str = ""


def q(
    op: str, given: list[Any], made: Q, options: str = "", steps: int = 1, label: str = "", **how: Any
) -> Quantized:
    return Quantized(op, given, [made], options, how, steps, label)


def kernel(*shape: int, channel: int = 0, **how: Any) -> Q:
    """Weights with one scale a channel."""
    return Q(shape, RNG.uniform(0.005, 0.02, shape[channel]), 0, axis=channel, constant=True, **how)


def bias(weights: Q, scale: float = 0.05, dtype: str = "int32") -> Q:
    """Biases, whose scale is that of the products."""
    steps = np.atleast_1d(weights.scale) * scale
    return Q((weights.shape[weights.axis],), steps, 0, dtype, constant=True)


K, D, F, T = kernel(4, 3, 3, 3), kernel(1, 3, 3, 6, channel=3), kernel(5, 6), kernel(3, 3, 3, 2)
U = Q((4, 3, 3, 3), 0.01, 120, "uint8", constant=True)
OUT = Q((), 0.08, -5)
CONV = {"options": "Conv2DOptions", "Padding": 0, "StrideH": 1, "StrideW": 2, "FusedActivationFunction": 3}
DEPTH = {"options": "DepthwiseConv2DOptions", "Padding": 1, "StrideH": 1, "StrideW": 1, "DepthMultiplier": 2}
POOL = {
    "options": "Pool2DOptions",
    "Padding": 0,
    "StrideH": 2,
    "StrideW": 2,
    "FilterHeight": 3,
    "FilterWidth": 2,
}
IMAGE, ROW = Q((1, 6, 5, 3)), Q((3, 6))
SIZES = np.array([7, 9], np.int32)
TRANSPOSED = {"options": "TransposeConvOptions", "Padding": 0, "StrideH": 2, "StrideW": 2}

COMPUTED = [
    q("CONV_2D", [IMAGE, K, bias(K)], OUT, **CONV),
    q("CONV_2D", [Q(IMAGE.shape, 0.05, 130, "uint8"), U, Q((4,), 0.0005, 0, "int32", constant=True)],
      Q((), 0.2, 100, "uint8"), label="uint8", **CONV),
    q("DEPTHWISE_CONV_2D", [IMAGE, D, bias(D)], OUT, **DEPTH),
    q("FULLY_CONNECTED", [ROW, F, bias(F)], OUT, "FullyConnectedOptions"),
    q("FULLY_CONNECTED", [Q(ROW.shape, 0.0005, 0, "int16"), F, bias(F, 0.0005, "int64")],
      Q((), 0.001, 0, "int16"), "FullyConnectedOptions", label="int16"),
    q("TRANSPOSE_CONV", [np.array([1, 8, 7, 3], np.int32), T, Q((1, 4, 4, 2))], OUT, **TRANSPOSED),
    q("AVERAGE_POOL_2D", [IMAGE], IMAGE, **POOL),
    q("ADD", [ROW, Q((1, 6), 0.02, -7)], OUT, "AddOptions", FusedActivationFunction=1),
    q("SUB", [ROW, Q((1, 6), 0.02, -7)], OUT, "SubOptions"),
    q("MUL", [ROW, Q((1, 6), 0.02, -7)], OUT, "MulOptions"),
    q("SQUARED_DIFFERENCE", [ROW, Q((3, 6), 0.02, -7)], Q((), 0.4, -128)),
    q("SOFTMAX", [ROW], Q((), 1 / 256, -128), "SoftmaxOptions", Beta=1.0),
    q("LOGISTIC", [ROW], Q((), 1 / 256, -128)),
    q("TANH", [ROW], Q((), 1 / 128, 0)),
    q("LOG_SOFTMAX", [ROW], Q((), 16 / 256, 127)),
    q("HARD_SWISH", [ROW], OUT),
    q("LEAKY_RELU", [ROW], OUT, "LeakyReluOptions", Alpha=0.25),
    q("PRELU", [IMAGE, Q((1, 1, 3), 0.01, 2, constant=True)], OUT),
    q("RELU", [ROW], OUT),
    q("RELU6", [ROW], OUT),
    q("ELU", [ROW], OUT),
    q("L2_NORMALIZATION", [ROW], Q((), 1 / 128, 0), "L2NormOptions"),
    q("MEAN", [IMAGE, np.array([1, 2], np.int32)], Q((), 0.02, 3), "ReducerOptions", KeepDims=True),
    q("SUM", [IMAGE, np.array([3], np.int32)], Q((), 0.2, 3), "ReducerOptions"),
    q("BATCH_MATMUL", [Q((2, 3, 4)), Q((2, 4, 5), 0.03, -2)], OUT, "BatchMatMulOptions"),
    q("CONCATENATION", [Q((3, 6), 0.05, 99, "uint8"), Q((2, 6), 0.07, 140, "uint8")],
      Q((), 0.07, 140, "uint8"), "ConcatenationOptions", Axis=0, label="two"),
    q("RESIZE_BILINEAR", [IMAGE, SIZES], IMAGE, "ResizeBilinearOptions", HalfPixelCenters=True),
    q("QUANTIZE", [Q((3, 6))], Q((), 0.1, 130, "uint8"), label="again"),
    q("MAXIMUM", [ROW, Q((6,), 0.05, 3, constant=True)], ROW),
]  # fmt: skip

MOVED = [
    q("MAX_POOL_2D", [IMAGE], IMAGE, **POOL),
    q("CONCATENATION", [ROW, Q((2, 6))], ROW, "ConcatenationOptions", Axis=0),
    q("PAD", [ROW, np.array([[1, 0], [2, 1]], np.int32)], ROW),
    q("RESHAPE", [ROW, np.array([2, 9], np.int32)], ROW),
    q("TRANSPOSE", [ROW, np.array([1, 0], np.int32)], ROW),
    q(
        "STRIDED_SLICE",
        [ROW, *[np.array(v, np.int32) for v in ([0, 5], [3, 0], [2, -2])]],
        ROW,
        "StridedSliceOptions",
    ),
    q("GATHER", [ROW, np.array([5, 1], np.int32)], ROW, "GatherOptions", Axis=1),
    q("RESIZE_NEAREST_NEIGHBOR", [IMAGE, SIZES], IMAGE, "ResizeNearestNeighborOptions"),
    q("SPLIT", [np.array(1, np.int32), ROW], ROW, "SplitOptions", NumSplits=1),
    q("REDUCE_MAX", [ROW, np.array([1], np.int32)], ROW, "ReducerOptions"),
    q("SPACE_TO_BATCH_ND", [IMAGE, np.array([2, 2], np.int32), np.array([[0, 0], [1, 0]], np.int32)], IMAGE),
]


def built(case: Quantized) -> tuple[bytes, list[np.ndarray]]:
    """The model, and what to feed it: all whole numbers there are in the first, at random in the others."""
    net, places, feeds = Net(), [], []
    for one in case.given:
        if isinstance(one, np.ndarray):
            places.append(net.constant(one))
            continue
        limits = np.iinfo(one.dtype) if one.dtype in ("int8", "uint8", "int16") else np.iinfo("int8")
        data = RNG.integers(limits.min, limits.max, one.shape, endpoint=True).astype(one.dtype)
        how = {"scale": one.scale, "zero": one.zero, "axis": one.axis}
        places.append(net.constant(data, **how) if one.constant else net.input(one.shape, one.dtype, **how))
        if not one.constant:
            feeds.append(data)
    outputs = [net.tensor((), one.dtype, scale=one.scale, zero=one.zero) for one in case.made]
    net.op(case.op, places, outputs, case.options, **case.values)
    return file_of(net.out(*outputs)), feeds


def name(case: Quantized) -> str:
    return f"{case.op}-{case.label}".strip("-")


@pytest.mark.parametrize("case", COMPUTED, ids=name)
def test_computed_to_one_step(case: Quantized) -> None:
    content, feeds = built(case)
    (want,), (got,) = expected(content, feeds), computed(content, feeds)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    assert np.abs(got.astype(int) - want.astype(int)).max() <= case.steps
    assert len(np.unique(got)) >= 3


@pytest.mark.parametrize("case", MOVED, ids=name)
def test_moved_exactly(case: Quantized) -> None:
    content, feeds = built(case)
    for want, got in zip(expected(content, feeds), computed(content, feeds)):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)
    model = gf.tflite.load(content)
    assert not any(node.op.name.endswith("quantize_linear") for node in model.graph) or case.op.startswith(
        "SPACE"
    )


def test_whole_numbers_and_floats() -> None:
    net = Net()
    x = net.input((40,))
    there, back = net.tensor((40,), "int8", scale=0.1, zero=4), net.tensor((40,))
    net.op("QUANTIZE", [x], [there])
    net.op("DEQUANTIZE", [there], [back])
    content = file_of(net.out(there, back))
    feeds = [np.linspace(-15, 15, 40, dtype=np.float32)]
    (whole, real), (made, numbers) = expected(content, feeds), computed(content, feeds)
    np.testing.assert_array_equal(made, whole)
    np.testing.assert_allclose(numbers, real, rtol=3e-7)


def test_weights_of_four_bits() -> None:
    """Two to a byte, the first in the lower half; an odd one is alone."""
    net = Net()
    x = net.input((2, 3))
    numbers = np.array([[-8, 7, 3], [1, -2, 5], [0, -7, 2]])
    flat = [*(numbers.reshape(-1) & 15), 0]
    packed = np.array([low | high << 4 for low, high in zip(flat[::2], flat[1::2])], np.uint8)
    w = net.tensor((3, 3), "int8", packed, scale=[0.5, 0.25, 2.0])
    net.tensors[w]["kind"] = 17
    y = net.tensor((2, 3))
    net.op("FULLY_CONNECTED", [x, w, -1], [y], "FullyConnectedOptions")
    feed = RNG.standard_normal((2, 3)).astype(np.float32)
    (got,) = computed(file_of(net.out(y)), [feed])
    np.testing.assert_allclose(got, feed @ (numbers * [[0.5], [0.25], [2.0]]).T, rtol=1e-6)


def test_weights_alone_that_are_whole_numbers() -> None:
    """TensorFlow Lite rounds what is fed to 8 bits there; here it stays as it is."""
    net = Net()
    x, w = (
        net.input((2, 6)),
        net.constant(RNG.integers(-99, 99, (5, 6)), "int8", scale=[0.1, 0.2, 0.3, 0.4, 0.5]),
    )
    y = net.tensor((2, 5))
    net.op("FULLY_CONNECTED", [x, w, -1], [y], "FullyConnectedOptions")
    content, feed = file_of(net.out(y)), RNG.standard_normal((2, 6)).astype(np.float32)
    (got,) = computed(content, [feed])
    scale = np.array([[0.1], [0.2], [0.3], [0.4], [0.5]], np.float32)
    np.testing.assert_allclose(got, feed @ (net.tensors[w]["data"] * scale).T, rtol=1e-5, atol=1e-4)
    (want,) = expected(content, [feed])
    np.testing.assert_allclose(got, want, atol=0.02 * np.abs(want).max())
