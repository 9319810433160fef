"""Normalization as ONNX has it: all outputs, dtypes of the statistics, scales that broadcast."""

from __future__ import annotations

import re
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphflow as gf
from graphflow import nn
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_run


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (2, 3, 2, 4), (1, 2, 2, 2, 2)])
def test_batch_norm_and_its_training_are_those_of_onnx(shape: Any, rng: np.random.Generator) -> None:
    x, vectors = rng.standard_normal(shape), rng.uniform(0.5, 1.5, (4, shape[1]))
    scale, offset, mean, variance = vectors
    inputs = (x, scale, offset, mean, variance)
    y = everywhere(
        lambda x, s, o, m, v: nn.batch_norm(x, m, v, s, o, 1e-3), *inputs, gradient=len(shape) == 3
    )
    np.testing.assert_allclose(y, onnx_run("BatchNormalization", *inputs, epsilon=1e-3), rtol=1e-6)
    made = everywhere(
        lambda x, s, o, m, v: nn.batch_norm_training(x, m, v, s, o, 0.7, 1e-3),
        *inputs, batched=(), gradient=len(shape) == 3,
    )  # fmt: skip
    expected = onnx_run("BatchNormalization", *inputs, outputs=3, training_mode=1, momentum=0.7, epsilon=1e-3)
    for ours, theirs in zip(made, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_batch_norm_training_keeps_the_dtypes() -> None:
    x = np.full((4, 2, 3), 200, np.float16)
    x[::2] = 100
    y, mean, variance = evaluate(nn.batch_norm_training(x, np.zeros(2, np.float32), np.ones(2, np.float64)))
    assert (y.dtype, mean.dtype, variance.dtype) == (np.float16, np.float32, np.float64)
    np.testing.assert_allclose(mean, [15, 15], rtol=1e-6)
    np.testing.assert_allclose(variance, [250.9, 250.9], rtol=1e-6)
    assert set(y.flat) == {1, -1}


@pytest.mark.parametrize("axis", [-1, 1, 0])
@pytest.mark.parametrize("parameters", ["none", "scale", "both"])
def test_layer_norm_with_statistics_is_that_of_onnx(axis: int, parameters: str, rng: Any) -> None:
    x = 1 + rng.standard_normal((2, 3, 4))
    scale, offset = rng.standard_normal((2, *x.shape[axis:]))
    given = {"none": [], "scale": [scale], "both": [scale, offset]}[parameters]
    made = everywhere(
        lambda x, *rest: nn.layer_norm_with_statistics(x, *rest, axis=axis, epsilon=1e-3),
        x, *given, batched=(0,) if axis else (),
    )  # fmt: skip
    filled = [*given, np.ones_like(scale)][:1] + ([offset] if parameters == "both" else [])
    expected = onnx_run("LayerNormalization", x, *filled, outputs=3, axis=axis, epsilon=1e-3)
    for ours, theirs in zip(made, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    (plain,) = evaluate([nn.layer_norm(x, *given, axis=axis, epsilon=1e-3)])
    np.testing.assert_allclose(plain, made[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("scale", "offset"),
    [((1,), (4,)), ((4,), (3, 4)), ((2, 1, 4), (4,)), ((2, 3, 1), (2, 3, 4)), ((), (1, 1)), ((3, 4), (3, 1))],
)
def test_scales_and_offsets_broadcast(scale: Any, offset: Any, rng: np.random.Generator) -> None:
    x, s, o = rng.standard_normal((2, 3, 4)), rng.standard_normal(scale), rng.standard_normal(offset)
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    y = everywhere(lambda x, s, o: nn.layer_norm(x, s, o), x, s, o, batched=())
    np.testing.assert_allclose(y, normal * s + o, rtol=1e-9)
    np.testing.assert_allclose(y, onnx_run("LayerNormalization", x, s, o), rtol=1e-6, atol=1e-6)
    z = everywhere(lambda x, s: nn.rms_norm(x, s), x, s, batched=())
    root = np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(z, x / root * s, rtol=1e-9)


@pytest.mark.parametrize("axis", [-1, 1])
def test_rms_norm_is_that_of_onnx(axis: int, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 4)).astype(np.float32)
    scale = rng.standard_normal(x.shape[axis:]).astype(np.float32)
    y = everywhere(lambda x, s: nn.rms_norm(x, s, axis, 1e-4), x, scale, gradient=False)
    expected = onnx_run("RMSNormalization", x, scale, axis=axis, epsilon=1e-4)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "groups"), [((2, 6, 3), 3), ((2, 4, 2, 3), 1), ((1, 3, 2, 2), 3), ((0, 4, 2), 2)]
)
def test_group_and_instance_norm_are_those_of_onnx(shape: Any, groups: int, rng: Any) -> None:
    x = rng.standard_normal(shape).astype(np.float32)
    scale, offset = rng.standard_normal((2, shape[1])).astype(np.float32)
    y = everywhere(lambda x, s, o: nn.group_norm(x, groups, s, o), x, scale, offset, gradient=False)
    if x.size:
        expected = onnx_run("GroupNormalization", x, scale, offset, num_groups=groups)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    z = everywhere(lambda x, s, o: nn.instance_norm(x, s, o), x, scale, offset, gradient=False)
    if x.size:
        expected = onnx_run("InstanceNormalization", x, scale, offset)
        np.testing.assert_allclose(z, expected, rtol=1e-4, atol=1e-5)


