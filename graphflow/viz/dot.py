"""`to_dot`: the picture of a graph as Graphviz source."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from graphflow.errors import BackendError
from graphflow.viz import colors
from graphflow.viz.boxes import Box
from graphflow.viz.picture import BUDGET, Inset, Picture, picture

if TYPE_CHECKING:
    import graphviz

# nslimit and mclimit bound the work of placing and ordering, which is where `dot` loses itself.
_GRAPH = {"rankdir": "TB", "nslimit": "1", "mclimit": "0.2", "nodesep": "0.28", "ranksep": "0.42"}
_CLUSTER = {
    "style": "dashed,rounded,filled",
    "color": colors.CONTROL.line,
    "fillcolor": "#fafafa",
    "fontname": colors.FONT,
    "fontsize": "10",
    "fontcolor": colors.TEXT,
    "labeljust": "l",
    "margin": "10",
}
_REGION = {
    "style": "rounded,filled",
    "color": colors.REGION.line,
    "fillcolor": colors.REGION.fill,
    "fontcolor": colors.REGION.line,
    "fontsize": "9",
    "margin": "7",
}
_TO_BODY = {"style": "dotted", "arrowhead": "none", "color": colors.CONTROL.line, "penwidth": "1.3"}
_SHAPES = {
    "node": "box",
    "input": "box",
    "variable": "cylinder",
    "constant": "box",
    "scope": "folder",
    "part": "folder",
    "run": "box3d",
    "stub": "plaintext",
}


def to_dot(
    source: Any,
    budget: int = BUDGET,
    title: str | None = None,
    highlight: Iterable[Any] = (),
    **options: Any,
) -> graphviz.Digraph:
    """A graph as a graphviz.Digraph: operators by colour, shapes and dtypes on the edges.

    Name scopes are collapsed until no more than `budget` boxes are left; scalar constants are
    written at their users; edges over many rows become stubs that name the other end.

    Arguments:
        source: a Graph, Program or Model, or tensors and Updates in any nest.
        budget: the largest number of boxes.
        title: the heading; the graph's name by default.
        highlight: names, nodes or tensors to outline.
        options: color, depth, repeats and weights, as `render` has them.

    Raises:
        BackendError: if the package graphviz is not installed.

    >>> import graphflow as gf
    >>> "exp" in to_dot(gf.exp(gf.constant(1.0))).source
    True
    """
    return dot_of(picture(source, budget, title, highlight, **options))


def dot_of(drawing: Picture) -> graphviz.Digraph:
    """The Graphviz source of a picture."""
    try:
        import graphviz
    except ImportError:
        raise BackendError(
            "DOT source needs the Python package graphviz, which is not installed",
            hint='pip install graphviz, or gf.viz.render(graph, "graph.svg"), which does without',
        ) from None
    fonts = {"fontname": colors.FONT}
    result = graphviz.Digraph(
        "graphflow",
        graph_attr={
            **_GRAPH,
            **fonts,
            "bgcolor": colors.BACKGROUND,
            "fontcolor": colors.TEXT,
            "label": _heading(drawing),
            "labelloc": "t",
            "pad": "0.3",
        },
        node_attr={
            **fonts,
            "fontsize": "11",
            "fontcolor": colors.TEXT,
            "penwidth": "1.2",
            "margin": "0.11,0.055",
        },
        edge_attr={
            **fonts,
            "fontsize": "8",
            "fontcolor": colors.QUIET,
            "color": colors.EDGE,
            "arrowsize": "0.55",
            "penwidth": "0.9",
        },
    )
    _add(result, drawing, "b")
    _add_regions(result, drawing)
    _add_bodies(result, drawing.insets)
    return result


def _add(graph: graphviz.Digraph, drawing: Picture, prefix: str) -> None:
    """The boxes and edges of a picture; the names of its boxes begin with `prefix`."""
    for index, box in enumerate(drawing.boxes):
        graph.node(f"{prefix}{index}", **_node_attributes(box))
    for edge in drawing.edges:
        attributes = {"label": f"<&nbsp;{_escape(edge.label)}&nbsp;>"} if edge.label else {}
        if edge.to_stub:
            attributes.update(style="dashed", arrowsize="0.4", weight="4", penwidth="0.7")
        graph.edge(f"{prefix}{edge.source}", f"{prefix}{edge.target}", **attributes)


def _add_regions(whole: graphviz.Digraph, drawing: Picture) -> None:
    """A cluster around the boxes of each region that has several."""
    import graphviz

    members: dict[str, list[int]] = {}
    for index, box in enumerate(drawing.boxes):
        if box.region:
            members.setdefault(box.region, []).append(index)
    for name, indices in members.items():
        if len(indices) > 1:
            attributes = {**_CLUSTER, **_REGION, "label": f"<<B>{_escape(name)}</B>>"}
            cluster = graphviz.Digraph(f"cluster_{name}", graph_attr=attributes)
            for index in indices:
                cluster.node(f"b{index}")
            whole.subgraph(cluster)


def _add_bodies(whole: graphviz.Digraph, insets: Sequence[Inset]) -> None:
    """A cluster for each body, in that of the body whose node has it, and a dotted line from the node."""
    import graphviz

    clusters = []
    for number, inset in enumerate(insets):
        attributes = {**_CLUSTER, "label": f"<<B>{_escape(inset.picture.title)}</B>>"}
        clusters.append(graphviz.Digraph(f"cluster_{number}", graph_attr=attributes))
        _add(clusters[-1], inset.picture, f"i{number}b")
    for number in reversed(range(len(insets))):
        inset = insets[number]
        outer = whole if inset.host < 0 else clusters[inset.host]
        outer.subgraph(clusters[number])
        node = f"b{inset.box}" if inset.host < 0 else f"i{inset.host}b{inset.box}"
        top = min(range(len(inset.picture.boxes)), key=lambda index: inset.picture.boxes[index].row)
        outer.edge(node, f"i{number}b{top}", lhead=f"cluster_{number}", **_TO_BODY)
    if insets:
        whole.graph_attr["compound"] = "true"


def _node_attributes(box: Box) -> dict[str, str]:
    attributes = {"label": _label(box), "shape": _SHAPES[box.kind], "tooltip": _plain(box.tooltip)}
    if box.kind == "stub":
        return {**attributes, "margin": "0.02", "height": "0.1"}
    style = "filled" if box.kind in ("variable", "scope", "part", "run") else "filled,rounded"
    attributes.update(style=style, fillcolor=box.paint.fill, color=box.paint.line)
    if box.kind == "input":
        attributes["penwidth"] = "1.8"
    if box.badges:
        attributes["penwidth"] = "2.2"
    if box.highlighted:
        attributes.update(color=colors.ACCENT, penwidth="3")
    return attributes


def _label(box: Box) -> str:
    if box.kind == "stub":
        text = _escape(f"{box.title} {', '.join(box.lines)}")
        return f'<<FONT POINT-SIZE="8" COLOR="{colors.QUIET}"><I>{text}</I></FONT>>'
    rows = [f"<B>{_escape(box.title)}</B>"]
    quiet = box.paint.quiet
    rows += [f'<FONT POINT-SIZE="8.5" COLOR="{quiet}">{_escape(line)}</FONT>' for line in box.lines]
    rows += [f'<FONT POINT-SIZE="8.5"><B>{_escape(badge)}</B></FONT>' for badge in box.badges]
    return f"<{'<BR/>'.join(rows)}>"


def _heading(drawing: Picture) -> str:
    rows = [
        f'<FONT POINT-SIZE="15"><B>{_escape(drawing.title) or " "}</B></FONT>',
        f'<FONT POINT-SIZE="9.5" COLOR="{colors.QUIET}">{_escape(drawing.caption)}</FONT>',
    ]
    swatches = [
        f'<FONT POINT-SIZE="10" COLOR="{paint.line}">■</FONT>'
        f'<FONT POINT-SIZE="8" COLOR="{colors.QUIET}"> {_escape(paint.label)}</FONT>'
        for paint in drawing.legend()
    ]
    if drawing.telling:
        told = f"{_escape(drawing.telling)}:"
        swatches.insert(0, f'<FONT POINT-SIZE="8" COLOR="{colors.TEXT}">{told}</FONT>')
    if swatches:
        rows.append("&nbsp;&nbsp;&nbsp;".join(swatches))
    cells = "".join(f"<TR><TD>{row}</TD></TR>" for row in rows)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="2">{cells}</TABLE>>'


def _escape(text: str) -> str:
    """Text for an HTML-like label. Graphviz replaces escapes such as \\N there, even in references."""
    return html.escape(text).replace("\\", "&#92;&#92;")


def _plain(text: str) -> str:
    """Text for a tooltip, where Graphviz leaves no way to write a backslash."""
    return html.escape(text).replace("\\", "∖")
