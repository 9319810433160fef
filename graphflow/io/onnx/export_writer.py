"""A writer of ONNX graphs: it names values, keeps arrays for later, and casts what an operator does not take.

Which element types an operator takes in an opset is read from ONNX's own schemas. A value of another type is
computed in a wider one that the operator does take, and cast back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, helper

from graphflow.errors import GraphFlowError
from graphflow.io.onnx.tensors import dtype_of, number_of
from graphflow.ir import dims
from graphflow.ir.attrs import array_key
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import DType, as_dtype, string
from graphflow.ir.node import Node, Tensor

_T = TensorProto
_WIDER: dict[int, tuple[int, ...]] = {
    _T.BFLOAT16: (_T.FLOAT, _T.DOUBLE),
    _T.FLOAT16: (_T.FLOAT, _T.DOUBLE),
    _T.FLOAT: (_T.DOUBLE,),
    _T.BOOL: (_T.UINT8, _T.INT32, _T.FLOAT),
    _T.INT4: (_T.INT8, _T.INT32),
    _T.UINT4: (_T.UINT8, _T.INT32),
    _T.INT8: (_T.INT16, _T.INT32, _T.INT64, _T.FLOAT),
    _T.UINT8: (_T.INT16, _T.UINT16, _T.INT32, _T.INT64, _T.FLOAT),
    _T.INT16: (_T.INT32, _T.INT64, _T.FLOAT),
    _T.UINT16: (_T.INT32, _T.INT64, _T.FLOAT),
    _T.INT32: (_T.INT64, _T.DOUBLE),
    _T.UINT32: (_T.INT64, _T.DOUBLE),
}

LARGEST, SMALLEST = 2**63 - 1, -(2**63)
"""Positions that mean the end, and the beginning, of any axis."""


class NoForm(Exception):
    """Why something cannot be said in ONNX."""


@dataclass
class Shared:
    """What the graphs of one model share.

    Attributes:
        opset: the version of ONNX's own domain.
        domains: versions of other domains that nodes use.
        arrays: the values of initializers, by name.
        kinds: the element type of each value, by name.
        used: all names of values.
        symbol: (name of a size) -> a value with it; raises NoForm.
        sizes: values of sizes that were computed already.
        counters, written: how often names of values, and of our nodes, were asked for.
        same: the initializers of small values.
    """

    opset: int
    symbol: Callable[[str], str]
    domains: dict[str, int] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    counters: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    sizes: dict[Size, str] = field(default_factory=dict)
    same: dict[Any, str] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """A name that no value has."""
        made, number = name, self.counters.get(name, 0)
        while made in self.used:
            number += 1
            made = f"{name}_{number}"
        self.counters[name] = number
        self.used.add(made)
        return made

    def node_name(self, name: str) -> str:
        """A name that no node has: a body may be written more than once."""
        number = self.written.get(name, 0)
        self.written[name] = number + 1
        return self.node_name(f"{name}_{number}") if number else name


class Writer:
    """One ONNX graph, that of the model or one inside a node, while it is written.

    Attributes:
        nodes: its nodes, in order.
        root: the writer of the model's graph, where sizes are computed.
        label: the name of our node that is being written.
    """

    def __init__(self, shared: Shared, root: Writer | None = None) -> None:
        self.shared = shared
        self.root = root if root is not None else self
        self.nodes: list[onnx.NodeProto] = []
        self.label = ""

    @property
    def opset(self) -> int:
        """The version of ONNX's own domain."""
        return self.shared.opset

    def has(self, op_type: str) -> bool:
        """Whether the opset has an operator."""
        return bool(defs.has(op_type, self.opset, ""))

    def kind(self, value: str) -> int:
        """The element type of a value."""
        return self.shared.kinds[value]

    def dtype(self, value: str) -> DType:
        """The dtype of a value."""
        return dtype_of(self.kind(value))

    # Constants and sizes

    def constant(self, value: Any, dtype: DType | None = None, name: str = "") -> str:
        """An initializer; small equal ones are shared."""
        array = np.asarray(value, None if dtype is None else dtype.numpy)
        key = None if name or array.nbytes > 4096 else array_key(array)
        if key is not None and key in self.shared.same:
            return self.shared.same[key]
        made = self.shared.unique(name or f"{self.label}/constant" if self.label or name else "constant")
        self.shared.arrays[made] = array
        self.shared.kinds[made] = kind_of(array)
        if key is not None:
            self.shared.same[key] = made
        return made

    def like(self, number: Any, value: str) -> str:
        """A scalar of the dtype of a value."""
        return self.constant(number, self.dtype(value))

    def ints(self, values: Sequence[int]) -> str:
        """An int64 vector."""
        return self.constant(np.array(values, np.int64).reshape(-1))

    def shape(self, sizes: Sequence[Size]) -> str:
        """An int64 vector of sizes; those with symbols are computed from the inputs."""
        if all(isinstance(size, int) for size in sizes):
            return self.ints([int(size) for size in sizes])
        root = self.root
        parts = [root.ints([size]) if isinstance(size, int) else root.vector(size) for size in sizes]
        return parts[0] if len(parts) == 1 else root.emit("Concat", *parts, axis=0)

    def vector(self, size: Size) -> str:
        """A size as an int64 vector of one element."""
        if isinstance(size, int):
            return self.ints([size])
        root, known = self.root, self.shared.sizes
        if size not in known:
            known[size] = root._computed(size)
        return known[size]

    def scalar(self, size: Size, dtype: DType | None = None) -> str:
        """A size as a scalar."""
        if isinstance(size, int):
            return self.constant(np.array(size, np.int64 if dtype is None else dtype.numpy))
        made = self.emit("Reshape", self.vector(size), self.ints([]))
        return made if dtype is None else self.cast(made, dtype)

    def _computed(self, size: dims.Dim) -> str:
        if size.symbol is not None:
            return self.shared.symbol(size.symbol.name)
        total = ""
        for monomial, factor in size.terms:
            made = self.ints([factor])
            for place, atom in enumerate(monomial):
                value = self._atom(atom)
                made = value if place == 0 and factor == 1 else self.emit("Mul", made, value)
            total = made if not total else self.emit("Add", total, made)
        return total

    def _atom(self, atom: Any) -> str:
        if isinstance(atom, dims.Symbol):
            return self.shared.symbol(atom.name)
        left, right = self.vector(atom.left), self.vector(atom.right)
        said = _COMPOUND.get(atom.kind)
        if said is None:
            raise NoForm(f"the size {atom} is not computed in ONNX")
        low = dims.bounds(atom.left)[0]
        if said == "Div" and (
            low is None or low < 0
        ):  # of integers ONNX truncates, so that what is left over is taken away before
            left = self.emit("Sub", left, self.emit("Mod", left, right))
        return self.emit(said, left, right)

    # Nodes

    def cast(self, value: str, dtype: DType | int, **attributes: Any) -> str:
        """A value in another type."""
        number = dtype if isinstance(dtype, int) else number_or_none(dtype)
        if self.kind(value) == number:
            return value
        return self.emit("Cast", value, kinds=[number], to=number, **attributes)

    def emit(
        self,
        op_type: str,
        *inputs: str,
        outputs: int = 1,
        kinds: Sequence[int] = (),
        **attributes: Any,
    ) -> Any:
        """Add a node of ONNX's own domain, in types that it takes.

        Arguments:
            inputs: names of values; "" leaves one out.
            outputs: how many.
            kinds: the element types of the outputs, where the schema does not tell.

        Returns:
            the name of the output, or a tuple of them.

        Raises:
            NoForm: if the opset has no such operator, or not for these types.
        """
        if not self.has(op_type):
            raise NoForm(f"opset {self.opset} has no {op_type}")
        schema = defs.get_schema(op_type, self.opset, "")
        taken, bound, widened = self._fitting(schema, inputs)
        results = []
        plan = []
        for number in range(outputs):
            formal = schema.outputs[min(number, len(schema.outputs) - 1)].type_str
            kind = kinds[number] if number < len(kinds) else _result(schema, formal, bound)
            allowed = _allowed(schema, formal)
            if formal not in widened and allowed and _text(kind) not in allowed:
                raise NoForm(f"{op_type} of opset {self.opset} gives no {dtype_of(kind).name}")
            plan.append((kind, widened.get(formal, kind)))
        names = [self.fresh(op_type, made) for _, made in plan]
        present = {name: value for name, value in attributes.items() if value is not None}
        self.add(helper.make_node(op_type, taken, names, **present))
        for name, (kind, made) in zip(names, plan):
            results.append(name if kind == made else self.emit("Cast", name, kinds=[kind], to=kind))
        return results[0] if outputs == 1 else tuple(results)

    def fresh(self, base: str, kind: int) -> str:
        """A new name of a value of some type."""
        name = self.shared.unique(f"{self.label}/{base}" if self.label else base)
        self.shared.kinds[name] = kind
        return name

    def add(self, node: onnx.NodeProto) -> None:
        """Add a node as it is; it gets a name of its own."""
        node.name = node.output[0]
        self.nodes.append(node)

    def _fitting(
        self, schema: Any, inputs: Sequence[str]
    ) -> tuple[list[str], dict[str, int], dict[str, int]]:
        """The inputs in types that the schema takes; what type variables stand for, and were widened to."""
        bound: dict[str, int] = {}
        widened: dict[str, int] = {}
        taken = []
        for number, value in enumerate(inputs):
            formal = schema.inputs[min(number, len(schema.inputs) - 1)].type_str
            if value:
                kind, allowed = self.kind(value), _allowed(schema, formal)
                bound.setdefault(formal, kind)
                if allowed and _text(kind) not in allowed:
                    if schema.name == "Cast":
                        raise NoForm(f"Cast of opset {self.opset} takes no {dtype_of(kind).name}")
                    widened[formal] = _wider(schema.name, kind, allowed, self.opset)
                if formal in widened:
                    value = self.cast(value, widened[formal])
            taken.append(value)
        return taken, bound, widened


