"""Compile options that keep XLA:CPU from fusions that compute garbage, or that are slow.

jaxlib 0.10 fuses a product by a matrix of equal elements with the sum behind it, and the sum then reads
memory that nothing has written: `jnp.sum(v @ jnp.full((512, 1000), 0.02), 0)` gives other numbers, NaN among
them, at each compilation. And it fuses dense layers that follow one another, with what is between them, where
large weights are then brought into another order in every run: the three of AlexNet, for eight images, take
0.65 s so and 0.04 s each by itself. Programs with such a product, or with two such weights, are compiled
without these fusions, which costs a reduction up to half of its speed; to leave out the fused reductions
alone gives garbage elsewhere (DenseNet). All others are compiled as ever.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from graphflow.ir.body import nested_nodes
from graphflow.ir.node import Tensor
from graphflow.optimizer.program import Program
from graphflow.runtime.jax import fusion_barriers
from graphflow.runtime.jax.calls import tried

_KIND = "LIBRARY_FUSION_TYPE_"
_OPTIONS: dict[str, str | bool] = {
    "xla_cpu_experimental_ynn_fusion_type": ",".join(
        [_KIND + kind for kind in ("INDIVIDUAL_DOT", "INDIVIDUAL_CONVOLUTION")]
    )
}
_LARGE = 32 << 20


def compile_options(program: Program, has_barriers: bool = False) -> dict[str, str | bool]:
    """What XLA is told when a program is compiled, with `fusion_barriers` or not; {} for nothing."""
    guarded = has_large_products(program) or has_uniform_product(program)
    options = dict(_OPTIONS) if guarded and _is_known() else {}
    return options | fusion_barriers.OPTIONS if has_barriers else options


def has_large_products(program: Program) -> bool:
    """Whether there are two products with matrices of 32 MiB or more that depend on no feed.

    >>> import graphflow as gf
    >>> from graphflow.optimizer.program import extract
    >>> has_large_products(extract([gf.matmul(gf.ones((3, 4)), gf.ones((4, 3)))]))
    False
    """
    found = 0
    for node in nested_nodes(program.order()):
        if node.op.name == "matmul":
            matrix = node.inputs[1]
            held, size = matrix.node.op.name in ("constant", "variable"), matrix.type.nbytes
            found += held and isinstance(size, int) and size >= _LARGE
    return found > 1


def has_uniform_product(program: Program) -> bool:
    """Whether an operand of a contraction, in bodies too, has equal elements whatever the feeds are.

    >>> import graphflow as gf
    >>> from graphflow.optimizer.program import extract
    >>> x = gf.placeholder("x", (2, 3))
    >>> has_uniform_product(extract([gf.sum(gf.matmul(x, gf.ones((3, 4))))], feeds=[x]))
    True
    """
    uniform: set[Tensor] = set()
    for node in nested_nodes(program.order()):
        if node.op.name == "constant":
            if _is_even(np.asarray(node.attrs["value"])):
                uniform.update(node.outputs)
            continue
        operands = node.inputs[:2] if node.op.name == "packed_conv" else node.inputs  # the rest is added
        alike = [tensor in uniform or _is_single(tensor) for tensor in operands]
        if any(alike) and "contraction" in node.op.traits:
            return True
        if alike and all(alike) and not node.op.traits.isdisjoint({"elementwise", "injective"}):
            uniform.update(node.outputs)
    return False


def _is_single(tensor: Tensor) -> bool:
    return all(size == 1 for size in tensor.shape)


def _is_even(array: np.ndarray) -> bool:
    """Whether an array has equal elements; the first ones of most that do not tell."""
    flat = array.reshape(-1)
    return flat.size > 0 and bool((flat[:8] == flat[0]).all()) and bool((flat == flat[0]).all())


@cache
def _is_known() -> bool:
    """Whether XLA runs on the CPU here, and knows the option."""
    return bool(tried(lambda x: x, _OPTIONS))
