"""Damaged .tflite files: whatever is in them, loading gives a model or a GraphFlowError.

    python -m tests.io.tflite.fuzz --count 20000 --seed 0

changes small models, bit by bit, in pieces, and word by word, and loads what comes of it.
"""

from __future__ import annotations

import random
import struct
import sys

import numpy as np

import graphflow as gf
from tests.io import fuzzing
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
    if rng.randrange(10) < 6:
        return fuzzing.changed_bytes(content, rng, first=8)
    data = bytearray(content)
    for _ in range(rng.randrange(1, 3)):
        at = rng.randrange(0, len(data) - 4) & ~3
        old = struct.unpack_from("<I", data, at)[0]
        new = rng.choice([*WORDS, old + 1, old - 1, old + 4, 2 * old, rng.getrandbits(32)])
        struct.pack_into("<I", data, at, new & 0xFFFFFFFF)
    return bytes(data)


if __name__ == "__main__":
    sys.exit(fuzzing.main(__doc__.splitlines()[0], gf.tflite.load, seeds(), mutated))
