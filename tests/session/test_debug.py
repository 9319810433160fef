"""Rules, pipelines and the debug mode of sessions: wrong rules left out, and NaN traced to its node."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, NonFiniteError
from graphflow.optimizer.driver import RewriteWarning
from graphflow.optimizer.pattern import P, variables
from graphflow.optimizer.rule import rule

X, Y = variables("X Y")
ONES = np.ones((2, 3), np.float32)


@rule(P.tanh(P.add(X, Y)), safety="exact")
def tanh_is_sin(match, b):
    """tanh(x + y) = sin(x + y), which is wrong."""
    return b.sin(b.add(match.X, match.Y))


@rule(P.tanh(P.negative(X)), safety="exact")
def odd_tanh(match, b):
    """tanh(-x) = -tanh(x)."""
    return b.negative(b.tanh(match.X))


@pytest.fixture
def x() -> gf.Tensor:
    return gf.placeholder("x", ("n", 3))


def test_rules_of_the_user_fire(x: gf.Tensor) -> None:
    y = gf.tanh(-x)
    with gf.Session(backend="numpy", rules=[odd_tanh]) as sess:
        assert sess.explain(y).journal.fired("odd_tanh") == 1
        np.testing.assert_array_equal(sess.run(y, {x: ONES}), np.tanh(-ONES))


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_pipeline_replaces_that_of_the_level(x: gf.Tensor, backend: str) -> None:
    y = gf.log(gf.nn.softmax(x * 1.0))
    with gf.Session(backend=backend, pipeline="eliminate,canonicalize{safety=exact}") as sess:
        report = sess.explain(y)
        assert [record.name for record in report.journal.passes][:2] == ["eliminate", "canonicalize"]
        assert report.journal.passes[-1].name == "decompose" and report.label.startswith("eliminate,")
        np.testing.assert_allclose(sess.run(y, {x: ONES}), np.log(1 / 3), rtol=1e-6)


def test_rules_and_passes_are_included_and_excluded(x: gf.Tensor) -> None:
    y = gf.log(gf.nn.softmax(x * 1.0))
    with gf.Session(backend="numpy", exclude=["stabilize"]) as sess:
        assert sess.explain(y).journal.fired("log_of_softmax") == 0
    with gf.Session(backend="numpy", level="O1", include=["log_of_softmax"]) as sess:
        assert sess.explain(y).journal.fired("log_of_softmax") == 1


@pytest.mark.parametrize(
    "options", [{"exclude": ["neutral_elemnt"]}, {"pipeline": "canonicalise"}, {"include": "fodl"}]
)
def test_typing_errors_are_told_when_the_session_is_made(x: gf.Tensor, options: dict[str, object]) -> None:
    with pytest.raises(AttributeValueError, match="did you mean"):
        gf.Session(backend="numpy", **options)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_wrong_rule_is_left_out_with_a_warning(x: gf.Tensor, backend: str) -> None:
    y = gf.tanh(x + gf.constant([0.5, 0.25, 2.0]))
    right = np.tanh(ONES + np.float32([0.5, 0.25, 2.0]))
    with gf.Session(backend=backend, rules=[tanh_is_sin]) as sess:
        assert not np.allclose(sess.run(y, {x: ONES}), right)
    with gf.Session(backend=backend, rules=[tanh_is_sin], check_values=True) as sess:
        with pytest.warns(RewriteWarning, match="tanh_is_sin"):
            np.testing.assert_allclose(sess.run(y, {x: ONES}), right, rtol=1e-6)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_allclose(sess.run(y, {x: ONES}), right, rtol=1e-6)


def test_right_rules_pass_the_check(x: gf.Tensor) -> None:
    y = gf.log(gf.nn.softmax(gf.tanh(-x) * 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with gf.Session(backend="numpy", rules=[odd_tanh], check_values=True) as sess:
            assert sess.run(y, {x: ONES}).shape == (2, 3)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_nan_is_traced_to_the_node_that_makes_it(x: gf.Tensor, backend: str) -> None:
    y = gf.sqrt(gf.log(x, name="culprit")) * 2.0
    with gf.Session(backend=backend, nan_guard=True) as sess:
        assert np.isfinite(sess.run(y, {x: ONES})).all()
        with pytest.raises(NonFiniteError, match=r"culprit = log \(.*test_debug.py:\d+\) makes NaN"):
            sess.run(y, {x: -ONES})
        step = sess.make_callable(y, [x])
        with pytest.raises(NonFiniteError, match="culprit"):
            step(-ONES)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_nothing_changes_where_an_update_is_not_finite(backend: str) -> None:
    v = gf.variable("v", (), initializer=gf.initializers.ones())
    down = gf.assign(v, gf.log(v - 1.0) + v)
    with gf.Session(backend=backend, nan_guard=True) as sess:
        with pytest.raises(NonFiniteError, match=r"= log .* makes infinity"):
            sess.run(down)
        assert (sess.variables["v"], sess.step) == (1.0, 0)
        sess.variables["v"] = 3.0
        sess.run(down)
        np.testing.assert_allclose(sess.variables["v"], 3.0 + np.log(2.0), rtol=1e-6)
        assert sess.step == 1


def test_what_is_fed_is_named_as_it_is(x: gf.Tensor) -> None:
    said = r"x = placeholder.*has NaN to begin with"
    with gf.Session(backend="numpy", nan_guard=True) as sess, pytest.raises(NonFiniteError, match=said):
        sess.run(x + 1.0, {x: ONES * np.nan})


def test_nan_that_reaches_no_result_is_not_minded(x: gf.Tensor) -> None:
    y = gf.where(x > 0, gf.log(x), 0.0)
    with gf.Session(backend="numpy", nan_guard=True) as sess:
        np.testing.assert_array_equal(sess.run(y, {x: -ONES}), 0 * ONES)


def test_sessions_without_debugging_have_plain_runners(x: gf.Tensor) -> None:
    with gf.Session(backend="numpy") as sess:
        assert sess._cache.debug is None
