"""Convolutional blocks in NCHW, as PyTorch users bring them along; weights are constants of both sides.

The side in JAX gives XLA the convolutions in NCHW and the batch norms behind them, as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from kernels.kernel import Kernel, Make, both, normal, standard


def _weight(seed: int, filters: int, channels: int, size: int) -> np.ndarray:
    scale = np.float32(np.sqrt(2 / (channels * size * size)))
    return scale * np.random.default_rng(seed).standard_normal((filters, channels, size, size), np.float32)


def _norm(seed: int, channels: int) -> list[np.ndarray]:
    """Mean, variance, scale and offset."""
    variance = np.abs(standard(seed + 1, channels)) + np.float32(0.5)
    return [normal(seed, channels), variance, normal(seed + 2, channels) + 1, normal(seed + 3, channels)]


class _Layers:
    """Convolutions with a batch norm each; a kernel asks for their weights in order."""

    def __init__(self, nn: Any) -> None:
        self.nn = nn
        self.seed = 0

    def __call__(self, x: Any, filters: int, size: int, strides: int = 1, groups: int = 1) -> Any:
        self.seed += 10
        w = _weight(self.seed, filters, x.shape[1] // groups, size)
        y = self.nn.conv(x, w, strides=strides, padding=size // 2, groups=groups)
        return self.nn.batch_norm(y, *_norm(self.seed, filters))


def _block(
    name: str,
    shape: tuple[int, ...],
    write: Callable[[Any, _Layers, Any], Any],
    level: str = "O2",
) -> Kernel:
    """A kernel of one image; `write` takes nn, the layers and the image."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        return lambda x: write(nn, _Layers(nn), x)

    return Kernel(name, *both(written), [standard(0, *shape)], level)


def pointwise() -> Kernel:
    """A 1x1 convolution, batch norm and relu: a matrix product with the norm in its weights."""
    return _block("1x1 conv, norm, relu", (1, 128, 28, 28), lambda nn, layer, x: nn.relu(layer(x, 128, 1)))


def early() -> Kernel:
    """A 3x3 convolution with few channels and a large image."""
    return _block(
        "3x3 conv 64, 56x56, norm, relu", (1, 64, 56, 56), lambda nn, layer, x: nn.relu(layer(x, 64, 3))
    )


def late() -> Kernel:
    """A 3x3 convolution with many channels and a small image."""
    return _block(
        "3x3 conv 256, 14x14, norm, relu", (1, 256, 14, 14), lambda nn, layer, x: nn.relu(layer(x, 256, 3))
    )


def late_winograd() -> Kernel:
    """The same at O3, which admits Winograd's algorithm."""
    return late()._replace(name="3x3 conv 256, 14x14, at O3", level="O3")


def strided() -> Kernel:
    """A 3x3 convolution with strides 2, which halves the image."""
    return _block(
        "3x3 conv, strides 2, norm, relu", (1, 64, 56, 56), lambda nn, layer, x: nn.relu(layer(x, 128, 3, 2))
    )


def depthwise() -> Kernel:
    """A 3x3 convolution of each channel by itself."""
    return _block(
        "depthwise 3x3, norm, relu", (1, 192, 28, 28), lambda nn, layer, x: nn.relu(layer(x, 192, 3, 1, 192))
    )


def resnet_block() -> Kernel:
    """The bottleneck of a ResNet-50: 1x1, 3x3, 1x1, added to what came in."""

    def write(nn: Any, layer: _Layers, x: Any) -> Any:
        y = nn.relu(layer(nn.relu(layer(x, 64, 1)), 64, 3))
        return nn.relu(x + layer(y, 256, 1))

    return _block("ResNet bottleneck, 56x56", (1, 256, 56, 56), write)


def resnet_stage() -> Kernel:
    """Two bottlenecks of the third stage, batch 4, at O3."""

    def write(nn: Any, layer: _Layers, x: Any) -> Any:
        for _ in range(2):
            y = nn.relu(layer(nn.relu(layer(x, 256, 1)), 256, 3))
            x = nn.relu(x + layer(y, 1024, 1))
        return x

    return _block("2 bottlenecks, 14x14, batch 4", (4, 1024, 14, 14), write, "O3")


def mobilenet_block() -> Kernel:
    """The inverted residual of MobileNet-v2: 1x1, depthwise 3x3, 1x1, added to what came in."""

    def write(nn: Any, layer: _Layers, x: Any) -> Any:
        y = nn.relu(layer(nn.relu(layer(x, 192, 1)), 192, 3, 1, 192))
        return x + layer(y, 32, 1)

    return _block("MobileNet-v2 block, 28x28", (1, 32, 28, 28), write)


def unet_level() -> Kernel:
    """One level of a U-Net: two convolutions, down, two more, up again."""

    def write(nn: Any, layer: _Layers, x: Any) -> Any:
        kept = nn.relu(layer(nn.relu(layer(x, 32, 3)), 32, 3))
        y = nn.relu(layer(nn.relu(layer(nn.max_pool(kept, 2), 64, 3)), 64, 3))
        return nn.relu(layer(nn.upsample(y, 2), 32, 3)) + kept

    return _block("U-Net level, 64x64", (1, 16, 64, 64), write)


def digits() -> Kernel:
    """A small classifier of 8x8 digits, batch 64, from image to scores."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        dense = normal(1, 128, 1024), normal(2, 10, 128)

        def scores(x: Any) -> Any:
            layer = _Layers(nn)
            y = nn.max_pool(nn.relu(layer(nn.relu(layer(x, 32, 3)), 64, 3)), 2)
            y = nn.relu(m.matmul(m.reshape(y, (64, 1024)), dense[0].T))
            return m.matmul(y, dense[1].T)

        return scores

    return Kernel("digits CNN, batch 64", *both(written), [standard(0, 64, 1, 8, 8)])


def convolution_gradients() -> Kernel:
    """Training: a 3x3 convolution in NCHW with its gradients; the layout is XLA's own."""

    def written(m: Any, nn: Any) -> Callable[..., Any]:
        return lambda x, w: m.mean(m.square(nn.conv(x, w, padding=1)))

    arrays = [standard(0, 8, 16, 32, 32), _weight(1, 32, 16, 3)]
    return Kernel("3x3 conv, forward and backward", *both(written), arrays, gradient=True)


KERNELS: tuple[Make, ...] = (
    pointwise,
    early,
    late,
    late_winograd,
    strided,
    depthwise,
    resnet_block,
    resnet_stage,
    mobilenet_block,
    unet_level,
    digits,
    convolution_gradients,
)
"""What makes each kernel."""
