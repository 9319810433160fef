"""The Builder: the one way to make a node, by users, gradients and rewrite rules alike.

`b.add(x, y)` applies the operator named add: operands become tensors of one graph, their dtypes
are promoted, attributes completed and put into canonical form, the result's type inferred, and the
node appended. Inference is remembered by (input types, attrs), which is all it depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from graphflow.errors import (
    UNFORESEEN,
    AttributeValueError,
    AxisNotKnown,
    DTypeError,
    GraphError,
    GraphFlowError,
)
from graphflow.ir import dims, narrow, provenance
from graphflow.ir.attrs import EMPTY, Attrs, freeze, read_only, value_key
from graphflow.ir.data import as_array
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import DType, as_dtype, float64, floating, promote, scalar_dtype
from graphflow.ir.found_sizes import found_size
from graphflow.ir.graph import Graph, checked_name, default_graph, describe, open_body
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import OpDef, registry
from graphflow.ir.provenance import Origin
from graphflow.ir.types import TensorType

_SCALARS = (bool, int, float, complex)
_KEYED = frozenset([bool, int, float, str, tuple, type(None), DType, Dim])


class Builder:
    """Makes nodes in `graph`.

    Arguments:
        graph: where nodes go.
        origin: the user's line that new nodes inherit; None captures it at each call.

    Attributes:
        wanted: during differentiation, the tensors whose cotangents matter; None means all.

    Every operator is a method: `b.matmul(x, w)`, `b.sum(x, axis=0)`. Operands may be tensors,
    arrays, Python scalars, Dims, or lists of numbers.
    """

    __slots__ = ("graph", "lineage", "origin", "wanted")

    # Reverse-mode differentiation, as `gf.gradients`; the floor above supplies it.
    differentiate: ClassVar[Callable[..., list[Any]]]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    def __init__(self, graph: Graph, origin: Origin | None = None) -> None:
        self.graph = graph
        self.origin = origin
        self.lineage: tuple[str, tuple[str, ...]] | None = None
        self.wanted: set[Tensor] | None = None

    def apply(
        self, op: OpDef, inputs: Sequence[Any], given: dict[str, Any] | None = None, name: str | None = None
    ) -> Any:
        """Apply an operator and return its output, a tuple if there are several, None if none.

        Raises:
            GraphFlowError: with the operands and the user's line, if they do not fit the operator.
        """
        known = None if given or op.finds_size else self._known(op, inputs)
        if known is not None:
            return _outputs(self.make(op, tuple(inputs), known[0], known[1], name))
        try:
            if op.finds_size and (given is None or given.get("size") is None):
                given = {**(given or {}), "size": found_size(self.graph, op.name)}
            tensors = self.operands(op, inputs)
            attrs, made = self._typed(op, tensors, given)
        except GraphFlowError as error:
            raise self._placed(error, op, inputs) from None
        except UNFORESEEN as error:
            fault = AttributeValueError(f"{op.name} cannot take what it was given: {error}")
            raise self._placed(fault, op, inputs) from error
        return _outputs(self.make(op, tensors, attrs, made, name))

    def _typed(
        self, op: OpDef, tensors: Sequence[Tensor], given: dict[str, Any] | None
    ) -> tuple[Attrs, Sequence[TensorType]]:
        """Canonical attributes and output types of a call; those of a plain one are remembered by types."""
        types = tuple([tensor.type for tensor in tensors])
        plain = not given and bool(types) and not self.graph.bounded
        if plain and types in op.plain:
            return op.plain[types]
        attrs = self._attrs(op, types, given) if op.attributes or given else EMPTY
        if not types:
            return attrs, op.infer(types, attrs)
        key = (types, attrs)
        made = op.memo.get(key) or self._infer(op, key)
        if plain and not dims.has_assumptions():
            op.plain[types] = (attrs, made)
        return attrs, made

    def _known(self, op: OpDef, inputs: Sequence[Any]) -> tuple[Attrs, Sequence[TensorType]] | None:
        """Attributes and output types of a call that gives no attributes, where they are remembered."""
        graph = self.graph
        types = []
        for value in inputs:
            if type(value) is not Tensor or value.node.graph is not graph:
                return None
            types.append(value.type)
        return None if graph.bounded else op.plain.get(tuple(types))

    def _placed(self, error: GraphFlowError, op: OpDef, inputs: Sequence[Any]) -> GraphFlowError:
        """The error of a call that failed, with its operands, the user's line and a way out."""
        dims.take_assumptions()  # of the failed inference: they are not the next node's
        return error.located(
            operands=describe(operand for operand in inputs if isinstance(operand, Tensor)),
            origin=self.origin or provenance.capture(),
            hint=f"call it as {op.signature()}",
        )

    def make(
        self,
        op: OpDef,
        inputs: tuple[Tensor, ...],
        attrs: Attrs,
        types: Sequence[TensorType],
        name: str | None,
    ) -> Node:
        """Append the checked node. The optimizer's builder overrides this to reuse an equal node."""
        graph = self.graph
        node = graph.add(
            op, inputs, attrs, types, graph.unique_name(name or op.name), self.origin or provenance.capture(),
            self.lineage,
        )  # fmt: skip
        assumed = dims.take_assumptions()
        if assumed:
            graph.constraints += [(left, right, node) for left, right in assumed]
        return node

    def _attrs(self, op: OpDef, types: Sequence[TensorType], given: dict[str, Any] | None) -> Attrs:
        given = given or {}
        key = _call_key(types, given) if types else None
        attrs = op.calls.get(key) if key is not None else None
        if attrs is None:
            frozen = {name: freeze(value) for name, value in op.complete(given).items()}
            if op.computed is not None and any(map(_holds_tensor, given.values())):
                frozen = op.computed(types, frozen)
            attrs = Attrs(op.normalize(types, frozen) if op.normalize else frozen)
            if key is not None and not dims.has_assumptions():
                op.calls[key] = attrs
        if self.graph.bounded:
            return Attrs({name: self.graph.adopt(value) for name, value in attrs.items()})
        return attrs

    def _infer(self, op: OpDef, key: tuple) -> tuple[TensorType, ...]:
        types, attrs = key
        made = tuple(op.infer(types, attrs))
        if not dims.has_assumptions():
            op.memo[key] = made
        return made

    def operands(self, op: OpDef, values: Sequence[Any]) -> tuple[Tensor, ...]:
        """The tensors, of one graph and with dtypes promoted as the operator asks, for its inputs."""
        graph = self.graph
        plain = local = True
        for value in values:
            if type(value) is not Tensor:
                plain = False
            elif value.node.graph is not graph:
                local = False
        if not local:
            values = _brought(op, graph, values)
        if op.promotion == "same_but_first":
            return (*self._convert(values[:1]), *self._promoted(self._convert(values[1:]), "same"))
        if op.promotion is None:
            return tuple(values) if plain else tuple([self.tensor(value) for value in values])
        if not plain:
            values = self._convert(values)
        return self._promoted(values, op.promotion) if values else ()

    def operands_of(self, values: Iterable[Any]) -> list[Tensor]:
        """Each value as a tensor of this graph."""
        return [self.graph.bring(self.tensor(value)) for value in values]

    def _promoted(self, values: Sequence[Tensor], promotion: str) -> tuple[Tensor, ...]:
        first = values[0].type.dtype
        common = first
        for tensor in values[1:]:
            dtype = tensor.type.dtype
            if dtype is not common:
                common = promote(common, dtype)
        if promotion == "float":
            common = floating(common)
        elif promotion == "float64" and not common.is_differentiable:
            common = promote(common, float64)
        return tuple(
            [value if value.type.dtype is common else self.astype(value, dtype=common) for value in values]
        )

    def _convert(self, values: Sequence[Any]) -> list[Tensor]:
        """Tensors for arbitrary operands; Python scalars take their dtype from the others."""
        strong: DType | None = None
        ready: list[Any] = []
        for value in values:
            if not isinstance(value, (Tensor, Dim, *_SCALARS)) or isinstance(value, np.generic):
                value = self.tensor(value)
            ready.append(value)
            if isinstance(value, Tensor):
                strong = value.type.dtype if strong is None else promote(strong, value.type.dtype)
        if strong is None:
            for value in ready:
                dtype = scalar_dtype(0 if isinstance(value, Dim) else value, None)
                strong = dtype if strong is None else promote_default(strong, dtype)
        return [value if isinstance(value, Tensor) else self.scalar(value, strong) for value in ready]

    def scalar(self, value: Any, beside: DType | None = None) -> Tensor:
        """A constant of a Python scalar (or a Dim), weakly typed beside a tensor of dtype `beside`."""
        if isinstance(value, Dim):
            return self.dimension(size=value, dtype=scalar_dtype(0, beside))
        return self._scalar_of(value, scalar_dtype(value, beside))

    def _scalar_of(self, value: Any, dtype: DType) -> Tensor:
        """A constant of a Python scalar in a given dtype; the array is shared by all that are equal."""
        key = (type(value), value.hex() if type(value) is float else value, dtype)
        known = _scalars.get(key)
        if known is None:
            attrs = Attrs(value=_scalar_array(value, dtype))
            known = (registry["constant"], attrs, (TensorType(dtype, ()),))
            if len(_scalars) < 10_000 and type(value) is not complex:
                _scalars[key] = known
        return self.make(known[0], (), known[1], known[2], None).outputs[0]

    def tensor(self, value: Any, dtype: Any = None) -> Tensor:
        """A tensor for a tensor, Dim, Python scalar, nested list or NumPy array."""
        if isinstance(value, Tensor):
            return value if dtype is None else self.astype(value, dtype=as_dtype(dtype))
        if isinstance(value, Dim):
            return self.dimension(size=value, dtype=as_dtype(dtype or int))
        if isinstance(value, _SCALARS) and dtype is None and not isinstance(value, np.generic):
            return self.scalar(value)
        return self.constant(value=as_array(value, dtype))

    def like(self, value: Any, tensor: Tensor) -> Tensor:
        """A constant scalar of the dtype of `tensor`."""
        if type(value) in _SCALARS:
            return self._scalar_of(value, tensor.type.dtype)
        return self.constant(value=np.array(value, dtype=tensor.type.dtype.numpy))

    def full_like(self, value: Any, tensor: Tensor) -> Tensor:
        """A tensor of the type of `tensor` with all elements `value`."""
        scalar = self.like(value, tensor)
        return self.broadcast_to(scalar, shape=tensor.shape) if tensor.shape else scalar

    @contextmanager
    def at(self, origin: Origin | None) -> Iterator[None]:
        """Let the nodes made inside the block inherit `origin`."""
        before, self.origin = self.origin, origin or self.origin
        try:
            yield
        finally:
            self.origin = before


