"""Functions of gf.nn that are made of operators: attention, dropout, norms, global pools, conv_transpose."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphflow as gf
from graphflow import nn
from graphflow.autodiff.check import check_gradients
from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir.interpret import evaluate


def _value(tensor: gf.Tensor, feeds: Any = None) -> np.ndarray:
    return evaluate([tensor], feeds)[0]


def test_public_names_are_documented_and_exist() -> None:
    for name in nn.__all__:
        assert getattr(nn, name).__doc__, name


# Attention


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes", [(4, 4), (3, 5), (5, 3), (1, 1)])
def test_attention_is_that_of_jax(causal: bool, sizes: tuple[int, int], rng: np.random.Generator) -> None:
    queries, keys = sizes
    q, k, v = (rng.standard_normal((2, 3, n, 8)).astype(np.float32) for n in (queries, keys, keys))
    # jax.nn has the axes batch, positions, heads, features
    moved = [one.transpose(0, 2, 1, 3) for one in (q, k, v)]
    expected = jax.nn.dot_product_attention(*moved, is_causal=causal).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(_value(nn.attention(q, k, v, causal=causal)), expected, rtol=2e-5, atol=1e-6)


def test_attention_masks(rng: np.random.Generator) -> None:
    q, k, v = rng.standard_normal((3, 2, 4, 8))
    allowed = rng.uniform(size=(2, 4, 4)) < 0.5
    allowed[:, :, 0] = True
    scores = np.where(allowed, q @ k.transpose(0, 2, 1) / np.sqrt(8), -np.inf)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(_value(nn.attention(q, k, v, mask=allowed)), weights @ v, rtol=1e-10)
    added = np.where(allowed, 0.0, -1e30)
    np.testing.assert_allclose(_value(nn.attention(q, k, v, mask=added)), weights @ v, rtol=1e-10)


def test_attention_scale_and_gradient(rng: np.random.Generator) -> None:
    q, k, v = rng.standard_normal((3, 3, 4))
    scores = np.exp(0.3 * q @ k.T)
    expected = scores / scores.sum(-1, keepdims=True) @ v
    np.testing.assert_allclose(_value(nn.attention(q, k, v, scale=0.3)), expected, rtol=1e-12)
    x = gf.placeholder("x", (2, 3, 4), gf.float64)
    check_gradients(nn.attention(x, x, x, causal=True), [x], {x: rng.standard_normal((2, 3, 4))})


def test_attention_of_symbolic_positions() -> None:
    x = gf.placeholder("x", ("batch", 2, "time", 8))
    memory = gf.placeholder("m", ("batch", 2, "keys", 8))
    assert nn.attention(x, memory, memory, causal=True).shape == x.shape
    with pytest.raises(ShapeError, match="cannot derive its scale"):
        nn.attention(*[gf.placeholder(name, (4, "f")) for name in "qkv"])
    with pytest.raises(ShapeError, match="attention needs keys of shape"):
        nn.attention(x, gf.placeholder("k1", (8,)), memory)


# Dropout


def _keys(graph: gf.Graph, seed: int = 0) -> dict[gf.Tensor, np.ndarray]:
    return {graph.builtins["session_key"]: np.array([0, seed, 0, 1], np.uint32)}


def test_dropout_zeroes_a_share_and_keeps_the_mean() -> None:
    x = gf.constant(np.ones((200, 200), np.float32))
    y = nn.dropout(x, 0.25)
    feeds = _keys(x.graph) | {gf.training: np.array(True)}
    made = _value(y, feeds)
    assert set(np.unique(made)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((made == 0).mean() - 0.25) < 0.01
    np.testing.assert_array_equal(_value(y, feeds), made)
    assert (_value(y, _keys(x.graph, 1) | {gf.training: np.array(True)}) != made).any()
    np.testing.assert_array_equal(
        _value(y, _keys(x.graph) | {gf.training: np.array(False)}), np.ones((200, 200))
    )


def test_the_gradient_of_dropout_passes_where_the_value_does() -> None:
    x = gf.placeholder("x", (64,))
    y = nn.dropout(x, 0.5, training=True)
    from graphflow.autodiff.reverse import gradients

    feeds = _keys(x.graph) | {x: np.ones(64, np.float32)}
    value, slope = evaluate([y, *gradients(y, [x])], feeds)
    np.testing.assert_array_equal(value, slope)
    assert 0 < (value == 0).sum() < 64


def test_dropout_at_inference_is_x_itself() -> None:
    x = gf.placeholder("x", ("n", 3))
    assert nn.dropout(x, 0.5, training=False) is x
    assert nn.dropout(x, 0) is x
    assert nn.dropout(x, 0.5).shape == x.shape


@pytest.mark.parametrize("rate", [1, -0.1, 1.5, float("nan"), True, "half"])
def test_a_rate_outside_of_0_to_1_is_refused(rate: Any) -> None:
    with pytest.raises(AttributeValueError, match="rate="):
        nn.dropout(gf.placeholder("x", (3,)), rate)


# Normalization


def test_moments(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 3, 5))
    for axis in ((0, 2), 1, -1, None, ()):
        for keepdims in (False, True):
            mean, variance = evaluate(nn.moments(x, axis, keepdims))
            np.testing.assert_allclose(mean, x.mean(axis=axis, keepdims=keepdims), rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(variance, x.var(axis=axis, keepdims=keepdims), rtol=1e-10, atol=1e-12)


def _standard(x: np.ndarray, axes: Any, epsilon: float = 1e-5) -> np.ndarray:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


@pytest.mark.parametrize("affine", [False, True])
def test_norms_are_their_formulas(affine: bool, rng: np.random.Generator) -> None:
    x = 2 + rng.standard_normal((4, 6, 3, 5))
    scale, offset = rng.standard_normal((2, 6)) if affine else (None, None)
    by_channel = (np.ones(6), np.zeros(6)) if scale is None else (scale, offset)
    a, b = (vector.reshape(1, 6, 1, 1) for vector in by_channel)
    given = {"scale": scale, "offset": offset}
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
    grouped = _standard(x.reshape(4, 3, 2, 3, 5), (2, 3, 4)).reshape(x.shape)
    for made, expected in (
        (nn.batch_norm(x, mean, variance, **given), _standard(x, (0, 2, 3))),
        (nn.group_norm(x, 3, **given), grouped),
        (nn.group_norm(x, 1, **given), _standard(x, (1, 2, 3))),
        (nn.group_norm(x, 6, **given), _standard(x, (2, 3))),
        (nn.instance_norm(x, **given), _standard(x, (2, 3))),
    ):
        np.testing.assert_allclose(_value(made), expected * a + b, rtol=1e-9, atol=1e-9)


def test_layer_and_rms_norm_are_their_formulas(rng: np.random.Generator) -> None:
    x, w, c = rng.standard_normal((4, 6)), *rng.standard_normal((2, 6))
    np.testing.assert_allclose(_value(nn.layer_norm(x)), _standard(x, (1,)), rtol=1e-9)
    np.testing.assert_allclose(
        _value(nn.layer_norm(x, w, c)), _standard(x, (1,)) * w + c, rtol=1e-9, atol=1e-12
    )
    root = np.sqrt(np.mean(x**2, -1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(_value(nn.rms_norm(x)), x / root, rtol=1e-12)
    np.testing.assert_allclose(_value(nn.rms_norm(x, w)), x / root * w, rtol=1e-12)
    whole = np.sqrt(np.mean(x**2) + 1e-6)
    np.testing.assert_allclose(_value(nn.rms_norm(x, axis=0)), x / whole, rtol=1e-12)


def test_norms_of_half_precision_and_symbolic_sizes() -> None:
    x = gf.placeholder("x", ("n", 8, "h", "w"), gf.float16)
    for y in (nn.group_norm(x, 4), nn.instance_norm(x), nn.rms_norm(x), nn.layer_norm(x)):
        assert y.type is x.type
    assert x.graph.constraints == []
    # 300^2 overflows float16; its mean does not, in float32
    big = np.full((1, 4), 300.0, np.float16)
    np.testing.assert_allclose(_value(nn.rms_norm(big)), np.ones((1, 4)))


def test_norm_gradients(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (2, 4, 3), gf.float64)
    weights = gf.constant(rng.standard_normal((2, 4, 3)))
    feeds = {x: rng.standard_normal((2, 4, 3))}
    for y in (nn.group_norm(x, 2), nn.instance_norm(x), nn.rms_norm(x), nn.layer_norm(x)):
        check_gradients(gf.sum(y * weights), [x], feeds)
    mean, variance = nn.moments(x, (0, 2))
    check_gradients(gf.sum(nn.batch_norm(x, mean, variance) * weights), [x], feeds)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x: nn.group_norm(x, 3), ShapeError, "4 channels do not divide into 3 groups"),
        (lambda x: nn.group_norm(x, 0), AttributeValueError, "groups=0"),
        (lambda x: nn.group_norm(x, 2, scale=np.ones(3)), ShapeError, "one number for each channel"),
        (lambda x: nn.rms_norm(x, np.ones(4)), ShapeError, "[4] != [3]"),
        (lambda x: nn.instance_norm(x[0]), ShapeError, "needs spatial axes"),
        (lambda x: nn.layer_norm(x, axis=3), AttributeValueError, "axis 3"),
        (lambda x: nn.global_avg_pool(x[0]), ShapeError, "not of rank 2"),
    ],
)
def test_what_does_not_fit_is_refused(build: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        build(gf.placeholder("x", (2, 4, 3)))


# Pooling and convolution


def test_global_pools(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 4, 5))
    np.testing.assert_allclose(_value(nn.global_avg_pool(x)), x.mean((2, 3)), rtol=1e-12)
    np.testing.assert_array_equal(_value(nn.global_max_pool(x, keepdims=True)), x.max((2, 3), keepdims=True))


@pytest.mark.parametrize(
    ("spatial", "kernel", "options"),
    [
        ((5,), (3,), {}),
        ((4, 3), (3, 2), {"strides": 2}),
        ((4, 3), (3, 2), {"strides": (2, 3), "padding": ((1, 0), (0, 1)), "output_padding": (1, 2)}),
        ((4, 4), (3, 3), {"strides": 2, "padding": "same"}),
        ((4, 4), (2, 2), {"strides": 3, "padding": "same"}),
        ((5, 4), (3, 2), {"dilation": 2, "padding": 1}),
        ((2, 3, 2), (2, 1, 2), {"strides": 2}),
    ],
)
def test_conv_transpose_is_a_dilated_convolution(
    spatial: Any, kernel: Any, options: Any, rng: np.random.Generator
) -> None:
    """Against lax: a convolution with the flipped kernel of x, zeros put between its elements."""
    x, w = rng.standard_normal((2, 3, *spatial)), rng.standard_normal((3, 4, *kernel))
    made = nn.conv_transpose(x, w, **options)
    attrs = made.node.attrs
    flipped = np.flip(w, tuple(range(2, w.ndim))).swapaxes(0, 1)
    pads = []
    for size, k, step, gap, pair, out in zip(
        spatial, kernel, attrs.strides, attrs.dilation, attrs.padding, made.shape[2:]
    ):
        low = (k - 1) * gap - pair[0]
        pads.append((low, out + (k - 1) * gap - ((size - 1) * step + 1) - low))
    with jax.enable_x64(True):
        ones = (1,) * len(kernel)
        expected = lax.conv_general_dilated(
            jnp.asarray(x), jnp.asarray(flipped), ones, pads, attrs.strides, attrs.dilation
        )
    np.testing.assert_allclose(_value(made), expected, rtol=1e-10, atol=1e-10)
    if options.get("padding") == "same":
        assert made.shape[2:] == tuple(size * step for size, step in zip(spatial, attrs.strides))


def test_conv_transpose_undoes_the_shape_of_conv() -> None:
    x = gf.placeholder("x", ("n", 3, "h", 9))
    w = gf.placeholder("w", (8, 3, 3, 3))
    y = nn.conv(x, w, strides=2, padding=1)
    back = nn.conv_transpose(y, w, strides=2, padding=1)
    assert back.shape[0] is x.shape[0] and back.shape[1] == 3 and back.shape[3] == 9


@pytest.mark.parametrize("groups", [2])
def test_conv_transpose_groups(groups: int, rng: np.random.Generator) -> None:
    x, w = rng.standard_normal((1, 4, 3)), rng.standard_normal((4, 3, 2))
    made = _value(nn.conv_transpose(x, w, strides=2, groups=groups))
    halves = [_value(nn.conv_transpose(x[:, i : i + 2], w[i : i + 2], strides=2)) for i in (0, 2)]
    np.testing.assert_allclose(made, np.concatenate(halves, axis=1), rtol=1e-12)


@pytest.mark.parametrize("extra", [2, -1, (0, 0, 0)])
def test_output_padding_must_be_below_the_stride(extra: Any) -> None:
    x, w = gf.placeholder("x", (1, 3, 4, 4)), gf.placeholder("w", (3, 4, 3, 3))
    with pytest.raises(AttributeValueError, match="output_padding"):
        nn.conv_transpose(x, w, strides=2, output_padding=extra)
