"""The picture of a graph before it is laid out: boxes with their text, edges with their labels, stubs.

Both Graphviz and the layout of this package draw from it, so they show the same.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphflow.ir.body import nested_nodes
from graphflow.ir.dims import Dim
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.memory.units import show_bytes
from graphflow.viz import colors
from graphflow.viz.bodies import Part, parts_of
from graphflow.viz.collapse import Group, collapse, folded_constants
from graphflow.viz.colors import Paint
from graphflow.viz.ranks import edges_to_cut, rank
from graphflow.viz.select import Selection, of_part, select

BUDGET = 150
_LONGEST_LINE = 40
_FEWEST = 6  # boxes that have to be left for a body, unless it has fewer nodes
_MOST_BODIES = 4  # that a box names
_UNTOLD = frozenset({"branches", "carries", "sequences"})
_PER_AXIS = frozenset({"strides", "padding", "dilation", "window"})


@dataclass(slots=True)
class Box:
    """One box.

    Attributes:
        kind: "node", "input", "variable", "constant", "scope", "part" or "stub".
        title, lines: its text, the title larger.
        tooltip: what hovering shows.
        row: its rank from the top.
        nodes: the nodes it stands for; empty for a stub.
        region: the loop they run in, all of them; "" for none.
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
    region: str = ""


@dataclass(slots=True)
class Edge:
    """An arrow between two boxes, by their positions; `to_stub` marks the short ones that end in a stub."""

    source: int
    target: int
    label: str
    to_stub: bool = False


@dataclass(slots=True)
class Picture:
    """Everything to draw.

    Attributes:
        cuts: pairs of boxes whose edge is drawn as two stubs.
        insets: the bodies of nodes, those that hold others first.
    """

    title: str
    caption: str
    boxes: list[Box]
    edges: list[Edge]
    cuts: list[tuple[int, int]]
    insets: list[Inset] = field(default_factory=list)

    @property
    def visible(self) -> int:
        """The number of boxes that stand for nodes, those of bodies included."""
        return sum(box.kind != "stub" for box in self.all_boxes())

    def all_boxes(self) -> list[Box]:
        """The boxes, then those of bodies."""
        return [*self.boxes, *(box for inset in self.insets for box in inset.picture.boxes)]

    def legend(self) -> list[Paint]:
        """The colours in use, in the order of their first box, scopes left out."""
        painted = [box for box in self.all_boxes() if box.kind not in ("stub", "scope", "part")]
        fused = [colors.REGION] if any(box.region for box in painted) else []
        return [*{box.paint.label: box.paint for box in painted}.values(), *fused]


@dataclass(slots=True)
class Inset:
    """The picture of a node's body.

    Attributes:
        host: the inset in which the node's box is, by position, or -1 for the whole picture.
        box: the node's box there.
        owner: the node's name.
    """

    host: int
    box: int
    owner: str
    picture: Picture


def picture(
    source: Any,
    budget: int = BUDGET,
    title: str | None = None,
    highlight: Iterable[Any] = (),
    note: str = "",
) -> Picture:
    """The picture of a graph, program, model or fetches, with at most `budget` boxes.

    Arguments:
        highlight: names, nodes or tensors to outline.
        note: a remark after the counts.
    """
    selection = select(source)
    marked = {_name_of(one) for one in highlighted(highlight)}
    result = _drawn(selection, budget, marked)
    result.insets = _insets(result, budget - len(result.boxes), marked)
    _add_stubs(result)
    for inset in result.insets:
        _add_stubs(inset.picture)
    result.title = clean(title or selection.name, 80)
    inside = len(list(nested_nodes(selection.nodes))) - len(selection.nodes)
    result.caption = _caption(selection.nodes, inside, result.visible, note)
    return result


def _drawn(selection: Selection, budget: int, marked: set[str]) -> Picture:
    """The picture of a selection, without stubs and bodies."""
    folded = folded_constants(selection.nodes, selection.badges)
    drawn = [node for node in selection.nodes if node not in folded]
    groups = collapse(drawn, budget) if drawn else []
    boxes = [_box(group, selection, marked) for group in groups]
    edges = _edges(groups)
    rows, backward = rank(len(boxes), list(edges))
    for box, row in zip(boxes, rows):
        box.row = row
    cut = edges_to_cut(rows, list(edges), backward)
    arrows = [
        Edge(start, end, "" if _shows_own_type(boxes[start]) else _edge_label(tensors))
        for (start, end), tensors in edges.items()
        if (start, end) not in cut
    ]
    return Picture("", "", boxes, arrows, sorted(cut))


