"""gf.random: numbers depend on seed, step and stream alone; distributions, symbolic shapes, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from graphflow.autodiff.reverse import gradients
from graphflow.errors import GraphFlowError
from graphflow.ir.dims import Dim
from graphflow.ir.graph import Graph, name_scope
from graphflow.ir.interpret import evaluate
from graphflow.ops import sampling
from graphflow.ops.declare import builtin, constant, placeholder

N = Dim("n")


def _draw(*tensors, seed: int = 0, step: int = 0):
    session = builtin(tensors[0].graph, "session_key")
    key = np.array([seed >> 32, seed & 0xFFFFFFFF, step >> 32, step & 0xFFFFFFFF], np.uint32)
    return evaluate(tensors, {session: key})


def test_other_nodes_change_no_numbers() -> None:
    drawn = []
    for extra in range(2):
        with Graph():
            for _ in range(extra):
                constant(1.0)
                with name_scope("elsewhere"):
                    sampling.uniform((3,))
                sampling.uniform((3,), name="named")
            drawn.append(_draw(sampling.normal((3,)))[0])
    np.testing.assert_array_equal(*drawn)


def test_numbers_depend_on_seed_step_and_stream() -> None:
    with Graph():
        first, second = sampling.normal((4,)), sampling.normal((4,))
        seen = [
            value.tobytes()
            for seed, step in [(0, 0), (0, 1), (1, 0), (2**32, 0), (0, 2**32)]
            for value in _draw(first, second, seed=seed, step=step)
        ]
    assert len(set(seen)) == 10


def test_distributions() -> None:
    with Graph():
        shape = (20_000,)
        made = [
            sampling.uniform(shape, -2.0, 3.0), sampling.normal(shape, 1.0, 2.0),
            sampling.truncated_normal(shape, 1.0, 0.5), sampling.exponential(shape, 4.0),
            sampling.gumbel(shape), sampling.truncated_normal(shape, dtype="float64"),
        ]  # fmt: skip
        expected = [
            scipy.stats.uniform(-2, 5), scipy.stats.norm(1, 2), scipy.stats.truncnorm(-2, 2, 1, 0.5),
            scipy.stats.expon(scale=0.25), scipy.stats.gumbel_r(), scipy.stats.truncnorm(-2, 2),
        ]  # fmt: skip
        for value, distribution in zip(_draw(*made), expected):
            assert np.isfinite(value).all()
            assert scipy.stats.kstest(value.astype(np.float64), distribution.cdf).pvalue > 1e-3, distribution
        bounded = _draw(made[2])[0]
        assert np.abs(bounded - 1).max() <= 1.0


def test_parameters_may_be_tensors_and_get_gradients() -> None:
    with Graph():
        mean, std = placeholder("mean", (3,)), placeholder("std", ())
        x = sampling.normal((4, 3), mean, std)
        assert x.shape == (4, 3)
        of_mean, of_std = gradients([x], [mean, std])
        session = builtin(x.graph, "session_key")
        fed = {mean: np.arange(3, dtype=np.float32), std: np.float32(2), session: np.zeros(4, np.uint32)}
        value, by_mean, by_std = evaluate([x, of_mean, of_std], fed)
        np.testing.assert_array_equal(by_mean, [4, 4, 4])
        np.testing.assert_allclose(by_std, ((value - fed[mean]) / 2).sum(), rtol=1e-4)
        low = placeholder("low", ())
        assert sampling.uniform((2,), low, 1.0).shape == (2,)
        assert sampling.uniform((2,), 0.0, low).graph is low.graph


def test_bernoulli() -> None:
    with Graph():
        sure, never, some = (sampling.bernoulli(p, (5000,)) for p in (1.0, 0.0, 0.2))
        each = sampling.bernoulli(constant([0.0, 1.0]))
        values = _draw(sure, never, some, each)
        assert values[0].all() and not values[1].any()
        assert abs(values[2].mean() - 0.2) < 0.03 and values[2].dtype == np.bool_
        assert values[3].tolist() == [False, True]


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(0, 6, "int32"), (-3, 2, "int64"), (-128, 128, "int8"), (0, 256, "uint8"), (5, 6, "int16")],
)
def test_integers_are_uniform(low: int, high: int, dtype: str) -> None:
    with Graph():
        (value,) = _draw(sampling.integers(low, high, (20_000,), dtype))
    assert value.dtype == np.dtype(dtype)
    assert value.min() == low and value.max() == high - 1
    counts = np.bincount(value.astype(np.int64) - low, minlength=high - low)
    assert high - low == 1 or scipy.stats.chisquare(counts).pvalue > 1e-3


def test_integers_of_the_full_range() -> None:
    with Graph():
        whole, symbolic = sampling.integers(2**32, shape=(1000,), dtype="uint32"), sampling.integers(N + 1)
        (value,) = _draw(whole)
    assert value.max() > 2**31 and symbolic.shape == () and symbolic.dtype.name == "int32"


def test_categorical() -> None:
    with Graph():
        logits = np.log(np.array([0.5, 0.2, 0.3, 1e-30], np.float32))
        logits[3] = -np.inf
        table = constant(np.tile(logits[:, None], (1, 20_000)))
        (value,) = _draw(sampling.categorical(table, axis=0))
    assert value.shape == (20_000,) and value.dtype == np.int64
    counts = np.bincount(value, minlength=4)
    assert counts[3] == 0
    assert scipy.stats.chisquare(counts[:3], 20_000 * np.array([0.5, 0.2, 0.3])).pvalue > 1e-3


def test_permutation_and_shuffle() -> None:
    with Graph():
        x = constant(np.arange(30).reshape(10, 3))
        order, rows, columns = sampling.permutation(100), sampling.shuffle(x), sampling.shuffle(x, axis=1)
        values = _draw(order, rows, columns)
    assert sorted(values[0]) == list(range(100)) and list(values[0]) != list(range(100))
    assert sorted(values[1][:, 0]) == list(range(0, 30, 3)) and (np.diff(values[1], axis=1) == 1).all()
    assert sorted(values[2][0]) == [0, 1, 2] and (np.diff(values[2], axis=0) == 3).all()


def test_symbolic_shapes() -> None:
    x = placeholder("x", (N, 3))
    for made in (
        sampling.normal(x.shape), sampling.uniform(x.shape, 0, 2), sampling.truncated_normal(x.shape),
        sampling.bernoulli(0.5, x.shape), sampling.integers(5, shape=x.shape), sampling.exponential(x.shape),
        sampling.gumbel(x.shape), sampling.shuffle(x), sampling.bernoulli(x), sampling.normal(("n", 3)),
    ):  # fmt: skip
        assert made.shape == (N, 3)
    assert sampling.categorical(x).shape == (N,)
    assert sampling.permutation(N).shape == (N,)


@pytest.mark.parametrize(
    "make",
    [
        lambda: sampling.uniform((2,), 1.0, 0.0),
        lambda: sampling.uniform((2,), 0.0, float("nan")),
        lambda: sampling.uniform((2,), dtype="int32"),
        lambda: sampling.normal((2,), std=-1.0),
        lambda: sampling.normal((-2,)),
        lambda: sampling.truncated_normal((2,), std=float("nan")),
        lambda: sampling.bernoulli(1.5),
        lambda: sampling.integers(3, 3),
        lambda: sampling.integers(0, 2**33),
        lambda: sampling.integers(0, 300, dtype="int8"),
        lambda: sampling.integers(0.5, 2),
        lambda: sampling.integers(0, 2, dtype="float32"),
        lambda: sampling.categorical(constant(1.0)),
        lambda: sampling.categorical(constant([1.0]), axis=1),
        lambda: sampling.permutation(-1),
        lambda: sampling.shuffle(constant(1.0)),
    ],
)
def test_bad_arguments_are_refused(make) -> None:
    with pytest.raises(GraphFlowError) as caught:
        make()
    assert "test_sampling.py" in str(caught.value)
