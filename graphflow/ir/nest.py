"""Nests: tuples, named tuples, lists and dicts of tensors, taken apart and put together again.

Functions that the user hands to control flow take and return nests; nodes take and give flat lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from graphflow.errors import GraphError

DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Nest:
    """The structure of a nest without its leaves.

    Attributes:
        key: equal for nests of the same structure.
        paths: how each leaf is reached, such as "[0]['weight']"; "" for a nest that is one leaf.
        pack: the leaves -> a nest of this structure.
    """

    key: Any
    paths: tuple[str, ...]
    pack: Callable[[Iterator[Any]], Any]

    def build(self, leaves: Sequence[Any]) -> Any:
        """The nest with these leaves."""
        return self.pack(iter(leaves))


def flatten(value: Any, what: str = "the value") -> tuple[list[Any], Nest]:
    """The leaves of a nest, in order, and its structure; None is a nest without leaves.

    Raises:
        GraphError: if it is nested more than 64 deep.

    >>> leaves, nest = flatten({"a": 1, "b": (2, 3)})
    >>> leaves, nest.build([4, 5, 6])
    ([1, 2, 3], {'a': 4, 'b': (5, 6)})
    """
    leaves: list[Any] = []
    paths: list[str] = []
    key, pack = _parse(value, "", leaves, paths, what, 0)
    return leaves, Nest(key, tuple(paths), pack)


def _parse(
    value: Any, path: str, leaves: list[Any], paths: list[str], what: str, depth: int
) -> tuple[Any, Callable[[Iterator[Any]], Any]]:
    if depth > DEEPEST:
        raise GraphError(f"{what} is nested more than {DEEPEST} deep", hint="pass a flatter nest")
    if value is None:
        return None, lambda leaves: None
    if isinstance(value, dict):
        named = [(f"{path}[{name!r}]", item) for name, item in value.items()]
        key: Any = (type(value), tuple(value))
    elif isinstance(value, (tuple, list)):
        fields = getattr(value, "_fields", range(len(value)))
        named = [
            (f"{path}.{name}" if isinstance(name, str) else f"{path}[{name}]", item)
            for name, item in zip(fields, value)
        ]
        key = type(value)
    else:
        leaves.append(value)
        paths.append(path)
        return "leaf", next
    inner = [_parse(item, place, leaves, paths, what, depth + 1) for place, item in named]
    packs = [pack for _, pack in inner]
    return (key, *[part for part, _ in inner]), _packer(value, packs)


def _packer(value: Any, packs: list[Callable[[Iterator[Any]], Any]]) -> Callable[[Iterator[Any]], Any]:
    kind = type(value)
    if isinstance(value, dict):
        names = tuple(value)
        return lambda leaves: dict(zip(names, [pack(leaves) for pack in packs]))
    if hasattr(value, "_fields"):
        return lambda leaves: kind(*[pack(leaves) for pack in packs])
    return lambda leaves: kind([pack(leaves) for pack in packs])
