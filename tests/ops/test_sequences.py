"""Reversed sequences: against a loop, symbolic sizes, their own transpose, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.builder import Builder
from graphflow.ir.interpret import evaluate
from graphflow.ops.declare import placeholder
from graphflow.ops.sequences import reverse_sequence
from tests.ops.symbolic import run


def _reversed(x: np.ndarray, lengths: list[int], time: int, batch: int) -> np.ndarray:
    result = x.copy()
    for entry, length in enumerate(lengths):
        length = min(max(length, 0), x.shape[time])
        index: list = [slice(None)] * x.ndim
        index[batch] = slice(entry, entry + 1)
        index[time] = slice(0, length)
        result[tuple(index)] = np.flip(x[tuple(index)], time)
    return result


@pytest.mark.parametrize(("time", "batch"), [(0, 1), (1, 0), (2, 0), (-1, -2), (1, 3), (3, 1)])
def test_against_a_loop(time, batch, rng) -> None:
    x = rng.normal(size=(3, 4, 5, 6))
    lengths = rng.integers(-1, 8, x.shape[batch])
    y = reverse_sequence(x, lengths, time_axis=time, batch_axis=batch)
    parts = y.node.op.decompose(Builder(y.graph), y.node)
    for made in evaluate([y, *parts]):
        np.testing.assert_array_equal(made, _reversed(x, lengths, time % 4, batch % 4))


def test_symbolic_sizes_and_the_gradient(rng) -> None:
    x, lengths = placeholder("x", ("t", "n", 2)), placeholder("lengths", ("n",), gf.uint8)
    weights = placeholder("w", ("t", "n", 2))
    y = reverse_sequence(x, lengths)
    data = rng.normal(size=(4, 3, 2)).astype(np.float32)
    grown = rng.normal(size=(4, 3, 2)).astype(np.float32)
    counts = np.array([4, 0, 3], np.uint8)
    feeds = {x: data, lengths: counts, weights: grown}
    value, slope = run([y, *gradients([y], [x], [weights])], feeds, t=4, n=3)
    np.testing.assert_array_equal(value, _reversed(data, counts.tolist(), 0, 1))
    np.testing.assert_array_equal(slope, _reversed(grown, counts.tolist(), 0, 1))


@pytest.mark.parametrize(
    ("lengths", "options", "error"),
    [
        ([1, 2], {}, ShapeError),
        ([[1, 2, 3]], {}, ShapeError),
        ([1.0, 2.0, 3.0], {}, DTypeError),
        ([1, 2, 3], {"time_axis": 1}, AttributeValueError),
        ([1, 2, 3], {"time_axis": 2}, AttributeValueError),
    ],
)
def test_refusals(lengths, options, error) -> None:
    with pytest.raises(error):
        reverse_sequence(placeholder("x", (4, 3)), lengths, **options)
