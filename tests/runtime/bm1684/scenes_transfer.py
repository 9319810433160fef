"""Scenes of the data mover."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.isa import Direction, Format, Shape
from tests.runtime.bm1684.scene import DDR_ADDRESS, L2_ADDRESS, LANE, LOCAL_ADDRESS, Scene

LOAD, STORE, SYSTEM, LOCAL = Direction
DTYPES = {Format.FLOAT32: np.float32, Format.INT16: np.int16, Format.INT8: np.int8, Format.UINT8: np.uint8}


def at(lane: int, offset: int) -> int:
    return LOCAL_ADDRESS + lane * LANE + offset


def numbers(rng: np.random.Generator, shape: tuple[int, ...], kind: Format = Format.FLOAT32) -> np.ndarray:
    if kind is Format.FLOAT32:
        return rng.normal(size=shape).astype(np.float32)
    limits = np.iinfo(DTYPES[kind])
    return rng.integers(limits.min, limits.max + 1, shape, DTYPES[kind])


def tensors(rng: np.random.Generator) -> Iterator[Scene]:
    shape = Shape(2, 70, 3, 5)
    for kind in (Format.FLOAT32, Format.INT16, Format.INT8):
        both = {"source_format": kind, "destination_format": kind}
        same = {**both, "source_shape": shape, "destination_shape": shape}
        scene = Scene(f"load {kind.name} by automatic strides")
        scene.put(DDR_ADDRESS, numbers(rng, shape, kind))
        yield scene.run(
            isa.TensorTransfer(direction=LOAD, source=DDR_ADDRESS, destination=at(5, 1024), **same)
        )
        scene = Scene(f"store {kind.name} by automatic strides")
        source = scene.tensor(5, 0, numbers(rng, shape, kind))
        yield scene.run(
            isa.TensorTransfer(direction=STORE, source=source, destination=DDR_ADDRESS + 256, **same)
        )
        scene = Scene(f"strided {kind.name} in all directions")
        scene.put(DDR_ADDRESS, numbers(rng, (3000,), kind))
        scene.put(L2_ADDRESS, numbers(rng, (3000,), kind))
        source = scene.tensor(3, 0, numbers(rng, shape, kind), (96, 48, 15, 2))
        given = {**same, "explicit_strides": True}
        wide, tight = Shape(1500, 20, 5, 1), Shape(100, 50, 16, 3)
        local = Shape(96, 48, 15, 2)
        yield scene.run(
            isa.TensorTransfer(
                direction=LOAD,
                source=DDR_ADDRESS,
                destination=at(60, 4096),
                source_strides=wide,
                destination_strides=tight,
                **given,
            ),
            isa.TensorTransfer(
                direction=LOAD,
                source=L2_ADDRESS,
                destination=at(0, 8192),
                source_strides=wide,
                destination_strides=tight,
                **given,
            ),
            isa.TensorTransfer(
                direction=STORE,
                source=source,
                destination=DDR_ADDRESS + 0x10000,
                source_strides=local,
                destination_strides=wide,
                **given,
            ),
            isa.TensorTransfer(
                direction=LOCAL,
                source=source,
                destination=at(1, 16384),
                source_strides=local,
                destination_strides=tight,
                **given,
            ),
            isa.TensorTransfer(
                direction=SYSTEM,
                source=DDR_ADDRESS,
                destination=DDR_ADDRESS + 0x20000,
                source_strides=wide,
                destination_strides=Shape(1050, 1, 350, 70),
                **given,
            ),
        )
        scene = Scene(f"linear {kind.name}")
        scene.put(DDR_ADDRESS + 64, numbers(rng, (777,), kind))
        yield scene.run(
            isa.LinearCopy(source=DDR_ADDRESS + 64, destination=DDR_ADDRESS + 0x4000, length=777, **both),
            isa.LinearCopy(source=DDR_ADDRESS + 64, destination=L2_ADDRESS, length=700, **both),
        )
    yield _broadcast(rng)
    yield _accumulate(rng)
    yield _reshape(rng)
    yield _fours(rng)


def _broadcast(rng: np.random.Generator) -> Scene:
    scene, shape = Scene("load with a c stride of 0"), Shape(1, 64, 4, 6)
    scene.put(DDR_ADDRESS, numbers(rng, (24,)))
    return scene.run(
        isa.TensorTransfer(
            direction=LOAD,
            source=DDR_ADDRESS,
            destination=at(0, 0),
            source_shape=shape,
            destination_shape=shape,
            explicit_strides=True,
            source_strides=Shape(24, 0, 6, 1),
            destination_strides=Shape(32, 32, 6, 1),
        )
    )


def _accumulate(rng: np.random.Generator) -> Scene:
    scene, shape = Scene("load and store that accumulate"), Shape(2, 70, 3, 5)
    scene.put(DDR_ADDRESS, numbers(rng, shape))
    scene.put(DDR_ADDRESS + 0x10000, numbers(rng, shape))
    local = scene.tensor(0, 0, numbers(rng, shape))
    common = {"source_shape": shape, "destination_shape": shape, "accumulate": True}
    return scene.run(
        isa.TensorTransfer(direction=LOAD, source=DDR_ADDRESS, destination=local, **common),
        isa.TensorTransfer(direction=STORE, source=local, destination=DDR_ADDRESS + 0x10000, **common),
    )


def _reshape(rng: np.random.Generator) -> Scene:
    scene, shape = Scene("reshape on the way"), Shape(1, 10, 1, 1)
    source = scene.tensor(0, 0, numbers(rng, shape))
    scene.put(DDR_ADDRESS, numbers(rng, (2, 6, 4, 5)))
    return scene.run(
        isa.TensorTransfer(
            direction=LOCAL,
            source=source,
            destination=at(0, 1024),
            source_shape=shape,
            destination_shape=Shape(1, 1, 1, 10),
        ),
        isa.TensorTransfer(
            direction=LOAD,
            source=DDR_ADDRESS,
            destination=at(0, 2048),
            source_shape=Shape(2, 6, 4, 5),
            destination_shape=Shape(1, 80, 1, 3),
        ),
    )


def _fours(rng: np.random.Generator) -> Scene:
    """int8 from one item a time to four items in a word, and back."""
    scene, shape = Scene("int8 1N to 4N and back"), Shape(4, 20, 3, 5)
    scene.put(DDR_ADDRESS, numbers(rng, shape, Format.INT8))
    one = {"source_format": Format.INT8, "destination_format": Format.INT8, "explicit_strides": True}
    one |= {"source_shape": Shape(1, 20, 3, 5), "destination_shape": Shape(1, 20, 3, 5)}
    for item in range(4):
        scene.run(
            isa.TensorTransfer(
                direction=LOAD,
                source=DDR_ADDRESS + 300 * item,
                destination=at(0, item),
                source_strides=Shape(300, 15, 5, 1),
                destination_strides=Shape(128, 128, 20, 4),
                **one,
            )
        )
    for item in range(4):
        scene.run(
            isa.TensorTransfer(
                direction=STORE,
                source=at(0, item),
                destination=DDR_ADDRESS + 0x8000 + 300 * item,
                source_strides=Shape(128, 128, 20, 4),
                destination_strides=Shape(300, 15, 5, 1),
                **one,
            )
        )
    return scene


def matrices(rng: np.random.Generator) -> Iterator[Scene]:
    for kind, explicit in ((Format.FLOAT32, False), (Format.FLOAT32, True), (Format.INT8, True)):
        for transposed in (False, True):
            scene = Scene(f"matrix {kind.name}, strides {explicit}, transposed {transposed}")
            scene.put(DDR_ADDRESS, numbers(rng, (20, 50), kind))
            rows, columns = (50, 20) if transposed else (20, 50)
            lanes = Shape(rows, -(-columns // 8), 1, 8)
            common = {"transposed": transposed, "explicit_strides": explicit}
            common |= {"source_format": kind, "destination_format": kind}
            local = Shape(256, 128, 8, 1) if explicit else Shape(0, 0, 0, 0)
            system = Shape(0, 0, 50, 1) if explicit else Shape(0, 0, 0, 0)
            matrix = Shape(1, 1, 20, 50)
            yield scene.run(
                isa.MatrixTransfer(
                    direction=LOAD,
                    source=DDR_ADDRESS,
                    destination=at(0, 0),
                    source_shape=matrix,
                    destination_shape=lanes,
                    source_strides=system,
                    destination_strides=local,
                    **common,
                ),
                isa.MatrixTransfer(
                    direction=STORE,
                    source=at(0, 0),
                    destination=DDR_ADDRESS + 0x8000,
                    source_shape=lanes,
                    destination_shape=matrix,
                    source_strides=local,
                    destination_strides=system,
                    **common,
                ),
            )


def transpositions(rng: np.random.Generator) -> Iterator[Scene]:
    shape, exchanged = Shape(6, 70, 3, 5), Shape(70, 6, 3, 5)
    scene = Scene("n and c by a load and a store")
    scene.put(DDR_ADDRESS, numbers(rng, shape))
    yield scene.run(
        isa.TransposeTransfer(
            direction=LOAD,
            source=DDR_ADDRESS,
            destination=at(0, 0),
            source_shape=shape,
            destination_shape=exchanged,
        ),
        isa.TransposeTransfer(
            direction=STORE,
            source=at(0, 0),
            destination=DDR_ADDRESS + 0x10000,
            source_shape=exchanged,
            destination_shape=shape,
        ),
    )
    for c, w, explicit in ((30, 50, False), (70, 66, True)):
        scene = Scene(f"c and w, strides {explicit}")
        strides = (128, 128, 1, 1) if explicit else None
        source = scene.tensor(0, 0, numbers(rng, (1, c, 1, w)), strides)
        yield scene.run(
            isa.TransposeTransfer(
                direction=LOCAL,
                source=source,
                destination=at(0, 4096),
                source_shape=Shape(1, c, 1, w),
                destination_shape=Shape(1, w, 1, c),
                explicit_strides=explicit,
                source_strides=Shape(128, 128, 1, 1) if explicit else Shape(0, 0, 0, 0),
                destination_strides=Shape(128, 128, 1, 1) if explicit else Shape(0, 0, 0, 0),
                function=5,
            )
        )


def fills(rng: np.random.Generator) -> Iterator[Scene]:
    scene, shape = Scene("fills"), Shape(2, 70, 3, 5)
    small = {"source_format": Format.INT8, "destination_format": Format.INT8}
    medium = {"source_format": Format.INT16, "destination_format": Format.INT16}
    yield scene.run(
        isa.Fill(destination=at(2, 0), destination_shape=shape, value=0x3FC0_0000),
        isa.Fill(
            destination=at(0, 4096),
            destination_shape=shape,
            value=0xC000_0000,
            explicit_strides=True,
            destination_strides=Shape(100, 50, 16, 3),
        ),
        isa.Fill(destination=at(0, 8192), destination_shape=shape, value=0x85, **small),
        isa.Fill(destination=at(0, 12288), destination_shape=shape, value=0x1234, **medium),
        isa.Fill(
            direction=SYSTEM,
            destination=DDR_ADDRESS,
            destination_shape=shape,
            value=0x4000_0000,
            explicit_strides=True,
            destination_strides=Shape(2000, 20, 6, 1),
        ),
    )


def conversions(rng: np.random.Generator) -> Iterator[Scene]:
    shape = Shape(2, 70, 3, 5)
    same = {"source_shape": shape, "destination_shape": shape}
    for kind in (Format.INT8, Format.UINT8):
        scene = Scene(f"{kind.name} to fp32")
        scene.put(DDR_ADDRESS, numbers(rng, shape, kind))
        yield scene.run(
            isa.ConvertTransfer(
                direction=LOAD,
                source=DDR_ADDRESS,
                destination=at(0, 0),
                source_format=kind,
                destination_format=Format.FLOAT32,
                **same,
            )
        )
    scene = Scene("fp32 to int8")
    data = (numbers(rng, shape) * 80).round(1)
    data.reshape(-1)[:8] = [0.5, 1.5, 2.5, -0.5, -1.5, 126.5, 127.5, -128.5]
    scene.put(DDR_ADDRESS, data)
    local = scene.tensor(0, 8192, data)
    yield scene.run(
        isa.ConvertTransfer(
            direction=LOAD,
            source=DDR_ADDRESS,
            destination=at(0, 0),
            source_format=Format.FLOAT32,
            destination_format=Format.INT8,
            **same,
        ),
        isa.ConvertTransfer(
            direction=STORE,
            source=local,
            destination=DDR_ADDRESS + 0x10000,
            source_format=Format.FLOAT32,
            destination_format=Format.INT8,
            **same,
        ),
    )


FAMILIES = {
    "tensors": tensors,
    "matrices": matrices,
    "transpositions": transpositions,
    "fills": fills,
    "conversions": conversions,
}
