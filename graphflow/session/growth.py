"""A watch on graphs that grow between runs: in a loop that is nearly always a mistake, and a costly one."""

from __future__ import annotations

import warnings

from graphflow.ir.graph import Graph
from graphflow.ir.provenance import Origin

STREAK = 5


class GrowthWatch:
    """Warns, once a line, when the same line has made the graph grow between runs `STREAK` times in a row.

    Runs between which nothing grew do not count, as a loop may well have several runs a round.
    """

    __slots__ = ("_graph", "_line", "_streak", "_warned", "seen")

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.seen = len(graph.nodes)
        self._line: Origin | None = None
        self._streak = 0
        self._warned: set[Origin] = set()

    def look(self) -> None:
        """Take note of what was added since the last run; `seen` differs from the number of nodes."""
        nodes = self._graph.nodes
        line = nodes[self.seen].origin
        added = len(nodes) - self.seen
        self.seen = len(nodes)
        self._streak = self._streak + 1 if line is not None and line == self._line else 1
        self._line = line
        if self._streak >= STREAK and line is not None and line not in self._warned:
            self._warned.add(line)
            warnings.warn_explicit(
                f"the graph {self._graph.name!r} has grown between runs {STREAK} times in a row at {line}, "
                f"by {added} nodes this time: what is new is optimised and compiled each time. Build the "
                "graph once before the loop, and feed what changes; graph.freeze() makes growth an error",
                UserWarning,
                line.file,
                line.line,
            )
