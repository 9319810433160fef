"""Found sizes: symbols for sizes that depend on values, and are known once the node that finds them has run.

How many elements of x are not zero is `nonzero_size?`, after the name of the call. No user's size has such a
name, as those are identifiers. Only targets that run node by node can work with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from graphflow.errors import ShapeError
from graphflow.ir import dims
from graphflow.ir.atoms import Symbol
from graphflow.ir.dims import Dim
from graphflow.ir.graph import Graph
from graphflow.ir.node import Node
from graphflow.ir.text import sizes_of

_FOUND = re.compile(r"[\w./-]+\?\Z")


def found_size(graph: Graph, name: str) -> Dim:
    """A fresh found size of a graph.

    Raises:
        ShapeError: in the body of a loop or branch, whose steps all have the same sizes.

    >>> import graphflow as gf
    >>> found_size(gf.Graph(), "nonzero")
    'nonzero_size?'
    """
    if graph.outer is not None:
        raise ShapeError(
            f"{name} inside of {graph.name!r} would give a size that depends on values",
            hint="pass size=, the most there can be, or call it outside of the loop or branch",
        )
    root = graph.root
    return found_symbol(root.unique_name(f"{name}_size").removeprefix(root.scope).replace("/", ".") + "?")


def found_symbol(name: str) -> Dim:
    """The symbol of that name."""
    return Dim._of((((Symbol(name, 0, None),), 1),))


def is_found(name: str) -> bool:
    """Whether a symbol of this name is a found size.

    >>> is_found("nonzero_1?"), is_found("batch")
    (True, False)
    """
    return _FOUND.match(name) is not None


def found_in(node: Node) -> Iterator[str]:
    """The names of the found sizes in the types and attributes of a node."""
    for size in sizes_of(node):
        yield from filter(is_found, dims.symbols(size))
