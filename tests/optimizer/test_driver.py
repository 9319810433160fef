"""The driver: fixed points, what is tried again after an edit, its work in counts, and broken rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphflow.errors import RewriteError
from graphflow.ir.builder import Builder
from graphflow.ir.graph import Graph
from graphflow.ops.declare import placeholder
from graphflow.ops.elementwise import add, multiply, negative
from graphflow.ops.functions import exp
from graphflow.optimizer.driver import Driver, EveryNode, RewriteWarning, RuleIndex, run_rules
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pattern import Match, P, variables
from graphflow.optimizer.program import Program, extract
from graphflow.optimizer.rewriter import Rewriter
from graphflow.optimizer.rule import Answer, Rule, decline, rule
from graphflow.optimizer.rules import RULES
from graphflow.prove.fuzz import generated
from tests.optimizer.rewriting import build, show

X, Y = variables("X Y")


@rule(P.negative(P.negative(X)), safety="exact")
def double_negation(m: Match, b: Builder) -> Answer:
    """-(-x) = x."""
    return m.X


@rule(P.exp(X), safety="unsafe")
def exp_to_sin(m: Match, b: Builder) -> Answer:
    """exp(x) becomes sin(x), which is wrong, and good enough to be watched."""
    return b.sin(m.X)


@rule(P.sin(X), safety="unsafe")
def sin_to_exp(m: Match, b: Builder) -> Answer:
    """sin(x) becomes exp(x)."""
    return b.exp(m.X)


@rule(P.sqrt(P.cos(P.sin(X))), safety="unsafe")
def deep(m: Match, b: Builder) -> Answer:
    """sqrt(cos(sin(x))) becomes tan(x)."""
    return b.tan(m.X)


@rule(P.exp(P.sin(X)), safety="unsafe")
def lonely(m: Match, b: Builder) -> Answer:
    """exp(sin(x)) becomes cos(x), where nothing else reads sin(x)."""
    if not m.inner.has_one_use:
        return decline(f"{m.inner.name} has other users")
    return b.cos(m.X)


def run(text: str, *rules: Rule, strict: bool = True) -> tuple[Program, Journal, Driver]:
    program, journal = build(text), Journal("remarks")
    rewriter = Rewriter(program, journal)
    driver = Driver(rewriter, RuleIndex(rules), strict)
    driver.run()
    rewriter.settle()
    return program, journal, driver


# Fixed points


def test_rules_run_until_none_applies() -> None:
    program, journal, driver = run(
        "x: float32[3] -> negative(negative(negative(negative(negative(x)))))", double_negation
    )
    assert show(program) == show(build("x: float32[3] -> negative(x)"))
    assert journal.fired("double_negation") == driver.result.firings["double_negation"] == 2
    assert driver.result.changed and driver.result.complete


def test_a_second_run_changes_nothing() -> None:
    program, *_ = run("x: float32[3] -> exp(exp(x))", exp_to_sin)
    rewriter = Rewriter(program)
    result = run_rules(rewriter, [exp_to_sin])
    assert not result.changed and result.steps == 0 and rewriter.size == 3


def test_rules_are_tried_in_their_order() -> None:
    @rule(P.exp(X), safety="unsafe")
    def first(m: Match, b: Builder) -> Answer:
        """exp becomes tan."""
        return b.tan(m.X)

    _, journal, _ = run("x: float32[3] -> exp(x)", first, exp_to_sin)
    assert journal.fired("first") == 1 and not journal.fired("exp_to_sin")


def test_new_nodes_are_visited() -> None:
    program, *_ = run("x: float32[3] -> exp(x)", exp_to_sin, deep)
    assert program.outputs[0].node.op.name == "sin"


def test_edits_deep_inside_a_pattern_wake_its_root() -> None:
    """sqrt is two levels above exp; it matches only once exp has become sin."""
    program, journal, _ = run("x: float32[3] -> sqrt(cos(exp(x)))", deep, exp_to_sin)
    assert journal.fired("deep") == 1
    assert show(program) == show(build("x: float32[3] -> tan(x)"))


def test_losing_a_user_wakes_the_user_left() -> None:
    """exp(sin(x)) declines while sin has two users, and fires after the other one is gone."""
    text = "x: float32[3] -> s = sin(x); (exp(s), negative(negative(x)), multiply(x, negative(negative(s))))"
    _, journal, _ = run(text, lonely)
    assert [remark.reason for remark in journal.remarks] == ["sin has other users"]

    @rule(P.multiply(X, Y), safety="unsafe")
    def drop(m: Match, b: Builder) -> Answer:
        """x * y becomes x."""
        return m.X

    _, journal, _ = run(text, lonely, drop)
    assert journal.fired("lonely") == 1 and not journal.remarks
    assert journal.tallies["", "lonely"].declined == 1


def test_seeds_limit_where_it_starts() -> None:
    program = build("x: float32[3] -> (exp(x), exp(sqrt(x)))")
    result = run_rules(Rewriter(program), [exp_to_sin], seeds=[program.outputs[0].node])
    assert result.firings["exp_to_sin"] == 1
    assert [tensor.node.op.name for tensor in program.outputs] == ["sin", "exp"]


def test_rules_can_run_everywhere() -> None:
    seen = []

    def note(m: Match, b: Builder) -> Answer:
        seen.append(m.root.op.name)
        return None

    everywhere = [(Rule("note", (), note), EveryNode(lambda op, children: "sqrt" not in children))]
    index = RuleIndex([], everywhere)
    Driver(Rewriter(build("x: float32[3] -> exp(sqrt(add(x, 1.0)))")), index, strict=True).run()
    assert sorted(seen) == ["add", "constant", "placeholder", "sqrt"]


def test_many_inputs_are_looked_up_by_kind() -> None:
    @rule(P.concat(...), safety="exact")
    def single(m: Match, b: Builder) -> Answer:
        """Nothing to see."""
        return decline("seen")

    *_, driver = run("x: float32[3] -> concat(x, exp(x), sin(x), x, x, x, x)", single)
    assert driver.rewriter.journal.tallies["", "single"].declined == 1


def test_rules_that_run_everywhere_see_many_inputs() -> None:
    everywhere = [
        (Rule("note", (), lambda m, b: decline("seen")), EveryNode(lambda op, kids: set(kids) == {"exp"}))
    ]
    for text, seen in (
        ("exp(x), exp(x), exp(x), exp(x), exp(x)", 1),
        ("exp(x), exp(x), exp(x), exp(x), x", 0),
    ):
        journal = Journal("remarks")
        rewriter = Rewriter(build(f"x: float32[3] -> concat({text})"), journal)
        Driver(rewriter, RuleIndex([], everywhere), strict=True).run()
        assert len(journal.remarks) == seen


# Work


def chain(length: int) -> Program:
    """exp and its opposite of the opposite, over and over: every other pair can go."""
    with Graph():
        x = placeholder("x", (2,))
        y = x
        for _ in range(length // 3):
            y = exp(negative(negative(y)))
        return extract([y], feeds=[x])


def ladder(length: int) -> Program:
    """Every value is read twice, and everything twice computed."""
    with Graph():
        x = placeholder("x", (2,))
        y = z = x
        for _ in range(length // 6):
            y, z = multiply(add(y, z), 1.0), multiply(add(z, y), 1.0)
        return extract([add(y, z)], feeds=[x])


@rule(P.multiply(X, 1), safety="exact")
def times_one(m: Match, b: Builder) -> Answer:
    """x * 1 = x."""
    return m.X


@pytest.mark.parametrize("make", [chain, ladder])
def test_work_is_linear(make: object) -> None:
    """Four times the nodes take four times the steps, and few steps for each node."""
    counts = []
    for length in (1200, 4800):
        rewriter = Rewriter(make(length))
        size = rewriter.size
        counts.append(run_rules(rewriter, [double_negation, times_one]).steps)
        assert counts[-1] <= 4 * size
    assert counts[1] == pytest.approx(4 * counts[0], rel=0.02)


def test_a_long_chain_needs_no_recursion() -> None:
    rewriter = Rewriter(chain(50_001))
    result = run_rules(rewriter, [double_negation])
    assert result.firings["double_negation"] == 16_667 and rewriter.size == 16_668


def test_candidates_are_worked_out_once_for_each_combination() -> None:
    index = RuleIndex([double_negation, exp_to_sin])
    run_rules(Rewriter(chain(3000)), index)
    assert len(index._candidates) <= 9


# Rules that misbehave


def test_rules_that_undo_each_other_are_named() -> None:
    with pytest.raises(RewriteError, match="undo each other") as caught:
        run("x: float32[3] -> exp(x)", exp_to_sin, sin_to_exp)
    assert "'exp_to_sin'" in caught.value.message and "'sin_to_exp'" in caught.value.message
    with pytest.warns(RewriteWarning, match="undo each other"):
        *_, driver = run("x: float32[3] -> exp(x)", exp_to_sin, sin_to_exp, strict=False)
    assert not driver.result.complete and driver.result.firings.total() == 8 * 16 + 1


def test_a_rule_that_feeds_itself_is_named() -> None:
    @rule(P.exp(X), safety="unsafe")
    def endless(m: Match, b: Builder) -> Answer:
        """exp(x) becomes exp(-x)."""
        return b.exp(b.negative(m.X))

    with pytest.raises(RewriteError, match="'endless', which repeats itself"):
        run("x: float32[3] -> exp(x)", endless)


@rule(P.exp(X), safety="exact")
def raises(m: Match, b: Builder) -> Answer:
    """exp(x) is a mistake."""
    b.sqrt(m.X)
    raise KeyError("a slip")


@rule(P.exp(X), safety="exact")
def wrong_type(m: Match, b: Builder) -> Answer:
    """exp(x) becomes one number."""
    return b.sum(b.sin(m.X))


@pytest.mark.parametrize(
    ("broken", "said"), [(raises, "KeyError: 'a slip'"), (wrong_type, r"of type float32\[\]")]
)
def test_a_failing_rule_is_named_and_left_out(broken: Rule, said: str) -> None:
    text = "x: float32[3] -> exp(negative(negative(exp(x))))"
    with pytest.warns(
        RewriteWarning, match=f"rule '{broken.name}' failed at exp 'exp'.*{said}.*skipped"
    ) as caught:
        program, *_ = run(text, broken, double_negation, strict=False)
    assert len(caught) == 1, "once, not at every node"
    assert Path(caught[0].filename).parts[-3] == "tests", "a line outside of the package"
    assert show(program) == show(build("x: float32[3] -> exp(exp(x))"))
    with pytest.raises(RewriteError, match=broken.name) as error:
        run(text, broken)
    assert error.value.origin is not None


def test_names_of_rules_differ() -> None:
    with pytest.raises(RewriteError, match="two rules are named 'deep'"):
        RuleIndex([deep, deep])


def test_returning_the_node_itself_is_no_firing() -> None:
    @rule(P.exp(X), safety="exact")
    def same(m: Match, b: Builder) -> Answer:
        """exp(x) = exp(x)."""
        return b.exp(m.X)

    *_, journal, driver = run("x: float32[3] -> exp(x)", same)
    assert not driver.result.changed and not journal.entries


def test_the_index_loses_no_match() -> None:
    """What it passes over by operators, kinds and equal inputs could not have matched, in random graphs."""
    index = RuleIndex(RULES)
    tried = met = 0
    for number in range(25):
        made = generated(17, number)
        rewriter = Rewriter(extract(list(made.outputs)))
        for node in rewriter.order():
            wanted = [
                rule.name
                for rule in index.by_root.get(node.op.name, ())
                for plan in rule.plans_for(node.op.name)
                if plan.match(node, rewriter)
            ]
            options = index.candidates(node)
            assert [rule.name for rule, plan in options if plan.match(node, rewriter)] == wanted, node
            tried += len(options)
            met += len(wanted)
    assert met > 100 and tried < 5 * met


def test_users_are_tried_again_as_far_up_as_patterns_are_deep() -> None:
    """A change three levels below a root lets the rule at the root fire."""

    @rule(P.exp(P.sin(P.cos(X))), safety="unsafe")
    def three(match, b):
        """exp(sin(cos(x))) = x, which is wrong."""
        return match.X

    @rule(P.tanh(X), safety="unsafe")
    def below(match, b):
        """tanh(x) = cos(x), which is wrong."""
        return b.cos(match.X)

    text = "x: float32[3] -> exp(sin(tanh(x)))"
    program = build(text)
    rewriter = Rewriter(program)
    nodes = rewriter.order()
    run_rules(rewriter, [three, below], seeds=[nodes[1]])
    assert [node.op.name for node in rewriter.settle().nodes] == ["placeholder"]
