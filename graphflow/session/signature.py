"""What identifies a run: the tensors behind names and feed keys, and the Signature they make.

Two runs with the same signature need the same program. It holds tensors of an append-only graph, so
it stays valid however much the graph grows.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.errors import FeedError, GraphError
from graphflow.ir.graph import Graph, describe
from graphflow.ir.node import Node, Tensor
from graphflow.ops import declare
from graphflow.session.fetches import Fetches

FLAG_NAMES = frozenset({"training", "training_flag"})


@dataclass(frozen=True, slots=True)
class Signature:
    """What a program computes, in canonical order.

    Attributes:
        fetches, assigns: what to return and which variables to change.
        feeds: the tensors whose values are given, by position in the graph.
        training: the training flag.
    """

    fetches: tuple[Tensor, ...]
    assigns: tuple[Node, ...]
    feeds: tuple[Tensor, ...]
    training: bool

    @property
    def roots(self) -> list[Tensor]:
        """All tensors to compute: the fetches, then the new values of variables."""
        return [*self.fetches, *[node.inputs[1] for node in self.assigns]]

    @property
    def title(self) -> str:
        """What is fetched, as messages name it."""
        names = [tensor.name for tensor in self.fetches[:6]]
        if len(self.fetches) > 6:
            names.append(f"{len(self.fetches) - 6} more")
        if self.assigns:
            count = len(self.assigns)
            names.append(f"an update of {count} variable{'s' * (count != 1)}")
        return ", ".join(names) or "nothing"


def signature_of(fetches: Fetches, feeds: Iterable[Tensor], training: bool) -> Signature:
    """The signature of fetches under feeds."""
    ordered = tuple(sorted(feeds, key=lambda tensor: (tensor.node.id, tensor.index)))
    return Signature(fetches.tensors, fetches.assigns, ordered, training)


class NameIndex:
    """Finds tensors by name in a graph that grows, at the cost of looking at each node once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes: dict[str, Node] = {}
        self._seen = 0

    def find(self, name: str) -> Tensor:
        """The tensor named `node:index`; a bare `node` means its output 0.

        Raises:
            GraphError: if there is none; the message offers near names.
        """
        nodes = self._graph.nodes
        count = len(nodes)
        for node in nodes[self._seen : count]:
            self._nodes[node.name] = node
        self._seen = count
        base, _, index = name.partition(":")
        found = self._nodes.get(base)
        if found is not None and (index or "0").isdecimal() and int(index or 0) < len(found.outputs):
            return found.outputs[int(index or 0)]
        close = difflib.get_close_matches(base, self._nodes, 3)
        raise GraphError(
            f"graph {self._graph.name!r} has no tensor {name!r}",
            hint=f"did you mean {' or '.join(map(repr, close))}?"
            if close
            else "print(graph) lists its nodes",
        )


def listed_keys(feeds: Any) -> list[Any]:
    """Feed keys as a list, from one or several.

    Raises:
        FeedError: if they are no list of tensors or names.
    """
    if isinstance(feeds, (Tensor, str)):
        return [feeds]
    if not isinstance(feeds, Iterable):
        raise FeedError(f"the feeds are {feeds!r:.80}", hint="pass a list of tensors or names")
    return list(feeds)


def parse_feed_keys(keys: Iterable[Any], graph: Graph, names: NameIndex) -> tuple[dict[Tensor, Any], Any]:
    """The key of each fed tensor, and the key under which the training flag is fed (None if it is not).

    Raises:
        FeedError: for a key that is no tensor of the graph, or a tensor that is fed twice.
    """
    fed: dict[Tensor, Any] = {}
    flag = None
    for key in keys:
        tensor = _feed_tensor(key, graph, names)
        if tensor is None:
            if flag is not None:
                raise FeedError("the training flag is fed twice", hint="feed gf.training once")
            flag = key
            continue
        if tensor in fed:
            raise FeedError(
                f"{tensor.name} is fed twice, as {_shown(fed[tensor])} and as {_shown(key)}",
                hint="feed it once, by tensor or by name",
                operands=describe([tensor]),
            )
        fed[tensor] = key
    return fed, flag


def _shown(key: Any) -> str:
    return repr(key) if isinstance(key, str) else "a tensor"


def _feed_tensor(key: Any, graph: Graph, names: NameIndex) -> Tensor | None:
    """The tensor a feed key means; None for the training flag, of whichever graph."""
    if key is declare.training or (isinstance(key, Tensor) and key.node.op.name == "training_flag"):
        return None
    if isinstance(key, str):
        try:
            tensor = names.find(key)
        except GraphError as error:
            if key in FLAG_NAMES:
                return None
            fed = ", ".join(map(repr, graph.placeholders)) or "no placeholder"
            raise FeedError(error.message, hint=f"{error.hint} (the graph's placeholders: {fed})") from None
        return None if tensor.node.op.name == "training_flag" else tensor
    if not isinstance(key, Tensor):
        raise FeedError(
            f"{key!r} of type {type(key).__name__} cannot be fed",
            hint="feed_dict maps tensors or names to arrays",
        )
    if key.graph is not graph:
        raise FeedError(
            f"the feed {key.name} belongs to the graph {key.graph.name!r} (number {key.graph.uid}), but the "
            f"session runs {graph.name!r} (number {graph.uid})",
            hint="feed tensors of the session's own graph, or make a session for the other one",
            operands=describe([key]),
        )
    return key


def training_value(value: Any) -> bool:
    """The fed training flag as a bool.

    Raises:
        FeedError: if it is no boolean scalar.
    """
    is_array = getattr(value, "dtype", None) == np.bool_ and getattr(value, "ndim", None) == 0
    if not isinstance(value, bool) and not is_array:
        raise FeedError(f"the training flag is fed {value!r:.80}", hint="feed True or False")
    return bool(value)
