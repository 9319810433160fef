"""`to_networkx`: a graph as a networkx.MultiDiGraph, for its algorithms and file formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphflow.errors import BackendError
from graphflow.viz.select import select

if TYPE_CHECKING:
    import networkx


def to_networkx(source: Any) -> networkx.MultiDiGraph:
    """A graph as a networkx.MultiDiGraph with one node a node, under its name, and one edge a use.

    Nodes have the attributes op, name, family, type (of the outputs, as text), scope and origin;
    edges tensor (its name), type and input (its position among the reader's inputs). The bodies of loops and
    branches are left out; one of them, `node.attrs.body`, is a Graph that can be given by itself.

    Arguments:
        source: a Graph, Program or Model, or tensors and Updates in any nest.

    Raises:
        BackendError: if the package networkx is not installed.

    >>> import graphflow as gf
    >>> x = gf.constant([1.0, 2.0], name="x")
    >>> graph = to_networkx(gf.multiply(x, x))
    >>> graph.nodes["multiply"]["type"], graph.number_of_edges("x", "multiply")
    ('float32[2]', 2)
    """
    try:
        import networkx
    except ImportError:
        raise BackendError(
            "gf.to_networkx needs the Python package networkx, which is not installed",
            hint="pip install networkx",
        ) from None
    selection = select(source)
    result = networkx.MultiDiGraph(name=selection.name)
    for node in selection.nodes:
        result.add_node(
            node.name,
            op=node.op.name,
            name=node.name,
            family=node.op.family,
            type=", ".join(str(tensor.type) for tensor in node.outputs),
            scope=node.scope,
            origin=str(node.origin or ""),
        )
    for node in selection.nodes:
        for position, tensor in enumerate(node.inputs):
            if tensor.node.name in result:
                result.add_edge(
                    tensor.node.name, node.name, tensor=tensor.name, type=str(tensor.type), input=position
                )
    return result
