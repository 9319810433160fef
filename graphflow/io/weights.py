"""Arrays in a safetensors file: every dtype exactly, and a reader that trusts nothing.

Complex arrays, which the format does not have, are stored as pairs of reals on a last axis, and arrays
of the narrow dtypes (float8, int4 and the like) as the bytes that they are in memory; the manifest tells
their dtypes. Nothing in such a file is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphflow.errors import FileFormatError
from graphflow.ir.attrs import read_only
from graphflow.ir.dtypes import DType, as_dtype
from graphflow.ir.narrow import narrow_bytes, require_narrow_bytes

_REALS = {"complex64": "float32", "complex128": "float64"}
_CODES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16",
    "U32": "uint32", "I32": "int32", "U64": "uint64", "I64": "int64",
    "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
}  # fmt: skip
_RESERVED = "__metadata__"


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of a safetensors file; equal arrays give equal bytes.

    Raises:
        FileFormatError: for a name that the format keeps for itself, or that is no Unicode.
    """
    from safetensors.numpy import save

    stored = {}
    for name, array in arrays.items():
        if name == _RESERVED or not _is_unicode(name):
            raise FileFormatError(f"an array named {name!r} cannot be stored", hint="rename the variable")
        # The library writes the memory of strided arrays as it lies, without an error.
        flat = np.ascontiguousarray(array).reshape(array.shape)
        stored[name] = flat
        if array.dtype.name in _REALS:
            stored[name] = flat.reshape(-1).view(_REALS[array.dtype.name]).reshape((*array.shape, 2))
        elif as_dtype(array.dtype).is_narrow:
            stored[name] = narrow_bytes(flat)
    return save(stored)


def _is_unicode(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def unpack_arrays(
    content: bytes, types: Mapping[str, tuple[DType, tuple[int, ...]]], source: str
) -> dict[str, Any]:
    """The arrays of a safetensors file, read-only.

    Arguments:
        types: the dtype and shape that each array has to have.
        source: the file, for messages.

    Raises:
        FileFormatError: if it is corrupt, or holds other arrays than `types` says.
    """
    from safetensors import SafetensorError, deserialize

    try:
        stored = dict(deserialize(content))
    except (SafetensorError, ValueError, OverflowError, MemoryError) as error:
        raise FileFormatError(
            f"{source} is no safetensors file: {error}", hint="get the model again"
        ) from error
    if stored.keys() != types.keys():
        lacking, extra = sorted(types.keys() - stored.keys()), sorted(stored.keys() - types.keys())
        said = [f"lacks {lacking[:4]}"] * bool(lacking) + [f"has {extra[:4]} too many"] * bool(extra)
        raise FileFormatError(
            f"{source} {' and '.join(said)}", hint="the files are not of one model; get it again"
        )
    return {name: _array(name, stored[name], *types[name], source) for name in types}


def _array(
    name: str, entry: Mapping[str, Any], dtype: DType, shape: tuple[int, ...], source: str
) -> np.ndarray:
    reals = _REALS.get(dtype.name)
    bytewise = "uint8" if dtype.is_narrow else None
    wanted = (reals or bytewise or dtype.name, shape if reals is None else (*shape, 2))
    found = (_CODES.get(entry["dtype"]), tuple(entry["shape"]))
    if found != wanted:
        raise FileFormatError(
            f"{source} stores {name!r} as {found[0] or entry['dtype']}{list(found[1])}, "
            f"but the manifest says {wanted[0]}{list(wanted[1])}",
            hint="the files are not of one model; get it again",
        )
    try:
        flat = np.frombuffer(entry["data"], dtype=as_dtype(wanted[0]).numpy)
        made = flat.view(dtype.numpy).reshape(shape)
        require_narrow_bytes(flat, dtype)
    except (ValueError, TypeError) as error:
        raise FileFormatError(
            f"{source} stores {name!r} wrongly: {error}", hint="get the model again"
        ) from error
    return read_only(made)
