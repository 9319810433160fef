"""Arrays in ONNX models: inside of the file, or in a file beside it, as large models need it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from graphflow.io.onnx.export_writer import kind_of

LARGEST_INSIDE = 2**31 - 2**24
"""The most bytes of arrays in one file: a protobuf message takes 2 GB with all that is around them."""

SMALLEST_OUTSIDE = 1024
"""Arrays of fewer bytes, such as shapes, stay inside."""

ALIGNMENT = 4096
"""Where arrays begin, so that they can be mapped into memory."""


def _proto(name: str, array: np.ndarray) -> TensorProto:
    if array.dtype.kind in "OUST":
        texts = [str(one).encode() for one in array.reshape(-1)]
        return TensorProto(name=name, data_type=TensorProto.STRING, dims=array.shape, string_data=texts)
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


def filled_in(model: onnx.ModelProto, arrays: Mapping[str, np.ndarray]) -> None:
    """Put the arrays that nodes or outputs read into the model."""
    for name, array in _read(model, arrays).items():
        model.graph.initializer.append(_proto(name, array))


def outside(model: onnx.ModelProto, arrays: Mapping[str, np.ndarray], location: str, file: IO[bytes]) -> None:
    """Write large arrays to a file, to which the model points by its name."""
    at = 0
    for name, array in _read(model, arrays).items():
        tensor = (
            _proto(name, array) if array.nbytes < SMALLEST_OUTSIDE or array.dtype.kind in "OUST" else None
        )
        if tensor is not None:
            model.graph.initializer.append(tensor)
            continue
        gap = -at % ALIGNMENT
        data = _bytes(array)
        file.write(b"\0" * gap)
        file.write(data)
        where = {"location": location, "offset": at + gap, "length": len(data)}
        at += gap + len(data)
        made = model.graph.initializer.add(name=name, data_type=kind_of(array), dims=array.shape)
        made.data_location = TensorProto.EXTERNAL
        for key, value in where.items():
            made.external_data.add(key=key, value=str(value))


def _bytes(array: np.ndarray) -> memoryview | bytes:
    """The elements as they lie in a file: little-endian, those of less than a byte packed."""
    if kind_of(array) in (TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1, TensorProto.INT2,
                          TensorProto.UINT2):  # fmt: skip
        return bytes(_proto("packed", array).raw_data)
    plain = np.ascontiguousarray(array)
    if plain.dtype.byteorder == ">":
        plain = plain.astype(plain.dtype.newbyteorder("<"))
    return plain.reshape(-1).view(np.uint8).data


def _read(model: onnx.ModelProto, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays that are read at all, in order."""
    needed: set[str] = set()
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        needed.update(one.name for one in graph.output)
        for node in graph.node:
            needed.update(node.input)
            graphs.extend(attribute.g for attribute in node.attribute if attribute.HasField("g"))
    return {name: array for name, array in arrays.items() if name in needed}
