"""The picture of a graph before it is laid out: boxes with their text, edges with their labels, stubs.

Graphviz, Mermaid and the layout of this package draw from it, so they show the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphflow.ir.body import nested_nodes
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.memory.units import show_bytes
from graphflow.viz import colors
from graphflow.viz.bodies import parts_of
from graphflow.viz.boxes import Box, box_of, clean, count, static_bytes, tail
from graphflow.viz.collapse import WEIGHTS, Group, collapse, folded_constants
from graphflow.viz.coloring import Coloring, coloring
from graphflow.viz.colors import Paint
from graphflow.viz.ranks import edges_to_cut, rank
from graphflow.viz.repeats import Run
from graphflow.viz.select import Selection, of_part, select
from graphflow.viz.stubs import Edge, Outside, add_stubs

BUDGET = 150
_FEWEST = 6  # boxes that have to be left for a body, unless it has fewer nodes
_LARGEST_BLOCK = 45  # boxes of the picture of one repeated block


@dataclass(frozen=True, slots=True)
class Style:
    """What a picture shows besides the nodes.

    Attributes:
        marked: names of nodes to outline.
        coloring: what the colours tell.
        depth: how many levels of scopes are opened at most; None for all that the budget allows.
        repeats: whether repeated blocks are drawn once.
        weights: whether weights with one reader are written into its box.
    """

    marked: frozenset[str]
    coloring: Coloring
    depth: int | None = None
    repeats: bool = True
    weights: bool = True


@dataclass(slots=True)
class Picture:
    """Everything to draw.

    Attributes:
        cuts: pairs of boxes whose edge is drawn as two stubs.
        insets: the bodies of nodes and repeated blocks, those that hold others first.
        outside: what boxes exchange with nodes that are not in the picture.
        telling: what the colours tell, "" where they need no words.
        order: paints in the order of the legend.
    """

    title: str
    caption: str
    boxes: list[Box]
    edges: list[Edge]
    cuts: list[tuple[int, int]]
    insets: list[Inset] = field(default_factory=list)
    outside: list[Outside] = field(default_factory=list)
    telling: str = ""
    order: Sequence[Paint] = ()

    @property
    def visible(self) -> int:
        """The number of boxes that stand for nodes, those of bodies included."""
        return sum(box.kind != "stub" for box in self.all_boxes())

    def all_boxes(self) -> list[Box]:
        """The boxes, then those of bodies."""
        return [*self.boxes, *(box for inset in self.insets for box in inset.picture.boxes)]

    def legend(self) -> list[Paint]:
        """The colours in use, in their order or that of their first box; grey scopes need no words."""
        painted = [box for box in self.all_boxes() if box.kind != "stub" and box.paint is not colors.SCOPE]
        used = {box.paint.label: box.paint for box in painted}
        ordered = [paint for paint in self.order if used.pop(paint.label, None) is not None]
        found = [*ordered, *used.values()]
        told = {paint.label for paint in found}
        fused = any(box.region for box in painted) and colors.REGION.label not in told
        return [*found, *([colors.REGION] if fused else [])]

    def text(self) -> str:
        """The picture in a sentence, for those who do not see it."""
        titles = [box.title for box in self.boxes if box.kind != "stub"]
        shown = ", ".join(titles[:12]) + (", …" if len(titles) > 12 else "")
        return f"{self.caption}. From the top: {shown or 'nothing'}."


@dataclass(slots=True)
class Inset:
    """The picture of a node's body, or of one of several equal blocks.

    Attributes:
        host: the inset in which the node's box is, by position, or -1 for the whole picture.
        box: the node's box there.
        owner: what that box is called.
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
    *,
    color: Any = "family",
    depth: int | None = None,
    repeats: bool = True,
    weights: bool = True,
) -> Picture:
    """The picture of a graph, program, model or fetches, with at most `budget` boxes; see `render`.

    Arguments:
        note: a remark after the counts.
    """
    selection = select(source)
    marked = frozenset(_name_of(one) for one in highlighted(highlight))
    style = Style(marked, coloring(color, selection.nodes), depth, repeats, weights)
    result = _with_room(_drawn(selection, budget, style), selection, budget, style)
    result.insets = _insets(result, selection, budget - len(result.boxes), style)
    for drawing in (result, *(inset.picture for inset in result.insets)):
        add_stubs(drawing.boxes, drawing.edges, drawing.cuts, drawing.outside)
    result.title = clean(title or selection.name, 80)
    inside = len(list(nested_nodes(selection.nodes))) - len(selection.nodes)
    result.caption = _caption(selection.nodes, inside, result.visible, note)
    result.telling, result.order = style.coloring.title, style.coloring.order
    return result


def highlighted(highlight: Any) -> tuple[Any, ...]:
    """What to outline, one by one, from one or several."""
    single = isinstance(highlight, str) or not isinstance(highlight, Iterable)
    return (highlight,) if single else tuple(highlight)


def _name_of(one: Any) -> str:
    if isinstance(one, (Node, Tensor)):
        one = one.node.name if isinstance(one, Tensor) else one.name
    return str(one).partition(":")[0]


def _drawn(selection: Selection, budget: int, style: Style) -> Picture:
    """The picture of a selection, without stubs, bodies and blocks."""
    folded = folded_constants(selection.nodes, selection.badges)
    drawn = [node for node in selection.nodes if node not in folded]
    groups = (
        collapse(drawn, budget, style.depth, selection.badges, style.repeats, style.weights) if drawn else []
    )
    boxes = [_painted(box_of(group, selection, set(style.marked)), style) for group in groups]
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


