"""Tensors of less than a byte an element, moved as bytes.

XLA packs int4 and int2, several to a byte, and ends the process where it cannot join packed tensors
(jaxlib 0.10 on the CPU). So operators see such tensors as bytes; only those that convert see them packed.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from graphflow.ir.node import Node
from graphflow.runtime.jax.lowering import Lowering

_CONVERTING = frozenset(
    ("astype", "bitcast", "quantize_linear", "dequantize_linear", "constant", "identity", "stop_gradient")
)
_CARRIERS = {
    "int4": jnp.int8,
    "int2": jnp.int8,
    "uint4": jnp.uint8,
    "uint2": jnp.uint8,
    "float4_e2m1fn": jnp.float8_e4m3fn,
}
"""By packed dtype, one of whole bytes that holds all its values."""


def unpacking(node: Node, rule: Lowering) -> Lowering:
    """The lowering of a node, with packed inputs handed to it as bytes and its results packed again."""
    packed = [tensor.dtype.name in _CARRIERS for tensor in node.outputs]
    reads = [tensor.dtype.name in _CARRIERS for tensor in node.inputs]
    if node.op.name in _CONVERTING or not (any(packed) or any(reads)):
        return rule

    def moving(*arrays: Array, **attrs: Any) -> Any:
        made = rule(
            *[array.astype(_CARRIERS.get(array.dtype.name, array.dtype)) for array in arrays], **attrs
        )
        results = made if isinstance(made, (tuple, list)) else (made,)
        kinds = [tensor.dtype.numpy for tensor in node.outputs]
        return tuple(
            [value.astype(kind) if pack else value for value, kind, pack in zip(results, kinds, packed)]
        )

    return moving
