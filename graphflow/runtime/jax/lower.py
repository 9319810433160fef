"""From a Program to one JAX function: a walk over its nodes that calls each operator's lowering.

The function takes one flat list of arrays,

    (constants, values of `updated`, values of `kept`, feeds, key) -> (fetches, new values of `updated`)

Variables and large constants are always arguments: what a traced function captures is copied into
the compiled program, where XLA folds it at great cost and where no two programs can share it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from graphflow.errors import BackendError, GraphFlowError
from graphflow.ir.graph import describe
from graphflow.ir.node import Node, Tensor
from graphflow.ir.types import TensorType
from graphflow.optimizer.program import Program
from graphflow.runtime.jax.callback import callback_lowering
from graphflow.runtime.jax.fusion_barriers import separate
from graphflow.runtime.jax.lowering import LOWERINGS, LOWERINGS_BY_NODE
from graphflow.runtime.jax.packing import unpacking
from graphflow.runtime.jax.symbolic_sizes import sized

# Constants below this size become part of the compiled program, so that XLA can fold them.
INLINE_BYTES = 4096


def _load_families() -> None:
    """Import every `lower_<family>.py` beside this file, which fills the table."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if module.name.startswith("lower_"):
            importlib.import_module(f"{package}.{module.name}")


@dataclass(frozen=True, slots=True)
class Lowered:
    """A traceable function and what its arguments are, in order.

    Attributes:
        function: takes constants, updated, kept, feeds and, if `uses_key`, the key, all flat.
        updated, kept: variable names.
        constants: the arrays that are passed instead of captured.
        types: the type of every argument.
    """

    function: Callable[..., tuple[Any, ...]]
    updated: tuple[str, ...]
    kept: tuple[str, ...]
    constants: tuple[np.ndarray, ...]
    uses_key: bool
    types: tuple[TensorType, ...]


def lower(program: Program, separated: frozenset[Tensor] = frozenset()) -> Lowered:
    """The JAX function of a program with static shapes, or symbolic ones under `symbolic_sizes.using`.

    Arguments:
        separated: the values that are not fused with what reads them; see `fusion_barriers`.
    """
    order = program.order()
    updated = tuple(program.updated)
    reads = {node.name: node for node in order if node.op.name == "variable"}
    changed = set(updated)
    kept = tuple([name for name in reads if name not in changed])
    large = [node for node in order if node.op.name == "constant" and node.attrs.value.nbytes >= INLINE_BYTES]
    keys = [node for node in order if node.op.name == "session_key"]

    groups = [[node.output] for node in large]
    groups += [[reads[name].output] if name in reads else [] for name in (*updated, *kept)]
    groups += [[feed] for feed in program.feeds]
    types = [node.output.type for node in large] + [tensor.type for tensor in program.updates]
    types += [reads[name].output.type for name in kept] + [feed.type for feed in program.feeds]
    if keys:
        groups.append([node.output for node in keys])
        types.append(keys[0].output.type)

    given = {tensor for group in groups for tensor in group}
    steps = [(node, lowering_of(node)) for node in order if not given.intersection(node.outputs)]
    scopes = {node: f"{region.title}/{node.name}" for region in program.regions for node in region.nodes}

    def function(*arguments: Any) -> tuple[Any, ...]:
        values = {tensor: value for group, value in zip(groups, arguments) for tensor in group}
        for node, rule in steps:
            read = [values[tensor] for tensor in node.inputs]
            values.update(zip(node.outputs, apply_node(node, rule, read, scopes.get(node))))
            if separated and not separated.isdisjoint(node.outputs):
                values[node.output] = separate(values[node.output])
        return tuple([values[tensor] for tensor in program.outputs])

    function.__name__ = function.__qualname__ = "graphflow_program"
    constants = tuple(node.attrs.value for node in large)
    return Lowered(function, updated, kept, constants, bool(keys), tuple(types))


def lowering_of(node: Node) -> Callable[..., Any]:
    """The lowering of a node's operator, or a BackendError that names the node."""
    rule = node.op.lowerings.get("jax") or LOWERINGS.get(node.op.name)
    chosen = LOWERINGS_BY_NODE.get(node.op.name)
    if chosen is not None and "jax" not in node.op.lowerings:
        return unpacking(node, chosen(node))
    if rule is None and node.op.callback:
        return callback_lowering(node)
    if rule is None:
        raise BackendError(
            f"node {node.name!r}: the operator {node.op.name} has no JAX lowering",
            hint="use backend='numpy', or express it by other operators",
            origin=node.origin,
        )
    return unpacking(node, rule)


def apply_node(
    node: Node, rule: Callable[..., Any], arguments: Sequence[Any], scope: str | None = None
) -> list[Any]:
    """The traced outputs of one node, checked against its declared types; XLA knows it by its scope."""
    try:
        attrs = sized(node.attrs)
        with jax.named_scope(scope or node.name):
            made = rule(*arguments, **attrs)
    except GraphFlowError as error:
        raise error.located(operands=describe(node.inputs), origin=node.origin) from error
    except Exception as error:
        raise BackendError(
            f"the JAX lowering of {node.name!r} ({node.op.name}) failed: {error}",
            operands=describe(node.inputs),
            origin=node.origin,
            hint="backend='numpy' runs the operator's reference instead",
        ) from error
    outputs = [jnp.asarray(value) for value in (made if isinstance(made, (tuple, list)) else (made,))]
    actual = [(value.dtype, value.shape) for value in outputs]
    declared = [(tensor.dtype.numpy, sized(tensor.shape)) for tensor in node.outputs]
    if actual != declared:
        raise BackendError(
            f"the JAX lowering of {node.name!r} ({node.op.name}) gives {_show(actual)}, "
            f"but the graph says {_show(declared)}",
            operands=describe(node.inputs),
            origin=node.origin,
        )
    return outputs


def _show(kinds: Sequence[tuple[Any, Any]]) -> str:
    return ", ".join(f"{dtype}{list(shape)}" for dtype, shape in kinds)


_load_families()  # last, as some of them need what is above