def _painted(box: Box, style: Style) -> Box:
    """The box with the colour that the style gives it, and the line that says so."""
    node = box.node
    box.paint, line = style.coloring.of(box.nodes if node is None else [node])
    if line:
        box.lines.append(clean(line, 60))
    return box


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


def _shows_own_type(box: Box) -> bool:
    return box.kind in ("variable", "constant")


def _edge_label(tensors: Sequence[Tensor]) -> str:
    if len(tensors) == 1:
        return clean(str(tensors[0].type))
    types = list(dict.fromkeys(str(tensor.type) for tensor in tensors))
    return f"{len(tensors)} × {clean(types[0])}" if len(types) == 1 else f"{len(tensors)} tensors"


def _caption(nodes: Sequence[Node], inside: int, boxes: int, note: str) -> str:
    variables = [node for node in nodes if node.op.name == "variable"]
    parts = [count(len(nodes), "node") + (f" and {inside:,} in bodies" if inside else "")]
    if variables:
        size = sum(static_bytes(node.output) for node in variables)
        parts.append(f"{count(len(variables), 'variable')} with {show_bytes(size)}")
    parts.append(f"drawn as {boxes} box" + "es" * (boxes != 1))
    return " · ".join([*parts, *([note] if note else [])])


# Bodies and repeated blocks


@dataclass(frozen=True, slots=True)
class _Inside:
    """What a box has inside: what makes it one of its kind, its size, its title, and its nodes."""

    key: object
    size: int
    title: str
    selection: Selection
    run: Run | None = None


def _with_room(drawing: Picture, selection: Selection, budget: int, style: Style) -> Picture:
    """The picture with boxes left for the insides of repeated blocks, if scopes can be collapsed for it."""
    runs = [box.run for box in drawing.boxes if box.run is not None]
    kept = sum(min(len(run.bodies[0]), _LARGEST_BLOCK) for run in runs)
    if not runs or len(drawing.boxes) + kept <= budget:
        return drawing
    smaller = _drawn(selection, max(budget - kept, budget // 2, 1), style)
    parts = [sum(box.kind == "part" for box in one.boxes) for one in (drawing, smaller)]
    return smaller if parts[1] <= parts[0] and any(box.run for box in smaller.boxes) else drawing


def _insets(whole: Picture, selection: Selection, budget: int, style: Style) -> list[Inset]:
    """The insides of boxes, then those of the boxes in there, as far as the budget goes; equal ones once."""
    insets: list[Inset] = []
    seen: set[object] = set()
    pending = deque([(-1, whole, selection)])
    while pending:
        host, drawing, around = pending.popleft()
        for index, box in enumerate(drawing.boxes):
            for inside in _insides(box, around):
                if inside.key in seen or budget < min(_FEWEST, inside.size):
                    continue
                most = budget if inside.run is None else min(budget, _LARGEST_BLOCK)
                inner = _drawn(inside.selection, most, style)
                if not inner.boxes or (
                    inside.run is not None and len(inner.boxes) < min(_FEWEST, inside.size)
                ):
                    continue
                seen.add(inside.key)
                budget -= len(inner.boxes)
                inner.title = clean(inside.title)
                if inside.run is not None:
                    inner.outside = list(_outside(inner, inside.run))
                insets.append(
                    Inset(host, index, tail(box.title) if box.node is None else box.node.name, inner)
                )
                pending.append((len(insets) - 1, inner, inside.selection))
    return insets


def _insides(box: Box, around: Selection) -> Iterator[_Inside]:
    """The bodies of a single node, or the first of repeated blocks."""
    if box.run is not None:
        yield _block(box, box.run, around)
    elif box.node is not None:
        for part in parts_of(box.node):
            yield _Inside(part.body.attribute_key(), part.size, part.title, of_part(part))


def _block(box: Box, run: Run, around: Selection) -> _Inside:
    """The first block of a run with its weights."""
    held = set(run.blocks[0])
    mine = set(box.nodes)
    read = [tensor.node for node in run.blocks[0] for tensor in node.inputs]
    held.update([node for node in read if node.op.name in WEIGHTS and node in mine])
    nodes = [node for node in around.nodes if node in held]
    badges = {tensor: badge for tensor, badge in around.badges.items() if tensor.node in held}
    name = run.name.partition(" … ")[0]
    scope = f"{name}/" if all(node.name.startswith(f"{name}/") for node in run.bodies[0]) else around.scope
    selection = Selection(name, nodes, badges, {}, scope, around.regions)
    return _Inside(run.bodies[0][0], len(run.bodies[0]), f"{tail(name)}, one of {run.times}", selection, run)


def _outside(drawing: Picture, run: Run) -> Iterator[Outside]:
    """What a block takes from outside and gives to the next one."""
    home = {node: index for index, box in enumerate(drawing.boxes) for node in box.nodes}
    chained = run.chained()
    made = set(run.bodies[0])
    for node, other in zip(run.bodies[0], run.bodies[1]):
        for position, (tensor, next_tensor) in enumerate(zip(node.inputs, other.inputs)):
            if (node, position) in chained:
                yield Outside(home[node], "the block before", False)
            elif tensor.node not in home and tensor.node.op.name not in WEIGHTS:
                yield Outside(home[node], tensor.node.name, False)
            if next_tensor.node in made:
                yield Outside(home[next_tensor.node], "the next block", True)
