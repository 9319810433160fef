"""Further rules of cutting and joining: what they give, what they keep, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.optimizer.rules import cuts as rules
from tests.optimizer.rewriting import assert_declines, assert_same_bits, build, rewrite, values
from tests.optimizer.rules.cases import Case

X = "x: float32[4,7]"
JOINED = "x: float32[4,2], y: float32[4,3], z: float32[4,4] -> j = concat(x, y, z, axis=1); "

CASES = [
    Case(
        rules.concat_of_neighbours,
        f"{X} -> concat(slice(x, (1,), (3,), axes=(1,)), slice(x, (3,), (6,), axes=(1,)), axis=1)",
        "slice(x, (1,), (6,), axes=(1,))",
    ),
    Case(
        rules.concat_of_neighbours,
        f"{X} -> concat(x, slice(x, (1,), (3,), axes=(1,)), slice(x, (3,), (6,), axes=(1,)), axis=1)",
        "concat(x, slice(x, (1,), (6,), axes=(1,)), axis=1)",
    ),
    Case(
        rules.concat_of_neighbours,
        f"{X} -> a, b, c = split(x, (1, 4, 2), axis=1); concat(a, b, c, axis=1)",
        "x",
    ),
    Case(
        rules.slice_across_pieces,
        f"{JOINED}slice(j, (1, 0), (3, 4))",
        "concat(slice(x, (1, 0), (3, 2)), slice(y, (1, 0), (3, 2)), axis=1)",
    ),
    Case(
        rules.split_of_concat,
        "x: int32[n,3], y: int32[n,1] -> a, b = split(concat(x, y, axis=1), (3, 1), axis=1); multiply(a, b)",
        "multiply(x, y)",
    ),
    Case(
        rules.slice_of_split,
        f"{X} -> a, b = split(x, (4, 3), axis=1); slice(a, (1, 0), (4, 4), (1, 2))",
        "slice(x, (1, 0), (4, 4), (1, 2))",
    ),
    Case(
        rules.slice_of_pad,
        f"{X} -> slice(pad(x, pads=((1, 2), (3, 0))), (1, 4), (5, 10), (1, 2))",
        "slice(x, (0, 1), (4, 7), (1, 2))",
    ),
    Case(
        rules.slice_of_pad,
        "x: float32[4] -> slice(pad(x, pads=((1, 2),), mode='edge'), (4,), (0,), (-1,))",
        "slice(x, (3,), (None,), (-1,))",
    ),
    Case(
        rules.slice_of_unslice,
        f"{X} -> slice(unslice(x, (9, 9), (1, 2), (5, 9)), (1, 2), (5, 9))",
        "x",
    ),
    Case(rules.unslice_of_everything, f"{X} -> unslice(x, (4, 7), (0, 0), (4, 7))", "x"),
    Case(
        rules.add_written_neighbours,
        "x: float32[4,2], y: float32[4,3]"
        " -> add(unslice(y, (4, 9), (0, 3), (4, 6)), unslice(x, (4, 9), (0, 1), (4, 3)))",
        "unslice(concat(x, y, axis=1), (4, 9), (0, 1), (4, 6))",
    ),
    Case(
        rules.flip_of_flip,
        "x: float32[n,3] -> f = lambda t: slice(t, (None,), (None,), (-1,), axes=(0,)); f(f(x))",
        "x",
    ),
    Case(rules.tile_of_tile, f"{X} -> tile(tile(x, (2, 1)), (3, 2))", "tile(x, (6, 2))"),
    Case(rules.repeat_one_element, "x: float32[4,1] -> tile(x, (1, 3))", "broadcast_to(x, (4, 3))"),
    Case(rules.repeat_one_element, "x: float32[4,1] -> repeat(x, 3, axis=1)", "broadcast_to(x, (4, 3))"),
    Case(rules.roll_of_roll, f"{X} -> roll(roll(x, 2, axis=1), 3, axis=1)", "roll(x, 5, axis=1)"),
    Case(rules.roll_of_roll, f"{X} -> roll(roll(x, 2), -3)", "roll(x, -1)"),
    Case(rules.roll_by_nothing, f"{X} -> roll(x, 14, axis=1)", "x"),
    Case(rules.roll_by_nothing, f"{X} -> roll(x, 0)", "x"),
    Case(
        rules.take_of_range,
        f"{X} -> take(x, constant([1, 3, 5]), axis=1)",
        "slice(x, (1,), (6,), (2,), axes=(1,))",
    ),
    Case(
        rules.take_of_range,
        f"{X} -> take(x, constant([-1, 2, 1, 0]), axis=0)",
        "slice(x, (3,), (None,), (-1,), axes=(0,))",
    ),
    Case(
        rules.take_of_range,
        f"{X} -> take(x, constant(-2), axis=0)",
        "reshape(slice(x, (2,), (3,), axes=(0,)), (7,))",
    ),
    Case(
        rules.take_of_take,
        "x: float32[9,2], i: int32[5], j: int32[3,2] -> take(take(x, i), j)",
        "take(x, take(i, j))",
    ),
    Case(rules.take_in_order, "x: float32[n,2] -> take(x, iota(size=Dim('n')))", "x"),
]


@pytest.mark.parametrize(
    "indices", [[0], [-9, 1], [3, 2, 1], [6, 7, 8], [0, 4, 8], [-1], [2, 2], [200, -200]]
)
@pytest.mark.parametrize("dtype", ["int8", "uint64", "int64"])
def test_indices_out_of_range_are_clamped_as_take_does(indices: list[int], dtype: str) -> None:
    array = np.array(indices).astype(dtype)
    text = f"x: float32[7,2] -> take(x, constant(np.array({array.tolist()}, '{dtype}')))"
    plain, program = build(text), build(text)
    rewrite(program, [rules.take_of_range])
    x = np.arange(14, dtype=np.float32).reshape(7, 2)
    assert_same_bits(values(program, [x])[0], values(plain, [x])[0])


@pytest.mark.parametrize("steps", [(2, 3), (-1, 1), (1, -3), (-2, -2)])
def test_slices_of_pads_at_any_step(steps: tuple[int, int]) -> None:
    starts = tuple(2 if step > 0 else 5 for step in steps)
    stops = tuple(6 if step > 0 else 1 for step in steps)
    text = f"{X} -> slice(pad(x, pads=((2, 2), (2, 1))), {starts}, {stops}, {steps})"
    plain, program = build(text), build(text)
    assert rewrite(program, [rules.slice_of_pad]).edits
    x = np.arange(28, dtype=np.float32).reshape(4, 7)
    assert_same_bits(values(program, [x])[0], values(plain, [x])[0])


def test_slices_that_meet_padding_stay() -> None:
    assert_declines(rules.slice_of_pad, f"{X} -> slice(pad(x, pads=((1, 1), (0, 0))), (0, 0), (4, 7))")


def test_slices_that_need_every_piece_stay() -> None:
    assert_declines(
        rules.slice_across_pieces, f"{JOINED}(slice(j, (1, 1), (3, 8)), slice(j, (0, 0), (4, 5), (1, 2)))"
    )


def test_splits_beside_the_seams_stay() -> None:
    text = "x: int32[2,3], y: int32[2,1] -> a, b = split(concat(x, y, axis=1), (1, 3), axis=1); (a, b)"
    assert_declines(rules.split_of_concat, text)
    assert_declines(rules.split_of_concat, text.replace("(1, 3), axis=1", "(1, 1), axis=0"))


def test_pieces_that_are_no_neighbours_stay() -> None:
    assert_declines(
        rules.concat_of_neighbours,
        f"{X} -> a, b, c = split(x, (1, 4, 2), axis=1); (concat(b, a, axis=1), concat(a, c, axis=1))",
    )


def test_what_overlaps_is_added_up() -> None:
    assert_declines(
        rules.add_written_neighbours,
        "x: float32[3], y: float32[3] -> add(unslice(x, (9,), (0,), (3,)), unslice(y, (9,), (2,), (5,)))",
    )


def test_rows_read_twice_stay() -> None:
    assert_declines(
        rules.take_of_take,
        "x: float32[9,2], i: int32[5], j: int32[3] -> t = take(x, i); (t, take(t, j))",
        "take has other users",
    )
    assert_declines(rules.take_of_range, f"{X} -> take(x, constant([0, 1, 3]), axis=1)")
