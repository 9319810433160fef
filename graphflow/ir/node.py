"""Nodes and tensors: an operator applied to tensors, and the values it makes.

Both are compared by identity. A node is a plain record with slots and no bag of extras; what an
analysis finds out is kept by the analysis, in arrays indexed by `node.id`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from graphflow.errors import GraphError
from graphflow.ir import provenance
from graphflow.ir.attrs import Attrs
from graphflow.ir.dims import Size
from graphflow.ir.dtypes import DType
from graphflow.ir.shown import ShownTensor
from graphflow.ir.types import Shape, TensorType

if TYPE_CHECKING:
    from graphflow.ir.graph import Graph
    from graphflow.ir.opdef import OpDef
    from graphflow.ir.provenance import Origin


class Node:
    """One application of an operator.

    Attributes:
        id: its position in `graph.nodes`; never reused.
        op, inputs, attrs: what is applied to what.
        outputs: the tensors it makes.
        name: unique in the graph; `a/b/c` lies in the scope `a/b`.
        origin: the user's line that made it.
        lineage: for a node the optimizer made, (rule, names of the nodes it stands for).
    """

    __slots__ = ("attrs", "graph", "id", "inputs", "lineage", "name", "op", "origin", "outputs")

    def __init__(
        self,
        graph: Graph,
        id: int,
        op: OpDef,
        inputs: tuple[Tensor, ...],
        attrs: Attrs,
        types: Sequence[TensorType],
        name: str,
        origin: Origin | None,
        lineage: tuple[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.graph = graph
        self.id = id
        self.op = op
        self.inputs = inputs
        self.attrs = attrs
        self.name = name
        self.origin = origin
        self.lineage = lineage
        if len(types) == 1:
            self.outputs: tuple[Tensor, ...] = (Tensor(self, 0, types[0]),)
        else:
            self.outputs = tuple([Tensor(self, index, kind) for index, kind in enumerate(types)])

    @property
    def scope(self) -> str:
        """The name scope, "" at the top."""
        return self.name.rpartition("/")[0]

    @property
    def output(self) -> Tensor:
        """The only output."""
        (tensor,) = self.outputs
        return tensor

    def __repr__(self) -> str:
        made = ", ".join(str(tensor.type) for tensor in self.outputs)
        read = ", ".join(tensor.node.name for tensor in self.inputs)
        return f"<node {self.name} = {self.op.name}({read}) -> {made or 'nothing'}>"


class Tensor(ShownTensor):
    """A value in a graph: output `index` of `node`, of a known `type`.

    Python operators, indexing and NumPy broadcasting work on it; comparing with `==` asks whether
    two handles are the same tensor (use gf.equal for the elementwise question).
    """

    __slots__ = ("__weakref__", "index", "node", "type")

    if TYPE_CHECKING:  # attached by graphflow.ops.overloads, which knows the operators

        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __rfloordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __rmod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __rand__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __ror__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __rxor__(self, other: Any) -> Tensor: ...
        def __lshift__(self, other: Any) -> Tensor: ...
        def __rlshift__(self, other: Any) -> Tensor: ...
        def __rshift__(self, other: Any) -> Tensor: ...
        def __rrshift__(self, other: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __getitem__(self, key: Any) -> Tensor: ...
        def __iter__(self) -> Iterator[Tensor]: ...
        def __len__(self) -> int: ...
        @property
        def T(self) -> Tensor: ...
        @property
        def mT(self) -> Tensor: ...
        def known_value(self) -> Any: ...  # of graphflow.ops.shape_values

    def __init__(self, node: Node, index: int, type: TensorType) -> None:
        self.node = node
        self.index = index
        self.type = type

    @property
    def graph(self) -> Graph:
        """The graph it belongs to."""
        return self.node.graph

    @property
    def name(self) -> str:
        """`node:index`, unique in the graph."""
        return f"{self.node.name}:{self.index}"

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self.type.dtype

    @property
    def shape(self) -> Shape:
        """The size of each axis, an int or a Dim."""
        return self.type.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.type.shape)

    @property
    def size(self) -> Size:
        """The number of elements."""
        return self.type.size

    def __repr__(self) -> str:
        return f"<tensor {self.name} {self.type} by {self.node.op.name}>"

    def __bool__(self) -> bool:
        way = "use gf.cond or gf.where to choose by a tensor, or fetch it with a Session"
        raise self._valueless("truth value", way)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._valueless(
            "value", "use GraphFlow's functions instead of NumPy's, or fetch it with a Session"
        )

    def _valueless(self, what: str, hint: str) -> GraphError:
        """The error of using a tensor as if it had a value already."""
        from graphflow.ir.graph import describe

        return GraphError(
            f"{self.name} has no {what} while the graph is being built",
            hint=hint,
            operands=describe([self]),
            origin=provenance.capture(),
        )
