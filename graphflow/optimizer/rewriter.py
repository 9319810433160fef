"""The Rewriter: the one door through which a Program is edited, which keeps uses and value numbers true.

Three invariants hold between any two calls:

* `users` says, for every tensor, which nodes read it and how often;
* no two nodes compute the same value: nodes with equal value numbers are merged as soon as an edit
  makes them equal, and so are their users if that makes *them* equal (congruence closure). The twin
  with fewer users yields, so a node changes hands O(log n) times and a closure costs O(e log e);
* every node is needed by an output: what loses its last use is removed with all it alone kept.

An edit costs O(degree of what it touches). Nothing here recurses over the graph.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from graphflow.errors import RewriteError
from graphflow.ir.node import Node, Tensor
from graphflow.ops.state import constant
from graphflow.optimizer.analysis.constants import common_value
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.numbering import value_number
from graphflow.optimizer.observer import Observer
from graphflow.optimizer.orders import running_order, sorted_nodes
from graphflow.optimizer.program import Program
from graphflow.optimizer.rewrite_builder import RewriteBuilder


class Rewriter:
    """Edits a program.

    Arguments:
        program: what to edit; from now on nobody else may.
        journal: where edits are written down.
        merge_twins: whether equal nodes are merged. Off, duplicates made on purpose stay.
        observer: is shown each replacement before it is made, and may refuse it by raising.

    Attributes:
        users: for each tensor, its reading nodes with the number of reads.
        alive: for each node id, 1 while the node is part of the program.
        numbers: the node of each value number.
        builder: makes nodes, or finds the equal ones that exist.
        size: the number of nodes.
        touched: nodes whose surroundings have changed; the driver empties it.
    """

    __slots__ = (
        "_constant_values", "_pending", "_pinned", "_positions", "_sorted",
        "alive", "builder", "journal", "merge_twins", "numbers", "observer", "program", "size", "touched",
        "users",
    )  # fmt: skip

    def __init__(
        self,
        program: Program,
        journal: Journal | None = None,
        merge_twins: bool = True,
        observer: Observer | None = None,
    ) -> None:
        self.program = program
        self.journal = journal if journal is not None else Journal("off")
        self.merge_twins = merge_twins
        self.observer = observer
        self.users: dict[Tensor, dict[Node, int]] = {}
        self.touched: list[Node] = []
        self.size = 0
        self.alive = bytearray(len(program.nodes))
        self.numbers: dict[Hashable, Node] = {}
        self._pending: list[Node] = []
        self._pinned = frozenset([tensor.node for tensor in program.feeds])
        self._positions: dict[Tensor, list[int]] = {}
        self._constant_values: dict[Node, np.ndarray | None] = {}
        self._sorted = True
        self.builder = RewriteBuilder(self)
        self._load()

    # Reading

    def is_alive(self, node: Node) -> bool:
        """Whether the node is still part of the program."""
        return bool(self.alive[node.id])

    def order(self) -> list[Node]:
        """The nodes, each after everything it reads."""
        if self._sorted:
            alive = self.alive
            return [node for node in self.program.nodes if alive[node.id]]
        return sorted_nodes(self.program)

    def use_count(self, tensor: Tensor) -> int:
        """How often nodes and program outputs read a tensor."""
        return sum(self.users[tensor].values()) + len(self._positions.get(tensor, ()))

    def splat(self, tensor: Tensor) -> Any:
        """The value that all elements of a constant, or of a broadcast constant, share; else None."""
        node = tensor.node
        if node.op.name == "broadcast_to":
            node = node.inputs[0].node
        if node.op is not constant:
            return None
        known = self._constant_values
        if node not in known:
            known[node] = common_value(node.attrs["value"])
        return known[node]

    # Editing

    def replace(
        self,
        old: Node | Tensor,
        new: Tensor | Sequence[Tensor | None],
        rule: str,
        reason: str = "",
        kind: str = "replace",
        reading: Sequence[Node] = (),
    ) -> bool:
        """Let every user of `old` read `new` instead; what nobody needs any more goes.

        Arguments:
            old: a tensor, or a node for all of its outputs.
            new: a tensor of the same type, made by `builder` or already there; one for each output
                of a node, None for an output that nobody reads.
            rule, reason, kind: for the journal; see `journal.Entry`.
            reading: nodes that keep reading `old`.

        Returns:
            False if `new` is `old`, so that there was nothing to do, or if the journal is full.

        Raises:
            RewriteError: naming the rule, if the types differ or `new` would read itself. The
                program is left as it was.
        """
        made = self.builder.taken()
        try:
            pairs = self._pairs(old, new, rule)
            if not reading:
                self._refuse_cycle(pairs, made, rule)
            if self.observer is not None:
                self.observer.replaces(rule, pairs)
        except RewriteError:
            self._discard(made)
            raise
        if not pairs or (self.journal.is_full and kind != "body"):
            self._discard(made)
            return False
        removed: list[Node] = []
        for before, after in pairs:
            self._move_uses(before, after, reading)
        # Spare new nodes go first: they must not keep alive what the journal should list as removed.
        added = self._discard(made) if made else []
        for before, _ in pairs:
            self._remove_if_unneeded(before.node, removed)
        into = [after.node for _, after in pairs] if self.journal.detailed else ()
        self.journal.record(rule, kind, removed, added, into, reason, () if reading else pairs)
        if self._pending:
            self._close()
        return True

    def insert_after(self, tensor: Tensor, new: Tensor, rule: str, reason: str = "") -> None:
        """Let the users of `tensor` read `new`, which the builder has just made from `tensor`.

        The nodes made since the last edit keep reading `tensor`.
        """
        self.replace(tensor, new, rule, reason, kind="insert", reading=self.builder.made)

    def discard_made(self) -> None:
        """Remove what the builder made since the last edit and nobody reads."""
        if self.builder.made:
            self._discard(self.builder.taken())

    def settle(self) -> Program:
        """The program with its node list made of what is left, in order; this Rewriter ends here."""
        program = self.program
        nodes = self.order()
        for position, node in enumerate(nodes):
            node.id = position
        program.nodes = nodes
        kept = set(nodes)
        for table in (program.placeholders, program.variables):
            for name in [name for name, tensor in table.items() if tensor.node not in kept]:
                del table[name]
        return program

    # Loading

    def _load(self) -> None:
        """Count uses and merge twins, in one sweep along an order in which the program can run."""
        program, users, alive, table = self.program, self.users, self.alive, self.numbers
        merge, journal = self.merge_twins, self.journal
        moved: dict[Tensor, Tensor] = {}
        order = running_order(program)
        self._sorted = order is program.nodes
        for node in order:
            inputs = node.inputs
            if moved and any([tensor in moved for tensor in inputs]):
                inputs = node.inputs = tuple([moved.get(tensor, tensor) for tensor in inputs])
            key = value_number(node.op, inputs, node.attrs) if merge else None
            if key is not None:
                twin = table.setdefault(key, node)
                if twin is not node and not journal.at_limit:
                    moved.update(zip(node.outputs, twin.outputs))
                    self._record_merge(node, twin, (node,))
                    continue
            alive[node.id] = 1
            for tensor in node.outputs:
                users[tensor] = {}
            for tensor in inputs:
                readers = users[tensor]
                readers[node] = readers.get(node, 0) + 1
        if moved:
            program.outputs, program.schedule = [moved.get(each, each) for each in program.outputs], ()
        for position, tensor in enumerate(program.outputs):
            self._positions.setdefault(tensor, []).append(position)
        self.size = alive.count(1)
        unread = [node for node in program.nodes if alive[node.id] and not self._needed(node)]
        for node in unread:
            if journal.at_limit:
                break
            removed: list[Node] = []
            self._remove_if_unneeded(node, removed)
            if removed:
                journal.record("unused", "erase", removed)
        self.touched.clear()

    def _record_merge(self, node: Node, twin: Node, removed: Sequence[Node]) -> None:
        reason = f"computes the same as {twin.name}" if self.journal.detailed else ""
        moves = list(zip(node.outputs, twin.outputs))
        self.journal.record("merge_twins", "merge", removed, (), (twin,), reason, moves)

    # Checking

    def _pairs(
        self, old: Node | Tensor, new: Tensor | Sequence[Tensor | None], rule: str
    ) -> list[tuple[Tensor, Tensor]]:
        """(old, new) for each tensor that really changes, checked."""
        olds = old.outputs if isinstance(old, Node) else (old,)
        news = tuple(new) if isinstance(new, (list, tuple)) else (new,)
        node = old if isinstance(old, Node) else old.node
        if not self.alive[node.id]:
            raise RewriteError(
                f"rule {rule!r} replaces {node.name!r}, which is no longer part of the program"
            )
        if len(olds) != len(news):
            raise RewriteError(f"rule {rule!r} gave {len(news)} tensors for the {len(olds)} of {node.name!r}")
        pairs = []
        for before, after in zip(olds, news):
            if after is before:
                continue
            if after is None:
                if self.users[before] or before in self._positions:
                    raise RewriteError(f"rule {rule!r} gave nothing for {before.name!r}, which has users")
                continue
            self._check(before, after, rule)
            pairs.append((before, after))
        return pairs

    def _check(self, before: Tensor, after: Any, rule: str) -> None:
        if not isinstance(after, Tensor):
            raise RewriteError(
                f"rule {rule!r} returned {after!r} for {before.name!r}",
                hint="return a Tensor or decline(...)",
            )
        if after.node.graph is not self.program or not self.alive[after.node.id]:
            raise RewriteError(f"rule {rule!r} returned {after.name!r}, which is not part of the program")
        if after.type is not before.type:
            raise RewriteError(
                f"rule {rule!r} replaces {before.name!r} of type {before.type} by {after.name!r} of type "
                f"{after.type}",
                hint="a replacement must have the same dtype and shape: use b.astype or b.broadcast_to",
                origin=before.node.origin,
            )

    def _refuse_cycle(self, pairs: Sequence[tuple[Tensor, Tensor]], made: Sequence[Node], rule: str) -> None:
        replaced = {before for before, _ in pairs}
        for node in (*made, *(after.node for _, after in pairs)):
            for tensor in node.inputs:
                if tensor in replaced:
                    raise RewriteError(
                        f"rule {rule!r} replaces {tensor.name!r} by something that reads it",
                        hint="build from the inputs of the matched node, or use insert_after",
                    )

    # Moving and removing

    def _needed(self, node: Node) -> bool:
        users, positions = self.users, self._positions
        for tensor in node.outputs:
            if users[tensor] or tensor in positions:
                return True
        return node in self._pinned

    def register(self, node: Node, key: Hashable) -> None:
        """Take in a node that the builder has just made."""
        users = self.users
        self.alive.append(1)
        self.size += 1
        for tensor in node.outputs:
            users[tensor] = {}
        for tensor in node.inputs:
            readers = users[tensor]
            readers[node] = readers.get(node, 0) + 1
        if key is not None:
            self.numbers[key] = node

    def _forget(self, node: Node) -> None:
        """Free the value number of a node whose inputs are about to change."""
        key = value_number(node.op, node.inputs, node.attrs)
        if key is not None and self.numbers.get(key) is node:
            del self.numbers[key]

    def _move_uses(self, before: Tensor, after: Tensor, reading: Sequence[Node]) -> None:
        self._sorted, self.program.schedule = False, ()
        users, merge = self.users, self.merge_twins
        old_readers, new_readers = users[before], users[after]
        kept = {}
        for user, count in old_readers.items():
            if user in reading:
                kept[user] = count
                continue
            if merge:
                self._forget(user)
                self._pending.append(user)
            user.inputs = tuple([after if tensor is before else tensor for tensor in user.inputs])
            new_readers[user] = new_readers.get(user, 0) + count
            self.touched.append(user)
        users[before] = kept
        positions = self._positions.pop(before, None)
        if positions:
            for position in positions:
                self.program.outputs[position] = after
            self._positions.setdefault(after, []).extend(positions)

    def _remove_if_unneeded(self, node: Node, removed: list[Node]) -> None:
        """Remove a node without users and, in turn, what only it had been using."""
        alive, users = self.alive, self.users
        stack = [node]
        while stack:
            node = stack.pop()
            if not alive[node.id] or self._needed(node):
                continue
            alive[node.id] = 0
            self.size -= 1
            removed.append(node)
            if self.merge_twins:
                self._forget(node)
            self._constant_values.pop(node, None)
            for tensor in node.inputs:
                readers = users[tensor]
                if readers.pop(node, None) is None:
                    continue
                if not readers:
                    stack.append(tensor.node)
                self.touched.append(tensor.node)
                if len(readers) == 1:
                    self.touched.extend(readers)
            for tensor in node.outputs:
                del users[tensor]

    def _discard(self, made: Sequence[Node]) -> list[Node]:
        """Remove those new nodes that nobody needs; the others."""
        unneeded: list[Node] = []
        for node in reversed(made):
            self._remove_if_unneeded(node, unneeded)
        kept = [node for node in made if self.alive[node.id]]
        self.touched.extend(kept)
        return kept

    # Congruence closure

    def _close(self) -> None:
        """Number again the nodes whose inputs have changed; merge those that meet a twin."""
        pending, alive, table = self._pending, self.alive, self.numbers
        while pending:
            node = pending.pop()
            if not alive[node.id]:
                continue
            key = value_number(node.op, node.inputs, node.attrs)
            if key is None:
                continue
            twin = table.setdefault(key, node)
            if twin is not node and not self.journal.at_limit:
                self._merge(node, twin, key)

    def _merge(self, node: Node, twin: Node, key: Hashable) -> None:
        keeper, loser = (node, twin) if self._reads_of(node) > self._reads_of(twin) else (twin, node)
        self.numbers[key] = keeper
        for before, after in zip(loser.outputs, keeper.outputs):
            self._move_uses(before, after, ())
        removed: list[Node] = []
        self._remove_if_unneeded(loser, removed)
        self._record_merge(loser, keeper, removed)
        self.touched.append(keeper)

    def _reads_of(self, node: Node) -> int:
        return sum([len(self.users[tensor]) for tensor in node.outputs])
