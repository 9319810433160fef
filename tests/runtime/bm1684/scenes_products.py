"""Scenes of convolutions, pooling and products of matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.isa import Constant, Operand, Operation, Pads, Precision, Shape, Window
from tests.runtime.bm1684.scene import LANE, LANES, LOCAL_ADDRESS, Scene

F32, I8, I16 = Precision.FLOAT32, Precision.INT8, Precision.INT16
CLOSE = 3e-6
"""fp32 sums are added in an order of the chip's own."""

RESULT, WEIGHTS, BIAS = 16384, 8192, 24576


def at(lane: int, offset: int) -> int:
    return LOCAL_ADDRESS + lane * LANE + offset


def floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def small(rng: np.random.Generator, *shape: int, signed: bool = True) -> np.ndarray:
    return rng.integers(-128, 128, shape, np.int8) if signed else rng.integers(0, 256, shape, np.uint8)


def put_weights(scene: Scene, lane: int, weights: np.ndarray, unit: int, automatic: bool = False) -> Operand:
    """Weights (o, i, h, w): each output channel in its lane, input channels innermost in units."""
    outputs, inputs, h, w = weights.shape
    units = -(-inputs // unit)
    padded = np.zeros((outputs, units * unit, h, w), weights.dtype)
    padded[:, :inputs] = weights
    groups = -(-outputs // LANES)
    inner = Shape(1, h * w * units, w * units, units)
    strides = Shape(groups * h * w, h * w, w, 1) if automatic else inner
    for o, u, k, m in np.ndindex(outputs, units, h, w):
        slot, place = divmod(lane + o, LANES)
        index = u * strides.n + slot * strides.c + k * strides.h + m * strides.w
        data = padded[o, u * unit : (u + 1) * unit, k, m]
        scene.put(at(place, WEIGHTS + index * unit * weights.itemsize), data)
    precision = F32 if weights.dtype == np.float32 else I8
    signed = weights.dtype != np.uint8
    return Operand(at(lane, WEIGHTS), precision, signed, None if automatic else strides)


def put_vector(scene: Scene, lane: int, offset: int, values: np.ndarray) -> int:
    """One element a channel, without gaps."""
    return scene.tensor(lane, offset, values.reshape(1, -1, 1, 1), (9, 1, 1, 1))


def sizes(given: Shape, outputs: int, kernel: Window, step: Window, pads: Pads, **more: Window) -> Shape:
    """The shape of the result."""
    insert, dilation = more.get("insert", Window(0, 0)), more.get("dilation", Window())
    made = []
    for axis, (low, high) in enumerate(((pads.top, pads.bottom), (pads.left, pads.right))):
        size = (given[2 + axis] - 1) * (insert[axis] + 1) + 1 + low + high
        made.append((size - (kernel[axis] - 1) * dilation[axis] - 1) // step[axis] + 1)
    return Shape(given.n, outputs, *made)


def convolutions(rng: np.random.Generator) -> Iterator[Scene]:
    one, three = Window(), Window(3, 3)
    cases: list[tuple[str, int, int, Shape, int, Window, Window, Pads, dict[str, Any]]] = [
        ("3x3 padded", 0, 0, Shape(2, 20, 6, 7), 70, three, one, Pads(1, 1, 1, 1), {}),
        ("steps", 0, 0, Shape(1, 19, 9, 8), 66, three, Window(2, 1), Pads(1, 1, 2, 2), {}),
        ("5x5 of 3 channels", 0, 0, Shape(1, 3, 11, 11), 8, Window(5, 5), Window(2, 2), Pads(2, 2, 2, 2), {}),
        ("1x1", 0, 0, Shape(2, 70, 5, 5), 130, one, one, Pads(), {}),
        ("dilated", 0, 0, Shape(1, 9, 9, 9), 10, three, one, Pads(2, 2, 2, 2), {"dilation": Window(2, 2)}),
        ("transposed", 0, 0, Shape(1, 8, 4, 5), 6, three, one, Pads(2, 2, 2, 2), {"insert": Window(1, 1)}),
        ("rotated", 0, 0, Shape(1, 8, 5, 5), 6, three, one, Pads(1, 1, 1, 1), {"rotate_kernel": True}),
        ("accumulated", 0, 0, Shape(1, 8, 5, 5), 66, three, one, Pads(1, 1, 1, 1), {"accumulate": True}),
        ("other lanes", 7, 30, Shape(1, 12, 5, 5), 40, three, one, Pads(1, 1, 1, 1), {}),
        ("wrapped lanes", 60, 50, Shape(1, 12, 5, 5), 40, three, one, Pads(1, 1, 1, 1), {}),
        ("automatic order", 0, 0, Shape(1, 11, 5, 5), 70, three, one, Pads(1, 1, 1, 1), {"automatic": True}),
    ]
    for name, input_lane, lane, given, outputs, kernel, step, pads, more in cases:
        options = dict(more)
        automatic = options.pop("automatic", False)
        scene = Scene(f"fp32 {name}", CLOSE)
        source = scene.tensor(input_lane, 0, floats(rng, *given))
        weights = put_weights(scene, lane, floats(rng, outputs, given.c, *kernel), 2, automatic)
        bias = put_vector(scene, lane, BIAS, floats(rng, outputs))
        shapes = {name: value for name, value in options.items() if isinstance(value, Window)}
        shape = sizes(given, outputs, kernel, step, pads, **shapes)
        result = at(lane, RESULT)
        if options.get("accumulate"):
            result = scene.tensor(lane, RESULT, floats(rng, *shape))
        yield scene.run(
            isa.Convolution(
                result=Operand(result),
                input=Operand(source),
                weights=weights,
                bias=None if name == "1x1" else Operand(bias),
                result_shape=shape,
                input_shape=given,
                kernel=kernel,
                step=step,
                pads=pads,
                **options,
            )
        )
    yield _strided_input(rng)


def _strided_input(rng: np.random.Generator) -> Scene:
    """Every second row and column of a tensor."""
    scene, given = Scene("fp32 strided input", CLOSE), Shape(1, 6, 4, 4)
    strides = (64, 64, 16, 2)
    source = scene.tensor(0, 0, floats(rng, *given), strides)
    weights = put_weights(scene, 0, floats(rng, 5, 6, 1, 1), 2)
    return scene.run(
        isa.Convolution(
            result=Operand(at(0, RESULT)),
            input=Operand(source, strides=Shape(*strides)),
            weights=weights,
            result_shape=Shape(1, 5, 4, 4),
            input_shape=given,
        )
    )


def integer_convolutions(rng: np.random.Generator) -> Iterator[Scene]:
    one, three = Window(), Window(3, 3)
    cases = [
        ("3x3", Shape(4, 20, 6, 5), 70, three, one, Pads(1, 1, 1, 1), True, True, False, 8),
        ("1x1 of 6 items", Shape(6, 70, 3, 5), 66, one, one, Pads(), True, True, False, 6),
        ("steps", Shape(4, 6, 9, 8), 10, three, Window(2, 2), Pads(1, 0, 1, 1), False, True, True, 7),
        ("unsigned", Shape(4, 5, 5, 5), 10, three, one, Pads(1, 1, 1, 1), False, False, True, 10),
        ("not shifted", Shape(3, 4, 4, 4), 3, one, one, Pads(), True, True, False, 0),
    ]
    for name, given, outputs, kernel, step, pads, signed, weights_signed, relu, shift in cases:
        scene = Scene(f"int8 {name}")
        source = scene.tensor(0, 0, small(rng, *given, signed=signed), pack=4)
        weights = put_weights(scene, 0, small(rng, outputs, given.c, *kernel, signed=weights_signed), 4)
        bias = put_vector(scene, 0, BIAS, rng.integers(-3000, 3000, outputs, np.int16))
        yield scene.run(
            isa.Convolution(
                result=Operand(at(0, RESULT), I8),
                input=Operand(source, I8, signed),
                weights=weights,
                bias=Operand(bias, I16),
                result_shape=sizes(given, outputs, kernel, step, pads),
                input_shape=given,
                kernel=kernel,
                step=step,
                pads=pads,
                relu=relu,
                right_shift=shift,
                others=(("stride_code2", 1),),
            )
        )


def depthwise(rng: np.random.Generator) -> Iterator[Scene]:
    three, one = Window(3, 3), Window()
    cases = [
        ("padded", 0, Shape(2, 70, 6, 7), three, one, Pads(1, 1, 1, 1), False),
        ("steps", 5, Shape(1, 20, 9, 8), Window(3, 5), Window(2, 1), Pads(1, 1, 2, 2), False),
        ("int8", 0, Shape(4, 70, 6, 5), three, one, Pads(1, 1, 1, 1), True),
        ("int8 steps", 0, Shape(6, 9, 6, 6), three, Window(2, 2), Pads(1, 0, 1, 0), True),
    ]
    for name, lane, given, kernel, step, pads, whole in cases:
        scene = Scene(f"depthwise {name}", 0.0 if whole else CLOSE)
        data = small(rng, *given) if whole else floats(rng, *given)
        factors = small(rng, 1, given.c, *kernel) if whole else floats(rng, 1, given.c, *kernel)
        values = rng.integers(-3000, 3000, given.c, np.int16) if whole else floats(rng, given.c)
        source = scene.tensor(lane, 0, data, pack=4 if whole else 1)
        size = kernel.h * kernel.w
        weights = scene.tensor(lane, WEIGHTS, factors, (9 * size, size, kernel.w, 1))
        bias = put_vector(scene, lane, BIAS, values)
        precision = I8 if whole else F32
        yield scene.run(
            isa.DepthwiseConvolution(
                result=Operand(at(lane, RESULT), precision),
                input=Operand(source, precision),
                weights=Operand(weights, precision),
                bias=Operand(bias, I16 if whole else F32),
                result_shape=sizes(given, given.c, kernel, step, pads),
                input_shape=given,
                kernel=kernel,
                step=step,
                pads=pads,
                relu=False,
                right_shift=7 if whole else 0,
            )
        )


def winograd(rng: np.random.Generator) -> Iterator[Scene]:
    for name, given, outputs, whole in (
        ("fp32", Shape(2, 9, 6, 8), 66, False),
        ("fp32 odd", Shape(1, 6, 5, 7), 10, False),
        ("int8", Shape(4, 10, 6, 8), 66, True),
        ("int8 odd", Shape(6, 4, 5, 5), 10, True),
    ):
        scene = Scene(f"winograd {name}", 0.0 if whole else CLOSE)
        unit, precision = (4, I8) if whole else (1, F32)
        source = scene.tensor(0, 0, small(rng, *given) if whole else floats(rng, *given), pack=unit)
        weights = small(rng, outputs, given.c, 16) if whole else floats(rng, outputs, given.c, 16)
        groups = -(-outputs // LANES)
        for o, i in np.ndindex(outputs, given.c):
            slot, lane = divmod(o, LANES)
            for k in range(16):
                index = (((i // unit) * groups + slot) * 16 + k) * unit + i % unit
                scene.put(at(lane, WEIGHTS + index * weights.itemsize), weights[o, i, k])
            # What fills up the last unit is not used, but lies in memory.
            for k, extra in np.ndindex(16, -given.c % unit):
                index = ((given.c // unit * groups + slot) * 16 + k) * unit + given.c % unit + extra
                scene.put(at(lane, WEIGHTS + index * weights.itemsize), np.int8(0))
        values = rng.integers(-3000, 3000, outputs, np.int16) if whole else floats(rng, outputs)
        bias = put_vector(scene, 0, BIAS, values)
        yield scene.run(
            isa.WinogradConvolution(
                result=Operand(at(0, RESULT), precision),
                input=Operand(source, precision),
                weights=Operand(at(0, WEIGHTS), precision),
                bias=Operand(bias, I16 if whole else F32),
                result_shape=Shape(given.n, outputs, given.h, given.w),
                input_shape=given,
                pads=Pads(1, 1, 1, 1),
                relu=False,
                right_shift=9 if whole else 0,
                others=(("stride_code2", 1),) if whole else (),
            )
        )
    yield _strided_winograd(rng)


def _strided_winograd(rng: np.random.Generator) -> Scene:
    """Some rows and columns of a larger tensor."""
    scene, given = Scene("winograd fp32 strided input", CLOSE), Shape(2, 6, 5, 7)
    strides = Shape(480, 300, 20, 1)
    source = scene.tensor(0, 0, floats(rng, *given), strides)
    for i, channel in enumerate(floats(rng, 6, 5, 16)):
        for o, values in enumerate(channel):
            scene.put(at(o, WEIGHTS + i * 64), values)
    return scene.run(
        isa.WinogradConvolution(
            result=Operand(at(0, RESULT)),
            input=Operand(source, strides=strides),
            weights=Operand(at(0, WEIGHTS)),
            result_shape=Shape(2, 5, 5, 6),
            input_shape=given,
            pads=Pads(1, 1, 1, 0),
            relu=False,
        )
    )


def pooling(rng: np.random.Generator) -> Iterator[Scene]:
    given = Shape(4, 70, 7, 6)
    for whole, signed in ((False, True), (True, True), (True, False)):
        scene = Scene(f"maximum {'int8' if whole else 'fp32'} {signed}")
        data = small(rng, *given, signed=signed) if whole else floats(rng, *given)
        source = scene.tensor(0, 0, data, pack=4 if whole else 1)
        precision = I8 if whole else F32
        kernel, step, pads = Window(3, 3), Window(2, 2), Pads(1, 1, 1, 0)
        yield scene.run(
            isa.MaximumPool(
                result=Operand(at(0, RESULT), precision),
                input=Operand(source, precision, signed),
                result_shape=sizes(given, given.c, kernel, step, pads),
                input_shape=given,
                kernel=kernel,
                step=step,
                pads=pads,
            )
        )
    for kernel in (Window(3, 3), Window(7, 6), Window(1, 5)):
        scene = Scene(f"average fp32 {tuple(kernel)}", CLOSE)
        source = scene.tensor(3, 0, floats(rng, *given))
        pads = Pads(1, 1, 1, 1) if kernel.h == 3 else Pads()
        yield scene.run(
            isa.AveragePool(
                result=Operand(at(3, RESULT)),
                input=Operand(source),
                factor=Constant.of(1 / (kernel.h * kernel.w)),
                result_shape=sizes(given, given.c, kernel, Window(2, 1), pads),
                input_shape=given,
                kernel=kernel,
                step=Window(2, 1),
                pads=pads,
            )
        )
    for kernel in (Window(1, 1), Window(3, 3), Window(7, 6), Window(15, 15), Window(5, 1)):
        for signed in (True, False):
            scene, shape = Scene(f"average int8 {tuple(kernel)} {signed}"), Shape(4, 5, 15, 16)
            source = scene.tensor(0, 0, small(rng, *shape, signed=signed), pack=4)
            yield scene.run(
                isa.AveragePool(
                    result=Operand(at(0, RESULT), I8),
                    input=Operand(source, I8, signed),
                    factor=Constant(0, I8),
                    result_shape=sizes(shape, 5, kernel, Window(1, 1), Pads()),
                    input_shape=shape,
                    kernel=kernel,
                    relu=not signed,
                    right_shift=7,
                    others=(("precision2", 3), ("signed1", 0)),
                )
            )


def matrices(rng: np.random.Generator) -> Iterator[Scene]:
    for name, rows, inner, columns, transposed, biased, accumulated in (
        ("fp32", 5, 20, 48, False, True, False),
        ("fp32 accumulated", 4, 19, 160, False, False, True),
        ("fp32 transposed", 6, 11, 32, True, False, False),
    ):
        scene = Scene(f"product {name}", CLOSE)
        yield _product(scene, rng, (rows, inner, columns), transposed, biased, accumulated, F32, F32)
    for name, precision, biased, accumulated, relu in (
        ("int8", I8, True, False, False),
        ("unsigned int8", I8, True, False, True),
        ("int16", I16, False, False, False),
        ("int16 accumulated", I16, False, True, False),
    ):
        scene = Scene(f"product {name}")
        yield _product(scene, rng, (3, 20, 96), False, biased, accumulated, I8, precision, relu)
    for operation in (Operation.ADD, Operation.MULTIPLY, Operation.SUBTRACT, Operation.MAXIMUM):
        scene = Scene(f"outer {operation.name}")
        left = put_matrix(scene, 0, floats(rng, 1, 11), 4)
        right = put_matrix(scene, 4096, floats(rng, 1, 40), 8)
        yield scene.run(
            isa.OuterCombine(
                operation=operation,
                result=Operand(at(0, RESULT)),
                left=Operand(left),
                right=Operand(right),
                result_shape=Shape(11, 5, 1, 8),
                left_shape=Shape(1, 3, 1, 4),
                left_last_width=3,
            )
        )


def put_matrix(scene: Scene, offset: int, matrix: np.ndarray, width: int) -> int:
    """A matrix whose columns lie in slices over c and w."""
    rows, columns = matrix.shape
    channels = -(-columns // width)
    whole = np.zeros((rows, channels * width), matrix.dtype)
    whole[:, :columns] = matrix
    return scene.tensor(0, offset, whole.reshape(rows, channels, 1, width))


def _product(
    scene: Scene,
    rng: np.random.Generator,
    size: tuple[int, int, int],
    transposed: bool,
    biased: bool,
    accumulated: bool,
    given: Precision,
    made: Precision,
    relu: bool = False,
) -> Scene:
    rows, inner, columns = size
    whole, width, slices = given is I8, 8, 16 if columns > 100 else 8
    left = small(rng, rows, inner) if whole else floats(rng, rows, inner)
    right = small(rng, inner, columns) if whole else floats(rng, inner, columns)
    stored = left.T if transposed else left
    bias = rng.integers(-3000, 3000, (1, columns), np.int16) if whole else floats(rng, 1, columns)
    old = rng.integers(-3000, 3000, (rows, columns), np.int16) if whole else floats(rng, rows, columns)
    places = [put_matrix(scene, 0, stored, width), put_matrix(scene, 4096, right, slices)]
    result = put_matrix(scene, RESULT, old, slices) if accumulated else at(0, RESULT)
    offset = put_matrix(scene, BIAS, bias, slices)
    channels = -(-stored.shape[1] // width)
    return scene.run(
        isa.MatrixMultiply(
            result=Operand(result, made),
            left=Operand(places[0], given),
            right=Operand(places[1], given),
            bias=Operand(offset, I16 if whole else F32) if biased else None,
            result_shape=Shape(1, columns // slices, 1, slices),
            left_shape=Shape(stored.shape[0], channels, 1, width),
            left_last_width=stored.shape[1] - (channels - 1) * width,
            left_transposed=transposed,
            accumulate=accumulated,
            relu=relu,
            left_shift=1 if accumulated and whole else 0,
            right_shift=(7 if made is I8 else 2) if whole else 0,
        )
    )


FAMILIES = {
    "convolutions": convolutions,
    "integer_convolutions": integer_convolutions,
    "depthwise": depthwise,
    "winograd": winograd,
    "pooling": pooling,
    "products": matrices,
}
