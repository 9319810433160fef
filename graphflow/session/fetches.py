"""Fetches: taking a nest of tensors, updates and names apart, and putting the results together alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from graphflow.errors import FetchError, GraphError
from graphflow.ir.graph import Graph, describe
from graphflow.ir.node import Node, Tensor
from graphflow.ops.declare import Update, check_distinct

LEAVES = frozenset({Tensor, Update, str})
_DEEPEST = 100
_HINT = "fetch tensors, updates, names, and lists, tuples or dicts of them"

_only = itemgetter(0)

Pack = Callable[[tuple[Any, ...]], Any]
Part = Callable[[Iterator[Any]], Any]


@dataclass(frozen=True, slots=True)
class Fetches:
    """What a nest asks for.

    Attributes:
        tensors: the tensors to compute, each once, in the graph's order.
        updates: the updates to apply, each once.
        assigns: their `assign` nodes, in the graph's order.
        positions: for each leaf the index into `tensors`, or -1 for an update.
        pack: a tuple of the leaves' results -> the nest.
    """

    tensors: tuple[Tensor, ...]
    updates: tuple[Update, ...]
    assigns: tuple[Node, ...]
    positions: tuple[int, ...]
    pack: Pack

    @property
    def training(self) -> bool:
        """Whether one of the updates sets the training flag."""
        return any(update.training for update in self.updates)

    def assembler(self, convert: Callable[[Any], Any] | None = None) -> Callable[[Sequence[Any]], Any]:
        """A function from the values of `tensors` (more may follow them) to the nest.

        Arguments:
            convert: what to do to each value on its way; nothing by default.
        """
        pick, count = _picker(self.positions), len(self.tensors)
        pack = self.pack
        if convert is not None:
            if pack is _only and self.tensors:
                return lambda fetched: convert(fetched[0])
            # None comes last, where the position -1 of an update finds it.
            return lambda fetched: pack(pick((*map(convert, fetched[:count]), None)))
        if pack is _only and self.tensors:
            return _only
        return lambda fetched: pack(pick((*fetched, None)))


def _picker(positions: tuple[int, ...]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """A function that picks the values at positions, as a tuple."""
    if len(positions) > 1:
        return itemgetter(*positions)
    return lambda values: tuple([values[position] for position in positions])


def fetch_key(fetches: Any) -> Any:
    """A hashable key that is equal for nests of equal structure with the same leaves.

    Raises:
        FetchError: if it holds something that cannot be fetched.
    """
    kind = type(fetches)
    if kind in LEAVES:
        return fetches
    if kind is list or kind is tuple:
        for leaf in fetches:
            if type(leaf) not in LEAVES:
                break
        else:
            return (kind, *fetches)
    return _nested_key(fetches, 0)


def _nested_key(fetches: Any, depth: int) -> Any:
    if type(fetches) in LEAVES:
        return fetches
    if depth > _DEEPEST:
        raise FetchError(f"the fetches are nested more than {_DEEPEST} deep", hint=_HINT)
    if isinstance(fetches, dict):
        inner = [_nested_key(value, depth + 1) for value in fetches.values()]
        return (type(fetches), tuple(fetches), *inner)
    if isinstance(fetches, (list, tuple)):
        return (type(fetches), *[_nested_key(value, depth + 1) for value in fetches])
    raise FetchError(f"{_shown(fetches)} cannot be fetched", hint=_HINT)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) < 60 else text[:57] + '...'} of type {type(value).__name__}"


def parse_fetches(fetches: Any, graph: Graph, find: Callable[[str], Tensor]) -> Fetches:
    """Take a nest apart.

    Arguments:
        fetches: the nest.
        graph: the session's graph, to which every leaf has to belong.
        find: the tensor of a name.

    Raises:
        FetchError: naming the leaf that cannot be fetched, and why.
    """
    leaves: list[Any] = []
    part = _part(fetches, leaves)
    resolved = [_resolve(leaf, graph, find) for leaf in leaves]
    tensors = _in_order({leaf for leaf in resolved if isinstance(leaf, Tensor)})
    updates = tuple(dict.fromkeys(leaf for leaf in resolved if isinstance(leaf, Update)))
    assigns = tuple(dict.fromkeys(node for update in updates for node in update.assigns))
    try:
        check_distinct(assigns)
    except GraphError as error:
        raise FetchError(error.message, hint=error.hint) from None
    where = {tensor: index for index, tensor in enumerate(tensors)}
    positions = tuple(where[leaf] if isinstance(leaf, Tensor) else -1 for leaf in resolved)
    ordered = tuple(sorted(assigns, key=lambda node: node.id))
    return Fetches(tensors, updates, ordered, positions, _packer(fetches, part))


def _packer(fetches: Any, part: Part) -> Pack:
    """What makes the nest of all leaves' results; the common nests take a shorter way."""
    kind = type(fetches)
    if kind in LEAVES:
        return _only
    if kind in (list, tuple) and all(type(value) in LEAVES for value in fetches):
        return kind
    return lambda values: part(iter(values))


def _in_order(tensors: set[Tensor]) -> tuple[Tensor, ...]:
    return tuple(sorted(tensors, key=lambda tensor: (tensor.node.id, tensor.index)))


def _part(fetches: Any, leaves: list[Any]) -> Part:
    """Append the leaves of a nest whose depth `fetch_key` has checked; return what rebuilds it."""
    if isinstance(fetches, dict):
        keys = tuple(fetches)
        values_of = [_part(value, leaves) for value in fetches.values()]
        return lambda values: {key: part(values) for key, part in zip(keys, values_of)}
    if isinstance(fetches, (list, tuple)):
        kind: Any = type(fetches)
        parts = [_part(value, leaves) for value in fetches]
        if hasattr(kind, "_fields"):
            return lambda values: kind(*[part(values) for part in parts])
        return lambda values: kind([part(values) for part in parts])
    leaves.append(fetches)
    return next


def _resolve(leaf: Any, graph: Graph, find: Callable[[str], Tensor]) -> Tensor | Update:
    if isinstance(leaf, str):
        try:
            return find(leaf)
        except GraphError as error:
            raise FetchError(error.message, hint=error.hint) from None
    if leaf.graph is not graph:
        named = leaf.name if isinstance(leaf, Tensor) else repr(leaf.name)
        raise FetchError(
            f"{named} belongs to the graph {leaf.graph.name!r} (number {leaf.graph.uid}), but the session "
            f"runs {graph.name!r} (number {graph.uid})",
            hint="make a session for that graph: gf.Session(graph)",
            operands=describe([leaf] if isinstance(leaf, Tensor) else leaf.variables[:4]),
        )
    return leaf
