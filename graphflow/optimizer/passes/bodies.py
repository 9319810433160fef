"""Run the whole pipeline on the bodies of control flow, each as a program of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from graphflow.ir.attrs import Attrs
from graphflow.ir.body import Body, has_bodies, map_bodies
from graphflow.ir.node import Node
from graphflow.ops.control import COMPOSITES, call
from graphflow.optimizer.journal import PassRecord
from graphflow.optimizer.pass_manager import Pass, PassContext, PassManager, PassResult
from graphflow.optimizer.program import Program, body_of, program_of


@dataclass(frozen=True)
class Bodies(Pass):
    """Optimise bodies, those inside of bodies first; equal ones once."""

    name: ClassVar[str] = "bodies"

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Put an optimised body in the place of each."""
        rewriter = context.rewriter
        count = changed = 0
        for node in rewriter.order():
            if not node.attrs or not has_bodies(node) or _is_composite(node):
                continue
            count += 1
            attrs = map_bodies(node.attrs, _optimizer(node, context))
            if attrs != node.attrs:
                changed += 1
                _replace(node, attrs, context)
        return PassResult(changed > 0, f"{count} nodes with bodies" if count else "")


def _is_composite(node: Node) -> bool:
    """Whether a node is a named composite, whose body is optimised already."""
    return node.op is call and node.attrs.mark in COMPOSITES


def _optimizer(node: Node, context: PassContext) -> Callable[[Body], Body]:
    """A function that optimises the node's bodies, called with each in order."""
    numbers = itertools.count()
    return lambda body: optimized(body, context, node, next(numbers))


def _replace(node: Node, attrs: Attrs, context: PassContext) -> None:
    builder = context.rewriter.builder.standing_for([node], "bodies")
    made = builder.make(node.op, node.inputs, attrs, [tensor.type for tensor in node.outputs], None)
    context.rewriter.replace(node, made.outputs, "bodies", "its body was optimised", kind="body")


def optimized(body: Body, context: PassContext, node: Node, number: int) -> Body:
    """What the context's pipeline makes of a body, the node's one of that number.

    The edits go to the same journal under the names of their passes; their times belong to this pass.
    """
    known = context.bodies.get(body)
    if known is not None:
        return known
    journal = context.journal
    outer, path = journal.pass_name, journal.path
    program, observer = program_of(body), context.observer
    inner = PassContext(
        program, journal, context.refusal, context.strict, context.check, context.reproducer,
        bodies=context.bodies, rules=context.rules,
        observer=observer.inside(node, number, program) if observer is not None else None,
    )  # fmt: skip
    records: list[PassRecord] = list(journal.passes)
    journal.path = f"{path}{node.name}:{body_place(node, number)}/"
    try:
        made = body_of(PassManager(context.passes, inner).run())
    finally:
        journal.passes[:] = records
        journal.pass_name, journal.path = outer, path
    if made.attribute_key() == body.attribute_key():
        made = body
    context.bodies[body] = context.bodies[made] = made
    return made


def body_place(node: Node, number: int) -> str:
    """Where among the attributes of a node its body of that number is: "body", or "branches.1"."""
    places = []
    for name, value in node.attrs.items():
        if isinstance(value, Body):
            places.append(name)
        elif isinstance(value, tuple):
            places += [f"{name}.{i}" for i, item in enumerate(value) if isinstance(item, Body)]
    return places[number]
