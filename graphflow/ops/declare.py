"""What users declare: placeholders, variables, constants, the training flag, and updates.

These are the public functions around the operators of `state`: they check names, convert shapes
and values, and register what they make with the graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphflow.errors import DTypeError, GraphError, GraphFlowError, ShapeError
from graphflow.ir import provenance
from graphflow.ir.builder import Builder, as_array
from graphflow.ir.dtypes import as_dtype, float32, string
from graphflow.ir.graph import Graph, at_root, checked_name, default_graph
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import registry
from graphflow.ir.types import as_shape
from graphflow.ops import initializers
from graphflow.ops.initializers import Initializer

_PIECE = 1 << 20


def placeholder(name: str, shape: Any, dtype: Any = float32) -> Tensor:
    """A value that is fed at each run.

    Arguments:
        name: unique in the graph; feeds may use it instead of the tensor.
        shape: sizes; a name or gf.Dim for a size shared with other tensors, None for one of its own.
        dtype: the element type.

    Raises:
        GraphError: if the name is taken.

    >>> import graphflow as gf
    >>> gf.placeholder("image", ("batch", None, 8)).type
    float32[batch, image_1, 8]
    """
    graph = default_graph()
    with _blame():
        if graph.outer is not None:
            raise GraphError(
                f"placeholder {name!r} is declared inside {graph.name!r}",
                hint="declare it outside: what is outside can be read inside",
            )
        fresh = re.sub(r"\W", "_", graph.scope + checked_name(name, "placeholder"))
        prefix = _unused(graph, fresh if fresh.isidentifier() else f"_{fresh}")
        sizes = as_shape(shape, fresh=prefix)
        attrs = {"dtype": as_dtype(dtype), "shape": graph.adopt(sizes, declare=True)}
        full = graph.claim_name(name, "placeholder")
        graph.size_prefixes[prefix] = None
        return _declare(graph, "placeholder", full, attrs, graph.placeholders)


def _unused(graph: Graph, prefix: str) -> str:
    """A prefix for fresh sizes that no placeholder has used: `a/b` and `a_b` must not share theirs."""
    while prefix in graph.size_prefixes:
        prefix += "_"
    return prefix


def variable(
    name: str,
    shape: Any = None,
    initializer: Any = None,
    dtype: Any = None,
    trainable: bool = True,
) -> Tensor:
    """A value that lives in the session, starts from its initializer, and changes by `gf.assign`.

    Arguments:
        name: unique in the graph.
        shape: static sizes; may be left out if the initializer is an array.
        initializer: a gf.initializers record, an array or a number; glorot_uniform for floats of
            rank 2 and more, zeros otherwise.
        dtype: the element type; that of an initial array, or float32.
        trainable: whether `minimize` changes it by default.

    Raises:
        GraphError: if the name is taken.

    >>> import graphflow as gf
    >>> gf.variable("w", (64, 10)).type
    float32[64, 10]
    """
    with _blame(), at_root(default_graph()) as graph:
        if initializer is not None and not isinstance(initializer, Initializer):
            value = as_array(initializer, dtype)
            initializer = initializers.value(value)
        if initializer is not None and initializer.array is not None:
            dtype = as_dtype(initializer.array.dtype) if dtype is None else dtype
            shape = initializer.array.shape if shape is None else shape
        if shape is None:
            raise ShapeError(f"variable {name!r} has no shape", hint="pass shape=(...) or an initial array")
        sizes = as_shape(shape)
        if not all(isinstance(size, int) for size in sizes):
            raise ShapeError(
                f"variable {name!r} has the symbolic shape {list(sizes)}", hint="use fixed sizes"
            )
        kind = as_dtype(dtype or float32)
        if kind is string:
            raise DTypeError(f"variable {name!r} would hold text", hint="use gf.constant, or feed the text")
        if initializer is None:
            matrix = len(sizes) >= 2 and kind.is_floating
            initializer = initializers.glorot_uniform() if matrix else initializers.zeros()
        initializer.check(sizes, kind)
        full = graph.claim_name(checked_name(name, "variable"), "variable")
        attrs = {"dtype": kind, "shape": sizes, "initializer": initializer, "trainable": bool(trainable)}
        return _declare(graph, "variable", full, attrs, graph.variables)


def constant(value: Any, dtype: Any = None, name: str | None = None, allow_nan: bool = False) -> Tensor:
    """A fixed array; Python floats, ints, bools and lists of them become float32, int32, bool.

    Arguments:
        value: a number, nested list or NumPy array; it is copied, unless it is an array of its own that
            nobody can write to: `array.setflags(write=False)` saves the copy of a large one.
        dtype: the element type; that of the array by default.
        name: a name for the node.
        allow_nan: accept NaN, which is refused otherwise since it is nearly always a mistake.

    Raises:
        DTypeError: for NaN, ragged data, or values that do not fit `dtype`.

    >>> import graphflow as gf
    >>> gf.constant([1, 2, 3]).type
    int32[3]
    """
    graph = default_graph()
    with _blame():
        if name is not None:
            checked_name(name, "constant")
        array = as_array(value, dtype)
        kind = as_dtype(array.dtype)
        may_hold_nan = kind.is_differentiable or kind.kind == "narrow_float"
        if not allow_nan and may_hold_nan and _holds_nan(array):
            where = tuple(int(index[0]) for index in np.nonzero(np.isnan(np.atleast_1d(array))))
            raise DTypeError(
                f"the constant holds NaN, first at index {where}",
                hint="pass allow_nan=True if it is meant to",
            )
        return Builder(graph).apply(registry["constant"], (), {"value": array}, name)


def _holds_nan(array: np.ndarray) -> bool:
    """Whether there is NaN in an array, seen piece by piece: the array may fill most of the memory."""
    flat = array.reshape(-1)
    return any(np.isnan(flat[start : start + _PIECE]).any() for start in range(0, flat.size, _PIECE))


def training() -> Tensor:
    """This graph's training flag: a boolean scalar, False unless fed or set by a training Update."""
    return builtin(default_graph(), "training_flag")


