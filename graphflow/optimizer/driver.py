"""The driver: apply rules to a fixed point with a worklist, at a cost linear in nodes and edits.

The worklist starts with all nodes in topological order and is first in, first out; a node is in it
at most once. An edit puts back the new nodes, the users of what was replaced (so far up as patterns
are deep, and from the second on only where a pattern has the one operator under the other), and the
producers that lost a use together with the one user they have left.

Rules are tried in their order. Which rules are worth trying depends only on the operators of a
node and of its direct inputs, so it is worked out once for each such combination; and where patterns
are deeper, for each combination of the operators above these (`RuleIndex`).

A set of rules that undo one another would never end. So firings are capped at `LIMIT` times the
number of nodes. At the cap the rules that fired last are named, and the last listed of them, which is
the user's rather than the package's, is left out; then the others go on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from graphflow.errors import GraphFlowError, RewriteError
from graphflow.ir import provenance
from graphflow.ir.node import Node
from graphflow.ir.opdef import OpDef
from graphflow.optimizer.pattern import Match, Plan
from graphflow.optimizer.rewriter import Rewriter
from graphflow.optimizer.rule import Applicable, Decline, Rule
from graphflow.optimizer.rule_answer import disown_strays, is_from_outside, refuse_circle, refuse_strays

LIMIT = 8
"""Rules may fire this many times the number of nodes."""

_RECENT = 64  # firings that are looked at to find the rules that undo one another

_SMALL = 16  # so that a graph of a few nodes is not stopped in the middle of honest work


_NOWHERE: dict[str, int] = {}

_MANY = 5  # inputs from which on a key does not tell their order

Candidates: TypeAlias = tuple[tuple[Rule, Applicable], ...]
"""Rules worth trying at a node, in order, each with a compiled pattern."""


class RewriteWarning(UserWarning):
    """A rule or pass was skipped because it failed; the program is right, but less optimised."""


class EveryNode:
    """A pattern without an operator: it fits every node whose operators `accepts` lets through.

    Arguments:
        accepts: (operator, names of the operators that make the inputs) -> whether it fits; may
            depend on which names occur, not on their order.
    """

    __slots__ = ("_accepts",)

    def __init__(self, accepts: Callable[[OpDef, Sequence[str]], bool]) -> None:
        self._accepts = accepts

    def bound(self, op: OpDef) -> BoundEveryNode:
        """This pattern for nodes of one operator."""
        return BoundEveryNode(op, self._accepts)


class BoundEveryNode:
    """`EveryNode` for one operator; what the driver tries."""

    __slots__ = ("_accepts", "op")

    def __init__(self, op: OpDef, accepts: Callable[[OpDef, Sequence[str]], bool]) -> None:
        self.op = op
        self._accepts = accepts

    def accepts(self, child_ops: Sequence[str]) -> bool:
        """Whether nodes whose inputs are made by these operators may match."""
        return self._accepts(self.op, child_ops)

    def match(self, node: Node, rewriter: Rewriter) -> Match | None:
        """A match with nothing but the root."""
        return Match(node, rewriter)


class RuleIndex:
    """Which rules may fire at a node, found by its operator and those of its inputs.

    Arguments:
        rules: in the order in which they are tried; names must differ.
        everywhere: rules tried at nodes of all operators, before the others.
    """

    def __init__(self, rules: Sequence[Rule], everywhere: Sequence[tuple[Rule, EveryNode]] = ()) -> None:
        self.rules = tuple(rules)
        self.everywhere = tuple(everywhere)
        names = Counter([rule.name for rule in rules])
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise RewriteError(
                f"two rules are named {twice[0]!r}", hint="rules are told apart by their names"
            )
        self.by_root: dict[str, list[Rule]] = {}
        self.depths: dict[str, int] = {}
        self.rises: dict[str, dict[str, int]] = {}
        for rule in rules:
            for name in rule.root_names:
                self.by_root.setdefault(name, []).append(rule)
            for name, depth in rule.inner_depths().items():
                self.depths[name] = max(self.depths.get(name, 0), depth)
            for child, parent, depth in rule.nested_operators():
                above = self.rises.setdefault(child, {})
                above[parent] = max(above.get(parent, 0), depth)
        self._plans: dict[OpDef, list[tuple[Rule, Applicable]]] = {}
        self._candidates: dict[Hashable, tuple[Candidates, dict[Hashable, Candidates] | None]] = {}

    def named(self, names: Collection[str]) -> set[str]:
        """The names of its rules that have one of these names or tags."""
        if not names:
            return set()
        listed = (*self.rules, *[rule for rule, _ in self.everywhere])
        return {rule.name for rule in listed if rule.name in names or not rule.tags.isdisjoint(names)}

    def relevant(self, nodes: Iterable[Node]) -> list[Node]:
        """Those of the nodes at which some rule is worth trying: most of the time few."""
        found, known = [], self._candidates
        for node in nodes:
            inputs = node.inputs
            if len(inputs) == 1:
                listed = known.get((node.op, inputs[0].node.op))
            elif len(inputs) == 2:
                listed = known.get((node.op, inputs[0].node.op, inputs[1].node.op))
            else:
                listed = None
            if (listed is None or listed[0]) and self.candidates(node):
                found.append(node)
        return found

    def candidates(self, node: Node) -> Candidates:
        """The rules worth trying at a node, in order, each with a compiled pattern."""
        inputs = node.inputs
        count = len(inputs)
        if count == 1:
            key: Hashable = (node.op, inputs[0].node.op)
        elif count == 2:
            key = (node.op, inputs[0].node.op, inputs[1].node.op)
        elif count < 5:
            key = (node.op, *[tensor.node.op for tensor in inputs])
        else:
            key = (node.op, count, frozenset([tensor.node.op for tensor in inputs]))
        found = self._candidates.get(key)
        if found is None:
            listed = self._find(node)
            narrows = any([isinstance(plan, Plan) and plan.narrows for _, plan in listed])
            found = self._candidates[key] = listed, ({} if narrows else None)
        options, closer = found
        if closer is None:
            return options
        above = [_above(tensor.node) for tensor in inputs]
        close = (inputs[0] is inputs[-1], inputs[-1].type.dtype, *above)
        narrowed = closer.get(close)
        if narrowed is None:
            narrowed = closer[close] = _narrowed(options, node, above)
        return narrowed

    def _find(self, node: Node) -> Candidates:
        child_ops = [tensor.node.op.name for tensor in node.inputs]
        plans = self._plans.get(node.op)
        if plans is None:
            plans = [(rule, pattern.bound(node.op)) for rule, pattern in self.everywhere]
            for rule in self.by_root.get(node.op.name, ()):
                plans += [(rule, plan) for plan in rule.plans_for(node.op.name)]
            self._plans[node.op] = plans
        # With many inputs the key does not tell their order, so only a plan itself can decide.
        many = len(child_ops) >= 5
        return tuple(
            [
                (rule, plan)
                for rule, plan in plans
                if (many and isinstance(plan, Plan)) or plan.accepts(child_ops)
            ]
        )


def _above(node: Node) -> tuple[OpDef, ...] | None:
    """The operators that make the inputs of a node; None if they are many."""
    inputs = node.inputs
    if len(inputs) == 1:
        return (inputs[0].node.op,)
    if len(inputs) == 2:
        return (inputs[0].node.op, inputs[1].node.op)
    return tuple([tensor.node.op for tensor in inputs]) if len(inputs) < _MANY else None


def _narrowed(options: Candidates, node: Node, above: Sequence[tuple[OpDef, ...] | None]) -> Candidates:
    """The options whose patterns may fit, given what is above the inputs."""
    names = [None if ops is None else [op.name for op in ops] for ops in above]
    alike, kind = node.inputs[0] is node.inputs[-1], node.inputs[-1].type.dtype.kind
    return tuple(
        [
            (rule, plan)
            for rule, plan in options
            if not isinstance(plan, Plan) or plan.accepts_closely(alike, kind, names)
        ]
    )


@dataclass(slots=True)
class DriverResult:
    """What a run of the driver did.

    Attributes:
        steps: nodes taken from the worklist, in which those at which no rule is worth trying never are.
        firings: edits made, by rule.
        complete: False if the cap on firings was reached, so that a rule was left out.
    """

    steps: int = 0
    firings: Counter[str] = field(default_factory=Counter)
    complete: bool = True

    @property
    def changed(self) -> bool:
        """Whether anything was edited."""
        return bool(self.firings)


class Driver:
    """Applies an index of rules to a program.

    Arguments:
        rewriter: the door to the program.
        index: the rules.
        strict: raise what a rule raises, and when the cap is reached, instead of warning.
    """

    def __init__(self, rewriter: Rewriter, index: RuleIndex, strict: bool = False) -> None:
        self.rewriter = rewriter
        self.index = index
        self.strict = strict
        self.result = DriverResult()
        self._broken = index.named(rewriter.journal.excluded)
        self._from_outside = {rule.name for rule in index.rules if is_from_outside(rule)}
        self._recent: deque[str] = deque(maxlen=_RECENT)
        self._meter = rewriter.journal.meter

    def run(self, seeds: Iterable[Node] | None = None) -> DriverResult:
        """Rewrite to a fixed point, starting from `seeds` (all nodes by default).

        Raises:
            RewriteError: if `strict`, when a rule fails or the cap is reached.
        """
        rewriter, result = self.rewriter, self.result
        queue = deque(self.index.relevant(rewriter.order() if seeds is None else seeds))
        queued = {node.id for node in queue}
        limit = LIMIT * max(rewriter.size, _SMALL)
        alive, journal = rewriter.alive, rewriter.journal
        candidates: Callable[[Node], Sequence[tuple[Rule, Applicable]]] = self.index.candidates
        if self._meter is not None:
            candidates = self._meter.timed(candidates, journal.pass_name)
        rewriter.touched.clear()
        fired = 0
        bounded = journal.limit is not None or journal.budget is not None
        while queue and not (bounded and journal.is_full):
            node = queue.popleft()
            queued.discard(node.id)
            if not alive[node.id]:
                continue
            result.steps += 1
            options = candidates(node)
            if not options or not self._rewrite(node, options):
                continue
            self._requeue(queue, queued)
            fired += 1
            if fired >= limit:
                self._stop(limit)
                limit, fired = LIMIT * max(rewriter.size, _SMALL), 0
                queue, queued = self._restarted()
        return result

    def _rewrite(self, node: Node, options: Sequence[tuple[Rule, Applicable]]) -> bool:
        """Fire the first rule that applies; whether one did."""
        rewriter, journal = self.rewriter, self.rewriter.journal
        for rule, plan in options:
            match = plan.match(node, rewriter)
            if match is None or rule.name in self._broken:
                continue
            if journal.expected and (journal.edits, rule.name, journal.path + node.name) in journal.expected:
                self._broken.add(rule.name)
                continue
            if self._meter is None:
                answer = self._fire(rule, match)
            else:
                answer = self._meter.fire(self._fire, rule, match, rewriter)
            if answer is True:
                self.result.firings[rule.name] += 1
                self._recent.append(rule.name)
                return True
            if isinstance(answer, Decline):
                journal.decline(rule.name, node, answer.reason)
        return False

    def _fire(self, rule: Rule, match: Match) -> Decline | bool:
        """Let a rule build its replacement and put it in; True if the program has changed."""
        rewriter = self.rewriter
        builder = rewriter.builder.standing_for(match.nodes, rule.name)
        try:
            answer = rule.function(match, builder)
            if rule.name in self._from_outside:
                refuse_strays(rule, rewriter)
                refuse_circle(rule, match, answer)
            if answer is None or isinstance(answer, Decline):
                rewriter.discard_made()
                return answer or False
            return rewriter.replace(match.root, answer, rule.name, kind=rule.kind)
        except Exception as error:
            disown_strays(rewriter)
            rewriter.discard_made()
            self._report(rule, match.root, error)
            return False

    def _report(self, rule: Rule, node: Node, error: Exception) -> None:
        """Name a rule that failed, and leave it out from now on."""
        journal = self.rewriter.journal
        journal.failures.add((journal.edits, rule.name, journal.path + node.name))
        said = error.message if isinstance(error, GraphFlowError) else f"{type(error).__name__}: {error}"
        message = f"rule {rule.name!r} failed at {node.op.name} {node.name!r}: {said}"
        if self.strict:
            raise RewriteError(message, hint="this is a fault of the rule", origin=node.origin) from error
        self._broken.add(rule.name)
        provenance.warn(f"{message}; the rule is skipped", RewriteWarning)

    def _requeue(self, queue: deque[Node], queued: set[int]) -> None:
        """Put back the touched nodes, and their users as far up as a pattern could see them."""
        rewriter, depths, rises = self.rewriter, self.index.depths, self.index.rises
        alive, users = rewriter.alive, rewriter.users
        level = [(node, depths.get(node.op.name, 0)) for node in rewriter.touched if alive[node.id]]
        rewriter.touched.clear()
        while level:
            above: list[tuple[Node, int]] = []
            for node, height in level:
                if node.id not in queued:
                    queued.add(node.id)
                    queue.append(node)
                if height:
                    over = rises[node.op.name] if height > 1 else _NOWHERE
                    for tensor in node.outputs:
                        for user in users[tensor]:
                            rise = over.get(user.op.name, 0)
                            above.append((user, rise if rise < height else height - 1))
            level = above

    def _stop(self, limit: int) -> None:
        """The cap is reached: say which rules keep each other busy, and leave one of them out."""
        self.result.complete = False
        names = [name for name, _ in Counter(self._recent).most_common(2)]
        suspects = " and ".join(map(repr, names))
        message = (
            f"the rules do not come to an end: stopped after {limit} firings, the last of them of "
            f"{suspects}, which {'undo each other' if len(names) > 1 else 'repeats itself'}"
        )
        if self.strict:
            raise RewriteError(
                message, hint="let each rule lower the number of nodes, their cost, or a rank of operators"
            )
        order = {rule.name: place for place, rule in enumerate(self.index.rules)}
        skipped = max(names, key=lambda name: order.get(name, -1))
        self._broken.add(skipped)
        self._recent.clear()
        provenance.warn(f"{message}; the rule {skipped!r} is skipped", RewriteWarning)

    def _restarted(self) -> tuple[deque[Node], set[int]]:
        """The worklist from the beginning, for the rules that are left."""
        queue = deque(self.rewriter.order())
        return queue, {node.id for node in queue}


def run_rules(
    rewriter: Rewriter,
    rules: Sequence[Rule] | RuleIndex,
    strict: bool = False,
    seeds: Iterable[Node] | None = None,
) -> DriverResult:
    """Apply rules to a fixed point; see `Driver`."""
    index = rules if isinstance(rules, RuleIndex) else RuleIndex(rules)
    return Driver(rewriter, index, strict).run(seeds)


__all__ = ["Driver", "DriverResult", "EveryNode", "RewriteWarning", "RuleIndex", "run_rules"]
