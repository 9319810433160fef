"""A maximum flow through a network, and with it a minimum cut: Dinic's algorithm on arrays.

Flow is sent along shortest ways only, all of one length at once, which are found by their distances from the
end; each round makes the shortest way longer (E. A. Dinic, "Algorithm for solution of a problem of maximum
flow in a network with power estimation", 1970).
"""

from __future__ import annotations

from collections.abc import Iterable

START, END = 0, 1


class Network:
    """Vertices 0, 1, ... joined by edges of integral capacities; from `START` flow comes, to `END` it goes.

    >>> network = Network(3)
    >>> network.connect(START, 2, 5)
    >>> network.connect(2, END, 3)
    >>> network.send()
    3
    >>> list(network.before_the_cut())
    [1, 0, 1]
    """

    def __init__(self, count: int) -> None:
        self.edges: list[list[int]] = [[] for _ in range(count)]
        self._to: list[int] = []
        self._left: list[int] = []

    def connect(self, source: int, target: int, capacity: int) -> None:
        """Add an edge; its number is even, and the next one is the way back."""
        self.edges[source].append(len(self._to))
        self.edges[target].append(len(self._to) + 1)
        self._to += (target, source)
        self._left += (capacity, 0)

    def send(self) -> int:
        """Send as much as goes; how much that is."""
        total = 0
        while True:
            distances = self._distances()
            if distances[START] < 0:
                return total
            total += self._send_along(distances)

    def before_the_cut(self) -> bytearray:
        """After `send`, 1 for each vertex on the side of the start: the largest such side of a minimum cut.

        From these the end is out of reach.
        """
        return bytearray([distance < 0 for distance in self._distances(everywhere=True)])

    def _distances(self, everywhere: bool = False) -> list[int]:
        """For each vertex, of how many edges with room a way to the end has; -1 where there is none."""
        found = [-1] * len(self.edges)
        found[END] = 0
        reached: Iterable[int] = (END,)
        length = 0
        while reached and (everywhere or found[START] < 0):
            length += 1
            beyond = []
            for vertex in reached:
                for edge in self.edges[vertex]:
                    other = self._to[edge]
                    if found[other] < 0 and self._left[edge ^ 1]:
                        found[other] = length
                        beyond.append(other)
            reached = beyond
        return found

    def _send_along(self, distances: list[int]) -> int:
        """Send along shortest ways until each of them is full."""
        to, left, edges = self._to, self._left, self.edges
        tried = [0] * len(edges)
        total, vertex = 0, START
        way: list[int] = []
        while True:
            if vertex == END:
                amount = min([left[edge] for edge in way])
                total += amount
                full = len(way)
                for place in range(len(way) - 1, -1, -1):
                    edge = way[place]
                    left[edge] -= amount
                    left[edge ^ 1] += amount
                    if not left[edge]:
                        full = place
                vertex = to[way[full] ^ 1]
                del way[full:]
                continue
            own, place = edges[vertex], tried[vertex]
            while place < len(own) and not (
                left[own[place]] and distances[to[own[place]]] == distances[vertex] - 1
            ):
                place += 1
            tried[vertex] = place
            if place < len(own):
                way.append(own[place])
                vertex = to[own[place]]
            elif vertex == START:
                return total
            else:
                vertex = to[way.pop() ^ 1]
                tried[vertex] += 1
