"""Names from model files on our nodes: as nodes can have them, as scopes, and as origins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from graphflow.ir.graph import Graph, default_graph, scoped
from graphflow.ir.provenance import Origin


def safe_name(name: str) -> str:
    """A name as nodes can have it, without blanks, colons, and slashes at the ends.

    >>> safe_name("/layer1/conv:0")
    'layer1/conv.0'
    """
    kept = "".join("." if letter.isspace() or letter == ":" else letter for letter in name).strip("/")
    return kept or "unnamed"


def in_scope_of(name: str) -> AbstractContextManager[object]:
    """The name scope that a name says, as exporters write them: `/layer1/conv/Conv`."""
    scope = "/".join(part for part in safe_name(name).split("/")[:-1] if part)
    return scoped(default_graph(), scope) if scope else nullcontext()


@contextmanager
def out_of_scopes() -> Iterator[None]:
    """Give the nodes made inside the block just the names they are given."""
    graph = default_graph()
    scope, graph.scope = graph.scope, ""
    try:
        yield
    finally:
        graph.scope = scope


@contextmanager
def sourced(name: str) -> Iterator[None]:
    """Give the nodes made inside the block the name of what they are for in the file."""
    graph: Graph = default_graph()
    start = len(graph.nodes)
    yield
    origin: Origin | None = None
    for made in graph.nodes[start:]:
        if made.origin is not None and made.origin.source_name is None:
            origin = origin or Origin(made.origin.file, made.origin.line, name)
            made.origin = origin
