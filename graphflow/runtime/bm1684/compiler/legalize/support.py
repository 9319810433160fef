"""The page of the manual that says what every operator becomes on the chip, or why it cannot run there."""

from __future__ import annotations

from itertools import groupby
from types import SimpleNamespace
from typing import Any

from graphflow.ir.opdef import OpDef, registry
from graphflow.runtime.bm1684.chip import LANE_BYTES, LANES
from graphflow.runtime.bm1684.compiler.layers.function import Function
from graphflow.runtime.bm1684.compiler.legalize import LEGAL
from graphflow.runtime.bm1684.compiler.legalize.activation import RECIPES
from graphflow.runtime.bm1684.compiler.legalize.context import REASONS
from graphflow.runtime.bm1684.compiler.tensors import Box, Value
from graphflow.runtime.bm1684.isa import Shape

_INTRODUCTION = """\
What each operator becomes on the BM1684, in float32: *commands* of its own, or an *expansion* into simpler
operators, as its [decomposition](operators.md) says, each of which has its own line here. For the others
there is the reason, and what to do. A command may still be refused for its sizes, or for weights that are
computed; the message says so."""

_KINDS = {
    "constant": "data of the file",
    "placeholder": "an input of the file",
    "variable": "its value when it is compiled, as data of the file",
}


def row(op: OpDef) -> tuple[str, str]:
    """How an operator runs on the chip, in a word, and what there is to say about it.

    >>> row(registry["argmax"])[0]
    'no'
    """
    if op.name in _KINDS:
        return "yes", _KINDS[op.name]
    if op.name in RECIPES:
        return "commands", f"{_cycles(op)} cycles for 16 elements of each lane"
    if op.name in LEGAL:
        return "commands", (LEGAL[op.name].__doc__ or "").partition("\n\n")[0].replace("\n    ", " ")
    if op.decompose is not None:
        return "expansion", ""
    reason, hint = REASONS.get(op.name, ("there are no commands for it", "run it on the host"))
    return "no", f"{reason}: {hint}"


def _cycles(op: OpDef) -> int:
    """Of the recipe of an operator with its usual attributes, where all lies aligned."""
    node: Any = SimpleNamespace(attrs=op.attributes)
    shape = Shape(1, LANES, 1, 16)
    values = [Value(name, shape) for name in "xy"]
    layer = Function(output=values[1], inputs=(values[0],), name=op.name, record=RECIPES[op.name](node))
    box = Box.whole(shape)
    return sum([work.cycles for work in layer.works(box, LANE_BYTES, [box])])


def page(note: str) -> str:
    """The page, with a note below its title."""
    ops = sorted(registry, key=lambda op: (op.family, op.name))
    lines = ["# BM1684: operators", "", note, "", _INTRODUCTION]
    for family, members in groupby(ops, key=lambda op: op.family):
        lines += ["", f"## {family}", "", "| operator | on the chip | |", "| --- | --- | --- |"]
        for op in members:
            how, said = row(op)
            lines.append(f"| `{op.name}` | {how} | {said.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"
