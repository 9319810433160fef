"""The JAX function emits operators in the order of the schedule; XLA is free to change it once more."""

from __future__ import annotations

import re

import jax

import graphflow as gf
from graphflow.optimizer.memory import plan_program
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import Program, extract
from graphflow.runtime.backend import CompileOptions, get_backend
from graphflow.runtime.jax.lower import lower

OPERATORS = {"tanh": "tanh", "cos": "cosine", "exp": "exponential", "sqrt": "sqrt"}


def emitted(program: Program) -> list[str]:
    """The operators of interest in the lowered module, in order."""
    lowered = lower(program)
    types = [jax.ShapeDtypeStruct(kind.shape, kind.dtype.numpy) for kind in lowered.types]
    text = jax.jit(lowered.function).lower(*types).as_text()
    names = "|".join(OPERATORS.values())
    return re.findall(rf"stablehlo\.({names}) ", text)


def test_operators_are_emitted_in_the_chosen_order() -> None:
    x = gf.placeholder("x", (64, 64))
    made = [getattr(gf, name)(x, name=name) for name in OPERATORS]
    program = extract([gf.sum(each) for each in made], feeds=[x])
    assert emitted(program) == list(OPERATORS.values())
    rank = {name: place for place, name in enumerate(reversed(OPERATORS))}
    order = [node for node in program.order() if node.name not in rank]
    order[1:1] = [node for node in program.order() if node.name in rank][::-1]
    program.schedule = order
    assert emitted(program) == list(reversed(OPERATORS.values()))


def test_the_chosen_order_is_that_of_the_nodes() -> None:
    x = gf.placeholder("x", (64, 64))
    wide = [getattr(gf, name)(gf.matmul(x, gf.ones((64, 640)))) for name in OPERATORS]
    sums = [gf.sum(each, axis=1) for each in wide]
    total = gf.sum(gf.concat([*sums, *[gf.sum(each * 2.0, axis=1) for each in wide]], axis=0))
    program = optimize(extract([total], feeds=[x]), pipeline="schedule")
    kinds = [OPERATORS[node.op.name] for node in program.schedule if node.op.name in OPERATORS]
    assert emitted(program) == kinds and len(kinds) == 4


def test_segments_keep_the_planned_peak() -> None:
    """Folded from the last to the first, in the order written all wide values are held at once."""
    x = gf.placeholder("x", (256, 16))
    weights = [gf.placeholder(f"w{index}", (16, 256)) for index in range(12)]
    wide = [gf.tanh(gf.matmul(x, each)) for each in weights]
    total = wide[-1]
    for each in wide[-2::-1]:
        total = gf.maximum(each, gf.sin(total))
    program = optimize(extract([gf.sum(total)], feeds=[x, *weights]), pipeline="schedule")
    planned = plan_program(program).lower_bound_bytes
    options = CompileOptions(segment_nodes=10)
    followed = get_backend("jax").compile(program, options)
    assert planned == 2 * 256 * 256 * 4 and followed.memory()["temp"] <= 1.25 * planned
    program.schedule = ()
    assert get_backend("jax").compile(program, options).memory()["temp"] > 4 * planned
