"""Primitives of JAX that hold jaxprs: choices, loops, calls, and functions with gradients of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.autodiff.function import recompute
from graphflow.ir import dims
from graphflow.ir.builder import builder_for
from graphflow.ir.node import Tensor
from graphflow.ops.branching import switch_case
from graphflow.ops.looping import scan, while_loop
from graphflow.runtime.jax.jaxpr_inline import with_jax_gradient
from graphflow.runtime.jax.jaxpr_reader import Step, Value, mapped


def _named(step: Step, default: str) -> str:
    name = re.sub(r"[^0-9A-Za-z_.-]", "", str(step.params.get("name", "")))
    return name or default


@mapped("jit", "pjit", "closed_call", "core_call", "call", "custom_vmap_call", "composite", fold=False)
def _(step: Step, *operands: Value) -> list[Value]:
    return step.reader.run(_body(step), operands)


def _body(step: Step) -> Any:
    for name in ("jaxpr", "call_jaxpr", "call"):
        if name in step.params:
            return step.params[name]
    raise step.refuse("has no body", "inline the function that it calls")


@mapped("custom_jvp_call", "custom_vjp_call", fold=False)
def _(step: Step, *operands: Value) -> list[Value]:
    body = _body(step)
    if _is_relu(body):
        return [step.b.relu(operands[0])]
    return with_jax_gradient(step, lambda *values: step.reader.run(body, values), operands)


def _is_relu(closed: Any) -> bool:
    """Whether a body is jax.nn.relu: max(x, 0), whose gradient at 0 is 0."""
    equations = closed.jaxpr.eqns
    while len(equations) == 1 and equations[0].primitive.name in ("jit", "pjit"):
        if equations[0].params.get("name") != "relu":
            return False
        equations = equations[0].params["jaxpr"].jaxpr.eqns
        if len(equations) == 1 and equations[0].primitive.name == "max":
            other = getattr(equations[0].invars[1], "val", None)
            return other is not None and np.ndim(other) == 0 and float(other) == 0.0
    return False


@mapped("custom_linear_solve", fold=False)
def _(step: Step, *operands: Value) -> list[Value]:
    lengths = step.params["const_lengths"]
    start = lengths.matvec + lengths.vecmat
    skipped = start + lengths.solve + lengths.transpose_solve

    def primal(*values: Value) -> list[Value]:
        solve = values[start : start + lengths.solve]
        return step.reader.run(step.params["jaxprs"].solve, [*solve, *values[skipped:]])

    return with_jax_gradient(step, primal, operands)


@mapped("remat2", "remat", "checkpoint", "remat_opt", fold=False)
def _(step: Step, *operands: Value) -> list[Value]:
    body = _body(step)
    if step.params.get("differentiated"):
        return step.reader.run(body, operands)
    places = [place for place, value in enumerate(operands) if isinstance(value, Tensor)]

    def again(*tensors: Tensor) -> list[Value]:
        return step.reader.run(body, _filled(operands, places, tensors))

    made = recompute(again, name=_named(step, "recompute"))(*[operands[place] for place in places])
    return list(made)


def _filled(values: Sequence[Value], places: Sequence[int], tensors: Sequence[Tensor]) -> list[Value]:
    """The values with tensors at the given places; those that are known stay known inside a body."""
    filled = list(values)
    for place, tensor in zip(places, tensors):
        filled[place] = tensor
    return filled


@mapped("cond", fold=False)
def _(step: Step, index: Value, *operands: Value) -> list[Value]:
    branches = step.params["branches"]
    if isinstance(index, np.ndarray):
        return step.reader.run(branches[min(max(int(index), 0), len(branches) - 1)], operands)
    places = [place for place, value in enumerate(operands) if isinstance(value, Tensor)]

    def branch(closed: Any) -> Any:
        def chosen(*tensors: Tensor) -> list[Tensor]:
            made = step.reader.run(closed, _filled(operands, places, tensors))
            return _as_tensors(made)

        return chosen

    return list(switch_case(index, [branch(one) for one in branches], *[operands[place] for place in places]))


@mapped("platform_index")
def _(step: Step) -> np.ndarray:
    """The branch for CPUs or for any platform: a graph is not bound to one."""
    platforms = step.params["platforms"]
    found = [place for place, names in enumerate(platforms) if names is None or "cpu" in names]
    return np.asarray(found[-1] if found else len(platforms) - 1, np.int32)


def _as_tensors(values: Sequence[Value]) -> list[Tensor]:
    builder = builder_for([value for value in values if isinstance(value, Tensor)])
    return builder.operands_of(values)


@mapped("scan", fold=False)
def _(step: Step, *operands: Value) -> list[Value]:
    params = step.params
    fixed, carries = params["num_consts"], params["num_carry"]
    (length,) = step.sizes((params["length"],))
    consts, first, rows = operands[:fixed], operands[fixed : fixed + carries], operands[fixed + carries :]

    def advance(state: list[Tensor], row: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        made = _as_tensors(step.reader.run(params["jaxpr"], [*consts, *state, *row]))
        return made[:carries], made[carries:]

    last, results = scan(
        advance, _as_tensors(first), _as_tensors(rows), length=length, reverse=bool(params["reverse"])
    )
    return [*last, *results]


@mapped("while", fold=False)
def _(step: Step, *operands: Value) -> list[Value]:
    params = step.params
    tested, fixed = params["cond_nconsts"], params["body_nconsts"]
    of_test, of_body = operands[:tested], operands[tested : tested + fixed]

    def tested_by(state: list[Tensor]) -> Tensor:
        return _as_tensors(step.reader.run(params["cond_jaxpr"], [*of_test, *state]))[0]

    def going(state: list[Tensor]) -> Tensor:
        test = tested_by(state)
        return builder_for([test]).any(test) if test.ndim else test

    def advance(state: list[Tensor]) -> list[Tensor]:
        made = _as_tensors(step.reader.run(params["body_jaxpr"], [*of_body, *state]))
        if not params["cond_jaxpr"].out_avals[0].shape:
            return made
        return _where_going(tested_by(state), made, state)

    return list(while_loop(going, advance, _as_tensors(operands[tested + fixed :])))


def _where_going(test: Tensor, made: list[Tensor], before: list[Tensor]) -> list[Tensor]:
    """Of loops side by side (made by jax.vmap) those go on whose condition holds."""
    b = builder_for([test])
    return [
        b.where(b.reshape(test, shape=(*test.shape, *(1,) * (after.ndim - test.ndim))), after, old)
        for after, old in zip(made, before)
    ]


@mapped("reduce", fold=False)
def _(step: Step, *operands: Value) -> list[Value]:
    """A reduction by a function of the user's: a loop over the elements that are reduced."""
    count = len(operands) // 2
    axes = list(step.params["dimensions"])
    rows = []
    for x in _as_tensors(operands[:count]):
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        moved = step.b.permute_dims(x, axes=(*axes, *kept))
        rows.append(
            step.b.reshape(moved, shape=(dims.product(moved.shape[: len(axes)]), *moved.shape[len(axes) :]))
        )
    first = [step.b.broadcast_to(value, shape=kind.shape) for value, kind in zip(operands[count:], step.outs)]
    body, consts = step.params["jaxpr"], step.params.get("consts", ())

    def combine(state: list[Tensor], row: list[Tensor]) -> tuple[list[Tensor], None]:
        return _as_tensors(step.reader.run(body, [*state, *row], consts or None)), None

    return scan(combine, _as_tensors(first), rows)[0]
