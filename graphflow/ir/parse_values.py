"""The text form's values, read: types, arrays, records and the rest that attributes can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphflow.errors import GraphFlowError
from graphflow.ir.attrs import read_only
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import ALL_DTYPES, DType, as_dtype
from graphflow.ir.parse_sizes import Scope, read_size
from graphflow.ir.records import read_record
from graphflow.ir.tokens import Line
from graphflow.ir.types import Shape, TensorType

DEEPEST = 64

_DTYPES = {dtype.name: dtype for dtype in ALL_DTYPES}
_CONSTANTS: dict[str, Any] = {
    "None": None, "true": True, "false": False, "nan": float("nan"), "inf": float("inf"),
}  # fmt: skip
_ENDS = (",", ")", "]", "")


# Types and arrays


def read_shape(line: Line, scope: Scope) -> Shape:
    """`[2, batch]`"""
    line.expect("[")
    sizes: list[Size] = []
    while not line.take("]"):
        if sizes:
            line.expect(",")
        sizes.append(read_size(line, scope))
        if isinstance(sizes[-1], int) and sizes[-1] < 0:
            line.fail(f"a size cannot be {sizes[-1]}")
        if len(sizes) > DEEPEST:
            line.fail(f"a shape has at most {DEEPEST} axes")
    return tuple(sizes)


def read_type(line: Line, scope: Scope) -> TensorType:
    """`float32[2, batch]`"""
    dtype = _DTYPES.get(line.text) if line.kind == "word" else None
    if dtype is None:
        line.fail(f"expected an element type but found {line.found()}", "it is one of " + ", ".join(_DTYPES))
    line.advance()
    return TensorType(dtype, read_shape(line, scope))


def read_types(line: Line, scope: Scope) -> tuple[TensorType, ...]:
    """One type, or a list of types in parentheses."""
    if not line.take("("):
        return (read_type(line, scope),)
    found: list[TensorType] = []
    while not line.take(")"):
        if found:
            line.expect(",")
        found.append(read_type(line, scope))
    return tuple(found)


def read_array(line: Line, scope: Scope) -> np.ndarray:
    """`float32[2]{0x1p+0, nan}`, or `float32[100]@weights["name"]`."""
    kind = read_type(line, scope)
    if not kind.is_static:
        line.fail(f"an array cannot have the symbolic shape {list(kind.shape)}")
    if line.take("@"):
        line.expect("weights")
        line.expect("[")
        array = _apart(line, kind, scope.arrays)
        line.expect("]")
        return array
    line.expect("{")
    items: list[Any] = []
    while not line.take("}"):
        if items:
            line.expect(",")
        items.append(_element(line, kind.dtype))
    if len(items) != kind.size:
        line.fail(
            f"an array of shape {list(kind.shape)} has {kind.size} elements, but there are {len(items)}"
        )
    return _pack(line, items, kind)


def _apart(line: Line, kind: TensorType, arrays: Mapping[str, Any] | None) -> np.ndarray:
    name = line.unquote(line.text) if line.kind == "string" else ""
    if arrays is None or name not in arrays:
        line.fail(
            f"the array {name!r} is not in the text and was not given",
            "pass parse_graph the arrays that print_graph filled in, or load the saved model",
        )
    array = np.asarray(arrays[name])
    found = TensorType(as_dtype(array.dtype), array.shape)
    if found is not kind:
        line.fail(f"the array {name!r} should be {kind} but is {found}")
    line.advance()
    return read_only(array)


def _element(line: Line, dtype: DType) -> Any:
    if dtype.kind == "bool":
        if line.text not in ("true", "false"):
            line.fail(f"expected true or false but found {line.found()}")
        return line.advance() == "true"
    if dtype.kind == "string":
        return line.take_string("a string")
    if dtype.kind.endswith("int"):
        return -line.take_int("an integer") if line.take("-") else line.take_int("an integer")
    if dtype.kind.endswith("float"):
        return _float(line)
    line.expect("(")
    real = _float(line)
    line.expect(",")
    imaginary = _float(line)
    line.expect(")")
    return complex(real, imaginary)


def _float(line: Line) -> float:
    """A float, infinity or nan; integers are accepted too."""
    sign = -1.0 if line.take("-") else 1.0
    if line.kind == "word" and line.text in ("nan", "inf"):
        return sign * float(line.advance())
    if line.kind not in ("float", "int"):
        line.fail(f"expected a number but found {line.found()}")
    try:
        value = float.fromhex(line.text) if "x" in line.text else float(line.text)
    except (OverflowError, ValueError) as error:
        line.fail(f"{line.text[:40]} is not a float: {error}")
    line.advance()
    return sign * value


def _pack(line: Line, items: list[Any], kind: TensorType) -> np.ndarray:
    """The array of the elements, which have to fit exactly."""
    try:
        with np.errstate(all="ignore"):
            array = np.array(items, dtype=kind.dtype.numpy).reshape(kind.shape)
            exact = True
            if kind.dtype.is_differentiable or kind.dtype.is_narrow:
                wide = np.array(items, dtype=np.complex128).reshape(kind.shape)
                exact = np.array_equal(array.astype(np.complex128), wide, equal_nan=True)
    except (ValueError, OverflowError, TypeError, MemoryError) as error:
        line.fail(f"the elements do not make {kind}: {error}")
    if not exact:
        line.fail(
            f"an element is not a value of {kind.dtype}", "write the exact value that the type can hold"
        )
    return read_only(array)


# All values


def read_value(line: Line, scope: Scope, depth: int = 0) -> Any:
    """Any attribute value."""
    if depth > DEEPEST:
        line.fail(f"values are nested more than {DEEPEST} deep")
    kind, text = line.kind, line.text
    if kind == "sign" and text == "[":
        return _read_tuple(line, scope, depth)
    if kind == "string":
        return line.take_string("a string")
    if kind == "float":
        return _float(line)
    if kind == "sign" and text == "-":
        return _read_negative(line, scope)
    if kind == "word":
        if text in _CONSTANTS:
            line.advance()
            return _CONSTANTS[text]
        if text in _DTYPES:
            if line.ahead() == "[":
                return read_array(line, scope)
            line.advance()
            return _DTYPES[text]
        if line.ahead() == ".":
            return _read_record(line, scope, depth)
        if text == "complex" and line.ahead() == "(":
            line.advance()
            return _element(line, as_dtype("complex128"))
        if text == "graph" and scope.read_graph is not None and line.ahead().startswith('"'):
            return scope.read_graph(line)
    if kind == "int" and line.ahead() in _ENDS:
        return line.take_int("an integer")
    return read_size(line, scope)


def _read_negative(line: Line, scope: Scope) -> Any:
    after = line.ahead()
    if after in ("inf", "nan") or (after[:1].isdigit() and not after.isdigit()):
        return _float(line)
    if after.isdigit() and line.ahead(2) in _ENDS:
        line.advance()
        return -line.take_int("an integer")
    return read_size(line, scope)


def _read_tuple(line: Line, scope: Scope, depth: int) -> tuple:
    line.expect("[")
    items: list[Any] = []
    while not line.take("]"):
        if items:
            line.expect(",")
        items.append(read_value(line, scope, depth + 1))
    return tuple(items)


def _read_record(line: Line, scope: Scope, depth: int) -> Any:
    prefix = line.take_word("the kind of a record")
    line.expect(".")
    name = line.take_word("the name of a record")
    line.expect("(")
    fields = read_fields(line, scope, depth + 1)
    try:
        return read_record(prefix, name, fields)
    except GraphFlowError as error:
        line.fail(error.message, error.hint)


def read_fields(line: Line, scope: Scope, depth: int = 0) -> dict[str, Any]:
    """`name=value, ...)`, the closing parenthesis included."""
    fields: dict[str, Any] = {}
    while not line.take(")"):
        if fields:
            line.expect(",")
        name = line.take_word("the name of an attribute")
        if name in fields:
            line.fail(f"{name!r} is given twice")
        line.expect("=")
        fields[name] = read_value(line, scope, depth)
    return fields
