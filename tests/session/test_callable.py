"""make_callable: the same results as `run`, left on the device, for whatever is passed."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import FeedError, FetchError


def test_the_arguments_come_in_the_given_order(backend: str) -> None:
    x, y = gf.placeholder("x", ()), gf.placeholder("y", ())
    difference = x - y
    with gf.Session(backend=backend) as sess:
        forward = sess.make_callable(difference, [x, y])
        backward = sess.make_callable([difference], ["y", "x:0"])
        for _ in range(3):
            assert float(forward(5.0, 3.0)) == 2.0
            assert [float(value) for value in backward(5.0, 3.0)] == [-2.0]
        assert float(sess.make_callable(x * 2.0, x)(4.0)) == 8.0


def test_device_arrays_are_passed_on_in_any_order() -> None:
    jax = pytest.importorskip("jax")
    x, y = gf.placeholder("x", ("n",)), gf.placeholder("y", ("n",))
    with gf.Session() as sess:
        backward = sess.make_callable(x - y, [y, x])
        a, b = jax.numpy.asarray([1.0, 2.0]), jax.numpy.asarray([5.0, 7.0])
        for _ in range(3):
            result = backward(a, b)
            assert isinstance(result, jax.Array)
            assert np.asarray(result).tolist() == [4.0, 5.0]


def test_new_sizes_and_types_are_taken_care_of(backend: str) -> None:
    x = gf.placeholder("x", ("n",))
    with gf.Session(backend=backend) as sess:
        double = sess.make_callable(x * 2.0, [x])
        one = double([1.0])
        for value in ([1.0, 2.0], one, np.array([1.0]), np.array([1.0, 2.0, 3.0], np.float32), one, [True]):
            expected = np.asarray(value, np.float32) * 2.0
            np.testing.assert_array_equal(np.asarray(double(value)), expected)
        assert len(sess.compiles) == 3
        for wrong in (np.array([1]), np.zeros((1, 1)), "x"):
            with pytest.raises(FeedError):
                double(wrong)
        for arguments in ((), (one, one)):
            with pytest.raises(FeedError, match=rf"takes 1 arrays but got {len(arguments)}"):
                double(*arguments)
        np.testing.assert_array_equal(np.asarray(double(one)), [4.0])


def test_a_device_array_of_another_type_is_converted_or_refused() -> None:
    jax = pytest.importorskip("jax")
    x = gf.placeholder("x", (1,))
    with gf.Session() as sess:
        double = sess.make_callable(x * 2.0, [x])
        double([1.0])
        assert np.asarray(double(jax.numpy.asarray([1.5], jax.numpy.bfloat16))).tolist() == [3.0]
        with pytest.raises(FeedError, match="int32, which is not converted to float32"):
            double(jax.numpy.asarray([1]))


def test_updates_are_applied_and_come_back_as_none(backend: str, counter) -> None:
    with gf.Session(backend=backend) as sess:
        step = sess.make_callable({"before": counter.count, "add": counter.add}, [counter.by])
        for before in (0, 2, 4):
            result = step(2)
            assert int(result["before"]) == before and result["add"] is None
        assert sess.make_callable(counter.add, [counter.by])(1) is None
        assert int(sess.variables["count"]) == 7 and sess.step == 4


def test_a_fetched_variable_is_a_copy_of_the_state(backend: str) -> None:
    w = gf.variable("w", (64,), initializer=gf.initializers.ones())
    update = gf.assign(w, w + 1.0)
    with gf.Session(backend=backend) as sess:
        read = sess.make_callable(w)
        both = sess.make_callable([w, update, w + 1.0])
        values = [read(), both()[0], both()[2], read()]
        for _ in range(3):
            both()
        assert [float(np.asarray(value)[0]) for value in values] == [1.0, 1.0, 3.0, 3.0]
        if backend == "numpy":
            values[-1][:] = 99.0
        assert sess.variables[w][0] == 6.0


def test_the_training_flag_is_an_option(backend: str, counter) -> None:
    chosen = gf.where(gf.training, 1.0, 2.0)
    train = gf.group(counter.add)
    train.training = True
    with gf.Session(backend=backend) as sess:
        assert float(sess.make_callable(chosen)()) == 2.0
        assert float(sess.make_callable(chosen, training=True)()) == 1.0
        assert float(sess.make_callable([chosen, train], ["by"])(1)[0]) == 1.0
        assert float(sess.make_callable([chosen, train], ["by"], training=False)(1)[0]) == 2.0
        with pytest.raises(FeedError, match="no argument of a callable"):
            sess.make_callable(chosen, [gf.training])


def test_mistakes_are_found_when_it_is_made(counter) -> None:
    with gf.Session(backend="numpy") as sess:
        with pytest.raises(FeedError, match="need a value for 'by'"):
            sess.make_callable(counter.add)
        with pytest.raises(FeedError, match="nothing that is fetched needs the feed by:0"):
            sess.make_callable(counter.double, [counter.by])
        with pytest.raises(FetchError, match="cannot be fetched"):
            sess.make_callable(object())
