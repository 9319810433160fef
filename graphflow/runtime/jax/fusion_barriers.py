"""Values that XLA:CPU must not compute anew for each of their readers, however cheap that looks one by one.

XLA fuses an elementwise value into everything that reads it, and still computes it once more where it is a
result itself. Nothing bounds that: of a chain of n operators whose values are all results (what a segment of
a forward pass hands to the backward pass) each result comes with a copy of the whole chain behind it,
n * n / 2 operators in all. A chain of 60 sines and products on 100,000 elements runs 40 times longer so, and
one of 2,000 does not compile within minutes. In programs that would more than double, such values pass a
barrier, which is kept until code is generated.

Operators that XLA holds for expensive (exp, tanh, division), and those of two arrays, it does not repeat, so
that they end a chain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import jax

from graphflow.ir.node import Node, Tensor
from graphflow.optimizer.program import Program
from graphflow.runtime.jax.calls import tried

OPTIONS: dict[str, str | bool] = {"xla_disable_hlo_passes": "cse_barrier_expander"}
"""The pass that drops barriers before fusion, left out."""
LONGEST = 8
"""How many operators in a row may be computed again."""
_SMALL = 64
"""Programs of fewer nodes are left to XLA."""
_CHEAP = """
abs add astype bitwise_and bitwise_invert bitwise_or bitwise_xor ceil equal floor greater greater_equal
hard_sigmoid hard_swish is_finite is_inf is_nan leaky_relu less less_equal logical_and logical_not logical_or
logical_xor maximum minimum multiply negative not_equal relu round sign square subtract trunc where
"""
_COSTLY = ("cos", "cosh", "gelu", "sin", "sinh", "tan")
_REPEATED = dict.fromkeys(_CHEAP.split(), 1) | dict.fromkeys(_COSTLY, LONGEST)
"""Operators that XLA repeats, and what that costs, an addition being 1."""
_MOVES = frozenset(
    ("broadcast_to", "expand_dims", "identity", "permute_dims", "reshape", "squeeze", "stop_gradient")
)


def repeated_values(program: Program) -> frozenset[Tensor]:
    """The values to keep apart from their readers; none where XLA computes less than twice what it has to.

    What a result needs, or something that cannot be fused, XLA computes from the longest way of operators
    that it repeats. Barriers come where such a way has grown long and has more than one continuation.

    >>> import graphflow as gf
    >>> from graphflow.optimizer.program import extract
    >>> values = [gf.placeholder("x", (8,))]
    >>> for _ in range(100):
    ...     values.append(gf.sin(values[-1]))
    >>> len(repeated_values(extract(values[1:], feeds=values[:1])))
    99
    >>> len(repeated_values(extract(values[-1:], feeds=values[:1])))
    0
    """
    order = program.order()
    if len(order) < _SMALL:
        return frozenset()
    readers = Counter(program.outputs)
    whole = dict.fromkeys(program.outputs)
    for node in order:
        readers.update(node.inputs)
        if node.op.traits.isdisjoint({"elementwise", "injective"}):
            whole.update(dict.fromkeys(node.inputs))
    lengths = _lengths(order)
    if sum([lengths.get(tensor, 0) for tensor in whole]) <= 2 * len(order) or not _is_known():
        return frozenset()
    return frozenset(_chosen(order, readers))


def separate(value: Any) -> Any:
    """A traced value that nothing behind it is fused with."""
    return jax.lax.optimization_barrier(value)


def _is_repeated(node: Node) -> bool:
    """Whether XLA may repeat a node: it is cheap, and reads one array at most beside what is broadcast."""
    if node.op.name not in _MOVES and node.op.name not in _REPEATED:
        return False
    arrays = {tensor for tensor in node.inputs if tensor.ndim and tensor.ndim >= node.output.ndim}
    return node.op.name in _MOVES or len(arrays) <= 1


def _lengths(order: Sequence[Node]) -> dict[Tensor, int]:
    """The number of operators on the longest way of repeatable ones that ends in each tensor, if any."""
    lengths: dict[Tensor, int] = {}
    for node in order:
        if _is_repeated(node):
            own = node.op.name not in _MOVES
            lengths[node.output] = own + max([lengths.get(tensor, 0) for tensor in node.inputs], default=0)
    return lengths


def _chosen(order: Sequence[Node], readers: Mapping[Tensor, int]) -> Iterator[Tensor]:
    """The values with several readers behind which XLA would repeat too much."""
    costs: dict[Tensor, int] = {}
    for node in order:
        if _is_repeated(node):
            own = _REPEATED.get(node.op.name, 0)
            cost = own + max([costs.get(tensor, 0) for tensor in node.inputs], default=0)
            if cost >= LONGEST and readers[node.output] > 1:
                yield node.output
            else:
                costs[node.output] = cost


@cache
def _is_known() -> bool:
    """Whether XLA runs on the CPU here, and keeps barriers when it is told to."""
    return "opt-barrier" in tried(separate, OPTIONS)
