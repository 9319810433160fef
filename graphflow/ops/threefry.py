"""Threefry-2x32-20 in NumPy: random words from a key and a counter, and numbers from random words.

A counter-based generator has no state: word `i` of key `k` is a pure function of the two, so that
every target gives the same words in any order and on any number of cores.

Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from graphflow.ir.dtypes import DType

PARITY = 0x1BD11BDA
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry_2x32(key: np.ndarray, high: ArrayLike, low: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Encrypt the counters (high[i], low[i]) with a key of two words, in 20 rounds.

    >>> [hex(word) for word in threefry_2x32(np.zeros(2, np.uint32), np.uint32(0), np.uint32(0))]
    ['0x6b200159', '0x99ba4efe']
    """
    first, second = (np.uint32(word) for word in key)
    schedule = (first, second, first ^ second ^ np.uint32(PARITY))
    with np.errstate(over="ignore"):
        left = np.asarray(high, np.uint32) + schedule[0]
        right = np.asarray(low, np.uint32) + schedule[1]
        for group in range(5):
            for distance in ROTATIONS[group % 2]:
                left = left + right
                right = (right << np.uint32(distance)) | (right >> np.uint32(32 - distance))
                right = right ^ left
            left = left + schedule[(group + 1) % 3]
            right = right + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return left, right


def words(key: np.ndarray, count: int) -> np.ndarray:
    """`count` random words: the first halves of the encrypted counters 0, 1, ..., then the second halves.

    >>> words(np.zeros(2, np.uint32), 3).shape
    (3,)
    """
    counters = np.arange((count + 1) // 2, dtype=np.uint64)
    high, low = (counters >> np.uint64(32)).astype(np.uint32), counters.astype(np.uint32)
    return np.concatenate(threefry_2x32(key, high, low))[:count]


def fold_in(key: np.ndarray, data: int) -> np.ndarray:
    """A new key from a key and a number below 2**64; different numbers give unrelated keys."""
    number = int(data) % 2**64
    made = threefry_2x32(key, np.uint32(number >> 32), np.uint32(number & 0xFFFFFFFF))
    return np.array(made, np.uint32)


def stream_number(stream: str) -> int:
    """The 64-bit number that stands for the name of a random stream."""
    return int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=8).digest(), "big")


def stream_key(session_key: np.ndarray, stream: str) -> np.ndarray:
    """The key of a stream in one run: the seed's key, with the step and the stream's name folded in.

    Arguments:
        session_key: uint32[4]: seed high, seed low, step high, step low.
        stream: the name of the stream.

    >>> key = np.array([0, 7, 0, 0], np.uint32)
    >>> bool(np.array_equal(stream_key(key, "dropout"), stream_key(key, "dropout_1")))
    False
    """
    seed_high, seed_low, step_high, step_low = (int(word) for word in np.asarray(session_key))
    at_step = fold_in(np.array([seed_high, seed_low], np.uint32), step_high << 32 | step_low)
    return fold_in(at_step, stream_number(stream))


# Numbers from words. Powers of two scale exactly, so every target gives the same uniform numbers.

UNIFORM_BITS = {"float16": 11, "bfloat16": 8, "float32": 24}


def words_per_uniform(dtype: DType) -> int:
    """How many words one uniform number of the dtype takes."""
    return 2 if dtype.itemsize == 8 else 1


def to_uniform(bits: np.ndarray, dtype: DType) -> np.ndarray:
    """Numbers in [0, 1), all multiples of 2**-p with p the significant bits of the dtype.

    For float64 the first half of `bits` holds the upper words.
    """
    if dtype.itemsize == 8:
        upper, lower = np.split(bits, 2)
        high, low = (upper >> np.uint32(5)).astype(np.float64), (lower >> np.uint32(6)).astype(np.float64)
        return (high * 2.0**26 + low) * 2.0**-53
    kept = UNIFORM_BITS[dtype.name]
    scaled = (bits >> np.uint32(32 - kept)).astype(np.float32) * np.float32(2.0**-kept)
    return scaled.astype(dtype.numpy)


def words_per_normal_pair(dtype: DType) -> int:
    """How many words two normal numbers of the dtype take."""
    return 4 if dtype.itemsize == 8 else 2


def to_normal(bits: np.ndarray, dtype: DType) -> np.ndarray:
    """Standard normal numbers by Box and Muller's transform; always finite.

    With u in (0, 1] and v in [-1/2, 1/2): z = sqrt(-2 ln u) (cos 2 pi v, sin 2 pi v). Computed in
    float64, so that the rounded result does not depend on the processor's math library.
    """
    first, second = np.split(bits, 2)
    if dtype.itemsize == 8:
        radial = 1.0 - to_uniform(first, dtype)
        angular = to_uniform(second, dtype) - 0.5
    else:
        # In float32, where adding 1 rounds: other targets compute u in float32 and must get the same.
        radial = ((first.astype(np.float32) + np.float32(1)) * np.float32(2.0**-32)).astype(np.float64)
        angular = (second.view(np.int32) >> np.int32(8)).astype(np.float64) * 2.0**-24
    radius = np.sqrt(-2.0 * np.log(radial))
    angle = 2.0 * np.pi * angular
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]).astype(dtype.numpy)


def element_count(shape: Sequence[int]) -> int:
    """The number of elements of a static shape, as a Python int."""
    count = 1
    for size in shape:
        count *= int(size)
    return count


def uniform(key: np.ndarray, shape: Sequence[int], dtype: DType) -> np.ndarray:
    """Uniform numbers in [0, 1) of the given shape."""
    count = element_count(shape)
    return to_uniform(words(key, count * words_per_uniform(dtype)), dtype).reshape(shape)


def normal(key: np.ndarray, shape: Sequence[int], dtype: DType) -> np.ndarray:
    """Standard normal numbers of the given shape."""
    count = element_count(shape)
    bits = words(key, (count + 1) // 2 * words_per_normal_pair(dtype))
    return to_normal(bits, dtype)[:count].reshape(shape)