_COMPOUND = {"//": "Div", "%": "Mod", "max": "Max", "min": "Min"}


def kind_of(array: np.ndarray) -> int:
    """The ONNX element type of an array.

    Raises:
        NoForm: if ONNX has none.
    """
    return number_or_none(string if array.dtype.kind in "OUST" else as_dtype(array.dtype))


def number_or_none(dtype: DType) -> int:
    """The ONNX element type of a dtype.

    Raises:
        NoForm: if ONNX has none.
    """
    try:
        return number_of(dtype)
    except (GraphFlowError, ValueError, KeyError, TypeError):
        raise NoForm(f"ONNX has no {dtype.name}") from None


def _text(kind: int) -> str:
    return f"tensor({TensorProto.DataType.Name(kind).lower()})"


def _allowed(schema: Any, formal: str) -> frozenset[str]:
    """What a type variable can be, or the one type that is named; nothing for anything."""
    for constraint in schema.type_constraints:
        if constraint.type_param_str == formal:
            return frozenset(constraint.allowed_type_strs)
    return frozenset((formal,))


def _wider(op_type: str, kind: int, allowed: frozenset[str], opset: int) -> int:
    for wide in _WIDER.get(kind, ()):
        if _text(wide) in allowed:
            return wide
    raise NoForm(f"{op_type} of opset {opset} takes no {dtype_of(kind).name}")


