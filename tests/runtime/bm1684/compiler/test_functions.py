"""Element-wise operators, reductions, softmax and norms through a session, against the numpy backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import BackendError
from graphflow.ir.opdef import registry
from graphflow.runtime.bm1684.compiler.legalize import LEGAL
from graphflow.runtime.bm1684.compiler.legalize.activation import RECIPES
from graphflow.runtime.bm1684.compiler.legalize.context import REASONS

POSITIVE = {"log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sqrt"}
PAIRS = [
    ((3,), (3,)),
    ((2, 5), (5,)),
    ((20, 7), (20, 1)),
    ((2, 3, 9), (2, 1, 1)),
    ((1, 70, 3, 5), (70, 1, 1)),
    ((2, 70, 3, 5), (2, 1, 3, 5)),
    ((2, 2, 3, 4, 5), (3, 1, 1)),
]
REDUCED = [
    ((7,), (0,)),
    ((2, 5), (0,)),
    ((20, 7), (1,)),
    ((2, 3, 9), (1,)),
    ((2, 70, 3, 5), (2, 3)),
    ((2, 70, 3, 5), (1,)),
    ((2, 70, 3, 5), (0, 2, 3)),
    ((2, 70, 3, 5), (2,)),
    ((2, 2, 3, 4, 5), (1, 3)),
    ((1, 1, 5), (0, 1)),
    ((1, 3000), (0, 1)),
]

KNOWN = {"placeholder", "constant", "variable"}
"""What is no command at all."""


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def agree(build: Callable[..., Any], *given: np.ndarray, tolerance: float = 1e-5) -> None:
    """Asserts that both backends give the same for a function of fed tensors, relative to the largest."""
    graph = gf.Graph()
    with graph:
        fed = [gf.placeholder(f"x{index}", one.shape) for index, one in enumerate(given)]
        made = build(*fed)
    feeds = dict(zip(fed, given))
    with gf.Session(graph, backend="numpy") as session:
        wanted = session.run(made, feeds)
    with gf.Session(graph, backend="bm1684") as session:
        got = session.run(made, feeds)
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    scale = max(1.0, float(np.abs(wanted).max()))
    assert float(np.abs(got - wanted).max()) <= tolerance * scale


@pytest.mark.parametrize("name", RECIPES)
def test_functions(name: str) -> None:
    for shape in ((20, 7), (1, 70, 3, 5)):
        x = 2 * normal(*shape)
        agree(registry[name], np.abs(x) + np.float32(0.1) if name in POSITIVE else x)


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "maximum", "logaddexp"])
def test_operands_are_broadcast(name: str) -> None:
    operator = registry[name]
    for index, (left, right) in enumerate(PAIRS):
        one, other = (left, right) if index % 2 else (right, left)
        agree(lambda x, y: operator(x, gf.abs(y) + 1), normal(*one), normal(*other))


@pytest.mark.parametrize("name", ["equal", "greater", "greater_equal", "less", "less_equal", "not_equal"])
def test_choices_by_comparisons(name: str) -> None:
    operator = registry[name]
    for left, right in PAIRS[3:5]:
        x, y = np.rint(normal(*left)), np.rint(normal(*right))
        agree(lambda x, y: gf.where(operator(x, y), x, 3 * y), x, y, tolerance=0)


def test_truths_are_joined_counted_and_masked() -> None:
    x = normal(4, 9)
    agree(
        lambda x: gf.where(gf.logical_and(gf.greater(x, -0.5), gf.logical_not(gf.greater(x, 0.5))), x, 0), x
    )
    agree(lambda x: gf.sum(gf.astype(gf.greater(x, 0.5), "float32"), axis=1), x)
    agree(lambda x: gf.where(gf.any(gf.greater(x, 1.5), axis=1, keepdims=True), x, 0), x)
    causal = np.tril(np.ones((9, 9))) > 0
    agree(lambda x: gf.nn.softmax(gf.where(gf.constant(causal), x, -np.inf)), normal(2, 4, 9, 9))


@pytest.mark.parametrize("exponent", [0, 2, 3, 7, -1, 0.5, -0.5, 1.5, 2.3])
def test_powers(exponent: float) -> None:
    agree(lambda x: gf.pow(x, exponent), np.abs(normal(3, 70)) + np.float32(0.1))


def test_bounds_and_slopes() -> None:
    x = 5 * normal(2, 4, 9, 9)
    agree(lambda x: gf.minimum(gf.maximum(x, 0), 6), x, tolerance=0)
    slopes = np.abs(normal(4, 1, 1))
    agree(lambda x: gf.maximum(x, 0) + gf.constant(slopes) * gf.minimum(x, 0), x)
    agree(lambda x: gf.nn.gelu(x, approximate=True), x)
    agree(lambda x: gf.pow(gf.constant(np.float32(2)), x), x)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod", "logsumexp"])
def test_reductions(name: str) -> None:
    operator = registry[name]
    for shape, axes in REDUCED:
        x = np.abs(normal(*shape)) ** np.float32(0.02) if name == "prod" else normal(*shape)
        agree(partial(operator, axis=axes), x, tolerance=3e-6)
    agree(lambda x: gf.tanh(x) - operator(gf.tanh(x), axis=(2, 3), keepdims=True), normal(2, 70, 3, 5))


def test_long_rows_are_brought_together_in_steps() -> None:
    agree(lambda x: gf.sum(x), normal(3, 100, 500), tolerance=1e-6)
    agree(lambda x: gf.mean(x, axis=1), normal(1, 4000, 30))
    with pytest.raises(BackendError, match="32771 elements together"):
        agree(lambda x: gf.sum(x), normal(32771))


@pytest.mark.parametrize("shape", [(7,), (20, 7), (2, 70, 3, 5)])
def test_softmax_and_layer_norm_along_any_axis(shape: tuple[int, ...]) -> None:
    for axis in range(len(shape)):
        agree(partial(gf.nn.softmax, axis=axis), 5 * normal(*shape))
        agree(partial(gf.nn.log_softmax, axis=axis), 5 * normal(*shape))
        agree(normalized(axis), 3 * normal(*shape) + 2)


def normalized(axis: int) -> Callable[..., Any]:
    """A layer norm with scale and offset from an axis on."""

    def build(x: Any) -> Any:
        vector = normal(*x.shape[axis:])
        return layer_norm(x, gf.constant(vector), gf.constant(-vector), axis)

    return build


def layer_norm(x: Any, scale: Any, offset: Any, axis: int) -> Any:
    return gf.ops.normalization.layer_normalization(x, scale, offset, axis=axis)


def test_other_norms() -> None:
    x, c = normal(2, 16, 5, 7), [np.abs(normal(16)) + np.float32(0.1) for _ in range(4)]
    agree(lambda x: gf.nn.group_norm(x, 4, gf.constant(c[0]), gf.constant(c[1])), x)
    agree(lambda x: gf.nn.instance_norm(x, gf.constant(c[0]), gf.constant(c[1])), x)
    agree(lambda x: gf.nn.rms_norm(x, gf.constant(normal(33))), normal(2, 9, 33))
    agree(lambda x: gf.ops.normalization.batch_normalization(x, *map(gf.constant, c)), x)
    agree(lambda x, s, o: layer_norm(x, s, o, 2), normal(2, 9, 3, 5), normal(3, 5), normal(3, 5) + 1)
    agree(lambda x: gf.nn.group_norm(x, 4), normal(1, 16, 60, 61))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda x: gf.argmax(x, axis=1), "it gives places"),
        (lambda x: gf.greater(x, 0), "is fetched as bool"),
        (lambda x: gf.pow(x, x), "both its base and its exponent are computed"),
        (lambda x: gf.is_nan(x), "NaN or infinities"),
        (lambda x: gf.fmod(x, 2), "would have to be exact"),
    ],
)
def test_what_the_chip_cannot_do_is_said(build: Callable[..., Any], reason: str) -> None:
    with pytest.raises(BackendError, match=reason):
        agree(build, normal(4, 9))


def test_every_operator_has_commands_an_expansion_or_a_reason() -> None:
    assert set(REASONS) <= {op.name for op in registry}
    silent = [op.name for op in registry if op.name not in LEGAL and op.decompose is None]
    assert not set(silent) - set(REASONS) - KNOWN
