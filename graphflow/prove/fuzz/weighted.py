"""Convolutions and products with weights in random graphs, of every geometry, and what follows them.

Weights are constants mostly, so that they are folded into, laid out and cut into panels, and sizes are large
enough for that; a bias, a sum and bounds come next, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.ir.node import Tensor
from graphflow.nn.convolution import conv_transpose
from graphflow.nn.normalization import batch_norm, group_norm, instance_norm
from graphflow.nn.resize import resize
from graphflow.nn.unpooling import max_pool_with_indices, max_unpool
from graphflow.ops.branching import cond
from graphflow.ops.declare import constant
from graphflow.ops.looping import scan
from graphflow.ops.statistics import clip
from graphflow.optimizer.rules.packing import LEAST_ELEMENTS
from graphflow.prove.fuzz.draw import Draw, call

Fed = Callable[..., Tensor]
"""A new float32 input of a shape; with `batched=True` its first axis may be symbolic."""


def weighted(draw: Draw, fed: Fed) -> list[Tensor]:
    """The results of one convolution, product, or loop around a product."""
    return [draw.one(_KINDS)(draw, fed)]


def _numbers(draw: Draw, *shape: int) -> np.ndarray:
    """Weights whose sums of products are moderate."""
    terms = max(1, int(np.prod(shape[1:])))
    return (draw.rng.standard_normal(shape) / np.sqrt(terms)).astype(np.float32)


def _weights(draw: Draw, fed: Fed, *shape: int) -> Tensor:
    """A constant; now and then an input, or a constant with its axes in another order."""
    chance = draw.rng.random()
    if chance < 0.15:
        return fed(shape)
    if chance < 0.3:
        order = tuple(map(int, draw.rng.permutation(len(shape))))
        back = tuple(map(int, np.argsort(order)))
        return _transposed(constant(_numbers(draw, *shape).transpose(order)), back)
    return constant(_numbers(draw, *shape))


def _transposed(x: Tensor, axes: Sequence[int]) -> Tensor:
    made: Tensor = call("permute_dims", x, axes=tuple(axes))
    return made


# Images


def _geometry(draw: Draw, axes: int) -> dict[str, Any]:
    padding: Any = draw.one(("same", "valid", 0, 1, 2, None))
    if padding is None:
        padding = tuple([(draw.number(0, 2), draw.number(0, 2)) for _ in range(axes)])
    return {
        "strides": tuple([draw.one((1, 1, 2, 3)) for _ in range(axes)]),
        "padding": padding,
        "dilation": tuple([draw.one((1, 1, 1, 2)) for _ in range(axes)]),
    }


def _image(draw: Draw, fed: Fed, channels: int, axes: int) -> Tensor:
    return fed((draw.number(1, 2), channels, *[draw.number(3, 9) for _ in range(axes)]), batched=True)


def _convolved(draw: Draw, fed: Fed) -> Tensor:
    axes = draw.one((1, 2, 2, 2, 2, 3))
    groups, channels, outputs = draw.one(_GROUPS)(draw)
    kernel = [draw.one((1, 1, 2, 3, 3, 5)) for _ in range(axes)]
    x = _image(draw, fed, channels, axes)
    w = _weights(draw, fed, outputs, channels // groups, *kernel)
    y = call("conv", x, w, groups=groups, **_geometry(draw, axes))
    return _followed(draw, fed, y, 1, again=_of_channels)


_GROUPS: tuple[Callable[[Draw], tuple[int, int, int]], ...] = (
    lambda draw: (1, draw.number(1, 20), draw.number(1, 40)),
    lambda draw: (1, draw.number(1, 4), draw.one((16, 17, 33, 64))),
    lambda draw: (count := draw.number(2, 36), count, count),
    lambda draw: (count := draw.number(2, 4), count * draw.number(1, 6), count * draw.number(1, 20)),
    lambda draw: (count := draw.number(2, 8), count, 2 * count),
)


def _of_channels(draw: Draw, fed: Fed, y: Tensor) -> Tensor:
    """Another convolution of a result, of its own shape, so that the two can be added."""
    channels = int(y.shape[1])
    kernel = [draw.one((1, 3)) for _ in y.shape[2:]]
    made: Tensor = call("conv", y, _weights(draw, fed, channels, channels, *kernel), padding="same")
    return made


def _backwards(draw: Draw, fed: Fed) -> Tensor:
    axes = draw.number(1, 2)
    channels, outputs, groups = draw.number(1, 6), draw.number(1, 20), 1
    if draw.chance(0.3):
        groups = channels
    x = _image(draw, fed, channels, axes)
    w = _weights(draw, fed, channels, outputs, *[draw.number(1, 3) for _ in range(axes)])
    strides = tuple([draw.number(1, 2) for _ in range(axes)])
    y = conv_transpose(x, w, strides=strides, padding=draw.one((0, 0, "same")), groups=groups)
    return _followed(draw, fed, y, 1, again=_of_channels)


def _normalized(draw: Draw, fed: Fed) -> Tensor:
    """A convolution with a normalization, as batch norm is folded into weights."""
    channels, outputs = draw.number(1, 8), 4 * draw.number(1, 5)
    x = _image(draw, fed, channels, 2)
    w = _weights(draw, fed, outputs, channels, draw.one((1, 3)), 3)
    x = call("conv", x, w, **_geometry(draw, 2))
    vector = [constant(_numbers(draw, outputs)) for _ in range(3)]
    variance = constant(draw.rng.uniform(0.5, 2.0, outputs).astype(np.float32))
    kind = draw.number(0, 2)
    if kind == 0:
        x = batch_norm(x, vector[0], variance, vector[1], vector[2])
    elif kind == 1:
        x = group_norm(x, draw.one((1, 2, 4)), vector[0], vector[1])
    else:
        x = instance_norm(x, vector[0], vector[1])
    return _followed(draw, fed, x, 1, again=_of_channels)


def _pooled(draw: Draw, fed: Fed) -> Tensor:
    axes = draw.number(1, 2)
    x = _image(draw, fed, draw.number(1, 6), axes)
    if draw.chance(0.6):
        x = _of_channels(draw, fed, x)
    window = tuple([draw.number(1, 3) for _ in range(axes)])
    strides = tuple([draw.number(1, 3) for _ in range(axes)])
    kind = draw.number(0, 4)
    if kind == 0:
        mode = draw.one(("nearest", "linear", "cubic"))
        coordinates = draw.one(("half_pixel", "align_corners", "asymmetric"))
        sizes = tuple([draw.number(1, 10) for _ in range(axes)])
        made: Tensor = resize(
            x, sizes=sizes, mode=mode, coordinates=coordinates, axes=tuple(range(2, 2 + axes))
        )
        return made
    if kind == 1:
        values, places = max_pool_with_indices(x, window, strides=window)
        made = max_unpool(values, places, window, strides=window)
        return made
    given = {"strides": strides, "padding": draw.one((0, 0, "same")), "ceil_mode": draw.chance(0.3)}
    if kind == 2:
        given["count_include_pad"] = draw.chance(0.5)
        made = call("avg_pool", x, window=window, **given)
    else:
        made = call("max_pool", x, window=window, **given)
    return made


# Products


def _matrix(draw: Draw, fed: Fed) -> Tensor:
    """A matrix that is large enough for a kernel, or nearly."""
    rows = draw.one((1, 3, 16, 31, 32, 40, 65))
    columns = -(-LEAST_ELEMENTS // rows) if draw.chance(0.7) else draw.one((1, 15, 16, 17, 48, 100))
    if draw.chance(0.3):
        rows, columns = columns, rows
    return _weights(draw, fed, rows, min(columns, 400))


def _multiplied(draw: Draw, fed: Fed) -> Tensor:
    w = _matrix(draw, fed)
    lead = draw.one(((), (1,), (2,), (5,), (9,), (2, 3), (1, 1), (2, 1, 3)))
    x = fed((*lead, int(w.shape[0])), batched=bool(lead))
    if draw.chance(0.2) and x.ndim == 2:
        x = _transposed(_transposed(x, (1, 0)), (1, 0))
    y = call("matmul", x, w)
    if draw.chance(0.3):
        other = call("matmul", x, _weights(draw, fed, *[int(size) for size in w.shape]))
        y = call(draw.one(("add", "multiply", "concat")), y, other)
    return _followed(draw, fed, y, -1, again=_of_rows)


def _of_rows(draw: Draw, fed: Fed, y: Tensor) -> Tensor:
    size = int(y.shape[-1])
    made: Tensor = call("matmul", y, _weights(draw, fed, size, size))
    return made


def _looped(draw: Draw, fed: Fed) -> Tensor:
    """A loop or a choice whose body multiplies by weights from outside."""
    size = draw.one((32, 33, 40))
    w, v = _weights(draw, fed, size, size), _weights(draw, fed, size, size)
    xs = fed((draw.number(1, 3), draw.number(1, 3), size))
    rows = call("sum", xs, axis=0)
    if draw.chance(0.3):
        total = call("sum", call("sin", xs))
        made = cond(
            call("greater", total, 0.1234),
            lambda: _followed(draw, fed, call("matmul", rows, w), -1),
            lambda: call("add", call("matmul", rows, v), rows),
        )
        return made if isinstance(made, Tensor) else made[0]
    bias = constant(_numbers(draw, size))

    def step(h: Tensor, row: Tensor) -> Any:
        new = call("add", call("matmul", h, w), call("matmul", row, v))
        new = call(draw.one(("tanh", "relu", "sigmoid")), call("add", new, bias))
        return new, call("matmul", new, v) if draw.chance(0.4) else new

    last, every = scan(step, rows, xs, reverse=draw.chance(0.4))
    return last if draw.chance(0.3) else every


# What follows


def _followed(
    draw: Draw,
    fed: Fed,
    y: Tensor,
    axis: int,
    again: Callable[[Draw, Fed, Tensor], Tensor] | None = None,
) -> Tensor:
    """Some of a bias, a sum, bounds and a cast of shape, in any order."""
    for _ in range(draw.number(0, 4)):
        y = _one_more(draw, fed, y, axis, again)
    return y


def _one_more(draw: Draw, fed: Fed, y: Tensor, axis: int, again: Any) -> Tensor:
    kind = draw.number(0, 8)
    made: Tensor
    if kind <= 1 and y.ndim:
        size = int(y.shape[axis]) if isinstance(y.shape[axis], int) else 1
        shape = (size, *[1] * (y.ndim - 2)) if axis == 1 else (size,)
        vector = constant(_numbers(draw, *shape)) if draw.chance(0.7) else fed(shape)
        made = call(draw.one(("add", "add", "multiply")), *((y, vector) if draw.chance(0.5) else (vector, y)))
    elif kind == 2:
        made = call("relu", y)
    elif kind == 3:
        limit = draw.one((0.0, -0.0, 0.5, -1.0, float("inf")))
        made = call(draw.one(("maximum", "minimum")), *((y, limit) if draw.chance(0.5) else (limit, y)))
    elif kind == 4:
        made = clip(y, *draw.one(((0.0, 6.0), (-1.0, 1.0), (0.5, None), (None, 0.25))))
    elif kind == 5:
        made = call("add", y, call(draw.one(("sin", "negative", "identity")), y))
    elif kind == 6 and again is not None:
        made = call("add", *((y, again(draw, fed, y)) if draw.chance(0.5) else (again(draw, fed, y), y)))
    elif kind == 7:
        made = call(draw.one(("silu", "hard_swish", "sigmoid", "tanh", "leaky_relu")), y)
    else:
        made = call("multiply", y, draw.one((2.0, -1.0, 0.5)))
    return made


_KINDS: tuple[Callable[[Draw, Fed], Tensor], ...] = (
    _convolved,
    _convolved,
    _convolved,
    _backwards,
    _normalized,
    _pooled,
    _multiplied,
    _multiplied,
    _looped,
)
