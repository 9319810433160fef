"""The text of a box: what its nodes are, their weights, attributes and bodies, in a few short lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphflow.ir.dims import Dim
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.memory.units import show_bytes
from graphflow.viz import colors
from graphflow.viz.bodies import Part, parts_of
from graphflow.viz.collapse import Group
from graphflow.viz.colors import Paint
from graphflow.viz.repeats import Run
from graphflow.viz.select import Selection

LONGEST_LINE = 40
_MOST_BODIES = 4  # that a box names
_MOST_WEIGHTS = 4
_UNTOLD = frozenset({"branches", "carries", "sequences"})
_PER_AXIS = frozenset({"strides", "padding", "dilation", "window"})


@dataclass(slots=True)
class Box:
    """One box.

    Attributes:
        kind: "node", "input", "variable", "constant", "scope", "part", "run" or "stub".
        title, lines: its text, the title larger.
        tooltip: what hovering shows.
        row: its rank from the top.
        nodes: the nodes it stands for, the weights in it included; empty for a stub.
        weights: those of `nodes` that are written into the box of another.
        region: the loop they run in, all of them; "" for none.
        run: the repeated blocks that it stands for.
    """

    kind: str
    title: str
    lines: list[str]
    paint: Paint
    tooltip: str = ""
    row: int = 0
    badges: list[str] = field(default_factory=list)
    highlighted: bool = False
    nodes: list[Node] = field(default_factory=list)
    weights: list[Node] = field(default_factory=list)
    region: str = ""
    run: Run | None = None

    @property
    def node(self) -> Node | None:
        """The only node that it stands for, weights aside; None for several."""
        return self.nodes[-1] if len(self.nodes) == len(self.weights) + 1 else None

    @property
    def holds_many(self) -> bool:
        """Whether it stands for a scope, a stretch or repeated blocks."""
        return self.kind in ("scope", "part", "run")


def box_of(group: Group, selection: Selection, marked: set[str]) -> Box:
    """The box of a group, without its paint's line."""
    if group.kind == "node":
        node = group.nodes[-1]
        box = _node_box(node, selection.scope)
        box.lines += [*filter(None, [selection.roles.get(node, "")]), *_weight_lines(group.weights)]
    else:
        box = _group_box(group)
    box.nodes, box.weights, box.run = group.nodes, group.weights, group.run
    homes = {selection.regions.get(node, "") for node in group.nodes if node not in group.weights}
    box.region = homes.pop() if len(homes) == 1 else ""
    box.highlighted = any(node.name in marked for node in group.nodes)
    badges = selection.badges
    found = [badge for node in group.nodes for tensor in node.outputs for badge in badges.get(tensor, ())]
    shown = found if len(found) <= 3 else [*found[:2], f"{len(found) - 2} more results"]
    box.badges = [clean(badge) for badge in shown]
    return box


def clean(text: str, limit: int = LONGEST_LINE) -> str:
    """Text for one line: no control characters, and no longer than `limit` (the middle is left out).

    >>> clean("first\\nsecond"), clean("a" * 30, 11)
    ('first·second', 'aaaaa…aaaaa')
    """
    shown = "".join(char if char.isprintable() else "·" for char in str(text))
    if len(shown) <= limit:
        return shown
    half = (limit - 1) // 2
    return f"{shown[: limit - 1 - half]}…{shown[len(shown) - half :]}"


def tail(path: str, limit: int = LONGEST_LINE) -> str:
    """A name in a line: outer scopes are left out first.

    >>> tail("gradients/block_0/attention/matmul_1", 24)
    '…/attention/matmul_1'
    """
    shown = clean(path, len(path))
    while len(shown) > limit and "/" in shown.removeprefix("…/"):
        shown = "…/" + shown.removeprefix("…/").partition("/")[2]
    return clean(shown, limit)


def count(number: int, what: str) -> str:
    """A number of things in words.

    >>> count(1, "node"), count(12345, "node")
    ('1 node', '12,345 nodes')
    """
    return f"{number:,} {what}" + "s" * (number != 1)


def static_bytes(tensor: Tensor) -> int:
    """The bytes of a tensor whose sizes are known, else 0."""
    return int(tensor.type.nbytes) if tensor.type.is_static else 0


# Single nodes


