"""Python operators of tensors: x + y, -x, x @ w, x[1:], x < y, the transposes x.T and x.mT, and known values.

`==` and `!=` are left alone: they ask whether two handles are the same tensor, so that tensors can be
keys of dictionaries; gf.equal and gf.not_equal compare elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphflow.errors import GraphError, ShapeError
from graphflow.ir import provenance
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim
from graphflow.ir.graph import describe, open_body
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import OpDef, registry
from graphflow.ops.inference import show
from graphflow.ops.shape_values import known_value
from graphflow.ops.subscript import getitem

BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}
COMPARISONS = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
UNARY = {"neg": "negative", "abs": "abs", "invert": "bitwise_invert"}

_OF_NUMPY = {
    "true_divide": "divide",
    "power": "pow",
    "absolute": "abs",
    "fabs": "abs",
    "arctan2": "atan2",
    "rint": "round",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
}
"""What NumPy's functions are called here, where the name is another one."""

_REDUCED = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
}
"""What their reductions are called: np.sum reduces by np.add."""

_AFTER_AN_ARRAY = {
    **{op_name: f"__r{name}__" for name, op_name in BINARY.items()},
    **{"less": "__gt__", "less_equal": "__ge__", "greater": "__lt__", "greater_equal": "__le__"},
}
"""The method of a tensor that answers for an operator with an array on its left."""

_OPERANDS = (Tensor, Dim, bool, int, float, complex, np.ndarray, np.generic, list, tuple)


def _builder(tensor: Tensor) -> Builder:
    """A builder for the graph of the tensor, or for the body that is being built."""
    body = open_body()
    return Builder(tensor.node.graph if body is None else body)


def _forward(op: OpDef) -> Callable[[Tensor, Any], Any]:
    def operator(self: Tensor, other: Any) -> Any:
        if not isinstance(other, _OPERANDS):
            return NotImplemented
        return _builder(self).apply(op, (self, other))

    return operator


def _reflected(op: OpDef) -> Callable[[Tensor, Any], Any]:
    def operator(self: Tensor, other: Any) -> Any:
        if not isinstance(other, _OPERANDS):
            return NotImplemented
        return _builder(self).apply(op, (other, self))

    return operator


def _unary(op: OpDef) -> Callable[[Tensor], Any]:
    def operator(self: Tensor) -> Any:
        return _builder(self).apply(op, (self,))

    return operator


def _positive(self: Tensor) -> Tensor:
    """+x is x."""
    return self


def _transpose(self: Tensor) -> Tensor:
    """The matrix transpose; a ShapeError unless the tensor is a matrix. Array API `array.T`."""
    if self.ndim != 2:
        raise ShapeError(
            f"T transposes a matrix, but {self.name} has shape {show(self.shape)}",
            hint="gf.matrix_transpose swaps the last two axes, gf.permute_dims any",
        ).located(origin=provenance.capture())
    return _builder(self).permute_dims(self, axes=(1, 0))


def _matrix_transpose(self: Tensor) -> Tensor:
    """The last two axes exchanged; a ShapeError for vectors and scalars. Array API `array.mT`."""
    if self.ndim < 2:
        raise ShapeError(
            f"mT transposes matrices, but {self.name} has shape {show(self.shape)}",
            hint="add axes with gf.expand_dims",
        ).located(origin=provenance.capture())
    axes = (*range(self.ndim - 2), self.ndim - 1, self.ndim - 2)
    return _builder(self).permute_dims(self, axes=axes)


def _length(self: Tensor) -> int:
    """The static size of the first axis."""
    return _first_size(self, "len()")


def _iterate(self: Tensor) -> Iterator[Tensor]:
    """The slices along the first axis, whose size must be static."""
    count = _first_size(self, "iteration")
    return iter([getitem(self, index) for index in range(count)])