def _call_key(types: Sequence[TensorType], given: dict[str, Any]) -> tuple | None:
    """What the canonical attributes of a call depend on; None where that would cost more than it saves."""
    for value in given.values():
        if type(value) not in _KEYED:
            return None
    try:
        return (types, *[(name, value_key(value)) for name, value in given.items()])
    except AttributeError:
        return None  # a tuple holds something that has yet to be frozen, such as a list


def _holds_tensor(value: Any) -> bool:
    return type(value) is Tensor or (isinstance(value, (list, tuple)) and any(map(_holds_tensor, value)))


_scalars: dict[tuple, tuple[OpDef, Attrs, tuple[TensorType, ...]]] = {}


def _scalar_array(value: Any, dtype: DType) -> np.ndarray:
    if dtype.is_narrow:
        return read_only(narrow.fitted(np.asarray(value), dtype))
    try:
        if dtype.kind == "uint" and value < 0:
            raise OverflowError
        array = np.array(float(value) if dtype.is_floating else value, dtype.numpy)
    except OverflowError:
        raise DTypeError(
            f"{value} does not fit {dtype}", hint="give a dtype that holds it: gf.constant(value, dtype=...)"
        ) from None
    return read_only(array)


def promote_default(left: DType, right: DType) -> DType:
    """The dtype of two bare Python scalars together: the default of the higher kind."""
    order = ("bool", "uint", "int", "float", "complex")
    return max(left, right, key=lambda dtype: order.index(dtype.kind))


