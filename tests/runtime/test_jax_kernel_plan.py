"""Where windows lie, and how work is cut: every product is done once, whatever the sizes are."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphflow.ops.windows import output_sizes
from graphflow.runtime.jax.kernels.places import Windows, windows
from graphflow.runtime.jax.kernels.plan import FIELDS, Plan, Work, cut


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray, dict[str, object]]:
    """An image of distinct numbers, and the attributes of a convolution that has places in it."""
    axes = draw(st.integers(0, 2))

    def each(least: int, most: int) -> tuple[int, ...]:
        return tuple([draw(st.integers(least, most)) for _ in range(axes)])

    kernel, strides, dilation = each(1, 3), each(1, 3), each(1, 2)
    padding = tuple([(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(axes)])
    groups = draw(st.integers(1, 2)) if axes else 1
    sizes = [(size - 1) * step + 1 + draw(st.integers(0, 4)) for size, step in zip(kernel, dilation)]
    shape = (draw(st.integers(1, 3)), *sizes, groups * draw(st.integers(1, 4)))
    x = 1.0 + np.arange(prod(shape), dtype=np.float32).reshape(shape)
    return x, {
        "kernel": kernel, "strides": strides, "dilation": dilation, "padding": padding, "groups": groups,
    }  # fmt: skip


def held(x: np.ndarray, attrs: dict[str, object], group: int) -> list[list[float]]:
    """What the windows hold of a group's channels, from the definition; 0 for padding."""
    kernel, strides, dilation, padding = [
        attrs[name] for name in ("kernel", "strides", "dilation", "padding")
    ]
    positions = output_sizes(x.shape[1:-1], kernel, strides, padding, dilation, "conv") if kernel else ()
    inner = x.shape[-1] // attrs["groups"]
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))[..., group * inner : (group + 1) * inner]
    found = []
    for image in range(len(x)):
        for place in np.ndindex(*positions):
            row: list[float] = []
            for tap in np.ndindex(*kernel):
                where = [p * s + t * d for p, s, t, d in zip(place, strides, tap, dilation)]
                row += padded[(image, *where)].tolist()
            found.append(row)
    return found


@settings(max_examples=150, deadline=None)
@given(images())
def test_the_index_tells_what_windows_hold(given: tuple[np.ndarray, dict[str, object]]) -> None:
    x, attrs = given
    geometry = [attrs[name] for name in ("kernel", "strides", "padding", "dilation")]
    positions = output_sizes(x.shape[1:-1], *geometry, "conv") if attrs["kernel"] else ()
    found = windows(x.shape, positions, attrs)
    index, (count, places), flat = found.index(), found.counts, x.reshape(-1)
    assert index.dtype == np.int32 and len(index) == places and count * places == len(x) * prod(positions)
    for group in range(attrs["groups"]):
        shift = group * (x.shape[-1] // attrs["groups"])
        rows = [
            [
                flat[start + shift + floats] if start >= 0 else 0.0
                for start in row
                for floats in range(found.depth)
            ]
            for row in index
        ]
        assert rows == held(x, attrs, group)


def test_an_index_of_one_image_serves_all_where_one_of_all_is_long() -> None:
    found = Windows((8, 224, 224, 4), (224, 224), (3, 3), (1, 1), (1, 1), (1, 1), 1)
    assert not found.is_flat and found.counts == (8, 224 * 224)
    assert found.index().shape == (224 * 224, 9)


def test_what_no_index_can_tell_apart_is_left_out() -> None:
    assert Windows((1 << 22, 64), (), (), (), (), (), 1).is_countable
    assert not Windows((1 << 22 | 1, 64), (), (), (), (), (), 1).is_countable
    image = Windows((2, 1 << 14, 1 << 14, 8), (1 << 14, 1 << 14), (1, 1), (1, 1), (1, 1), (0, 0), 1)
    assert not image.is_flat and not image.is_countable
    assert Windows(
        **{**vars(image), "shape": (64, 1 << 14, 1 << 12, 8), "positions": (1 << 14, 1 << 12)}
    ).is_countable


def test_rows_of_windows_are_pieces_where_nothing_is_padded_along_them() -> None:
    inside = Windows((1, 8, 9, 3), (4, 4), (3, 3), (2, 2), (1, 1), (1, 0), 1)
    assert inside.has_rows and inside.depth == 9 and inside.index().shape == (16, 3)
    for changed in ({"before": (0, 1)}, {"dilation": (1, 2)}, {"groups": 3}, {"positions": (4, 5)}):
        other = Windows(**{**vars(inside), **changed})
        assert not other.has_rows and other.depth == 3 // other.groups


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 3000), st.integers(1, 5000), st.integers(1, 700),
    st.sampled_from([(4, 16), (2, 8), (2, 4)]), st.integers(1, 64),
)  # fmt: skip
def test_pieces_cover_every_place_and_output_once(
    groups: int, places: int, held: int, outputs: int, tiles: tuple[int, int], threads: int
) -> None:
    most, lanes = tiles
    vectors = -(-outputs // lanes)
    found = Windows((places, held * groups), (), (), (), (), (), groups)
    work = Work(found, (groups, vectors, held, lanes), outputs * groups, True, False)
    plan = cut(work, most, threads)
    assert plan.pieces * plan.depth == held and plan.row_floats == outputs * groups
    assert 0 < plan.last <= lanes and (plan.vectors - 1) * lanes + plan.last == outputs
    assert 0 < plan.step <= most and plan.vector_block % plan.step == 0
    # The last block of each kind begins before the end, so that none is empty.
    assert (-(-places // plan.place_block) - 1) * plan.place_block < places
    assert (-(-vectors // plan.vector_block) - 1) * plan.vector_block < vectors
    assert plan.numbers().tolist() == [getattr(plan, name) for name in FIELDS]


def test_small_work_stays_on_one_thread_and_large_work_is_shared() -> None:
    def pieces(places: int, threads: int) -> int:
        found = Windows((places, 64), (), (), (), (), (), 1)
        plan: Plan = cut(Work(found, (1, 4, 64, 16), 64, False, False), 4, threads)
        return -(-plan.places // plan.place_block) * -(-plan.vectors // plan.vector_block)

    assert pieces(24, 2) == 1
    assert pieces(4096, 2) == 8 and pieces(4096, 16) == 64


@pytest.mark.parametrize(("held", "outputs"), [(768, 50257), (25088, 4096)])
def test_the_weights_of_a_piece_fit_into_a_cache(held: int, outputs: int) -> None:
    found = Windows((8, held), (), (), (), (), (), 1)
    plan = cut(Work(found, (1, -(-outputs // 16), held, 16), outputs, False, False), 4, 2)
    least = plan.step * 16 * held * 4
    assert plan.vector_block * 16 * held * 4 <= max(512 << 10, least)
