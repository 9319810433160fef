"""Simplify control flow: choices that are decided, loops that are short, results and operands not needed.

inline_call        a call of a body is what the body computes
decided_branch     a choice by a constant is the branch it chooses
merge_scans        a scan that another one with the same operands repeats, with further results, is that one
unused_results     results of a scan or choice that nobody reads go, with the carries that only they need
unused_operands    operands that no body reads go
constant_operands  small constants move into the bodies, where they can be folded
unchanged_carry    a carry that every step hands on is a captured value
invariant_steps    what a step computes from captured values alone is computed once, in front of the loop

Rules of choices are in `choices`, those of loops of a few steps in `short_loops`; then loops that take the
same steps are merged (`neighbours`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from graphflow.ir.body import COPIED_BYTES, Body, nested_nodes
from graphflow.ir.builder import several
from graphflow.ir.copying import copy_node
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import OpDef
from graphflow.ir.traversal import ancestors
from graphflow.ops.control import KEPT, call, scan, switch_case, while_loop
from graphflow.optimizer.driver import EveryNode, RuleIndex, run_rules
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.passes.captured_constants import captured, first_operand, read_parameters
from graphflow.optimizer.passes.choices import CHEAP, common_code, handed_on, same_branches
from graphflow.optimizer.passes.neighbours import merge_neighbours
from graphflow.optimizer.passes.short_loops import few_steps, no_step, short_scan
from graphflow.optimizer.pattern import Match
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import Answer, Rule


@dataclass(frozen=True)
class ControlFlow(Pass):
    """Simplify control flow by the rules of this module.

    Attributes:
        beside: whether scans that do not need one another are merged, if they read the same rows.
    """

    name: ClassVar[str] = "control-flow"
    beside: bool = True

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Rewrite to a fixed point."""
        rewriter = context.rewriter
        if not any([node.op in _OPS for node in rewriter.order()]):
            return PassResult(False)
        changed = run_rules(rewriter, INDEX, context.strict).changed
        while merge_neighbours(context, self.beside):
            changed = True
            run_rules(rewriter, INDEX, context.strict)
        return PassResult(changed)


# Bodies, edited


def _edited(body: Body, outputs: Sequence[int] | None = None, drop: Sequence[int] = (), **sunk: Any) -> Body:
    """A copy with some outputs, and without some parameters."""
    keep = [number for number in range(len(body.placeholders)) if number not in set(drop)]
    return body.restricted(range(len(body.outputs)) if outputs is None else outputs, keep)


def _remade(b: Any, node: Node, inputs: Sequence[Tensor], **changes: Any) -> tuple[Tensor, ...]:
    """The node with other inputs and attributes."""
    made = b.apply(node.op, inputs, {**node.attrs, **changes}, node.name)
    return several(made)


def _used(match: Match) -> list[bool]:
    return [match.rewriter.use_count(tensor) > 0 for tensor in match.root.outputs]


def _placed(count: int, kept: Sequence[int], made: Sequence[Tensor]) -> list[Tensor | None]:
    """The new outputs at the places of the old ones they stand for."""
    listed: list[Tensor | None] = [None] * count
    for number, tensor in zip(kept, made):
        listed[number] = tensor
    return listed


# Rules


def _inline_call(match: Match, b: Any) -> Answer:
    """call(body, x) = body(x)."""
    if match.root.attrs.mark in KEPT:
        return None
    return match.root.attrs.body.replay(b, match.root.inputs)


def _decided_branch(match: Match, b: Any) -> Answer:
    """switch_case(i, branches, x) = branches[i](x) for a constant i, or for one branch."""
    node, branches = match.root, match.root.attrs.branches
    if len(branches) == 1:
        return branches[0].replay(b, node.inputs[1:])
    if node.inputs[0].node.op.name != "constant":
        return None
    index = min(max(int(node.inputs[0].node.attrs.value), 0), len(branches) - 1)
    return branches[index].replay(b, node.inputs[1:])