def _insets(whole: Picture, budget: int, marked: set[str]) -> list[Inset]:
    """The bodies of the nodes that have boxes, then theirs, as far as the budget goes; equal ones once."""
    insets: list[Inset] = []
    seen: set[tuple] = set()
    pending = deque([(-1, whole)])
    while pending:
        host, drawing = pending.popleft()
        for index, box in enumerate(drawing.boxes):
            for part in parts_of(box.nodes[0]) if len(box.nodes) == 1 else ():
                key = part.body.attribute_key()
                if key in seen or budget < min(_FEWEST, part.size):
                    continue
                seen.add(key)
                inner = _drawn(of_part(part), budget, marked)
                if not inner.boxes:
                    continue
                budget -= len(inner.boxes)
                inner.title = clean(part.title)
                insets.append(Inset(host, index, box.nodes[0].name, inner))
                pending.append((len(insets) - 1, inner))
    return insets


def clean(text: str, limit: int = _LONGEST_LINE) -> str:
    """Text for one line: no control characters, and no longer than `limit` (the middle is left out).

    >>> clean("first\\nsecond"), clean("a" * 30, 11)
    ('first·second', 'aaaaa…aaaaa')
    """
    shown = "".join(char if char.isprintable() else "·" for char in str(text))
    if len(shown) <= limit:
        return shown
    half = (limit - 1) // 2
    return f"{shown[: limit - 1 - half]}…{shown[len(shown) - half :]}"


def tail(path: str, limit: int = _LONGEST_LINE) -> str:
    """A name in a line: outer scopes are left out first.

    >>> tail("gradients/block_0/attention/matmul_1", 24)
    '…/attention/matmul_1'
    """
    shown = clean(path, len(path))
    while len(shown) > limit and "/" in shown.removeprefix("…/"):
        shown = "…/" + shown.removeprefix("…/").partition("/")[2]
    return clean(shown, limit)


def highlighted(highlight: Any) -> tuple[Any, ...]:
    """What to outline, one by one, from one or several."""
    single = isinstance(highlight, str) or not isinstance(highlight, Iterable)
    return (highlight,) if single else tuple(highlight)


def _name_of(one: Any) -> str:
    if isinstance(one, (Node, Tensor)):
        one = one.node.name if isinstance(one, Tensor) else one.name
    return str(one).partition(":")[0]


def _edges(groups: Sequence[Group]) -> dict[tuple[int, int], list[Tensor]]:
    """The tensors that pass from one group to another; the target of an `assign` is not one of them."""
    home = {node: index for index, group in enumerate(groups) for node in group.nodes}
    found: dict[tuple[int, int], dict[Tensor, None]] = {}
    for index, group in enumerate(groups):
        for node in group.nodes:
            for tensor in node.inputs[1:] if node.op.name == "assign" else node.inputs:
                source = home.get(tensor.node)
                if source is not None and source != index:
                    found.setdefault((source, index), {})[tensor] = None
    return {pair: list(tensors) for pair, tensors in found.items()}


def _add_stubs(drawing: Picture) -> None:
    """At most two stubs a box: one names all far readers, the other all far sources."""
    leaving: dict[int, list[int]] = {}
    entering: dict[int, list[int]] = {}
    for source, target in drawing.cuts:
        leaving.setdefault(source, []).append(target)
        entering.setdefault(target, []).append(source)
    for arrow, ends, offset in (("to", leaving, 1), ("from", entering, -1)):
        for index, others in ends.items():
            row = drawing.boxes[index].row + offset
            names = [_short_name(drawing.boxes[other]) for other in others]
            shown = names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more"]
            stub = Box("stub", arrow, shown, colors.OTHER, f"{arrow} " + ", ".join(names), row)
            drawing.boxes.append(stub)
            position = len(drawing.boxes) - 1
            pair = (index, position) if offset > 0 else (position, index)
            drawing.edges.append(Edge(*pair, "", to_stub=True))
    first = min((box.row for box in drawing.boxes), default=0)
    for box in drawing.boxes:
        box.row -= first


def _short_name(box: Box) -> str:
    return tail(box.nodes[0].name if len(box.nodes) == 1 else box.title, 28)


