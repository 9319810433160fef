"""Scenes of the kinds that work element by element."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.isa import Constant, Operand, Operation, Precision, Shape
from tests.runtime.bm1684.scene import LANE, LOCAL_ADDRESS, Scene

I8, I16, I32 = Precision.INT8, Precision.INT16, Precision.INT32
AWKWARD = np.array(
    [0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1.2e-38, 3e38, -3e38, 0.5, 1e-30, 2.5, -2.5],
    np.float32,
)


def at(lane: int, offset: int) -> int:
    return LOCAL_ADDRESS + lane * LANE + offset


def floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Normal numbers, with every pair of awkward ones among the first."""
    made = (rng.normal(size=shape) * np.exp(rng.normal(size=shape) * 3)).astype(np.float32)
    size = min(made.size, 256)
    made.reshape(-1)[:size] = np.repeat(AWKWARD, 16)[:size]
    return made


def partners(rng: np.random.Generator, *shape: int) -> np.ndarray:
    made = floats(rng, *shape)
    size = min(made.size, 256)
    made.reshape(-1)[:size] = np.tile(AWKWARD, 16)[:size]
    return made


def arithmetic(rng: np.random.Generator) -> Iterator[Scene]:
    shape = Shape(2, 70, 3, 5)
    for operation in (0, 1, 2, 3, 4, 5, 12):
        # Only the sign of NaN differs after a division.
        scene = Scene(f"float {Operation(operation).name}", 1e-45 if operation == 12 else 0.0)
        left, right = scene.tensor(2, 0, floats(rng, *shape)), scene.tensor(2, 2048, partners(rng, *shape))
        result = scene.tensor(2, 4096, floats(rng, *shape)[::-1])
        yield scene.run(
            isa.Arithmetic(
                operation=Operation(operation),
                result=Operand(result),
                left=Operand(left),
                right=Operand(right),
                shape=shape,
            )
        )
    yield _masked(rng)
    yield _broadcast(rng)
    yield _strided(rng)
    for operation in (7, 8, 9, 6):
        for arithmetic in (False, True) if operation == 6 else (False,):
            scene = Scene(f"int32 {Operation(operation).name} {arithmetic}")
            words = rng.integers(-(2**31), 2**31, shape, np.int32)
            amounts = rng.integers(-31, 32, shape, np.int32) if operation == 6 else words[::-1] // 3
            left, right = scene.tensor(0, 0, words), scene.tensor(0, 2048, amounts)
            yield scene.run(
                isa.Arithmetic(
                    operation=Operation(operation),
                    arithmetic_shift=arithmetic,
                    result=Operand(at(0, 4096), I32),
                    left=Operand(left, I32),
                    right=Operand(right, I32),
                    shape=shape,
                )
            )


def _masked(rng: np.random.Generator) -> Scene:
    """Bits of words by constants."""
    scene, shape = Scene("int32 by constants"), Shape(2, 70, 3, 5)
    left = scene.tensor(0, 0, rng.integers(-(2**31), 2**31, shape, np.int32))
    common = {"left": Operand(left, I32), "shape": shape}
    return scene.run(
        isa.Arithmetic(
            operation=Operation.AND, result=Operand(at(0, 2048), I32), right=Constant(255, I32), **common
        ),
        isa.Arithmetic(
            operation=Operation.SHIFT,
            result=Operand(at(0, 4096), I32),
            right=Constant(2**32 - 3, I32),
            arithmetic_shift=True,
            **common,
        ),
    )