def _result(schema: Any, formal: str, bound: Mapping[str, int]) -> int:
    if formal in bound:
        return bound[formal]
    (only,) = _allowed(schema, formal)
    return int(TensorProto.DataType.Value(only[7:-1].upper()))


def kind_or_float(tensor: Tensor) -> int:
    """The ONNX element type of a tensor; float32 where ONNX has none, which is told elsewhere."""
    try:
        return number_or_none(tensor.dtype)
    except NoForm:
        return 1


def named(w: Writer, node: Node, values: list[str], start: int, wanted: dict[Tensor, str]) -> list[str]:
    """Give the results that were made for a node its name, or that which the model's output is to have."""
    made = w.nodes[start:]
    fresh = {name for one in made for name in one.output}
    results = []
    renamed: dict[str, str] = {}
    for tensor, value in zip(node.outputs, values):
        if value in renamed or value not in fresh:
            results.append(renamed.get(value, value))
            continue
        plain = node.name if len(node.outputs) == 1 else f"{node.name}:{tensor.index}"
        name = wanted.get(tensor) or w.shared.unique(plain)
        renamed[value] = name
        w.shared.kinds[name] = w.shared.kinds[value]
        results.append(name)
    for one in made:
        for listed in (one.input, one.output):
            for place, value in enumerate(listed):
                if value in renamed:
                    listed[place] = renamed[value]
    if made and renamed:
        made[-1].name = w.shared.node_name(node.name)
    return results