def _node_box(node: Node, scope: str) -> Box:
    shown = node.name.removeprefix(scope)
    name = tail(shown, 32)
    paint = colors.paint_of(node)
    types = [clean(str(tensor.type)) for tensor in node.outputs]
    tooltip = clean(
        f"{node.name} = {node.op.name} -> {', '.join(types) or 'nothing'}   {node.origin or ''}", 300
    )
    if node.op.name in ("variable", "constant"):
        return Box(node.op.name, name, [_sized(node.output)], paint, tooltip)
    if paint is colors.INPUT:
        return Box("input", name, types, paint, tooltip)
    if node.op.name == "assign":
        return Box("node", "assign", [tail(node.inputs[0].node.name)], paint, tooltip)
    lines = [] if shown == node.op.name else [name]
    details = _attributes(node)
    bodies = [_body_line(part) for part in parts_of(node)]
    if len(bodies) > _MOST_BODIES:
        bodies[_MOST_BODIES - 1 :] = [f"{len(bodies) - _MOST_BODIES + 1} more bodies"]
    return Box("node", _operation(node), [*lines, *([details] if details else []), *bodies], paint, tooltip)


def _sized(tensor: Tensor) -> str:
    size = static_bytes(tensor)
    return clean(str(tensor.type)) + (f" · {show_bytes(size)}" if size else "")


def _weight_lines(weights: Sequence[Node]) -> list[str]:
    shown = weights if len(weights) <= _MOST_WEIGHTS else weights[: _MOST_WEIGHTS - 1]
    lines = [f"{clean(node.name.rpartition('/')[2], 18)} {_sized(node.output)}" for node in shown]
    rest = weights[len(shown) :]
    if rest:
        size = sum(static_bytes(node.output) for node in rest)
        lines.append(f"{len(rest)} more weights · {show_bytes(size)}")
    return lines


def _body_line(part: Part) -> str:
    return clean(f"{part.title}, {count(part.size, 'node')}")


def _operation(node: Node) -> str:
    """The operator's name, with the values of scalar constants in the places of their operands."""
    operands = [_scalar(tensor.node) for tensor in node.inputs]
    if not any(operands):
        return clean(node.op.name)
    return clean(f"{node.op.name}({', '.join(operand or '·' for operand in operands)})")


def _scalar(node: Node) -> str:
    if node.op.name != "constant" or node.attrs["value"].size != 1:
        return ""
    value = node.attrs["value"].item()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _attributes(node: Node) -> str:
    """Attributes that differ from their defaults and are short to say; what does not fit is left out."""
    shown = ""
    for name, value in node.attrs.items():
        value = _compact(value) if name in _PER_AXIS else value
        told = isinstance(value, (bool, int, float, str, tuple, Dim)) and name not in _UNTOLD
        if not told or repr(value) == repr(node.op.attributes[name]):
            continue
        text = f"{name}={value}"
        if len(shown) + len(text) + 2 > LONGEST_LINE:
            return f"{shown}, …" if shown else clean(text)
        shown = f"{shown}, {text}" if shown else text
    return clean(shown)


def _compact(value: Any) -> Any:
    """The one number that a value repeats for every axis and side, else the value."""
    flat, stack = set(), [value]
    while stack:
        one = stack.pop()
        if isinstance(one, tuple):
            stack.extend(one)
        else:
            flat.add(one)
    return flat.pop() if len(flat) == 1 else value


# Several nodes


def _group_box(group: Group) -> Box:
    lines = [_many_nodes(group)]
    variables = [node for node in group.nodes if node.op.name == "variable"]
    if variables:
        size = sum(static_bytes(node.output) for node in variables)
        lines.append(f"{count(len(variables), 'variable')}, {show_bytes(size)}")
    counts = Counter(node.op.name for node in group.nodes if node.op.name not in ("variable", "constant"))
    if counts:
        common = [f"{number} {clean(name, 18)}" for name, number in counts.most_common(2)]
        lines.append(", ".join(common) + (", …" if len(counts) > 2 else ""))
    first, last = group.nodes[0].name, group.nodes[-1].name
    if group.kind == "part":
        lines.append(f"{tail(first, 20)} … {tail(last, 20)}")
    tooltip = clean(f"{group.name}: {first} … {last}", 300)
    title = tail(group.name) if group.run is None else f"{tail(group.name)}  × {group.run.times}"
    return Box(group.kind, title, lines, colors.SCOPE, tooltip)


def _many_nodes(group: Group) -> str:
    run, number = group.run, len(group.nodes)
    if run is not None and number % run.times == 0:
        return f"{run.times} × {count(number // run.times, 'node')}"
    return count(number, "node")
