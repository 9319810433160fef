"""Feeds: which values are taken and become what, and what a wrong one is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.errors import FeedError
from graphflow.ir import dtypes
from graphflow.session.feeds import solve_sizes, to_array


def tensor(dtype: object, shape: tuple = ("n",)) -> gf.Tensor:
    with gf.Graph():
        return gf.placeholder("x", shape, dtype=dtype)


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (gf.float32, 2, 2.0),
        (gf.float32, True, 1.0),
        (gf.float32, [1, 2.5], [1.0, 2.5]),
        (gf.float32, [], []),
        (gf.int32, [True, 3], [1, 3]),
        (gf.float32, np.array([1.5]), [1.5]),
        (gf.float16, np.array([1.5], np.float32), [1.5]),
        (gf.float64, np.array([1.5], np.float32), [1.5]),
        (gf.int32, np.array([7], np.int64), [7]),
        (gf.int8, np.array([-128, 127], np.int64), [-128, 127]),
        (gf.uint8, np.array([255], np.int32), [255]),
        (gf.int64, np.array([7], np.uint8), [7]),
        (gf.int32, np.array([], np.int64), []),
        (gf.float32, np.array([True]), [1.0]),
        (gf.float64, np.array([3], np.int32), [3.0]),
        (dtypes.complex64, 1 + 2j, 1 + 2j),
        (dtypes.complex64, np.array([1.0], np.float32), [1.0]),
        (dtypes.bool_, [True, False], [True, False]),
        (gf.float32, np.float64(0.5), 0.5),
        (gf.float32, np.array([1.0], ">f4"), [1.0]),
        (gf.bfloat16, [1.5, 2], [1.5, 2.0]),
    ],
)
def test_values_that_are_taken(dtype: object, value: object, expected: object) -> None:
    made = to_array(value, tensor(dtype))
    assert made.dtype == dtype.numpy and made.dtype.isnative and made.flags.c_contiguous
    np.testing.assert_array_equal(made.astype(np.complex128), np.asarray(expected, np.complex128))


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        (gf.int32, 1.5, "float"),
        (gf.int32, [1.0], "float"),
        (gf.int32, np.array([1.0]), "float64, which is not converted to int32"),
        (gf.float32, np.array([1], np.int64), "int64, which is not converted to float32"),
        (gf.float32, np.array([1], np.int32), "int32, which is not converted to float32"),
        (gf.float32, [np.array(1, np.int64)], "int64"),
        (gf.float32, 1j, "complex"),
        (dtypes.bool_, 1, "not converted to bool"),
        (dtypes.bool_, np.array([0, 1]), "not converted to bool"),
        (gf.int8, np.array([128]), "128 does not fit int8"),
        (gf.int32, 2**31, "does not fit int32"),
        (gf.uint8, [-1], "-1 does not fit uint8"),
        (gf.uint32, np.array([-1], np.int32), "does not fit uint32"),
        (gf.int64, 2**70, "dtype object"),
        (gf.float32, "1.0", "has dtype <U3"),
        (gf.float32, None, "dtype object"),
        (gf.float32, object(), "dtype object"),
        (gf.float32, [[1.0], [1.0, 2.0]], "no rectangular array"),
        (gf.float32, np.array(["a"]), "has dtype <U1"),
        (gf.float32, np.array(["2020-01-01"], "datetime64[D]"), "datetime64"),
    ],
)
def test_values_that_are_refused(dtype: object, value: object, message: str) -> None:
    with pytest.raises(FeedError, match=message) as caught:
        to_array(value, tensor(dtype))
    shown = str(caught.value)
    assert "x:0" in shown and "test_feeds.py" in shown and "try:" in shown


def test_awkward_floats_pass_unchanged() -> None:
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    made = to_array(values, tensor(gf.float64))
    assert made.tobytes() == values.tobytes() and not np.shares_memory(made, values)


def test_a_strided_array_is_copied_in_order() -> None:
    values = np.arange(12.0, dtype=np.float32).reshape(3, 4).T[::2]
    made = to_array(values, tensor(gf.float32, (2, 3)))
    assert made.flags.c_contiguous
    np.testing.assert_array_equal(made, values)


def test_a_tensor_in_place_of_an_array_is_told_what_to_feed() -> None:
    other = gf.constant(1.0, name="other")
    with pytest.raises(FeedError, match="the feed is the tensor other:0") as caught:
        to_array(other, tensor(gf.float32))
    assert "session.run('other:0')" in (caught.value.hint or "")


def test_complex_feeds_are_not_told_to_lose_their_imaginary_part() -> None:
    with pytest.raises(FeedError, match="complex128, which is not converted") as caught:
        to_array(np.array(1j), tensor(gf.float32))
    assert "value.real" in (caught.value.hint or "")


# Which feeds


def test_missing_feeds_are_named_with_their_line() -> None:
    x, y = gf.placeholder("x", ()), gf.placeholder("y", ())
    with gf.Session(backend="numpy") as sess:
        with pytest.raises(FeedError, match="need values for 'x', 'y'") as caught:
            sess.run(x + y)
        assert "test_feeds.py" in str(caught.value) and "feed_dict" in str(caught.value)
        with pytest.raises(FeedError, match="need a value for 'y'"):
            sess.run(x + y, {x: 1.0})


def test_a_feed_that_is_not_needed_is_refused() -> None:
    x, y = gf.placeholder("x", ()), gf.placeholder("y", ())
    with gf.Session(backend="numpy") as sess:
        with pytest.raises(FeedError, match="nothing that is fetched needs the feed y:0") as caught:
            sess.run(x * 2.0, {x: 1.0, y: 1.0})
        assert "leave it out; the fetches need x:0" in str(caught.value)
        assert sess.run(x * 2.0, {x: 1.0, "training": False}) == 2.0


def test_unknown_and_repeated_keys() -> None:
    x = gf.placeholder("image", ())
    with gf.Session(backend="numpy") as sess:
        with pytest.raises(FeedError, match="no tensor 'imgae'") as caught:
            sess.run(x, {"imgae": 1.0})
        assert "'image'" in str(caught.value)
        with pytest.raises(FeedError, match="image:0 is fed twice"):
            sess.run(x, {x: 1.0, "image:0": 2.0})
        with pytest.raises(FeedError, match="3 of type int cannot be fed"):
            sess.run(x, {3: 1.0})
        with pytest.raises(FeedError, match="training flag is fed twice"):
            sess.run(x, {x: 1.0, gf.training: True, "training": True})
        for wrong in ([(x, 1.0)], "image", 3):
            with pytest.raises(FeedError, match=r"feed_dict is a (list|str|int)"):
                sess.run(x, wrong)


def test_a_placeholder_may_be_called_training() -> None:
    x = gf.placeholder("training", ())
    with gf.Session(backend="numpy") as sess:
        assert sess.run(x * 2.0, {"training": 3.0}) == 6.0


# Sizes


def test_rank_and_size_must_fit() -> None:
    x = gf.placeholder("x", ("n", 4))
    with gf.Session(backend="numpy") as sess:
        with pytest.raises(FeedError, match=r"shape \[4\] of rank 1, but rank 2 is needed: \[n, 4\]"):
            sess.run(x, {x: np.zeros(4, np.float32)})
        with pytest.raises(FeedError, match=r"shape \[4, 5\], but axis 1 must be 4"):
            sess.run(x, {x: np.zeros((4, 5), np.float32)})
        assert sess.run(x, {x: np.zeros((0, 4), np.float32)}).shape == (0, 4)


def test_conflicting_sizes_name_both_feeds() -> None:
    x, y = gf.placeholder("x", ("batch", 2)), gf.placeholder("y", ("batch",))
    with gf.Session(backend="numpy") as sess:
        with pytest.raises(
            FeedError, match="the feeds disagree on the size batch: x:0 says 3, y:0 says 4"
        ) as caught:
            sess.run([x, y], {x: np.zeros((3, 2), np.float32), y: np.zeros(4, np.float32)})
        assert str(caught.value).count("test_feeds.py") >= 2


def test_a_size_that_a_node_assumed_is_checked_with_that_node() -> None:
    x, y = gf.placeholder("x", ("n",)), gf.placeholder("y", ("m",))
    total = gf.add(x, y, name="total")
    alone = x * 2.0
    with gf.Session(backend="numpy") as sess:
        with pytest.raises(
            FeedError, match=r"total \(add\) needs n == m, .* x:0 and y:0 make them 2 and 3"
        ) as caught:
            sess.run(total, {x: [1.0, 2.0], y: [1.0, 2.0, 3.0]})
        assert "test_feeds.py" in str(caught.value)
        assert sess.run(total, {x: [1.0, 2.0], y: [1.0, 2.0]}).tolist() == [2.0, 4.0]
        assert sess.run(alone, {x: [1.0]}).tolist() == [2.0]


def test_bounds_and_linear_sizes() -> None:
    n = gf.Dim("n", min=2, max=5)
    x = gf.placeholder("x", (2 * n + 1,))
    assert solve_sizes([x], [(7,)]) == {"n": 3}
    for size, message in (
        (8, r"of the form 2\*n \+ 1"),
        (3, "n at least 2 and at most 5"),
        (13, "at most 5"),
    ):
        with pytest.raises(FeedError, match=message):
            solve_sizes([x], [(size,)])


def test_a_compound_size_is_checked_once_its_symbols_are_known() -> None:
    n, m = gf.Dim("n"), gf.Dim("m")
    x, y, z = gf.placeholder("x", (n,)), gf.placeholder("y", (m,)), gf.placeholder("z", (n * m,))
    assert solve_sizes([x, y, z], [(2,), (3,), (6,)]) == {"n": 2, "m": 3}
    with pytest.raises(FeedError, match=r"must be m\*n = 6, as m = 3 of y:0 and n = 2 of x:0 say"):
        solve_sizes([x, y, z], [(2,), (3,), (7,)])


def test_a_size_that_no_feed_tells_is_asked_for() -> None:
    n, m = gf.Dim("n"), gf.Dim("m")
    z = gf.placeholder("z", (n * m,))
    with gf.Session(backend="numpy") as sess, pytest.raises(FeedError, match="do not tell the size m, n"):
        sess.run(z * 1.5, {z: np.zeros(6, np.float32)})


@given(st.integers(0, 50), st.integers(1, 5), st.integers(0, 5))
def test_linear_sizes_are_solved(n: int, factor: int, offset: int) -> None:
    with gf.Graph():
        x = gf.placeholder("x", (factor * gf.Dim("n") + offset, 3))
    assert solve_sizes([x], [(factor * n + offset, 3)]) == {"n": n}


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_feed_may_be_needed_for_its_size_alone(backend: str) -> None:
    x = gf.placeholder("x", ("batch", 3))
    bias = gf.variable("bias", (3,))
    (slope,) = gf.gradients(x + bias, [bias])
    with gf.Session(backend=backend) as sess:
        assert sess.run(slope, {x: np.zeros((4, 3))}).tolist() == [4.0, 4.0, 4.0]
        with pytest.raises(gf.GraphFlowError, match="batch"):
            sess.run(slope)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_fed_tensor_does_not_take_the_name_of_a_variable(backend: str) -> None:
    pair = gf.placeholder("pair", (4,))
    named_like_a_copy = gf.variable("split_1", initializer=[5.0, 6.0])
    first, second = gf.split(pair, 2)
    with gf.Session(backend=backend) as sess:
        total = sess.run(first + second + named_like_a_copy, {first: [1.0, 2.0], second: [3.0, 4.0]})
    assert total.tolist() == [9.0, 12.0]


@pytest.mark.parametrize("dtype", ["float32", "int64", "bfloat16", "string"])
def test_large_feeds_are_copied(dtype: str) -> None:
    with gf.Graph():
        x = gf.placeholder("x", (300, 500), dtype=dtype)
    values = np.ones((500, 300)).astype(x.dtype.numpy).T
    made = to_array(values, x)
    assert made.dtype == x.dtype.numpy and made.flags.c_contiguous and not np.shares_memory(made, values)
    np.testing.assert_array_equal(made == values, True)
    if dtype != "string":
        assert made.ctypes.data % 64 == 0