def _first_size(tensor: Tensor, what: str) -> int:
    if not tensor.ndim:
        raise ShapeError(
            f"{what} needs a first axis, but {tensor.name} is a scalar", hint="use the tensor itself"
        ).located(origin=provenance.capture())
    size = tensor.shape[0]
    if not isinstance(size, int):
        raise ShapeError(
            f"{what} over axis 0 of {tensor.name} needs a fixed size, but it is {size}",
            hint="index with fixed numbers, x[0], or give the axis a fixed size",
        ).located(origin=provenance.capture())
    return size


def attach() -> None:
    """Give Tensor its operators; calling it again changes nothing."""
    for name, op_name in {**BINARY, **COMPARISONS}.items():
        _set(f"__{name}__", _forward(registry[op_name]), op_name)
    for name, op_name in BINARY.items():
        _set(f"__r{name}__", _reflected(registry[op_name]), op_name)
    for name, op_name in UNARY.items():
        _set(f"__{name}__", _unary(registry[op_name]), op_name)
    attributes = {
        "__pos__": _positive,
        "__getitem__": getitem,
        "__len__": _length,
        "__iter__": _iterate,
        "__getattr__": _no_method,
        "__contains__": _contains,
        "known_value": known_value,
        "T": property(_transpose),
        "mT": property(_matrix_transpose),
        "__setitem__": _no_assignment,
        "__delitem__": _no_assignment,
        **{f"__{kind}__": _no_number(kind) for kind in ("int", "float", "complex")},
        "__array_ufunc__": _numpy_function,
    }
    for name, value in attributes.items():
        setattr(Tensor, name, value)


def _contains(self: Tensor, value: Any) -> bool:
    raise ShapeError(
        f"`in` cannot look into {self.name}, which has no values while the graph is being built",
        hint="gf.any(gf.equal(x, value)) asks when the graph runs",
    ).located(origin=provenance.capture())


def _numpy_function(self: Tensor, function: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
    """What `array + tensor` gives, as NumPy leaves it to the tensor; other functions of NumPy are refused."""
    name = _OF_NUMPY.get(function.__name__, function.__name__)
    if method == "__call__" and len(operands) == 2 and not options and not isinstance(operands[0], Tensor):
        if name in ("equal", "not_equal"):
            return name == "not_equal"  # as of any two things that are not the same
        operator = _AFTER_AN_ARRAY.get(name)
        if operator is not None:
            return getattr(operands[1], operator)(operands[0])
    tensor = next((each for each in operands if isinstance(each, Tensor)), self)
    spelled = f"np.{function.__name__}" + ("" if method == "__call__" else f".{method}")
    meant = {"__call__": name, "reduce": _REDUCED.get(name, "")}.get(method, "")
    way = f"use gf.{meant}" if meant in registry else "use GraphFlow's functions"
    raise GraphError(
        f"{spelled} computes with arrays, and {tensor.name} has no value while the graph is being built",
        hint=f"{way} instead of NumPy's, or fetch it with a Session",
        operands=describe([tensor]),
    ).located(origin=provenance.capture())


def _no_method(self: Tensor, name: str) -> Any:
    told = f"'Tensor' object has no attribute {name!r}"
    if not name.startswith("_"):  # Python and other libraries ask for those, and need no advice
        told += "; what is computed of a tensor is a function, as in gf.sum(x)"
    raise AttributeError(told, name=name, obj=self)


def _no_assignment(self: Tensor, *_: Any) -> None:
    raise GraphError(
        f"{self.name} cannot be changed: tensors never change",
        hint="gf.where, gf.index_add and gf.put_along_axis give a changed copy; gf.assign changes a variable",
    ).located(origin=provenance.capture())


def _no_number(kind: str) -> Callable[[Tensor], Any]:
    def convert(self: Tensor) -> Any:
        raise self._valueless(f"{kind} value", "gf.astype converts; a Session's run gives the number")

    return convert


def _set(name: str, method: Callable[..., Any], op_name: str) -> None:
    method.__name__ = name
    method.__qualname__ = f"Tensor.{name}"
    method.__doc__ = f"gf.{op_name}, by Python operator."
    setattr(Tensor, name, method)
