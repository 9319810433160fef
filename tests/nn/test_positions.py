"""Rotary embeddings, waves and distance penalties, against the onnx package's cases and their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow import nn
from graphflow.autodiff.check import check_gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.onnx_cases import Case, cases

ROTARY = cases("rotaryembedding", "RotaryEmbedding")


def _value(tensor: gf.Tensor, feeds: Any = None) -> np.ndarray:
    return evaluate([tensor], feeds or {})[0]


def test_the_cases_are_there() -> None:
    assert len(ROTARY) >= 8


@pytest.mark.parametrize("case", ROTARY, ids=lambda case: case.name)
def test_rotary_embedding_is_that_of_onnx(case: Case) -> None:
    x, cos, sin, positions = [*case.inputs, None][:4]
    options = case.attributes
    made = nn.rotary_embedding(
        x,
        cos,
        sin,
        positions,
        interleaved=bool(options.get("interleaved", 0)),
        dim=options.get("rotary_embedding_dim", 0) or None,
        heads=options.get("num_heads"),
    )
    np.testing.assert_allclose(_value(made), case.outputs[0], rtol=1e-6, atol=1e-6)
    assert made.shape == case.outputs[0].shape


@pytest.mark.parametrize("interleaved", [False, True])
def test_products_of_turned_vectors_depend_on_the_distance(
    interleaved: bool, rng: np.random.Generator
) -> None:
    q, k = rng.standard_normal((2, 1, 6))
    tables = nn.rotary_tables(np.arange(40), 6, base=50.0, dtype=gf.float64)
    turned = [
        _value(nn.rotary_embedding(np.repeat(one, 40, axis=0), *tables, interleaved=interleaved))
        for one in (q, k)
    ]
    products = turned[0] @ turned[1].T
    for distance in (-7, 0, 5):
        along = np.diagonal(products, distance)
        np.testing.assert_allclose(along, along[0], rtol=1e-9)
    assert not np.isclose(products[0, 0], products[0, 5])


def test_a_turn_keeps_lengths_and_has_a_gradient(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (2, 3, 5, 8), gf.float64)
    value = rng.standard_normal((2, 3, 5, 8))
    positions = gf.placeholder("positions", (2, 5), gf.int32)
    tables = nn.rotary_tables(9, 4, dtype=gf.float64)
    y = nn.rotary_embedding(x, *tables, positions, dim=4)
    feeds = {x: value, positions: rng.integers(0, 9, (2, 5)).astype(np.int32)}
    made = _value(y, feeds)
    np.testing.assert_array_equal(made[..., 4:], value[..., 4:])
    np.testing.assert_allclose(
        np.sum(made[..., :4] ** 2, axis=-1), np.sum(value[..., :4] ** 2, axis=-1), rtol=1e-12
    )
    check_gradients(gf.sum(y**3), [x], feeds)


def test_tables_of_sizes_and_of_positions() -> None:
    positions = np.array([[0.0, 3.5], [7.0, 2.0]])
    cos, sin = nn.rotary_tables(positions, 6, base=100.0, dtype=gf.float64)
    angles = positions[..., None] * 100.0 ** (-np.arange(0, 6, 2) / 6)
    np.testing.assert_allclose(_value(cos), np.cos(angles), rtol=1e-14)
    np.testing.assert_allclose(_value(sin), np.sin(angles), rtol=1e-14)
    by_size, by_range = nn.rotary_tables(5, 4)[1], nn.rotary_tables(np.arange(5), 4)[1]
    np.testing.assert_array_equal(_value(by_size), _value(by_range))
    assert nn.rotary_tables(gf.Dim("n"), 4)[0].type == nn.rotary_tables("n", 4)[1].type


def test_waves_are_those_of_the_paper() -> None:
    made = _value(nn.sinusoidal_positions(11, 6, dtype=gf.float64))
    for position in range(11):
        for i in range(3):
            angle = position / 10000 ** (2 * i / 6)
            np.testing.assert_allclose(made[position, 2 * i], np.sin(angle), atol=1e-15)
            np.testing.assert_allclose(made[position, 2 * i + 1], np.cos(angle), atol=1e-15)
    assert nn.sinusoidal_positions(4, 0).shape == (4, 0)


@pytest.mark.parametrize(
    ("heads", "rates"),
    [(1, [2.0**-8]), (2, [2.0**-4, 2.0**-8]), (3, [2.0**-4, 2.0**-8, 2.0**-2]), (8, 2.0 ** -np.arange(1, 9))],
)
def test_alibi(heads: int, rates: Any) -> None:
    made = _value(nn.alibi_bias(heads, 2, 4, offset=1))
    distance = np.abs(np.arange(1, 3)[:, None] - np.arange(4))
    np.testing.assert_allclose(made, -np.asarray(rates)[:, None, None] * distance, rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda x: nn.rotary_embedding(x, *nn.rotary_tables(5, 6)), ShapeError, "takes tables of 4 columns"),
        (lambda x: nn.rotary_embedding(x, *nn.rotary_tables(5, 8), dim=3), ShapeError, "must be even, not 3"),
        (lambda x: nn.rotary_embedding(x, *nn.rotary_tables(5, 8), dim=12), ShapeError, "12 of 8 features"),
        (lambda x: nn.rotary_embedding(x, *nn.rotary_tables(4, 8)), ShapeError, "do not broadcast"),
        (lambda x: nn.rotary_embedding(gf.constant([1]), *nn.rotary_tables(4, 8)), DTypeError, "int32"),
        (
            lambda x: nn.rotary_embedding(x, *nn.rotary_tables(np.ones((2, 3, 5)), 8)),
            ShapeError,
            "a table of rank 4",
        ),
        (
            lambda x: nn.rotary_embedding(x, *nn.rotary_tables(np.ones((2, 5)), 8), positions=np.zeros(5)),
            ShapeError,
            "not rank 3",
        ),
        (lambda x: nn.rotary_tables(5, 7), ShapeError, "must be even, not 7"),
        (lambda x: nn.rotary_tables(5, 8, base=0), AttributeValueError, "base"),
        (lambda x: nn.rotary_tables(5, 8, dtype=gf.float16), DTypeError, "float16"),
        (lambda x: nn.sinusoidal_positions(5, 3), ShapeError, "even, not 3"),
        (lambda x: nn.rotary_tables(5, 10**18), AttributeValueError, "cannot be 1000000000000000000"),
        (lambda x: nn.alibi_bias(10**18, 2, 2), AttributeValueError, "at most 1000000"),
        (lambda x: nn.alibi_bias(0, 2, 2), AttributeValueError, "at least 1"),
        (lambda x: nn.alibi_bias(2, 2, 2, offset=0.5), DTypeError, "an integer"),
        (lambda x: nn.alibi_bias(2, 2, 2, dtype=gf.int32), DTypeError, "gives floats"),
    ],
)
def test_refusals(build: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(gf.placeholder("x", (2, 3, 5, 8)))
