"""What a node costs: floating-point operations and bytes moved, from types alone.

Counts follow the usual conventions: a multiply-add is two operations, a comparison or a conversion
one; a transcendental function counts as one, since how many instructions it takes is the target's
affair. Moving data (reshape, slice, gather) costs no operation. The operators that do more than one
operation for each output element have a line in `_RULES`; all others get that default. Matrices count as
in G. Golub and C. Van Loan, "Matrix Computations", fourth edition, by the leading terms; a Fourier
transform of n complex numbers is 5 n log2 n.

A loop counts its body as often as it runs it, a choice the costliest of its branches; how often a
`while_loop` without a bound runs is not known, so that it counts once.

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
    """The bytes a node reads and writes, if nothing is fused or shared; of a body those of its nodes.

    >>> import graphflow as gf
    >>> node_bytes((gf.constant([1.0, 2.0]) + 1.0).node)
    20
    """
    inside = _RUNS.get(node.op.name)
    if inside is not None:
        return inside(node, _body_bytes)
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
    inside = _RUNS.get(node.op.name)
    if inside is not None:
        return inside(node, _body_flops)
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


def _cubic(factor: float) -> Callable[[Node], int]:
    """So many times n^3 operations for each n x n matrix; of m x n ones the smaller size counts twice."""

    def count(node: Node) -> int:
        shape = node.inputs[0].type.shape
        return int(factor * _read(node) * min(elements(shape[-1:]), elements(shape[-2:-1])))

    return count


def _solved(node: Node) -> int:
    """n^2 multiply-adds for each right-hand side: once in either triangle, or in one alone."""
    return _made(node) * elements(node.inputs[0].type.shape[-1:])


def _householder(node: Node) -> int:
    """R by reflections, m x n with m >= n: 2 n^2 (m - n / 3), and as much again for the columns of Q."""
    rows, columns = sorted([elements((size,)) for size in node.inputs[0].type.shape[-2:]], reverse=True)
    return int(4 * _read(node) * (columns - columns * columns / (3 * max(1, rows))))


def _fourier(node: Node) -> int:
    """5 n log2 n for each row of n complex numbers, half of it where one side is real."""
    axis = node.attrs.axis
    size = max([elements((tensor.type.shape[axis],)) for tensor in (node.inputs[0], node.output)])
    rows = max(_read(node), _made(node))
    real = node.op.name != "complex_dft"
    return round((2.5 if real else 5.0) * rows * math.log2(max(1, size)))


def _added(node: Node) -> int:
    """An addition for each element of the updates."""
    return elements(node.inputs[2].type.shape)


def _sort(node: Node) -> int:
    axis = node.attrs.get("axis", -1)
    size = elements(node.inputs[0].type.shape[axis : axis + 1 or None])
    return _read(node) * max(1, size.bit_length())


def _nothing(node: Node) -> int:
    return 0


Counted = Callable[[Body], int]


def _body_flops(body: Body) -> int:
    """The operations of one run of a body."""
    return _remembered(body, _flops_of, total_flops)


def _body_bytes(body: Body) -> int:
    """The bytes that the nodes of a body read and write in one run; its parameters only bring them."""
    return _remembered(body, _bytes_of, lambda nodes: total_bytes([one for one in nodes if one.inputs]))


_flops_of: WeakKeyDictionary[Body, int] = WeakKeyDictionary()
_bytes_of: WeakKeyDictionary[Body, int] = WeakKeyDictionary()


def _remembered(
    body: Body, known: WeakKeyDictionary[Body, int], count: Callable[[Iterable[Node]], int]
) -> int:
    """What a body counts; remembered unless sizes are given, as bodies do not change."""
    if _sizes.get():
        return count(body.order())
    found = known.get(body)
    if found is None:
        found = known[body] = count(body.order())
    return found


def _scan(node: Node, count: Counted) -> int:
    return elements((node.attrs.length,)) * count(node.attrs.body)


def _while(node: Node, count: Counted) -> int:
    """For the most steps, or for one where there is no bound."""
    steps = 1 if node.attrs.max_steps is None else node.attrs.max_steps
    return steps * (count(node.attrs.body) + count(node.attrs.condition))


def _choice(node: Node, count: Counted) -> int:
    return max(map(count, node.attrs.branches))


_RUNS: dict[str, Callable[[Node, Counted], int]] = {
    "scan": _scan,
    "while_loop": _while,
    "switch_case": _choice,
    "static_case": _choice,
    "call": lambda node, count: count(node.attrs.body),
}
"""How often the bodies of a node run."""

_RULES: dict[str, Callable[[Node], int]] = {
    "matmul": _matmul,
    "matmul_transposed": _matmul,
    "matmul_integer": _matmul,
    "conv": _conv,
    "conv_input_gradient": _conv_transpose,
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
    **dict.fromkeys(("sum", "prod", "max", "min", "any", "all", "argmax", "argmin", "col2im"), _read),
    "mean": lambda node: _read(node) + _made(node),  # a sum and a division
    "logsumexp": _times_read(4),  # the largest, differences, exp, a sum
    **dict.fromkeys(("softmax", "log_softmax"), _times_read(5)),  # and a quotient, or another difference
    "batch_normalization": _times_read(4),  # with statistics that are given
    "layer_normalization": _times_read(7),  # two sums, a difference, a square, a quotient, scale and offset
    **dict.fromkeys(("index_add", "add_along_axis", "scatter_nd_add"), _added),
    "cholesky": _cubic(1 / 3),
    **dict.fromkeys(("det", "slogdet"), _cubic(2 / 3)),  # by L U
    **dict.fromkeys(("inv", "adjugate"), _cubic(2)),
    "solve": lambda node: _cubic(2 / 3)(node) + 2 * _solved(node),
    "triangular_solve": _solved,
    "qr": _householder,
    "svd": _cubic(21),
    "svdvals": _cubic(8 / 3),
    "pinv": _cubic(23),
    "eigh": _cubic(9),
    "eigvalsh": _cubic(4 / 3),
    "eig": _cubic(25),
    "eigvals": _cubic(10),
    **dict.fromkeys(("complex_dft", "real_dft", "inverse_real_dft"), _fourier),
    **dict.fromkeys(("sort", "argsort", "top_k", "unique_all"), _sort),
    **dict.fromkeys(
        (
            "stop_gradient",
            "identity",
            "after",
            "bitcast",
            "real",
            "imag",
            "complex",
            "diagonal",
            "diagonal_matrix",
            "im2col",
        ),
        _nothing,
    ),
}
