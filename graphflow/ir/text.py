"""The text form, written: a graph as lines that people can read and compare, and `parse` reads back.

    graphflow-text 1
    graph "digits" {
      symbol batch in 1..512
      %image: float32[batch, 64] = placeholder() @ "train.py":12
      %w: float32[64, 10] = variable(initializer=init.glorot_uniform(gain=0x1p+0), trainable=true)
      %logits: float32[batch, 10] = matmul(%image, %w)
      outputs %logits
    }

One node a line, in an order in which they can run; attributes sorted by name; floats in hex, so
that every bit is kept. docs/text-form.md has the grammar.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import numpy as np

from graphflow.errors import GraphError
from graphflow.ir import dims
from graphflow.ir.atoms import Symbol
from graphflow.ir.body import Body, nested_nodes
from graphflow.ir.dims import Dim, Size
from graphflow.ir.dtypes import DType, as_dtype
from graphflow.ir.graph import Graph
from graphflow.ir.node import Node, Tensor
from graphflow.ir.provenance import Origin
from graphflow.ir.records import write_record
from graphflow.ir.types import TensorType

VERSION = 1
INLINE_LIMIT = 64
"""Arrays of more elements are referred to by name; those of strings never are."""

SHOWN = 200
"""Nodes that `print(graph)` shows; of more, the first and the last ones."""

_BARE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*\Z")


def print_graph(
    graph: Graph,
    arrays: MutableMapping[str, np.ndarray] | None = None,
    origins: bool = True,
    folders: bool = True,
) -> str:
    """The text form of a graph; `parse_graph` is its inverse.

    Arguments:
        graph: what to write. Of a Program, the nodes its outputs need.
        arrays: receives the arrays that the text refers to by name: those of more than 64 elements
            and, if it is given, the initial arrays of all variables.
        origins: write the user's file and line of each node.
        folders: write the folders of those files too, once at the top.

    Raises:
        GraphError: if an attribute has no text form.

    >>> import graphflow as gf
    >>> with gf.Graph("sum") as g:
    ...     x = gf.placeholder("x", ("batch", 2))
    ...     y = gf.add(x, 1.0, name="y")
    >>> print(print_graph(g, origins=False))
    graphflow-text 1
    graph "sum" {
      symbol batch
      %x: float32[batch, 2] = placeholder()
      %constant: float32[] = constant(value=float32[]{0x1p+0})
      %y: float32[batch, 2] = add(%x, %constant)
    }
    <BLANKLINE>
    """
    return _Printer(graph, arrays).text(origins, folders)


def shown_graph(graph: Graph, most: int = SHOWN) -> str:
    """The text form for reading: of a graph or body with more nodes than `most`, the first and last of them.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ())
    >>> for _ in range(1000):
    ...     x = gf.exp(x)
    >>> shown_graph(x.graph, 4).splitlines()[-3].strip(" .")
    '997 more nodes, which gf.print_graph(graph) writes too'
    """
    return _Printer(graph, None, most=most).text(origins=True, folders=True)


def array_names(node_name: str, place: str, weights: bool) -> str:
    """The name under which an array is kept apart from the text.

    Variables' initial arrays have the name of the variable. No variable's name has a colon, so the
    others, `node:place`, cannot be confused with them.
    """
    return node_name if weights and place == "initializer.array" else f"{node_name}:{place}"


class _Printer:
    """Writes one graph."""

    def __init__(
        self,
        graph: Graph,
        arrays: MutableMapping[str, np.ndarray] | None,
        files: Mapping[str, str] | None = None,
        path: str = "",
        most: int | None = None,
    ) -> None:
        self.graph = graph
        self.arrays = arrays
        self.files = files
        self.path = path
        self.most = most
        self.nodes = printed_nodes(graph)
        self.skipped = 0 if most is None else max(0, len(self.nodes) - most)
        if self.skipped and most is not None:
            self.nodes = self.nodes[: most - most // 4] + self.nodes[len(self.nodes) - most // 4 :]
        self.names = {node.name: node for node in self.nodes}
        self.symbols, self.first_use = _symbols(self.nodes)

    def text(self, origins: bool, folders: bool) -> str:
        lines = [f"graphflow-text {VERSION}"]
        self.files = _short_names(nested_nodes(self.nodes), folders) if origins else None
        for file, short in (self.files or {}).items():
            if folders and short != file:
                lines.append(f"file {quoted(short)} = {quoted(file)}")
        lines.append(self._graph(self._symbol_lines()))
        return "\n".join(lines) + "\n"

    def _graph(self, lines: Iterable[str] = ()) -> str:
        """`graph "name" {`, a line each of what is in it, and `}`."""
        nodes = list(map(self._node, self.nodes))
        if self.skipped and self.most is not None:
            said = f"... {self.skipped:,} more nodes, which gf.print_graph(graph) writes too ..."
            nodes.insert(self.most - self.most // 4, said)
        inner = [*lines, *nodes, *self._tail()]
        return (
            "\n  ".join(
                [f"graph {quoted(self.graph.name)} {{", *[line.replace("\n", "\n  ") for line in inner]]
            )
            + "\n}"
        )

    def _symbol_lines(self) -> Iterable[str]:
        for _, symbol in sorted(self.symbols.items()):
            limits = f" in {symbol.min}..{'' if symbol.max is None else symbol.max}"
            yield f"symbol {symbol}" + limits * ((symbol.min, symbol.max) != (0, None))

    def _node(self, node: Node) -> str:
        op = node.op
        given = [tensor_text(tensor) for tensor in node.inputs]
        implied = implied_attributes([tensor.type for tensor in node.outputs])
        for name, value in sorted(node.attrs.items()):
            if not (name in implied and _is_implied(value, implied[name])):
                given.append(f"{name}={self._value(value, node, name)}")
        version = "" if op.version == 1 else f"@{op.version}"
        line = f"{node_text(node)}: {types_text(node)} = {op.name}{version}({', '.join(given)})"
        if self.files is not None and node.origin is not None:
            line += f" @ {self._origin(node.origin, self.files)}"
        if node.lineage is not None:
            rule, names = node.lineage
            line += f" via {quoted(rule)}({', '.join(map(quoted, names))})"
        return line

    def _origin(self, origin: Origin, files: Mapping[str, str]) -> str:
        place = f"{quoted(files[origin.file])}:{origin.line}"
        return place if origin.source_name is None else f"{place} {quoted(origin.source_name)}"

    def _tail(self) -> Iterable[str]:
        """Constraints, statistics and outputs."""
        written: set[tuple[Size, Size, Node]] = set()
        for left, right, node in self.graph.constraints:
            holder = self._holder(left, right, node)
            if holder is not None and (left, right, holder) not in written:
                written.add((left, right, holder))
                yield f"require {left} == {right} by {node_text(holder)}"
        for tensor, assign in self.graph.statistics:
            yield f"statistics {tensor_text(tensor)} -> {node_text(assign)}"
        if self.graph.outputs:
            yield "outputs " + ", ".join([tensor_text(tensor) for tensor in self.graph.outputs])

    def _holder(self, left: Size, right: Size, node: Node) -> Node | None:
        """The node to blame for a constraint; where the optimizer removed it, one that has the size."""
        if not all(name in self.symbols for size in (left, right) for name in dims.symbols(size)):
            return None
        if node.name in self.names:
            return self.names[node.name]
        return next((self.first_use[name] for size in (left, right) for name in dims.symbols(size)), None)

    def _value(self, value: Any, node: Node, place: str) -> str:
        if isinstance(value, np.ndarray):
            return self._array(value, node, place)
        if isinstance(value, tuple):
            return f"[{', '.join([self._value(item, node, f'{place}.{i}') for i, item in enumerate(value)])}]"
        if isinstance(value, Body):
            path = f"{self.path}{node.name}:{place}/"
            return _Printer(value, self.arrays, self.files, path, self.most)._graph()
        if hasattr(value, "attribute_key"):
            prefix, name, fields = write_record(value)
            inner = [f"{key}={self._value(fields[key], node, f'{place}.{key}')}" for key in sorted(fields)]
            return f"{prefix}.{name}({', '.join(inner)})"
        return scalar_text(value)

    def _array(self, array: np.ndarray, node: Node, place: str) -> str:
        dtype = as_dtype(array.dtype)
        start = f"{dtype.name}[{', '.join(map(str, array.shape))}]"
        weights = node.op.name == "variable" and place == "initializer.array"
        apart = array.size > INLINE_LIMIT or (weights and self.arrays is not None)
        apart = apart and dtype.kind != "string"
        if not apart:
            return f"{start}{{{', '.join([element_text(item, dtype) for item in array.reshape(-1)])}}}"
        name = self.path + array_names(node.name, place, weights)
        if self.arrays is not None:
            self.arrays[name] = array
        return f"{start}@weights[{quoted(name)}]"


def printed_nodes(graph: Graph) -> list[Node]:
    """The nodes that are written, each after everything it reads: unread placeholders come first."""
    if not isinstance(graph, Graph):
        raise GraphError(f"{graph!r:.80} is no graph", hint="pass a gf.Graph, or model.graph")
    nodes = graph.order()
    if isinstance(graph, Body):
        return nodes
    listed = set(nodes)
    unread = [tensor.node for tensor in graph.placeholders.values() if tensor.node not in listed]
    return unread + nodes


def _symbols(nodes: Iterable[Node]) -> tuple[dict[str, Symbol], dict[str, Node]]:
    """The symbols in the types and attributes of nodes, and the first node that has each."""
    found: dict[str, Symbol] = {}
    first: dict[str, Node] = {}
    seen: set[Dim] = set()
    for node in nodes:
        for size in sizes_of(node):
            if size not in seen:
                seen.add(size)
                for name, symbol in dims.symbols(size).items():
                    found.setdefault(name, symbol)
                    first.setdefault(name, node)
    return found, first


def sizes_of(node: Node) -> Iterable[Dim]:
    """The symbolic sizes in the types and attributes of a node."""
    stack: list[Any] = [tensor.type.shape for tensor in node.outputs if not tensor.type.is_static]
    stack += node.attrs.values()
    while stack:
        value = stack.pop()
        if isinstance(value, Dim):
            yield value
        elif isinstance(value, tuple):
            stack += reversed(value)
        elif isinstance(value, Body):
            for inner in reversed(value.nodes):
                stack += [tensor.type.shape for tensor in inner.outputs if not tensor.type.is_static]
                stack += inner.attrs.values()


def _short_names(nodes: Iterable[Node], folders: bool) -> dict[str, str]:
    """For each file its name in the text: the base name, or all of it where base names clash."""
    files = dict.fromkeys(node.origin.file for node in nodes if node.origin is not None)
    bases = {file: os.path.basename(file) or file for file in files}
    if not folders:
        return bases
    count: dict[str, int] = {}
    for base in bases.values():
        count[base] = count.get(base, 0) + 1
    return {file: base if count[base] == 1 else file for file, base in bases.items()}


# Parts of lines


def quoted(text: str) -> str:
    """A JSON string; characters that cannot be seen are escaped."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def node_text(node: Node) -> str:
    """`%name`, quoted where the name has unusual characters."""
    return "%" + (node.name if _BARE_NAME.match(node.name) else quoted(node.name))


