"""The verifier: every invariant of the intermediate representation, checked in one linear sweep.

It is run on what comes from outside (a text, a saved model) and between the optimizer's passes. It
trusts nothing: attributes of any kind may stand where an operator expects others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from graphflow.errors import GraphError, GraphFlowError, VerifyError
from graphflow.ir import dims, provenance
from graphflow.ir.attrs import Attrs
from graphflow.ir.body import bodies_of
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import floating
from graphflow.ir.graph import Graph, checked_name
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import REQUIRED, OpDef, registry
from graphflow.ir.text import printed_nodes, sizes_of
from graphflow.ir.types import TensorType


def verify(graph: Graph) -> None:
    """Check a graph, or a program that is being optimized.

    Checked are: names are unique; inputs are outputs of nodes of this graph, without a cycle;
    attributes are complete and in canonical form; types are those that inference gives, up to sizes
    that a constraint takes to be equal; one symbol has one pair of bounds; and the tables of
    placeholders, variables, built-ins, outputs, statistics and constraints fit the nodes.

    Raises:
        VerifyError: naming the node and what is wrong with it.
        GraphError: for what is no graph.

    >>> import graphflow as gf
    >>> with gf.Graph() as g:
    ...     x = gf.placeholder("x", (2,))
    >>> verify(g)
    >>> x.node.inputs = (x,)
    >>> try:
    ...     verify(g)
    ... except gf.VerifyError as error:
    ...     print(error.message)
    node 'x' (placeholder) has 1 inputs, but the operator takes 0
    """
    if not hasattr(graph, "constraints") or isinstance(graph, type):
        raise GraphError(
            f"{graph!r:.80} is no graph, so it cannot be verified",
            hint="pass a gf.Graph, such as tensor.graph or gf.default_graph()",
            origin=provenance.capture(),
        )
    equal = assumed_equal(graph)
    pending = [graph]
    while pending:
        graph = pending.pop()
        nodes = printed_nodes(graph)
        for node in nodes:
            verify_node(node, equal)
            pending += bodies_of(node)
        verify_links(graph, nodes)
        verify_tables(graph, nodes)


def assumed_equal(graph: Graph) -> set[tuple[Size, Size]]:
    """The pairs of sizes that the graph's constraints take to be equal, both ways round."""
    pairs: set[tuple[Size, Size]] = set()
    for left, right, _ in graph.constraints:
        pairs.add((left, right))
        pairs.add((right, left))
    return pairs


def _fail(node: Node, message: str, hint: str | None = None) -> NoReturn:
    kind = getattr(node.op, "name", "?")
    raise VerifyError(f"node {node.name!r} ({kind}) {message}", hint=hint, origin=node.origin)


# One node


def verify_node(node: Node, equal: set[tuple[Size, Size]]) -> list[tuple[Size, Size]]:
    """Check a node by itself.

    Arguments:
        equal: the pairs of sizes that may be taken to be equal.

    Returns:
        The pairs that its inference takes to be equal.
    """
    op = node.op
    _check_name(node)
    if op.name not in registry or registry[op.name] is not op:
        anew = isinstance(op, OpDef) and op.name in registry
        hint = f"{op.name} was declared anew since: build the graph again" if anew else None
        _fail(node, "has an operator that is not registered", hint)
    for index, tensor in enumerate(node.outputs):
        if tensor.node is not node or tensor.index != index:
            _fail(node, f"has an output {index} that says it is {tensor.name!r}")
    if op.arity is not None and len(node.inputs) != op.arity:
        _fail(node, f"has {len(node.inputs)} inputs, but the operator takes {op.arity}")
    types = tuple([tensor.type for tensor in node.inputs])
    _check_promotion(node, types)
    dims.take_assumptions()
    try:
        _check_attributes(node, types)
        inferred = tuple(op.infer(types, node.attrs))
    except VerifyError:
        raise
    except GraphFlowError as error:
        _fail(node, f"is not well typed: {error.message}", error.hint)
    except Exception as error:
        # An operator's inference may assume the kinds of values that its public function makes.
        reason = f"{type(error).__name__}: {error}"
        raise VerifyError(
            f"node {node.name!r} ({op.name}) has inputs or attributes the operator cannot have ({reason})",
            hint="compare it with " + op.signature(),
            origin=node.origin,
        ) from error
    finally:
        pairs = dims.take_assumptions() or []
    _check_types(node, inferred, equal)
    return pairs


def _check_name(node: Node) -> None:
    try:
        checked_name(node.name, "node")
    except GraphError as error:
        _fail(node, f"has a name that none can have: {error.message}", error.hint)


def _check_promotion(node: Node, types: Sequence[TensorType]) -> None:
    promotion = node.op.promotion
    dtypes = [type.dtype for type in (types[1:] if promotion == "same_but_first" else types)]
    if promotion is None or not dtypes:
        return
    wanted = floating(dtypes[0]) if promotion == "float" else dtypes[0]
    if any(dtype is not wanted for dtype in dtypes):
        _fail(
            node, f"has inputs of dtypes {', '.join(map(str, dtypes))}", "convert them all to one with astype"
        )


