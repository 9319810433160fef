"""Convolutions and products with weights in panels: the panels, the values, and what is refused."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from graphflow.ops.channels_last import channels_last_conv
from graphflow.ops.packed_conv import packed, packed_conv, unpacked
from graphflow.optimizer.analysis.cost import node_flops
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def run(*arrays: np.ndarray, **attrs: Any) -> np.ndarray:
    with gf.Graph():
        given = [gf.constant(array, allow_nan=True) for array in arrays]
        (made,) = evaluate([packed_conv(*given, **attrs)], {})
    return made


def convolved(x: np.ndarray, w: np.ndarray, lanes: int, *rest: np.ndarray, **attrs: Any) -> np.ndarray:
    """By panels of the weights."""
    panels = packed(w, attrs.get("groups", 1), lanes)
    return run(x, panels, *rest, kernel=w.shape[:-2], outputs=w.shape[-1], **attrs)


# Panels


@settings(max_examples=40, deadline=None)
@given(
    kernel=st.lists(st.integers(1, 3), max_size=2),
    channels=st.integers(1, 4),
    groups=st.integers(1, 3),
    outputs=st.integers(1, 9),
    lanes=st.integers(1, 8),
)
def test_unpacking_undoes_packing(
    kernel: list[int], channels: int, groups: int, outputs: int, lanes: int
) -> None:
    shape = (*kernel, channels, groups * outputs)
    weights = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    panels = packed(weights, groups, lanes)
    is_depthwise = channels == outputs == 1  # of each group: groups then lie side by side
    sides, wide = (1, groups) if is_depthwise else (groups, outputs)
    assert panels.shape == (sides, -(-wide // lanes), np.prod(kernel, dtype=int) * channels, lanes)
    assert panels.flags.c_contiguous and panels.dtype == weights.dtype
    np.testing.assert_array_equal(unpacked(panels, tuple(kernel), groups * outputs), weights)


def test_a_panel_holds_neighbouring_outputs_of_one_group_and_ends_in_zeros() -> None:
    weights = np.arange(12.0).reshape(2, 6)  # 2 numbers a window, 2 groups of 3 outputs
    panels = packed(weights, 2, 2)
    assert panels.tolist() == [
        [[[0, 1], [6, 7]], [[2, 0], [8, 0]]],
        [[[3, 4], [9, 10]], [[5, 0], [11, 0]]],
    ]


def test_panels_of_nothing() -> None:
    assert packed(np.zeros((3, 0), np.float32), 1, 4).shape == (1, 0, 3, 4)
    assert packed(np.zeros((0, 3), np.float32), 1, 4).shape == (1, 1, 0, 4)
    np.testing.assert_array_equal(run(draw(2, 0), np.zeros((1, 1, 0, 4), "f"), kernel=(), outputs=3), 0)


# Values


GEOMETRIES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 7, 6, 3), (3, 3, 3, 20), {"padding": ((1, 1), (1, 1))}),
    ((1, 9, 8, 8), (3, 2, 4, 6), {"strides": (2, 3), "groups": 2, "padding": ((2, 0), (0, 1))}),
    ((2, 9, 9, 4), (2, 3, 4, 5), {"dilation": (3, 2)}),
    ((3, 11, 4), (3, 4, 17), {"padding": ((1, 0),), "strides": (2,)}),
    ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    ((1, 2, 2, 5), (1, 1, 5, 3), {"padding": ((1, 1), (0, 3))}),
]


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize(("image", "weights", "attrs"), GEOMETRIES)
def test_it_is_the_convolution_with_bias_addend_and_bounds(
    image: tuple[int, ...], weights: tuple[int, ...], attrs: dict[str, Any], lanes: int
) -> None:
    x, w = draw(*image), draw(*weights)
    plain = channels_last_conv.reference(x.astype(float), w.astype(float), **_full(attrs, len(image) - 2))
    np.testing.assert_allclose(convolved(x, w, lanes, **attrs), plain, rtol=1e-4, atol=1e-4)
    bias, addend = draw(weights[-1]), draw(*plain.shape)
    given = {**attrs, "bias": True, "addend": True, "lower": -0.5, "upper": 0.75}
    made = convolved(x, w, lanes, bias, addend, **given)
    np.testing.assert_allclose(made, (plain + bias + addend).clip(-0.5, 0.75), rtol=1e-4, atol=1e-4)


def _full(attrs: dict[str, Any], axes: int) -> dict[str, Any]:
    default = {"strides": (1,) * axes, "dilation": (1,) * axes, "padding": ((0, 0),) * axes, "groups": 1}
    return {**default, **attrs}


def test_it_agrees_with_scipy() -> None:
    x, w = draw(1, 6, 7, 1), draw(3, 2, 1, 1)
    wanted = correlate(x[0, :, :, 0].astype(float), w[:, :, 0, 0].astype(float), "valid")
    np.testing.assert_allclose(convolved(x, w, 4)[0, :, :, 0], wanted, rtol=1e-4, atol=1e-5)


def test_rows_are_multiplied_by_the_matrix() -> None:
    x, w, bias = draw(5, 7), draw(7, 10), draw(10)
    made = run(x, packed(w, 1, 4), bias, kernel=(), outputs=10, bias=True)
    np.testing.assert_allclose(made, x.astype(float) @ w + bias, rtol=1e-5, atol=1e-5)


def test_nan_stays_and_infinities_are_bounded() -> None:
    x = np.array([[nan], [inf], [-inf], [-0.0], [5.0]], np.float32)
    one = packed(np.ones((1, 1), np.float32), 1, 4)
    made = run(x, one, kernel=(), outputs=1, lower=0.0, upper=6.0)[:, 0]
    np.testing.assert_array_equal(made, [nan, 6.0, 0.0, 0.0, 5.0])
    np.testing.assert_array_equal(run(x, one, kernel=(), outputs=1)[:, 0], x[:, 0])
    crossed = run(x, one, kernel=(), outputs=1, lower=2.0, upper=1.0)[:, 0]
    np.testing.assert_array_equal(crossed, [nan, 1.0, 1.0, 1.0, 1.0])


def test_nothing_of_the_zeros_of_a_panel_is_seen() -> None:
    x = np.array([[inf, nan]], np.float32)
    made = run(x, packed(np.ones((2, 3), np.float32), 1, 16), kernel=(), outputs=3)
    assert made.shape == (1, 3) and bool(np.isnan(made).all())


@pytest.mark.parametrize("rank", [2, 3, 4])
def test_the_expansion_has_the_same_values(rank: int) -> None:
    sizes = (6, 5)[: rank - 2]
    groups = 2 if sizes else 1
    w = draw(*(2, 3)[: rank - 2], 8 // groups, 10)
    x, bias = draw(2, *sizes, 8), draw(10)
    with gf.Graph():
        feed, panels = gf.placeholder("x", x.shape), gf.constant(packed(w, groups, 4))
        attrs = {"kernel": w.shape[:-2], "outputs": 10, "groups": groups, "padding": 1 if sizes else 0}
        plain = packed_conv(feed, panels, gf.constant(bias), bias=True, lower=0.0, upper=1.5, **attrs)
        lone = packed_conv(feed, panels, plain, addend=True, lower=-0.25, **attrs)
        program = extract([plain, lone], feeds=[feed])
    wanted = evaluate(program.outputs, {program.feeds[0]: x})
    made = optimize(program, pipeline="decompose{ops=packed_conv}", check=True)
    assert "packed_conv" not in [node.op.name for node in made.order()]
    for one, other in zip(evaluate(made.outputs, {made.feeds[0]: x}), wanted):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


# Types and refusals


def test_sizes_may_be_symbolic() -> None:
    x, panels = gf.placeholder("x", ("n", "h", 8, 4)), gf.placeholder("p", (1, 2, 36, 16))
    made = packed_conv(x, panels, kernel=(3, 3), outputs=20, padding="same", strides=(1, 2))
    assert str(made.type) == "float32[n, h, 4, 20]"


def test_operations_are_those_of_the_convolution() -> None:
    x, panels = gf.placeholder("x", (2, 8, 8, 4)), gf.placeholder("p", (2, 1, 18, 16))
    made = packed_conv(x, panels, kernel=(3, 3), outputs=12, groups=2)
    assert node_flops(made.node) == 2 * (2 * 6 * 6 * 12) * 18


@pytest.mark.parametrize(
    ("attrs", "kind", "said"),
    [
        ({"kernel": (), "outputs": 9}, ShapeError, "the panels do not fit"),
        ({"kernel": (), "outputs": 5, "bias": True}, ShapeError, "got 0 tensors after the panels"),
        ({"kernel": (), "outputs": 5, "groups": 5}, ShapeError, "groups for images alone"),
        ({"kernel": (3,), "outputs": 5}, AttributeValueError, "got kernel=(3,) for rows"),
        ({"kernel": (), "outputs": 5, "lower": nan}, AttributeValueError, "lower of packed_conv"),
        ({"kernel": (), "outputs": -1}, AttributeValueError, "outputs of packed_conv"),
    ],
)
def test_what_does_not_fit_is_refused(attrs: dict[str, Any], kind: type[Exception], said: str) -> None:
    x, panels = gf.placeholder("x", (4, 8)), gf.placeholder("p", (1, 2, 8, 4))
    with pytest.raises(kind) as caught:
        packed_conv(x, panels, **attrs)
    assert said in str(caught.value)


def test_operands_that_do_not_fit_are_refused() -> None:
    x, panels = gf.placeholder("x", (4, 8)), gf.placeholder("p", (1, 2, 8, 4))
    with pytest.raises(ShapeError, match="does not have the shape of the result"):
        packed_conv(x, panels, gf.placeholder("b", (6,)), kernel=(), outputs=5, bias=True)
    with pytest.raises(DTypeError, match="float64"):
        packed_conv(gf.placeholder("w", (4, 8), "float64"), panels, kernel=(), outputs=5)
    with pytest.raises(ShapeError, match="rank 2 to 4"):
        packed_conv(gf.placeholder("solid", (1, 4, 4, 4, 8)), panels, kernel=(1, 1, 1), outputs=5)
    with pytest.raises(ShapeError, match="panels of rank 4"):
        packed_conv(x, gf.placeholder("flat", (8, 5)), kernel=(), outputs=5)
    with pytest.raises(ShapeError, match="do not divide"):
        packed_conv(gf.placeholder("line", (1, 4, 8)), panels, kernel=(1,), outputs=5, groups=2)
