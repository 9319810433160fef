"""The journal: what the optimizer changed, by which rule, and why it left other things alone.

Every edit goes through the Rewriter, and the Rewriter writes here; so a journal is complete. How
much is kept is its level:

    off      how many edits there were, and nothing else
    counts   how often each rule fired in each pass, and how many nodes that removed and added
    entries  an Entry for each edit, and a line of text for each node that is gone
    remarks  also the sentences with which rules declined

The cost of an edit is a few additions at `counts` and one appended tuple at `entries`. The optimizer
is deterministic, so a run at `counts` can be told in full by running it again at a higher level, and a
journal with a `limit` takes it to any point on its way: once that is *full*, nothing is edited any more.

Edits inside of a body have names with its path in front, as in `loop:body/exp`, so that they are not
confused with nodes of the same names around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graphflow.errors import AttributeValueError
from graphflow.ir.body import Body
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.cost import counted_at, node_bytes, node_flops
from graphflow.optimizer.budget import Budget

if TYPE_CHECKING:
    from graphflow.optimizer.metering import Meter

LEVELS = ("off", "counts", "entries", "remarks")

KINDS = ("replace", "merge", "fold", "erase", "insert", "body")


class Entry(NamedTuple):
    """One edit.

    Attributes:
        sequence: its number, from 0.
        pass_name, rule: who made it.
        kind: "replace" (by a rule), "merge" (of equal nodes), "fold" (into a constant), "erase"
            (nobody needs it), "insert" (between a tensor and its users) or "body" (the edits inside
            of it are put in place).
        removed: names of the nodes that are gone; the first is the one the edit is about.
        added: names of the nodes that were made.
        into: names of the nodes that give the values from now on, made by this edit or before it.
        reason: a sentence, "" if the rule says it all.
        flops: how many floating-point operations a run the edit adds, negative if it saves some; inside
            of a body in one run of that, where the edit of kind "body" has what all of its runs add.
        bytes: how many bytes more the nodes of a run read and write, negative if fewer; likewise.
    """

    sequence: int
    pass_name: str
    rule: str
    kind: str
    removed: tuple[str, ...]
    added: tuple[str, ...]
    into: tuple[str, ...]
    reason: str
    flops: int
    bytes: int = 0


class Remark(NamedTuple):
    """A rule whose pattern matched at a node but that declined, with its reason; print it.

    >>> print(Remark("canonicalize", "exp_minus_one", "subtract", "exp has other users", "net.py:12"))
    exp_minus_one at subtract (net.py:12): exp has other users
    """

    pass_name: str
    rule: str
    node: str
    reason: str
    origin: str

    def __str__(self) -> str:
        at = f"{self.node} ({self.origin})" if self.origin else self.node
        return f"{self.rule} at {at}: {self.reason}"


class PassRecord(NamedTuple):
    """One pass that ran: how long, the number of nodes `before` and `after`, and what it says."""

    name: str
    seconds: float
    before: int
    after: int
    changed: bool
    note: str


class Tally:
    """What one rule did in one pass: `fired` edits that `removed` and `added` so many nodes.

    Of these, `inside` is what the edits in bodies added less what they removed. `flops` and `bytes` are
    those of edits outside of bodies; what changes inside has its share in the edits of the pass `bodies`.
    """

    __slots__ = ("added", "bytes", "declined", "fired", "flops", "inside", "removed")

    def __init__(self) -> None:
        self.fired = self.removed = self.added = self.inside = 0
        self.flops = self.bytes = self.declined = 0


class Gone(NamedTuple):
    """What is remembered of a removed node: its text, its user's line, and the number of the edit."""

    text: str
    origin: str
    lineage: tuple[str, tuple[str, ...]] | None
    sequence: int


