"""`summary`: a table of a graph's layers, with output types, parameters, operations and bytes, and totals."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphflow.ir.dims import symbols_of
from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.analysis.cost import counted_at, elements, node_bytes, node_flops, type_bytes
from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.report_text import count_text
from graphflow.viz.boxes import clean, tail
from graphflow.viz.collapse import WEIGHTS, Group, collapse, folded_constants
from graphflow.viz.select import Selection, select

ROWS = 50
_HEAD = ("layer", "operator", "output", "nodes", "parameters", "weights", "FLOP", "moved")


@dataclass(frozen=True, slots=True)
class Row:
    """One layer.

    Attributes:
        name: of the scope, or of a node outside of scopes.
        operator: of a single node; "" for several.
        output: the type of what it gives to others.
        nodes: how many it has.
        parameters: elements of its variables; `trainable` are those of trainable ones.
        weight_bytes: of its variables and constants.
        flops, bytes: floating-point operations, and bytes read and written, of one run.
    """

    name: str
    operator: str
    output: str
    nodes: int
    parameters: int
    trainable: int
    weight_bytes: int
    flops: int
    bytes: int


@dataclass(frozen=True)
class Summary:
    """The layers of a graph; print it.

    Attributes:
        title: the name of the graph.
        rows: a Row for each scope, and for each node outside of scopes.
        total: their sum.
        scalars: scalar constants, which are not counted among the nodes.
        counted: the sizes that symbolic ones count as.
    """

    title: str
    rows: tuple[Row, ...]
    total: Row
    scalars: int = 0
    counted: str = ""

    def __str__(self) -> str:
        cells = [_HEAD, *map(_cells, self.rows), _cells(self.total)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
        lines = []
        for row in cells:
            padded = [
                cell.ljust(width) if column < 3 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths))
            ]
            lines.append("  ".join(padded).rstrip())
        rule = "-" * max(map(len, lines))
        body = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
        return "\n".join([*body, *self._notes()])

    def _notes(self) -> list[str]:
        frozen = self.total.parameters - self.total.trainable
        notes = [f"{frozen:,} of the parameters are not trainable"] if frozen else []
        scalars = f"{self.scalars:,} scalar constant" + "s" * (self.scalars != 1) + " besides"
        notes += [scalars] if self.scalars else []
        return [*notes, *([f"counted with {self.counted}"] if self.counted else [])]

    def _repr_html_(self) -> str:
        """The table, where a notebook shows it."""
        rows = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in _HEAD) + "</tr>"]
        for row in (*self.rows, self.total):
            rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(row)) + "</tr>")
        notes = "<br>".join(map(html.escape, self._notes()))
        return f"<table>{''.join(rows)}</table>{notes}"


def summary(
    source: Any, depth: int | None = None, sizes: Mapping[str, int] | None = None, rows: int = ROWS
) -> Summary:
    """The layers of a graph in a table: what each gives, its parameters, operations and bytes.

    A layer is an innermost name scope, or a node outside of those; blocks that repeat share a row, with their
    sum. A flat graph has neighbours together in rows.

    Arguments:
        source: a Graph, Program or Model, or tensors and Updates in any nest.
        depth: how many levels of scopes are opened; by default all but the innermost, if that fits.
        sizes: what symbolic sizes count as in FLOP and bytes; 1 by default.
        rows: at most; scopes are collapsed to keep to it.

    Raises:
        AttributeValueError: for a source, depth or number of rows that there is not.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 4))
    >>> with gf.name_scope("head"):
    ...     y = gf.tanh(gf.matmul(x, gf.variable("w", (4, 2))))
    >>> print(summary(y.graph, depth=0))
    layer  operator     output             nodes  parameters  weights  FLOP  moved
    ------------------------------------------------------------------------------
    x      placeholder  float32[batch, 4]      1           0      0 B    0    16 B
    head                float32[batch, 2]      3           8     32 B   18    72 B
    ------------------------------------------------------------------------------
    total                                      4           8     32 B   18    88 B
    counted with batch = 1
    """
    selection = select(source)
    scalars = folded_constants(selection.nodes, {})
    groups = _layers([node for node in selection.nodes if node not in scalars], rows, depth, selection)
    leaving = _leaving(groups)
    with counted_at(sizes):
        made = tuple([_row(group, leaving[index], selection) for index, group in enumerate(groups)])
    sums = {
        name: sum(getattr(row, name) for row in made)
        for name in ("nodes", "parameters", "trainable", "weight_bytes", "flops", "bytes")
    }
    total = Row("total", "", "", **sums)
    return Summary(selection.name, made, total, len(scalars), _counted(selection.nodes, sizes or {}))


def _layers(nodes: Sequence[Node], rows: int, depth: int | None, selection: Selection) -> list[Group]:
    """The groups of nodes that are layers: the innermost scopes that give no more rows than that."""
    if not nodes:
        return []
    deepest = max(node.scope.count("/") for node in nodes)
    for opened in range(deepest, 0, -1) if depth is None else ():
        groups = collapse(nodes, len(nodes), opened, selection.badges)
        if len(groups) <= rows:
            return groups
    return collapse(nodes, rows, 0 if depth is None else depth, selection.badges)


def _leaving(groups: Sequence[Group]) -> list[Tensor | None]:
    """For each group the last of its tensors that another group reads."""
    home = {node: index for index, group in enumerate(groups) for node in group.nodes}
    found: list[Tensor | None] = [None] * len(groups)
    order = {node: place for place, node in enumerate(home)}
    for index, group in enumerate(groups):
        for node in group.nodes:
            for tensor in node.inputs:
                source = home.get(tensor.node)
                if source is not None and source != index:
                    last = found[source]
                    if last is None or order[last.node] <= order[tensor.node]:
                        found[source] = tensor
    return found


def _row(group: Group, leaving: Tensor | None, selection: Selection) -> Row:
    nodes = group.nodes
    weights = [node for node in nodes if node.op.name in WEIGHTS]
    variables = [node for node in weights if node.op.name == "variable"]
    sizes = [elements(node.output.type.shape) for node in variables]
    trainable = [size for node, size in zip(variables, sizes) if node.attrs.get("trainable", True)]
    returned = [tensor for node in nodes for tensor in node.outputs if tensor in selection.badges]
    if leaving is None:
        leaving = next((node.outputs[0] for node in reversed(nodes) if node.outputs), None)
    made = returned or ([] if leaving is None else [leaving])
    times = "" if group.run is None else f" × {group.run.times}"
    return Row(
        tail(group.name, 44) + times,
        nodes[-1].op.name if group.kind == "node" else "",
        ", ".join([clean(str(tensor.type)) for tensor in made[:2]]) + (", …" if len(made) > 2 else ""),
        len(nodes),
        sum(sizes),
        sum(trainable),
        sum([type_bytes(node.output.type) for node in weights]),
        sum(map(node_flops, nodes)),
        sum([node_bytes(node) for node in nodes if node.op.name not in WEIGHTS]),
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        clean(row.operator, 24),
        clean(row.output, 44),
        f"{row.nodes:,}",
        f"{row.parameters:,}",
        show_bytes(row.weight_bytes),
        count_text(row.flops),
        show_bytes(row.bytes),
    )


def _counted(nodes: Sequence[Node], sizes: Mapping[str, int]) -> str:
    names = sorted({name for node in nodes for tensor in node.outputs for name in symbols_of(tensor.shape)})
    return ", ".join(f"{name} = {sizes.get(name, 1)}" for name in names)
