"""ONNX tensors as arrays: all element types, data inside the model, and data in files beside it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from graphflow.errors import UNFORESEEN, DTypeError, FileFormatError, GraphFlowError
from graphflow.io.onnx.slimming import OWN
from graphflow.ir.dtypes import DType, as_dtype, string

LARGEST_FILLED = 1 << 30
"""The most bytes that a sparse tensor may take once it is filled with zeros."""

_PACKED: dict[int, int] = {
    TensorProto.INT4: 4, TensorProto.UINT4: 4, TensorProto.FLOAT4E2M1: 4, TensorProto.INT2: 2,
    TensorProto.UINT2: 2,
}  # fmt: skip


def dtype_of(number: int) -> DType:
    """The dtype that ONNX gives this number.

    Raises:
        DTypeError: for a number that ONNX does not have.

    >>> dtype_of(1), dtype_of(8)
    (float32, string)
    """
    if number == TensorProto.STRING:
        return string
    try:
        return as_dtype(helper.tensor_dtype_to_np_dtype(number))
    except UNFORESEEN:
        raise DTypeError(
            f"ONNX element type {number} is not supported", hint="types are numbered from 1 to 26"
        ) from None


def number_of(dtype: DType) -> int:
    """The number of a dtype in ONNX."""
    if dtype is string:
        return int(TensorProto.STRING)
    return int(helper.np_dtype_to_tensor_dtype(dtype.numpy))


def to_array(tensor: TensorProto, folder: Path | None = None) -> np.ndarray:
    """The values of a tensor, as a read-only array.

    Arguments:
        tensor: the tensor.
        folder: where its data may lie, if it is not in the model.

    Raises:
        FileFormatError: if the data is not what the type and the sizes say.
    """
    name, dims = tensor.name or "without a name", list(tensor.dims)
    kind = dtype_of(tensor.data_type)
    if any(size < 0 for size in dims):
        raise FileFormatError(f"the tensor {name!r:.80} has the sizes {dims}", hint="get the model again")
    if tensor.data_location == TensorProto.EXTERNAL:
        return _external(tensor, kind, dims, folder)
    _check_amount(tensor, kind, dims)
    try:
        array = numpy_helper.to_array(tensor)
    except UNFORESEEN as error:
        raise FileFormatError(
            f"the tensor {name!r:.80} cannot be read: {error!s:.200}", hint="get the model again"
        ) from error
    if kind is string:
        array = np.array([_text(one) for one in array.reshape(-1)], string.numpy).reshape(dims)
    return _sealed(array)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _sealed(array: np.ndarray) -> np.ndarray:
    """The array, which nobody can write to, so that nothing has to copy it."""
    if array.flags.writeable:
        array.setflags(write=False)
    return array


def _bytes_of(kind: DType, tensor: TensorProto, dims: list[int]) -> int:
    """How many bytes the elements take in a file."""
    bits = _PACKED.get(tensor.data_type, 8 * kind.numpy.itemsize)
    return -(-math.prod(dims) * bits // 8)


def _check_amount(tensor: TensorProto, kind: DType, dims: list[int]) -> None:
    """Raise unless raw data has the size that it should have, before anything of that size is made."""
    name, count = tensor.name or "without a name", math.prod(dims)
    if tensor.HasField("raw_data"):
        found, needed = len(tensor.raw_data), _bytes_of(kind, tensor, dims)
        if found != needed:
            raise FileFormatError(
                f"the tensor {name!r:.80} has {found} bytes, but {kind.name}{dims} takes {needed}",
                hint="the file was cut off or changed; get the model again",
            )
        return
    stored = max(
        len(part)
        for part in (
            tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.uint64_data, tensor.double_data,
            tensor.string_data,
        )
    )  # fmt: skip
    if count > 8 * max(stored, 1) or (count and not stored):
        raise FileFormatError(
            f"the tensor {name!r:.80} has {stored} elements, but sizes {dims}",
            hint="the file was cut off or changed; get the model again",
        )


def _external(tensor: TensorProto, kind: DType, dims: list[int], folder: Path | None) -> np.ndarray:
    """The values in a file beside the model, mapped into memory, or those in its own file, copied."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    where, name = said.get("location", ""), tensor.name or "without a name"
    path = _confined(where, folder, name)
    try:
        offset, needed = int(said.get("offset", 0)), _bytes_of(kind, tensor, dims)
        length, size = int(said.get("length", needed)), path.stat().st_size
    except (ValueError, OSError) as error:
        raise FileFormatError(
            f"the data of the tensor {name!r:.80} in {where!r:.200} cannot be read: {error}",
            hint="keep the files of the model together",
        ) from None
    if offset < 0 or length != needed or offset + length > size:
        raise FileFormatError(
            f"the tensor {name!r:.80} takes {needed} bytes, but {where!r:.200} has {size} and it is to have "
            f"{length} from {offset} on",
            hint="the files are not of one model, or were cut off; get the model again",
        )
    if not needed:
        return _sealed(np.empty(dims, kind.numpy))
    mapped = np.memmap(path, np.uint8, "r", offset, (needed,))
    if tensor.data_type in _PACKED or kind is string:
        copy = TensorProto(name=name, data_type=tensor.data_type, dims=dims, raw_data=mapped.tobytes())
        return to_array(copy)
    little = kind.numpy.newbyteorder("<") if kind.numpy.isbuiltin else kind.numpy
    if OWN in said:
        with path.open("rb") as file:
            file.seek(offset)
            # Large arrays of NumPy's ask for huge pages, for which some systems take several times as long.
            return np.frombuffer(file.read(needed), little).reshape(dims)
    return _sealed(mapped.view(little).reshape(dims))


