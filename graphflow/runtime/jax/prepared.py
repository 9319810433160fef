"""A program in two parts, of which the one that prepares weights runs again only when they have changed.

Device arrays never change, so the value of a variable is known by the identity of its array: as long as a
run gets the arrays of the last preparation, what was made of them holds. Setting a variable, restoring a
checkpoint and an update by another program all bring new arrays. The old ones are held weakly here, and what
was made of them is let go with the first of them: between a step of training and the next prediction there
is no second copy of the weights.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from operator import is_
from typing import Any

from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.preparation import Preparation
from graphflow.optimizer.program import Program
from graphflow.runtime.jax.calls import FlatCall


class PreparedExecutable(FlatCall):
    """Both parts of a program, compiled; see `graphflow.runtime.backend.Executable`.

    Attributes:
        note: what was prepared, for the record of the compilation.
    """

    def __init__(self, program: Program, parts: Preparation, first: FlatCall, rest: FlatCall) -> None:
        self.program = parts.rest
        self.updated = rest.updated
        self.kept = tuple(dict.fromkeys((*first.kept, *rest.kept)))
        self.uses_key = rest.uses_key
        self.note = ", ".join(filter(None, (note_of(parts), getattr(rest, "note", ""))))
        self._rest = rest
        self._bytes = parts.bytes
        self._feed_count = len(program.feeds)
        self._prepared = _Prepared(first.flat, len(parts.first.outputs))
        places = {name: place for place, name in enumerate(self.kept)}
        self._for_first, self._for_rest = [[places[name] for name in one.kept] for one in (first, rest)]
        self._call = rest.flat

    def flat(self, *arguments: Any) -> Sequence[Any]:
        """(updated, kept, feeds, the key if it is used) -> (fetches, new values)."""
        first = len(self.updated)
        second = first + len(self.kept)
        third = second + self._feed_count
        kept = arguments[first:second]
        prepared = self._prepared([kept[place] for place in self._for_first])
        passed = [kept[place] for place in self._for_rest]
        feeds, key = arguments[second:third], arguments[third:]
        return self._call(*arguments[:first], *passed, *feeds, *prepared, *key)

    def memory(self) -> dict[str, int]:
        """XLA's numbers of the part that runs every time, and the bytes that are prepared."""
        return {**self._rest.memory(), "prepared": self._bytes}

    def text(self) -> str:
        """The optimised HLO of the part that runs every time."""
        return self._rest.text()


class _Prepared:
    """What was made of the arrays that came last."""

    def __init__(self, make: Callable[..., Sequence[Any]], count: int) -> None:
        self._make, self._count = make, count
        # As one pair, since other threads read it. The death of an array empties the list.
        self._last: tuple[Sequence[weakref.ref[Any]], list[Any]] = ((), [])

    def __call__(self, arrays: Sequence[Any]) -> Sequence[Any]:
        """What is made of these arrays."""
        sources, made = self._last
        kept = tuple(made)
        if len(kept) == self._count and all(map(is_, [source() for source in sources], arrays)):
            return kept
        return self._prepare(arrays)

    def _prepare(self, arrays: Sequence[Any]) -> Sequence[Any]:
        results = self._make(*arrays)
        for result in results:
            result.block_until_ready()  # a failure is to show now, and not to be kept
        made = list(results)

        def forget(source: Any) -> None:
            made.clear()

        self._last = ([weakref.ref(array, forget) for array in arrays], made)
        return results


def note_of(parts: Preparation) -> str:
    """What a program prepares, in words."""
    count, size = len(parts.first.outputs), show_bytes(parts.bytes)
    return f"{count} tensor{'s' * (count > 1)} of {size} made of weights alone, once for each value of these"
