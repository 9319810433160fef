"""A small language for tests of rules, and what they assert.

    x: float32[4,7], y: int32[n] -> s = softmax(x, axis=1); (log(s), s)

Left of the arrow stand the inputs; right of it Python statements over the operators, of which the
last is an expression: the output, or a tuple of them.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.ir.dims import Dim, symbols
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.graph import Graph
from graphflow.ir.interpret import evaluate
from graphflow.ir.node import Tensor
from graphflow.ir.opdef import registry
from graphflow.ops.declare import constant, placeholder
from graphflow.optimizer.driver import run_rules
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.program import Program, extract, specialize
from graphflow.optimizer.rewriter import Rewriter
from graphflow.optimizer.rule import Rule

AWKWARD = (0.0, -0.0, 1.0, -1.0, 0.5, 3.25, -1e-30, 1e-38, 88.0, -120.0, 1e30, np.inf, -np.inf, np.nan)


def build(text: str) -> Program:
    """The program that a text in the language describes."""
    header, _, body = text.partition("->")
    with Graph():
        names: dict[str, Any] = {op.name: op for op in registry}
        names.update(constant=constant, np=np, Dim=Dim)
        inputs = [_input(item) for item in _items(header)]
        names.update({tensor.node.name: tensor for tensor in inputs})
        outputs = _run(body, names)
        return extract(outputs, feeds=inputs)


def _items(header: str) -> list[str]:
    items = header.strip().replace("]", "]\n").split("\n")
    return [item.strip(" ,") for item in items if item.strip(" ,")]


def _input(item: str) -> Tensor:
    name, _, kind = item.partition(":")
    dtype, _, sizes = kind.strip().rstrip("]").partition("[")
    shape = tuple(
        int(size) if size.strip().isdigit() else size.strip() for size in sizes.split(",") if size.strip()
    )
    return placeholder(name.strip(), shape, dtype=dtype)


def _run(body: str, names: dict[str, Any]) -> list[Tensor]:
    *statements, last = ast.parse(body.strip()).body
    for statement in statements:
        exec(compile(ast.Module([statement], []), "<test>", "exec"), names)
    assert isinstance(last, ast.Expr), f"{body!r} does not end in an expression"
    value = eval(compile(ast.Expression(last.value), "<test>", "eval"), names)
    return list(value) if isinstance(value, (tuple, list)) else [value]


def show(program: Program) -> str:
    """The program as text that depends on nothing but what it computes: one line a node, then the outputs."""
    numbers: dict[Tensor, str] = {}
    lines = []
    for count, node in enumerate(program.order()):
        numbers.update({tensor: f"%{count}.{tensor.index}" for tensor in node.outputs})
        read = ", ".join(numbers[tensor] for tensor in node.inputs)
        attrs = {} if node.op.name == "placeholder" else dict(node.attrs)
        label = f" {node.name}" if node.op.name == "placeholder" else ""
        types = ", ".join(str(tensor.type) for tensor in node.outputs)
        lines.append(f"%{count} = {node.op.name}{label}({read}) {attrs} : {types}")
    return "\n".join([*lines, "return " + ", ".join(numbers[tensor] for tensor in program.outputs)])


def rewrite(program: Program, rules: Sequence[Rule]) -> Journal:
    """Apply rules to a fixed point, strictly; the journal of what happened."""
    journal = Journal("remarks")
    rewriter = Rewriter(program, journal)
    run_rules(rewriter, list(rules), strict=True)
    rewriter.settle()
    return journal


def assert_rewrites(rules: Rule | Sequence[Rule], before: str, after: str) -> None:
    """The rules turn one program into the other, each fires, and a second run changes nothing."""
    chosen = [rules] if isinstance(rules, Rule) else list(rules)
    program = build(before)
    journal = rewrite(program, chosen)
    header = before.partition("->")[0]
    wanted = build(after if "->" in after else f"{header}-> {after}")
    rewrite(wanted, [])
    assert show(program) == show(wanted)
    for rule in chosen:
        assert journal.fired(rule.name), f"{rule.name} did not fire"
    assert rewrite(program, chosen).edits == 0


def assert_declines(rules: Rule | Sequence[Rule], before: str, sentence: str = "") -> None:
    """The rules leave the program alone; with `sentence`, one of them says so with these words."""
    chosen = [rules] if isinstance(rules, Rule) else list(rules)
    program, untouched = build(before), build(before)
    journal = rewrite(program, chosen)
    rewrite(untouched, [])
    assert show(program) == show(untouched)
    said = [remark.reason for remark in journal.remarks]
    if sentence:
        assert any(sentence in reason for reason in said), said
    else:
        assert not said


def awkward(tensor: Tensor, seed: int = 0, finite: bool = False) -> np.ndarray:
    """An array for an input, with the values at which rules go wrong among its elements."""
    rng = np.random.default_rng(seed)
    shape = tuple(size if isinstance(size, int) else 3 for size in tensor.shape)
    dtype = as_dtype(tensor.dtype).numpy
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        low = -5 if dtype.kind == "i" else 0
        return rng.integers(low, 6, shape).astype(dtype)
    array = rng.normal(size=shape).astype(dtype)
    if not finite and array.size:
        places = rng.random(shape) < 0.7
        with np.errstate(over="ignore"):
            array[places] = rng.choice(np.array(AWKWARD), size=int(places.sum())).astype(dtype)
    return array


def values(program: Program, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What the program gives for its feeds; every symbolic size is 3."""
    unknown = {name for node in program.order() for tensor in node.outputs for name in _symbols(tensor)}
    if unknown:
        program = specialize(program, dict.fromkeys(unknown, 3))
    return evaluate(program.outputs, dict(zip(program.feeds, arrays)))


def assert_same_bits(left: np.ndarray, right: np.ndarray) -> None:
    """Equal in dtype, shape and bits, zeros by sign; any NaN equals any NaN."""
    assert left.dtype == right.dtype and left.shape == right.shape
    np.testing.assert_array_equal(left, right)
    if left.dtype.kind == "f":
        known = ~np.isnan(left)
        np.testing.assert_array_equal(np.signbit(left[known]), np.signbit(right[known]))


def assert_same_values(
    rules: Rule | Sequence[Rule],
    before: str,
    finite: bool = False,
    rtol: float = 0.0,
    atol: float = 0.0,
    seeds: int = 5,
) -> None:
    """The rules fire and keep the values: to the bit, or within tolerances where those are given."""
    chosen = [rules] if isinstance(rules, Rule) else list(rules)
    plain, program = build(before), build(before)
    journal = rewrite(program, chosen)
    assert any(journal.fired(rule.name) for rule in chosen), "nothing fired"
    for seed in range(seeds):
        arrays = [awkward(tensor, seed + 10 * place, finite) for place, tensor in enumerate(plain.feeds)]
        for left, right in zip(values(plain, arrays), values(program, arrays)):
            if rtol or atol:
                np.testing.assert_allclose(right, left, rtol=rtol, atol=atol)
            else:
                assert_same_bits(right, left)


def _symbols(tensor: Tensor) -> set[str]:
    return {name for size in tensor.shape for name in symbols(size)}
