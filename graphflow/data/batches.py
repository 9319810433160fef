"""Mini-batches of arrays, shuffled anew each epoch in an order that the seed and epoch determine.

So the position is two numbers, the epoch and the batch, which a checkpoint keeps.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import provenance


class Batches:
    """Mini-batches of arrays that belong together row by row.

    Iterating once is one epoch; epoch e visits the rows in the permutation drawn from (seed, e). After
    `restore` the first one is what was left of that epoch.

    Arguments:
        arrays: arrays with the same number of rows.
        size: rows a batch.
        shuffle: whether to permute the rows.
        seed: of the permutations.
        drop_last: leave out a last batch that is smaller, so that one compiled program serves all.

    Attributes:
        epoch: the one that the next iteration runs through.

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
        self._first = 0  # the batch that the next iteration begins with
        self._position = (-2, 0)  # the epoch that was iterated last, and its next batch

    @property
    def rows(self) -> int:
        """The number of rows of the data."""
        return len(self.arrays[0])

    def __len__(self) -> int:
        whole, rest = divmod(self.rows, self.size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        epoch, first = self.epoch, self._first
        order = np.arange(self.rows)
        if self.shuffle:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.rows)
        self.epoch, self._first = epoch + 1, 0
        for batch in range(first, len(self)):
            self._position = (epoch, batch + 1)
            chosen = order[batch * self.size : (batch + 1) * self.size]
            yield tuple(array[chosen] for array in self.arrays)

    def state(self) -> dict[str, Any]:
        """The position: which batch of which epoch comes next, and of what data.

        Returns:
            a JSON object for `restore`; sess.save_checkpoint(folder, batches) keeps it.

        >>> import graphflow as gf
        >>> batches = gf.data.Batches([np.arange(5)], size=2)
        >>> _ = next(iter(batches))
        >>> batches.state()["epoch"], batches.state()["batch"]
        (0, 1)
        """
        epoch, batch = self._position
        if epoch + 1 != self.epoch or batch >= len(self):
            epoch, batch = self.epoch, self._first
        return {"epoch": epoch, "batch": batch, **self._kind()}

    def restore(self, state: Any) -> None:
        """Go on from a position; the next iteration runs through the rest of its epoch.

        Raises:
            AttributeValueError: if it is no position, or one in other data.

        >>> import graphflow as gf
        >>> batches = gf.data.Batches([np.arange(5)], size=2, shuffle=False)
        >>> batches.restore({**batches.state(), "batch": 1})
        >>> [rows.tolist() for (rows,) in batches]
        [[2, 3], [4]]
        """
        kind = self._kind()
        if not isinstance(state, Mapping) or state.keys() != {"epoch", "batch", *kind}:
            raise AttributeValueError(
                f"{state!r:.80} is no position of batches",
                hint="pass what state() gave",
                origin=provenance.capture(),
            )
        other = [
            f"{name} is {state[name]!r:.40}, not {kind[name]!r}" for name in kind if state[name] != kind[name]
        ]
        if other:
            raise AttributeValueError(
                f"the position is one in other batches, whose {' and '.join(other)}",
                hint="make the batches as they were made when it was saved",
                origin=provenance.capture(),
            )
        epoch, batch = _whole(state["epoch"], 0, "the epoch"), _whole(state["batch"], 0, "the batch")
        self.epoch, self._first, self._position = epoch, batch, (-2, 0)

    def _kind(self) -> dict[str, Any]:
        """What has to be the same for a position to mean the same rows."""
        return {
            "rows": self.rows,
            "size": self.size,
            "shuffle": bool(self.shuffle),
            "seed": self.seed,
            "drop_last": bool(self.drop_last),
        }


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
