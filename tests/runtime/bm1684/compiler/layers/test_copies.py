"""The boxes and commands of movements, by carrying them out on numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.runtime.bm1684.compiler.layers import copies


def places(start, shape, strides):
    """The numbers of the elements that one side of a command covers."""
    grid = np.indices(tuple(shape))
    return start // 4 + sum(axis * stride for axis, stride in zip(grid, strides))


def carried_out(index):
    """For each element of the result the number that the commands bring there, and how many there are."""
    made, number = np.full(index.size, -7, np.int64), 0
    for piece in copies.pieces(np.ascontiguousarray(index)):
        for command in copies.commands(piece, 0, 0):
            number += 1
            assert max(command.destination_shape) <= 65_535
            to = places(command.destination, command.destination_shape, command.destination_strides)
            source = -1
            if not piece.filled:
                assert min(command.source_strides) >= 0
                source = places(command.source, command.source_shape, command.source_strides)
            made[to] = source
    return made.reshape(index.shape), number


X = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)


@pytest.mark.parametrize(
    "index,most",
    [
        (X.transpose(3, 1, 0, 2), 2),
        (np.flip(X, (1, 3)), 15),
        (np.roll(X, (1, 2), (1, 3)), 6),
        (np.pad(X, ((0, 0), (0, 0), (2, 2), (3, 3)), mode="edge"), 9),
        (np.tile(X, (2, 1, 3, 2)), 4),
        (X.repeat(2, 2).repeat(3, 3), 1),
        (X[:, :, ::3, 1::2], 1),
        (X[:, [0, 2, 1]], 2),
        (np.arange(200_000), 1),
        (np.arange(131_074), 2),
        (np.arange(140_002).reshape(-1, 2).T, 2),
        (np.arange(2 * 3 * 2 * 3 * 2 * 3 * 2).reshape(2, 3, 2, 3, 2, 3, 2).T, 16),
        (np.pad(X[0, 0], 1, constant_values=-1), 20),
    ],
)
def test_movements_take_few_commands(index, most):
    made, number = carried_out(index)
    np.testing.assert_array_equal(made, index)
    assert number <= most


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-1, 6), min_size=1, max_size=24), st.integers(1, 3))
def test_any_movement_is_carried_out(row, columns):
    index = np.array(row * columns).reshape(-1, columns)
    made, _ = carried_out(index)
    np.testing.assert_array_equal(made, index)


def test_scattered_elements_are_too_many():
    with pytest.raises(copies.TooScattered):
        copies.pieces(np.random.default_rng(0).permutation(9000), most=1000)


def test_count_is_what_commands_gives():
    for index in (np.flip(X, 1), X.transpose(3, 2, 1, 0), np.arange(131_074)):
        for piece in copies.pieces(np.ascontiguousarray(index)):
            assert copies.count(piece) == len(list(copies.commands(piece, 0, 0)))
