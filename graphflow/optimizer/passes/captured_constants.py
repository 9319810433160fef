"""Let rules meet the constants that bodies capture, inside of the bodies.

A body has a constant of the graph around it as a parameter, unless it is small (see `graphflow.ir.body`), so
that rules about constants find none there. While such rules run, the readers of the parameter read a
constant in the body, which has the same array. What is a large constant in it afterwards is captured again:
the old one by its parameter, a new one, as weights in another order, by a further one. So no body holds an
array of its own, and what several bodies of a node make alike exists once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from graphflow.ir.attrs import Attrs
from graphflow.ir.body import COPIED_BYTES, Body, bodies_of, map_bodies, nested_nodes
from graphflow.ir.copying import copy_constraints, copy_nodes
from graphflow.ir.node import Node, Tensor
from graphflow.ir.traversal import ancestors, topological_order
from graphflow.ops.control import COMPOSITES, call, scan, switch_case, while_loop
from graphflow.ops.static_case import static_case
from graphflow.optimizer.pass_manager import PassContext
from graphflow.optimizer.passes.bodies import body_place
from graphflow.optimizer.program import Program, program_of

Run = Callable[[PassContext], bool]

_OPS = frozenset((switch_case, static_case, scan, while_loop, call))


def run_in_bodies(context: PassContext, run: Run, ops: Collection[str], reason: str) -> bool:
    """Run rules on the bodies that capture large constants and have nodes of these operators.

    Arguments:
        run: edits the program of a context, in which the constants are; tells whether it changed anything.
            It is to call this function for the bodies in there.
        ops: names of operators.
        reason: for the journal, what was done to a body.

    Returns:
        Whether anything changed.
    """
    rewriter, changed = context.rewriter, False
    for node in rewriter.order():
        if node.op not in _OPS or not rewriter.is_alive(node) or _is_composite(node):
            continue
        given = {
            number: maker
            for number in captured(node)
            if _is_large(maker := node.inputs[number + first_operand(node)].node)
        }
        if given and any([inner.op.name in ops for inner in nested_nodes([node])]):
            changed |= _run_in(node, given, context, run, reason)
    return changed


def first_operand(node: Node) -> int:
    """How many inputs of a node with bodies come before what is their first parameter."""
    return 1 if node.op is switch_case else 0


def captured(node: Node) -> range:
    """The numbers of the parameters of a node's bodies that are the same in all steps."""
    attrs = node.attrs
    first = attrs.carries if node.op in (scan, while_loop) else 0
    if node.op is scan:
        first += attrs.sequences
    return range(first, len(next(bodies_of(node)).placeholders))


def read_parameters(body: Body) -> set[int]:
    """The numbers of the parameters that the results need."""
    above = ancestors(body.outputs)
    return {number for number, tensor in enumerate(body.parameters) if tensor.node in above}


def _is_composite(node: Node) -> bool:
    return node.op is call and node.attrs.mark in COMPOSITES


def _is_large(node: Node) -> bool:
    return node.op.name == "constant" and node.attrs.value.nbytes > COPIED_BYTES


def _run_in(node: Node, given: Mapping[int, Node], context: PassContext, run: Run, reason: str) -> bool:
    """Run the rules on the bodies of one node, and put another node in its place if that changed them."""
    programs, changed = [], False
    for number, body in enumerate(bodies_of(node)):
        program = program_of(body, given)
        changed |= _run_on(program, node, number, context, run)
        programs.append(program)
    if not changed:
        return False
    places = {maker.attrs.key: number for number, maker in given.items()}
    count = len(programs[0].feeds)
    further: list[Node] = []
    for program in programs:
        for maker in program.order():
            if _is_large(maker) and maker.attrs.key not in places:
                places[maker.attrs.key] = count + len(further)
                further.append(maker)
    bodies = [_closed(program, places, further) for program in programs]
    read = set().union(*map(read_parameters, bodies))
    kept = [number for number in range(count + len(further)) if number in read or number not in given]
    _replace(node, [body.restricted(range(len(body.outputs)), kept) for body in bodies], kept, further,
             context, reason)  # fmt: skip
    return True


def _run_on(program: Program, node: Node, number: int, context: PassContext, run: Run) -> bool:
    """Run the rules on the program of the node's body of that number; their edits go to the same journal."""
    journal, observer = context.journal, context.observer
    inner = PassContext(
        program, journal, context.refusal, context.strict, context.check, context.reproducer,
        rules=context.rules,
        observer=observer.inside(node, number, program) if observer is not None else None,
    )  # fmt: skip
    outer = journal.path
    journal.path = f"{outer}{node.name}:{body_place(node, number)}/"
    try:
        changed = run(inner)
    finally:
        journal.path = outer
    inner.settle()
    return changed


def _closed(program: Program, places: Mapping[Any, int], further: Sequence[Node]) -> Body:
    """The body of a program, with the further constants as parameters, and none of those inside."""
    body = Body(program.name)
    copies: dict[Tensor, Tensor] = {}
    copy_nodes(body, [tensor.node for tensor in program.feeds], copies)
    for maker in further:
        body.parameter(maker.output.type, maker.name, maker.origin)
    parameters = body.parameters
    for maker in program.order():
        if _is_large(maker):
            copies[maker.output] = parameters[places[maker.attrs.key]]
    copy_nodes(body, topological_order(program.outputs, stop=copies.__contains__), copies)
    body.outputs = [copies[tensor] for tensor in program.outputs]
    body.constraints = copy_constraints(program.constraints, copies)
    return body.seal()


def _replace(
    node: Node,
    bodies: Sequence[Body],
    kept: Sequence[int],
    further: Sequence[Node],
    context: PassContext,
    reason: str,
) -> None:
    """Put a node with these bodies in the place of one, handing it these operands and constants."""
    builder, first = context.rewriter.builder.standing_for([node], "bodies"), first_operand(node)
    given = list(node.inputs[first:])
    given += [builder.constant(value=maker.attrs.value) for maker in further]
    inputs = (*node.inputs[:first], *[given[number] for number in kept])
    listed = iter(bodies)
    attrs: Attrs = map_bodies(node.attrs, lambda body: next(listed))
    made = builder.make(node.op, inputs, attrs, [tensor.type for tensor in node.outputs], None)
    context.rewriter.replace(node, made.outputs, "bodies", reason, kind="body")