def builtin(graph: Graph, op_name: str) -> Tensor:
    """The graph's one node of an operator without inputs (`training_flag`, `session_key`).

    It is a node of the outermost graph, where it gets its value, and captured by the bodies inside.
    """
    root = graph.root
    tensor = root.builtins.get(op_name)
    if tensor is None:
        op = registry[op_name]
        outer, root.scope = root.scope, ""
        try:
            tensor = root.builtins[op_name] = Builder(root).apply(op, ())
        finally:
            root.scope = outer
    return graph.bring(tensor)


class Update:
    """Changes to variables that a run applies when it ends, all together; fetch it to apply it.

    Attributes:
        assigns: the `assign` nodes.
        training: whether fetching it sets the training flag.
    """

    __slots__ = ("assigns", "name", "training")

    def __init__(self, assigns: Iterable[Node], training: bool = False, name: str = "update") -> None:
        self.assigns = tuple(assigns)
        self.training = training
        self.name = name

    @property
    def graph(self) -> Graph:
        """The graph it belongs to."""
        if not self.assigns:
            raise GraphError(f"update {self.name!r} changes nothing", hint="give it at least one gf.assign")
        return self.assigns[0].graph

    @property
    def variables(self) -> list[Tensor]:
        """The variables it changes."""
        return [node.inputs[0] for node in self.assigns]

    def __repr__(self) -> str:
        names = ", ".join(node.inputs[0].node.name for node in self.assigns[:4])
        more = f", ... {len(self.assigns)} in all" if len(self.assigns) > 4 else ""
        return f"<update {self.name!r} of {names}{more}>"


def assign(target: Tensor, value: Any) -> Update:
    """Let a variable take `value` when the run that fetches this Update ends.

    Within the run every read of the variable, this value's included, gives the old value.

    Arguments:
        target: the tensor that gf.variable returned.
        value: what it takes: same dtype and shape.

    Raises:
        GraphError: if `target` is no variable.

    >>> import graphflow as gf
    >>> count = gf.variable("count", (), dtype=gf.int32)
    >>> gf.assign(count, count + 1)
    <update 'assign' of count>
    """
    with _blame():
        if not isinstance(target, Tensor) or target.node.op.name != "variable":
            raise GraphError(f"{target!r} is no variable", hint="pass the tensor that gf.variable returned")
        builder = Builder(target.graph)
        if not isinstance(value, Tensor):
            value = builder.tensor(value, target.dtype)
        return Update([assign_node(builder, target, value)], name="assign")


def assign_node(builder: Builder, target: Tensor, value: Tensor) -> Node:
    """The `assign` node itself; `apply` returns outputs, and this node has none."""
    builder.apply(registry["assign"], (target, value), name=f"assign_{target.node.name.rpartition('/')[2]}")
    return builder.graph.nodes[-1]


def group(*updates: Update | Sequence[Update], name: str = "group") -> Update:
    """One Update that applies several together.

    Raises:
        GraphError: if two of them change the same variable, or they belong to different graphs.

    >>> import graphflow as gf
    >>> v, w = gf.variable("v", ()), gf.variable("w", ())
    >>> both = gf.group(gf.assign(v, v + 1.0), gf.assign(w, v))
    >>> sess = gf.Session(backend="numpy")
    >>> _ = sess.run(both)
    >>> sess.run([v, w])
    [array(1., dtype=float32), array(0., dtype=float32)]
    """
    with _blame():
        flat: list[Any] = []
        for given in updates:
            flat += given if isinstance(given, (list, tuple)) else [given]
        for update in flat:
            if not isinstance(update, Update):
                raise GraphError(
                    f"{update!r:.80} is no update", hint="group what gf.assign and minimize return"
                )
        assigns = list(dict.fromkeys(node for update in flat for node in update.assigns))
        check_distinct(assigns)
        return Update(assigns, any(update.training for update in flat), name)


def check_distinct(assigns: Sequence[Node]) -> None:
    """Raise unless the assignments are of one graph and of different variables."""
    seen: dict[Tensor, Node] = {}
    for node in assigns:
        target = node.inputs[0]
        if node.graph is not assigns[0].graph:
            raise GraphError(
                f"updates of the graphs {node.graph.name!r} and {assigns[0].graph.name!r} are mixed",
                hint="apply them in sessions of their own",
            )
        if target in seen:
            raise GraphError(
                f"two updates change the variable {target.node.name!r} in one run, at "
                f"{seen[target].origin} and {node.origin}",
                hint="fetch them in separate runs, or combine the two values into one gf.assign",
            )
        seen[target] = node


def _declare(
    graph: Graph, op_name: str, full: str, attrs: dict[str, Any], table: dict[str, Tensor]
) -> Tensor:
    from graphflow.ir.attrs import Attrs

    op = registry[op_name]
    frozen = Attrs(op.complete(attrs))
    node = graph.add(op, (), frozen, op.infer((), frozen), full, provenance.capture())
    table[full] = node.outputs[0]
    return node.outputs[0]


class _blame:
    """Complete errors raised inside the block with the user's line."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, GraphFlowError):
            error.located(origin=provenance.capture())