def _broadcast(rng: np.random.Generator) -> Scene:
    """A row, a column, a channel's value and a constant against whole tensors."""
    scene, shape = Scene("float broadcasting"), Shape(2, 70, 3, 5)
    left = scene.tensor(0, 0, floats(rng, *shape))
    row = scene.tensor(0, 2048, floats(rng, 1, 70, 1, 5), (32, 32, 5, 1))
    vector = scene.tensor(0, 3072, floats(rng, 1, 70, 1, 1), (2, 1, 1, 1))
    for index, strides in enumerate((Shape(0, 32, 0, 1), Shape(0, 32, 1, 0))):
        scene.run(
            isa.Arithmetic(
                operation=Operation.ADD,
                result=Operand(at(0, 4096 + 2048 * index)),
                left=Operand(left),
                right=Operand(row, strides=strides),
                shape=shape,
            )
        )
    scene.run(
        isa.Arithmetic(
            operation=Operation.MULTIPLY,
            result=Operand(at(0, 8192)),
            left=Operand(vector, strides=Shape(0, 1, 0, 0)),
            right=Operand(left),
            shape=shape,
        ),
        isa.Arithmetic(
            operation=Operation.MAXIMUM,
            result=Operand(at(0, 10240)),
            left=Operand(left),
            right=Constant.of(0.0),
            shape=shape,
        ),
        isa.Arithmetic(
            operation=Operation.SUBTRACT,
            result=Operand(at(0, 12288)),
            left=Constant.of(1.0),
            right=Operand(left),
            shape=shape,
        ),
    )
    return scene


def _strided(rng: np.random.Generator) -> Scene:
    """Operands that begin in other lanes and have gaps."""
    scene, shape = Scene("float strides and lanes"), Shape(2, 5, 3, 4)
    left = scene.tensor(3, 4, floats(rng, *shape), (64, 32, 10, 2))
    right = scene.tensor(9, 1024, floats(rng, *shape))
    return scene.run(
        isa.Arithmetic(
            operation=Operation.ADD,
            result=Operand(at(20, 2052), strides=Shape(100, 50, 13, 3)),
            left=Operand(left, strides=Shape(64, 32, 10, 2)),
            right=Operand(right),
            shape=shape,
        )
    )


