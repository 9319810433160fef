"""One node while it is imported: its attributes, and the values of inputs that decide sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import onnx
from onnx import AttributeProto

from graphflow.errors import FileFormatError, ShapeError
from graphflow.io.onnx.reading import label
from graphflow.io.onnx.tensors import dtype_of, filled, to_array
from graphflow.ir import dims
from graphflow.ir.dtypes import DType
from graphflow.ir.fed_sizes import fed_element
from graphflow.ir.node import Tensor

if TYPE_CHECKING:
    from graphflow.io.onnx.importer import Importer, Scope

Value = Any
"""What a name of an ONNX model stands for: a tensor, a list of tensors, or None for an absent optional."""


class ValueNeeded(ShapeError):
    """A node can be imported only for given values of these inputs of the model.

    Attributes:
        names: of the inputs; none if the value is known only in the middle of a run.
    """

    names: tuple[str, ...] = ()


class Call:
    """A node that is being imported.

    Attributes:
        node: the node itself.
        version: of the operator set that it is from.
        wanted: how many outputs it has, with those in the middle that have no name.
        importer, scope: who imports it, and the names it sees.
    """

    def __init__(self, node: onnx.NodeProto, version: int, importer: Importer, scope: Scope) -> None:
        self.node = node
        self.version = version
        self.wanted = len(node.output)
        self.importer = importer
        self.scope = scope
        self.attributes = {attribute.name: attribute for attribute in node.attribute}
        self.asked: list[Tensor] = []

    @property
    def label(self) -> str:
        """What errors call it."""
        return f"{self.node.op_type} {label(self.node)!r:.80}"

    def has(self, name: str) -> bool:
        """Whether an attribute is given."""
        return name in self.attributes

    def asks(self, index: int) -> bool:
        """Whether an output is used."""
        return self.wanted > index and bool(self.node.output[index])

    def attr(self, name: str, default: Any = None) -> Any:
        """The value of an attribute: a number, text, an array, a graph, or a list of such."""
        found = self.attributes.get(name)
        return default if found is None else _plain(found, self)

    def flag(self, name: str, default: bool = False) -> bool:
        """An attribute that is 0 or 1."""
        return bool(self.attr(name, default))

    def dtype(self, name: str, default: DType | None = None) -> Any:
        """An attribute that numbers a dtype; 0 is none."""
        number = self.attr(name, 0)
        return dtype_of(number) if number else default

    def known(self, value: Value) -> Any:
        """The numbers that a tensor holds, where a size, an axis or an option is needed; None stays.

        Raises:
            ValueNeeded: if they are not known, with the inputs of the model that they depend on.
        """
        if not isinstance(value, Tensor):
            return value
        self.asked.append(value)
        try:
            found = value.known_value()
        except ShapeError:
            raise self.needed([value]) from None
        if self.importer.fixed_sizes and _fed_names(found):
            raise self.needed([value])
        return found

    def numbers(self, value: Value) -> Any:
        """`known` as a tuple; a scalar is a tuple of one."""
        found = self.known(value)
        return found if found is None or isinstance(found, tuple) else (found,)

    def number(self, value: Value, default: Any = None) -> Any:
        """`known` of a single element."""
        found = self.known(value)
        while isinstance(found, tuple):
            if len(found) != 1:
                raise FileFormatError(
                    f"{self.label} needs one number, not {found!r:.80}", hint="get the model again"
                )
            (found,) = found
        return default if found is None else found

    def array(self, value: Tensor) -> Any:
        """All that a tensor holds, of any size, where it is a constant."""
        if value.node.op.name != "constant":
            self.asked.append(value)
            raise self.needed([value])
        return value.node.attrs["value"]

    def needed(self, values: Sequence[Tensor]) -> ValueNeeded:
        """The error that these values have to be known."""
        names = self.importer.inputs_above(values)
        told = ", ".join(map(repr, names))
        error = ValueNeeded(
            f"{self.label} can be imported only where it is known what {told or 'it is given'} holds",
            hint=f"pass values={{{names[0]!r}: ...}}" if names else "make it a constant of the model",
        )
        error.names = names
        return error


def _fed_names(found: Any) -> bool:
    """Whether there is a size among these numbers that only a feed tells."""
    if isinstance(found, tuple):
        return any(map(_fed_names, found))
    return not isinstance(found, (bool, int, float)) and any(fed_element(one) for one in dims.symbols(found))


def _plain(attribute: AttributeProto, call: Call) -> Any:
    kind = attribute.type
    if kind == AttributeProto.FLOAT:
        return attribute.f
    if kind == AttributeProto.INT:
        return attribute.i
    if kind == AttributeProto.STRING:
        return attribute.s.decode("utf-8", "replace")
    if kind == AttributeProto.TENSOR:
        return to_array(attribute.t, call.importer.folder)
    if kind == AttributeProto.SPARSE_TENSOR:
        return filled(attribute.sparse_tensor, call.importer.folder)
    if kind == AttributeProto.GRAPH:
        return attribute.g
    if kind == AttributeProto.FLOATS:
        return list(attribute.floats)
    if kind == AttributeProto.INTS:
        return list(attribute.ints)
    if kind == AttributeProto.STRINGS:
        return [one.decode("utf-8", "replace") for one in attribute.strings]
    if kind == AttributeProto.TYPE_PROTO:
        return attribute.tp
    raise FileFormatError(
        f"the attribute {attribute.name!r:.80} of {call.label} is of a kind that is not supported",
        hint="numbers, text, tensors, types and graphs are, and lists of numbers and text",
    )
