"""Runs: what comes back, what is fed, what an update does, and what is refused, on both backends."""

from __future__ import annotations

import collections

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import BackendError, FeedError, FetchError, SessionError
from graphflow.ir import dtypes
from graphflow.ops import sampling

Pair = collections.namedtuple("Pair", "first second")


def test_run_gives_writable_numpy_arrays(backend: str) -> None:
    x = gf.placeholder("x", ("n",))
    with gf.Session(backend=backend) as sess:
        result = sess.run(x * 2.0, {x: [1.0, 2.0]})
    assert type(result) is np.ndarray and result.dtype == np.float32
    result += 1.0
    np.testing.assert_array_equal(result, [3.0, 5.0])


def test_fetches_keep_their_structure(backend: str, counter) -> None:
    nest = {
        "list": [counter.count, (counter.double, counter.add)],
        "pair": Pair("count", "double:0"),
        "none": [],
        0: counter.double,
    }
    with gf.Session(backend=backend) as sess:
        sess.variables["count"] = 3
        result = sess.run(nest, {counter.by: 1})
    assert result == {"list": [3, (6, None)], "pair": Pair(3, 6), "none": [], 0: 6}
    assert type(result["pair"]) is Pair and type(result["list"][1]) is tuple


def test_nests_that_differ_only_in_their_containers_are_told_apart(backend: str, counter) -> None:
    with gf.Session(backend=backend) as sess:
        for nest in (
            [counter.count],
            (counter.count,),
            Pair(counter.count, counter.count),
            [(counter.count,)],
        ):
            result = sess.run(nest)
            assert type(result) is type(nest)
        assert sess.run([Pair(counter.count, counter.double)]) == [Pair(0, 0)]
        assert type(sess.run([(counter.count, counter.double)])[0]) is tuple
        assert type(sess.run([[counter.count], [counter.double]])[1]) is list


def test_an_update_alone_gives_none(backend: str, counter) -> None:
    with gf.Session(backend=backend) as sess:
        assert sess.run(counter.add, {counter.by: 5}) is None
        assert sess.run(counter.count) == 5
        assert sess.run([counter.add, counter.add], {counter.by: 5}) == [None, None]
        assert sess.run(counter.count) == 10


def test_reads_see_the_values_at_the_start_of_the_run(backend: str, counter) -> None:
    with gf.Session(backend=backend) as sess:
        assert sess.run([counter.count, counter.add, counter.double], {"by": 4}) == [0, None, 0]
        assert sess.run([counter.count, counter.add, counter.double], {"by": 4}) == [4, None, 8]


def test_two_variables_swap_in_one_run(backend: str) -> None:
    a = gf.variable("a", initializer=np.arange(3.0, dtype=np.float32))
    b = gf.variable("b", initializer=np.full(3, 9.0, np.float32))
    swap = gf.group(gf.assign(a, b), gf.assign(b, a))
    with gf.Session(backend=backend) as sess:
        for first, second in ([9, 9, 9], [0, 1, 2]), ([0, 1, 2], [9, 9, 9]), ([9, 9, 9], [0, 1, 2]):
            assert sess.run(swap) is None
            np.testing.assert_array_equal(sess.variables[a], first)
            np.testing.assert_array_equal(sess.variables[b], second)


def test_two_updates_of_one_variable_are_refused(backend: str, counter) -> None:
    other = gf.assign(counter.count, 7)
    with gf.Session(backend=backend) as sess:
        with pytest.raises(FetchError, match=r"two updates change the variable 'count'") as caught:
            sess.run([counter.add, other], {counter.by: 1})
        assert "test_session.py" in str(caught.value)
        assert sess.run(counter.count) == 0 and sess.step == 0


def test_feeding_an_intermediate_tensor_cuts_the_graph(backend: str) -> None:
    x = gf.placeholder("x", (2,))
    middle = gf.exp(x)
    last = middle + 1.0
    with gf.Session(backend=backend) as sess:
        np.testing.assert_array_equal(sess.run(last, {middle: [1.0, 2.0]}), [2.0, 3.0])
        np.testing.assert_array_equal(sess.run(last, {"exp:0": [3.0, 2.0]}), [4.0, 3.0])
        np.testing.assert_array_equal(sess.run(middle, {middle: [5.0, 6.0]}), [5.0, 6.0])
        with pytest.raises(FeedError, match=r"nothing that is fetched needs the feed x:0"):
            sess.run(last, {x: [0.0, 0.0], middle: [1.0, 2.0]})


def test_a_variable_can_be_fed_and_keeps_its_value(backend: str, counter) -> None:
    with gf.Session(backend=backend) as sess:
        assert sess.run(counter.double, {counter.count: 21}) == 42
        assert sess.run(counter.double) == 0
        assert sess.run([counter.count, counter.add], {counter.count: 10, "by": 1}) == [10, None]
        assert sess.run(counter.count) == 11


