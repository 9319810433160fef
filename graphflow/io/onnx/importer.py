"""From an ONNX graph to a graph of ours: names, nodes, functions and nested graphs, one node after another.

What each operator means is told by the tables of the `import_...` modules, which `vocabulary` collects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import defs

from graphflow.errors import UNFORESEEN, FileFormatError, GraphFlowError
from graphflow.io.names import in_scope_of, safe_name, sourced
from graphflow.io.onnx.call import Call, Value, ValueNeeded
from graphflow.io.onnx.functions import expanded, instantiated
from graphflow.io.onnx.import_sequences import TABLE as OF_SEQUENCES
from graphflow.io.onnx.reading import DEEPEST, domain_of, label, opsets, subgraphs
from graphflow.io.onnx.tensors import filled, to_array
from graphflow.io.onnx.vocabulary import IMPORTS
from graphflow.ir.body import Body
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.node import Tensor
from graphflow.ops.declare import constant, variable

LISTS = frozenset({*OF_SEQUENCES, "Identity", "If", "Loop"})
"""The operators of ONNX's own domain that take sequences."""

MOST_FUNCTION_CALLS = 100_000
"""Calls of functions that a model is taken apart into; functions that call functions may double each time."""


class Scope:
    """The names that a graph defines, inside the names of the graphs around it."""

    def __init__(self, outer: Scope | None = None) -> None:
        self.outer = outer
        self.values: dict[str, Value] = {}

    def find(self, name: str) -> Value:
        """What a name stands for.

        Raises:
            FileFormatError: if nothing before defines it.
        """
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        raise FileFormatError(
            f"the name {name!r:.80} is used, but nothing before defines it",
            hint="nodes have to come after those they read, and cannot read one another in a circle",
        )

    def define(self, name: str, value: Value) -> None:
        """Let a name stand for a value.

        Raises:
            FileFormatError: if it stands for another already.
        """
        if name in self.values:
            raise FileFormatError(f"the name {name!r:.80} is defined twice", hint="get the model again")
        self.values[name] = value


@dataclass
class Weights:
    """How initializers become part of the graph.

    Attributes:
        trainable: as variables, where they are floats of rank 1 and more; otherwise all are constants.
        statistics: the names of those that are averages, which no training method changes.
    """

    trainable: bool = False
    statistics: frozenset[str] = frozenset()


