"""check_gradients: it accepts right rules, and finds wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.autodiff.check import check_gradients
from graphflow.errors import FeedError, GradientError
from graphflow.ir.builder import Builder
from graphflow.ir.opdef import OpDef


def sine_with_gradient(vjp) -> OpDef:
    """A sine that is not registered, with the given gradient rule."""
    made = OpDef(
        lambda x, /: np.sin(x),
        family="test",
        name="sine",
        infer=lambda types, attrs: types,
        traits=frozenset(),
        promotion=None,
        normalize=None,
        version=1,
    )
    made.vjp = vjp
    return made


def apply(operator: OpDef, x):
    return Builder(x.graph).apply(operator, [x])


def test_the_numbers_of_a_right_gradient(rng):
    x, w = gf.placeholder("x", (4, 3)), gf.placeholder("w", (3, 2))
    values = {x: rng.standard_normal((4, 3)), w: rng.standard_normal((3, 2))}
    checks = check_gradients(gf.tanh(x @ w), [x, w], values)
    assert [check.name for check in checks] == ["x:0", "w:0"]
    for check in checks:
        assert check.error < 1e-7 and check.numeric == pytest.approx(check.symbolic, abs=1e-6)
        assert check.symbolic != 0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda b, node, g: [b.multiply(g, node.output)],
        lambda b, node, g: [b.negative(b.multiply(g, b.cos(node.inputs[0])))],
        lambda b, node, g: [None],
        lambda b, node, g: [b.divide(g, b.full_like(0, g))],
    ],
    ids=["another function", "sign", "missing", "nan"],
)
def test_a_wrong_rule_is_found(wrong, rng):
    x = gf.placeholder("x", (5,))
    with pytest.raises(GradientError, match=r"the gradient with respect to x:0 is off by"):
        check_gradients(apply(sine_with_gradient(wrong), x), x, {x: rng.standard_normal(5)})


def test_the_worst_x_is_named(rng):
    x, y = gf.placeholder("x", (5,)), gf.placeholder("y", (5,))
    wrong = sine_with_gradient(lambda b, node, g: [g])
    with pytest.raises(GradientError, match="with respect to y:0"):
        check_gradients(gf.sin(x) + apply(wrong, y), [x, y], {x: np.ones(5), y: 1 + rng.random(5)})


def test_narrow_floats_are_checked_in_float64(rng):
    x = gf.placeholder("x", (6,), gf.float16)
    y = gf.exp(gf.astype(x, gf.float32)) * gf.constant(np.float16(0.1))
    [check] = check_gradients(y, x, {x: rng.standard_normal(6).astype(np.float16)})
    assert check.error < 1e-8


def test_the_graph_does_not_grow():
    x = gf.placeholder("x", (2,))
    y = gf.sin(x)
    x.graph.freeze()
    check_gradients(y, x, {x: [1.0, 2.0]})
    assert len(x.graph) == 2


def test_symbolic_sizes_are_those_of_the_feeds(rng):
    x, bias = gf.placeholder("x", ("batch", 2, 3)), gf.placeholder("bias", (6,))
    flat = gf.reshape(x, (x.shape[0], 6))
    y = gf.sum(gf.sin(flat) * bias) / x.shape[0]
    checks = check_gradients(y, [x, bias], {x: rng.standard_normal((4, 2, 3)), bias: rng.standard_normal(6)})
    assert max(check.error for check in checks) < 1e-7


def test_feeds_by_name_and_unused_integer_feeds(rng):
    x, index = gf.placeholder("x", (5, 2)), gf.placeholder("index", ("n",), gf.int32)
    y = gf.take(x, index, axis=0)
    [check] = check_gradients(gf.sum(y * y), x, {"x": rng.standard_normal((5, 2)), "index:0": [4, 0, 4]})
    assert check.error < 1e-7


def test_intermediate_xs(rng):
    x = gf.placeholder("x", (3,))
    middle = gf.exp(x)
    checks = check_gradients(middle * gf.sin(x), [x, middle], {x: rng.standard_normal(3)})
    assert max(check.error for check in checks) < 1e-7


def test_variables_are_fed_and_the_training_flag_is_false(rng):
    w = gf.variable("w", (3,))
    y = gf.where(gf.training, gf.floor(w), gf.sin(w))
    [check] = check_gradients(y, w, {w: rng.standard_normal(3)})
    assert check.symbolic != 0
    [check] = check_gradients(y, w, {w: rng.standard_normal(3), gf.training: True})
    assert check.symbolic == 0


def test_the_random_direction_comes_from_the_seed():
    x = gf.placeholder("x", (3,))
    y = gf.sin(x)
    first, again, other = (check_gradients(y, x, {x: np.ones(3)}, seed=seed)[0] for seed in (1, 1, 2))
    assert first == again and first.symbolic != other.symbolic


def test_no_xs():
    x = gf.placeholder("x", (3,))
    assert check_gradients(x, [], {x: np.ones(3)}) == []


def test_a_missing_feed_is_named():
    x, w = gf.placeholder("x", (3,)), gf.placeholder("w", (3,))
    with pytest.raises(FeedError, match="'w' has no value"):
        check_gradients(x * w, x, {x: np.ones(3)})


@pytest.mark.parametrize(
    "values", [(np.ones((3, 2)), np.ones(3)), (np.ones(3), np.ones((3, 1))), (1.0, np.ones(2))]
)
def test_feeds_that_do_not_fit(values):
    x, y = gf.placeholder("x", ("n",)), gf.placeholder("y", ("n",))
    with pytest.raises(FeedError, match="but the array fed to it has shape"):
        check_gradients(x * y, x, {x: values[0], y: values[1]})


def test_sizes_of_one_name_that_differ():
    x, y = gf.placeholder("x", ("n",)), gf.placeholder("y", ("n",))
    with pytest.raises(FeedError, match=r"y:0 is float32\[n\]"):
        check_gradients(x * y, x, {x: np.ones(3), y: np.ones(2)})


def test_a_path_without_gradient_is_refused_in_the_users_words():
    broken = sine_with_gradient(None)
    x = gf.placeholder("x", (2,))
    with pytest.raises(GradientError, match="node sine cannot be differentiated") as caught:
        check_gradients(apply(broken, x), x, {x: np.ones(2)})
    assert "test_check.py" in str(caught.value)


def test_control_flow_is_checked_in_double():
    x = gf.placeholder("x", (4,))
    last, rows = gf.scan(lambda c, t: (gf.cond(t > 0.0, lambda: c * t, lambda: gf.sin(c)), c), 0.5, x)
    gf.check_gradients(last + gf.sum(rows), [x], {x: np.array([0.3, -0.7, 1.1, 0.2], np.float32)})