def test_the_training_flag_is_false_unless_fed_or_trained(backend: str, counter) -> None:
    flag = gf.training
    chosen = gf.where(flag, 1.0, 2.0)
    train = gf.group(counter.add, name="train")
    train.training = True
    with gf.Session(backend=backend) as sess:
        assert sess.run(chosen) == 2.0
        assert sess.run(chosen, {flag: True}) == 1.0
        assert sess.run(chosen, {"training": np.bool_(True)}) == 1.0
        assert sess.run([chosen, train], {"by": 1}) == [1.0, None]
        assert sess.run([chosen, counter.add], {"by": 1}) == [2.0, None]
        assert sess.run([chosen, train], {"by": 1, "training": False}) == [2.0, None]
        assert sess.run(flag, {flag: True}).tolist() is True
        with gf.Graph():
            assert sess.run(chosen, {gf.training: True}) == 1.0
        for wrong in (1, "yes", [True, False], None):
            with pytest.raises(FeedError, match="training flag"):
                sess.run(chosen, {flag: wrong})


def test_fed_arrays_are_not_aliased(backend: str) -> None:
    big = np.zeros(4096, np.float32)
    x = gf.placeholder("x", ("n",))
    keep = gf.variable("keep", (64,))
    store = gf.assign(keep, x)
    with gf.Session(backend=backend) as sess:
        offset = (-big.ctypes.data) % 64 // 4
        aligned = big[offset : offset + 64]
        aligned[:] = 1.0
        sess.run(store, {x: aligned})
        fetched = sess.run(x, {x: aligned})
        step = sess.make_callable([x, store], [x])
        device, _ = step(aligned)
        aligned[:] = 7.0
        np.testing.assert_array_equal(sess.variables[keep], np.ones(64))
        np.testing.assert_array_equal(fetched, np.ones(64))
        np.testing.assert_array_equal(np.asarray(device), np.ones(64))
        fetched[:] = 5.0
        sess.variables[keep][:] = 5.0
        np.testing.assert_array_equal(sess.variables[keep], np.ones(64))


def test_initial_arrays_are_not_aliased(backend: str) -> None:
    start = np.ones(64, np.float32)
    w = gf.variable("w", initializer=start)
    start[:] = 3.0
    with gf.Session(backend=backend) as sess:
        given = np.full(64, 2.0, np.float32)
        assert sess.run(w)[0] == 1.0
        sess.variables[w] = given
        given[:] = 9.0
        assert sess.run(w)[0] == 2.0


def test_64_bit_results_are_exact(backend: str) -> None:
    i = gf.placeholder("i", ("n",), dtype=gf.int64)
    d = gf.placeholder("d", ("n",), dtype=gf.float64)
    c = gf.placeholder("c", (), dtype=dtypes.complex128)
    total = gf.variable("total", (), dtype=gf.int64, initializer=np.array(2**40, np.int64))
    large = 2**53 + 1
    with gf.Session(backend=backend) as sess:
        result = sess.run([i + 1, d * 3.0, c * 1.0], {i: np.array([large]), d: np.array([0.1]), c: 1 + 2j})
        assert result[0].dtype == np.int64 and int(result[0][0]) == large + 1
        assert result[1].dtype == np.float64 and result[1][0] == 0.1 * 3.0
        assert result[2].dtype == np.complex128 and result[2] == 1 + 2j
        sess.run(gf.assign(total, total + 1))
        assert int(sess.variables[total]) == 2**40 + 1
        step = sess.make_callable(d * 3.0, [d])
        first = step(np.array([0.1]))
        assert np.asarray(first).tolist() == [0.1 * 3.0]
        assert np.asarray(step(first)).tolist() == [0.1 * 3.0 * 3.0]


def test_the_process_wide_64_bit_switch_stays_off() -> None:
    jax = pytest.importorskip("jax")
    d = gf.placeholder("d", (), dtype=gf.float64)
    with gf.Session() as sess:
        assert sess.run(d + 1.0, {d: 0.1}).dtype == np.float64
    assert not jax.config.jax_enable_x64
    assert jax.numpy.asarray(np.zeros(1)).dtype == np.float32


def test_results_can_stay_on_the_device() -> None:
    jax = pytest.importorskip("jax")
    x = gf.placeholder("x", (2,))
    with gf.Session() as sess:
        first = sess.run({"a": x + 1.0}, {x: [1.0, 2.0]}, to_numpy=False)["a"]
        assert isinstance(first, jax.Array)
        np.testing.assert_array_equal(sess.run(x + 1.0, {x: first}), [3.0, 4.0])
        assert not first.is_deleted()


