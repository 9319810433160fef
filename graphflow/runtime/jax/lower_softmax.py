"""JAX lowerings of softmax and its logarithm: e^(x - max(x)), rounded so that the largest power is 1.

XLA computes what x is made of twice, for the maximum and for the difference, where LLVM joins a last
multiplication with the subtraction and leaves out its rounding. Of logits beyond 1e9 that rounding is more
than exp can take, either way: inf / inf, or 0 / 0. A minimum between the two keeps them apart, and costs a
tenth of a softmax; so it is left out where x is known to be no product.

The minimum is what XLA:CPU's kernels take in; a comparison, or a second use of the maximum, would part the
softmax from the matrix product before it.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from graphflow.ir.body import Body
from graphflow.ir.node import Node, Tensor
from graphflow.runtime.jax.lowering import LOWERINGS, LOWERINGS_BY_NODE, Lowering

_MOST_NODES = 32
"""How many nodes are looked at before x counts as a product."""

_ROUNDED = frozenset(("variable", "constant", "conv"))
_PASSED_ON = frozenset(
    ("add", "subtract", "where", "maximum", "minimum", "reshape", "permute_dims", "broadcast_to")
)
"""Operators whose results are no products if none of their floating-point operands is."""


def may_be_product(tensor: Tensor) -> bool:
    """Whether XLA may have a multiplication, not yet rounded, where it subtracts from this tensor.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (4, 8))
    >>> may_be_product(x), may_be_product(gf.matmul(x, gf.ones((8, 3)))), may_be_product(x * 0.5)
    (False, False, True)
    """
    pending, seen = [tensor], {tensor}
    while pending and len(seen) <= _MOST_NODES:
        node = pending.pop().node
        if node.op.name in _PASSED_ON:
            operands = [one for one in node.inputs if one.dtype.is_floating and one not in seen]
            seen.update(operands)
            pending += operands
        elif not _is_rounded(node):
            return True
    return bool(pending)


def _is_rounded(node: Node) -> bool:
    if node.op.name == "placeholder":
        return not isinstance(node.graph, Body)  # what a body is given may be computed within its loop
    if node.op.name in ("matmul", "matmul_transposed"):
        return node.inputs[0].shape[-1] != 1  # which XLA makes a multiplication
    return node.op.name in _ROUNDED


def _below_greatest(x: Array, axis: int, guarded: bool) -> Array:
    """x - max(x), 0 at the greatest; where guarded, -inf in rows with inf, of which softmax makes NaN."""
    greatest = jnp.max(x, axis, keepdims=True, initial=-jnp.inf)
    return (jnp.minimum(x, jnp.finfo(x.dtype).max) if guarded else x) - greatest


def _softmax(x: Array, axis: int, guarded: bool = True) -> Array:
    powers = jnp.exp(_below_greatest(x, axis, guarded))
    return powers / jnp.sum(powers, axis, keepdims=True)


def _log_softmax(x: Array, axis: int, guarded: bool = True) -> Array:
    below = _below_greatest(x, axis, guarded)
    return below - jnp.log(jnp.sum(jnp.exp(below), axis, keepdims=True))


def _entered(name: str, function: Lowering) -> None:
    def for_node(node: Node) -> Lowering:
        guarded = may_be_product(node.inputs[0])

        def lowered(x: Array, **attrs: Any) -> Array:
            made: Array = function(x, guarded=guarded, **attrs)
            return made

        return lowered

    LOWERINGS[name] = function
    LOWERINGS_BY_NODE[name] = for_node


_entered("softmax", _softmax)
_entered("log_softmax", _log_softmax)
