"""From a subgraph of a .tflite file to nodes of ours, one operator after another.

What each operator means is told by the tables of the `import_...` modules, which `vocabulary` collects.
A quantized tensor is kept as the whole numbers that it is in the file. An operator computes with the
numbers they stand for, between `dequantize_linear` and `quantize_linear`; one that only moves elements
gets the whole numbers themselves, if its inputs and outputs have the same scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphflow.errors import FileFormatError, GraphFlowError
from graphflow.io.names import in_scope_of, out_of_scopes, safe_name, sourced
from graphflow.io.tflite.call import Call
from graphflow.io.tflite.reading import AGAIN, DAMAGE, File, OperatorInfo, Quantization, Subgraph, TensorInfo
from graphflow.io.tflite.tensors import INT4, QUANTIZED, array_of, dtype_of
from graphflow.io.tflite.vocabulary import COMPUTES, MOVES, PERMUTED, STORED
from graphflow.ir import dtypes
from graphflow.ir.dtypes import DType
from graphflow.ir.node import Tensor
from graphflow.ops import casting, creation, quantization
from graphflow.ops import shape as shape_ops
from graphflow.ops.declare import constant, variable

DEEPEST = 32
"""How deep branches and loops may lie in one another."""

MORE_OPERATORS = 50_000
"""Operators that may be imported beside sixteen times those in the file, by calls and loops laid out."""


MORE_BYTES = 1 << 24
"""Bytes of constants that may be copied beside four times those in the file: tensors may share buffers."""


class Scope:
    """The tensors of a subgraph that are known by now, as in the file and as what they stand for."""

    def __init__(self, graph: Subgraph, is_main: bool) -> None:
        self.graph = graph
        self.is_main = is_main
        self.stored: dict[int, Tensor] = {}
        self.real: dict[int, Tensor] = {}
        self.permuted: dict[tuple[int, tuple[int, ...]], Tensor] = {}


class Importer:
    """Imports the subgraphs of one file into the current graph.

    Attributes:
        file: what is imported.
        trainable: let floating constants of rank 1 and more be variables.
    """

    def __init__(self, file: File, trainable: bool = False) -> None:
        self.file = file
        self.trainable = trainable
        self.taken: dict[str, int] = {}
        self.inside: list[int] = []
        self.bytes_left = MORE_BYTES + 4 * file.size
        self.left = MORE_OPERATORS + 16 * sum(len(graph.operators) for graph in file.subgraphs)

    # Graphs

    def subgraph(self, number: int, given: Sequence[Tensor]) -> list[Tensor]:
        """The outputs of a subgraph for its inputs, all as in the file.

        Raises:
            FileFormatError: if there is no such subgraph, or it takes another number of inputs.
        """
        if not 0 <= number < len(self.file.subgraphs):
            raise FileFormatError(f"subgraph {number} of {len(self.file.subgraphs)} is called", hint=AGAIN)
        graph = self.file.subgraphs[number]
        if len(given) != len(graph.inputs):
            raise FileFormatError(
                f"subgraph {number} has {len(graph.inputs)} inputs, but gets {len(given)}",
                hint=AGAIN,
            )
        scope = Scope(graph, is_main=not self.inside)
        for place, value in zip(graph.inputs, given):
            self._define(scope, place, value)
        with self._deeper(number):
            for operator in graph.operators:
                self._operator(operator, scope)
            return [self.stored(scope, place) for place in graph.outputs]

    @contextmanager
    def _deeper(self, number: int) -> Iterator[None]:
        if number in self.inside:
            raise FileFormatError(f"subgraph {number} calls itself", hint="use a loop (WHILE)")
        if len(self.inside) >= DEEPEST:
            raise FileFormatError(
                f"subgraph {number} lies more than {DEEPEST} graphs deep",
                hint="convert the model with fewer",
            )
        self.inside.append(number)
        try:
            yield
        finally:
            self.inside.pop()

    def _define(self, scope: Scope, place: int, value: Tensor) -> None:
        if place < 0 or place in scope.stored:
            raise FileFormatError(f"tensor {place} is written twice", hint=AGAIN)
        scope.stored[place] = value

    # Tensors

    def stored(self, scope: Scope, place: int) -> Tensor:
        """A tensor as in the file.

        Raises:
            FileFormatError: if nothing before made it, and it is no constant.
        """
        if place not in scope.stored:
            scope.stored[place] = self._held(scope, self._info(scope, place))
        return scope.stored[place]

    def _held(self, scope: Scope, info: TensorInfo) -> Tensor:
        """A tensor that no operator made: a constant, a state that begins with zeros, or nothing at all."""
        array = array_of(self.file, info)
        if array is not None:
            self._copied(array.nbytes if info.kind == INT4 else 0)
            return self._constant(scope, info, array)
        if any(size < 0 for size in info.shape) or not (info.is_variable or 0 in info.shape):
            raise FileFormatError(
                f"the tensor {info.name!r:.80} is used, but nothing before makes it",
                hint="operators have to come after those they read, and never in a circle",
            )
        return creation.zeros(info.shape, dtype_of(info.kind))

    def real(self, scope: Scope, place: int) -> Tensor:
        """The numbers that a tensor stands for."""
        if place not in scope.real:
            scope.real[place] = dequantized(self.stored(scope, place), self._info(scope, place).quantization)
        return scope.real[place]

    def permuted(self, scope: Scope, place: int, axes: tuple[int, ...]) -> Tensor:
        """The numbers that a tensor stands for, with axes in another order: the whole numbers are moved."""
        key = place, axes
        if key not in scope.permuted:
            info = self._info(scope, place)
            array = None if place in scope.stored else array_of(self.file, info)
            if array is None:
                held = shape_ops.permute_dims(self.stored(scope, place), axes)
            else:
                self._copied(array.nbytes)
                held = self._constant(scope, info, np.ascontiguousarray(array.transpose(axes)))
            scope.permuted[key] = dequantized(held, _moved(info.quantization, axes))
        return scope.permuted[key]

    def as_stored(self, x: Tensor, info: TensorInfo) -> Tensor:
        """A result as the file has it."""
        return quantized(x, info)

    def _info(self, scope: Scope, place: int) -> TensorInfo:
        if place < 0:
            raise FileFormatError("an input that is needed is absent", hint=AGAIN)
        return scope.graph.tensors[place]

    def _copied(self, count: int) -> None:
        """Count bytes of constants that are copied, before they are."""
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise FileFormatError("the constants share their bytes too often", hint=AGAIN)

    def _constant(self, scope: Scope, info: TensorInfo, array: np.ndarray) -> Tensor:
        dtype = dtype_of(info.kind)
        trained = self.trainable and scope.is_main and array.ndim and dtype.is_floating
        plain = self.plain_name(info.name)
        with sourced(info.name), out_of_scopes():
            if trained and not info.is_variable:
                return variable(plain, initializer=array, trainable=True)
            return constant(array, name=plain, allow_nan=True)

    def plain_name(self, name: str) -> str:
        """A name as nodes can have it, another for each input and weight."""
        plain = base = safe_name(first_name(name))
        while plain in self.taken:
            self.taken[base] += 1
            plain = f"{base}.{self.taken[base]}"
        self.taken[plain] = 1
        return plain

    # Operators

    def _operator(self, operator: OperatorInfo, scope: Scope) -> None:
        self.left -= 1
        if self.left < 0:
            raise FileFormatError("the subgraphs call one another too often", hint=AGAIN)
        call = Call(operator, self, scope)
        outputs = [scope.graph.tensors[place] for place in operator.outputs if place >= 0]
        name = first_name(outputs[0].name) if outputs else operator.name
        try:
            with sourced(name), in_scope_of(name):
                made = self._results(call)
        except GraphFlowError as error:
            if call.label not in error.message:
                error.message = f"{call.label}, {name!r:.80}: {error.message}"
            raise
        except DAMAGE as error:
            raise FileFormatError(
                f"{call.label}, {name!r:.80}, cannot be imported: {error!s:.200}", hint=AGAIN
            ) from error
        for place, value in zip(operator.outputs, made):
            self._define(scope, place, value)

    def _results(self, call: Call) -> list[Tensor]:
        """The outputs of an operator as in the file."""
        operator, scope, name = call.operator, call.scope, call.operator.name
        infos = [self._info(scope, place) for place in operator.outputs]
        moves = STORED.get(name) or (MOVES.get(name) if _can_move(call, infos) else None)
        if moves is not None:
            made = moves(call, *self._given(call, self.stored))
            return [_of_dtype(value, dtype_of(info.kind)) for value, info in self._paired(call, made, infos)]
        build = MOVES.get(name) or COMPUTES[name]
        made = build(call, *self._given(call, self.real))
        return [quantized(value, info) for value, info in self._paired(call, made, infos)]

    def _given(self, call: Call, which: Any) -> list[Tensor | None]:
        """The inputs, except those that the builder takes with `Call.permuted`."""
        taken = PERMUTED.get(call.operator.name, ())
        return [
            None if place < 0 or number in taken else which(call.scope, place)
            for number, place in enumerate(call.operator.inputs)
        ]

    def _paired(self, call: Call, made: Any, infos: Sequence[TensorInfo]) -> list[tuple[Tensor, TensorInfo]]:
        values = list(made) if isinstance(made, (tuple, list)) else [made]
        if len(values) < len(infos):
            raise FileFormatError(
                f"{call.label} has {len(infos)} outputs in the file, but makes {len(values)}",
                hint=AGAIN,
            )
        return list(zip(values, infos))


def first_name(name: str) -> str:
    """The first of the names that a converter joins for what it fused.

    >>> first_name("net/conv/Relu;net/conv/BiasAdd;")
    'net/conv/Relu'
    """
    return next((part for part in name.split(";") if part), "unnamed")


def dequantized(x: Tensor, how: Quantization | None) -> Tensor:
    """The numbers that whole ones stand for."""
    if how is None or x.dtype.is_floating:
        return x
    if x.dtype is dtypes.int64:  # the biases of 16-bit activations
        return casting.astype(
            casting.astype(x, dtypes.float64) * _scale(how, x).astype(np.float64), dtypes.float32
        )
    zero = how.zero.astype(x.dtype.numpy) if how.zero.any() else None
    if how.scale.size == 1:
        zero = None if zero is None else zero.reshape(())
        return quantization.dequantize_linear(x, how.scale.reshape(()), zero)
    return quantization.dequantize_linear(x, how.scale, zero, axis=how.axis)


def _scale(how: Quantization, x: Tensor) -> np.ndarray:
    """The scales so that they broadcast to x."""
    if how.scale.size == 1:
        return how.scale.reshape(())
    return how.scale.reshape([-1 if axis == how.axis else 1 for axis in range(x.ndim)])


def quantized(x: Tensor, info: TensorInfo) -> Tensor:
    """A result as the file has it: as whole numbers, if it is quantized."""
    dtype, how = dtype_of(info.kind), info.quantization
    if how is None or not x.dtype.is_floating or dtype.is_floating:
        return _of_dtype(x, dtype)
    if info.kind not in QUANTIZED or how.scale.size != 1:
        raise FileFormatError(
            f"the tensor {info.name!r:.80} is {dtype.name} with {how.scale.size} scales, and is computed",
            hint="8 and 16 bits with one scale are supported there",
        )
    zero = how.zero.astype(dtype.numpy).reshape(()) if how.zero.any() else None
    return quantization.quantize_linear(x, how.scale.reshape(()), zero, dtype=dtype)


def _of_dtype(x: Tensor, dtype: DType) -> Tensor:
    return x if x.dtype is dtype else casting.astype(x, dtype)


def _moved(how: Quantization | None, axes: tuple[int, ...]) -> Quantization | None:
    """The quantization of a tensor whose axes are put into another order."""
    if how is None or how.scale.size == 1:
        return how
    return Quantization(how.scale, how.zero, axes.index(how.axis))


def _can_move(call: Call, outputs: Sequence[TensorInfo]) -> bool:
    """Whether all has one scale and nothing is done to it, so that whole numbers can be moved as they are."""
    inputs = [call.input_info(number) for number in range(len(call.operator.inputs))]
    held = [one.quantization for one in (*inputs, *outputs) if one is not None and one.kind in QUANTIZED]
    first = held[0] if held else None
    if first is None:
        return all(one is None for one in held)
    return first.scale.size == 1 and not call.fused and all(first.same_as(one) for one in held)