def test_random_numbers_repeat_with_the_seed_and_change_with_the_step(backend: str, counter) -> None:
    drawn = sampling.uniform((4,))

    def draw(seed: int) -> list[np.ndarray]:
        with gf.Session(backend=backend, seed=seed) as sess:
            first = [sess.run(drawn), sess.run(drawn)]
            again = sess.run([drawn, counter.add], {"by": 1})[0]
            return [*first, again, sess.run(drawn)]

    one, two = draw(7), draw(7)
    for first, second in zip(one, two):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(one[0], one[1])
    np.testing.assert_array_equal(one[0], one[2])
    assert not np.array_equal(one[2], one[3])
    assert not np.array_equal(one[0], draw(8)[0])


def test_both_backends_draw_the_same_bits() -> None:
    drawn = sampling.uniform((100,))
    results = []
    for name in ("numpy", "jax"):
        with gf.Session(backend=name, seed=2**40 + 3) as sess:
            results.append(sess.run(drawn))
    np.testing.assert_array_equal(*results)


# What is refused


@pytest.mark.parametrize("wrong", [None, 3, 1.5, np.zeros(2), [None], {"a": {"b": object()}}, b"x"])
def test_what_cannot_be_fetched(wrong: object) -> None:
    gf.constant(1.0)
    with gf.Session(backend="numpy") as sess, pytest.raises(FetchError, match="cannot be fetched"):
        sess.run(wrong)


def test_endless_nests_are_refused() -> None:
    gf.constant(1.0)
    nest: list = []
    nest.append(nest)
    with gf.Session(backend="numpy") as sess, pytest.raises(FetchError, match="nested more than"):
        sess.run(nest)


def test_a_name_that_is_not_there_offers_near_ones(counter) -> None:
    with gf.Session(backend="numpy") as sess:
        with pytest.raises(FetchError, match="no tensor 'duble'") as caught:
            sess.run("duble")
        assert "'double'" in str(caught.value)
        for wrong in ("double:1", "double:x", "double:-1", ""):
            with pytest.raises(FetchError):
                sess.run(wrong)


def test_tensors_and_updates_of_another_graph_are_refused(counter) -> None:
    with gf.Graph("other") as other:
        foreign = gf.constant(1.0)
        v = gf.variable("v", ())
        update = gf.assign(v, 1.0)
        p = gf.placeholder("p", ())
    with gf.Session(backend="numpy") as sess:
        for fetch in (foreign, [counter.count, update]):
            with pytest.raises(FetchError, match="belongs to the graph 'other'"):
                sess.run(fetch)
        with pytest.raises(FeedError, match="belongs to the graph 'other'"):
            sess.run(counter.double, {p: 1.0})
    with gf.Session(other, backend="numpy") as sess:
        assert sess.run(foreign) == 1.0


def test_a_thread_without_a_graph_is_told_so() -> None:
    gf.reset_default_graph()
    with pytest.raises(SessionError, match=r"there is no graph to run: this thread has not built one"):
        gf.Session(backend="numpy")


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"backend": "jacks"}, BackendError, "no backend 'jacks'"),
        ({"level": "O9"}, SessionError, "no optimization level 'O9'"),
        ({"seed": -1}, SessionError, "cannot be a seed"),
        ({"seed": 2**64}, SessionError, "cannot be a seed"),
        ({"seed": 1.5}, SessionError, "cannot be a seed"),
        ({"graph": 3}, SessionError, "int is no graph"),
    ],
)
def test_bad_arguments(keywords: dict, error: type, message: str) -> None:
    gf.constant(1.0)
    with pytest.raises(error, match=message):
        gf.Session(**keywords)


def test_a_closed_session_says_so(backend: str, counter) -> None:
    constant = gf.constant(1.0)
    with gf.Session(backend=backend) as sess:
        step = sess.make_callable(counter.double)
        free = sess.make_callable(constant)
        step(), free()
        sess.run(counter.double)
    uses = (
        lambda: sess.run(counter.double),
        lambda: sess.variables["count"],
        lambda: sess.variables.update({"count": 1}),
        lambda: sess.make_callable(counter.double),
        lambda: sess.explain(counter.double),
        lambda: sess.profile(counter.double),
        lambda: sess.save_checkpoint("nowhere"),
        step,
        free,
    )
    for use in uses:
        with pytest.raises(SessionError, match="the session is closed"):
            use()
    assert "closed" in repr(sess)


def test_all_levels_give_the_same(backend: str) -> None:
    x = gf.placeholder("x", (3,))
    y = gf.exp(x * 1.0 + 0.0) * gf.exp(x)
    results = []
    for level in ("O0", "O1", "O2", "O3"):
        with gf.Session(backend=backend, level=level) as sess:
            results.append(sess.run(y, {x: [0.0, 1.0, -1.0]}))
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-6)
