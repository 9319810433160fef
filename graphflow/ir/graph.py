"""The graph: an append-only list of nodes with unique names, and which graph is the current one.

A node can only read tensors that exist, so the order of creation is a topological order and the
graph cannot have a cycle. Each context (thread, task) has its own current graph.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any

from graphflow.errors import GraphError, ShapeError
from graphflow.ir import dims, provenance
from graphflow.ir.attrs import Attrs
from graphflow.ir.dims import Dim, Size
from graphflow.ir.node import Node, Tensor
from graphflow.ir.shown import ShownGraph
from graphflow.ir.types import TensorType

if TYPE_CHECKING:
    from graphflow.autodiff.custom import CustomGradient
    from graphflow.ir.opdef import OpDef
    from graphflow.ir.provenance import Origin

_uids = itertools.count()
_UNNAMEABLE = re.compile("[\\s:\ud800-\udfff]")


class Graph(ShownGraph):
    """A symbolic computation.

    `with gf.Graph() as g:` makes a graph and enters it: until the end of the block new nodes go
    there.

    Attributes:
        nodes: all nodes, in the order of creation.
        placeholders, variables: their tensors by name.
        constraints: pairs of sizes that some node needs to be equal, with that node.
        outputs: the tensors a finished graph (a body, a program) returns; empty while building.
        statistics: assignments that training applies, each with the tensor whose use calls for it.
        bounded: the symbolic sizes that were declared with bounds, by name.
        size_prefixes: what the sizes that placeholders leave open are named by, in order.
        custom_gradients: what differentiation does in place of the rules at the nodes that end a
            function with a gradient of its own. It matters to graphs that are being built alone:
            copies, programs and files have plain nodes there.
        outer: the graph around this one, if this is a body that is being built.

    >>> import graphflow as gf
    >>> with gf.Graph() as g:
    ...     y = gf.constant(1.0) + 2.0
    >>> [node.op.name for node in g.nodes]
    ['constant', 'constant', 'add']
    """

    outer: Graph | None = None

    def __init__(self, name: str = "graph") -> None:
        self.name = name
        self.uid = next(_uids)
        self.nodes: list[Node] = []
        self.placeholders: dict[str, Tensor] = {}
        self.variables: dict[str, Tensor] = {}
        self.builtins: dict[str, Tensor] = {}
        self.constraints: list[tuple[Size, Size, Node]] = []
        self.outputs: list[Tensor] = []
        self.statistics: list[tuple[Tensor, Node]] = []
        self.bounded: dict[str, Dim] = {}
        self.size_prefixes: dict[str, None] = {}
        self.custom_gradients: dict[Node, CustomGradient] = {}
        self.scope = ""
        self._names: dict[str, int] = {}
        self._frozen_at: Origin | None = None
        self._tokens: list[Token] = []

    # Building

    def add(
        self,
        op: OpDef,
        inputs: tuple[Tensor, ...],
        attrs: Attrs,
        types: Sequence[TensorType],
        name: str,
        origin: Origin | None,
        lineage: tuple[str, tuple[str, ...]] | None = None,
    ) -> Node:
        """Append a node; `name` must be free (see `unique_name`). Types are taken as given."""
        if self._frozen_at is not None:
            raise GraphError(
                f"graph {self.name!r} is frozen, so {op.name} cannot be added to it",
                hint=f"build everything before freeze(), which was called at {self._frozen_at}",
            ).located(origin=origin)
        nodes = self.nodes
        node = Node(self, len(nodes), op, inputs, attrs, types, name, origin, lineage)
        nodes.append(node)
        return node

    def bring(self, tensor: Tensor) -> Tensor:
        """The tensor of this graph that stands for the given one: itself, unless this is an open body.

        Raises:
            GraphError: if the tensor belongs to another graph.
        """
        owner = tensor.node.graph
        if owner is self:
            return tensor
        if owner.outer is not None:
            hint = f"return it from the function that builds {owner.name!r}, and use what its node gives"
        elif hasattr(owner, "captures"):
            hint = f"{owner.name!r} is the closed body of a loop or branch: use what its node gives"
        else:
            hint = "build the whole expression inside one `with graph:` block"
        raise GraphError(
            f"{tensor.name} belongs to {owner.name!r} (number {owner.uid}), not to {self.name!r} "
            f"(number {self.uid})",
            hint=hint,
            operands=describe([tensor]),
        )

    @property
    def root(self) -> Graph:
        """The outermost graph around this one; itself, unless this is an open body."""
        graph: Graph = self
        while graph.outer is not None:
            graph = graph.outer
        return graph

    def unique_name(self, base: str) -> str:
        """`base` inside the current scope, with the suffix _1, _2, ... where it is taken."""
        names = self._names
        full = self.scope + base if self.scope else base
        count = names.get(full)
        if count is None:
            names[full] = 0
            return full
        while True:
            count += 1
            candidate = f"{full}_{count}"
            if candidate not in names:
                names[full] = count
                names[candidate] = 0
                return candidate

    def claim_name(self, base: str, kind: str) -> str:
        """`base` inside the current scope, for a placeholder or variable: repeating one is an error."""
        full = f"{self.scope}{base}"
        if full in self._names:
            taken = self.find(full)
            raise GraphError(
                f"the name {full!r} of the new {kind} is taken already",
                hint="give each placeholder and variable its own name, or use gf.name_scope",
                operands=[] if taken is None else [_row(taken)],
            )
        self._names[full] = 0
        return full

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Take back what the block has added if it fails, so that it can be tried again by the same names."""
        tables: list[dict[Any, Any]] = [
            self.placeholders, self.variables, self.builtins, self.bounded, self.custom_gradients,
            self.size_prefixes,
        ]  # fmt: skip
        lists: list[list[Any]] = [self.nodes, self.constraints, self.statistics]
        before = [len(part) for part in (*tables, *lists, self._names)]
        try:
            yield
        except BaseException:
            for part, size in zip(lists, before[len(tables) :]):
                del part[size:]
            for table, size in zip(tables, before):
                while len(table) > size:
                    table.popitem()
            while len(self._names) > before[-1]:
                self._free(self._names.popitem()[0])
            raise

    def _free(self, name: str) -> None:
        """Let the suffix of a name that is given back be the next one."""
        base, _, suffix = name.rpartition("_")
        if suffix.isdecimal() and self._names.get(base) == int(suffix):
            self._names[base] -= 1

    def adopt(self, value: Any, declare: bool = False) -> Any:
        """A size, or tuple of sizes, in which names that this graph knows with bounds have those bounds.

        Arguments:
            declare: take the bounds that the sizes bring along as this graph's.

        Raises:
            ShapeError: if one symbol would have two pairs of bounds.
        """
        if isinstance(value, tuple):
            return tuple([self.adopt(item, declare) for item in value])
        if not isinstance(value, Dim):
            return value
        for name, low, high in value.limits:
            known = self.bounded.get(name)
            if (low, high) == (0, None) or (known is not None and known.limits == ((name, low, high),)):
                continue
            shapes = [tensor.type.shape for tensor in self.placeholders.values()]
            if known is not None or any(name in dims.symbols_of(shape) for shape in shapes):
                raise ShapeError(
                    f"the size {name!r} gets the bounds {low} and {high}, but others are in use already",
                    hint=f"make one gf.Dim({name!r}, min=..., max=...) first and use it everywhere",
                )
            if declare:
                self.bounded[name] = Dim(name, low, high)
        return dims.substitute(value, self.bounded) if self.bounded else value

    def freeze(self) -> None:
        """Forbid further growth: adding a node raises a GraphError from now on."""
        self._frozen_at = self._frozen_at or provenance.capture()

    @property
    def frozen(self) -> bool:
        """Whether `freeze` has been called."""
        return self._frozen_at is not None

    # Reading

    def find(self, name: str) -> Node | None:
        """The node of that name, or None. A linear search: for people, not for inner loops."""
        return (
            next((node for node in self.nodes if node.name == name), None) if isinstance(name, str) else None
        )

    def tensor(self, name: str) -> Tensor:
        """The tensor named `node:index`; a bare `node` means its output 0.

        Raises:
            GraphError: if there is none; the message offers near names.
        """
        base, _, index = str(name).partition(":")
        node = self.find(base) if isinstance(name, str) else None
        if node is not None and (index or "0").isdigit() and int(index or 0) < len(node.outputs):
            return node.outputs[int(index or 0)]
        import difflib

        close = difflib.get_close_matches(base, [node.name for node in self.nodes], 3)
        raise GraphError(
            f"graph {self.name!r} has no tensor {name!r}",
            hint=f"did you mean {' or '.join(map(repr, close))}?"
            if close
            else "print(graph) lists its nodes",
        )

    def order(self) -> list[Node]:
        """The nodes, each after everything it reads."""
        return list(self.nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return (
            f"<graph {self.name!r}: {len(self.nodes)} nodes, {len(self.placeholders)} placeholders, "
            f"{len(self.variables)} variables>"
        )

    def __str__(self) -> str:
        from graphflow.ir.text import shown_graph

        return shown_graph(self)

    # Being current

    def __enter__(self) -> Graph:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(self, *exception: Any) -> None:
        _current.reset(self._tokens.pop())


_current: ContextVar[Graph | None] = ContextVar("graphflow_current_graph", default=None)


def default_graph() -> Graph:
    """The current graph of this context; the first use makes an empty one.

    >>> import graphflow as gf
    >>> gf.default_graph() is gf.constant(1.0).graph
    True
    """
    graph = _current.get()
    if graph is None:
        graph = Graph("default")
        _current.set(graph)
    return graph


def open_body() -> Graph | None:
    """The current graph if it is a body that is being built, in which case new nodes go there."""
    graph = _current.get()
    return graph if graph is not None and graph.outer is not None else None


def peek_default_graph() -> Graph | None:
    """The current graph, or None where this context has not built or entered one."""
    return _current.get()


def reset_default_graph() -> None:
    """Forget the current graph of this context, so that the next node starts an empty one.

    Raises:
        GraphError: inside a `with graph:` block, where there is no default to forget.

    >>> import graphflow as gf
    >>> before = gf.default_graph()
    >>> gf.reset_default_graph()
    >>> gf.default_graph() is before
    False
    """
    graph = _current.get()
    if graph is not None and graph._tokens:
        raise GraphError(
            "reset_default_graph was called inside a `with graph:` block", hint="call it after the block"
        )
    _current.set(None)


@contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Prefix the names of the nodes made inside the block with `name/`; scopes nest.

    >>> import graphflow as gf
    >>> with gf.Graph(), gf.name_scope("head"):
    ...     print(gf.constant(1.0).name)
    head/constant:0
    """
    graph = default_graph()
    with scoped(graph, name):
        yield graph.scope.rstrip("/")


@contextmanager
def scoped(graph: Graph, name: str) -> Iterator[None]:
    """`name_scope` for a given graph."""
    checked_name(name, "scope")
    outer = graph.scope
    graph.scope = f"{outer}{name}/"
    try:
        yield
    finally:
        graph.scope = outer


@contextmanager
def at_root(graph: Graph) -> Iterator[Graph]:
    """The outermost graph around `graph`, in which names are made in the scope of `graph` meanwhile."""
    root, scope = graph.root, graph.scope
    outer, root.scope = root.scope, scope
    try:
        yield root
    finally:
        root.scope = outer


def checked_name(name: Any, kind: str) -> str:
    """The name, if it can name a node or scope.

    Raises:
        GraphError: if it is no string, empty, or has spaces, colons, lone surrogates or outer slashes.
    """
    if not isinstance(name, str) or not name or name.strip("/") != name or _UNNAMEABLE.search(name):
        raise GraphError(
            f"{name!r:.80} cannot name a {kind}",
            hint="use letters, digits, '_', '.' and inner '/'",
            origin=provenance.capture(),
        )
    return name


def describe(tensors: Iterable[Tensor]) -> list[tuple[str, str, str, Any]]:
    """Rows that show tensors in an error message."""
    return [_row(tensor.node, tensor) for tensor in tensors]


def _row(node: Node, tensor: Tensor | None = None) -> tuple[str, str, str, Any]:
    kind = node.op.name
    shown = str(tensor.type if tensor is not None else node.outputs[0].type if node.outputs else "")
    return node.name, shown, kind, node.origin
