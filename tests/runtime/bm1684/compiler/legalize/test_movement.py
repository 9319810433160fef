"""Movements on the chip give the same elements as the reference, for sizes that fill lanes and do not."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import BackendError
from graphflow.optimizer.program import extract
from graphflow.runtime.bm1684.compiler.layers.movement import Enlarged, Fetched, Joined, Part
from graphflow.runtime.bm1684.compiler.legalize import Legalizer
from tests.runtime.bm1684.compiler.legalize.comparing import assert_same

CHANNELS = (1, 63, 65, 130)


def layers_of(build, *shapes):
    """The kinds of layers that a graph becomes."""
    with gf.Graph():
        inputs = [gf.placeholder(f"x{number}", shape) for number, shape in enumerate(shapes)]
        made = build(*inputs)
    legalizer = Legalizer()
    legalizer.run(extract([made], feeds=inputs, training=False))
    assert not legalizer.refusals
    return [type(layer) for layer in legalizer.layers]


@pytest.mark.parametrize("channels", CHANNELS)
def test_concat_of_channels_begins_on_any_lane(channels):
    assert_same(lambda a, b: gf.concat([a, b, a], axis=1), (3, channels, 3, 5), (3, 7, 3, 5))


@pytest.mark.parametrize("axis", range(4))
def test_concat_along_every_axis(axis):
    shapes = [[2, 5, 3, 4], [2, 5, 3, 4]]
    shapes[1][axis] = 1
    assert_same(lambda a, b: gf.concat([a, b], axis=axis), *map(tuple, shapes))


def test_concat_of_what_takes_more_than_four_axes_goes_through_ddr():
    assert_same(lambda a, b: gf.concat([a, b], axis=1), (2, 2, 5, 3, 4), (2, 1, 5, 3, 4))


def test_concat_within_a_group_stays_in_local_memory():
    assert layers_of(lambda a, b: gf.concat([a, b], axis=1), (1, 3, 4, 4), (1, 70, 4, 4)) == [Joined]
    assert_same(lambda a: gf.nn.relu(gf.concat([gf.nn.relu(a), -a], axis=1)), (2, 3, 5, 6))


@pytest.mark.parametrize("channels", CHANNELS)
def test_slices_with_steps(channels):
    assert_same(lambda a: gf.nn.relu(a)[:, channels // 2 : channels, 1:, ::2], (3, channels, 4, 5))
    assert_same(lambda a: a[:, ::-1, 1:4:2], (2, channels, 6))


def test_a_slice_is_a_part_of_a_tile():
    assert layers_of(lambda a: a[:, 1:3, ::2], (2, 4, 5, 6)) == [Part]
    assert layers_of(lambda a: a[:, ::2], (2, 4, 5, 6)) == [Fetched]


@pytest.mark.parametrize("axes", [(0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 2, 3), (0, 2, 1, 3), (0, 1, 3, 2)])
@pytest.mark.parametrize("channels", (1, 65))
def test_permutations(axes, channels):
    assert_same(lambda a: gf.permute_dims(a, axes), (3, channels, 4, 5))


def test_permutations_of_more_than_four_axes():
    assert_same(lambda a: gf.permute_dims(a, (0, 3, 1, 4, 2, 5)), (2, 2, 3, 2, 4, 3))
    assert_same(lambda a: gf.nn.depth_to_space(a, 2), (2, 12, 3, 4))
    assert_same(lambda a: gf.nn.space_to_depth(a, 2), (2, 3, 4, 6))


@pytest.mark.parametrize("channels", (1, 130))
@pytest.mark.parametrize("mode", ("constant", "reflect", "edge"))
def test_pads(channels, mode):
    pads = ((0, 0), (0, 0), (2, 1), (1, 3))
    assert_same(lambda a: gf.pad(a, pads, mode=mode), (2, channels, 4, 5))


def test_pads_by_a_value_on_all_axes():
    assert_same(lambda a: gf.pad(a, ((1, 0), (1, 2), (0, 1), (3, 0)), value=-1.5), (2, 3, 4, 5))


@pytest.mark.parametrize("channels", CHANNELS)
def test_nearest_upsampling(channels):
    assert_same(lambda a: gf.nn.upsample(gf.nn.relu(a), 2), (3, channels, 4, 5))


def test_nearest_upsampling_stays_in_local_memory():
    assert layers_of(lambda a: gf.nn.upsample(a, (2, 3)), (1, 3, 4, 4)) == [Enlarged]


def test_repetitions():
    assert_same(lambda a: gf.tile(a, (1, 2, 3, 2)), (2, 3, 5, 6))
    assert_same(lambda a: gf.repeat(a, 3, axis=1), (2, 3, 5, 6))
    assert_same(lambda a: gf.broadcast_to(a, (2, 65, 4, 7)), (1, 65, 1, 7))


def test_flips_and_rolls():
    assert_same(lambda a: gf.flip(a, (1, 3)), (1, 3, 5, 6))
    assert_same(lambda a: gf.roll(a, (1, -2), (1, 3)), (2, 3, 5, 6))


def test_stack_and_split():
    assert_same(lambda a, b: gf.stack([a, b], axis=1), (3, 4), (3, 4))
    assert_same(lambda a: gf.split(a, [1, 64, 5], axis=1), (2, 70, 3, 3))


def test_elements_at_constant_places():
    places = np.random.default_rng(1).integers(0, 5, (3, 5))
    assert_same(lambda a: gf.take(a, np.array([2, 0, 1, 1]), axis=1), (2, 3, 5))
    assert_same(lambda a: gf.take_along_axis(a, places, axis=1), (3, 5))


def test_places_that_are_fed_are_refused_with_a_way_out():
    with gf.Graph() as graph:
        rows = gf.placeholder("rows", (4,), dtype=gf.int32)
        y = gf.take(gf.constant(np.ones((7, 3), np.float32)), rows)
    with (
        gf.Session(graph, backend="bm1684") as session,
        pytest.raises(BackendError, match="depends on rows") as at,
    ):
        session.run(y, {rows: np.zeros(4, np.int32)})
    assert "embedding" in str(at.value)


def test_too_many_places_are_refused():
    places = np.random.default_rng(1).permutation(20_000)
    with gf.Graph() as graph:
        x = gf.placeholder("x", (20_000,))
        y = gf.take(x, places)
    with gf.Session(graph, backend="bm1684") as session, pytest.raises(BackendError, match="4096 commands"):
        session.run(y, {x: np.zeros(20_000, np.float32)})


def test_nan_and_infinities_are_moved_as_they_are():
    x = np.array([[np.nan, np.inf, -np.inf, -0.0]], np.float32)
    with gf.Graph() as graph:
        a = gf.placeholder("a", (1, 4))
        y = gf.concat([gf.flip(a, 1), a], axis=0)
    with gf.Session(graph, backend="bm1684") as session:
        made = session.run(y, {a: x})
    assert made.tobytes() == np.concatenate([x[:, ::-1], x]).tobytes()
