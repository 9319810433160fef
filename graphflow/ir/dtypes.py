"""Element types and their promotion: NumPy 2's lattice, with bfloat16 added and Python scalars weak.

The lattice is written down as its covering edges in `_COVERS`; promoting two types is finding the
first type, in the order of `DTYPES`, that both can reach. The dtypes in `STORAGE` (floats and integers
of 8 bits and less, and strings) stand outside of it: tensors of them are moved, compared and converted,
but nothing is computed with them. Two rules complete the lattice:

* a Python scalar is *weak*: it takes the other operand's dtype when its kind is no higher, and the
  default dtype of its own kind (bool, int32, float32, complex64) otherwise;
* functions of real numbers (exp, divide, mean) lift integers to the float that NumPy picks.

Source: NumPy enhancement proposal 50; Python array API standard 2024.12, "Type promotion rules".
"""

from __future__ import annotations

import builtins
from functools import cache
from typing import Any

import numpy as np

from graphflow.errors import DTypeError


class DType:
    """An element type: its name, kind and size in bytes.

    Kinds are "bool", "uint", "int", "float" and "complex", and for the types that are only stored
    "narrow_uint", "narrow_int", "narrow_float" and "string". An element of a narrow type takes a byte.

    >>> float32.kind, float32.itemsize, float32.numpy
    ('float', 4, dtype('float32'))
    """

    __slots__ = ("name", "kind", "itemsize", "_numpy")

    def __init__(self, name: str, kind: str, itemsize: int) -> None:
        self.name = name
        self.kind = kind
        self.itemsize = itemsize
        self._numpy: np.dtype | None = None

    @property
    def numpy(self) -> np.dtype:
        """The NumPy dtype; those that NumPy lacks come from ml_dtypes, which is imported on first use."""
        if self._numpy is None:
            self._numpy = _numpy_dtype(self)
        return self._numpy

    @property
    def is_floating(self) -> builtins.bool:
        """True for real floating-point types."""
        return self.kind == "float"

    @property
    def is_integer(self) -> builtins.bool:
        """True for signed and unsigned integers; bool is no integer."""
        return self.kind in ("int", "uint")

    @property
    def is_storage(self) -> builtins.bool:
        """True for types that nothing computes with: narrow floats and integers, and strings."""
        return self in _STORAGE

    @property
    def is_narrow(self) -> builtins.bool:
        """True for floats and integers of 8 bits and less that NumPy has no type for."""
        return self.kind.startswith("narrow")

    @property
    def bits(self) -> int:
        """The bits of an element that carry its value; 4 for int4, which takes a byte in memory."""
        return _BITS.get(self.name, 8 * self.itemsize)

    @property
    def is_differentiable(self) -> builtins.bool:
        """True where gradients exist: real and complex floating-point types."""
        return self.kind in ("float", "complex")

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple:
        return as_dtype, (self.name,)


def _numpy_dtype(dtype: DType) -> np.dtype:
    if dtype.kind == "string":
        return np.dtypes.StringDType()
    return _ml_dtype(dtype.name) if dtype.is_narrow or dtype.name == "bfloat16" else np.dtype(dtype.name)


def _ml_dtype(name: str) -> np.dtype:
    try:
        import ml_dtypes
    except ImportError:
        raise DTypeError(
            f"{name} arrays need the package ml_dtypes, which is not installed",
            hint="pip install ml_dtypes (it also comes with jax)",
        ) from None
    return np.dtype(getattr(ml_dtypes, name))


bool_ = DType("bool", "bool", 1)
uint8 = DType("uint8", "uint", 1)
int8 = DType("int8", "int", 1)
uint16 = DType("uint16", "uint", 2)
int16 = DType("int16", "int", 2)
uint32 = DType("uint32", "uint", 4)
int32 = DType("int32", "int", 4)
uint64 = DType("uint64", "uint", 8)
int64 = DType("int64", "int", 8)
float16 = DType("float16", "float", 2)
bfloat16 = DType("bfloat16", "float", 2)
float32 = DType("float32", "float", 4)
float64 = DType("float64", "float", 8)
complex64 = DType("complex64", "complex", 8)
complex128 = DType("complex128", "complex", 16)

float8_e4m3fn = DType("float8_e4m3fn", "narrow_float", 1)
float8_e4m3fnuz = DType("float8_e4m3fnuz", "narrow_float", 1)
float8_e5m2 = DType("float8_e5m2", "narrow_float", 1)
float8_e5m2fnuz = DType("float8_e5m2fnuz", "narrow_float", 1)
float8_e8m0fnu = DType("float8_e8m0fnu", "narrow_float", 1)
float6_e2m3fn = DType("float6_e2m3fn", "narrow_float", 1)
float6_e3m2fn = DType("float6_e3m2fn", "narrow_float", 1)
float4_e2m1fn = DType("float4_e2m1fn", "narrow_float", 1)
int4 = DType("int4", "narrow_int", 1)
uint4 = DType("uint4", "narrow_uint", 1)
int2 = DType("int2", "narrow_int", 1)
uint2 = DType("uint2", "narrow_uint", 1)
string = DType("string", "string", 16)

DTYPES = (
    bool_, uint8, int8, uint16, int16, uint32, int32, uint64, int64,
    float16, bfloat16, float32, float64, complex64, complex128,
)  # fmt: skip
"""The types of the lattice, with which operators compute."""