def _merge_scans(match: Match, b: Any) -> Answer:
    """scan(body, x) = the first results of scan(body', x) if body' is body with further results."""
    node = match.root
    if not node.inputs or not node.outputs:
        return None
    for other in match.rewriter.users[node.inputs[0]]:
        if other is node or other.op is not scan or other.inputs != node.inputs:
            continue
        if len(other.outputs) > len(node.outputs) and _extends(other, node):
            return list(other.outputs[: len(node.outputs)])
    return None


def _extends(other: Node, node: Node) -> bool:
    same = all(
        other.attrs[name] == node.attrs[name] for name in ("carries", "sequences", "length", "reverse")
    )
    if not same:
        return False
    first = other.attrs.body.restricted(range(len(node.attrs.body.outputs)))
    return (
        first.attribute_key()
        == node.attrs.body.restricted(range(len(node.attrs.body.outputs))).attribute_key()
    )


def _unused_results(match: Match, b: Any) -> Answer:
    """A result that nobody reads need not be computed."""
    node = match.root
    used = _used(match)
    if all(used) or not any(used):
        return None
    kept = [number for number, flag in enumerate(used) if flag]
    if node.op is switch_case:
        branches = tuple(branch.restricted(kept) for branch in node.attrs.branches)
        return _placed(len(used), kept, _remade(b, node, node.inputs, branches=branches))
    if node.op is call:
        return _placed(len(used), kept, _remade(b, node, node.inputs, body=node.attrs.body.restricted(kept)))
    return _fewer_carries(node, used, b)


def _fewer_carries(node: Node, used: list[bool], b: Any) -> Answer:
    """Drop the rows nobody reads, and the carries that neither a reader nor another carry needs."""
    body, carries = node.attrs.body, node.attrs.carries
    needed = _kept_results(node, {number for number, flag in enumerate(used) if flag})
    if len(needed) == len(used):
        return None
    kept = sorted(needed)
    dropped = [number for number in range(carries) if number not in needed]
    inputs = [tensor for number, tensor in enumerate(node.inputs) if number not in dropped]
    changes: dict[str, Any] = {"body": _edited(body, kept, dropped), "carries": carries - len(dropped)}
    if node.op is while_loop:
        changes["condition"] = _edited(node.attrs.condition, None, dropped)
    return _placed(len(used), kept, _remade(b, node, inputs, **changes))


def _kept_results(node: Node, wanted: set[int]) -> set[int]:
    """The results of a loop's body that have to stay for those wanted.

    Whole nodes count, unlike in `needed_results`: a loop inside that reads a carry for nothing keeps it
    until it is simplified itself.
    """
    body, carries = node.attrs.body, node.attrs.carries
    tested = read_parameters(node.attrs.condition) if node.op is while_loop else set()
    numbers = {tensor.node: number for number, tensor in enumerate(body.parameters[:carries])}
    needed = wanted | {number for number in tested if number < carries}
    above: set[Node] = set()
    pending = [body.outputs[number].node for number in needed]
    while pending:
        reader = pending.pop()
        if reader not in above:
            above.add(reader)
            pending += [tensor.node for tensor in reader.inputs]
            if reader in numbers:
                needed.add(numbers[reader])
                pending.append(body.outputs[numbers[reader]].node)
    return needed


def _bodies(node: Node) -> list[Body]:
    attrs = node.attrs
    if node.op is switch_case:
        return list(attrs.branches)
    return [attrs.condition, attrs.body] if node.op is while_loop else [attrs.body]


def _with_bodies(node: Node, bodies: Sequence[Body]) -> dict[str, Any]:
    if node.op is switch_case:
        return {"branches": tuple(bodies)}
    if node.op is while_loop:
        return {"condition": bodies[0], "body": bodies[1]}
    return {"body": bodies[0]}


def _carries(node: Node) -> int:
    return node.attrs.carries if node.op in (scan, while_loop) else 0


