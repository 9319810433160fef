"""Functions, reductions, softmax and normalization end on the vendor's simulator as they do in ours."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from graphflow.runtime.bm1684.compiler.layers import activation, unary
from graphflow.runtime.bm1684.compiler.layers.function import Function
from graphflow.runtime.bm1684.compiler.layers.layer import LocalLayer
from graphflow.runtime.bm1684.compiler.layers.norm import Normalize
from graphflow.runtime.bm1684.compiler.layers.reduce import Reduce
from graphflow.runtime.bm1684.compiler.layers.softmax import Softmax
from graphflow.runtime.bm1684.isa import Operation, Shape
from tests.runtime.bm1684 import vendor
from tests.runtime.bm1684.compiler.harness import NONE, Bench, value
from tests.runtime.bm1684.scene import DDR_WINDOW, LANE_WINDOW, gather

FUNCTIONS = {
    "exp": activation.exponential,
    "sigmoid": activation.sigmoid,
    "silu": activation.silu,
    "tanh": activation.tanh,
    "gelu": activation.gelu,
    "softplus": activation.softplus,
    "elu": activation.elu,
    "log": activation.log,
    "sin": activation.sine,
    "reciprocal": activation.reciprocal,
    "floor": unary.floor,
    "trunc": unary.trunc,
    "rsqrt": unary.rsqrt,
    "sign": unary.sign,
    "expm1": unary.expm1,
    "leaky": partial(activation.leaky_relu, alpha=0.1),
}


def layers(rng: np.random.Generator) -> dict[str, tuple[LocalLayer, Shape]]:
    """A layer of every kind, with the margin of its tiles."""
    shape = (2, 66, 3, 5)
    made: dict[str, tuple[LocalLayer, Shape]] = {}
    for index, (name, record) in enumerate(FUNCTIONS.items()):
        layer = Function(output=value("y", *shape), inputs=(value("x", *shape),), name=name, record=record)
        made[name] = layer, Shape(0, 0, 1, 1) if index % 2 else NONE
    rows = {"output": value("y", 1, 66, 1, 37), "inputs": (value("x", 1, 66, 1, 37),)}
    made["softmax"] = Softmax(**rows), NONE
    made["log softmax"] = Softmax(**rows, logarithm=True), NONE
    made["norm"] = (
        Normalize(**rows, epsilon=1e-5, scale=rng.normal(size=37), offset=rng.normal(size=37)),
        NONE,
    )
    image = (value("x", 2, 66, 3, 7),)
    made["sum"] = (
        Reduce(output=value("y", 2, 66, 1, 1), inputs=image, over="hw", operation=Operation.ADD),
        NONE,
    )
    made["max"] = (
        Reduce(output=value("y", 2, 66, 1, 7), inputs=image, over="h", operation=Operation.MAXIMUM),
        NONE,
    )
    picked = Function(
        output=value("y", *shape),
        inputs=(value("m", *shape), value("x", *shape), value("z", 1, 66, 1, 1)),
        name="where",
        record=lambda r, m, x, z: r.select(m, 0.5, x, z),
    )
    made["where"] = picked, NONE
    return made


@pytest.mark.slow
@pytest.mark.skipif(not vendor.LIBRARY, reason="GRAPHFLOW_BM1684_CMODEL names no library")
def test_layers_end_as_on_the_vendor_s_simulator() -> None:
    rng = np.random.default_rng(8)
    scenes, ours = [], []
    for name, (layer, margin) in layers(rng).items():
        bench = Bench(layer, margin=margin, room=16 << 10)
        given = [(3 * rng.normal(size=one.shape)).astype(np.float32) for one in layer.inputs]
        if name in ("rsqrt", "log"):
            given = [np.abs(one) + np.float32(0.01) for one in given]
        scene = bench.prepare(*given)
        scene.name = name
        assert bench.used <= LANE_WINDOW and bench.ddr_used <= DDR_WINDOW, name
        bench.finish()
        memory = bench.memory
        ours.append(gather(memory.local.data, memory.l2.data, memory.ddr.data))
        scenes.append(scene)
    told = {scene.name: worst(mine, theirs) for scene, mine, theirs in zip(scenes, ours, vendor.play(scenes))}
    assert all(one < 1e-6 for one in told.values()), told


def worst(ours: np.ndarray, theirs: np.ndarray) -> float:
    """By how much any word of the windows differs, relative to itself where it is larger than 1."""
    left, right = ours.view(np.float32), theirs.view(np.float32)
    with np.errstate(all="ignore"):
        same = (ours.view(np.uint32) == theirs.view(np.uint32)) | (np.isnan(left) & np.isnan(right))
        return float(np.max(np.where(same, 0, np.abs(left - right) / np.maximum(np.abs(right), 1))))
