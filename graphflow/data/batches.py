"""Mini-batches of arrays, shuffled anew each epoch in an order that the seed and epoch determine."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import provenance


class Batches:
    """Mini-batches of arrays that belong together row by row.

    Iterating once is one epoch; epoch e visits the rows in the permutation drawn from (seed, e).

    Arguments:
        arrays: arrays with the same number of rows.
        size: rows a batch.
        shuffle: whether to permute the rows.
        seed: of the permutations.
        drop_last: leave out a last batch that is smaller, so that one compiled program serves all.

    Raises:
        ShapeError: if the arrays differ in their number of rows.
        AttributeValueError: if the size is not at least 1, or the seed is negative.

    >>> import graphflow as gf
    >>> batches = gf.data.Batches([np.arange(5), np.arange(5) * 10], size=2, shuffle=False)
    >>> [rows.tolist() for rows, _ in batches], len(batches)
    ([[0, 1], [2, 3], [4]], 3)
    """

    def __init__(
        self, arrays: Sequence[Any], size: int, shuffle: bool = True, seed: int = 0, drop_last: bool = False
    ) -> None:
        if not isinstance(arrays, Sequence):
            raise ShapeError(
                f"{arrays!r:.80} is no list of arrays",
                hint="pass [images, labels], or [images] for one",
                origin=provenance.capture(),
            )
        self.arrays = [np.asarray(array) for array in arrays]
        rows = {array.shape[:1] for array in self.arrays}
        if len(rows) != 1 or () in rows:
            raise ShapeError(
                f"arrays of shapes {[array.shape for array in self.arrays]} have no common number of rows",
                hint="pass arrays whose first axes are equally long",
                origin=provenance.capture(),
            )
        self.size = _whole(size, 1, "the number of rows in a batch")
        self.shuffle = shuffle
        self.seed = _whole(seed, 0, "the seed")
        self.drop_last = drop_last
        self.epoch = 0

    @property
    def rows(self) -> int:
        """The number of rows of the data."""
        return len(self.arrays[0])

    def __len__(self) -> int:
        whole, rest = divmod(self.rows, self.size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        order = np.arange(self.rows)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.rows)
        self.epoch += 1
        for start in range(0, len(self) * self.size, self.size):
            chosen = order[start : start + self.size]
            yield tuple(array[chosen] for array in self.arrays)


def _whole(value: Any, low: int, what: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if number < low:
        raise AttributeValueError(
            f"{what} cannot be {value!r}",
            hint=f"use a whole number, {low} or more",
            origin=provenance.capture(),
        )
    return number
