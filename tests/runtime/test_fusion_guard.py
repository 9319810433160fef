"""Products by matrices of equal elements, whose fusion with a sum XLA:CPU gets wrong."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.optimizer.program import extract
from graphflow.runtime.jax.fusion_guard import has_large_products, has_uniform_product

SHAPE = (169, 512)


def guarded(y: gf.Tensor, *feeds: gf.Tensor) -> bool:
    return has_uniform_product(extract([y], feeds=list(feeds)))


@pytest.mark.parametrize("level", ["O0", "O2"])
@pytest.mark.parametrize("kind", ["constant", "full", "broadcast", "fed"])
def test_a_sum_of_a_product_by_equal_elements_is_right(kind: str, level: str) -> None:
    x, scalar = gf.placeholder("x", SHAPE), gf.placeholder("s", ())
    weights = {
        "constant": gf.constant(np.full((512, 1000), 0.02, np.float32)),
        "full": gf.full((512, 1000), np.float32(0.02)),
        "broadcast": gf.broadcast_to(gf.constant(np.float32(0.02)), (512, 1000)),
        "fed": gf.broadcast_to(scalar, (512, 1000)) * 1.0,
    }[kind]
    y = gf.sum(gf.matmul(x, weights), axis=0)
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    feeds = {x: values} | ({scalar: np.float32(0.02)} if kind == "fed" else {})
    expected = (values.astype(np.float64) @ np.full((512, 1000), 0.02)).sum(0)
    for _ in range(2):
        with gf.Session(level=level) as sess:
            np.testing.assert_allclose(sess.run(y, feeds), expected, rtol=1e-4)


def test_only_such_products_are_compiled_otherwise() -> None:
    x, s = gf.placeholder("x", (4, 5)), gf.placeholder("s", ())
    different = gf.constant(np.arange(15, dtype=np.float32).reshape(5, 3))
    assert not guarded(gf.sum(gf.matmul(x, different)), x)
    assert not guarded(gf.sum(x * gf.ones((4, 5))), x)
    assert guarded(gf.matmul(x, gf.zeros((5, 3))), x)
    assert guarded(gf.matmul(x, gf.permute_dims(gf.broadcast_to(s, (3, 5)) + 1.0, (1, 0))), x, s)
    assert not guarded(gf.matmul(x, gf.constant(np.full((5, 3), np.nan, np.float32), allow_nan=True)), x)
    (gradient,) = gf.gradients(gf.sum(gf.matmul(x, different)), [x])
    assert guarded(gradient, x)


def test_two_large_weights_are_told_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphflow.runtime.jax.fusion_guard._LARGE", 4096)
    rng = np.random.default_rng(0)
    x, fed = gf.placeholder("x", ("batch", 32)), gf.placeholder("fed", (32, 32))
    w = gf.variable("w", (32, 32))
    v = gf.constant(rng.normal(size=(32, 32)).astype(np.float32))
    dense = gf.nn.relu(gf.matmul(x, w))
    two = gf.matmul(dense, v)
    assert has_large_products(extract([two], feeds=[x]))
    assert not has_large_products(extract([gf.matmul(dense, fed)], feeds=[x, fed]))
    assert not has_large_products(extract([gf.matmul(dense, v[:, :31])], feeds=[x]))
    values = rng.normal(size=(3, 32)).astype(np.float32)
    with gf.Session() as sess:
        first = np.maximum(values @ sess.variables["w"], 0)
        expected = first @ v.node.attrs["value"]
        np.testing.assert_allclose(sess.run(two, {x: values}), expected, rtol=1e-4, atol=1e-5)


def test_a_bias_of_zeros_is_no_operand_of_the_product() -> None:
    x, panels = gf.placeholder("x", (4, 8)), gf.placeholder("panels", (1, 1, 8, 16))
    product = gf.ops.packed_conv.packed_conv
    options = {"kernel": (), "outputs": 16, "strides": (), "padding": (), "dilation": ()}
    biased = product(x, panels, gf.zeros((16,)), bias=True, **options)
    assert not has_uniform_product(extract([biased], feeds=[x, panels]))
    even = product(x, gf.ones((1, 1, 8, 16)), **options)
    assert has_uniform_product(extract([even], feeds=[x]))
