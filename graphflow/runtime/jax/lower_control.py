"""Control flow in JAX: bodies become traced functions of lax.switch, lax.scan and lax.while_loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from graphflow.ir.body import Body
from graphflow.ops.control import OPAQUE
from graphflow.ops.static_case import branch_of
from graphflow.runtime.jax.lower import apply_node, lowering_of
from graphflow.runtime.jax.lowering import lowering


def body_function(body: Body) -> Callable[..., tuple[Any, ...]]:
    """The function of traced arrays that a body describes."""
    parameters, outputs = body.parameters, body.outputs
    steps = [(node, lowering_of(node)) for node in body.order()[len(parameters) :]]

    def function(*arguments: Any) -> tuple[Any, ...]:
        values = dict(zip(parameters, arguments))
        for node, rule in steps:
            made = apply_node(node, rule, [values[tensor] for tensor in node.inputs])
            values.update(zip(node.outputs, made))
        return tuple([values[tensor] for tensor in outputs])

    return function


@lowering("switch_case")
def _(index: Any, *operands: Any, branches: Sequence[Body]) -> Any:
    functions = [body_function(branch) for branch in branches]
    if len(functions) == 1:
        return functions[0](*operands)
    if index.dtype == np.bool_:
        return lax.cond(index, functions[1], functions[0], *operands)
    # A narrow index may not hold the number of the last branch, and one wider than int32 is clamped before
    # it is narrowed, so that none wraps into the range.
    if index.dtype.itemsize < 4:
        index = index.astype(jnp.int32)
    chosen = jnp.clip(index, 0, len(functions) - 1).astype(jnp.int32)
    return lax.switch(chosen, functions, *operands)


@lowering("static_case")
def _(*operands: Any, **attrs: Any) -> Any:
    return body_function(branch_of(**attrs))(*operands)


@lowering("scan")
def _(*operands: Any, body: Body, carries: int, sequences: int, length: int, reverse: bool) -> Any:
    step = body_function(body)
    fixed = operands[carries + sequences :]

    def advance(state: Any, slices: Any) -> tuple[Any, Any]:
        made = step(*state, *slices, *fixed)
        return made[:carries], made[carries:]

    final, rows = lax.scan(
        advance,
        tuple(operands[:carries]),
        tuple(operands[carries : carries + sequences]),
        int(length),
        reverse,
    )
    return (*final, *rows)


@lowering("while_loop")
def _(*operands: Any, condition: Body, body: Body, carries: int, max_steps: int | None) -> Any:
    test, step = body_function(condition), body_function(body)
    fixed = operands[carries:]
    first = tuple(operands[:carries])
    if max_steps is None:
        return lax.while_loop(
            lambda state: test(*state, *fixed)[0], lambda state: step(*state, *fixed)[:carries], first
        )
    count = np.int64(0)
    _, final = lax.while_loop(
        lambda pair: (pair[0] < max_steps) & test(*pair[1], *fixed)[0],
        lambda pair: (pair[0] + 1, step(*pair[1], *fixed)[:carries]),
        (count, first),
    )
    return final


@lowering("call")
def _(*operands: Any, body: Body, mark: str) -> Any:
    function = body_function(body)
    if mark != OPAQUE:
        return function(*operands)
    return function(*lax.optimization_barrier(operands)) if operands else function()
