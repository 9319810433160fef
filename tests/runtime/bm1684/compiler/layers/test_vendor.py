"""The commands of the layers do on the vendor's simulator what they do in ours.

All local memory that nothing was written to is NaN, so that what a command should not read would show.
"""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.runtime.bm1684.compiler.layers.attention import BatchedProduct
from graphflow.runtime.bm1684.compiler.layers.convolution import Convolution
from graphflow.runtime.bm1684.compiler.layers.depthwise import DepthwiseConvolution
from graphflow.runtime.bm1684.compiler.layers.layer import LocalLayer
from graphflow.runtime.bm1684.compiler.layers.matrix import TinyProduct
from graphflow.runtime.bm1684.compiler.layers.pooling import AveragePool, MaximumPool
from graphflow.runtime.bm1684.compiler.layers.product import RowProduct
from graphflow.runtime.bm1684.compiler.layers.stem import StemConvolution
from graphflow.runtime.bm1684.compiler.layers.transposed import TransposedConvolution
from graphflow.runtime.bm1684.isa import Pads, Shape, Window
from tests.runtime.bm1684 import vendor
from tests.runtime.bm1684.compiler.harness import NONE, Bench, value
from tests.runtime.bm1684.scene import DDR_WINDOW, LANE_WINDOW, difference, gather

THREE, AROUND = Window(3, 3), Pads(1, 1, 1, 1)


def floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def convolution(
    rng: np.random.Generator,
    given: tuple[int, ...],
    made: tuple[int, ...],
    kernel: int,
    groups: int = 1,
    **more: object,
) -> Convolution:
    """A convolution between chip shapes, with a bias and a ReLU."""
    weights = floats(rng, made[1], given[1] // groups, kernel, kernel)
    shapes = {"output": value("y", *made), "inputs": (value("x", *given),)}
    return Convolution(**shapes, weights=weights, bias=floats(rng, made[1]), groups=groups, relu=True, **more)


def layers(rng: np.random.Generator) -> dict[str, tuple[LocalLayer, Shape]]:
    """A layer of every kind of command stream, with the margin of its tiles."""
    wide = Shape(0, 1, 1, 1)
    image = convolution(rng, (2, 3, 12, 11), (2, 10, 6, 6), 5, strides=Window(2, 2), pads=Pads(2, 1, 2, 2))
    far = Window(18, 18)
    window = {"output": value("y", 2, 66, 4, 4), "inputs": (value("x", 2, 66, 7, 7),)}
    pool = {"kernel": THREE, "strides": Window(2, 2), "pads": AROUND}
    return {
        "direct": (convolution(rng, (2, 21, 6, 7), (2, 70, 6, 7), 3, pads=AROUND), NONE),
        "winograd": (
            convolution(rng, (2, 21, 6, 7), (2, 70, 6, 7), 3, pads=AROUND, algorithm="winograd"),
            NONE,
        ),
        "winograd without pads": (
            convolution(rng, (1, 9, 7, 9), (1, 5, 5, 7), 3, algorithm="winograd"),
            NONE,
        ),
        "winograd, two rows of pads": (
            convolution(rng, (1, 9, 7, 9), (1, 5, 8, 11), 3, pads=Pads(2, 1, 2, 2), algorithm="winograd"),
            NONE,
        ),
        "groups": (convolution(rng, (2, 20, 5, 5), (2, 80, 5, 5), 3, groups=4, pads=AROUND), NONE),
        "far dilation": (
            convolution(rng, (1, 3, 20, 20), (1, 5, 20, 20), 3, pads=Pads(*[18] * 4), dilation=far),
            NONE,
        ),
        "far steps": (convolution(rng, (1, 3, 17, 34), (1, 5, 1, 2), 17, strides=Window(17, 17)), NONE),
        "stem": (StemConvolution.of(image), NONE),
        "transposed": (
            TransposedConvolution.of(
                value("y", 1, 6, 10, 12),
                value("x", 1, 8, 5, 6),
                floats(rng, 8, 6, 3, 3),
                strides=Window(2, 2),
                pads=AROUND,
                more=Window(1, 1),
            ),
            NONE,
        ),
        "depthwise": (
            DepthwiseConvolution(
                **window,
                weights=floats(rng, 66, 3, 3),
                bias=floats(rng, 66),
                strides=Window(2, 2),
                pads=AROUND,
            ),
            wide,
        ),
        "maximum": (MaximumPool(**window, **pool), NONE),
        "average": (AveragePool(**window, **pool), NONE),
        "rows": (
            RowProduct(
                output=value("y", 2, 70, 1, 50),
                inputs=(value("x", 2, 70, 1, 33),),
                matrix=floats(rng, 33, 50),
                bias=floats(rng, 50),
            ),
            NONE,
        ),
        "rows in parts": (
            RowProduct(
                output=value("y", 1, 70, 1, 900),
                inputs=(value("x", 1, 70, 1, 65),),
                matrix=floats(rng, 65, 900),
                bias=floats(rng, 900),
            ),
            NONE,
        ),
        "few rows": (
            TinyProduct(
                output=value("y", 3, 50, 1, 2),
                inputs=(value("x", 3, 70, 1, 1),),
                matrix=floats(rng, 70, 100),
                bias=floats(rng, 100),
            ),
            NONE,
        ),
        "few rows in parts": (
            TinyProduct(
                output=value("y", 2, 70, 1, 2),
                inputs=(value("x", 2, 90, 1, 1),),
                matrix=floats(rng, 90, 140),
                bias=floats(rng, 140),
            ),
            NONE,
        ),
        "scores": (
            BatchedProduct(
                output=value("s", 4, 70, 1, 33),
                inputs=(value("q", 1, 70, 1, 40), value("k", 1, 40, 1, 33)),
                left_parts=4,
                right_parts=4,
                right_axis="c",
            ),
            NONE,
        ),
        "sums": (
            BatchedProduct(
                output=value("o", 4, 70, 1, 10),
                inputs=(value("s", 4, 70, 1, 33), value("v", 1, 33, 1, 40)),
                right_parts=4,
            ),
            NONE,
        ),
    }


@pytest.mark.slow
@pytest.mark.skipif(not vendor.LIBRARY, reason="GRAPHFLOW_BM1684_CMODEL names no library")
def test_layers_end_as_on_the_vendor_s_simulator() -> None:
    rng = np.random.default_rng(8)
    scenes, ours = [], []
    for name, (layer, margin) in layers(rng).items():
        room = 3000 if name in ("direct", "few rows in parts", "rows in parts") else 16 << 10
        bench = Bench(layer, margin=margin, room=room)
        scene = bench.prepare(*[floats(rng, *given.shape) for given in layer.inputs])
        scene.name = name
        assert bench.used <= LANE_WINDOW and bench.ddr_used <= DDR_WINDOW, name
        bench.finish()
        memory = bench.memory
        ours.append(gather(memory.local.data, memory.l2.data, memory.ddr.data))
        scenes.append(scene)
    told = {
        scene.name: difference(mine, theirs, 3e-6)
        for scene, mine, theirs in zip(scenes, ours, vendor.play(scenes))
    }
    assert told == dict.fromkeys(told, "")
