"""Data as users write it (numbers, lists, arrays, text) as read-only NumPy arrays of a dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import DTypeError
from graphflow.ir import narrow
from graphflow.ir.attrs import read_only
from graphflow.ir.dtypes import DType, as_dtype, is_known, string


def as_array(value: Any, dtype: Any = None) -> np.ndarray:
    """A read-only NumPy copy of array-like data; lists of Python numbers take the default dtypes.

    Raises:
        DTypeError: for data that is no rectangular block of numbers or strings, or does not fit `dtype`.
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "__array__"):
        array = np.asarray(value)
    else:
        try:
            array = np.asarray(value)
        except (ValueError, TypeError) as error:
            raise DTypeError(
                f"the data is no rectangular array: {error}", hint="make all rows equally long"
            ) from None
        if wanted is None and array.dtype.kind in "bifc":
            wanted = as_dtype({"b": bool, "i": int, "f": float, "c": complex}[array.dtype.kind])
        if array.size == 0 and wanted is None:
            wanted = as_dtype(float)
    if array.dtype.kind in "OUT":
        array = _strings(value, array)
    elif array.dtype.kind == "S" or (array.dtype.kind == "V" and not is_known(array.dtype)):
        raise DTypeError(
            f"data of type {array.dtype} cannot be a tensor",
            hint="pass numbers, booleans or str, all rows equally long",
        )
    if wanted is None:
        wanted = as_dtype(array.dtype)
    return read_only(array if wanted.numpy == array.dtype else _converted(array, wanted))


def as_result(value: Any) -> np.ndarray:
    """What a reference returned as an array; of a single text NumPy gives the bare str."""
    return np.asarray(value, string.numpy) if isinstance(value, str) else np.asarray(value)


def _converted(array: np.ndarray, wanted: DType) -> np.ndarray:
    """The array with another dtype; what it holds may be rounded to a narrower float, but not change."""
    kind = as_dtype(array.dtype).kind
    if "string" in (kind, wanted.kind) and array.size:
        raise DTypeError(
            f"data of dtype {as_dtype(array.dtype)} does not fit {wanted}",
            hint="gf.astype(gf.constant(data), dtype) parses and prints numbers",
        )
    if kind == "complex" and wanted.kind != "complex":
        raise DTypeError(
            f"complex data does not fit {wanted}", hint="pass its real part, or its absolute value"
        )
    if wanted.is_narrow:
        return narrow.fitted(array, wanted)
    if wanted.is_integer and kind in ("int", "uint") and array.size:
        limits = np.iinfo(wanted.numpy)
        if array.min() < limits.min or array.max() > limits.max:
            raise DTypeError(
                f"{extent(array.min(), array.max())} not fit {wanted}",
                hint="pass dtype=gf.int64, or another type that holds them",
            )
    with np.errstate(all="ignore"):
        made = array.astype(wanted.numpy)
    if wanted.is_integer and kind == "float" and not np.array_equal(made, array):
        raise DTypeError(
            f"the data is no whole numbers that fit {wanted}",
            hint="round and clip it first, or pass a floating dtype",
        )
    return made


def extent(low: Any, high: Any) -> str:
    """What two bounds call the numbers between them, as the subject of a sentence."""
    return f"{low} does" if low == high else f"values from {low} to {high} do"


def _strings(value: Any, array: np.ndarray) -> np.ndarray:
    """Text as NumPy's variable-width strings."""
    if array.dtype.kind == "U" and isinstance(value, (list, tuple)):
        array = np.asarray(value, dtype=object)  # NumPy would print the numbers among strings
    if array.dtype.kind == "O":
        foreign = {type(item).__name__: None for item in array.reshape(-1) if not isinstance(item, str)}
        if foreign or not array.size:
            raise DTypeError(
                f"data of type {' and '.join(foreign) or 'object'} cannot be a tensor",
                hint="pass numbers, booleans or str, all rows equally long",
            )
    try:
        return array.astype(string.numpy)
    except (TypeError, ValueError) as error:
        raise DTypeError(f"the text is no Unicode: {error}", hint="remove the lone surrogates") from None
