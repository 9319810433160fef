"""What notebooks show of graphs, tensors and models: pictures and tables of bounded size."""

from __future__ import annotations

import html
from typing import Any

from graphflow.errors import GraphFlowError
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.viz.picture import picture
from graphflow.viz.summary import Summary, summary
from graphflow.viz.svg import to_svg
from graphflow.viz.tree import tree

BOXES = 60
"""In a notebook a picture is a glance; gf.viz.render draws more."""

_LINES = 24
_ROWS = 24


def graph_svg(graph: Graph) -> str:
    """The picture of a graph as SVG that stands by itself.

    >>> import graphflow as gf
    >>> graph_svg(gf.exp(gf.placeholder("x", (2,))).graph)[:4]
    '<svg'
    """
    return _inline(picture(graph, BOXES))


def tensor_html(tensor: Tensor) -> str:
    """A tensor's name and type, and the tree of what it is computed from."""
    origin = "" if tensor.node.origin is None else f" · {tensor.node.origin}"
    heading = (
        f"<b>{html.escape(tensor.name)}</b> {html.escape(f'{tensor.type} by {tensor.node.op.name}{origin}')}"
    )
    shown = html.escape(tree(tensor, lines=_LINES))
    return f'{heading}<pre style="line-height:1.25">{shown}</pre>'


def model_html(model: Any) -> str:
    """A model's signature, its layers in a table, and its picture."""
    parts = [f"<p>{html.escape(repr(model))}</p>", summary(model, rows=_ROWS)._repr_html_()]
    try:
        parts.append(_inline(picture(model, BOXES)))
    except GraphFlowError as error:
        parts.append(f"<p>no picture: {html.escape(error.message)}</p>")
    return "".join(parts)


def graph_summary(graph: Any, depth: int | None = None, sizes: Any = None, rows: int = 50) -> Summary:
    """The layers of the graph in a table: output types, parameters, operations, bytes; as `Graph.summary`."""
    return summary(graph, depth, sizes, rows)


def _inline(drawing: Any) -> str:
    return to_svg(drawing).partition("\n")[2]
