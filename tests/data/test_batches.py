"""Mini-batches: every row once an epoch, rows of all arrays together, an order that can be repeated."""

from __future__ import annotations

import json

import numpy as np
import pytest

import graphflow as gf
from graphflow.data import Batches
from graphflow.errors import AttributeValueError, ShapeError


def rows_of(batches: Batches) -> list[int]:
    return [int(row) for (rows,) in batches for row in rows]


def test_an_epoch_visits_every_row_once() -> None:
    batches = Batches([np.arange(10)], size=3)
    first, second = rows_of(batches), rows_of(batches)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != list(range(10)) and first != second


def test_arrays_stay_together_row_by_row() -> None:
    images = np.arange(24).reshape(6, 2, 2)
    for chosen, labels in Batches([images, np.arange(6)], size=4):
        assert isinstance(chosen, np.ndarray)
        np.testing.assert_array_equal(chosen, images[labels])


def test_the_order_follows_from_seed_and_epoch() -> None:
    def epochs(seed: int) -> list[list[int]]:
        batches = Batches([np.arange(50)], size=7, seed=seed)
        return [rows_of(batches) for _ in range(3)]

    assert epochs(1) == epochs(1)
    assert epochs(1) != epochs(2)
    # What the documentation says: epoch e is the permutation drawn from (seed, e).
    assert epochs(1)[2] == np.random.default_rng((1, 2)).permutation(50).tolist()


def test_a_loop_that_is_left_early_still_counts_as_an_epoch() -> None:
    batches = Batches([np.arange(50)], size=7)
    next(iter(batches))
    assert rows_of(batches) == np.random.default_rng((0, 1)).permutation(50).tolist()


@pytest.mark.parametrize(
    ("rows", "size", "sizes", "kept"),
    [
        (10, 3, [3, 3, 3, 1], [3, 3, 3]),
        (9, 3, [3, 3, 3], [3, 3, 3]),
        (2, 3, [2], []),
        (1, 1, [1], [1]),
        (0, 3, [], []),
    ],
)
def test_sizes_of_batches(rows: int, size: int, sizes: list[int], kept: list[int]) -> None:
    for drop_last, expected in ((False, sizes), (True, kept)):
        batches = Batches([np.arange(rows)], size, shuffle=False, drop_last=drop_last)
        assert [len(chosen) for (chosen,) in batches] == expected
        assert len(batches) == len(expected) and batches.rows == rows


def test_without_shuffling_rows_come_in_order() -> None:
    assert rows_of(Batches([np.arange(7)], size=2, shuffle=False)) == list(range(7))


def test_batches_are_copies() -> None:
    data = np.zeros((4, 2))
    for (rows,) in Batches([data], size=2, shuffle=False):
        rows += 1
    assert not data.any()


def test_lists_will_do_and_dtypes_stay() -> None:
    (batch,) = Batches([[1.5, 2.5], np.array([1, 2], np.uint8)], size=2, shuffle=False)
    assert [array.dtype.name for array in batch] == ["float64", "uint8"]


@pytest.mark.parametrize("arrays", [[np.zeros(3), np.zeros(4)], [np.zeros(())], [], [np.zeros((2, 3)), 1.0]])
def test_arrays_that_do_not_belong_together(arrays: list) -> None:
    with pytest.raises(ShapeError, match="have no common number of rows") as caught:
        gf.data.Batches(arrays, size=2)
    assert "test_batches.py" in str(caught.value) and "try: " in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 0}, "the number of rows in a batch cannot be 0"),
        ({"size": -1}, "the number of rows in a batch cannot be -1"),
        ({"size": 2.5}, "the number of rows in a batch cannot be 2.5"),
        ({"size": 2, "seed": -1}, "the seed cannot be -1"),
        ({"size": 2, "seed": None}, "the seed cannot be None"),
    ],
)
def test_numbers_that_make_no_sense(options: dict, said: str) -> None:
    with pytest.raises(AttributeValueError, match=said) as caught:
        Batches([np.zeros(3)], **options)
    assert "use a whole number" in str(caught.value) and "test_batches.py" in str(caught.value)


# The position


def test_going_on_from_every_position() -> None:
    """As sess.restore_checkpoint does: other batches of the same data, and the rest of the same epoch."""
    expected = []
    positions = []
    batches = Batches([np.arange(7)], size=2, seed=4)
    for _ in range(3):
        for (rows,) in batches:
            expected.append(rows.tolist())
            positions.append(batches.state())
    for number, position in enumerate(positions):
        other = Batches([np.arange(7)], size=2, seed=4)
        other.restore(json.loads(json.dumps(position)))
        assert other.state() == position
        assert other.epoch == (number + 1) // 4
        rest = [rows.tolist() for _ in range(other.epoch, 3) for (rows,) in other]
        assert rest == expected[number + 1 :]


def test_positions_before_between_and_after_epochs() -> None:
    batches = Batches([np.arange(4)], size=2)
    assert (batches.state()["epoch"], batches.state()["batch"]) == (0, 0)
    list(batches)
    assert (batches.state()["epoch"], batches.state()["batch"]) == (1, 0)
    next(iter(batches))
    assert (batches.state()["epoch"], batches.state()["batch"]) == (1, 1)
    batches.epoch = 5  # a user may choose the epoch
    assert (batches.state()["epoch"], batches.state()["batch"]) == (5, 0)
    assert (Batches([np.arange(0)], size=2).state()["batch"]) == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rows": 5}, "whose rows is 5, not 4"),
        ({"seed": 1, "size": 3}, "size is 3, not 2 and seed is 1, not 0"),
        ({"epoch": -1}, "epoch cannot be -1"),
        ({"batch": "x"}, "batch cannot be 'x'"),
        ({"more": 1}, "no position"),
    ],
)
def test_positions_that_are_refused(change: dict[str, object], reason: str) -> None:
    batches = Batches([np.arange(4)], size=2)
    with pytest.raises(AttributeValueError, match=reason):
        batches.restore({**batches.state(), **change})
    for wrong in (None, 3, [], {}):
        with pytest.raises(AttributeValueError, match="no position"):
            batches.restore(wrong)
    assert len(list(batches)) == 2
