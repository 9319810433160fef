"""Budgets: how much a pass may spend before it has to stop, where it is, with a consistent program.

A pass edits through the Rewriter alone, and the Rewriter edits nothing while the journal is full; so a
pass whose budget is spent comes to its end by itself, as a replay does at its last edit.

    nodes     removed and made by its edits, all together
    seconds   by the clock

The clock makes a run that cannot be repeated by itself. So the journal keeps the number of edits at which
a pass was stopped, and a replay stops it there.
"""

from __future__ import annotations

import time

STOPPED = "stopped over its budget"
"""What the journal says of a pass that did not come to its end."""

_EVERY = 32  # a look at the clock costs more than a comparison


class Budget:
    """What one pass may spend.

    Arguments:
        nodes, seconds: the limits; 0 is none.
        edits: stop at so many edits of the whole journal instead; for a replay.
        outer: the budget of the pass in whose bodies this one runs, which limits it as well.

    Attributes:
        stopped_at: how many edits there were when it was found to be used up; None before.
    """

    __slots__ = ("_deadline", "_edits", "_handled", "_looks", "_nodes", "_seconds", "outer", "stopped_at")

    def __init__(
        self, nodes: int = 0, seconds: float = 0.0, edits: int | None = None, outer: Budget | None = None
    ) -> None:
        self._nodes, self._seconds, self._edits, self.outer = nodes, seconds, edits, outer
        self._deadline = time.perf_counter() + seconds if seconds and edits is None else None
        self._handled = self._looks = 0
        self.stopped_at: int | None = None

    def spend(self, nodes: int) -> None:
        """An edit has removed and made so many nodes."""
        self._handled += nodes
        if self.outer is not None:
            self.outer.spend(nodes)

    def is_spent(self, edits: int) -> bool:
        """Whether the pass has to stop, after so many edits of the whole journal."""
        if self.stopped_at is None:
            if self._over(edits) or (self.outer is not None and self.outer.is_spent(edits)):
                self.stopped_at = edits
        return self.stopped_at is not None

    def __str__(self) -> str:
        parts = [f"{self._nodes:,} nodes"] * bool(self._nodes) + [f"{self._seconds:g} s"] * bool(
            self._seconds
        )
        return " or ".join(parts)

    def _over(self, edits: int) -> bool:
        if self._edits is not None:
            return edits >= self._edits
        if self._nodes and self._handled >= self._nodes:
            return True
        self._looks += 1
        if self._deadline is None or self._looks % _EVERY != 1:
            return False
        return time.perf_counter() >= self._deadline
