"""Decompose: what a target refuses is expanded, all the way down, and its values stay."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.errors import RewriteError
from graphflow.ir.graph import Graph
from graphflow.ir.node import Node
from graphflow.ir.opdef import REQUIRED, OpDef, registry
from graphflow.ops.declare import placeholder
from graphflow.ops.inference import same_type
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from tests.optimizer.rewriting import build, values

TEXT = "x: float32[3,4] -> softmax(x, axis=1)"


def refuse_softmax(node: Node) -> str | None:
    return "no softmax unit" if node.op.name == "softmax" else None


def test_what_the_target_refuses_is_expanded() -> None:
    program, journal = build(TEXT), Journal("entries")
    optimize(program, pipeline="decompose", journal=journal, refusal=refuse_softmax, strict=True, check=True)
    assert "softmax" not in {node.op.name for node in program.nodes}
    (entry,) = journal.entries
    assert entry.rule == "decompose_softmax" and entry.reason == "the target refuses it: no softmax unit"
    assert all(node.lineage == ("decompose_softmax", ("softmax",)) for node in program.nodes[1:])
    arrays = [np.random.default_rng(0).normal(size=(3, 4)).astype("f")]
    np.testing.assert_allclose(values(program, arrays)[0], values(build(TEXT), arrays)[0], rtol=1e-6)


def test_what_the_target_runs_stays() -> None:
    for refusal in (None, lambda node: None):
        program, journal = build(TEXT), Journal("counts")
        optimize(program, pipeline="decompose", journal=journal, refusal=refusal)
        assert not journal.edits and not journal.passes[0].changed


def test_operators_can_be_named() -> None:
    program = build("x: float32[3,4] -> (softmax(x), log_softmax(x))")
    optimize(program, pipeline="decompose{ops=softmax+exp}")
    assert "softmax" not in {node.op.name for node in program.nodes}


def _operator(name: str, expand: object) -> OpDef:
    """An operator that is not registered, with this expansion."""
    made = OpDef(
        lambda x, /: x, family="test", name=name, infer=same_type, traits=frozenset(), promotion=None,
        normalize=None, version=1,
    )  # fmt: skip
    made.decompose = expand
    return made


def _program(op: OpDef):
    with Graph():
        x = placeholder("x", (2,))
        return extract([op(x)], feeds=[x])


def test_expansions_are_expanded_in_turn() -> None:
    inner = _operator("inner", lambda b, node: [b.negative(node.inputs[0])])
    outer = _operator("outer", lambda b, node: [b.exp(b.apply(inner, node.inputs))])
    program = optimize(_program(outer), pipeline="decompose{ops=inner+outer}")
    assert [node.op.name for node in program.nodes] == ["placeholder", "negative", "exp"]


def test_an_endless_expansion_is_named() -> None:
    def expand(b, node):
        return [b.apply(endless, (b.negative(node.inputs[0]),))]

    endless = _operator("endless", expand)
    with pytest.raises(RewriteError, match="expansion of endless does not come to an end"):
        optimize(_program(endless), pipeline="decompose{ops=endless}")


def test_every_expansion_of_a_function_has_its_type() -> None:
    """The Rewriter refuses another type, so it is enough to expand what takes one tensor and no more."""
    functions = [op for op in registry if op.decompose is not None and op.arity == 1]
    plain = [op for op in functions if REQUIRED not in op.attributes.values()]
    for op in plain:
        with Graph():
            x = placeholder("x", (2, 3, 4))
            program = extract([op(x)], feeds=[x])
        optimize(program, pipeline=f"decompose{{ops={op.name}}}", strict=True, check=True)
        assert op.name not in {node.op.name for node in program.nodes}
    assert {"softmax", "log_softmax"} <= {op.name for op in plain}
