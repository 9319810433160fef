"""Threefry against the published known answers and jax; the distributions of the numbers made from it."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import scipy.stats

from graphflow.ir.dtypes import as_dtype, float16, float32, float64
from graphflow.ops import threefry

KEY = np.array([0xDEADBEEF, 0x00C0FFEE], np.uint32)

# Random123 1.14, tests/kat_vectors: counter, key, result of threefry2x32 with 20 rounds.
KNOWN_ANSWERS = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter, key, answer) -> None:
    high, low = (np.array([word], np.uint32) for word in counter)
    made = threefry.threefry_2x32(np.array(key, np.uint32), high, low)
    assert (int(made[0][0]), int(made[1][0])) == answer


def test_equals_the_generator_of_jax(rng) -> None:
    from jax.extend.random import threefry_2x32

    key = rng.integers(0, 2**32, 2, dtype=np.uint32)
    counters = rng.integers(0, 2**32, 1000, dtype=np.uint32)  # jax encrypts the first half with the second
    ours = np.concatenate(threefry.threefry_2x32(key, counters[:500], counters[500:]))
    np.testing.assert_array_equal(ours, np.asarray(threefry_2x32(jax.numpy.asarray(key), counters)))


def test_words_are_encrypted_counters() -> None:
    words = threefry.words(KEY, 5)
    for counter in range(3):
        left, right = threefry.threefry_2x32(KEY, np.uint32(0), np.uint32(counter))
        assert words[counter] == left
        assert counter + 3 >= 5 or words[counter + 3] == right
    assert words.dtype == np.uint32
    assert threefry.words(KEY, 0).shape == (0,)


def test_fold_in_separates_numbers_and_halves() -> None:
    numbers = [0, 1, 2**32, 2**32 + 1, 2**64 - 1]
    keys = {tuple(threefry.fold_in(KEY, number)) for number in numbers}
    assert len(keys) == len(numbers)
    np.testing.assert_array_equal(threefry.fold_in(KEY, 2**64 + 3), threefry.fold_in(KEY, 3))


def test_stream_keys_depend_on_seed_step_and_name() -> None:
    sessions = [(0, 1, 0, 0), (1, 0, 0, 0), (0, 1, 0, 1), (0, 1, 1, 0)]
    keys = {
        tuple(threefry.stream_key(np.array(session, np.uint32), name))
        for session in sessions
        for name in ("", "a", "b")
    }
    assert len(keys) == 12


def test_stream_key_is_stable() -> None:
    """Checkpoints rely on it: the numbers of a seed must not change between versions."""
    key = threefry.stream_key(np.array([0, 42, 0, 7], np.uint32), "dropout/#0")
    assert key.tolist() == [498371097, 1809829729]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_extreme_words_stay_inside(dtype: str) -> None:
    kind = as_dtype(dtype)
    extremes = np.tile(np.array([0, 2**32 - 1], np.uint32), 4)
    uniform = threefry.to_uniform(extremes, kind).astype(np.float64)
    assert uniform.min() == 0 and uniform.max() < 1
    for first in (0, 2**32 - 1):
        for second in (0, 2**31, 2**32 - 1):
            bits = np.array([first] * 2 + [second] * 2, np.uint32)
            assert np.isfinite(threefry.to_normal(bits, kind).astype(np.float64)).all()


def test_uniform_numbers_are_uniform() -> None:
    for dtype in (float32, float64):
        numbers = threefry.uniform(KEY, (100_000,), dtype).astype(np.float64)
        assert scipy.stats.kstest(numbers, "uniform").pvalue > 1e-3
    coarse = threefry.uniform(KEY, (200_000,), float16)
    assert len(np.unique(coarse)) == 2**11


@pytest.mark.parametrize("dtype", [float32, float64])
def test_normal_numbers_are_normal(dtype) -> None:
    numbers = threefry.normal(KEY, (100_001,), dtype).astype(np.float64)
    assert scipy.stats.kstest(numbers, "norm").pvalue > 1e-3
    pairs = numbers[:100_000].reshape(2, -1)  # the two of a pair are independent
    assert abs(np.corrcoef(pairs)[0, 1]) < 0.02
    assert abs(np.corrcoef(pairs**2)[0, 1]) < 0.02


def test_different_streams_are_uncorrelated() -> None:
    session = np.array([0, 0, 0, 0], np.uint32)
    streams = [threefry.normal(threefry.stream_key(session, f"#{i}"), (20_000,), float64) for i in range(4)]
    off_diagonal = np.corrcoef(streams) - np.eye(4)
    assert np.abs(off_diagonal).max() < 0.03
