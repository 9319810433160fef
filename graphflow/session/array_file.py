"""Arrays in a safetensors file: every dtype exactly, written without a copy, and read by trusting nothing.

    8 bytes           the length of the header, little-endian
    header            JSON: name -> {"dtype", "shape", "data_offsets"}, then spaces up to a multiple of 64
    data              the arrays in C order, those of larger elements first, then by name

So equal arrays give equal bytes, and each array lies at a multiple of its element's size. Complex arrays,
which not every reader of the format has, are stored as pairs of reals on a last axis, arrays of the narrow
dtypes (float8, int4 and the like) as the bytes that they are in memory, and texts as JSON; who reads says
which dtypes they have. Reading maps rather than copies where the content is mapped.

Source: https://huggingface.co/docs/safetensors, "Format".
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeAlias

import numpy as np

from graphflow.errors import FileFormatError
from graphflow.files import Content, Piece, strict_json
from graphflow.ir.dtypes import DType, as_dtype
from graphflow.ir.narrow import narrow_bytes, require_narrow_bytes

Types: TypeAlias = Mapping[str, tuple[DType, tuple[int, ...]]]

_CODES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16",
    "uint32": "U32", "int32": "I32", "uint64": "U64", "int64": "I64",
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
}  # fmt: skip
_REALS = {"complex64": "float32", "complex128": "float64"}
_RESERVED = "__metadata__"
_ALIGNMENT = 64
_LARGEST_HEADER = 100_000_000
_FIELDS = {"dtype", "shape", "data_offsets"}


# Writing


def types_of(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[DType, tuple[int, ...]]]:
    """The dtype and shape of each array."""
    return {name: (as_dtype(array.dtype), array.shape) for name, array in arrays.items()}


def pack(types: Types, read: Callable[[str], np.ndarray]) -> Iterator[Piece]:
    """The pieces of a file, one an array; of arrays in C order they are the memory itself.

    Arguments:
        types: the dtype and shape of each array.
        read: the array of a name, asked for when its turn comes; of texts twice.

    Raises:
        FileFormatError: for a name that the format keeps for itself, or that is no Unicode.
    """
    names = sorted(types, key=lambda name: (-_element(types[name][0]).itemsize, name))
    header: dict[str, Any] = {}
    end = 0
    for name in names:
        _check_name(name)
        dtype, shape = types[name]
        size = len(_texts(read(name))) if dtype.kind == "string" else _byte_count(dtype, shape)
        code, stored = _stored(dtype, shape, size)
        header[name] = {"dtype": code, "shape": list(stored), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        yield from _pieces(read(name))


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> Iterator[Piece]:
    """`pack` of arrays that are there."""
    return pack(types_of(arrays), arrays.__getitem__)


def _check_name(name: str) -> None:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        name = _RESERVED
    if name == _RESERVED:
        raise FileFormatError(f"an array named {name!r} cannot be stored", hint="rename the variable")


def _element(dtype: DType) -> np.dtype:
    """The dtype of what is stored for an array."""
    if dtype.is_narrow or dtype.kind == "string":
        return np.dtype(np.uint8)
    return as_dtype(_REALS.get(dtype.name, dtype.name)).numpy


def _byte_count(dtype: DType, shape: tuple[int, ...]) -> int:
    size = dtype.itemsize
    for length in shape:
        size *= length
    return size


def _stored(dtype: DType, shape: tuple[int, ...], size: int) -> tuple[str, tuple[int, ...]]:
    """The format's code and the shape under which an array is stored; `size` in bytes counts for texts."""
    code = _CODES[as_dtype(_element(dtype)).name]
    if dtype.kind == "string":
        return code, (size,)
    return code, (*shape, 2) if dtype.name in _REALS else shape


def _texts(array: np.ndarray) -> bytes:
    return json.dumps(array.reshape(-1).tolist(), separators=(",", ":")).encode("ascii")


def _pieces(array: np.ndarray) -> Iterator[Piece]:
    """The bytes of an array in C order."""
    if array.dtype.kind == "T":
        yield _texts(array)
    elif array.size:
        flat = np.ascontiguousarray(array).reshape(-1)
        if as_dtype(array.dtype).is_narrow:
            flat = narrow_bytes(flat)
        elif sys.byteorder == "big" or flat.dtype.byteorder == ">":
            flat = flat.astype(flat.dtype.newbyteorder("<"))
        yield flat.view(np.uint8).data


# Reading