def _check_attributes(node: Node, types: Sequence[TensorType]) -> None:
    op, attrs = node.op, node.attrs
    if not isinstance(attrs, Attrs):
        _fail(node, f"has attributes of type {type(attrs).__name__}, not Attrs")
    if attrs.keys() != op.attributes.keys():
        missing = sorted(op.attributes.keys() - attrs.keys())
        unknown = sorted(attrs.keys() - op.attributes.keys())
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [
            f"has the unknown {', '.join(unknown)}"
        ] * bool(unknown)
        _fail(node, " and ".join(parts), "compare it with " + op.signature())
    if any(value is REQUIRED for value in attrs.values()):
        _fail(node, "has an attribute without a value")
    if op.normalize is not None and Attrs(op.normalize(types, dict(attrs))) != attrs:
        canonical = Attrs(op.normalize(types, dict(attrs)))
        changed = [f"{name} = {canonical.get(name)!r}" for name in attrs if _differ(attrs, canonical, name)]
        _fail(node, f"has attributes that are not in canonical form, which is {', '.join(changed)[:200]}")
    if op.name == "variable":
        attrs["initializer"].check(attrs["shape"], attrs["dtype"])


def _differ(left: Attrs, right: Attrs, name: str) -> bool:
    return name not in right or Attrs({name: left[name]}) != Attrs({name: right[name]})


def _check_types(node: Node, inferred: Sequence[TensorType], equal: set[tuple[Size, Size]]) -> None:
    recorded = [tensor.type for tensor in node.outputs]
    if len(inferred) != len(recorded):
        _fail(node, f"has {len(recorded)} outputs, but inference gives {len(inferred)}")
    for found, expected in zip(recorded, inferred):
        if found is expected:
            continue
        same = found.dtype is expected.dtype and len(found.shape) == len(expected.shape)
        if not same or not all(a == b or (a, b) in equal for a, b in zip(found.shape, expected.shape)):
            _fail(node, f"is recorded as {found}, but inference gives {expected}")


# All nodes together


def verify_links(graph: Graph, nodes: Sequence[Node]) -> None:
    """Check names and edges: every input is an output of one of the nodes, and none reads itself."""
    names: dict[str, Node] = {}
    for node in nodes:
        if node.graph is not graph:
            _fail(node, f"belongs to the graph {node.graph.name!r}")
        if names.setdefault(node.name, node) is not node:
            _fail(node, "has a name that another node has too")
    place = {node: index for index, node in enumerate(nodes)}
    backward = False
    for index, node in enumerate(nodes):
        for tensor in node.inputs:
            if not isinstance(tensor, Tensor) or tensor.node not in place:
                _fail(node, f"reads {getattr(tensor, 'name', tensor)!r}, which is not part of the graph")
            if not any(tensor is output for output in tensor.node.outputs):
                _fail(node, f"reads {tensor.name!r}, which its node does not make")
            backward = backward or place[tensor.node] >= index
    if backward:
        _refuse_cycles(nodes)


def _refuse_cycles(nodes: Sequence[Node]) -> None:
    """Take away nodes whose inputs are all taken away; what is left lies on or after a cycle."""
    waiting = {node: len({tensor.node for tensor in node.inputs}) for node in nodes}
    readers: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        for made_by in dict.fromkeys([tensor.node for tensor in node.inputs]):
            readers[made_by].append(node)
    ready = [node for node in nodes if not waiting[node]]
    while ready:
        node = ready.pop()
        del waiting[node]
        for reader in readers[node]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    for node in waiting:
        _fail(node, "lies on or after a cycle: it needs its own result")


def verify_tables(graph: Graph, nodes: Sequence[Node]) -> None:
    """Check what the graph says about its nodes: inputs, outputs, statistics, constraints, symbols."""
    alive = set(nodes)
    _check_table(graph.placeholders, "placeholder", graph, nodes)
    _check_table(graph.variables, "variable", graph, nodes)
    for name, tensor in graph.builtins.items():
        if tensor.node.op.name != name:
            _fail(tensor.node, f"is listed as the built-in {name!r}")
    for tensor in graph.outputs:
        _require_alive(graph, tensor, alive, "an output")
    for tensor, assign in graph.statistics:
        _require_alive(graph, tensor, alive, "the use of a statistic")
        if assign not in alive or assign.op.name != "assign":
            _fail(assign, "is listed as a statistic's assignment, but is not one of this graph's")
    for left, right, _ in graph.constraints:
        for size in (left, right):
            if not isinstance(size, (int, dims.Dim)):
                raise VerifyError(f"graph {graph.name!r} has a constraint on {size!r}, which is no size")
    _check_symbols(nodes)


def _require_alive(graph: Graph, tensor: Any, alive: set[Node], what: str) -> None:
    if not isinstance(tensor, Tensor) or tensor.node not in alive:
        shown = getattr(tensor, "name", tensor)
        raise VerifyError(f"graph {graph.name!r} lists {shown!r} as {what}, but it is not part of the graph")


def _check_table(table: dict[str, Tensor], op_name: str, graph: Graph, nodes: Iterable[Node]) -> None:
    for node in nodes:
        if node.op.name == op_name and table.get(node.name) is not node.outputs[0]:
            _fail(node, f"is not in the graph's table of {op_name}s")
    for name, tensor in table.items():
        if tensor.node.graph is not graph or tensor.node.op.name != op_name or tensor.node.name != name:
            _fail(tensor.node, f"is listed as the {op_name} {name!r} of graph {graph.name!r}")


def _check_symbols(nodes: Iterable[Node]) -> None:
    """One symbol has one pair of bounds, wherever it occurs."""
    bounds: dict[str, tuple[int, int | None]] = {}
    seen: set[int] = set()
    for node in nodes:
        for size in sizes_of(node):
            if id(size) in seen:
                continue
            seen.add(id(size))
            for name, symbol in dims.symbols(size).items():
                known = bounds.setdefault(name, (symbol.min, symbol.max))
                if known != (symbol.min, symbol.max):
                    _fail(
                        node,
                        f"has the size {name!r} between {symbol.min} and {symbol.max}, but elsewhere it lies "
                        f"between {known[0]} and {known[1]}",
                        f"make one gf.Dim({name!r}, min=..., max=...) and use it everywhere",
                    )
