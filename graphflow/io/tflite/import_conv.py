"""Import of convolutions, poolings and products: images have the channels last there, and first here."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.errors import AttributeValueError, ShapeError
from graphflow.io.tflite.call import Call
from graphflow.io.tflite.reading import AGAIN
from graphflow.ir import dims
from graphflow.ir.node import Tensor
from graphflow.ops import elementwise, functions, linalg, standard
from graphflow.ops import shape as shape_ops

_PADDINGS = {0: "same", 1: "valid"}


def channels_first(x: Tensor) -> Tensor:
    """Images with the channels before the space.

    Raises:
        ShapeError: if there is no space.
    """
    if x.ndim < 3:
        raise ShapeError(f"images have at least 3 axes, not {x.ndim}", hint=AGAIN)
    return shape_ops.permute_dims(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def channels_last(x: Tensor) -> Tensor:
    """Images with the channels behind the space."""
    return shape_ops.permute_dims(x, (0, *range(2, x.ndim), 1))


def _image(call: Call, x: Tensor | None, place: int = 0) -> Tensor:
    """An input with the channels first: what the builder was given, or else permuted before it is numbers."""
    if x is not None:
        return channels_first(x)
    rank = call.rank(place)
    if rank < 3:
        raise ShapeError(f"images have at least 3 axes, not {rank}", hint=AGAIN)
    return call.permuted(place, (0, rank - 1, *range(1, rank - 1)))


def _made(call: Call, y: Tensor) -> Tensor:
    """A result with the channels last; what is quantized is permuted as whole numbers."""
    return channels_last(call.as_stored(call.activated(y)))


def _padding(call: Call) -> str:
    number = call.option("Padding")
    if number not in _PADDINGS:
        raise AttributeValueError(f"the padding {number} is unknown", hint=AGAIN)
    return _PADDINGS[number]


def _each(call: Call, name: str, default: int = 0, letters: str = "HW") -> tuple[int, ...]:
    """An option of each spatial axis; the letters of the axes stand in the place of `?`."""
    return tuple([int(call.option(name.replace("?", letter), default)) for letter in letters])


def _biased(y: Tensor, bias: Tensor | None) -> Tensor:
    """With a number added to each channel."""
    return y if bias is None else y + standard.reshape(bias, (-1, *(1,) * (y.ndim - 2)))


def _bias(call: Call, bias: Tensor | None) -> Tensor | None:
    """The bias as numbers; without a scale of its own it has that of the products."""
    if bias is None or not bias.dtype.is_integer:
        return bias
    x, w = call.quantization(0), call.quantization(1)
    if x is None or w is None:
        return bias
    return bias * (x.scale * w.scale)


# Convolutions


def _conv(axes: tuple[int, ...], letters: str) -> Any:
    """A convolution whose kernels get the order of axes that ours have."""

    def say(call: Call, x: None, w: None, bias: Tensor | None = None) -> Tensor:
        kernels, images = call.permuted(1, axes), _image(call, x)
        y = nn.conv(
            images,
            kernels,
            strides=_each(call, "Stride?", 1, letters),
            padding=_padding(call),
            dilation=_each(call, "Dilation?Factor", 1, letters),
            groups=_groups(images, kernels),
        )
        return _made(call, _biased(y, _bias(call, bias)))

    return say


def _groups(images: Tensor, kernels: Tensor) -> int:
    """How many groups of channels there are, since kernels have those of one."""
    whole, part = images.shape[1], kernels.shape[1]
    if not isinstance(whole, int) or not isinstance(part, int) or not part or whole % part:
        raise ShapeError(f"kernels for {part} channels do not fit images with {whole}", hint=AGAIN)
    return whole // part


def _transposed(axes: tuple[int, ...], letters: str) -> Any:
    """A transposed convolution, which is told the sizes of its result."""

    def say(call: Call, sizes: Tensor, w: None, x: None, bias: Tensor | None = None) -> Tensor:
        wanted, images = call.numbers(sizes), _image(call, x, 2)
        if len(wanted) != images.ndim:
            raise ShapeError(f"the sizes {wanted!r:.80} are not those of images", hint=AGAIN)
        y = nn.conv_transpose(
            images,
            call.permuted(1, axes),
            strides=_each(call, "Stride?", 1, letters),
            padding="same",
            output_shape=tuple(wanted[1:-1]),
        )
        return _made(call, _biased(y, bias))

    return say


# Poolings


def _pool(say: Any) -> Any:
    def pool(call: Call, x: Tensor | None) -> Tensor:
        y = say(
            _image(call, x),
            _each_window(call),
            strides=_each(call, "Stride?", 1),
            padding=_padding(call),
        )
        return _made(call, y)

    return pool


def _each_window(call: Call) -> tuple[int, int]:
    return int(call.option("FilterHeight", 1)), int(call.option("FilterWidth", 1))


def _l2_pool(x: Tensor, window: Any, **options: Any) -> Tensor:
    return functions.sqrt(nn.avg_pool(elementwise.square(x), window, **options))


def _local_response_norm(call: Call, x: None) -> Tensor:
    size = 2 * call.option("Radius") + 1
    options = {"alpha": call.option("Alpha") * size, "beta": call.option("Beta"), "bias": call.option("Bias")}
    return _made(call, nn.local_response_norm(_image(call, x), size, **options))


# Products


def _fully_connected(call: Call, x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
    """The matrix stays as it is in the file, of which it may be the most; products take it transposed."""
    if call.option("WeightsFormat"):
        raise AttributeValueError("shuffled weights are not supported", hint="convert the model again")
    matrix = linalg.matrix_transpose(w)
    if not call.option("KeepNumDims", False):
        x = standard.reshape(x, (_rows(x, matrix.shape[0]), matrix.shape[0]))
    y, bias = linalg.matmul(x, matrix), _bias(call, bias)
    return call.activated(y if bias is None else y + bias)


def _rows(x: Tensor, width: Any) -> Any:
    """How many rows of that width the elements are."""
    count = dims.product(x.shape)
    if isinstance(count, int) and isinstance(width, int):
        return count // width if width else 0
    return x.shape[0] if dims.product(x.shape[1:]) == width else -1


def _batch_matmul(call: Call, x: Tensor, y: Tensor) -> Tensor:
    left = linalg.matrix_transpose(x) if call.option("AdjX", False) else x
    right = linalg.matrix_transpose(y) if call.option("AdjY", False) else y
    return linalg.matmul(left, right)


TABLE: dict[str, Any] = {
    "AVERAGE_POOL_2D": _pool(nn.avg_pool),
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv((0, 3, 1, 2), "HW"),
    "CONV_3D": _conv((4, 3, 0, 1, 2), "DHW"),
    "CONV_3D_TRANSPOSE": _transposed((4, 3, 0, 1, 2), "DHW"),
    "DEPTHWISE_CONV_2D": _conv((3, 0, 1, 2), "HW"),
    "FULLY_CONNECTED": _fully_connected,
    "L2_POOL_2D": _pool(_l2_pool),
    "LOCAL_RESPONSE_NORMALIZATION": _local_response_norm,
    "TRANSPOSE_CONV": _transposed((3, 0, 1, 2), "HW"),
}

PERMUTED: dict[str, tuple[int, ...]] = {
    "AVERAGE_POOL_2D": (0,),
    "CONV_2D": (0, 1),
    "CONV_3D": (0, 1),
    "CONV_3D_TRANSPOSE": (1, 2),
    "DEPTHWISE_CONV_2D": (0, 1),
    "L2_POOL_2D": (0,),
    "LOCAL_RESPONSE_NORMALIZATION": (0,),
    "TRANSPOSE_CONV": (1, 2),
}
"""The inputs that are taken with `Call.permuted`."""

MOVES: dict[str, Any] = {"MAX_POOL_2D": _pool(nn.max_pool)}