def integers(rng: np.random.Generator) -> Iterator[Scene]:
    shape = Shape(6, 70, 3, 5)
    types = {(I8, True): np.int8, (I8, False): np.uint8, (I16, True): np.int16, (I16, False): np.uint16}
    cases = [
        (Operation.ADD, I8, True, I8, True, I8, 0),
        (Operation.ADD, I8, False, I8, False, I8, 1),
        (Operation.ADD, I8, False, I8, True, I8, 0),
        (Operation.SUBTRACT, I8, True, I8, False, I16, 0),
        (Operation.MULTIPLY, I8, True, I8, True, I8, 6),
        (Operation.MULTIPLY, I8, False, I8, False, I16, 1),
        (Operation.MAXIMUM, I16, True, I16, True, I16, 0),
        (Operation.MAXIMUM, I8, True, I8, True, I8, 0),
        (Operation.MINIMUM, I8, False, I8, False, I8, 0),
        (Operation.ADD, I16, True, I16, True, I8, 7),
        (Operation.SUBTRACT, I16, True, I16, True, I16, 0),
        (Operation.ADD, I16, False, I16, False, I16, 1),
    ]
    for number, (operation, p0, s0, p1, s1, p, shift) in enumerate(cases):
        scene = Scene(f"integer {number} {operation.name}")
        operands = []
        for offset, precision, signed in ((0, p0, s0), (4096, p1, s1)):
            dtype = np.dtype(types[precision, signed])
            limits = np.iinfo(dtype)
            data = rng.integers(limits.min, limits.max + 1, shape, dtype)
            place = scene.tensor(5, offset, data, pack=4 // dtype.itemsize)
            operands.append(Operand(place, precision, signed))
        yield scene.run(
            isa.Arithmetic(
                operation=operation,
                result=Operand(at(5, 8192), p),
                left=operands[0],
                right=operands[1],
                shape=shape,
                right_shift=shift,
            )
        )
    for signed in (True, False):
        yield _accumulate(rng, signed)
    yield _requantise(rng)
    yield _int8_constant(rng)


def _accumulate(rng: np.random.Generator, signed: bool) -> Scene:
    scene, shape = Scene(f"integer multiply accumulate {signed}"), Shape(4, 66, 2, 3)
    left = scene.tensor(0, 0, rng.integers(-128, 128, shape, np.int8), pack=4)
    right = scene.tensor(0, 1024, rng.integers(-128, 128, shape, np.int8), pack=4)
    result = scene.tensor(0, 2048, rng.integers(-(2**15), 2**15, shape, np.int16), pack=2)
    return scene.run(
        isa.Arithmetic(
            operation=Operation.MULTIPLY_ACCUMULATE,
            result=Operand(result, I16),
            left=Operand(left, I8, signed),
            right=Operand(right, I8, signed),
            accumulate_signed=signed,
            shape=shape,
            left_shift=1,
            right_shift=3,
        )
    )


def _int8_constant(rng: np.random.Generator) -> Scene:
    scene, shape = Scene("int8 by a constant"), Shape(5, 66, 2, 3)
    left = scene.tensor(0, 0, rng.integers(-128, 128, shape, np.int8), pack=4)
    common = {"left": Operand(left, I8), "shape": shape}
    return scene.run(
        isa.Arithmetic(
            operation=Operation.MULTIPLY,
            result=Operand(at(0, 2048), I16),
            right=Constant(0xFD, I8),
            **common,
        ),
        isa.Arithmetic(
            operation=Operation.MAXIMUM, result=Operand(at(0, 4096), I8), right=Constant(0, I8), **common
        ),
    )


def _requantise(rng: np.random.Generator) -> Scene:
    scene, shape = Scene("integer add of a constant"), Shape(3, 66, 2, 3)
    left = scene.tensor(0, 0, rng.integers(-(2**15), 2**15, shape, np.int16), pack=2)
    return scene.run(
        isa.Arithmetic(
            operation=Operation.ADD,
            result=Operand(at(0, 2048), I8),
            left=Operand(left, I16),
            right=Constant(0, I16),
            shape=shape,
            right_shift=8,
        )
    )


def copies(rng: np.random.Generator) -> Iterator[Scene]:
    scene, shape = Scene("copy between strides"), Shape(2, 70, 3, 5)
    source = scene.tensor(1, 0, floats(rng, *shape))
    yield scene.run(
        isa.Copy(
            result=Operand(at(7, 2048), strides=Shape(200, 90, 18, 3)), source=Operand(source), shape=shape
        )
    )
    scene = Scene("copy INT32")
    words = scene.tensor(1, 0, rng.integers(-(2**31), 2**31, shape, np.int32))
    result = Operand(at(7, 2048), I32, strides=Shape(200, 90, 18, 3))
    yield scene.run(
        isa.Copy(result=result, source=Operand(words, I32), shape=shape),
        isa.Copy(result=Operand(at(7, 8192)), source=Constant.of(2.5), shape=shape),
    )
    for operation in (Operation.SELECT_GREATER, Operation.SELECT_EQUAL):
        scene = Scene(f"choose {operation.name}")
        left, right = scene.tensor(0, 0, floats(rng, *shape)), scene.tensor(0, 2048, partners(rng, *shape))
        yield scene.run(
            isa.Choose(
                operation=operation,
                result=Operand(at(0, 4096)),
                left=Operand(left),
                right=Operand(right),
                value=Constant.of(2.5),
                shape=shape,
            )
        )
    for operation in (Operation.LARGER, Operation.SELECT, Operation.LARGER_AND_SELECT):
        scene = Scene(f"compare {operation.name}")
        places = [scene.tensor(0, 2048 * index, floats(rng, *shape)) for index in range(4)]
        places[1] = scene.tensor(0, 2048, partners(rng, *shape))
        yield scene.run(
            isa.Compare(
                operation=operation,
                larger=Operand(at(0, 8192)),
                chosen=at(0, 10240),
                left=Operand(places[0]),
                right=Operand(places[1]),
                if_greater=Operand(places[2]),
                otherwise=Operand(places[3]),
                shape=shape,
            ),
            isa.Compare(
                operation=operation,
                larger=Operand(at(0, 12288)),
                chosen=at(0, 14336),
                left=Operand(places[0]),
                right=Constant.of(0.25),
                if_greater=Constant.of(7.0),
                otherwise=Operand(places[3]),
                shape=shape,
            ),
        )


def scalars(rng: np.random.Generator) -> Iterator[Scene]:
    shape = Shape(2, 70, 3, 5)
    for operation in (Operation.MULTIPLY, Operation.ADD, Operation.SUBTRACT, Operation.DIVIDE):
        for accumulate in (False, True):
            scene = Scene(
                f"scalar {operation.name} {accumulate}", 1e-45 if operation is Operation.DIVIDE else 0.0
            )
            left, right = (
                scene.tensor(3, 0, floats(rng, *shape)),
                scene.tensor(3, 2048, partners(rng, *shape)),
            )
            result = scene.tensor(3, 4096, floats(rng, *shape)[::-1])
            second = scene.tensor(3, 6144, floats(rng, *shape)[::-1])
            common = {"operation": operation, "shape": shape, "accumulate": accumulate}
            yield scene.run(
                isa.ScalarArithmetic(
                    result=Operand(result), left=Operand(left), right=Operand(right), **common
                ),
                isa.ScalarArithmetic(
                    result=Operand(second), left=Operand(left), right=Constant.of(1.75), **common
                ),
            )


def functions(rng: np.random.Generator) -> Iterator[Scene]:
    shape = Shape(2, 70, 3, 5)
    for operation, precision in ((17, Precision.FLOAT32), (14, I32)):
        scene = Scene(f"function {Operation(operation).name}")
        source = scene.tensor(0, 0, floats(rng, *shape))
        yield scene.run(
            isa.SpecialFunction(
                operation=Operation(operation),
                result=Operand(at(0, 2048), precision),
                source=Operand(source),
                shape=shape,
            )
        )
    for table, terms in ((0x30_0C00, 12), (0x30_0D00, 30), (0x30_1700, 15)):
        scene = Scene(f"series {table:#x}")
        source = scene.tensor(0, 0, rng.uniform(-1, 1, shape).astype(np.float32))
        yield scene.run(
            isa.Series(
                result=Operand(at(0, 2048)), source=Operand(source), table=table, terms=terms, shape=shape
            )
        )
    scene = Scene("lookup by words and by bytes")
    words = scene.tensor(0, 0, rng.integers(-(2**31), 2**31, shape, np.int32))
    small = scene.tensor(0, 2048, rng.integers(-128, 128, shape, np.int8))
    yield scene.run(
        isa.TableLookup(
            result=Operand(at(0, 4096)), index=Operand(words), table=0x30_0400, blocks=8, shape=shape
        ),
        isa.TableLookup(
            result=Operand(at(0, 8192)), index=Operand(small, I8), table=0x30_1300, blocks=8, shape=shape
        ),
    )
    for operation in (Operation.MULTIPLY_ACCUMULATE, Operation.SQUARED_SUM, Operation.SQUARED_DIFFERENCE):
        for lane in (0, 6):
            scene = Scene(f"linear {operation.name} from lane {lane}")
            source = scene.tensor(lane, 0, floats(rng, *shape))
            scale = scene.tensor(lane, 2048, floats(rng, 1, 70, 1, 1), (2, 1, 1, 1))
            bias = scene.tensor(lane, 2304, partners(rng, 1, 70, 1, 1), (2, 1, 1, 1))
            yield scene.run(
                isa.Linear(
                    operation=operation,
                    result=Operand(at(lane, 4096)),
                    source=Operand(source),
                    bias=Operand(bias),
                    scale=Operand(scale),
                    shape=shape,
                ),
                isa.Linear(
                    operation=operation,
                    result=Operand(at(lane, 6144)),
                    source=Operand(source),
                    bias=Constant.of(0.5),
                    scale=Constant.of(-2.0),
                    shape=shape,
                ),
            )


FAMILIES = {
    "arithmetic": arithmetic,
    "integers": integers,
    "copies": copies,
    "scalars": scalars,
    "functions": functions,
}
