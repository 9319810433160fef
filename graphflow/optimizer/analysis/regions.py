"""Regions: groups of nodes that can run as one loop, grown from their ends towards their inputs.

Operators are of five classes, told by their traits:

    elementwise   an element is made of those at its own index
    injective     an element is a copy of another: reshape, permute_dims, broadcast_to
    reduction     an element is made of a whole row: sum, max
    contraction   an element is made of rows or windows of two operands: matmul, conv
    opaque        everything else

A region is a loop over the shape of its last node, which may be a reduction over that shape. All nodes of
that shape before it are elementwise and belong to the loop. What feeds the loop may belong to the region,
too: one contraction of that shape, whose *epilogue* the loop is; and *prologues*, elementwise nodes of a
smaller shape and injective ones, whose results the loop reads.

A node joins the region of its nearest post-dominator if nothing leads around that region: then every way
out of a region leads through its last node, no way leads back in, and the region can run as one step. No
node is computed twice. Whatever keeps a node out is said in a sentence.

After T. Chen et al., "TVM: An Automated End-to-End Optimizing Compiler for Deep Learning", 2018, section
3.1, which has the classes and the post-dominators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from graphflow.ir.collector import paused_collector
from graphflow.ir.node import Node, Tensor
from graphflow.ir.types import Shape
from graphflow.optimizer.analysis.dominators import PostDominators

CLASSES = ("elementwise", "injective", "reduction", "contraction", "opaque")
_SHOWN_OPS = 6

Declined = Callable[[Node, str], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a target allows.

    Attributes:
        max_nodes: in a region.
        max_inputs: tensors that a region reads, constants left out.
        classes: those of `CLASSES` that may join; "opaque" has no effect.
    """

    max_nodes: int = 64
    max_inputs: int = 32
    classes: frozenset[str] = frozenset(CLASSES)


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Nodes that can run as one loop.

    Attributes:
        name: such as "fused_3: multiply+add+relu".
        kind: "contraction" or "reduction" if it has one, else "elementwise".
        nodes: at least two, each after everything it reads; the last one gives the result.
        inputs: the tensors it reads from outside, in the order of their first use.
        domain: the shape of the loop.
    """

    name: str
    kind: str
    nodes: tuple[Node, ...]
    inputs: tuple[Tensor, ...]
    domain: Shape

    @property
    def title(self) -> str:
        """The name without its operators: "fused_3"."""
        return self.name.partition(":")[0]

    @property
    def operators(self) -> str:
        """What it computes: "multiply+add+relu"."""
        return self.name.partition(": ")[2]

    @property
    def output(self) -> Tensor:
        """The one result that leaves it."""
        return self.nodes[-1].output

    def copied(self, copies: Mapping[Tensor, Tensor]) -> Region:
        """The same region of a copy of the program, by what its tensors have become there."""
        nodes = tuple([copies[node.output].node for node in self.nodes])
        domain = nodes[-1].inputs[0].shape if class_of(nodes[-1]) == "reduction" else nodes[-1].output.shape
        return Region(self.name, self.kind, nodes, tuple([copies[one] for one in self.inputs]), domain)

    def __repr__(self) -> str:
        return f"<region {self.name}>"


def class_of(node: Node) -> str:
    """The class of a node.

    >>> import graphflow as gf
    >>> x = gf.constant([[1.0, 2.0]])
    >>> [class_of(y.node) for y in (gf.exp(x), gf.reshape(x, (2,)), gf.sum(x), x @ x.T, gf.sort(x))]
    ['elementwise', 'injective', 'reduction', 'contraction', 'opaque']
    """
    traits = node.op.traits
    if "any_dtype" in traits and any([one.dtype.is_storage for one in (*node.inputs, *node.outputs)]):
        return "opaque"
    kind = next((one for one in CLASSES if one in traits), "opaque")
    if len(node.outputs) != 1 or (
        kind == "reduction" and (len(node.inputs) != 1 or "axis" not in node.attrs)
    ):
        return "opaque"
    return kind


def is_source(node: Node) -> bool:
    """Whether a node brings a value rather than computes one: constants, and what comes from outside."""
    return node.op.name == "constant" or "nullary_input" in node.op.traits


@paused_collector()
def find_regions(
    order: Sequence[Node],
    outputs: Sequence[Tensor],
    limits: Limits | None = None,
    declined: Declined | None = None,
) -> tuple[Region, ...]:
    """The regions of two nodes and more, in the order of their last nodes, in time n log n at most.

    Arguments:
        order: nodes, each after everything it reads.
        outputs: the tensors that are returned.
        limits: what the target allows.
        declined: is told each node that was not fused into what reads it, in order, and why.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (2, 3))
    >>> y = gf.sum(gf.exp(x) * 2.0, axis=1)
    >>> find_regions(y.graph.nodes, [y])
    (<region fused_0: exp+multiply+sum>,)
    """
    return _Growth(order, outputs, limits or Limits(), declined is not None).run(declined)


class _Open:
    """A region that grows: its members with their roles, and what it reads so far."""

    __slots__ = ("anchor", "domain", "inputs", "last", "members", "sink")

    def __init__(self, node: Node, kind: str, position: int) -> None:
        self.sink = node
        self.last = position
        self.domain: Shape | None = None
        if kind in ("elementwise", "reduction"):
            self.domain = node.output.shape if kind == "elementwise" else node.inputs[0].shape
        self.members: dict[Node, str] = {node: "loop" if kind == "elementwise" else kind}
        self.inputs = _counted_inputs(node)
        self.anchor: Node | None = None

    def add(self, node: Node, role: str) -> None:
        self.members[node] = role
        self.inputs.pop(node.output, None)
        self.inputs.update(_counted_inputs(node))
        if role == "contraction":
            self.anchor = node


def _counted_inputs(node: Node) -> dict[Tensor, None]:
    return {tensor: None for tensor in node.inputs if tensor.node.op.name != "constant"}


class _Growth:
    """One run of `find_regions`, from the last node to the first."""

    def __init__(
        self, order: Sequence[Node], outputs: Sequence[Tensor], limits: Limits, explaining: bool
    ) -> None:
        self.order, self.limits, self.explaining = order, limits, explaining
        self.tree = PostDominators(order, outputs)
        self.homes: dict[int, _Open] = {}
        self.said: list[tuple[Node, str]] = []

    def run(self, declined: Declined | None) -> tuple[Region, ...]:
        for position in range(len(self.order) - 1, -1, -1):
            self._place(position)
        for node, reason in reversed(self.said):
            if declined is not None:
                declined(node, reason)
        grown = {home.last: home for home in self.homes.values() if len(home.members) > 1}
        return tuple([_closed(grown[last], number) for number, last in enumerate(sorted(grown))])

    def _place(self, position: int) -> None:
        """Let a node join a region, or begin one of its own."""
        node = self.order[position]
        kind = class_of(node)
        source = is_source(node)
        if self.tree.users[position] and not source:
            obstacle = self._obstacle(position, node, kind)
            if not obstacle:
                return
            if self.explaining:
                self.said.append((node, obstacle))
        self.homes[position] = _Open(node, "opaque" if source else kind, position)

    def _obstacle(self, position: int, node: Node, kind: str) -> str:
        """Why a node cannot join the region of its users; "" if it has joined."""
        tree, order = self.tree, self.order
        if kind == "opaque" or kind not in self.limits.classes:
            return f"{node.op.name} is {kind}: it runs by itself" if self.explaining else "-"
        if tree.returned[position]:
            return "it is fetched, so its value has to be stored"
        meet = tree.parent[position]
        if meet == len(order):
            return self._scattered(position, None)
        home = self.homes[meet]
        users = tree.users[position]
        for user in users:
            if self.homes[user] is not home:
                return self._scattered(position, home)
        role, reason = _role(node, kind, home, [order[user] for user in users], self.limits)
        reason = reason or self._beyond(node, home)
        if not reason:
            home.add(node, role)
            self.homes[position] = home
        return reason

    def _scattered(self, position: int, home: _Open | None) -> str:
        """The sentence for users in more than one region."""
        if not self.explaining:
            return "-"
        users = self.tree.users[position]
        outside = [user for user in users if self.homes[user] is not home]
        names = ", ".join([self.order[user].name for user in outside[:3]])
        more = f" and {len(outside) - 3} more" if len(outside) > 3 else ""
        if home is None:
            return f"it has {len(users)} users that never meet again: {names}{more}"
        place = self.order[self.tree.parent[position]].name
        count = f"{len(outside)} user{'s' * (len(outside) != 1)}"
        return f"it has {count} outside of the region of {place}, where its values meet again: {names}{more}"

    def _beyond(self, node: Node, home: _Open) -> str:
        """The limit that a region would exceed with a node more; "" if none."""
        limits, name = self.limits, home.sink.name
        if len(home.members) >= limits.max_nodes:
            return f"the region of {name} would exceed the limit of {limits.max_nodes} nodes"
        if len(home.inputs) + len(node.inputs) - 1 > limits.max_inputs:
            read = len({**home.inputs, **_counted_inputs(node)}) - 1
            if read > limits.max_inputs:
                return f"the region of {name} would exceed the limit of {limits.max_inputs} inputs"
        return ""


def _role(node: Node, kind: str, home: _Open, users: list[Node], limits: Limits) -> tuple[str, str]:
    """What a node would be in the region of all its users, or why it cannot be anything there."""
    sink_class = "elementwise" if home.members[home.sink] == "loop" else home.members[home.sink]
    if home.domain is None or sink_class not in limits.classes:
        why = _BEGINS.get(sink_class, f"the target fuses no {sink_class} operators")
        return "", f"it feeds {home.sink.name}: {why}"
    roles = {home.members[user] for user in users}
    shape = node.output.shape
    if kind == "reduction":
        return "", _reduction_feeds(node, users[0])
    if kind == "contraction":
        if roles != {"loop"} or shape != home.domain:
            return "", f"the loop is over {_show(home.domain)}, and would read {_show(shape)} in another way"
        anchor = home.anchor
        return kind, f"the region of {home.sink.name} has {anchor.name} already" if anchor is not None else ""
    if kind == "elementwise" and shape == home.domain:
        return "loop", "" if roles <= _LOOPING else _read_otherwise(home, users, _LOOPING)
    role = "spread" if node.op.name == "broadcast_to" else kind
    return role, "" if roles <= _READING else _read_otherwise(home, users, _READING)


_LOOPING = frozenset(("loop", "reduction"))
_READING = frozenset(("loop", "elementwise", "spread"))
_BEGINS = {
    "opaque": "an opaque operator runs by itself",
    "injective": "what moves elements can only begin a region",
    "contraction": "what reads whole rows or windows can only begin a region",
}


def _read_otherwise(home: _Open, users: list[Node], fitting: frozenset[str]) -> str:
    """The sentence for a reader in the region that does not read element by element."""
    reader = next(user for user in users if home.members[user] not in fitting)
    role = home.members[reader]
    if role == "reduction":
        return f"{reader.name} reduces it without a loop before that it could join"
    return f"it feeds {reader.name}: {_BEGINS.get(role, _BEGINS['injective'])}"


def _reduction_feeds(node: Node, user: Node) -> str:
    axes = node.attrs.get("axis")
    listed = axes if isinstance(axes, tuple) else (axes,)
    over = f"over axis {', '.join(map(str, listed))}" if axes is not None else "over all axes"
    shape, other = node.output.shape, user.output.shape
    what = "of another shape" if shape != other else "of its own shape, after all of a row is read"
    return f"the reduction {over} feeds {user.name}, {_article(class_of(user))} operator {what}"


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _show(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _closed(home: _Open, number: int) -> Region:
    """The finished region; its members were found from the last to the first."""
    nodes = tuple(reversed(home.members))
    inside = set(nodes)
    inputs = {tensor: None for node in nodes for tensor in node.inputs if tensor.node not in inside}
    kind = "contraction" if home.anchor is not None else home.members[home.sink]
    ops = [node.op.name for node in nodes]
    if len(ops) > _SHOWN_OPS:
        ops = [*ops[: _SHOWN_OPS - 2], f"{len(ops) - _SHOWN_OPS + 1} more", ops[-1]]
    domain = home.domain if home.domain is not None else home.sink.output.shape
    kind = "elementwise" if kind == "loop" else kind
    return Region(f"fused_{number}: {'+'.join(ops)}", kind, nodes, tuple(inputs), domain)