# Text


def _box(group: Group, selection: Selection, marked: set[str]) -> Box:
    badges = selection.badges
    if group.kind == "node":
        box = _node_box(group.nodes[0], selection.scope)
        box.lines += filter(None, [selection.roles.get(group.nodes[0], "")])
    else:
        box = _group_box(group)
    box.nodes = group.nodes
    homes = {selection.regions.get(node, "") for node in group.nodes}
    box.region = homes.pop() if len(homes) == 1 else ""
    box.highlighted = any(node.name in marked for node in group.nodes)
    found = [badge for node in group.nodes for tensor in node.outputs for badge in badges.get(tensor, ())]
    shown = found if len(found) <= 3 else [*found[:2], f"{len(found) - 2} more results"]
    box.badges = [clean(badge) for badge in shown]
    return box


def _node_box(node: Node, scope: str) -> Box:
    shown = node.name.removeprefix(scope)
    name = tail(shown, 32)
    paint = colors.paint_of(node)
    types = [clean(str(tensor.type)) for tensor in node.outputs]
    tooltip = clean(
        f"{node.name} = {node.op.name} -> {', '.join(types) or 'nothing'}   {node.origin or ''}", 300
    )
    if node.op.name in ("variable", "constant") or paint is colors.INPUT:
        kind = node.op.name if node.op.name in ("variable", "constant") else "input"
        return Box(kind, name, types, paint, tooltip)
    if node.op.name == "assign":
        return Box("node", "assign", [tail(node.inputs[0].node.name)], paint, tooltip)
    lines = [] if shown == node.op.name else [name]
    details = _attributes(node)
    bodies = [_body_line(part) for part in parts_of(node)]
    if len(bodies) > _MOST_BODIES:
        bodies[_MOST_BODIES - 1 :] = [f"{len(bodies) - _MOST_BODIES + 1} more bodies"]
    return Box("node", _operation(node), [*lines, *([details] if details else []), *bodies], paint, tooltip)


def _body_line(part: Part) -> str:
    return clean(f"{part.title}, {_count(part.size, 'node')}")


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
        if len(shown) + len(text) + 2 > _LONGEST_LINE:
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


def _group_box(group: Group) -> Box:
    counts = Counter(node.op.name for node in group.nodes if node.op.name not in ("variable", "constant"))
    variables = [node for node in group.nodes if node.op.name == "variable"]
    operations = sum(counts.values())
    lines = [f"{len(group.nodes)} nodes"]
    if variables:
        size = sum(_bytes_of(node.output) for node in variables)
        lines.append(f"{_count(len(variables), 'variable')}, {show_bytes(size)}")
    if operations:
        common = [f"{count} {clean(name, 18)}" for name, count in counts.most_common(2)]
        lines.append(", ".join(common) + (", …" if len(counts) > 2 else ""))
    first, last = group.nodes[0].name, group.nodes[-1].name
    if group.kind == "part":
        lines.append(f"{tail(first, 20)} … {tail(last, 20)}")
    tooltip = clean(f"{group.name}: {first} … {last}", 300)
    return Box(group.kind, tail(group.name), lines, colors.SCOPE, tooltip)


def _bytes_of(tensor: Tensor) -> int:
    return int(tensor.type.nbytes) if tensor.type.is_static else 0


def _shows_own_type(box: Box) -> bool:
    return box.kind in ("variable", "constant")


def _edge_label(tensors: Sequence[Tensor]) -> str:
    if len(tensors) == 1:
        return clean(str(tensors[0].type))
    types = list(dict.fromkeys(str(tensor.type) for tensor in tensors))
    return f"{len(tensors)} × {clean(types[0])}" if len(types) == 1 else f"{len(tensors)} tensors"


def _caption(nodes: Sequence[Node], inside: int, boxes: int, note: str) -> str:
    variables = [node for node in nodes if node.op.name == "variable"]
    parts = [_count(len(nodes), "node") + (f" and {inside:,} in bodies" if inside else "")]
    if variables:
        size = sum(_bytes_of(node.output) for node in variables)
        parts.append(f"{_count(len(variables), 'variable')} with {show_bytes(size)}")
    parts.append(f"drawn as {boxes} box" + "es" * (boxes != 1))
    return " · ".join([*parts, *([note] if note else [])])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)
