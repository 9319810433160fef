"""What a node costs: floating-point operations and bytes moved, from types alone.

Counts follow the usual conventions: a multiply-add is two operations, a comparison or a conversion
one; a transcendental function counts as one, since how many instructions it takes is the target's
affair. Moving data (reshape, slice, gather) costs no operation. The operators that do more than one
operation for each output element have a line in `_RULES`; all others get that default.

Costs need sizes: a symbolic one counts as 1, so that costs of a program with symbolic sizes compare
as costs for each element of the unknown axes. A report can be asked for other sizes (`counted_at`); the
optimizer decides without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from weakref import WeakKeyDictionary

from graphflow.ir.body import Body
from graphflow.ir.dims import Dim, substitute
from graphflow.ir.node import Node
from graphflow.ir.types import Shape, TensorType
from graphflow.ops.winograd import tiles

FREE_FAMILIES = frozenset({"state", "shape", "indexing"})
"""Operators of these families move data or name it, and compute nothing."""


def elements(shape: Shape) -> int:
    """The number of elements; a symbolic size counts as 1.

    >>> elements((2, Dim("batch"), 3))
    6
    """
    return math.prod([_counted(size) if isinstance(size, Dim) else size for size in shape])


_sizes: ContextVar[Mapping[str, int] | None] = ContextVar("sizes that are not 1", default=None)


@contextmanager
def counted_at(sizes: Mapping[str, int] | None) -> Iterator[None]:
    """Inside, these symbolic sizes count as what they are given as.

    >>> with counted_at({"batch": 32}):
    ...     elements((2, Dim("batch"), 3))
    192
    """
    token = _sizes.set(sizes)
    try:
        yield
    finally:
        _sizes.reset(token)


def _counted(size: Dim) -> int:
    sizes = _sizes.get()
    known = substitute(size, sizes) if sizes else size
    return 1 if isinstance(known, Dim) else known


def type_bytes(type: TensorType) -> int:
    """The bytes of a tensor of this type; a symbolic size counts as 1."""
    return elements(type.shape) * type.dtype.itemsize


def node_bytes(node: Node) -> int:
    """The bytes a node reads and writes, if nothing is fused or shared."""
    read = sum([type_bytes(tensor.type) for tensor in node.inputs])
    return read + sum([type_bytes(tensor.type) for tensor in node.outputs])


def node_flops(node: Node) -> int:
    """The floating-point operations of a node.

    >>> import graphflow as gf
    >>> node_flops((gf.constant([1.0, 2.0]) + 1.0).node)
    2
    """
    rule = _RULES.get(node.op.name)
    if rule is not None:
        return rule(node)
    if node.op.family in FREE_FAMILIES or not node.outputs:
        return 0
    return sum([elements(tensor.type.shape) for tensor in node.outputs])


def total_flops(nodes: Iterable[Node]) -> int:
    """The floating-point operations of all nodes."""
    return sum(map(node_flops, nodes))


def total_bytes(nodes: Iterable[Node]) -> int:
    """The bytes that all nodes read and write, if nothing is fused or shared."""
    return sum(map(node_bytes, nodes))


def _made(node: Node) -> int:
    return elements(node.outputs[0].type.shape)


def _read(node: Node) -> int:
    return elements(node.inputs[0].type.shape)


def _times_read(factor: int) -> Callable[[Node], int]:
    """So many operations for each element of the first input."""
    return lambda node: factor * _read(node)


def _matmul(node: Node) -> int:
    shape = node.inputs[0].type.shape
    return 2 * _made(node) * elements(shape[-1:])


def _taps(weight: Shape) -> int:
    """Products for each output element of a convolution with O, I/groups, *window weights."""
    return elements(weight[1:])


def _conv(node: Node) -> int:
    return 2 * _made(node) * _taps(node.inputs[1].type.shape)


def _conv_transpose(node: Node) -> int:
    return 2 * _read(node) * _taps(node.inputs[1].type.shape)


def _conv_weight_gradient(node: Node) -> int:
    return 2 * elements(node.inputs[1].type.shape) * _taps(node.outputs[0].type.shape)


def _last_kernel(weight: Shape) -> int:
    """Products for each output element of a convolution with *window, I/groups, O weights."""
    return elements(weight[:-1])


def _winograd(node: Node) -> int:
    """The products of the transformed image with the weights; transforms only add up."""
    x, u = node.inputs[0].type.shape, node.inputs[1].type.shape
    batch, *sizes, _ = node.outputs[0].type.shape
    count = elements((batch,)) * math.prod([tiles(elements((size,)), node.attrs.tile) for size in sizes])
    return 2 * count * elements(u[:1]) * elements(x[-1:]) * elements(u[-1:])


def _pool(node: Node) -> int:
    return _made(node) * math.prod(node.attrs.get("window", (1,)))


def _cubic(node: Node) -> int:
    """Factorisations and solves of n x n matrices: n^3 / 3 multiply-adds each."""
    shape = node.inputs[0].type.shape
    size = elements(shape[-1:])
    return 2 * _read(node) * size // 3


def _sort(node: Node) -> int:
    axis = node.attrs.get("axis", -1)
    size = elements(node.inputs[0].type.shape[axis : axis + 1 or None])
    return _read(node) * max(1, size.bit_length())


def _nothing(node: Node) -> int:
    return 0


def _einsum(node: Node) -> int:
    """Twice the product of the sizes of all indices, those of each operand counted once."""
    inputs = str(node.attrs.get("equation", "")).replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for letters, tensor in zip(inputs, node.inputs):
        sizes.update(zip(letters, [elements((size,)) for size in tensor.type.shape]))
    return 2 * math.prod(sizes.values()) if sizes else _made(node)


def _body(body: Body) -> int:
    """The operations of one run of a body; remembered, as bodies do not change."""
    if _sizes.get():
        return total_flops(body.order())
    found = _of_bodies.get(body)
    if found is None:
        found = _of_bodies[body] = total_flops(body.order())
    return found


_of_bodies: WeakKeyDictionary[Body, int] = WeakKeyDictionary()


def _scan(node: Node) -> int:
    return elements((node.attrs.length,)) * _body(node.attrs.body)


def _while(node: Node) -> int:
    """For the most steps, or for one where there is no bound."""
    return (node.attrs.max_steps or 1) * (_body(node.attrs.body) + _body(node.attrs.condition))


_RULES: dict[str, Callable[[Node], int]] = {
    "scan": _scan,
    "while_loop": _while,
    "switch_case": lambda node: max(map(_body, node.attrs.branches)),
    "static_case": lambda node: max(map(_body, node.attrs.branches)),
    "call": lambda node: _body(node.attrs.body),
    "matmul": _matmul,
    "matmul_transposed": _matmul,
    "einsum": _einsum,
    "conv": _conv,
    "conv_input_gradient": _conv_transpose,
    "conv_transpose": _conv_transpose,
    "conv_weight_gradient": _conv_weight_gradient,
    "channels_last_conv": lambda node: 2 * _made(node) * _last_kernel(node.inputs[1].type.shape),
    "channels_last_conv_input_gradient": lambda node: (
        2 * _read(node) * _last_kernel(node.inputs[1].type.shape)
    ),
    "channels_last_conv_weight_gradient": lambda node: (
        2 * elements(node.inputs[1].type.shape) * _last_kernel(node.outputs[0].type.shape)
    ),
    "winograd_conv": _winograd,
    "packed_conv": lambda node: 2 * _made(node) * elements(node.inputs[1].type.shape[2:3]),
    "max_pool": _pool,
    "avg_pool": _pool,
    **dict.fromkeys(
        ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin", "cumsum", "cumprod"), _times_read(1)
    ),
    **dict.fromkeys(("mean", "logsumexp", "softmax", "log_softmax"), _times_read(3)),
    **dict.fromkeys(("layer_norm", "batch_norm", "group_norm", "instance_norm"), _times_read(5)),
    **dict.fromkeys(("cholesky", "inverse", "inv", "solve", "det", "triangular_solve"), _cubic),
    **dict.fromkeys(("sort", "argsort", "top_k", "unique_all"), _sort),
    **dict.fromkeys(("stop_gradient", "identity", "after"), _nothing),
}
