"""Damaged .tflite files: whatever is in them, loading gives a model or a GraphFlowError.

    python -m tests.io.tflite.fuzz --count 20000 --seed 0

changes small models, bit by bit, in pieces, and word by word, and loads what comes of it.
"""

from __future__ import annotations

import argparse
import random
import resource
import struct
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np

import graphflow as gf
from tests.io.tflite.build import Net, file_of
from tests.io.tflite.test_control import chosen, looped, lstm

WORDS = (0, 1, 2, 3, 4, 8, 100, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFF00, 1 << 16, 1 << 24)


def image() -> bytes:
    """Convolutions and pooling on whole numbers, and a reshape."""
    net = Net()
    x = net.input((1, 6, 6, 2), "int8", scale=0.1, zero=3)
    w = net.constant(np.arange(54).reshape(3, 3, 3, 2) - 27, np.int8, scale=[0.1, 0.2, 0.3])
    b = net.constant([1, 2, 3], np.int32, scale=[0.01, 0.02, 0.03])
    h, p, r = (net.tensor(shape, "int8", scale=0.5) for shape in ((1, 6, 6, 3), (1, 3, 3, 3), (1, 27)))
    same = {"Padding": 0, "StrideH": 1, "StrideW": 1, "FusedActivationFunction": 1}
    net.op("CONV_2D", [x, w, b], [h], "Conv2DOptions", **same, DilationHFactor=1, DilationWFactor=1)
    window = {"FilterHeight": 2, "FilterWidth": 2, "StrideH": 2, "StrideW": 2}
    net.op("MAX_POOL_2D", [h], [p], "Pool2DOptions", **window)
    net.op("RESHAPE", [p, net.constant([1, -1], np.int32)], [r])
    return file_of(net.out(r), signature={"inputs": {"x": x}, "outputs": {"y": r}})


def shapes() -> bytes:
    """Slices, padding, tiling and resizing, whose sizes are in the file."""
    net = Net()
    x = net.input((2, 3, 4, 1))
    s, p, t, r, f, y = (net.tensor((1,)) for _ in range(6))
    ends = [net.constant(v, np.int32) for v in ([0, 0, 1, 0], [2, 3, 4, 1], [1, 1, 2, 1])]
    net.op("STRIDED_SLICE", [x, *ends], [s], "StridedSliceOptions", BeginMask=1)
    net.op("PAD", [s, net.constant([[0, 1], [1, 0], [2, 2], [0, 0]], np.int32)], [p])
    net.op("RESIZE_BILINEAR", [p, net.constant([5, 6], np.int32)], [r], "ResizeBilinearOptions")
    net.op("TILE", [r, net.constant([1, 2, 1, 3], np.int32)], [t])
    net.op("FILL", [net.constant([6], np.int32), net.constant(2.0, np.float32)], [f])
    net.op("GATHER", [t, net.constant([1, 0], np.int32)], [y], "GatherOptions", Axis=1)
    return file_of(net.out(y, f))


def seeds() -> list[bytes]:
    """The models that are changed."""
    return [image(), shapes(), chosen(), looped(), looped(fed=False, grows=True), lstm(False)[0]]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The bytes, changed in some way; most ways keep the identifier."""
    way, data = rng.randrange(10), bytearray(content)
    place, size = rng.randrange(8, len(data)), rng.randrange(1, 12)
    if way == 0:
        del data[place:]
    elif way == 1:
        del data[place : place + size]
    elif way == 2:
        data[place:place] = bytes(rng.randrange(256) for _ in range(size))
    elif way <= 5:
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    else:
        for _ in range(rng.randrange(1, 3)):
            at = rng.randrange(0, len(data) - 4) & ~3
            old = struct.unpack_from("<I", data, at)[0]
            new = rng.choice([*WORDS, old + 1, old - 1, old + 4, 2 * old, rng.getrandbits(32)])
            struct.pack_into("<I", data, at, new & 0xFFFFFFFF)
    return bytes(data)


def outcome(content: bytes) -> str:
    """ "loaded", or the class of the GraphFlowError; anything else that is raised is a fault."""
    try:
        gf.tflite.load(content)
    except gf.GraphFlowError as error:
        return type(error).__name__
    return "loaded"


def main(arguments: Sequence[str] | None = None) -> int:
    """Load so many changed models, and tell what came of them."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args(arguments)
    rng, models = random.Random(given.seed), seeds()
    counts: Counter[str] = Counter()
    slowest = 0.0
    warnings.simplefilter("ignore")
    for number in range(given.count):
        content = mutated(rng.choice(models), rng)
        start = time.perf_counter()
        try:
            counts[outcome(content)] += 1
        except BaseException:
            print(f"fault at number {number}: {content.hex()}")
            raise
        slowest = max(slowest, time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(dict(counts), f"slowest {slowest:.2f} s, peak memory {peak} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
