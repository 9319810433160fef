"""Attributes of a node: a frozen mapping of names to values, with a key that tells values apart exactly.

Values are None, bool, int, float, complex, str, DType, Dim, read-only NumPy arrays, tuples of
these, and records that offer their own `attribute_key` (initializers, graphs). Python's equality
is too coarse for them (0.0 == -0.0, 1 == True, nan != nan), so two nodes are twins only if the
*keys* of their attributes are equal.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Mapping
from operator import is_
from typing import Any, NoReturn

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir.aligned import Sealed, aligned_copy
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import DType

_PLAIN = (str, int, Dim, DType, type(None))


class Attrs(dict):
    """Attributes by name, readable as `attrs.axis`; frozen once made.

    >>> attrs = Attrs(axis=(0, 1), keepdims=False)
    >>> attrs.axis
    (0, 1)
    """

    __slots__ = ("_key", "_hash")
    _key: tuple
    _hash: int

    @property
    def key(self) -> tuple:
        """A hashable value that is equal for attributes with exactly equal values."""
        try:
            return self._key
        except AttributeError:
            self._key = tuple((name, value_key(value)) for name, value in sorted(self.items()))
            return self._key

    # Typeshed has None for a dict's hash, as a dict changes; these do not.
    def __hash__(self) -> int:  # type: ignore[override]
        try:
            return self._hash
        except AttributeError:
            self._hash = hash(self.key)
            return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other or not isinstance(other, Attrs):
            return self is other
        try:
            return self._key == other._key
        except AttributeError:  # large arrays need not be read for a key if they are the same objects
            return len(self) == len(other) and all(
                name in other and _are_equal(value, other[name]) for name, value in self.items()
            )

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no attribute {name!r}; there are {', '.join(self) or 'none'}") from None

    def _frozen(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("the attributes of a node are frozen")

    __setitem__ = __delitem__ = update = pop = clear = setdefault = popitem = _frozen


EMPTY = Attrs()


def _are_equal(first: Any, second: Any) -> bool:
    return first is second or value_key(first) == value_key(second)


def value_key(value: Any) -> Any:
    """A hashable stand-in for one value, different wherever the values differ in any bit."""
    kind = type(value)
    if kind is bool or kind is int:
        return (kind.__name__, value)
    if kind is float:
        return ("float", value.hex())
    if kind is tuple:
        return tuple(map(value_key, value))
    if kind is complex:
        return ("complex", value.real.hex(), value.imag.hex())
    if isinstance(value, np.ndarray):
        return array_key(value)
    if kind is Dim:
        return (value, value.limits)  # inference is remembered by this key, and reads the bounds
    if isinstance(value, _PLAIN):
        return value
    return value.attribute_key()


def array_key(array: np.ndarray) -> tuple:
    """A key of an array's dtype, shape and bits; a digest where it is large."""
    if array.dtype.kind == "T":  # its memory holds references
        data = np.frombuffer(repr(array.reshape(-1).tolist()).encode(), np.uint8)
    else:
        data = np.ascontiguousarray(array)
    if data.nbytes > 64:
        content = hashlib.blake2b(data.reshape(-1).view(np.uint8).data, digest_size=16).digest()
    else:
        content = data.tobytes()
    return ("array", array.dtype.name, array.shape, content)


def freeze(value: Any) -> Any:
    """The frozen form of a value a user passed: lists become tuples, NumPy scalars Python ones.

    A tensor becomes its value, if that is known while building (see `graphflow.ops.shape_values`).

    >>> freeze([1, np.int64(2)])
    (1, 2)
    """
    if isinstance(value, (bool, int, float, str, complex, Dim, DType, type(None))):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return tuple(map(freeze, value))
    if isinstance(value, np.ndarray):
        return read_only(value)
    if hasattr(value, "attribute_key"):
        return value
    if hasattr(value, "known_value"):
        return value.known_value()
    if isinstance(value, (type, np.dtype)):
        from graphflow.ir.dtypes import as_dtype

        return as_dtype(value)
    raise AttributeValueError(
        f"{value!r} of type {type(value).__name__} cannot be an attribute",
        hint="pass numbers, strings, dtypes, sizes, arrays, or tuples of them",
    )


def read_only(array: np.ndarray) -> np.ndarray:
    """A C-contiguous copy that nobody can write to; such an array itself is returned as it is."""
    if not array.flags.writeable and array.flags.c_contiguous and _is_sealed(array):
        return array
    return aligned_copy(array)


def _is_sealed(array: np.ndarray) -> bool:
    """Whether nobody else can write to it: the memory is its own, or that of bytes or a read-only mapping."""
    owner: Any = array.base
    while isinstance(owner, np.ndarray) and not owner.flags.writeable and owner.base is not None:
        owner = owner.base
    if isinstance(owner, mmap.mmap):
        with memoryview(owner) as view:
            return view.readonly
    return owner is None or isinstance(owner, (bytes, Sealed))


def substitute_dims(attrs: Attrs, values: Mapping[str, Any]) -> Attrs:
    """The attributes with symbolic sizes replaced by their values; the same object where there are none."""
    from graphflow.ir.dims import substitute

    def replaced(value: Any) -> Any:
        if isinstance(value, Dim):
            return substitute(value, values)
        if isinstance(value, tuple):
            items = tuple(map(replaced, value))
            return value if all(map(is_, items, value)) else items
        return value.substitute(values) if hasattr(value, "substitute") else value

    if not any(isinstance(value, (Dim, tuple)) or hasattr(value, "substitute") for value in attrs.values()):
        return attrs
    changed = {name: replaced(value) for name, value in attrs.items()}
    return attrs if all(map(is_, changed.values(), attrs.values())) else Attrs(changed)
