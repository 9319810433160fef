"""Pictures of graphs: Graphviz source, files in any of its formats, SVG without it, and networkx graphs."""

from graphflow.viz.dot import to_dot
from graphflow.viz.networkx import to_networkx
from graphflow.viz.render import before_after, render

__all__ = ["before_after", "render", "to_dot", "to_networkx"]


def __dir__() -> list[str]:
    return sorted(__all__)
