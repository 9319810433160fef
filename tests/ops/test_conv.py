"""Convolution: against a direct loop, against JAX, and where sizes or channels do not fit."""

from __future__ import annotations

import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

import graphflow as gf
from graphflow.autodiff.check import check_gradients
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, GraphFlowError, ShapeError
from graphflow.ir.builder import Builder
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate
from graphflow.ops.conv import conv, conv_input_gradient, conv_weight_gradient
from graphflow.runtime.jax import lower  # noqa: F401 (fills the table)
from graphflow.runtime.jax.lowering import LOWERINGS


def _loop(x: np.ndarray, w: np.ndarray, attrs: dict[str, Any]) -> np.ndarray:
    """The definition of the convolution, one product at a time."""
    strides, dilation, groups = attrs["strides"], attrs["dilation"], attrs["groups"]
    befores = [before for before, _ in attrs["padding"]]
    sizes = [
        (size + sum(pair) - (k - 1) * gap - 1) // step + 1
        for size, pair, k, gap, step in zip(
            x.shape[2:], attrs["padding"], w.shape[2:], dilation, strides, strict=True
        )
    ]
    y = np.zeros((x.shape[0], w.shape[0], *sizes))
    inner, outer = w.shape[1], w.shape[0] // groups
    for n, o, c in itertools.product(range(x.shape[0]), range(w.shape[0]), range(inner)):
        for p in itertools.product(*map(range, sizes)):
            for k in itertools.product(*map(range, w.shape[2:])):
                at = tuple(
                    pi * s + ki * d - b
                    for pi, s, ki, d, b in zip(p, strides, k, dilation, befores, strict=True)
                )
                if all(0 <= i < size for i, size in zip(at, x.shape[2:], strict=True)):
                    y[(n, o, *p)] += x[(n, (o // outer) * inner + c, *at)] * w[(o, c, *k)]
    return y


@st.composite
def _problems(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    count = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(count))

    kernel, dilation, strides = each(1, 3), each(1, 2), each(1, 3)
    before, after, extra = each(0, 2), each(0, 2), each(0, 3)
    sizes = tuple(
        max((k - 1) * d + 1 - b - a, 0) + 1 + e
        for k, d, b, a, e in zip(kernel, dilation, before, after, extra)
    )
    x = (draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), *sizes)
    w = (groups * draw(st.integers(1, 2)), x[1] // groups, *kernel)
    padding = tuple(zip(before, after))
    return x, w, {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}


@given(_problems(), st.integers(0, 2**32 - 1))
def test_values_are_those_of_a_direct_loop(problem: Any, seed: int) -> None:
    x_shape, w_shape, attrs = problem
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal(x_shape), rng.standard_normal(w_shape)
    expected = _loop(x, w, attrs)
    np.testing.assert_allclose(conv.reference(x, w, **attrs), expected, rtol=1e-12, atol=1e-12)
    g = rng.standard_normal(expected.shape)
    dx = conv_input_gradient.reference(g, w, input_shape=x_shape, **attrs)
    dw = conv_weight_gradient.reference(x, g, kernel_shape=w_shape, **attrs)
    # The form is linear in each argument, so all three give one number against the third.
    value = np.vdot(g, expected)
    np.testing.assert_allclose(np.vdot(dx, x), value, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(np.vdot(dw, w), value, rtol=1e-10, atol=1e-10)
    assert dx.shape == x.shape and dw.shape == w.shape


def _placed(shape: Any, dtype: Any = gf.float32, name: str = "x") -> gf.Tensor:
    return gf.placeholder(name, shape, dtype)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 5, 6, 7])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_same_padding_is_that_of_jax(stride: int, size: int, kernel: int) -> None:
    y = conv(_placed((1, 1, size)), _placed((1, 1, kernel), name="w"), strides=stride, padding="same")
    assert y.node.attrs.padding == tuple(lax.padtype_to_pads((size,), (kernel,), (stride,), "SAME"))
    assert y.shape == (1, 1, -(-size // stride))


@pytest.mark.parametrize(
    ("padding", "canonical"),
    [
        (1, ((1, 1), (1, 1))),
        ((1, 2), ((1, 1), (2, 2))),
        ([[0, 1], [2, 3]], ((0, 1), (2, 3))),
        ((1, (0, 2)), ((1, 1), (0, 2))),
        ("valid", ((0, 0), (0, 0))),
        ("SAME", ((1, 1), (1, 1))),
    ],
)
def test_padding_is_kept_as_pairs(padding: Any, canonical: Any) -> None:
    y = conv(_placed((1, 1, 8, 8)), _placed((1, 1, 3, 3), name="w"), padding=padding)
    assert y.node.attrs.padding == canonical
    assert y.node.attrs.strides == y.node.attrs.dilation == (1, 1)


def test_equal_calls_have_equal_attributes() -> None:
    x, w = _placed((2, 3, 8, 8)), _placed((4, 3, 3, 3), name="w")
    assert conv(x, w, padding="same").node.attrs == conv(x, w, (1, 1), 1, [1, 1]).node.attrs


def test_symbolic_sizes() -> None:
    x, w = _placed(("n", 3, "h", "w")), _placed((4, 3, 3, 3), name="w")
    n, _, h, width = x.shape
    assert conv(x, w, padding="same").shape == (n, 4, h, width)
    assert conv(x, w).shape == (n, 4, h - 2, width - 2)
    assert conv(x, w, strides=2, padding="same").shape == (n, 4, (h + 1) // 2, (width + 1) // 2)
    assert conv(x, w, strides=2, padding=1).shape == (n, 4, (h - 1) // 2 + 1, (width - 1) // 2 + 1)


@pytest.mark.parametrize("height", [5, 6, 7])
def test_symbolic_same_padding_becomes_the_static_one(height: int) -> None:
    from graphflow.optimizer.program import extract, specialize

    x, w = _placed((1, 1, "h")), gf.constant(np.ones((1, 1, 4)))
    y = conv(x, w, strides=3, padding="same")
    dx = gradients(gf.sum(y), [x])
    program = specialize(extract([y, *dx], feeds=[x]), {"h": height})
    value = np.arange(float(height)).reshape(1, 1, height).astype(np.float32)
    made = evaluate(program.outputs, {program.feeds[0]: value})
    attrs = {"strides": (3,), "padding": tuple(lax.padtype_to_pads((height,), (4,), (3,), "SAME"))}
    attrs |= {"dilation": (1,), "groups": 1}
    np.testing.assert_allclose(made[0], _loop(value, np.ones((1, 1, 4)), attrs))
    assert made[1].shape == (1, 1, height)
    assert program.outputs[0].shape == made[0].shape


def test_symbolic_channels_are_assumed_to_fit_and_noted() -> None:
    x = _placed((1, "c", 8))
    y = conv(x, _placed((4, 2, 3), name="w"), groups=2)
    assert y.shape == (1, 4, 6)
    assert [(left, right) for left, right, _ in x.graph.constraints] == [(4, x.shape[1])]


@pytest.mark.parametrize(
    ("x", "w", "attrs", "error", "message"),
    [
        ((1, 3, 8, 8), (4, 2, 3, 3), {}, ShapeError, "3 channels, but the kernel takes 2 x 1 groups"),
        ((1, 4, 8, 8), (3, 2, 3, 3), {"groups": 2}, ShapeError, "3 out channels do not divide into 2 groups"),
        ((1, 3, 8), (4, 3, 3, 3), {}, ShapeError, "kernel of 3 axes"),
        ((3, 8), (4, 3), {}, ShapeError, "1 to 3 spatial axes, not of rank 2"),
        ((1, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 1), {}, ShapeError, "not of rank 6"),
        ((1, 1, 2, 9), (1, 1, 3, 3), {}, ShapeError, "spatial axis 0, which has 2"),
        ((1, 1, 9), (1, 1, 5), {"dilation": 3}, ShapeError, "a window of 13 places"),
        ((1, 1, 9), (1, 1, 3), {"strides": 0}, AttributeValueError, "strides=0"),
        ((1, 1, 9), (1, 1, 3), {"strides": (1, 1)}, AttributeValueError, "1 spatial axes"),
        ((1, 1, 9), (1, 1, 3), {"strides": True}, AttributeValueError, "strides=True"),
        ((1, 1, 9), (1, 1, 3), {"padding": -1}, AttributeValueError, "padding=-1"),
        ((1, 1, 9), (1, 1, 3), {"padding": "full"}, AttributeValueError, "padding='full'"),
        ((1, 1, 9), (1, 1, 3), {"padding": ((1, 2, 3),)}, AttributeValueError, "padding"),
        ((1, 1, 9), (1, 1, 3), {"groups": 0}, AttributeValueError, "groups=0"),
        ((1, 1, 9), (1, 1, 3), {"stride": 2}, AttributeValueError, "did you mean 'strides'"),
    ],
)
def test_what_does_not_fit_is_refused(x: Any, w: Any, attrs: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        conv(_placed(x), _placed(w, name="w"), **attrs)
    assert caught.value.hint or caught.value.operands
    assert caught.value.origin.file == __file__


def test_booleans_and_complex_numbers_are_refused() -> None:
    for number, dtype in enumerate((gf.bool, gf.as_dtype("complex64"))):
        with pytest.raises(DTypeError, match="conv does not take"):
            conv(_placed((1, 1, 9), dtype, f"x{number}"), _placed((1, 1, 3), dtype, f"w{number}"))


def test_a_cotangent_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\[1, 4, 5\] != \[1, 4, 6\]"):
        conv_input_gradient(_placed((1, 4, 5)), _placed((4, 3, 3), name="w"), input_shape=(1, 3, 8))
    with pytest.raises(GraphFlowError, match="input_shape"):
        conv_input_gradient(_placed((1, 4, 5), name="y"), _placed((4, 3, 3), name="v"))


@pytest.mark.parametrize(
    "attrs", [{"strides": 2, "padding": ((1, 0), (0, 2))}, {"groups": 2, "dilation": (2, 1)}]
)
def test_gradients_of_gradients(attrs: Any, rng: np.random.Generator) -> None:
    x, w = _placed((2, 4, 6, 5), gf.float64), _placed((2, 4 // attrs.get("groups", 1), 3, 2), gf.float64, "w")
    y = gf.sum(gf.square(conv(x, w, **attrs)))
    dx, dw = gradients(y, [x, w])
    feeds = {x: rng.standard_normal(x.shape), w: rng.standard_normal(w.shape)}
    check_gradients(y, [x, w], feeds)
    check_gradients([dx, dw], [x, w], feeds)


def test_half_precision_is_summed_in_single() -> None:
    x, w = np.full((1, 4096, 1), 1.5, np.float16), np.ones((1, 4096, 1), np.float16)
    y = conv.reference(x, w, strides=(1,), padding=((0, 0),), dilation=(1,), groups=1)
    assert y.dtype == np.float16 and y.item() == 6144


# The XLA program


def _compiled_by_graph(attrs: dict[str, Any], x: np.ndarray, w: np.ndarray) -> Any:
    with Graph():
        first, second = _placed(x.shape), _placed(w.shape, name="w")
        b = Builder(first.graph)
        y = b.conv(first, second, **attrs)
        outputs = gradients(b.sum(b.multiply(y, y)), [first, second])

    def run(x: Any, w: Any) -> Any:
        values = {first: x, second: w}
        for node in first.graph.nodes:
            if node.outputs[0] in values:
                continue
            values[node.output] = (
                node.attrs["value"]
                if node.op.name == "constant"
                else LOWERINGS[node.op.name](*[values[one] for one in node.inputs], **node.attrs)
            )
        return [values[one] for one in outputs]

    return jax.jit(run).lower(x, w)


@pytest.mark.parametrize(
    "attrs",
    [
        {"padding": ((1, 1), (1, 1))},
        {"strides": (2, 2), "padding": ((0, 1), (1, 1))},
        {"groups": 2, "padding": ((1, 1), (1, 1)), "dilation": (2, 1)},
    ],
)
def test_the_gradient_compiles_to_the_convolutions_of_jax(attrs: Any, rng: np.random.Generator) -> None:
    groups = attrs.get("groups", 1)
    x = rng.standard_normal((4, 8, 9, 8)).astype(np.float32)
    w = rng.standard_normal((16, 8 // groups, 3, 3)).astype(np.float32)

    def loss(x: Any, w: Any) -> Any:
        y = lax.conv_general_dilated(
            x,
            w,
            attrs.get("strides", (1, 1)),
            attrs["padding"],
            rhs_dilation=attrs.get("dilation", (1, 1)),
            feature_group_count=groups,
        )
        return jnp.sum(y * y)

    ours = _compiled_by_graph(attrs, x, w)
    theirs = jax.jit(jax.grad(loss, (0, 1))).lower(x, w)

    def convolutions(lowered: Any) -> list[str]:
        lines = [line for line in lowered.as_text().splitlines() if "stablehlo.convolution" in line]
        return sorted(re.sub(r"%\w+", "%", line.split("=", 1)[1]) for line in lines)

    assert len(convolutions(ours)) == 3
    assert convolutions(ours) == convolutions(theirs)
    flops = [lowered.compile().cost_analysis()["flops"] for lowered in (ours, theirs)]
    assert flops[0] == pytest.approx(flops[1], rel=0.01)


def test_large_strides_are_fine_and_absurd_ones_are_refused() -> None:
    x = gf.placeholder("x", (1, 2, 8, 8))
    w = gf.constant(np.arange(36, dtype=np.float32).reshape(2, 2, 3, 3))
    fed = {x: np.arange(128.0).reshape(1, 2, 8, 8)}
    far, near = (gf.nn.conv(x, w, strides=step) for step in (2**40, 6))
    np.testing.assert_array_equal(*gf.Session(backend="numpy").run([far, near], fed))
    for wrong in ({"strides": 2**63}, {"strides": (1, 2**70)}, {"dilation": 2**63, "padding": "same"}):
        with pytest.raises(AttributeValueError, match="more than can be computed"):
            gf.nn.conv(x, w, **wrong)


def test_a_result_that_no_memory_holds_is_refused_by_jax() -> None:
    x, w = gf.placeholder("x", (1, 3, 8, 8)), gf.constant(np.ones((3, 4, 3, 3), np.float32))
    y = gf.nn.conv_transpose(x, w, strides=2**40)
    with pytest.raises(gf.BackendError, match="more than 64 bits count"):
        gf.Session(backend="jax").run(gf.sum(y), {x: np.ones((1, 3, 8, 8))})


@pytest.mark.parametrize("dilation", [1, 2])
def test_a_kernel_of_no_places_covers_nothing(dilation: int) -> None:
    x, w = gf.constant(np.ones((1, 2, 5), np.float32)), gf.constant(np.ones((3, 2, 0), np.float32))
    (made,) = evaluate([gf.nn.conv(x, w, dilation=dilation)])
    np.testing.assert_array_equal(made, np.zeros((1, 3, 6), np.float32))


@pytest.mark.parametrize("groups", [1, 8])
def test_operands_that_lie_in_another_way_give_the_same_bits(groups):
    """Folded constants lie in the order of their axes, so that no rounding may hang on how others lie."""
    rng = np.random.default_rng(groups)
    shapes = (2, 8, 30, 30), (8, 8 // groups, 3, 3), (2, 8, 28, 28)
    x, w, g = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    with gf.Graph():
        fed = [gf.placeholder(name, shape) for name, shape in zip("xwg", shapes)]
        y = gf.nn.conv(*fed[:2], groups=groups)
        nodes = [one.node for one in (y, *gf.gradients(y, fed[:2], fed[2]))]
    turned = [np.ascontiguousarray(one.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for one in (w, g)]
    spread = [np.broadcast_to(one[:, :, :1, :1], one.shape) for one in (w, g)]
    for other in (turned, spread):
        values = dict(zip(fed, (x, *other)))
        for node in nodes:
            operands = [values[tensor] for tensor in node.inputs]
            plain = [np.ascontiguousarray(value) for value in operands]
            made = node.op.reference(*operands, **node.attrs)
            np.testing.assert_array_equal(made, node.op.reference(*plain, **node.attrs))


def test_kernels_made_by_broadcasting_are_folded_without_a_change():
    x = np.random.default_rng(0).standard_normal((1, 8, 30, 30)).astype(np.float32)
    with gf.Graph():
        fed = gf.placeholder("x", x.shape)
        y = gf.nn.conv(fed, gf.broadcast_to(gf.constant(np.float32(0.02)), (8, 1, 3, 3)), groups=8)
        wanted = [y, *gf.gradients(gf.sum(y), [fed])]
        found = [gf.Session(backend="numpy", level=level).run(wanted, {fed: x}) for level in ("O0", "O1")]
    for one, other in zip(*found):
        np.testing.assert_array_equal(one, other)
