"""Values checked after each rewrite: a wrong rule is refused at its first edit, the others go on."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import FeedError, RewriteError
from graphflow.optimizer.pattern import P, variables
from graphflow.optimizer.rule import rule

(X,) = variables("X")


@rule(P.tanh(X), safety="exact")
def tanh_is_sin(m, b):
    """tanh(x) = sin(x), which is wrong."""
    return b.sin(m.X)


@rule(P.cosh(X), safety="exact")
def even_cosh(m, b):
    """cosh(x) = cosh(|x|), which is right; abs stops it from firing twice."""
    return None if m.X.node.op.name == "abs" else b.cosh(b.abs(m.X))


RULES = [tanh_is_sin, even_cosh]


def model(inside: bool) -> gf.Model:
    x = gf.placeholder("x", ("batch", 4))
    part = (lambda z: gf.tanh(z) + gf.cosh(z) * 1.0) if not inside else None
    y = part(x) if part else gf.map(lambda z: gf.tanh(z) + gf.cosh(z) * 1.0, x)
    return gf.Model(inputs=[x], outputs={"y": y})


@pytest.mark.parametrize("inside", [False, True])
def test_a_wrong_rule_is_named_and_left_out(inside: bool) -> None:
    made = model(inside)
    inputs = gf.prove.generate(made)
    with pytest.warns(UserWarning, match=r"rule 'tanh_is_sin' failed at tanh .*its values differ") as caught:
        small = gf.optimize(made, rules=RULES, check_values=inputs)
    assert len(caught) == 1
    assert small.report.journal.fired("tanh_is_sin") == 0 and small.report.journal.fired("even_cosh") == 1
    replayed = gf.print_graph(small.report.replay())
    assert replayed == gf.print_graph(small.report.optimized) and len(caught) == 1
    expected = made.run(inputs, "numpy", "O0")["y"]
    np.testing.assert_array_equal(small.run(inputs, "numpy", "O0")["y"], expected)


def test_strictness_raises() -> None:
    made = model(False)
    with pytest.raises(RewriteError, match="its values differ") as caught:
        gf.optimize(made, rules=RULES, check_values=gf.prove.generate(made), strict=True)
    assert "test_value_check.py" in str(caught.value)


def test_inputs_that_do_not_tell_are_not_enough() -> None:
    made = model(False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = gf.optimize(made, rules=RULES, check_values={"x": np.zeros((2, 4), np.float32)})
    assert small.report.journal.fired("tanh_is_sin") == 1


def test_right_rules_pass_with_symbolic_sizes_and_random_numbers() -> None:
    x = gf.placeholder("x", ("batch", 4))
    w = gf.variable("w", (4, 4))
    noise = gf.random.normal((4,))
    y = gf.log(gf.nn.softmax(gf.matmul(x * 1.0, w) + noise))
    made = gf.Model(inputs=[x], outputs={"y": gf.reshape(y, (-1,)), "z": gf.concat([y, y], axis=0)[1:]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checked = gf.optimize(made, "O3", check_values=gf.prove.generate(made))
    assert checked.report.journal.entries == gf.optimize(made, "O3").report.journal.entries


@pytest.mark.parametrize("wrong", [3, {}, {"y": [1.0]}, {"x": np.zeros((2, 3), np.float32)}])
def test_inputs_have_to_fit(wrong: object) -> None:
    with pytest.raises(FeedError):
        gf.optimize(model(False), check_values=wrong)
