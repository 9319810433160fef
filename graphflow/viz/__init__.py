"""Pictures of graphs: SVG, PNG and PDF, sources for Graphviz, Mermaid and Model Explorer, and text."""

from graphflow.viz.before_after import before_after, draw_pass
from graphflow.viz.dot import to_dot
from graphflow.viz.mermaid import to_mermaid
from graphflow.viz.model_explorer import to_model_explorer
from graphflow.viz.networkx import to_networkx
from graphflow.viz.render import render

__all__ = [
    "before_after",
    "draw_pass",
    "render",
    "to_dot",
    "to_mermaid",
    "to_model_explorer",
    "to_networkx",
]


def __dir__() -> list[str]:
    return sorted(__all__)
