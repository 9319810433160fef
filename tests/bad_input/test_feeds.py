"""Wrong feeds, end to end: each is refused before anything runs, and the session goes on as it was."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import FeedError
from tests.bad_input.refusal import refused

GOOD = np.ones((2, 3), np.float32)


def counting() -> SimpleNamespace:
    """A graph whose update adds the column sums of x to w, so that a half-applied run would show."""
    x = gf.placeholder("x", ("batch", 3))
    w = gf.variable("w", (3,), initializer=gf.initializers.ones())
    return SimpleNamespace(x=x, w=w, y=gf.matmul(x, w), update=gf.assign(w, w + gf.sum(x, axis=0)))


def unchanged(sess: gf.Session, net: SimpleNamespace, steps: int = 0) -> None:
    """Assert that no update has been applied, and that a good run still works."""
    assert sess.step == steps
    assert sess.variables["w"].tolist() == [1.0 + 2 * steps] * 3
    assert sess.run(net.y, {net.x: GOOD}).tolist() == [3.0 + 6 * steps] * 2


WRONG = {
    "a matrix of int64": (np.ones((2, 3), np.int64), ["int64", "float32[batch, 3]", "astype"]),
    "complex": (GOOD + 1j, ["complex64", "float32"]),
    "a rank too low": (np.ones(3, np.float32), ["[3]", "rank 1", "rank 2", "float32[batch, 3]"]),
    "a rank too high": (GOOD[None], ["[1, 2, 3]", "rank 3"]),
    "a scalar": (1.0, ["[]", "rank 0"]),
    "a wrong size": (np.ones((2, 4), np.float32), ["[2, 4]", "axis 1", "must be 3"]),
    "rows and columns exchanged": (GOOD.T, ["[3, 2]", "axis 1"]),
    "ragged rows": ([[1.0, 2.0, 3.0], [1.0]], ["no rectangular array"]),
    "text": ("abc", ["<U3"]),
    "bytes": (b"abc", ["|S3"]),
    "None": (None, ["object"]),
    "an object": (object(), ["object"]),
    "a dict": ({"a": 1}, ["object"]),
    "a set": ({1.0}, ["object"]),
    "a function": (lambda: GOOD, ["object"]),
    "an int beyond 64 bits": ([[10**30, 0, 0]], ["object"]),
    "dates": (np.zeros((2, 3), "datetime64[s]"), ["datetime64"]),
    "records": (np.zeros((2, 3), [("a", "f4")]), ["a"]),
    "strings that look like numbers": (np.array([["1", "2", "3"]]), ["<U1"]),
    "masked objects": (np.array([[None, 1.0, 2.0]]), ["object"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_value_that_is_no_such_tensor(backend: str, case: str) -> None:
    value, facts = WRONG[case]
    net = counting()
    x = gf.placeholder("image", ("batch", 3))
    update = gf.assign(net.w, net.w + gf.sum(x, axis=0))
    with gf.Session(backend=backend) as sess:
        with refused(FeedError, "image", "float32[batch, 3]", *facts):
            sess.run([update, net.w], {x: value})
        unchanged(sess, net)
        sess.run(net.update, {net.x: GOOD})
        with refused(FeedError, "image", *facts):
            sess.make_callable([update, net.w], [x])(value)
        unchanged(sess, net, steps=1)


def test_a_tensor_is_no_value(backend: str) -> None:
    x = gf.placeholder("x", (2,))
    with gf.Session(backend=backend) as sess, refused(gf.GraphFlowError, "x:0", "has no value"):
        sess.run(x * 2.0, {x: x})


def test_booleans_and_narrow_integers_are_taken_as_floats(backend: str) -> None:
    net = counting()
    with gf.Session(backend=backend) as sess:
        assert sess.run(net.y, {net.x: np.array([[True, False, True]])}).tolist() == [2.0]
        assert sess.run(net.y, {net.x: np.ones((1, 3), np.int8)}).tolist() == [3.0]
        unchanged(sess, net)


def test_empty_batches_nan_and_inf_are_values_like_others(backend: str) -> None:
    net = counting()
    with gf.Session(backend=backend) as sess:
        for empty in (np.zeros((0, 3)), np.zeros((0, 3), np.float32)):
            assert sess.run(net.y, {net.x: empty}).shape == (0,)
        sess.run(net.update, {net.x: np.zeros((0, 3))})
        assert sess.variables["w"].tolist() == [1.0] * 3
        found = sess.run(net.y, {net.x: [[np.nan, 1.0, 1.0], [np.inf, 1.0, 1.0], [1e300, 0.0, 0.0]]})
        assert np.isnan(found[0]) and found[1] == np.inf and found[2] == np.inf


def test_unknown_missing_and_extra_feeds(backend: str) -> None:
    net = counting()
    other = gf.placeholder("other", ())
    with gf.Session(backend=backend) as sess:
        with refused(FeedError, "'imgae'", "'x'"):
            sess.run(net.update, {"imgae": GOOD})
        with refused(FeedError, "'X'", "placeholders"):
            sess.run(net.update, {"X": GOOD})
        with refused(FeedError, "'x'", "feed_dict"):
            sess.run(net.update)
        with refused(FeedError, "other", "leave it out", "x:0"):
            sess.run([net.update, net.y], {net.x: GOOD, other: 1.0})
        with refused(FeedError, "x:0", "twice"):
            sess.run(net.update, {net.x: GOOD, "x": GOOD})
        unchanged(sess, net)


KEYS: dict[str, Callable[[], Any]] = {
    "a number": lambda: 3,
    "None": lambda: None,
    "a tuple": lambda: ("x",),
    "a dtype": lambda: gf.float32,
    "a class": lambda: gf.Tensor,
    "the graph": gf.default_graph,
}


@pytest.mark.parametrize("case", KEYS)
def test_what_cannot_be_fed(backend: str, case: str) -> None:
    net = counting()
    with gf.Session(backend=backend) as sess:
        with refused(FeedError, "cannot be fed", "tensors or names"):
            sess.run(net.update, {KEYS[case](): GOOD})
        with refused(FeedError, "cannot be fed"):
            sess.make_callable(net.y, [KEYS[case]()])
        unchanged(sess, net)


@pytest.mark.parametrize("feeds", [GOOD, 3, "x", [("x", GOOD)], {"x"}, True])
def test_feeds_that_are_no_dict(backend: str, feeds: Any) -> None:
    net = counting()
    with gf.Session(backend=backend) as sess:
        with refused(FeedError, "feed_dict", "dict"):
            sess.run(net.update, feeds)
        unchanged(sess, net)


def test_conflicting_sizes_name_both_feeds_and_their_lines(backend: str) -> None:
    net = counting()
    a = gf.placeholder("a", ("rows", 2))
    b = gf.placeholder("b", ("rows",))
    update = gf.assign(net.w, net.w + gf.sum(a) + gf.sum(b))
    with gf.Session(backend=backend) as sess:
        with refused(FeedError, "rows", "a:0 says 2", "b:0 says 5") as refusal:
            sess.run(update, {a: np.zeros((2, 2)), b: np.zeros(5)})
        assert str(refusal.error).count("test_feeds.py:") >= 2
        unchanged(sess, net)


def test_sizes_that_a_node_needs_to_be_equal(backend: str) -> None:
    net = counting()
    a = gf.placeholder("a", ("n",))
    b = gf.placeholder("b", ("m",))
    update = gf.assign(net.w, net.w + gf.sum(gf.add(a, b, name="both")))
    with gf.Session(backend=backend) as sess:
        with refused(FeedError, "both", "n == m", "a:0", "b:0", "2 and 3"):
            sess.run(update, {a: np.zeros(2), b: np.zeros(3)})
        unchanged(sess, net)


def test_a_size_that_is_not_told(backend: str) -> None:
    net = counting()
    count = gf.full((gf.Dim("rows"),), 1.0)
    with gf.Session(backend=backend) as sess:
        with refused(FeedError, "rows"):
            sess.run([gf.assign(net.w, net.w + gf.sum(count)), net.w])
        unchanged(sess, net)


@pytest.mark.parametrize("flag", [1, "yes", None, np.array([True]), np.array(1.0), [True]])
def test_a_training_flag_that_is_none(backend: str, flag: Any) -> None:
    net = counting()
    with gf.Session(backend=backend) as sess:
        with refused(FeedError, "training flag", "True or False"):
            sess.run(net.update, {net.x: GOOD, gf.training: flag})
        unchanged(sess, net)


def test_the_arguments_of_a_callable(backend: str) -> None:
    net = counting()
    with gf.Session(backend=backend) as sess:
        step = sess.make_callable([net.update, net.y], [net.x])
        for wrong in ([], [GOOD, GOOD]):
            with refused(FeedError, "takes 1 arrays", f"got {len(wrong)}", "x:0"):
                step(*wrong)
        with refused(FeedError, "x:0", "[2, 4]"):
            step(np.ones((2, 4), np.float32))
        unchanged(sess, net)
        step(GOOD)
        with refused(FeedError, "x:0", "[2, 4]"):
            step(np.ones((2, 4), np.float32))
        unchanged(sess, net, steps=1)
        with refused(FeedError, "3"):
            sess.make_callable(net.y, 3)
