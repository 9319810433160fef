"""Including and excluding rules and passes by name and by tag."""

from __future__ import annotations

from typing import ClassVar

import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, GraphFlowError, RewriteError
from graphflow.optimizer.pass_manager import Pass, PassContext, PassResult
from graphflow.optimizer.pattern import P, variables
from graphflow.optimizer.pipelines import parse_pipeline, print_pipeline
from graphflow.optimizer.program import Program
from graphflow.optimizer.rule import rule

(X,) = variables("X")


@rule(P.sinh(X), safety="unsafe", evidence="assumed", tags="mine")
def sinh_is_itself(match, b):
    """sinh(x) = x, near 0."""
    return match.X


def ops(**options: object) -> list[str]:
    with gf.Graph():
        x = gf.placeholder("x", (3,))
        y = gf.log(gf.nn.softmax(x * 1.0)) + (gf.constant(2.0) + 3.0)
        model = gf.Model(inputs=[x], outputs={"y": y})
    return [node.op.name for node in gf.optimize(model, **options).graph]


def test_a_rule_a_tag_a_folding_and_a_pass_can_be_excluded() -> None:
    assert "log_softmax" in ops() and "multiply" not in ops()
    assert "softmax" in ops(exclude=["log_of_softmax"])
    assert "softmax" in ops(exclude=["stabilize"])
    assert ops(exclude="fold").count("constant") == 2
    assert "multiply" in ops(exclude=["canonicalize"])
    assert "softmax" in ops(pipeline="canonicalize{safety=exact,tags=stabilize,exclude=log_of_softmax}")


def test_rules_of_control_flow_can_be_excluded() -> None:
    x = gf.placeholder("x", (3,))
    y = gf.fori_loop(0, 1, lambda i, c: gf.exp(c), x)
    model = gf.Model(inputs=[x], outputs={"y": y})
    assert "scan" not in [node.op.name for node in gf.optimize(model).graph]
    assert "scan" in [node.op.name for node in gf.optimize(model, exclude=["short_scan"]).graph]


def test_a_rule_and_a_tag_can_be_included() -> None:
    exact = "canonicalize{safety=exact}"
    assert "softmax" in ops(pipeline=exact)
    assert "log_softmax" in ops(pipeline=exact, include=["log_of_softmax"])
    assert "log_softmax" in ops(pipeline=exact, include="stabilize")
    assert "log_softmax" in ops(pipeline="canonicalize{safety=exact,include=log_of_softmax}")


def test_an_unsafe_rule_runs_if_it_is_named_and_not_by_its_tag() -> None:
    x = gf.placeholder("x", (3,))
    model = gf.Model(inputs=[x], outputs={"y": gf.sinh(x)})

    def found(**options: object) -> bool:
        small = gf.optimize(model, rules=[sinh_is_itself], **options)
        return small.report.journal.fired("sinh_is_itself") > 0

    assert not found() and not found(include=["mine"]) and found(include=["sinh_is_itself"])


def test_a_pass_can_be_included() -> None:
    x = gf.placeholder("x", (3,))
    report = gf.optimize(gf.Model(inputs=[x], outputs={"y": gf.exp(x)}), include=["decompose"]).report
    assert report.journal.passes[-1].name == "decompose"


def test_why_not_knows_what_was_excluded() -> None:
    x = gf.placeholder("x", (3,))
    model = gf.Model(inputs=[x], outputs={"y": gf.log(gf.nn.softmax(x), name="y")})
    report = gf.optimize(model, exclude=["stabilize"]).report
    assert report.why_not("log_of_softmax", "y").startswith("it was excluded")
    assert len(report.replay()) == len(report.optimized)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"exclude": ["log_of_softmx"]}, "log_of_softmax"),
        ({"include": ["stabilise"]}, "stabilize"),
        ({"exclude": ["canonicalise"]}, "canonicalize"),
        ({"pipeline": "canonicalize{exclude=log_of_softmx}"}, "log_of_softmax"),
        ({"pipeline": "canonicalize{include=log_of_softmx}"}, "log_of_softmax"),
        ({"pipeline": "canonicalise"}, "canonicalize"),
        ({"pipeline": "canonicalize{exlude=fold}"}, "exclude"),
    ],
)
def test_typing_errors_get_the_right_name(options: dict[str, object], hint: str) -> None:
    with pytest.raises(AttributeValueError) as caught:
        ops(**options)
    assert repr(hint) in str(caught.value)


def test_other_mistakes_are_told() -> None:
    with pytest.raises(GraphFlowError, match="no pass of the pipeline takes the rule"):
        ops(level="O0", include=["log_of_softmax"])
    with pytest.raises(AttributeValueError, match="exclude has 3"):
        ops(exclude=[3])


def test_the_string_form_keeps_them() -> None:
    text = "canonicalize{safety=exact,tags=,max-bytes=0,exclude=fold,include=stabilize}"
    assert parse_pipeline(print_pipeline(parse_pipeline(text))) == parse_pipeline(text)


def test_a_tag_that_there_is_not_is_refused_in_a_pipeline() -> None:
    x = gf.placeholder("x", (2,))
    model = gf.Model(inputs=[x], outputs={"y": gf.exp(x)})
    with pytest.raises(AttributeValueError, match="there is no tag 'stabilise'") as caught:
        gf.optimize(model, pipeline="canonicalize{tags=composites+stabilise}")
    assert "'stabilize'" in str(caught.value.hint)


class Careless(Pass):
    """Takes the operands of a node away, past the rewriter."""

    name: ClassVar[str] = "careless"

    def run(self, program: Program, context: PassContext) -> PassResult:
        """Break the program."""
        program.outputs[0].node.inputs = ()
        return PassResult(True)


def test_a_pass_of_the_users_that_breaks_the_graph_is_named() -> None:
    x = gf.placeholder("x", (2,))
    model = gf.Model(inputs=[x], outputs={"y": gf.exp(x)})
    with pytest.raises(RewriteError, match="pass 'careless' failed: node 'exp'"):
        gf.optimize(model, passes=[Careless], pipeline="careless,canonicalize")
