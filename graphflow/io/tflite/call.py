"""One operator while it is imported: its options, the values that decide sizes, weights in our layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphflow import nn
from graphflow.errors import FileFormatError, ShapeError
from graphflow.io.tflite.reading import AGAIN, OperatorInfo, Quantization, TensorInfo
from graphflow.ir.node import Tensor
from graphflow.ops import elementwise, statistics, trigonometry

if TYPE_CHECKING:
    from graphflow.io.tflite.importer import Importer, Scope

ACTIVATIONS: dict[int, Any] = {
    0: lambda y: y,
    1: nn.relu,
    2: lambda y: statistics.clip(y, -1, 1),
    3: lambda y: statistics.clip(y, 0, 6),
    4: trigonometry.tanh,
    5: lambda y: elementwise.sign(y),
}
"""What is done to a result at once, by the numbers of ActivationFunctionType."""


class Call:
    """An operator that is being imported.

    Attributes:
        operator: what the file says of it.
        importer, scope: who imports it, and the tensors it sees.
    """

    def __init__(self, operator: OperatorInfo, importer: Importer, scope: Scope) -> None:
        self.operator = operator
        self.importer = importer
        self.scope = scope

    @property
    def label(self) -> str:
        """What errors call it."""
        return f"operator {self.operator.index} ({self.operator.name})"

    # Options

    def option(self, name: str, default: Any = 0) -> Any:
        """An option of the operator; the default if it has none at all.

        Raises:
            FileFormatError: if the options are those of another operator.
        """
        options = self.operator.options
        if options is None:
            return default
        if not hasattr(options, name):
            raise FileFormatError(
                f"{self.label} has {type(options).__name__}, which have no {name}",
                hint=AGAIN,
            )
        return getattr(options, name)()

    def options(self, name: str) -> tuple[int, ...]:
        """An option that is a list of integers, empty if there is none."""
        if self.operator.options is None or not self.option(f"{name}Length"):
            return ()
        return tuple(self.option(f"{name}AsNumpy").tolist())

    @property
    def fused(self) -> int:
        """The number of the activation that the result goes through; 0 for none."""
        has_one = hasattr(self.operator.options, "FusedActivationFunction")
        return int(self.operator.options.FusedActivationFunction()) if has_one else 0

    def activated(self, y: Tensor) -> Tensor:
        """A result, with the activation that the options ask for."""
        number = self.fused
        if number not in ACTIVATIONS:
            raise FileFormatError(f"{self.label} has the unknown activation {number}", hint=AGAIN)
        made: Tensor = ACTIVATIONS[number](y)
        return made

    # Tensors

    def input_info(self, place: int) -> TensorInfo | None:
        """What the file says of an input; None for one that is absent."""
        inputs = self.operator.inputs
        if place >= len(inputs) or inputs[place] < 0:
            return None
        return self.scope.graph.tensors[inputs[place]]

    def output_info(self, place: int = 0) -> TensorInfo:
        """What the file says of an output.

        Raises:
            FileFormatError: if there is none.
        """
        outputs = self.operator.outputs
        if place >= len(outputs) or outputs[place] < 0:
            raise FileFormatError(f"{self.label} has no output {place}", hint=AGAIN)
        return self.scope.graph.tensors[outputs[place]]

    def quantization(self, place: int) -> Quantization | None:
        """What the numbers of an input stand for."""
        info = self.input_info(place)
        return None if info is None else info.quantization

    def permuted(self, place: int, axes: tuple[int, ...]) -> Tensor:
        """The numbers of an input with its axes in another order, in which a constant is kept.

        Raises:
            ShapeError: if it has another number of axes.
        """
        rank = self.rank(place)
        if rank != len(axes):
            raise ShapeError(f"input {place} has to have {len(axes)} axes, but has {rank}", hint=AGAIN)
        return self.importer.permuted(self.scope, self.operator.inputs[place], axes)

    def rank(self, place: int) -> int:
        """How many axes an input has; -1 for one that is absent."""
        info = self.input_info(place)
        if info is None:
            return -1
        found = self.scope.stored.get(self.operator.inputs[place])
        return len(info.shape) if found is None else found.ndim

    def as_stored(self, y: Tensor) -> Tensor:
        """A result as the file has it, whole numbers if it is quantized."""
        return self.importer.as_stored(y, self.output_info())

    # Values

    def known(self, value: Any) -> Any:
        """The numbers that a tensor holds, where a size, an axis or an option is needed; None stays.

        Raises:
            ShapeError: if they are not known before the graph runs.
        """
        if not isinstance(value, Tensor):
            return value
        if value.node.op.name == "constant":
            return _nested(np.asarray(value.node.attrs["value"]).tolist())
        try:
            return value.known_value()
        except ShapeError as error:
            raise ShapeError(
                f"{self.label} can be imported only where it is known what {value.name} holds",
                hint="make it a constant of the model, or fix the sizes of inputs: shapes={'x': (...)}",
            ) from error

    def numbers(self, value: Any) -> Any:
        """`known` as a tuple; a scalar is a tuple of one."""
        found = self.known(value)
        return found if found is None or isinstance(found, tuple) else (found,)

    def number(self, value: Any) -> Any:
        """`known` of a single element.

        Raises:
            FileFormatError: if there are several.
        """
        found = self.known(value)
        while isinstance(found, tuple):
            if len(found) != 1:
                raise FileFormatError(f"{self.label} needs one number, not {found!r:.80}", hint=AGAIN)
            (found,) = found
        return found

    def axis(self, value: Any, rank: int) -> int:
        """An axis, as a number from 0 on.

        Raises:
            FileFormatError: if there is no such axis.
        """
        found = self.number(value)
        if not isinstance(found, int) or not -rank <= found < max(rank, 1):
            raise FileFormatError(
                f"{self.label} has axis {found!r:.80} of {rank}",
                hint=AGAIN,
            )
        return found % max(rank, 1)


def _nested(value: Any) -> Any:
    return tuple([_nested(one) for one in value]) if isinstance(value, list) else value