def unpack(content: Content, types: Types, source: str) -> dict[str, np.ndarray]:
    """The arrays of a file, read-only; views of the content.

    Arguments:
        types: the dtype and shape that each array has to have.
        source: the file, for messages.

    Raises:
        FileFormatError: if it is corrupt, or holds other arrays than `types` says.
    """
    entries, start = _header(content, source)
    if entries.keys() != types.keys():
        lacking, extra = sorted(types.keys() - entries.keys()), sorted(entries.keys() - types.keys())
        said = [f"lacks {lacking[:4]}"] * bool(lacking) + [f"has {extra[:4]} too many"] * bool(extra)
        _fail(source, " and ".join(said), "the files are not of one model; get it again")
    _check_tiling(entries, content.size - start, source)
    made = {}
    for name, (dtype, shape) in types.items():
        low, high = entries[name]["data_offsets"]
        found = (entries[name]["dtype"], tuple(entries[name]["shape"]))
        wanted = _stored(dtype, shape, high - low)
        if found != wanted or (dtype.kind != "string" and high - low != _byte_count(dtype, shape)):
            _fail(
                source,
                f"stores {name!r:.80} as {found[0]!r:.20}{list(found[1])!r:.80} in {high - low} bytes, "
                f"but the manifest says {dtype}{list(shape)}",
                "the files are not of one model; get it again",
            )
        made[name] = _array(content.part(start + low, high - low), dtype, shape, name, source)
    return made


def _fail(source: str, what: str, hint: str = "get the file again") -> NoReturn:
    raise FileFormatError(f"{source} {what}", hint=hint)


def _header(content: Content, source: str) -> tuple[dict[str, Any], int]:
    """The entries by name, and where the data begins."""
    view = content.view()
    length = int.from_bytes(view[:8], "little")
    if content.size < 8 or length > min(content.size - 8, _LARGEST_HEADER):
        _fail(source, f"is no safetensors file: it has {content.size} bytes, and a header of {length}")
    try:
        found = strict_json(bytes(view[8 : 8 + length]))
    except ValueError as error:
        _fail(source, f"is no safetensors file: its header is no JSON ({error})")
    if not isinstance(found, dict):
        _fail(source, "is no safetensors file: its header is no JSON object")
    found.pop(_RESERVED, None)
    for name, entry in found.items():
        good = isinstance(entry, dict) and entry.keys() == _FIELDS and isinstance(entry["dtype"], str)
        good = good and all(_are_sizes(entry[field]) for field in ("shape", "data_offsets"))
        if not good or len(entry["data_offsets"]) != 2:
            _fail(source, f"is no safetensors file: its header describes {name!r:.80} wrongly")
    return found, 8 + length


def _are_sizes(found: Any) -> bool:
    return isinstance(found, list) and all(type(size) is int and 0 <= size < 2**63 for size in found)


def _check_tiling(entries: Mapping[str, Any], size: int, source: str) -> None:
    """Raise unless the arrays lie one after the other and fill the data."""
    end = 0
    for low, high in sorted(entry["data_offsets"] for entry in entries.values()):
        if low != end or high < low:
            _fail(source, f"is no safetensors file: an array lies at {low} to {high}, and not from {end} on")
        end = high
    if end != size:
        _fail(source, f"has {size} bytes of data, not the {end} of its arrays", "it was cut off or grew")


def _array(content: Content, dtype: DType, shape: tuple[int, ...], name: str, source: str) -> np.ndarray:
    try:
        if dtype.kind == "string":
            return _from_texts(content, dtype, shape)
        if not content.size:
            flat = np.empty(0, np.uint8)
        else:  # not np.frombuffer, after which the owner of the memory could not be told
            flat = np.ndarray(content.size, np.uint8, content.buffer, content.start)
        _require_values(flat, dtype)
        element = _element(dtype)
        if sys.byteorder == "big":
            flat = flat.view(element).byteswap().view(np.uint8)
        made = flat.view(dtype.numpy).reshape(shape)
    except (ValueError, TypeError) as error:
        _fail(source, f"stores {name!r:.80} wrongly: {error}")
    made = made if made.flags.aligned else made.copy()
    made.flags.writeable = False
    return made


def _require_values(flat: np.ndarray, dtype: DType) -> None:
    """Raise a ValueError where bytes stand for no value; those of whole bytes all stand for one."""
    if dtype.kind == "bool" and flat.size and int(flat.max()) > 1:
        raise ValueError(f"a byte is {flat.max()}, but a bool is 0 or 1")
    if dtype.bits < 8:
        require_narrow_bytes(flat, dtype)


def _from_texts(content: Content, dtype: DType, shape: tuple[int, ...]) -> np.ndarray:
    found = strict_json(bytes(content.view()))
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError("it is no list of texts")
    made = np.array(found, object).astype(dtype.numpy).reshape(shape)
    made.flags.writeable = False
    return made