def _unused_operands(match: Match, b: Any) -> Answer:
    """An operand that no body reads need not be passed."""
    node = match.root
    bodies = _bodies(node)
    read = set().union(*[read_parameters(body) for body in bodies])
    count = len(bodies[0].placeholders)
    dropped = [number for number in range(_carries(node), count) if number not in read]
    if not dropped:
        return None
    first = first_operand(node)
    inputs = [tensor for number, tensor in enumerate(node.inputs) if number - first not in set(dropped)]
    changes = _with_bodies(node, [_edited(body, None, dropped) for body in bodies])
    if node.op is scan:
        moving = range(node.attrs.carries, node.attrs.carries + node.attrs.sequences)
        changes["sequences"] = node.attrs.sequences - len(set(dropped).intersection(moving))
    return list(_remade(b, node, inputs, **changes))


def _rebuilt(body: Body, drop: Sequence[int], given: Callable[[Body, int], Tensor]) -> Body:
    """A copy in which some parameters are replaced by what `given` makes in it."""
    made = Body(body.name, repeats=body.repeats)
    copies: dict[Tensor, Tensor] = {}
    dropped = set(drop)
    parameters = body.parameters
    for number, tensor in enumerate(parameters):
        if number not in dropped:
            copies[tensor] = copy_node(made, tensor.node, copies).outputs[0]
    for number in drop:
        copies[parameters[number]] = given(made, number)
    for node in body.order()[len(parameters) :]:
        copies.update(zip(node.outputs, copy_node(made, node, copies).outputs))
    made.outputs = [copies[tensor] for tensor in body.outputs]
    return made.seal()


def _constant_operands(match: Match, b: Any) -> Answer:
    """A captured constant is a constant of the body."""
    node = match.root
    first = first_operand(node)
    small = [
        number
        for number in captured(node)
        if (maker := node.inputs[number + first].node).op.name == "constant"
        and maker.attrs.value.nbytes <= COPIED_BYTES
    ]
    if not small:
        return None

    def given(body: Body, number: int) -> Tensor:
        return copy_node(body, node.inputs[number + first].node, {}).outputs[0]

    bodies = [_rebuilt(body, small, given) for body in _bodies(node)]
    inputs = [tensor for number, tensor in enumerate(node.inputs) if number - first not in set(small)]
    return list(_remade(b, node, inputs, **_with_bodies(node, bodies)))


def _unchanged_carry(match: Match, b: Any) -> Answer:
    """A carry c with c_(t+1) = c_t is the captured value c_0."""
    node = match.root
    body, carries = node.attrs.body, node.attrs.carries
    parameters = body.parameters
    same = [number for number in range(carries) if body.outputs[number] is parameters[number]]
    if not same:
        return None
    count = len(parameters)
    order = [number for number in range(count) if number not in set(same)] + same
    kept = [number for number in range(len(body.outputs)) if number not in set(same)]
    changes: dict[str, Any] = {"body": body.restricted(kept, order), "carries": carries - len(same)}
    if node.op is while_loop:
        changes["condition"] = node.attrs.condition.restricted([0], order)
    made = _remade(b, node, [node.inputs[number] for number in order], **changes)
    listed = _placed(len(node.outputs), kept, made)
    for number in same:
        listed[number] = node.inputs[number]
    return listed


def _invariant_steps(match: Match, b: Any) -> Answer:
    """f(k) for a captured k is the same in all steps."""
    node = match.root
    body = node.attrs.body
    fixed = {body.parameters[number] for number in captured(node)}
    copies = {body.parameters[number]: node.inputs[number] for number in captured(node)}
    found = [n for n in body.order()[len(body.placeholders) :] if _is_invariant(n, fixed)]
    heavy = [n for n in found if n.op.name not in CHEAP]
    if not heavy:
        return None
    needed = ancestors([tensor for one in heavy for tensor in one.outputs])
    for inner in found:
        if inner in needed:
            inputs = tuple([copies[tensor] for tensor in inner.inputs])
            made = b.make(inner.op, inputs, inner.attrs, [t.type for t in inner.outputs], inner.name)
            copies.update(zip(inner.outputs, made.outputs))
    return _with_invariants(node, heavy, copies, b)


