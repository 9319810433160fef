"""Slices against NumPy's, with known and with symbolic sizes; unslice as their transpose."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir.dims import Dim, substitute
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate
from graphflow.ops.arrange import concat
from graphflow.ops.declare import placeholder
from graphflow.ops.slicing import slice_, unslice
from tests.ops.symbolic import run

BOUNDS = st.none() | st.integers(-9, 9)
STEPS = st.integers(-4, 4).filter(bool)


def _fed(size: int | str, count: int, name: str):
    return placeholder(name, (size,)), np.arange(1, count + 1, dtype=np.float32)


@hypothesis.settings(max_examples=300)
@hypothesis.given(size=st.integers(0, 7), start=BOUNDS, stop=BOUNDS, step=STEPS)
def test_slices_are_those_of_numpy(size: int, start: int | None, stop: int | None, step: int) -> None:
    with Graph():
        fixed, data = _fed(size, size, "fixed")
        symbolic, _ = _fed("n", size, "symbolic")
        expected = data[start:stop:step]
        (value,) = evaluate([slice_(fixed, start, stop, step)], {fixed: data})
        np.testing.assert_array_equal(value, expected)
        sliced = slice_(symbolic, start, stop, step)
        loss = gradients([sliced], [symbolic])
        value, gradient = run([sliced, *loss], {symbolic: data}, n=size)
        np.testing.assert_array_equal(value, expected)
        transposed = np.zeros_like(data)
        transposed[start:stop:step] = 1
        np.testing.assert_array_equal(gradient, transposed)


def test_equal_positions_have_equal_attributes() -> None:
    x = placeholder("x", (6,))
    first = slice_(x, -2, 100).node.attrs
    assert first == slice_(x, 4, None).node.attrs == slice_(x, (4,), (6,), (1,), (0,)).node.attrs
    assert slice_(x, 1, 4, 2).node.attrs == slice_(x, 1, 5, 2).node.attrs
    assert slice_(x, 5, 2).node.attrs == slice_(x, 3, 3, -1).node.attrs
    assert slice_(x, 2, 3, 7).node.attrs == slice_(x, 2, 1, -7).node.attrs


def test_canonical_attributes_are_canonical() -> None:
    for shape, attrs in [
        ((5,), {"starts": 4, "stops": None, "steps": -2}),
        (("n",), {"starts": -3, "stops": -1}),
        (("n", 4), {"starts": (None, 3), "stops": (None, 0), "steps": (-1, -3)}),
    ]:
        x = placeholder(f"x{len(shape)}{shape[0]}", shape)
        node = slice_(x, **attrs).node
        assert slice_(x, **node.attrs).node.attrs == node.attrs


def test_bounds_of_a_dim_make_simple_sizes() -> None:
    x = placeholder("x", (Dim("n", min=3),))
    assert str(slice_(x, 1, None).shape[0]) == "n - 1"
    assert str(slice_(x, None, -2).shape[0]) == "n - 2"
    assert slice_(x, -3, None).shape == (3,)
    assert slice_(x, None, 2).shape == (2,)


def test_symbolic_positions_mean_themselves() -> None:
    n, k = Dim("n"), Dim("k")
    x = placeholder("x", (n,))
    before = len(x.graph.constraints)
    assert slice_(x, n // 2, n).shape == (n - n // 2,)
    assert slice_(x, 0, n).shape == (n,)
    part = slice_(x, 0, k)
    assert part.shape == (k,)
    assert len(x.graph.constraints) > before, "k <= n is to be checked when the sizes arrive"
    with pytest.raises(ShapeError, match="outside"):
        slice_(x, n + 1, None)


def test_unslice_is_the_transpose(rng) -> None:
    x = placeholder("x", (7, 5))
    y = slice_(x, (6, 1), (None, 4), (-3, 2))
    cut, whole = rng.normal(size=y.shape).astype(np.float32), rng.normal(size=x.shape).astype(np.float32)
    g = placeholder("g", y.shape)
    attrs = {name: y.node.attrs[name] for name in ("starts", "stops", "steps")}
    back = unslice(g, x.shape, **attrs)
    value, spread = evaluate([y, back], {x: whole, g: cut})
    assert np.vdot(value, cut) == pytest.approx(np.vdot(whole, spread), rel=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: slice_(x, (0,), (1,), (0,), axes=(0,)),
        lambda x: slice_(x, (0, 0, 0), (1, 1, 1)),
        lambda x: slice_(x, (0, 0), (1, 1), axes=(1, -1)),
        lambda x: slice_(x, (0,), (1,), axes=(2,)),
        lambda x: slice_(x, (0.5, 0), (1, 1)),
        lambda x: slice_(x, (True, 0), (1, 1)),
        lambda x: slice_(x, (0, 0), (1, 1), (Dim("s"), 1)),
    ],
)
def test_bad_slices_are_refused(make) -> None:
    with pytest.raises(AttributeValueError):
        make(placeholder("x", (3, 4)))


def test_unslice_checks_its_operand() -> None:
    with pytest.raises(ShapeError, match=r"has shape \[3\]"):
        unslice(placeholder("x", (2,)), (5,), (0,), (5,), (2,))


@hypothesis.settings(max_examples=200)
@hypothesis.given(st.lists(st.tuples(BOUNDS, BOUNDS, STEPS), min_size=2, max_size=4), st.integers(0, 12))
def test_sizes_of_slices_of_slices(cuts: list[tuple[int | None, int | None, int]], size: int) -> None:
    positions, n = range(size), Dim("n")
    with Graph():
        x = placeholder("x", (n,))
        for cut in cuts:
            x, positions = slice_(x, *cut), positions[slice(*cut)]
    assert substitute(x.shape[0], {"n": size}) == len(positions)


@pytest.mark.parametrize("cut", [(1, -1, 2), (1, None, 1), (None, -1, 1), (-5, None, 1), (None, None, -2)])
def test_sizes_of_many_slices_stay_short(cut: tuple) -> None:
    x = placeholder("x", ("n",))
    for _ in range(100):
        x = slice_(x, *cut)
    assert len(str(x.shape[0])) < 3000


def test_a_size_that_doubles_at_each_step_is_refused_in_time() -> None:
    x = placeholder("x", ("n",))
    with pytest.raises(ShapeError, match="too long to follow") as caught:
        for _ in range(100):
            x = concat([slice_(x, None, None, 2), slice_(x, 1, 3)])
    assert len(str(caught.value)) < 2000