def _confined(where: str, folder: Path | None, name: str) -> Path:
    """The path of a file in the folder of the model, or below it."""
    if folder is None:
        raise FileFormatError(
            f"the data of the tensor {name!r:.80} lies in the file {where!r:.200}, but the model in memory "
            "has no folder",
            hint="load the model from its path",
        )
    base = folder.resolve()
    path = (base / where).resolve() if where and "\0" not in where else base
    if Path(where).is_absolute() or base not in path.parents or not path.is_file():
        raise FileFormatError(
            f"the data of the tensor {name!r:.80} is to lie at {where!r:.200}, which is no file in the "
            "folder of the model",
            hint="keep the files of a model together; files elsewhere are never read",
        )
    return path


def filled(sparse: onnx.SparseTensorProto, folder: Path | None = None) -> np.ndarray:
    """A sparse tensor with its zeros.

    Raises:
        FileFormatError: if its parts do not fit, or it would be too large.
    """
    values, indices = to_array(sparse.values, folder), to_array(sparse.indices, folder)
    dims = list(sparse.dims)
    count = math.prod(dims)
    if any(size < 0 for size in dims) or count * values.dtype.itemsize > LARGEST_FILLED:
        raise FileFormatError(
            f"the sparse tensor {sparse.values.name!r:.80} has the sizes {dims}",
            hint=f"up to {LARGEST_FILLED} bytes are filled",
        )
    made = np.zeros(count, values.dtype)
    try:
        flat = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), dims)
        made[flat] = values
    except UNFORESEEN as error:
        raise FileFormatError(
            f"the sparse tensor {sparse.values.name!r:.80} cannot be read: {error!s:.200}",
            hint="get the model again",
        ) from error
    return _sealed(made.reshape(dims))


def given_array(value: Any, kind: DType | None = None) -> np.ndarray:
    """A value that a caller hands over for an input: an array, a number, text, or a TensorProto.

    Raises:
        GraphFlowError: if it is none.
    """
    if isinstance(value, TensorProto):
        return to_array(value)
    array = np.asarray(value)
    if array.dtype.kind in "OUS":
        text = [_text(one) for one in array.reshape(-1).tolist()]
        return np.array(text, string.numpy).reshape(array.shape)
    try:
        as_dtype(array.dtype)
    except GraphFlowError:
        raise DTypeError(f"an array of {array.dtype} is no tensor", hint="pass numbers or text") from None
    return array if kind is None or kind.numpy == array.dtype else array.astype(kind.numpy)