def _is_invariant(node: Node, fixed: set[Tensor]) -> bool:
    if "nullary_input" not in node.op.traits and fixed.issuperset(node.inputs) and _ends(node):
        fixed.update(node.outputs)
        return True
    return False


def _ends(node: Node) -> bool:
    """Whether it ends for any operands, so that it may run though the loop around it takes no step."""
    loops = [inner for inner in nested_nodes([node]) if inner.op is while_loop]
    return all(loop.attrs.max_steps is not None for loop in loops)


def _with_invariants(node: Node, heavy: Sequence[Node], copies: dict[Tensor, Tensor], b: Any) -> Answer:
    """The loop with the results of heavy nodes, computed outside, as further captured values."""
    body = node.attrs.body
    made = Body(body.name, repeats=body.repeats)
    inner: dict[Tensor, Tensor] = {}
    for tensor in body.parameters:
        inner[tensor] = copy_node(made, tensor.node, inner).outputs[0]
    moved = [tensor for one in heavy for tensor in one.outputs]
    for tensor in moved:
        inner[tensor] = made.parameter(tensor.type, tensor.node.name, tensor.node.origin)
    for one in body.order()[len(body.placeholders) :]:
        if one.outputs[0] not in inner:
            inner.update(zip(one.outputs, copy_node(made, one, inner).outputs))
    made.outputs = [inner[tensor] for tensor in body.outputs]
    changes: dict[str, Any] = {"body": made.seal()}
    if node.op is while_loop:
        condition = node.attrs.condition
        wide = Body(condition.name)
        copied: dict[Tensor, Tensor] = {}
        for tensor in condition.parameters:
            copied[tensor] = copy_node(wide, tensor.node, copied).outputs[0]
        for tensor in moved:
            wide.parameter(tensor.type, "unused")
        for one in condition.order()[len(condition.placeholders) :]:
            copied.update(zip(one.outputs, copy_node(wide, one, copied).outputs))
        wide.outputs = [copied[tensor] for tensor in condition.outputs]
        changes["condition"] = wide.seal()
    return list(_remade(b, node, [*node.inputs, *[copies[tensor] for tensor in moved]], **changes))


_OPS = frozenset((switch_case, scan, while_loop, call))


def _rule(name: str, function: Callable[[Match, Any], Answer], *ops: OpDef) -> tuple[Rule, EveryNode]:
    algebra = (function.__doc__ or "").strip()
    return (
        Rule(name, (), function, "exact", "proved", algebra=algebra),
        EveryNode(lambda op, child_ops: op in ops),
    )


DECIDED = [
    _rule("decided_branch", _decided_branch, switch_case),
    _rule("same_branches", same_branches, switch_case),
]
"""What `canonicalize` does too: that a predicate is constant may be known only then."""

INDEX = RuleIndex(
    [],
    [
        _rule("inline_call", _inline_call, call),
        *DECIDED,
        _rule("handed_on", handed_on, switch_case),
        _rule("merge_scans", _merge_scans, scan),
        _rule("unused_results", _unused_results, switch_case, scan, while_loop, call),
        _rule("unused_operands", _unused_operands, switch_case, scan, while_loop, call),
        _rule("constant_operands", _constant_operands, switch_case, scan, while_loop),
        _rule("unchanged_carry", _unchanged_carry, scan, while_loop),
        _rule("invariant_steps", _invariant_steps, scan, while_loop),
        _rule("common_code", common_code, switch_case),
        _rule("short_scan", short_scan, scan),
        _rule("few_steps", few_steps, scan),
        _rule("no_step", no_step, while_loop),
    ],
)
