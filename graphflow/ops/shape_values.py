"""Shape values: what small integer tensors hold, as far as constants and symbolic sizes tell while building.

    shape_value(gf.concat([gf.shape_of(x)[:1], [-1]]))     is     [batch, -1]

There is one mechanism: an operator's own NumPy reference. Where all inputs are numbers it computes the
value; where some are symbolic, operators that only move elements (the trait "injective") run on object
arrays of sizes, and the few that compute with sizes have an entry in `symbolic_values.RULES`. What is
not understood, or cannot be decided, has no value: None, never a guess. An integer placeholder of few
elements has fed sizes (`ir.fed_sizes`) as its value.

`Tensor.known_value` is asked wherever an attribute or a size is expected and a tensor is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from graphflow.errors import UNFORESEEN, GraphFlowError, ShapeError
from graphflow.ir import dims, provenance
from graphflow.ir.dims import Dim
from graphflow.ir.fed_sizes import MOST_ELEMENTS, can_be_sizes, element_symbols
from graphflow.ir.graph import describe
from graphflow.ir.interpret import run_node
from graphflow.ir.node import Node, Tensor
from graphflow.ops.symbolic_values import MOVING, RULES, Undecided

LARGEST = 64
"""The most elements of a shape value."""

_known: WeakKeyDictionary[Tensor, np.ndarray | None] = WeakKeyDictionary()


def shape_value(tensor: Tensor) -> np.ndarray | None:
    """The value of a small tensor, if it follows from constants and sizes.

    Returns:
        an array of the tensor's dtype where all is known, an object array of ints and Dims where some
        of it is symbolic, else None.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 3, 4))
    >>> shape_value(gf.shape_of(x) * 2), shape_value(gf.shape_of(x)[1:]), shape_value(x)
    (array([2*batch, 6, 8], dtype=object), array([3, 4]), None)
    """
    pending = [tensor]
    while pending:
        current = pending[-1]
        missing = [] if current in _known else [read for read in _reads(current) if read not in _known]
        if missing:
            pending += missing
            continue
        pending.pop()
        if current not in _known:
            _known[current] = _value(current)
    return _known[tensor]


def known_value(tensor: Tensor) -> Any:
    """The value of a tensor that is given where a size or an attribute is expected.

    Returns:
        an int or Dim (a float or bool, for such a tensor), or nested tuples of them.

    Raises:
        ShapeError: if it is not known while building, with the tensor that makes it unknown.
    """
    value = shape_value(tensor)
    if value is None or (value.dtype == object and not all(_is_size(entry) for entry in value.flat)):
        raise _unknown(tensor)
    return _nested(value.tolist())


def _is_size(entry: Any) -> bool:
    return isinstance(entry, (int, Dim))


def _nested(value: Any) -> Any:
    return tuple(map(_nested, value)) if isinstance(value, list) else value


# Walking up


def _is_small(tensor: Tensor) -> bool:
    """Whether a tensor may have a shape value."""
    kind = tensor.type
    if not kind.is_static or kind.dtype.kind not in ("bool", "int", "uint", "float"):
        return False
    return tensor.node.op.name == "constant" or dims.product(kind.shape) in range(LARGEST + 1)


def _captured(tensor: Tensor) -> Tensor | None:
    """The tensor around a body that is being built for which a parameter of the body stands."""
    outer: Tensor | None = getattr(tensor.node.graph, "outside", {}).get(tensor)
    return outer


def _reads(tensor: Tensor) -> Sequence[Tensor]:
    """The tensors whose values that of `tensor` is computed from; none where it has no value anyway."""
    if not _is_small(tensor) or tensor.node.op.name == "shape_of":
        return ()
    if tensor.node.op.name == "placeholder":
        outer = _captured(tensor)
        return () if outer is None else (outer,)
    inputs = tensor.node.inputs
    return inputs if all(map(_is_small, inputs)) and _is_computable(tensor.node) else ()


def _is_computable(node: Node) -> bool:
    op = node.op
    if op.family == "random" or op.traits & {"nullary_input", "effect"}:
        return False
    return op.name == "dimension" or not any(map(_is_open, node.attrs.values()))


def _is_open(value: Any) -> bool:
    """Whether an attribute is symbolic, or a whole body."""
    if isinstance(value, tuple):
        return any(map(_is_open, value))
    return isinstance(value, Dim) or hasattr(value, "attribute_key")


# One operator


def _value(tensor: Tensor) -> np.ndarray | None:
    """The value of a tensor from those of the tensors it reads, which are known by now."""
    node = tensor.node
    name = node.op.name
    if not _is_small(tensor):
        return None
    if name == "constant":
        constant: np.ndarray = node.attrs["value"]
        return constant
    if name == "shape_of":
        return _settled(_objects(node.inputs[0].shape), tensor)
    if name == "dimension":
        return _settled(np.array(node.attrs["size"], dtype=object), tensor)
    if name == "placeholder":
        outer = _captured(tensor)
        if outer is not None:
            return _known[outer]
        is_parameter = hasattr(node.graph, "captures")
        return element_symbols(tensor) if can_be_sizes(tensor) and not is_parameter else None
    inputs = node.inputs
    if not _is_computable(node) or not all(map(_is_small, inputs)):
        return None
    return _computed(tensor, [_known[read] for read in inputs])


def _computed(tensor: Tensor, values: list[np.ndarray | None]) -> np.ndarray | None:
    node = tensor.node
    arrays = [value for value in values if value is not None]
    if len(arrays) != len(values):
        return None
    try:
        if not any(array.dtype == object for array in arrays):
            made = run_node(node, arrays)[tensor.index]
        else:
            made = _symbolic(node, arrays)[tensor.index]
    except (Undecided, GraphFlowError, *UNFORESEEN):
        return None  # the run will tell what is wrong; here it only means that nothing is known
    return _settled(made, tensor) if made.shape == tensor.type.shape else None


def _symbolic(node: Node, arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """The outputs of a node of which some inputs hold symbolic sizes."""
    rule = RULES.get(node.op.name)
    if rule is not None:
        return (np.asarray(rule(node, *arrays), dtype=object),)
    if node.op.name not in MOVING and "injective" not in node.op.traits:
        raise Undecided
    moves_one = MOVING.get(node.op.name, True)
    if moves_one and any(array.dtype == object for array in arrays[1:]):
        raise Undecided  # where to read is itself symbolic
    made = node.op.reference(*arrays, **node.attrs)
    return [np.asarray(array, dtype=object) for array in (made if isinstance(made, tuple) else (made,))]


def _objects(entries: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(entries), dtype=object)
    array[:] = entries
    return array


def _settled(array: np.ndarray, tensor: Tensor) -> np.ndarray | None:
    """An object array of numbers as an array of the tensor's dtype; sizes only in dtypes that hold them."""
    if array.dtype != object:
        return array
    dtype = tensor.dtype
    if all(isinstance(entry, (bool, int, float, np.generic)) for entry in array.flat):
        try:
            exact = array.astype(dtype.numpy)
        except OverflowError:
            return None
        return exact if all(a == b for a, b in zip(exact.flat, array.flat)) else None
    return array if dtype.kind in ("int", "float") and dtype.itemsize >= 4 else None


# What to say where nothing is known


def _unknown(tensor: Tensor) -> GraphFlowError:
    """The error of needing the value of a tensor, with the first tensor above it that has none."""
    culprit = tensor
    while True:
        above = next((read for read in _reads(culprit) if shape_value(read) is None), None)
        if above is None:
            break
        culprit = above
    node = culprit.node
    through = "" if culprit is tensor else f", as it depends on {culprit.name} ({node.op.name})"
    return ShapeError(
        f"the value of {tensor.name} decides a shape here, but is not known while building{through}",
        hint=f"make it of constants, gf.shape_of and fed placeholders of up to {MOST_ELEMENTS} integers; or "
        "use gf.take and gf.where, which read at computed places without changing a shape",
        operands=describe([tensor] if culprit is tensor else [tensor, culprit]),
        origin=provenance.capture(),
    )
