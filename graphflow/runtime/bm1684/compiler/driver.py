"""The whole way from a program to a stage, with what cannot be done collected on the way."""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.errors import BackendError
from graphflow.ir.node import Tensor
from graphflow.optimizer.program import Program
from graphflow.runtime.bm1684.compiler.algorithms import chosen
from graphflow.runtime.bm1684.compiler.grouping import grouped
from graphflow.runtime.bm1684.compiler.legalize import Legalizer, Refusal
from graphflow.runtime.bm1684.compiler.legalize.context import sizes
from graphflow.runtime.bm1684.compiler.package import Compiled, Interface, Planned, package, plan


class Unsupported(BackendError):
    """A program with nodes that the chip cannot run.

    Attributes:
        refusals: all of them.
    """

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        told = [f"{one.node.name} ({one.node.op.name}): {one.reason}" for one in refusals[:8]]
        more = f"; and {len(refusals) - 8} more" if len(refusals) > 8 else ""
        super().__init__(
            f"the chip cannot run {len(refusals)} of the nodes: {'; '.join(told)}{more}",
            hint=refusals[0].hint,
            origin=refusals[0].node.origin,
        )
        self.refusals = tuple(refusals)


def compile_program(
    program: Program, inputs: Sequence[str] | None = None, outputs: Sequence[str] | None = None
) -> Compiled:
    """The stage of a program without variables, of known sizes.

    Arguments:
        inputs, outputs: names in the file, in the program's order; those of the tensors' nodes by default.

    Raises:
        Unsupported: with every node that cannot run.
        TooLarge: if a slice of a layer does not fit into local memory.
    """
    return package([plan_program(program, inputs, outputs)])[0]


def plan_program(
    program: Program, inputs: Sequence[str] | None = None, outputs: Sequence[str] | None = None
) -> Planned:
    """As `compile_program`, up to where stages of one file share their constants."""
    legalizer = Legalizer()
    legalizer.run(program)
    if legalizer.refusals:
        raise Unsupported(legalizer.refusals)
    given = inputs or [tensor.node.name for tensor in program.feeds]
    named = outputs or [output_name(tensor) for tensor in program.outputs]
    starts = [Interface(name, sizes(one), legalizer.values[one]) for name, one in zip(given, program.feeds)]
    ends = [Interface(name, sizes(one), legalizer.value(one)) for name, one in zip(named, program.outputs)]
    layers = chosen(legalizer.layers, [one.value for one in starts])
    return plan(grouped(layers, [one.value for one in ends]), starts, ends)


def output_name(tensor: Tensor) -> str:
    """The name of its node; numbered where that has several outputs."""
    node = tensor.node
    return node.name if len(node.outputs) == 1 else f"{node.name}.{tensor.index}"
