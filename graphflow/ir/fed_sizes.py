"""Fed sizes: symbols that stand for what an element of a placeholder is fed.

The symbol `shape[1]` is the value that element 1 of the placeholder `shape` has in a run, and `n[]`
that of the scalar placeholder `n`. Such a name says by itself what it means, wherever the symbol goes:
into copies of the graph, programs, and files. No size of a user's has one, as they are identifiers.
Unlike other sizes these may be negative, so nothing is concluded from their being sizes; where one
becomes the size of an axis, the session checks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from graphflow.ir import dims
from graphflow.ir.atoms import Symbol
from graphflow.ir.dims import Dim
from graphflow.ir.node import Tensor

MOST_ELEMENTS = 16
"""Placeholders of more elements are no sizes."""

_ELEMENT = re.compile(r"(.+)\[([0-9]*)\]\Z", re.DOTALL)


def can_be_sizes(tensor: Tensor) -> bool:
    """Whether the elements of a tensor may become symbols: few integers, fed from outside."""
    kind = tensor.type
    if tensor.node.op.name != "placeholder" or not kind.is_static or not kind.dtype.is_integer:
        return False
    return dims.product(kind.shape) in range(MOST_ELEMENTS + 1)


def element_symbols(tensor: Tensor) -> np.ndarray:
    """The symbols of the elements of a placeholder, as an object array of its shape.

    >>> import graphflow as gf
    >>> element_symbols(gf.placeholder("shape", (2,), gf.int64)).tolist()
    ['shape[0]', 'shape[1]']
    """
    name, shape = tensor.node.name, tensor.type.shape
    low = int(np.iinfo(tensor.dtype.numpy).min)
    if not shape:
        return np.array(fed_symbol(f"{name}[]", low), dtype=object)
    symbols = np.empty(int(dims.product(shape)), dtype=object)
    symbols[:] = [fed_symbol(f"{name}[{place}]", low) for place in range(len(symbols))]
    return symbols.reshape([int(size) for size in shape])


def fed_symbol(name: str, low: int) -> Dim:
    """The symbol of that name, for an element of a dtype whose least value is `low`."""
    return Dim._of((((Symbol(name, low, None),), 1),))


def fed_element(name: str) -> tuple[str, int] | None:
    """The placeholder and the place of the element that a symbol of this name stands for, if it is fed.

    >>> fed_element("shape[1]"), fed_element("n[]"), fed_element("batch")
    (('shape', 1), ('n', 0), None)
    """
    found = _ELEMENT.match(name)
    return (found[1], int(found[2] or 0)) if found else None


def unfed(symbols: Mapping[str, Dim], placeholders: Mapping[str, Tensor]) -> list[str]:
    """The names of those symbols that look like fed elements, but are none of these placeholders."""
    wrong = []
    for name, symbol in symbols.items():
        element = fed_element(name)
        if element is None:
            continue
        tensor = placeholders.get(element[0])
        fits = tensor is not None and can_be_sizes(tensor)
        known = element_symbols(tensor).flat if tensor is not None and fits else ()
        if symbol.limits not in [one.limits for one in known]:
            wrong.append(name)
    return wrong


def placeholders_in(names: Iterable[str]) -> list[str]:
    """The names of the placeholders whose elements are among symbols of these names, in order."""
    elements = [fed_element(name) for name in names]
    return sorted({element[0] for element in elements if element is not None})