def tensor_text(tensor: Tensor) -> str:
    """`%node` for the only output of a node, `%node:1` for one of several."""
    return node_text(tensor.node) + (f":{tensor.index}" if len(tensor.node.outputs) > 1 else "")


def types_text(node: Node) -> str:
    """The type of the only output, or a list of types in parentheses."""
    if len(node.outputs) == 1:
        return str(node.outputs[0].type)
    return f"({', '.join([str(tensor.type) for tensor in node.outputs])})"


def implied_attributes(types: list[TensorType]) -> dict[str, Any]:
    """The attributes that are left out where they equal this: `dtype` and `shape` of the only output."""
    return {"dtype": types[0].dtype, "shape": types[0].shape} if len(types) == 1 else {}


def _is_implied(value: Any, implied: Any) -> bool:
    if isinstance(implied, DType):
        return value is implied
    return (
        isinstance(value, tuple)
        and value == implied
        and all(type(left) is type(right) for left, right in zip(value, implied))
    )


def scalar_text(value: Any) -> str:
    """None, a boolean, number, string, dtype or size."""
    if value is None or isinstance(value, (DType, Dim)):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, complex):
        return f"complex({float_text(value.real)}, {float_text(value.imag)})"
    if isinstance(value, str):
        return quoted(value)
    raise GraphError(f"{value!r} of type {type(value).__name__} has no text form")


def float_text(value: float) -> str:
    """The exact value in hex, without spare zeros; nan, inf and -inf.

    >>> float_text(1.5), float_text(-0.0), float_text(float("nan"))
    ('0x1.8p+0', '-0x0p+0', 'nan')
    """
    if not math.isfinite(value):
        return "nan" if value != value else "inf" if value > 0 else "-inf"
    mantissa, exponent = value.hex().split("p")
    whole, _, fraction = mantissa.partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}{'.' * bool(fraction)}{fraction}p{exponent}"


def element_text(item: Any, dtype: DType) -> str:
    """One element of an array."""
    if dtype.kind == "bool":
        return "true" if item else "false"
    if dtype.kind == "string":
        return quoted(item)
    if dtype.kind.endswith("int"):
        return str(int(item))
    if dtype.kind.endswith("float"):
        return float_text(float(item))
    return f"({float_text(float(item.real))}, {float_text(float(item.imag))})"