class Importer:
    """Imports the graphs of one model into the current graph.

    Attributes:
        model, folder: what is imported, and where its other files are.
        fixed_sizes: refuse sizes that are fed, rather than work with symbols for them.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        folder: Path | None,
        weights: Weights | None = None,
        fixed_sizes: bool = False,
    ) -> None:
        self.model = model
        self.folder = folder
        self.weights = weights or Weights()
        self.fixed_sizes = fixed_sizes
        self.functions = {(domain_of(f), f.name, f.overload): f for f in model.functions}
        self.fed: dict[Tensor, str] = {}
        self.taken: dict[str, str] = {}
        self.versions: Mapping[str, int] = {}
        self.depth = 0
        self.calls = 0

    # Graphs

    def graph(self, graph: onnx.GraphProto, scope: Scope, versions: Mapping[str, int]) -> list[Value]:
        """The outputs of a graph, whose inputs the scope has."""
        self.initializers(graph, scope)
        self.nodes(graph.node, scope, versions)
        return [scope.find(output.name) for output in graph.output]

    def nested(self, call: Call, graph: onnx.GraphProto, given: Sequence[Value]) -> list[Value]:
        """The outputs of a branch or body of a node, for its inputs."""
        scope = Scope(call.scope)
        if len(given) < len(graph.input):
            raise FileFormatError(
                f"a graph of {call.label} has {len(graph.input)} inputs, but gets {len(given)}",
                hint="get the model again",
            )
        for entry, value in zip(graph.input, given):
            scope.define(entry.name, value)
        with self._deeper(call.label):
            return self.graph(graph, scope, self.versions)

    def initializers(self, graph: onnx.GraphProto, scope: Scope) -> None:
        """Define the initializers of a graph that the scope does not have yet."""
        for tensor in graph.initializer:
            if tensor.name not in scope.values:
                scope.define(tensor.name, self._weight(tensor.name, to_array(tensor, self.folder), scope))
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            if name not in scope.values:
                scope.define(name, self._weight(name, filled(sparse, self.folder), scope))

    def _weight(self, name: str, array: np.ndarray, scope: Scope) -> Tensor:
        plain = self.plain_name(name)
        is_variable = self.weights.trainable and scope.outer is None and array.ndim
        with sourced(name):
            if is_variable and as_dtype(array.dtype).is_floating:
                trained = name not in self.weights.statistics
                return variable(plain, initializer=array, trainable=trained)
            return constant(array, name=plain, allow_nan=True)

    def plain_name(self, name: str) -> str:
        """A name as nodes can have it, another for each input and weight."""
        plain = safe_name(name)
        while self.taken.setdefault(plain, name) != name:
            plain += "_"
        return plain

    def nodes(self, nodes: Sequence[onnx.NodeProto], scope: Scope, versions: Mapping[str, int]) -> None:
        """Import nodes in order."""
        before, self.versions = self.versions, versions
        try:
            for node in nodes:
                given = [scope.find(name) if name else None for name in node.input]
                made = self.call(node, given, scope, versions)
                for name, value in zip(node.output, made):
                    if name:
                        scope.define(name, value)
        finally:
            self.versions = before

    # Nodes

    def call(
        self, node: onnx.NodeProto, given: Sequence[Value], scope: Scope, versions: Mapping[str, int]
    ) -> Sequence[Value]:
        """The outputs of a node."""
        domain = domain_of(node)
        version = versions.get(domain, 1)
        call = Call(node, version, self, scope)
        function = self.functions.get((domain, node.op_type, node.overload))
        try:
            with sourced(label(node)), in_scope_of(node.name):
                if function is not None:
                    return self._function(call, instantiated(function, node), given)
                found = IMPORTS.get((domain, node.op_type))
                if found is None:
                    return self._function(call, expanded(node, given, versions), given)
                if not domain and node.op_type not in LISTS and any(isinstance(one, list) for one in given):
                    raise FileFormatError(
                        f"{call.label} cannot take a sequence", hint="take one element of it"
                    )
                made = found(call, *given)
        except ValueNeeded:
            raise
        except GraphFlowError as error:
            raise self._placed(error, call) from error
        except (*UNFORESEEN, RecursionError) as error:
            raise FileFormatError(
                f"{call.label} cannot be imported: {error!s:.200}", hint="see whether onnx.checker accepts it"
            ) from error
        return made if isinstance(made, tuple) else (made,)

    def _placed(self, error: GraphFlowError, call: Call) -> GraphFlowError:
        """The error of a node that failed: of values not known, if it asked for some, else with its name."""
        fed = [tensor for tensor in call.asked if self.inputs_above([tensor])]
        if fed:
            return call.needed(fed)
        if call.label not in error.message:
            error.message = f"{call.label}: {error.message}"
        return error

    def _function(
        self, call: Call, function: onnx.FunctionProto, given: Sequence[Value]
    ) -> tuple[Value, ...]:
        self.calls += 1
        if self.calls > MOST_FUNCTION_CALLS:
            raise FileFormatError("the functions of the model call one another too often")
        scope = Scope()
        for name, value in zip(function.input, [*given, *[None] * len(function.input)]):
            scope.define(name, value)
        versions = {**self.versions, **opsets(function.opset_import, self.versions[""])}
        with self._deeper(call.label):
            self.nodes(function.node, scope, versions)
        return tuple([scope.find(name) for name in function.output])

    @contextmanager
    def _deeper(self, what: str) -> Iterator[None]:
        if self.depth >= DEEPEST:
            raise FileFormatError(
                f"{what} lies more than {DEEPEST} graphs deep", hint="functions cannot call themselves"
            )
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    # What is known

    def inputs_above(self, values: Sequence[Tensor]) -> tuple[str, ...]:
        """The names of the inputs that decide these values; none if something in a loop does, too."""
        found: dict[str, None] = {}
        pending, seen = list(values), set(values)
        while pending:
            tensor = pending.pop()
            node = tensor.node
            above: Sequence[Tensor] = node.inputs
            if node.op.name == "placeholder":
                outer = node.graph.outside.get(tensor) if isinstance(node.graph, Body) else None
                if tensor in self.fed:
                    found[self.fed[tensor]] = None
                elif outer is None:
                    return ()
                else:
                    above = [outer]
            elif node.op.name == "shape_of":
                continue
            for one in above:
                if one not in seen:
                    seen.add(one)
                    pending.append(one)
        return tuple(sorted(found))


def unsupported(model: onnx.ModelProto) -> list[str]:
    """What of a model cannot be imported: one line for each operator and version, with its nodes."""
    functions = {(domain_of(f), f.name) for f in model.functions}
    rows: dict[tuple[str, str, int], list[str]] = {}
    places = [(model.graph.node, opsets(model.opset_import))]
    places += [(function.node, opsets(function.opset_import)) for function in model.functions]
    while places:
        nodes, versions = places.pop()
        for node in nodes:
            key = (domain_of(node), node.op_type)
            if key not in IMPORTS and key not in functions and not _has_body(*key, versions):
                rows.setdefault((*key, versions.get(key[0], 1)), []).append(label(node))
            places += [(graph.node, versions) for graph in subgraphs(node)]
    return [_row(key, names) for key, names in sorted(rows.items())]


def _has_body(domain: str, op_type: str, versions: Mapping[str, int]) -> bool:
    """Whether ONNX itself says what the operator is made of."""
    try:
        schema: Any = defs.get_schema(op_type, versions.get(domain, 1), domain)
    except defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def _row(key: tuple[str, str, int], names: Sequence[str]) -> str:
    domain, op_type, version = key
    nodes = ", ".join(repr(name) for name in names[:4]) + (f" and {len(names) - 4} more" if names[4:] else "")
    return f"{op_type} of {domain or 'ai.onnx'} {version}: {nodes}"