class Journal:
    """A record of edits.

    Arguments:
        level: one of `LEVELS`; see the module docstring.
        limit: how many edits may be made; any number by default. A body with edits inside is put in
            place all the same.
        meter: measures each pass and rule; nothing does by default.
        sizes: what symbolic sizes count as in FLOP and bytes; 1 by default.

    Attributes:
        edits: how many there were.
        tallies: a Tally for each (pass, rule), in the order of first use.
        gone: for each name of a removed node, what is remembered of it (levels entries and remarks).
        moved: for each tensor that was replaced, what its users read from then on, by name (likewise).
        passes: a PassRecord for each pass that ran.
        pass_name: who is editing; the pass manager sets it.
        label: the level or pipeline that ran.
        path: of the body that is being edited, "" for the program itself; the pass `bodies` sets it.
        recipe: what ran, so that `replay` can run it again.
        failures: where a rule failed or was refused, as (edits before it, rule, node).
        expected: such failures of the run that is being repeated; there the rule is not tried.
        budget: what the pass that runs may still spend, or None if it is free.
        excluded: names and tags of the rules that the pass leaves out.
        stops: for each pass that went over its budget, how many edits there were by then.
        expected_stops: such stops of the run that is being repeated, which count instead of the clock.

    Raises:
        AttributeValueError: for an unknown level, or a limit that is no count.
    """

    def __init__(
        self,
        level: str = "counts",
        limit: int | None = None,
        meter: Meter | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        if level not in LEVELS:
            raise AttributeValueError(f"a journal has no level {level!r}", hint="use " + ", ".join(LEVELS))
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise AttributeValueError(
                f"{limit!r:.80} is no number of edits", hint="give an int of at least 0, or None for all"
            )
        self.level = level
        self.limit = limit
        self.meter = meter
        self.sizes = dict(sizes or {})
        self.budget: Budget | None = None
        self.excluded: frozenset[str] = frozenset()
        self.stops: dict[str, int] = {}
        self.expected_stops: dict[str, int] | None = None
        self.edits = 0
        self.path = ""
        self.recipe: Any = None
        self.failures: set[tuple[int, str, str]] = set()
        self.expected: frozenset[tuple[int, str, str]] = frozenset()
        self.counting = level != "off"
        self.detailed = level in ("entries", "remarks")
        self.remarking = level == "remarks"
        self.pass_name = ""
        self.label = ""
        self.passes: list[PassRecord] = []
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.gone: dict[str, Gone] = {}
        self.moved: dict[str, str] = {}
        self._entries: list[tuple] = []
        self._remarks: dict[tuple[str, str, str], Remark] = {}

    # Writing: the Rewriter and the driver call these

    def record(
        self,
        rule: str,
        kind: str,
        removed: Sequence[Node],
        added: Sequence[Node] = (),
        into: Sequence[Node] = (),
        reason: str = "",
        moves: Sequence[tuple[Tensor, Tensor]] = (),
    ) -> None:
        """Write down one edit; `moves` are the tensors whose users now read another, and that other."""
        self.edits += 1
        if self.budget is not None:
            self.budget.spend(len(removed) + len(added))
        if not self.counting:
            return
        tally = self._tally(rule)
        tally.fired += 1
        tally.removed += len(removed)
        tally.added += len(added)
        if self.path:
            tally.inside += len(added) - len(removed)
        if not self.detailed:
            return
        with counted_at(self.sizes):
            flops = sum(map(node_flops, added)) - sum(map(node_flops, removed))
            moved = sum(map(node_bytes, added)) - sum(map(node_bytes, removed))
        if not self.path:
            tally.flops += flops
            tally.bytes += moved
        sequence = len(self._entries)
        path = self.path
        for before, after in moves:
            self.moved[path + before.name] = path + after.name
        for node in removed:
            self.gone[path + node.name] = Gone(describe(node), str(node.origin or ""), node.lineage, sequence)
        self._entries.append(
            (
                sequence,
                self.pass_name,
                rule,
                kind,
                _names(path, removed),
                _names(path, added),
                _names(path, into),
                reason,
                flops,
                moved,
            )
        )

    def decline(self, rule: str, node: Node, reason: str) -> None:
        """Write down that a rule matched at `node` but had a reason not to fire."""
        if not self.counting:
            return
        self._tally(rule).declined += 1
        if self.remarking:
            key = (self.pass_name, rule, self.path + node.name)
            self._remarks[key] = Remark(*key, reason, str(node.origin or ""))

    def _tally(self, rule: str) -> Tally:
        key = (self.pass_name, rule)
        tally = self.tallies.get(key)
        if tally is None:
            tally = self.tallies[key] = Tally()
        return tally

    # Reading

    @property
    def is_full(self) -> bool:
        """Whether its limit is reached, or the pass's budget spent, so that no pass edits any more."""
        if self.budget is not None and self.budget.is_spent(self.edits):
            return True
        return self.limit is not None and self.edits >= self.limit

    @property
    def at_limit(self) -> bool:
        """Whether its limit is reached, so that not even equal nodes are merged any more."""
        return self.limit is not None and self.edits >= self.limit

    @property
    def entries(self) -> list[Entry]:
        """The edits in order; empty below the level `entries`."""
        return [Entry(*row) for row in self._entries]

    @property
    def remarks(self) -> list[Remark]:
        """Where rules declined, at nodes still there, with the last reason; empty below `remarks`."""
        return [remark for remark in self._remarks.values() if remark.node not in self.gone]

    def fired(self, rule: str) -> int:
        """How often a rule fired, over all passes."""
        return sum(tally.fired for (_, name), tally in self.tallies.items() if name == rule)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __repr__(self) -> str:
        return f"<journal at level {self.level!r}: {self.edits} edits>"


def _names(path: str, nodes: Sequence[Node]) -> tuple[str, ...]:
    return tuple([path + node.name for node in nodes]) if path else tuple([node.name for node in nodes])


def describe(node: Node) -> str:
    """One line that says what a node computes: `name = op(inputs, attrs) : types`."""
    read = [
        f"{tensor.node.name}:{tensor.index}" if tensor.index else tensor.node.name for tensor in node.inputs
    ]
    attrs = [f"{name}={_shown(value)}" for name, value in node.attrs.items()]
    types = ", ".join(str(tensor.type) for tensor in node.outputs)
    return f"{node.name} = {node.op.name}({', '.join(read + attrs)}) : {types or 'nothing'}"


def _shown(value: object) -> str:
    if isinstance(value, Body):
        return f"<{value.name}, {len(value.nodes)} nodes>"
    if isinstance(value, tuple) and any(isinstance(item, Body) for item in value):
        return f"[{', '.join(map(_shown, value))}]"
    text = " ".join(str(value).split())
    return text if len(text) <= 40 else text[:37] + "..."
