"""The axes of arguments and results: from what a user writes to one axis, or none, a leaf."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir.nest import flatten

Axis = int | None


def checked_axes(spec: Any, what: str) -> Any:
    """The specification, once all its leaves are known to be axes or None."""
    for leaf in flatten(spec, what)[0]:
        if isinstance(leaf, (bool, np.bool_)) or not isinstance(leaf, (int, np.integer)):
            raise AttributeValueError(
                f"{what} of vmap has {leaf!r:.80}, which is no axis",
                hint="use an int, None for what has no batch axis, or a nest of these",
            )
    return spec


def axes_of(spec: Any, value: Any, what: str) -> list[Axis]:
    """An axis, or None, for each leaf of a nest; one in the place of a part holds for all its leaves.

    >>> axes_of((0, None), (1, {"a": 2, "b": 3}), "in_axes")
    [0, None, None]
    """
    found: list[Axis] = []
    pending: list[tuple[Any, Any, str]] = [(spec, value, "")]
    while pending:
        axis, part, path = pending.pop()
        if axis is None or isinstance(axis, (int, np.integer)):
            found += [None if axis is None else int(axis)] * len(flatten(part, what)[0])
        else:
            pending += reversed(_paired(axis, part, path, what))
    return found


def _paired(spec: Any, value: Any, path: str, what: str) -> list[tuple[Any, Any, str]]:
    """The parts of a specification with the parts of the nest that they are for."""
    if isinstance(spec, dict) and isinstance(value, dict) and spec.keys() == value.keys():
        return [(spec[name], value[name], f"{path}[{name!r}]") for name in value]
    listed = isinstance(spec, (tuple, list)) and isinstance(value, (tuple, list))
    if listed and len(spec) == len(value):
        return [(axis, part, f"{path}[{number}]") for number, (axis, part) in enumerate(zip(spec, value))]
    raise AttributeValueError(
        f"{what} of vmap has {spec!r:.60}{f' at {path}' if path else ''}, where there is {_kind(value)}",
        hint="use an axis for all of it, or the structure that it has",
    )


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"a dict of {', '.join(map(repr, value)) or 'nothing'}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return "nothing" if value is None else "a tensor"
