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

    first, given = tuple(operands[:carries]), tuple(operands[carries : carries + sequences])
    if given and length > 1 and _GATED.issubset([node.op.name for node in body.order()]):
        return _fetching_ahead(advance, first, given, int(length), reverse)
    final, rows = lax.scan(advance, first, given, int(length), reverse)
    return (*final, *rows)


_GATED = {"matmul", "split"}
"""The operators of a step that makes all its gates by one product."""


def _fetching_ahead(
    advance: Callable[..., Any], first: tuple[Any, ...], given: tuple[Any, ...], length: int, reverse: bool
) -> Any:
    """A scan whose steps carry the slices of the step after them.

    XLA:CPU else merges the slicing with the loops over the gates, which then are not vectorised: an LSTM's
    step takes 1.5 times as long. They are read once the step is done, as XLA knows by their place: else it
    copies them twice, lest they overwrite those in use, which costs a step of 16 x 512 a twelfth.
    """
    places = np.arange(length, dtype=np.int32)
    begin, after = (length - 1, places - 1) if reverse else (0, places + 1)

    def step(state: Any, place: Any) -> tuple[Any, Any]:
        carried, rows = advance(*state)
        ahead = [_slice_after(each, place, carried) for each in given]
        return (carried, tuple(ahead)), rows

    start = (first, tuple([each[begin] for each in given]))
    (final, _), rows = lax.scan(step, start, np.clip(after, 0, length - 1), length, reverse)
    return (*final, *rows)


def _slice_after(array: Any, place: Any, moments: Sequence[Any]) -> Any:
    """array[place], read when the first of the moments that has elements is known."""
    known = next((moment for moment in moments if moment.size), None)
    later = place if known is None else place ^ _zero_of(known).astype(place.dtype)
    return lax.dynamic_index_in_dim(array, later, keepdims=False, allow_negative_indices=False)


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


@lowering("after")
def _(x: Any, moment: Any) -> Any:
    """x with its bits inverted where those of a zero are set that XLA does not know to be one.

    An optimization barrier would not do: XLA removes it on the CPU and then merges what it held apart. This
    joins the loops that read x.
    """
    if not moment.size:
        return x
    zero = _zero_of(moment)
    if jnp.iscomplexobj(x):
        return lax.complex(_flipped(x.real, zero), _flipped(x.imag, zero))
    return _flipped(x, zero)


def _zero_of(moment: Any) -> Any:
    """The lowest bit of k (k + 1), an int32, where k is an element of `moment`."""
    first = lax.slice(moment, (0,) * moment.ndim, (1,) * moment.ndim).reshape(())
    bits = _bits(first.real if jnp.iscomplexobj(first) else first).astype(jnp.int32)
    return bits * (bits + 1) & 1


def _flipped(x: Any, zero: Any) -> Any:
    if x.dtype == np.bool_:
        return x ^ (zero != 0)
    bits = _bits(x)
    return lax.bitcast_convert_type(bits ^ zero.astype(bits.dtype), x.dtype)


def _bits(x: Any) -> Any:
    """The integers of the same width that have the bits of real numbers."""
    whole = x.dtype == np.bool_ or jnp.issubdtype(x.dtype, jnp.integer)
    return x if whole else lax.bitcast_convert_type(x, f"uint{8 * x.dtype.itemsize}")