def test_the_dtype_of_the_statistics() -> None:
    half = np.array([[1.0, 2.0, 4.0]], np.float16)
    assert [made.dtype for made in evaluate(nn.layer_norm_with_statistics(half))] == [
        np.float16, np.float32, np.float32
    ]  # fmt: skip
    single = half.astype(np.float32)
    y, mean, _ = evaluate(nn.layer_norm_with_statistics(single, stash_dtype="bfloat16"))
    assert y.dtype == np.float32 and mean.dtype == ml_dtypes.bfloat16
    y, mean, _ = evaluate(nn.layer_norm_with_statistics(single.astype(np.float64), stash_dtype=gf.float32))
    assert y.dtype == np.float64 and mean.dtype == np.float32
    x = np.random.default_rng(0).standard_normal((2, 4, 3)) + 1000
    for norm in (lambda **o: nn.group_norm(x, 2, **o), lambda **o: nn.rms_norm(x, **o)):
        fine, coarse = evaluate([norm(), norm(stash_dtype=gf.float32)])
        assert fine.dtype == coarse.dtype == np.float64
        assert 0 < np.abs(fine - coarse).max() < 1e-2


def test_parameters_of_another_dtype_leave_that_of_x() -> None:
    x, one = gf.placeholder("x", (2, 3), gf.float16), gf.constant(np.ones(3, np.float32))
    for y in (nn.batch_norm(x, one, one, one), nn.layer_norm(x, one, one), nn.rms_norm(x, one)):
        assert y.dtype is gf.float16


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x, c: nn.batch_norm_training(x, c, c, momentum=2), AttributeValueError, "momentum=2"),
        (lambda x, c: nn.batch_norm_training(x, c, c, momentum=-1), AttributeValueError, "momentum"),
        (lambda x, c: nn.batch_norm_training(x, c[:2], c), ShapeError, "one average for each channel"),
        (lambda x, c: nn.layer_norm(x, c), ShapeError, "scale does not have the shape"),
        (lambda x, c: nn.layer_norm(x, gf.ones((5, 2, 3, 4))), ShapeError, "cannot stretch"),
        (lambda x, c: nn.layer_norm_with_statistics(x, c), ShapeError, "cannot stretch"),
        (lambda x, c: nn.layer_norm_with_statistics(x, stash_dtype=gf.int32), DTypeError, "int32"),
        (lambda x, c: nn.layer_norm_with_statistics(x, epsilon=-1), AttributeValueError, "epsilon"),
        (lambda x, c: nn.rms_norm(x, c), ShapeError, "scale does not have the shape"),
        (lambda x, c: nn.group_norm(x, 3, stash_dtype="nope"), DTypeError, "nope"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, error: type, message: str) -> None:
    x, c = gf.placeholder("x", (2, 3, 4)), gf.placeholder("c", (3,))
    with pytest.raises(error, match=re.escape(message)):
        build(x, c)
