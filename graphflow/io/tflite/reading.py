"""A .tflite file as records: subgraphs, tensors, operators and the bytes of constants, all within the file.

The flatbuffers package trusts what it reads. So every count is compared with the size of the file before
anything of that size is made, and what is read is counted: a file whose tables point to one place again
and again could otherwise stand for the square of its size.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.errors import UNFORESEEN, FileFormatError
from graphflow.io.tflite.schema import CUSTOM, numbered, schema

IDENTIFIER = b"TFL3"
"""What stands in a file behind its first four bytes."""

DAMAGE = (*UNFORESEEN, struct.error, RecursionError, AssertionError)
"""What the flatbuffers package, NumPy and Python raise at a damaged file."""

TABLE_BYTES = 8
"""The least bytes that a table and the place that points to it take."""

SLACK = 4096
"""Bytes that may be read again in a small file, beside as many as the file has."""

_HINT = "give the path of a .tflite file, or its bytes"
AGAIN = "the file was cut off or changed; get the model again"


@dataclass(frozen=True, slots=True)
class Quantization:
    """What whole numbers stand for: (number - zero) * scale, with one scale, or one a place on an axis."""

    scale: np.ndarray
    zero: np.ndarray
    axis: int

    def same_as(self, other: Quantization | None) -> bool:
        """Whether both have the same numbers for everything."""
        return (
            other is not None
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero, other.zero)
            and (self.scale.size == 1 or self.axis == other.axis)
        )


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor of a subgraph; a size of -1 in the shape is one that is not known."""

    name: str
    kind: int
    shape: tuple[int, ...]
    buffer: int
    quantization: Quantization | None
    is_variable: bool
    is_sparse: bool


@dataclass(frozen=True, slots=True)
class OperatorInfo:
    """An operator of a subgraph; an input of -1 is absent."""

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A graph of the file, with the numbers of the tensors that are its inputs and outputs."""

    name: str
    tensors: tuple[TensorInfo, ...]
    operators: tuple[OperatorInfo, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """The names that a subgraph's inputs and outputs have for callers."""

    subgraph: int
    inputs: dict[int, str]
    outputs: dict[int, str]


@dataclass(frozen=True, slots=True)
class File:
    """All of a .tflite file that is needed."""

    description: str
    size: int
    subgraphs: tuple[Subgraph, ...]
    buffers: tuple[np.ndarray, ...]
    signatures: tuple[Signature, ...]


@contextmanager
def damage_told() -> Iterator[None]:
    """Let what a damaged file makes Python and its libraries raise be an error about the file."""
    try:
        yield
    except DAMAGE as error:
        raise FileFormatError(f"the .tflite model is damaged: {error!s:.200}", hint=AGAIN) from error


def is_tflite(start: bytes) -> bool:
    """Whether a file that begins with these eight bytes is a TensorFlow Lite model.

    >>> is_tflite(bytes([28, 0, 0, 0]) + b"TFL3")
    True
    """
    return start[4:8] == IDENTIFIER


def read_file(source: Any) -> File:
    """What is in a file, or in bytes.

    Raises:
        FileFormatError: if it is no TensorFlow Lite model, or a damaged one.
    """
    content, what = _content(source)
    if len(content) < 8 or not is_tflite(content[:8]):
        raise FileFormatError(
            f"{what:.200} is no TensorFlow Lite model: {content[4:8]!r} stands where {IDENTIFIER!r} has to",
            hint=_HINT,
        )
    with damage_told():
        return _Reader(content).file()


def _content(source: Any) -> tuple[bytes, str]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), "what is given"
    if not isinstance(source, (str, os.PathLike)):
        raise FileFormatError(f"{source!r:.80} is no TensorFlow Lite model", hint=_HINT)
    path = Path(source)
    try:
        return path.read_bytes(), repr(str(path))
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{str(path)!r} cannot be read: {error}", hint=_HINT) from None


