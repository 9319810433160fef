"""The named streams of random numbers of a graph: which key each random call reads.

The stream of a call is named by its scope and explicit name; without a name, by its scope and its
ordinal among the unnamed random calls there. So adding operators that are not random, or random
ones elsewhere, changes no numbers. Two calls share a stream only if both are told its name.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from graphflow.errors import AttributeValueError
from graphflow.ir.body import Body
from graphflow.ir.builder import Builder
from graphflow.ir.graph import Graph, at_root
from graphflow.ir.node import Tensor
from graphflow.ops.declare import builtin


class _Streams:
    """The names of the random streams of one graph, those that came with a loaded graph included."""

    __slots__ = ("ordinals", "seen", "used")

    def __init__(self) -> None:
        self.seen = 0
        self.used: set[str] = set()
        self.ordinals: dict[str, int] = {}

    def fresh(self, graph: Graph, name: str | None) -> str:
        """A name that no random operator of the graph has."""
        for node in graph.nodes[self.seen :]:
            if node.op.name == "random_key":
                self.used.add(node.attrs["stream"])
        self.seen = len(graph.nodes)
        base = graph.scope + (name if name is not None else "#")
        ordinal = self.ordinals.get(base, 0)
        stream = self._spelled(base, name, ordinal)
        while stream in self.used:
            ordinal += 1
            stream = self._spelled(base, name, ordinal)
        self.ordinals[base] = ordinal + 1
        self.used.add(stream)
        return stream

    @staticmethod
    def _spelled(base: str, name: str | None, ordinal: int) -> str:
        if name is None:
            return f"{base}{ordinal}"
        return f"{base}_{ordinal}" if ordinal else base


_streams: WeakKeyDictionary[Graph, _Streams] = WeakKeyDictionary()


def fresh_key(b: Builder, name: str | None = None, stream: str | None = None) -> Tensor:
    """The key of a new stream in the builder's graph, or that of the stream of the given full name.

    Inside a loop the number of the step is folded into it, so that each step has numbers of its own.
    """
    if stream is not None and (not isinstance(stream, str) or not stream):
        raise AttributeValueError(
            f"the name of a random stream must be a string of at least one letter, not {stream!r:.80}",
            hint='pass the same name to all calls that share it: stream="noise"',
        )
    with at_root(b.graph) as root:
        if stream is None:
            stream = _streams.setdefault(root, _Streams()).fresh(root, name)
        key = Builder(root, b.origin).random_key(builtin(root, "session_key"), stream=stream)
    key = b.graph.bring(key)
    for body in reversed(_bodies_around(b.graph)):
        if body.repeats:
            key = b.random_fold_in(key, b.graph.bring(body.count()))
    return key


def _bodies_around(graph: Graph) -> list[Body]:
    """The open bodies that a graph lies in, itself included, from the inside out."""
    found: list[Body] = []
    around: Graph | None = graph
    while isinstance(around, Body) and around.outer is not None:
        found.append(around)
        around = around.outer
    return found
