"""Fed values that decide sizes: which feeds those are, what the values say, and what does not fit.

A program that depends on such values is compiled for each of them, as it is for each set of shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.errors import FeedError, GraphFlowError
from graphflow.ir import dims
from graphflow.ir.dims import Dim
from graphflow.ir.fed_sizes import can_be_sizes, element_symbols, fed_element, placeholders_in
from graphflow.ir.graph import Graph, describe
from graphflow.ir.node import Node, Tensor
from graphflow.ir.text import sizes_of
from graphflow.ir.traversal import ancestors, creation_order
from graphflow.ops.inference import show

Values = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class ValueFeeds:
    """The feeds of a program whose values decide sizes.

    Attributes:
        places: their positions among the feeds.
        tensors: the feeds at those positions.
        sizes: each different size of an axis that they decide, with the first node that has it.
    """

    places: tuple[int, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    sizes: tuple[tuple[Dim, Node], ...] = ()

    def read(self, arrays: Sequence[Any]) -> Values:
        """The values of these feeds, given those of all."""
        return tuple([tuple(np.asarray(arrays[place]).reshape(-1).tolist()) for place in self.places])

    def solve(self, values: Values) -> dict[str, int]:
        """What each fed size is."""
        return {
            str_of(symbol): value
            for tensor, row in zip(self.tensors, values)
            for symbol, value in zip(element_symbols(tensor).flat, row)
        }

    def check(self, sizes: Mapping[str, int], values: Values) -> None:
        """Raise a FeedError if an axis would have a negative size, or one that is divided by zero."""
        for size, node in self.sizes:
            try:
                actual = dims.substitute(size, sizes)
            except GraphFlowError as error:
                raise self.refuse(error, values, node) from error
            if isinstance(actual, int) and actual < 0:
                shapes = [tensor.shape for tensor in node.outputs if size in tensor.shape]
                raise FeedError(
                    f"{self.shown(values)}, so {node.name} ({node.op.name}) would have an axis of size "
                    f"{actual}: {show(shapes[0]) if shapes else size}",
                    hint="feed sizes of at least 0; in the shape of a reshape one may be -1",
                    operands=describe(self.tensors),
                    origin=node.origin,
                )

    @contextmanager
    def blamed(self, values: Values) -> Iterator[None]:
        """Turn what the block finds wrong with the program into the fault of the values, if there are any."""
        try:
            yield
        except FeedError as error:
            if self.places and "the value of" not in error.message:
                error.message += f" ({self.shown(values)})"
            raise
        except GraphFlowError as error:
            if not self.places:
                raise
            raise self.refuse(error, values) from error

    def refuse(self, error: GraphFlowError, values: Values, node: Node | None = None) -> FeedError:
        """The FeedError of values with which the program cannot be."""
        return FeedError(
            f"{self.shown(values)}, which does not fit: {error.message}",
            hint=error.hint,
            operands=describe(self.tensors),
            origin=error.origin if node is None else node.origin,
        )

    def shown(self, values: Values) -> str:
        """The values as messages give them."""
        rows = [f"{tensor.node.name!r} is {value_text(row)}" for tensor, row in zip(self.tensors, values)]
        return "the value of " + " and that of ".join(rows)

    def changed(self, before: Values, after: Values) -> list[str]:
        """For each feed with another value than before a sentence that says so."""
        return [
            f"the value of {tensor.node.name!r} changed from {value_text(old)} to {value_text(new)}"
            for tensor, old, new in zip(self.tensors, before, after)
            if old != new
        ]


def str_of(symbol: Dim) -> str:
    """The name of a symbol."""
    return symbol.symbol.name if symbol.symbol is not None else str(symbol)


def value_text(row: tuple[int, ...]) -> str:
    """A fed value in a message: a number, or a tuple."""
    return str(row[0]) if len(row) == 1 else str(row)


NO_VALUE_FEEDS = ValueFeeds()


def value_feeds(feeds: Sequence[Tensor], roots: Sequence[Tensor], constraints: Iterable[Any]) -> ValueFeeds:
    """The feeds whose values decide a size of some node that the roots need, or what a node requires."""
    if not any(map(can_be_sizes, feeds)):
        return NO_VALUE_FEEDS
    names: set[str] = set()
    axes: dict[Dim, Node] = {}
    for node in creation_order(ancestors(roots, stop=set(feeds).__contains__)):
        for size in sizes_of(node):
            fed = [name for name in dims.symbols(size) if fed_element(name)]
            names.update(fed)
            if fed and any(size in tensor.shape for tensor in node.outputs):
                axes.setdefault(size, node)
    for left, right, _ in constraints:
        names.update(dims.symbols_of((left, right)))
    decisive = set(placeholders_in(names))
    places = [place for place, tensor in enumerate(feeds) if _is_among(tensor, decisive)]
    if not places:
        return NO_VALUE_FEEDS
    return ValueFeeds(tuple(places), tuple([feeds[place] for place in places]), tuple(axes.items()))


def _is_among(tensor: Tensor, names: set[str]) -> bool:
    return tensor.node.name in names and can_be_sizes(tensor)


def deciding_placeholders(graph: Graph, nodes: Iterable[Node]) -> list[Tensor]:
    """The placeholders whose fed values decide sizes of the nodes, in the graph's order.

    What a fed value decides no longer reads it: its size is a symbol in types and attributes.
    """
    candidates = {name: tensor for name, tensor in graph.placeholders.items() if can_be_sizes(tensor)}
    if not candidates:
        return []
    names = {name for node in nodes for size in sizes_of(node) for name in dims.symbols(size)}
    found = [candidates[name] for name in placeholders_in(names) if name in candidates]
    return sorted(found, key=lambda tensor: tensor.node.id)
