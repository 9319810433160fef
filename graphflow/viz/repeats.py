"""Repeated blocks: sibling scopes, or stretches of a flat graph, that are one function after another.

Two blocks are alike if their nodes have the same operators, attributes, types and wiring, whatever they are
called and whatever values their weights have. A run is blocks in which each reads what the one before it
made, as the layers of a transformer do, or those of its gradient. It is drawn once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphflow.ir.node import Node
from graphflow.runtime.repetition import find_regions
from graphflow.runtime.segment_kinds import Sequencer

FEWEST = 3
"""Blocks that make a run, where the picture need not shrink; then two do."""

_SMALLEST = 3  # nodes in a block, weights left out
_NEAR = 200  # how far back a node's inputs are told apart in a flat graph
_LEAVES = frozenset({"variable", "constant", "placeholder", "random_key", "session_key"})


@dataclass(frozen=True, slots=True)
class Run:
    """Blocks that are alike, in the order in which values flow through them.

    Attributes:
        name: "layer0 … layer11".
        scope: the scope around them, "" for none.
        blocks: the nodes of each, with weights.
        bodies: the nodes of each without weights; those at the same place correspond.
    """

    name: str
    scope: str
    blocks: tuple[tuple[Node, ...], ...]
    bodies: tuple[tuple[Node, ...], ...]

    @property
    def times(self) -> int:
        """How many blocks there are."""
        return len(self.blocks)

    def chained(self) -> set[tuple[Node, int]]:
        """Inputs of the first block, as (node, position), that in the second one come from the first."""
        first, second = self.bodies[0], self.bodies[1]
        made = set(first)
        return {
            (node, position)
            for node, other in zip(first, second)
            for position, tensor in enumerate(other.inputs)
            if tensor.node in made
        }


def find_runs(nodes: Sequence[Node], fewest: int = FEWEST) -> list[Run]:
    """The runs among nodes, disjoint, those of outer scopes rather than of inner ones.

    Arguments:
        nodes: each after everything it reads.
        fewest: blocks in a run.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (4, 4))
    >>> for layer in range(5):
    ...     with gf.name_scope(f"layer_{layer}"):
    ...         x = gf.tanh(gf.matmul(gf.exp(x), x))
    >>> [(run.name, run.times) for run in find_runs(x.graph.nodes)]
    [('layer_0 … layer_4', 5)]
    """
    sequencer = Sequencer(set(), {node for node in nodes if _is_scalar(node)})
    members, children = _scopes(nodes)
    found: list[Run] = []
    pending = deque([""])
    while pending:
        parent = pending.popleft()
        taken: set[str] = set()
        for scopes in _alike(children.get(parent, ()), members, sequencer, fewest):
            for chain in _chains(scopes, members):
                if len(chain) >= fewest:
                    taken.update(chain)
                    found.append(_run(parent, chain, members))
        pending.extend(scope for scope in children.get(parent, ()) if scope not in taken)
    return found


def find_flat_runs(nodes: Sequence[Node], fewest: int = FEWEST) -> list[Run]:
    """The runs in a sequence of nodes, whatever their scopes: stretches that repeat the one before."""
    sequencer = Sequencer(set(), {node for node in nodes if _is_scalar(node)})
    sequence = [node for node in nodes if not _is_leaf(node)]
    found = []
    for region in find_regions(sequencer.signatures(sequence, _NEAR), fewest * _SMALLEST):
        if region.period < _SMALLEST:
            continue
        stop = region.stop - (region.stop - region.start) % region.period
        stretches = [
            sequence[place : place + region.period] for place in range(region.start, stop, region.period)
        ]
        for group in _equal_neighbours(stretches, sequencer):
            if len(group) >= fewest:
                bodies = tuple(map(tuple, group))
                found.append(Run(f"{bodies[0][0].name} …", bodies[0][0].scope, bodies, bodies))
    return found


def _equal_neighbours(stretches: Sequence[list[Node]], sequencer: Sequencer) -> Iterator[list[list[Node]]]:
    """Neighbouring stretches with the same form, together."""
    group: list[list[Node]] = []
    form = b""
    for stretch in stretches:
        current = sequencer.part(stretch).form
        if group and current != form:
            yield group
            group = []
        form = current
        group.append(stretch)
    if group:
        yield group


def around(scope: str) -> list[str]:
    """A scope and those it lies in, the innermost first.

    >>> around("a/b/c")
    ['a/b/c', 'a/b', 'a']
    """
    found = []
    while scope:
        found.append(scope)
        scope = scope.rpartition("/")[0]
    return found


def _is_leaf(node: Node) -> bool:
    return node.op.name in _LEAVES


def _is_scalar(node: Node) -> bool:
    return node.op.name == "constant" and node.attrs["value"].size == 1


def _scopes(nodes: Sequence[Node]) -> tuple[dict[str, list[Node]], dict[str, list[str]]]:
    """The nodes in each scope, inner ones included, by age; and the scopes that lie directly in each."""
    members: dict[str, list[Node]] = {}
    children: dict[str, list[str]] = {}
    for node in sorted(nodes, key=lambda node: node.id):
        for scope in around(node.scope):
            listed = members.get(scope)
            if listed is None:
                members[scope] = [node]
                children.setdefault(scope.rpartition("/")[0], []).append(scope)
            else:
                listed.append(node)
    return members, children


def _alike(
    scopes: Sequence[str], members: dict[str, list[Node]], sequencer: Sequencer, fewest: int
) -> Iterator[list[str]]:
    """Scopes with the same form, where there are enough of them."""
    bodies = {scope: [node for node in members[scope] if not _is_leaf(node)] for scope in scopes}
    sizes: dict[int, list[str]] = {}
    for scope in scopes:
        if len(bodies[scope]) >= _SMALLEST:
            sizes.setdefault(len(bodies[scope]), []).append(scope)
    for equal in sizes.values():
        if len(equal) < fewest:
            continue
        forms: dict[bytes, list[str]] = {}
        for scope in equal:
            forms.setdefault(sequencer.part(bodies[scope]).form, []).append(scope)
        yield from (found for found in forms.values() if len(found) >= fewest)


def _chains(scopes: Sequence[str], members: dict[str, list[Node]]) -> Iterator[list[str]]:
    """Neighbours among like scopes that read from one another, in the order of that."""
    home = {node: place for place, scope in enumerate(scopes) for node in members[scope]}
    links: set[tuple[int, int]] = set()
    for place, scope in enumerate(scopes):
        for node in members[scope]:
            for tensor in node.inputs:
                source = home.get(tensor.node, place)
                if abs(source - place) == 1:
                    links.add((source, place))
    start = 0
    while start < len(scopes):
        stop, way = start + 1, _way(start, links)
        while way and stop < len(scopes) and _way(stop - 1, links) == way:
            stop += 1
        yield list(scopes[start:stop]) if way >= 0 else list(reversed(scopes[start:stop]))
        start = stop


def _way(place: int, links: set[tuple[int, int]]) -> int:
    """1 if the scope after a place reads from it, -1 if it is read by it, 0 if neither or both are so."""
    return ((place, place + 1) in links) - ((place + 1, place) in links)


def _run(parent: str, chain: Sequence[str], members: dict[str, list[Node]]) -> Run:
    blocks = tuple([tuple(members[scope]) for scope in chain])
    bodies = tuple([tuple([node for node in block if not _is_leaf(node)]) for block in blocks])
    first, last = chain[0], chain[-1].rpartition("/")[2]
    return Run(f"{first} … {last}", parent, blocks, bodies)