NARROW = (
    float8_e4m3fn, float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz, float8_e8m0fnu,
    float6_e2m3fn, float6_e3m2fn, float4_e2m1fn, int4, uint4, int2, uint2,
)  # fmt: skip
STORAGE = (*NARROW, string)
ALL_DTYPES = (*DTYPES, *STORAGE)

_STORAGE = frozenset(STORAGE)
_BITS = {
    "float6_e2m3fn": 6, "float6_e3m2fn": 6, "float4_e2m1fn": 4, "int4": 4, "uint4": 4, "int2": 2, "uint2": 2,
}  # fmt: skip
_BY_NAME = {dtype.name: dtype for dtype in ALL_DTYPES}

_COVERS = {
    bool_: (uint8, int8),
    uint8: (uint16, int16, float16, bfloat16),
    int8: (int16, float16, bfloat16),
    uint16: (uint32, int32, float32),
    int16: (int32, float32),
    uint32: (uint64, int64, float64),
    int32: (int64, float64),
    uint64: (float64,),
    int64: (float64,),
    float16: (float32,),
    bfloat16: (float32,),
    float32: (float64, complex64),
    float64: (complex128,),
    complex64: (complex128,),
    complex128: (),
}

_KIND_RANK = {
    "bool": 0, "uint": 1, "int": 1, "float": 2, "complex": 3,
    "narrow_uint": 1, "narrow_int": 1, "narrow_float": 2,
}  # fmt: skip
_SCALAR_DEFAULTS = {builtins.bool: bool_, int: int32, float: float32, complex: complex64}
_SCALAR_TYPES = {**_SCALAR_DEFAULTS, str: string}


def as_dtype(value: Any) -> DType:
    """The DType that a DType, a name, a NumPy dtype or a Python scalar type stands for.

    Raises:
        DTypeError: if GraphFlow has no such type.

    >>> as_dtype("int8"), as_dtype(np.float64), as_dtype(float)
    (int8, float64, float32)
    """
    if isinstance(value, DType):
        return value
    if isinstance(value, type) and value in _SCALAR_TYPES:
        return _SCALAR_TYPES[value]
    try:
        name = value if isinstance(value, str) and value in _BY_NAME else _name_of(np.dtype(value))
    except (TypeError, ValueError, SyntaxError, DeprecationWarning):
        # NumPy parses strings such as "," as lists of types, and warns of old names of types.
        name = str(value)
    found = _BY_NAME.get(name)
    if found is None:
        raise DTypeError(
            f"{name!r} is not an element type of GraphFlow",
            hint="use one of " + ", ".join(_BY_NAME),
        )
    return found


def _name_of(dtype: np.dtype) -> str:
    return "string" if dtype.kind == "T" else dtype.name


def is_known(dtype: np.dtype) -> builtins.bool:
    """Whether a NumPy dtype is an element type of GraphFlow."""
    return _name_of(dtype) in _BY_NAME


@cache
def _reachable(dtype: DType) -> frozenset[DType]:
    found, pending = {dtype}, [dtype]
    while pending:
        for cover in _COVERS[pending.pop()]:
            if cover not in found:
                found.add(cover)
                pending.append(cover)
    return frozenset(found)


def storage_hint(dtype: DType) -> str:
    """How to compute with what is stored as a type that nothing computes with."""
    if dtype.kind == "string":
        return "gf.astype(x, gf.float32) reads numbers; gf.strings has the operators on text"
    return "convert it first: gf.astype(x, gf.float32)"


@cache
def promote(left: DType, right: DType) -> DType:
    """The smallest type that holds both, as `numpy.result_type` gives it.

    Raises:
        DTypeError: if one of two different types is only stored; such types meet nothing but themselves.

    >>> promote(int32, float32), promote(uint8, int8), promote(float16, bfloat16)
    (float64, int16, float32)
    """
    left, right = as_dtype(left), as_dtype(right)
    if left.is_storage or right.is_storage:
        if left is right:
            return left
        stored = left if left.is_storage else right
        raise DTypeError(f"{left} and {right} have no common dtype", hint=storage_hint(stored))
    common = _reachable(as_dtype(left)) & _reachable(as_dtype(right))
    return next(dtype for dtype in DTYPES if dtype in common)


def scalar_dtype(value: Any, other: DType | None) -> DType:
    """The dtype a Python scalar takes beside an operand of dtype `other` (None: beside nothing).

    >>> scalar_dtype(2.0, float16), scalar_dtype(2, int8), scalar_dtype(2.0, int8)
    (float16, int8, float32)
    """
    if other is not None and other.kind == "string":
        raise DTypeError(f"{value!r} stands beside strings", hint="write it as a string: str(value)")
    default = _SCALAR_DEFAULTS.get(type(value))
    if default is None:  # a subclass, such as an IntEnum
        default = next(dtype for kind, dtype in _SCALAR_DEFAULTS.items() if isinstance(value, kind))
    if other is None or _KIND_RANK[default.kind] > _KIND_RANK[other.kind]:
        return default
    return other


@cache
def floating(dtype: DType) -> DType:
    """The floating type in which NumPy computes a real function of `dtype` (exp of int32 is float64).

    >>> floating(int32), floating(int8), floating(float32)
    (float64, float16, float32)
    """
    if dtype.is_differentiable:
        return dtype
    if dtype.is_storage:
        raise DTypeError(f"nothing is computed with {dtype}", hint=storage_hint(dtype))
    return {1: float16, 2: float32}.get(dtype.itemsize, float64)
