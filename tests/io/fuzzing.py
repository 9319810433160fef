"""Loading changed files, one after another: what the fuzzers of the formats share.

What is loaded must end as a model or in a GraphFlowError, and within `SLOWEST` seconds; the first file that
does not is printed, so that it can be made a test.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from graphflow.errors import GraphFlowError

SLOWEST = 5

Change = Callable[[bytes, random.Random], bytes]
Load = Callable[[bytes], Any]


def changed_bytes(content: bytes, rng: random.Random, first: int = 0) -> bytes:
    """Bytes from the place `first` on, of which some are flipped, gone, new, or there twice."""
    way, data = rng.randrange(5), bytearray(content)
    place, size = rng.randrange(first, len(data)), rng.randrange(1, 12)
    if way == 0:
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif way == 1:
        del data[place:]
    elif way == 2:
        del data[place : place + size]
    elif way == 3:
        data[place:place] = bytes(rng.randrange(256) for _ in range(size))
    else:
        data[place:place] = data[max(place - 8 * size, 0) : place]
    return bytes(data)


def outcome(load: Load, content: bytes) -> str:
    """ "loaded", or the class of the GraphFlowError; anything else that is raised is a fault."""
    try:
        load(content)
    except GraphFlowError as error:
        return type(error).__name__
    return "loaded"


@contextmanager
def in_time(seconds: int) -> Iterator[None]:
    """In here, taking longer is a fault."""

    def ring(number: int, frame: Any) -> None:
        raise AssertionError(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcomes(load: Load, models: Sequence[bytes], change: Change, seed: int, count: int) -> Counter[str]:
    """What came of so many changed models.

    Raises:
        AssertionError: if one takes too long; and whatever loading raises that it should not.
    """
    rng, counts = random.Random(seed), Counter[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(count):
            content = change(rng.choice(models), rng)
            try:
                with in_time(SLOWEST):
                    counts[outcome(load, content)] += 1
            except BaseException:
                print(f"fault at number {number} of seed {seed}: {content.hex()}")
                raise
    return counts


def main(
    what: str, load: Load, models: Sequence[bytes], change: Change, arguments: Sequence[str] | None = None
) -> int:
    """Load so many changed models as the command line says, and tell what came of them."""
    options = argparse.ArgumentParser(description=what)
    options.add_argument("--count", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args(arguments)
    start = time.perf_counter()
    counts = outcomes(load, models, change, given.seed, given.count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(dict(counts), f"in {time.perf_counter() - start:.0f} s, peak memory {peak} MB")
    return 0
