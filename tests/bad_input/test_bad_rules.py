"""Rules that raise, loop or break the graph, and graphs that are too long, too large or in a circle."""

from __future__ import annotations

import resource
import warnings

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import GraphFlowError, RewriteError
from graphflow.ir.body import Body
from graphflow.optimizer.driver import RewriteWarning
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pass_manager import Pass, PassResult
from graphflow.optimizer.pattern import P, variables
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract
from graphflow.optimizer.rule import Rule, decline, rule

(X,) = variables("X")
EXACT = "canonicalize{safety=unsafe}"


@rule(P.tanh(X), safety="exact")
def raises(match, b):
    """tanh(x) = 1 / 0."""
    raise ZeroDivisionError("a slip")


@rule(P.tanh(X), safety="exact")
def refuses(match, b):
    """tanh(x) = x y, for a y that does not fit."""
    return b.add(match.X, b.constant(value=np.zeros((5, 7), np.float32)))


@rule(P.tanh(X), safety="exact")
def other_type(match, b):
    """tanh(x) = 0."""
    return b.constant(value=np.zeros((), np.float32))


@rule(P.tanh(X), safety="exact")
def reads_itself(match, b):
    """tanh(x) = exp(tanh(x))."""
    return b.exp(match.output)


@rule(P.tanh(X), safety="exact")
def no_tensor(match, b):
    """tanh(x) = "x"."""
    return "x"


FOREIGN = gf.Graph()
with FOREIGN:
    STRANGER = gf.placeholder("stranger", (3,))


@rule(P.tanh(X), safety="exact")
def foreign(match, b):
    """tanh(x) = a tensor of another graph."""
    return STRANGER


@rule(P.tanh(X), safety="exact")
def too_many(match, b):
    """tanh(x) = x, x."""
    return [match.X, match.X]


@rule(P.sin(X), safety="exact")
def to_cos(match, b):
    """sin(x) = cos(x)."""
    return b.cos(match.X)


@rule(P.cos(X), safety="exact")
def to_sin(match, b):
    """cos(x) = sin(x)."""
    return b.sin(match.X)


@rule(P.atan(X), safety="exact")
def grows(match, b):
    """atan(x) = atan(atan(x + x)): longer and longer."""
    return b.atan(b.atan(b.add(match.X, match.X)))


@rule(P.tanh(X), safety="exact")
def takes_the_end(match, b):
    """tanh(x) = what is made of tanh(x) far below."""
    return match.rewriter.program.outputs[0]


@rule(P.tanh(X), safety="exact")
def captures_the_end(match, b):
    """tanh(x) = -y for y what is made of tanh(x) far below, captured by a body."""
    body = Body("captures")
    body.outputs = [gf.Builder(body).negative(body.parameter(match.X.type, "y"))]
    return b.call(match.rewriter.program.outputs[0], body=body.seal())


@rule(P.tanh(X), safety="exact")
def without_builder(match, b):
    """tanh(x) = if tanh(x) then tanh(x) else x, made behind the builder's back."""
    b.exp(match.X)
    with match.output.graph:
        return gf.cond(gf.sum(match.X) > 0, lambda: match.output * 1.0, lambda: match.X)


BROKEN = (raises, refuses, other_type, reads_itself, no_tensor, foreign, too_many)
CIRCLES = (takes_the_end, captures_the_end, without_builder)


def model(*functions) -> gf.Model:
    with gf.Graph():
        x = gf.placeholder("x", (3,))
        y = x
        for function in functions:
            y = function(y)
        return gf.Model(inputs=[x], outputs={"y": y * 1.0})


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one.name)
def test_a_broken_rule_is_named_and_skipped_and_all_else_is_done(broken: Rule) -> None:
    made = model(gf.exp, gf.tanh)
    with pytest.warns(RewriteWarning, match=f"rule '{broken.name}' failed at tanh.*is skipped"):
        small = gf.optimize(made, rules=[broken])
    gf.verify(small.graph)
    assert [node.op.name for node in small.graph] == ["placeholder", "exp", "tanh"]
    x = np.float32([0.5, -1.0, 2.0])
    assert np.array_equal(small.run({"x": x}, "numpy")["y"], np.tanh(np.exp(x)))