def _brought(op: OpDef, graph: Graph, values: Sequence[Any]) -> list[Any]:
    """The values, tensors of graphs around `graph` captured in it."""
    try:
        return [graph.bring(value) if type(value) is Tensor else value for value in values]
    except GraphError as error:
        raise GraphError(f"{op.name} mixes graphs: {error.message}", hint=error.hint) from None


def builder_for(values: Sequence[Any]) -> Builder:
    """A builder for the graph of the first tensor among the values, else for the current graph.

    Inside a body that is being built it is that body's: what comes from outside is captured there.
    """
    body = open_body()
    if body is not None:
        return Builder(body)
    for value in values:
        if type(value) is Tensor:
            return Builder(value.node.graph)
    return Builder(default_graph())


def several(made: Any) -> tuple[Tensor, ...]:
    """What `apply` returned, as a tuple of any length."""
    return made if isinstance(made, tuple) else () if made is None else (made,)


def _outputs(node: Node) -> Any:
    outputs = node.outputs
    if len(outputs) == 1:
        return outputs[0]
    return outputs or None


def call(op: OpDef, inputs: Sequence[Any], given: dict[str, Any] | None, name: str | None) -> Any:
    """Apply an operator in the graph of the first tensor among its inputs, else in the current graph."""
    if name is not None:
        name = checked_name(name, "node")
    try:
        return builder_for(inputs).apply(op, inputs, given, name)
    except AxisNotKnown as error:
        return OpDef.for_each_axis(op, inputs, {**(given or {}), "name": name}, error)


OpDef.apply = staticmethod(call)


def _method(op: OpDef) -> Callable[..., Any]:
    arity = op.arity

    def method(self: Builder, *arguments: Any, name: str | None = None, **attrs: Any) -> Any:
        if len(arguments) == arity:
            return self.apply(op, arguments, attrs, name)
        inputs, attrs = op.bind(arguments, attrs)
        return self.apply(op, inputs, attrs, name)

    method.__name__ = op.name
    method.__doc__ = op.__doc__
    return method


_OWN = frozenset(dir(Builder))


def _attach(op: OpDef) -> None:
    if op.name in _OWN:
        raise AttributeValueError(f"an operator cannot be named {op.name!r}: the Builder uses that name")
    setattr(Builder, op.name, _method(op))


for _op in registry:
    _attach(_op)
registry.listeners.append(_attach)
