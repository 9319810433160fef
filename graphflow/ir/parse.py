"""The text form, read: lines to nodes, each checked as it is made; every fault names its line and column.

Nothing in a text is executed, and what it describes is verified, so a hostile text gives a ParseError
or a graph like any other. The time is linear in the length of the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from graphflow.errors import GraphFlowError, ParseError, VerifyError
from graphflow.ir.attrs import Attrs
from graphflow.ir.body import Body
from graphflow.ir.dims import Dim, Size
from graphflow.ir.fed_sizes import fed_element, fed_symbol, unfed
from graphflow.ir.found_sizes import found_symbol, is_found
from graphflow.ir.graph import Graph
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import REQUIRED, OpDef, registry
from graphflow.ir.parse_sizes import LARGEST_SIZE, Scope, read_size
from graphflow.ir.parse_values import DEEPEST, read_fields, read_types
from graphflow.ir.provenance import Origin
from graphflow.ir.text import VERSION, implied_attributes, printed_nodes
from graphflow.ir.tokens import Line
from graphflow.ir.types import TensorType
from graphflow.ir.verify import verify_links, verify_node, verify_tables

LONGEST_SYMBOL = 255

_STATEMENTS = ("symbol", "require", "statistics", "outputs")
_EXPECTED = ", ".join(_STATEMENTS)


def parse_graph(text: str, arrays: Mapping[str, np.ndarray] | None = None) -> Graph:
    """The graph that a text describes; the inverse of `print_graph`.

    Arguments:
        text: the text form.
        arrays: what the text refers to by name.

    Raises:
        ParseError: with the line and column of what is wrong, and what to do.

    >>> g = parse_graph('''
    ... graphflow-text 1
    ... graph "double" {
    ...   symbol batch
    ...   %x: float32[batch] = placeholder()
    ...   %y: float32[batch] = add(%x, %x)
    ...   outputs %y
    ... }
    ... ''')
    >>> g.outputs
    [<tensor y:0 float32[batch] by add>]
    """
    return _Parser(text, arrays).parse()


class _Parser:
    """Reads one text."""

    def __init__(self, text: str, arrays: Mapping[str, np.ndarray] | None) -> None:
        if not isinstance(text, str):
            raise ParseError(f"a text form is a str, not {type(text).__name__}", hint="decode it as UTF-8")
        self.lines = _lines(text)
        self.scope = Scope(arrays)
        self.scope.read_graph = self._body
        self.files: dict[str, str] = {}
        self.depth = 0
        self.equal: set[tuple[Size, Size]] = set()
        self._enter(Graph())

    def _enter(self, graph: Graph) -> None:
        """Start with a graph: the outermost one, or one that is a value."""
        self.graph = graph
        self.nodes: dict[str, Node] = {}
        self.assumed: list[tuple[Size, Size, Node]] = []
        self.deferred: list[tuple[Line, Node]] = []

    def parse(self) -> Graph:
        self._header()
        self._statements().end()
        for line in self.lines:
            line.fail("the text should end after the graph")
        self._finish()
        return self.graph

    def _statements(self) -> Line:
        """Read a graph up to its closing brace; the line of that, behind it."""
        for line in self.lines:
            if line.kind == "node":
                self._node(line)
            elif line.take("}"):
                return line
            elif line.kind == "word" and line.text in _STATEMENTS:
                getattr(self, f"_{line.advance()}")(line)
                line.end()
            else:
                line.fail(f"expected a node (%name: ...), {_EXPECTED} or '}}', but found {line.found()}")
        raise ParseError("the text ends before the graph's closing '}'", hint="is the file complete?")

    def _body(self, line: Line) -> Body:
        """A graph that is an attribute, from its first word to its closing brace."""
        if self.depth == DEEPEST:
            line.fail(f"graphs are nested more than {DEEPEST} deep")
        line.expect("graph")
        body = Body(line.take_string("the graph's name"))
        line.expect("{")
        line.end()
        around = (self.graph, self.nodes, self.assumed, self.deferred)
        self.depth += 1
        self._enter(body)
        line.become(self._statements())
        self._finish()
        self.depth -= 1
        self.graph, self.nodes, self.assumed, self.deferred = around
        return body.seal()

    def _header(self) -> None:
        line = next(self.lines, None)
        if line is None:
            raise ParseError("the text is empty", hint=f"the first line is: graphflow-text {VERSION}")
        for part in ("graphflow", "-", "text"):
            line.expect(part, f"the first line is: graphflow-text {VERSION}")
        version = line.take_int("the version of the text form")
        if version != VERSION:
            line.fail(
                f"text form {version} is unknown; this GraphFlow reads version {VERSION}",
                "use the GraphFlow that wrote it",
            )
        line.end()
        for line in self.lines:
            if line.take("file"):
                short = line.take_string("the short name of a file")
                line.expect("=")
                self.files[short] = line.take_string("the name of a file")
                line.end()
            elif line.take("graph"):
                self.graph.name = line.take_string("the graph's name")
                line.expect("{")
                line.end()
                return
            else:
                line.fail(f'expected file "..." = "..." or graph "..." {{, but found {line.found()}')
        raise ParseError("the text has no graph", hint='write: graph "name" {')

    # Statements

    def _symbol(self, line: Line) -> None:
        name = line.unquote(f'"{line.text[1:-1]}"') if line.kind == "symbol" else line.text
        if line.kind not in ("word", "symbol") or len(name) > LONGEST_SYMBOL:
            line.fail(f"expected the name of a symbol but found {line.found()}")
        if name in self.scope.symbols:
            line.fail(f"the symbol {name!r} is declared twice")
        line.advance()
        low = 0
        high: int | None = None
        if line.take("in"):
            sign = -1 if line.take("-") else 1
            low = sign * line.take_int("the smallest size", LARGEST_SIZE + 1)
            line.expect("..")
            high = line.take_int("the largest size", LARGEST_SIZE) if line.kind == "int" else None
        try:
            is_fed = fed_element(name) is not None and low <= 0 and high is None
            if is_found(name) and (low, high) == (0, None):
                self.scope.symbols[name] = found_symbol(name)
                return
            self.scope.symbols[name] = size = fed_symbol(name, low) if is_fed else Dim(name, low, high)
            if (low, high) != (0, None) and not is_fed:
                self.graph.bounded[name] = size
        except GraphFlowError as error:
            line.fail(error.message, error.hint)

    def _require(self, line: Line) -> None:
        left = read_size(line, self.scope)
        line.expect("==")
        right = read_size(line, self.scope)
        line.expect("by")
        node = self._find(line)
        self.graph.constraints.append((left, right, node))
        self.equal |= {(left, right), (right, left)}

    def _statistics(self, line: Line) -> None:
        tensor = self._tensor(line)
        line.expect("->")
        self.graph.statistics.append((tensor, self._find(line)))

    def _outputs(self, line: Line) -> None:
        self.graph.outputs.append(self._tensor(line))
        while line.take(","):
            self.graph.outputs.append(self._tensor(line))

    def _find(self, line: Line) -> Node:
        name = line.take_node_name("a node")
        node = self.nodes.get(name)
        if node is None:
            line.fail(f"there is no node {name!r} above this line")
        return node

    def _tensor(self, line: Line) -> Tensor:
        node = self._find(line)
        index = line.take_int("the index of an output") if line.take(":") else 0
        if index >= len(node.outputs):
            line.fail(
                f"the node {node.name!r} has {len(node.outputs)} outputs, so there is no output {index}"
            )
        return node.outputs[index]

    # Nodes

    def _node(self, line: Line) -> None:
        name = line.take_node_name("a node")
        if name in self.nodes:
            line.fail(f"the name {name!r} is taken by an earlier node")
        line.expect(":")
        types = read_types(line, self.scope)
        line.expect("=")
        op = self._operator(line)
        line.expect("(")
        inputs: list[Tensor] = []
        while line.kind == "node":
            inputs.append(self._tensor(line))
            if line.text != ")":
                line.expect(",")
        attrs = self._attributes(line, op, types)
        origin = self._origin(line) if line.take("@") else None
        lineage = self._lineage(line) if line.take("via") else None
        line.end()
        node = self.graph.add(op, tuple(inputs), attrs, types, name, origin, lineage)
        self.nodes[name] = node
        self._check(line, node)
        self._register(node)

    def _operator(self, line: Line) -> OpDef:
        name = line.text
        if line.kind != "word" or name not in registry:
            try:
                registry[name]
            except GraphFlowError as error:
                line.fail(error.message, error.hint)
        op = registry[name]
        line.advance()
        version = line.take_int("the operator's version") if line.take("@") else 1
        if version != op.version:
            line.fail(
                f"the operator {name!r} has version {op.version} here, not version {version}",
                "use the GraphFlow that wrote the text",
            )
        return op

    def _attributes(self, line: Line, op: OpDef, types: tuple[TensorType, ...]) -> Attrs:
        given = read_fields(line, self.scope)
        implied = implied_attributes(list(types))
        for name in op.attributes:
            if name not in given and name in implied:
                given[name] = implied[name]
        if given.keys() != op.attributes.keys():
            try:
                op.complete(given)
            except GraphFlowError as error:
                line.fail(error.message, error.hint)
            missing = [name for name in op.attributes if name not in given]
            line.fail(f"{op.name} lacks {', '.join(missing)}", f"write every attribute of {op.signature()}")
        return Attrs({name: given[name] for name in op.attributes if given[name] is not REQUIRED})

    def _origin(self, line: Line) -> Origin:
        file = line.take_string("a file")
        line.expect(":")
        number = line.take_int("a line number")
        source = line.take_string("a name") if line.kind == "string" else None
        return Origin(self.files.get(file, file), number, source)

    def _lineage(self, line: Line) -> tuple[str, tuple[str, ...]]:
        rule = line.take_string("the name of a rule")
        line.expect("(")
        names: list[str] = []
        while not line.take(")"):
            if names:
                line.expect(",")
            names.append(line.take_string("the name of a node"))
        return rule, tuple(names)

    # Checking

    def _check(self, line: Line, node: Node) -> None:
        """Check the node now if nothing that may follow excuses it, else once the constraints are known."""
        try:
            pairs = verify_node(node, self.equal)
        except VerifyError as error:
            if not all(tensor.type.is_static for tensor in (*node.inputs, *node.outputs)):
                self.deferred.append((line, node))
                return
            self._blame(line, error)
        self.assumed += [(left, right, node) for left, right in pairs]

    def _blame(self, line: Line, error: VerifyError) -> Any:
        raise line.error(error.message, error.hint) from error

    def _register(self, node: Node) -> None:
        graph, name = self.graph, node.name
        graph._names[name] = 0
        if node.op.name == "placeholder":
            graph.placeholders[name] = node.outputs[0]
        elif node.op.name == "variable":
            graph.variables[name] = node.outputs[0]
        elif "nullary_input" in node.op.traits:
            graph.builtins.setdefault(node.op.name, node.outputs[0])

    def _finish(self) -> None:
        for line, node in self.deferred:
            try:
                self.assumed += [(*pair, node) for pair in verify_node(node, self.equal)]
            except VerifyError as error:
                self._blame(line, error)
        if not self.depth:
            for name in unfed(self.scope.symbols, self.graph.placeholders):
                raise ParseError(
                    f"the symbol {name!r} is no element of a placeholder of integers",
                    hint="a symbol 'n[0]' stands for what element 0 of the placeholder n is fed",
                )
        declared = set(self.graph.constraints)
        self.graph.constraints += [entry for entry in dict.fromkeys(self.assumed) if entry not in declared]
        try:
            nodes = printed_nodes(self.graph)
            verify_links(self.graph, nodes)
            verify_tables(self.graph, nodes)
        except VerifyError as error:
            hint = error.hint or "docs/text-form.md says what a graph has to be"
            raise ParseError(error.message, hint=hint) from error


def _lines(text: str) -> Iterator[Line]:
    """The lines that are not empty, each made when it is asked for."""
    for number, source in enumerate(text.split("\n"), 1):
        line = Line(source, number)
        if line.kind != "end":
            yield line