@pytest.mark.parametrize("level", ["O1", "O2"])
@pytest.mark.parametrize("broken", CIRCLES, ids=lambda one: one.name)
def test_a_rule_that_reads_far_below_what_it_replaces_makes_no_circle(broken: Rule, level: str) -> None:
    made = model(gf.tanh, gf.sin, gf.cos, gf.sin)
    said = "reads it, through 'sin'|made sum 'sum' without its builder"
    with pytest.warns(RewriteWarning, match=f"rule '{broken.name}' failed at tanh.*({said}).*is skipped"):
        small = gf.optimize(made, level, rules=[broken])
    gf.verify(small.graph)
    assert [node.op.name for node in small.graph] == ["placeholder", "tanh", "sin", "cos", "sin"]
    x = np.float32([0.5, -1.0, 2.0])
    assert np.array_equal(small.run({"x": x}, "numpy")["y"], np.sin(np.cos(np.sin(np.tanh(x)))))
    with pytest.raises(RewriteError, match=f"rule '{broken.name}' failed at tanh"):
        gf.optimize(made, level, rules=[broken], strict=True)


def test_a_rule_may_take_what_is_above_and_beside_the_match() -> None:
    """No circle is seen where there is none."""

    @rule(P.tanh(X), safety="exact")
    def takes_others(match, b):
        """tanh(x) = z + abs(x), for z another output."""
        return b.add(match.rewriter.program.outputs[1], b.abs(match.X))

    with gf.Graph():
        x = gf.placeholder("x", (3,))
        y, z = gf.sinh(gf.tanh(gf.sin(x))), gf.erf(gf.sin(x))
        program = extract([y, z], feeds=[x])
    optimize(program, rules=[takes_others], strict=True)
    assert [node.op.name for node in program.order()] == ["placeholder", "sin", "erf", "abs", "add", "sinh"]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one.name)
def test_strict_mode_raises(broken: Rule) -> None:
    with pytest.raises(RewriteError, match=f"rule '{broken.name}' failed at tanh"):
        gf.optimize(model(gf.exp, gf.tanh), rules=[broken], strict=True)


@pytest.mark.parametrize(
    ("rules", "function", "suspects"),
    [([to_cos, to_sin], gf.sin, ("to_cos", "to_sin")), ([grows], gf.atan, ("grows",))],
)
def test_rules_that_never_end_are_stopped(rules, function, suspects) -> None:
    made = model(function, gf.exp)
    with pytest.warns(RewriteWarning, match="do not come to an end") as caught:
        small = gf.optimize(made, rules=rules)
    said = str(caught[0].message)
    assert all(repr(name) in said for name in suspects) and f"{suspects[-1]!r} is skipped" in said
    gf.verify(small.graph)
    assert small.report.journal.fired("neutral_element") == 1  # the other rules went on
    with pytest.raises(RewriteError, match="do not come to an end"):
        gf.optimize(made, rules=rules, strict=True)


def test_a_wrong_rule_in_a_loop_is_named_too() -> None:
    with gf.Graph():
        x = gf.placeholder("x", (3,))
        y = gf.fori_loop(0, 3, lambda i, c: gf.tanh(c), x)
        made = gf.Model(inputs=[x], outputs={"y": y})
    with pytest.warns(RewriteWarning, match="rule 'raises' failed at tanh"):
        gf.optimize(made, rules=[raises])


