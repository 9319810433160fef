"""Random operators: streams, bits equal to jax's, distributions, and keys that do not fit."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, GraphFlowError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.interpret import evaluate
from graphflow.ops import threefry
from graphflow.ops.declare import constant, placeholder
from graphflow.ops.random import (
    random_bits,
    random_fold_in,
    random_key,
    random_normal,
    random_permutation,
    random_uniform,
)
from graphflow.runtime.jax.lower_random import _words
from tests.ops.symbolic import run

KEY = np.array([3, 5], np.uint32)
N = Dim("n")


def test_words_equal_those_of_jax_for_any_key(rng) -> None:
    keys = rng.integers(0, 2**32, (20, 2), dtype=np.uint32)
    words = jax.jit(jax.vmap(lambda key: _words(key, 101)))(keys)
    for key, made in zip(keys, np.asarray(words)):
        np.testing.assert_array_equal(made, threefry.words(key, 101))


def test_equal_keys_give_equal_numbers_and_others_do_not() -> None:
    one, two = constant(KEY), constant(KEY[::-1].copy())
    first, again, other = evaluate([random_bits(key, (50,)) for key in (one, one, two)])
    np.testing.assert_array_equal(first, again)
    assert not np.intersect1d(first, other).size


def test_the_key_reads_seed_step_and_stream() -> None:
    session = placeholder("session", (4,), "uint32")
    a, b = random_key(session, stream="a"), random_key(session, "b")
    seen = set()
    for words in ([0, 1, 0, 0], [0, 1, 0, 1], [1, 1, 0, 0]):
        fed = {session: np.array(words, np.uint32)}
        values = evaluate([a, b], fed)
        np.testing.assert_array_equal(values[0], threefry.stream_key(fed[session], "a"))
        seen |= {tuple(value) for value in values}
    assert len(seen) == 6


@pytest.mark.parametrize("number", [0, 1, 7, 2**31 - 1, 2**32 - 1])
def test_folding_in_is_that_of_jax(number: int) -> None:
    (made,) = evaluate([random_fold_in(constant(KEY), constant(number, dtype="uint32"))])
    np.testing.assert_array_equal(made, jax.random.fold_in(KEY, np.uint32(number)))


def test_folding_in_reads_the_number_and_not_its_dtype() -> None:
    key = constant(KEY)
    small = [random_fold_in(key, constant(5, dtype=dtype)) for dtype in ("int32", "uint8", "int64")]
    wide = [random_fold_in(key, constant(5 + 2**32, dtype="int64")), random_fold_in(key, constant(-5))]
    values = evaluate([*small, *wide])
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[0], values[2])
    assert len({value.tobytes() for value in values}) == 3


def test_symbolic_shapes() -> None:
    x = placeholder("x", (N,))
    key = constant(KEY)
    made = [
        random_bits(key, (N, 2)),
        random_uniform(key, N),
        random_normal(key, (2, N)),
        random_permutation(key, N),
    ]
    bits, uniform, normal, order = run(made, {x: np.zeros(7, np.float32)}, n=7)
    np.testing.assert_array_equal(bits.ravel(), threefry.words(KEY, 14))
    assert uniform.shape == (7,) and normal.shape == (2, 7)
    assert sorted(order) == list(range(7)) and order.dtype == np.int64


def test_uniform_numbers_are_the_scaled_words() -> None:
    (value,) = evaluate([random_uniform(constant(KEY), (9,))])
    np.testing.assert_array_equal(value, (threefry.words(KEY, 9) >> 8) / np.float32(2**24))


def test_permutation_keeps_the_order_of_equal_words(monkeypatch) -> None:
    monkeypatch.setattr(threefry, "words", lambda key, count: np.array([5, 1, 5, 1, 0], np.uint32)[:count])
    (order,) = evaluate([random_permutation(constant(KEY), 5)])
    assert order.tolist() == [4, 1, 3, 0, 2]


def test_permutations_are_uniform() -> None:
    counts = np.zeros((4, 4))
    for number in range(2000):
        key = threefry.fold_in(KEY, number)
        counts[np.arange(4), np.argsort(threefry.words(key, 4), kind="stable")] += 1
    assert np.abs(counts - 500).max() < 5 * np.sqrt(2000 * 3 / 16)


def test_no_gradient_reaches_the_scale_through_the_key() -> None:
    scale = placeholder("scale", ())
    noise = random_normal(constant(KEY), (4,))
    (g,) = gradients([noise * scale], [scale])
    value, drawn = evaluate([g, noise], {scale: np.float32(2.0)})
    assert value == pytest.approx(drawn.sum(), rel=1e-5)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda key: random_bits(constant([1, 2]), (3,)), DTypeError),
        (lambda key: random_bits(placeholder("k", (3,), "uint32"), (3,)), DTypeError),
        (lambda key: random_bits(placeholder("k", (2, 1), "uint32"), (3,)), DTypeError),
        (lambda key: random_key(key, stream="x"), DTypeError),
        (lambda key: random_key(placeholder("s", (4,), "uint32"), stream=3), AttributeValueError),
        (lambda key: random_bits(key, (-1,)), ShapeError),
        (lambda key: random_bits(key, (1.5,)), ShapeError),
        (lambda key: random_uniform(key, (2,), "int32"), DTypeError),
        (lambda key: random_normal(key, (2,), "complex64"), DTypeError),
        (lambda key: random_permutation(key, -1), ShapeError),
        (lambda key: random_fold_in(placeholder("k", (3, 2), "uint32"), constant([1, 2])), ShapeError),
        (lambda key: random_fold_in(key, constant(1.0)), DTypeError),
        (lambda key: random_fold_in(key, constant(True)), DTypeError),
        (lambda key: random_fold_in(constant(1), constant(1)), DTypeError),
    ],
)
def test_what_does_not_fit_is_refused(make, error) -> None:
    with pytest.raises(error) as caught:
        make(constant(KEY))
    assert isinstance(caught.value, GraphFlowError) and "test_random.py" in str(caught.value)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_types(dtype: str) -> None:
    made = [random_uniform(constant(KEY), (3,), dtype), random_normal(constant(KEY), (3,), dtype)]
    for value in evaluate(made):
        assert value.dtype == as_dtype(dtype).numpy