class _Reader:
    """Reads the tables of a file, and counts what it reads."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.schema = schema()
        self.left = SLACK + 2 * len(content)
        self.names = numbered(self.schema.BuiltinOperator)
        self.kinds_of_options = numbered(self.schema.BuiltinOptions)

    # Vectors and text

    def length(self, table: Any, field: str, width: int = 4) -> int:
        """How many elements a vector has, which have to lie in the file."""
        count = int(getattr(table, f"{field}Length")())
        if count * width > len(self.content):
            raise FileFormatError(
                f"{field} is to have {count} elements, which the file cannot hold", hint=AGAIN
            )
        return count

    def charge(self, count: int) -> None:
        """Count bytes that are read, again where they were read before."""
        self.left -= count
        if self.left < 0:
            raise FileFormatError("the parts of the file refer to one another too often", hint=AGAIN)

    def tables(self, table: Any, field: str, read: Callable[[Any], Any]) -> tuple[Any, ...]:
        """What a vector of tables says."""
        get = getattr(table, field)
        self.charge(TABLE_BYTES * self.length(table, field))
        return tuple([read(get(place)) for place in range(self.length(table, field))])

    def numbers(self, table: Any, field: str, width: int = 4) -> np.ndarray | None:
        """A vector of numbers; None if it is absent."""
        if not self.length(table, field, width):
            return None if getattr(table, f"{field}IsNone")() else np.zeros(0, np.int64)
        found: np.ndarray = getattr(table, f"{field}AsNumpy")()
        self.charge(found.nbytes)
        return found

    def places(self, table: Any, field: str) -> tuple[int, ...]:
        """A vector of integers as a tuple, empty if it is absent."""
        found = self.numbers(table, field)
        return () if found is None else tuple(found.tolist())

    def text(self, value: bytes | None) -> str:
        """Text, with marks for what is none."""
        self.charge(len(value or b""))
        return (value or b"").decode("utf-8", "replace")

    # Tables

    def file(self) -> File:
        """All that is needed."""
        model = self.schema.Model.GetRootAs(self.content, 0)
        if model.Version() != 3:
            raise FileFormatError(
                f"the file is of version {model.Version()} of the format, but 3 is supported",
                hint="convert the model with a newer converter",
            )
        codes = self.tables(model, "OperatorCodes", self.code)
        buffers = self.tables(model, "Buffers", self.buffer)
        subgraphs = self.tables(model, "Subgraphs", lambda one: self.subgraph(one, codes))
        if not subgraphs:
            raise FileFormatError("the file has no graph", hint=AGAIN)
        signatures = self.tables(model, "SignatureDefs", self.signature)
        return File(self.text(model.Description()), len(self.content), subgraphs, buffers, signatures)

    def code(self, code: Any) -> tuple[str, int]:
        """The name and version of an operator."""
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if number == CUSTOM:
            return f"CUSTOM {self.text(code.CustomCode())!r:.80}", code.Version()
        return self.names.get(number, f"the builtin operator {number}"), code.Version()

    def buffer(self, buffer: Any) -> np.ndarray:
        """The bytes of a buffer, which lie in the table or behind all tables."""
        offset, size = buffer.Offset(), buffer.Size()
        if offset > 1:
            if offset + size > len(self.content):
                raise FileFormatError(f"{size} bytes at {offset} are not in the file", hint=AGAIN)
            return np.frombuffer(self.content, np.uint8, size, offset)
        count = self.length(buffer, "Data", 1)
        return buffer.DataAsNumpy() if count else np.zeros(0, np.uint8)

    def subgraph(self, graph: Any, codes: tuple[tuple[str, int], ...]) -> Subgraph:
        """A subgraph, whose operators read and write tensors that exist."""
        tensors = self.tables(graph, "Tensors", self.tensor)
        count = self.length(graph, "Operators")
        self.charge(TABLE_BYTES * count)
        operators = [self.operator(graph.Operators(index), index, codes) for index in range(count)]
        inputs, outputs = self.places(graph, "Inputs"), self.places(graph, "Outputs")
        used = {place for one in operators for place in (*one.inputs, *one.outputs)}
        for place in used | set(inputs) | set(outputs):
            if not -1 <= place < len(tensors):
                raise FileFormatError(f"tensor {place} of {len(tensors)} is used", hint=AGAIN)
        return Subgraph(self.text(graph.Name()), tensors, tuple(operators), inputs, outputs)

    def tensor(self, tensor: Any) -> TensorInfo:
        """A tensor."""
        shape, signature = self.places(tensor, "Shape"), self.places(tensor, "ShapeSignature")
        return TensorInfo(
            self.text(tensor.Name()),
            tensor.Type(),
            signature if len(signature) == len(shape) else shape,
            tensor.Buffer(),
            self.quantization(tensor.Quantization()),
            tensor.IsVariable(),
            tensor.Sparsity() is not None,
        )

    def quantization(self, table: Any) -> Quantization | None:
        """What the numbers of a tensor stand for; None if for themselves."""
        if table is None:
            return None
        scale, zero = self.numbers(table, "Scale"), self.numbers(table, "ZeroPoint", 8)
        if scale is None or not scale.size:
            return None
        points = np.zeros(scale.size, np.int64) if zero is None or not zero.size else zero
        if points.size not in (1, scale.size):
            raise FileFormatError(
                f"a tensor has {scale.size} scales, but {points.size} zero points", hint=AGAIN
            )
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise FileFormatError("a tensor has a scale that is no positive number", hint=AGAIN)
        points = np.broadcast_to(points, scale.shape)
        return Quantization(
            np.array(scale, np.float32), np.array(points, np.int64), table.QuantizedDimension()
        )

    def operator(self, operator: Any, index: int, codes: tuple[tuple[str, int], ...]) -> OperatorInfo:
        """An operator."""
        code = operator.OpcodeIndex()
        if code >= len(codes):
            raise FileFormatError(f"operator {index} is of kind {code} of {len(codes)}", hint=AGAIN)
        inputs, outputs = self.places(operator, "Inputs"), self.places(operator, "Outputs")
        name, version = codes[code]
        return OperatorInfo(index, name, version, inputs, outputs, self.options(operator))

    def options(self, operator: Any) -> Any:
        """The options of an operator, of the class of their kind; None if it has none."""
        name, table = self.kinds_of_options.get(operator.BuiltinOptionsType()), operator.BuiltinOptions()
        if table is None or name is None or name == "NONE":
            return None
        options = getattr(self.schema, name)()
        options.Init(table.Bytes, table.Pos)
        return options

    def signature(self, signature: Any) -> Signature:
        """The names of a signature."""
        return Signature(
            signature.SubgraphIndex(),
            dict(self.tables(signature, "Inputs", self.named)),
            dict(self.tables(signature, "Outputs", self.named)),
        )

    def named(self, entry: Any) -> tuple[int, str]:
        """A name of a signature, by the tensor."""
        return entry.TensorIndex(), self.text(entry.Name())