@pytest.mark.slow
def test_a_million_nodes_in_a_chain() -> None:
    """Built, cut out and optimised without recursion."""
    count = 1_000_000
    with gf.Graph():
        y = x = gf.placeholder("x", (2,))
        for _ in range(count // 2):
            y = gf.negative(gf.tanh(y))
        program = extract([y], feeds=[x])
    assert len(program.nodes) == count + 1
    journal = Journal("counts")
    optimize(program, pipeline="eliminate,canonicalize{max-nodes=1000}", journal=journal)
    assert len(program.nodes) == count + 1 and journal.edits == 0


@pytest.mark.slow
def test_a_constant_of_two_gigabytes_is_neither_copied_nor_hashed() -> None:
    """Zeros that nobody has written to take no memory, until somebody copies them."""
    huge = np.zeros((1 << 14, 1 << 15), np.float32)
    huge.setflags(write=False)
    assert huge.nbytes == 2 * 1024**3
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with gf.Graph():
        x = gf.placeholder("x", huge.shape)
        kept = gf.constant(huge)
        assert kept.node.attrs["value"] is huge
        program = extract([gf.sum(gf.multiply(x, kept) * 1.0)], feeds=[x])
    journal = Journal("remarks")
    optimize(program, "O2", journal=journal)
    assert journal.fired("neutral_element") == 1
    assert any(node.op.name == "constant" and node.attrs["value"] is huge for node in program.nodes)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 256 * 1024  # kilobytes


def test_a_body_that_captures_what_it_makes_is_refused() -> None:
    """A circle of captures: a body reads a tensor of another body that is not around it."""
    kept: list[gf.Tensor] = []

    def first(c: gf.Tensor) -> gf.Tensor:
        kept.append(gf.exp(c))
        return kept[-1]

    with gf.Graph():
        x = gf.placeholder("x", (3,))
        gf.fori_loop(0, 3, lambda i, c: first(c), x)
        with pytest.raises(GraphFlowError) as caught:
            gf.fori_loop(0, 3, lambda i, c: c + kept[0], x)
    assert "\n  try: " in str(caught.value)


def test_a_branch_that_calls_itself_is_refused_before_python_gives_up() -> None:
    with gf.Graph():
        x, more = gf.placeholder("x", (3,)), gf.placeholder("more", (), dtype=gf.bool)

        def again() -> gf.Tensor:
            return gf.cond(more, again, lambda: x)

        with pytest.raises(gf.GraphError, match="lies inside of 48 other branches") as caught:
            again()
    assert "gf.while_loop" in str(caught.value)


def test_the_deepest_nest_of_branches_is_saved_loaded_and_optimised(tmp_path) -> None:
    with gf.Graph():
        x, more = gf.placeholder("x", (3,)), gf.placeholder("more", (), dtype=gf.bool)

        def branch(depth: int) -> gf.Tensor:
            return gf.cond(more, lambda: branch(depth - 1), lambda: x) if depth else gf.exp(x)

        made = gf.Model(inputs=[x, more], outputs={"y": branch(48)})
    gf.saved_model.save(tmp_path / "deep", made)
    loaded = gf.saved_model.load(tmp_path / "deep")
    feeds = {"x": np.float32([0, 1, 2]), "more": np.array(True)}
    assert np.array_equal(loaded.run(feeds, "numpy")["y"], made.run(feeds, "numpy", level="O0")["y"])
    (slope,) = gf.gradients(gf.sum(loaded.outputs["y"]), [loaded.inputs["x"]])
    assert slope.shape == (3,)


def test_a_node_that_was_made_to_read_itself_is_named() -> None:
    with gf.Graph() as graph:
        x = gf.placeholder("x", (3,))
        y = gf.tanh(gf.sin(x))
        y.node.inputs[0].node.inputs = (y,)
        with pytest.raises(gf.VerifyError, match=r"'sin'|'tanh'"):
            gf.verify(graph)
        with pytest.raises(GraphFlowError, match=r"'sin'|'tanh'"):
            gf.Model(inputs=[x], outputs={"y": y})


@rule(P.tanh(X), safety="exact")
def edits_the_match(match, b):
    """tanh(x) stays, but reads itself."""
    match.output.node.inputs = (match.output,)
    return decline("looks innocent")


@pytest.mark.parametrize("strict", [False, True])
def test_a_rule_that_edits_past_the_builder_is_named(strict: bool) -> None:
    with pytest.raises(gf.RewriteError, match=r"'edits_the_match'.*its own result") as caught:
        gf.optimize(model(gf.tanh), rules=[edits_the_match], strict=strict)
    assert "\n  try: " in str(caught.value)


def own_pass(function) -> type[Pass]:
    """A pass that does one thing to a program."""

    class Own(Pass):
        name = "own"

        def run(self, program, context):
            return function(program)

    return Own


def drop_results(program) -> PassResult:
    program.outputs = []
    return PassResult(True)


def other_result(program) -> PassResult:
    program.outputs = [gf.Builder(program).constant(value=np.zeros(7))]
    return PassResult(True)


def drop_nodes(program) -> PassResult:
    program.nodes.clear()
    return PassResult(True)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda program: None, "it returned None"),
        (lambda program: 1 / 0, "ZeroDivisionError"),
        (drop_results, "changed the results of the program from ['float32[3]'] to []"),
        (other_result, "changed the results of the program from ['float32[3]'] to ['float64[7]']"),
        (drop_nodes, "'x'"),
    ],
    ids=["nothing", "raises", "no results", "another result", "no nodes"],
)
def test_a_broken_pass_is_named(function, said: str) -> None:
    made, choices = model(gf.tanh), {"passes": [own_pass(function)], "pipeline": "eliminate,own"}
    with pytest.raises(gf.RewriteError, match="pass 'own' failed: ") as caught:
        gf.optimize(made, **choices)
    assert said in str(caught.value) and "\n  try: to repeat: " in str(caught.value)
    feeds = {made.inputs["x"]: np.zeros(3, np.float32)}
    sess = gf.Session(graph=made.graph, backend="numpy", **choices)
    with sess, pytest.raises(gf.RewriteError, match="pass 'own' failed: "):
        sess.run(made.outputs["y"], feeds)


def test_warnings_name_a_rule_once() -> None:
    made = model(gf.tanh, gf.tanh, gf.tanh)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gf.optimize(made, rules=[raises])
    assert len(caught) == 1
