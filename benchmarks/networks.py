"""Nine well-known networks as GraphFlow graphs, for benchmarks and, made small, for tests.

    python benchmarks/networks.py

prints what each consists of. Every function takes sizes as parameters and gives a `Network`: ResNet-50,
MobileNet-v2, a U-Net, YOLOv5s and a small CNN for digits, in NCHW; a BERT-base-sized encoder, a
GPT-2-small-sized decoder, a block of ViT-B/16, and an LSTM. All take three keywords more:

    weights: "variable" or "constant"; the values are the same, drawn from the seed.
    train: whether there are labels, a loss and an Update (Adam). Batch norms then use the statistics of
        the batch; else they have given ones, as networks ready for use have. YOLOv5s and the block of ViT
        are only run.
    seed: of the weights.

Sizes of batches may be names, which makes them unknown. Weights are drawn so that values neither vanish
nor grow over depth: comparisons of outputs mean something.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import graphflow as gf
from graphflow.ir.node import Tensor
from graphflow.ops.declare import Update


@dataclass(frozen=True)
class Network:
    """A graph with what goes in and comes out.

    Attributes:
        inputs: the placeholders that outputs need.
        outputs: what the network computes.
        labels: the placeholder of the labels; None without training, as are the next two.
        loss: a scalar.
        train: the Update that takes one step of Adam.
        limits: of integer placeholders, by name: one more than the largest value.
    """

    name: str
    graph: gf.Graph
    inputs: list[Tensor]
    outputs: list[Tensor]
    labels: Tensor | None = None
    loss: Tensor | None = None
    train: Update | None = None
    limits: dict[str, int] = field(default_factory=dict)

    def feeds(self, batch: int = 1, seed: int = 0) -> dict[Tensor, np.ndarray]:
        """Random arrays for all placeholders; `batch` stands for unknown sizes."""
        rng = np.random.default_rng(seed)
        wanted = [*self.inputs, *([] if self.labels is None else [self.labels])]
        return {tensor: self._array(tensor, batch, rng) for tensor in wanted}

    def _array(self, tensor: Tensor, batch: int, rng: np.random.Generator) -> np.ndarray:
        shape = [size if isinstance(size, int) else batch for size in tensor.shape]
        if tensor.dtype.is_floating:
            return rng.standard_normal(shape, np.float32)
        return rng.integers(0, self.limits[tensor.node.name], shape, np.int32)


class _Weights:
    """Draws weights and makes them constants or variables of the current graph."""

    def __init__(self, weights: str, train: bool, seed: int) -> None:
        if weights not in ("constant", "variable"):
            raise ValueError(f'weights is {weights!r}, neither "constant" nor "variable"')
        if train and weights == "constant":
            raise ValueError('constants cannot be trained: use weights="variable"')
        self.variable = weights == "variable"
        self.train = train
        self.rng = np.random.default_rng(seed)
        self.count = 0

    def make(self, name: str, values: np.ndarray) -> Tensor:
        self.count += 1
        name = f"{name}_{self.count}"
        values = values.astype(np.float32)
        return gf.variable(name, initializer=values) if self.variable else gf.constant(values, name=name)

    def normal(self, name: str, shape: Sequence[int], deviation: float) -> Tensor:
        return self.make(name, self.rng.standard_normal(shape, np.float32) * np.float32(deviation))

    def near(self, name: str, size: int, center: float) -> Tensor:
        """A vector of numbers near a center."""
        return self.make(name, center + 0.1 * self.rng.uniform(-1, 1, size))

    # Layers

    def conv(self, x: Tensor, filters: int, kernel: int, strides: int = 1, groups: int = 1) -> Tensor:
        inner = int(x.shape[1]) // groups
        w = self.normal("kernel", (filters, inner, kernel, kernel), math.sqrt(2 / (inner * kernel**2)))
        return gf.nn.conv(x, w, strides=strides, padding=kernel // 2, groups=groups)

    def batch_norm(self, x: Tensor, scale: float = 1.0) -> Tensor:
        size = int(x.shape[1])
        parameters = self.near("scale", size, scale), self.near("offset", size, 0.0)
        if self.train:
            return gf.nn.batch_norm(x, *gf.nn.moments(x, axis=(0, 2, 3)), *parameters)
        mean, variance = self.near("mean", size, 0.0), self.near("variance", size, 1.0)
        return gf.nn.batch_norm(x, mean, variance, *parameters)

    def dense(self, x: Tensor, units: int) -> Tensor:
        size = int(x.shape[-1])
        return gf.matmul(x, self.normal("kernel", (size, units), size**-0.5)) + self.near("bias", units, 0.0)

    def layer_norm(self, x: Tensor) -> Tensor:
        size = int(x.shape[-1])
        return gf.nn.layer_norm(x, self.near("scale", size, 1.0), self.near("offset", size, 0.0))

    def finish(
        self, name: str, graph: gf.Graph, x: Tensor, logits: Tensor, limits: dict[str, int], labels: Any
    ) -> Network:
        """The network, with labels of the given shape, their loss and its step if it is to be trained."""
        if not self.train:
            return Network(name, graph, [x], [logits], limits=limits)
        target = gf.placeholder("labels", labels, dtype=gf.int32)
        loss = gf.nn.cross_entropy(logits, target)
        limits = {**limits, "labels": int(logits.shape[-1])}
        step = gf.train.Adam(1e-3).minimize(loss)
        return Network(name, graph, [x], [logits], target, loss, step, limits)


# Convolutional networks


def resnet50(
    batch: Any = 1,
    classes: int = 1000,
    image: int = 224,
    width: int = 64,
    blocks: Sequence[int] = (3, 4, 6, 3),
    *,
    weights: str = "variable",
    train: bool = False,
    seed: int = 0,
) -> Network:
    """ResNet-50 with the stride in the 3x3 convolutions (He et al. 2015): 25.6 M weights, 8.2 GFLOP an image.

    `blocks=(1, 1, 1, 1), width=8, image=32` is a small one.
    """
    make = _Weights(weights, train, seed)
    with gf.Graph("resnet50") as graph:
        x = gf.placeholder("image", (batch, 3, image, image))
        h = gf.nn.relu(make.batch_norm(make.conv(x, width, 7, strides=2)))
        h = gf.nn.max_pool(h, 3, strides=2, padding=1)
        for stage, count in enumerate(blocks):
            for block in range(count):
                with gf.name_scope(f"stage{stage}_block{block}"):
                    h = _bottleneck(make, h, width * 2**stage, strides=2 if stage and not block else 1)
        logits = make.dense(gf.nn.global_avg_pool(h), classes)
        return make.finish("resnet50", graph, x, logits, {}, (batch,))


def _bottleneck(make: _Weights, x: Tensor, width: int, strides: int) -> Tensor:
    """A block of a ResNet: 1x1 to fewer channels, 3x3, 1x1 to four times as many, added to what came in."""
    h = gf.nn.relu(make.batch_norm(make.conv(x, width, 1)))
    h = gf.nn.relu(make.batch_norm(make.conv(h, width, 3, strides)))
    h = make.batch_norm(make.conv(h, 4 * width, 1), scale=0.3)
    if strides != 1 or x.shape[1] != 4 * width:
        x = make.batch_norm(make.conv(x, 4 * width, 1, strides))
    return gf.nn.relu(x + h)


# Factor of expansion, channels, number of blocks, strides of the first: table 2 of the paper.
_INVERTED = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


def mobilenet_v2(
    batch: Any = 1,
    classes: int = 1000,
    image: int = 224,
    width: float = 1.0,
    stages: Sequence[tuple[int, int, int, int]] = _INVERTED,
    *,
    weights: str = "variable",
    train: bool = False,
    seed: int = 0,
) -> Network:
    """MobileNet-v2 (Sandler et al. 2018): 3.5 M weights, 0.6 GFLOP an image, depthwise convolutions.

    `width=0.25, image=32, stages=((1, 16, 1, 1), (6, 24, 2, 2))` is a small one.
    """
    make = _Weights(weights, train, seed)

    def scaled(channels: int) -> int:
        return max(8, 8 * round(channels * width / 8))

    with gf.Graph("mobilenet_v2") as graph:
        x = gf.placeholder("image", (batch, 3, image, image))
        h = _relu6(make.batch_norm(make.conv(x, scaled(32), 3, strides=2)))
        for factor, channels, count, strides in stages:
            for block in range(count):
                h = _inverted(make, h, factor, scaled(channels), strides if block == 0 else 1)
        h = _relu6(make.batch_norm(make.conv(h, scaled(1280), 1)))
        logits = make.dense(gf.nn.global_avg_pool(h), classes)
        return make.finish("mobilenet_v2", graph, x, logits, {}, (batch,))


def _relu6(x: Tensor) -> Tensor:
    return gf.clip(x, 0.0, 6.0)


def _inverted(make: _Weights, x: Tensor, factor: int, channels: int, strides: int) -> Tensor:
    """A block of MobileNet-v2: 1x1 to more channels, 3x3 on each by itself, 1x1 to fewer."""
    inner = factor * int(x.shape[1])
    h = x if factor == 1 else _relu6(make.batch_norm(make.conv(x, inner, 1)))
    h = _relu6(make.batch_norm(make.conv(h, inner, 3, strides, groups=inner)))
    h = make.batch_norm(make.conv(h, channels, 1), scale=0.5)
    return x + h if strides == 1 and x.shape[1] == channels else h


def unet(
    batch: Any = 1,
    classes: int = 2,
    image: int = 128,
    width: int = 64,
    depth: int = 4,
    channels: int = 3,
    *,
    weights: str = "variable",
    train: bool = False,
    seed: int = 0,
) -> Network:
    """A U-Net (Ronneberger et al. 2015) with batch norm and nearest upsampling; a class for each pixel.

    `image=16, width=4, depth=2` is a small one. Logits are [batch, image, image, classes].
    """
    make = _Weights(weights, train, seed)

    def twice(x: Tensor, filters: int) -> Tensor:
        for _ in range(2):
            x = gf.nn.relu(make.batch_norm(make.conv(x, filters, 3)))
        return x

    with gf.Graph("unet") as graph:
        x = gf.placeholder("image", (batch, channels, image, image))
        h, kept = x, []
        for level in range(depth):
            h = twice(h, width * 2**level)
            kept.append(h)
            h = gf.nn.max_pool(h, 2)
        h = twice(h, width * 2**depth)
        for level in reversed(range(depth)):
            h = make.conv(gf.nn.upsample(h, 2), width * 2**level, 3)
            h = twice(gf.concat([kept[level], h], axis=1), width * 2**level)
        logits = gf.permute_dims(make.conv(h, classes, 1), (0, 2, 3, 1))
        return make.finish("unet", graph, x, logits, {}, (batch, image, image))


def yolov5s(
    batch: Any = 1,
    classes: int = 80,
    image: int = 640,
    width: int = 32,
    *,
    weights: str = "variable",
    train: bool = False,
    seed: int = 0,
) -> Network:
    """YOLOv5s, release 6 (Jocher et al. 2021): 7.2 M weights, 16.5 GFLOP for an image of 640 x 640.

    Its outputs are what the three convolutions of its head say, by steps of 8, 16 and 32 pixels, before boxes
    are made of them. `image=64, width=8` is a small one.
    """
    if train:
        raise ValueError("yolov5s is only run: it has no loss here")
    make = _Weights(weights, train, seed)

    def conv(x: Tensor, filters: int, kernel: int, strides: int = 1) -> Tensor:
        return gf.nn.silu(make.batch_norm(make.conv(x, filters, kernel, strides)))

    def partial(x: Tensor, filters: int, count: int, shortcut: bool = True) -> Tensor:
        """The paper's C3: half of the channels through a chain of blocks, half past it."""
        h, half = conv(x, filters // 2, 1), filters // 2
        for _ in range(count):
            made = conv(conv(h, half, 1), half, 3)
            h = h + made if shortcut else made
        return conv(gf.concat([h, conv(x, half, 1)], axis=1), filters, 1)

    with gf.Graph("yolov5s") as graph:
        x = gf.placeholder("image", (batch, 3, image, image))
        first = make.normal("kernel", (width, 3, 6, 6), math.sqrt(2 / 108))
        h = gf.nn.silu(make.batch_norm(gf.nn.conv(x, first, strides=2, padding=2)))
        h = partial(conv(h, 2 * width, 3, 2), 2 * width, 1)
        fine = partial(conv(h, 4 * width, 3, 2), 4 * width, 2)
        middle = partial(conv(fine, 8 * width, 3, 2), 8 * width, 3)
        h = partial(conv(middle, 16 * width, 3, 2), 16 * width, 1)
        pooled = [conv(h, 8 * width, 1)]
        for _ in range(3):
            pooled.append(gf.nn.max_pool(pooled[-1], 5, strides=1, padding=2))
        coarse = conv(conv(gf.concat(pooled, axis=1), 16 * width, 1), 8 * width, 1)
        h = gf.concat([gf.nn.upsample(coarse, 2), middle], axis=1)
        middle = conv(partial(h, 8 * width, 1, shortcut=False), 4 * width, 1)
        h = gf.concat([gf.nn.upsample(middle, 2), fine], axis=1)
        found = [partial(h, 4 * width, 1, shortcut=False)]
        h = gf.concat([conv(found[0], 4 * width, 3, 2), middle], axis=1)
        found.append(partial(h, 8 * width, 1, shortcut=False))
        h = gf.concat([conv(found[1], 8 * width, 3, 2), coarse], axis=1)
        found.append(partial(h, 16 * width, 1, shortcut=False))
        said = []
        for features in found:
            bias = gf.reshape(make.near("bias", 3 * (5 + classes), 0.0), (1, -1, 1, 1))
            said.append(make.conv(features, 3 * (5 + classes), 1) + bias)
    return Network("yolov5s", graph, [x], said)


def digits_cnn(
    batch: Any = 32,
    classes: int = 10,
    image: int = 8,
    filters: Sequence[int] = (32, 64),
    units: int = 128,
    *,
    weights: str = "variable",
    train: bool = False,
    seed: int = 0,
) -> Network:
    """The demo's classifier of 8x8 digits, without dropout: two 3x3 convolutions, two dense layers."""
    make = _Weights(weights, train, seed)
    with gf.Graph("digits_cnn") as graph:
        x = gf.placeholder("image", (batch, 1, image, image))
        h = x
        for count in filters:
            h = gf.nn.relu(make.batch_norm(make.conv(h, count, 3)))
        h = gf.nn.relu(make.dense(gf.flatten(gf.nn.max_pool(h, 2)), units))
        return make.finish("digits_cnn", graph, x, make.dense(h, classes), {}, (batch,))


# Transformers and recurrent networks


def _attention(make: _Weights, x: Tensor, heads: int, causal: bool) -> Tensor:
    """Multi-head attention with separate products for queries, keys and values."""
    features = int(x.shape[-1])

    def split(y: Tensor) -> Tensor:
        parts = gf.reshape(y, (x.shape[0], x.shape[1], heads, features // heads))
        return gf.permute_dims(parts, (0, 2, 1, 3))

    q, k, v = (split(make.dense(x, features)) for _ in range(3))
    mixed = gf.permute_dims(gf.nn.attention(q, k, v, causal=causal), (0, 2, 1, 3))
    return make.dense(gf.reshape(mixed, x.shape), features)


def _net(make: _Weights, x: Tensor, hidden: int) -> Tensor:
    return make.dense(gf.nn.gelu(make.dense(x, hidden)), int(x.shape[-1]))


def _embedded(make: _Weights, tokens: Tensor, vocabulary: int, features: int) -> tuple[Tensor, Tensor]:
    """What stands for tokens and their positions, and the table of the vocabulary."""
    table = make.normal("words", (vocabulary, features), 0.02)
    places = make.normal("positions", (int(tokens.shape[1]), features), 0.02)
    return gf.take(table, tokens, axis=0) + places, table


def bert(
    batch: Any = 1,
    length: int = 128,
    vocabulary: int = 30522,
    features: int = 768,
    heads: int = 12,
    layers: int = 12,
    classes: int = 2,
    *,
    weights: str = "variable",
    train: bool = False,
    seed: int = 0,
) -> Network:
    """An encoder of the size of BERT-base (Devlin et al. 2018), norms behind sums; a class for each token.

    `length=8, vocabulary=32, features=16, heads=2, layers=2` is a small one.
    """
    make = _Weights(weights, train, seed)
    with gf.Graph("bert") as graph:
        tokens = gf.placeholder("tokens", (batch, length), dtype=gf.int32)
        h = make.layer_norm(_embedded(make, tokens, vocabulary, features)[0])
        for layer in range(layers):
            with gf.name_scope(f"layer{layer}"):
                h = make.layer_norm(h + _attention(make, h, heads, causal=False))
                h = make.layer_norm(h + _net(make, h, 4 * features))
        limits = {"tokens": vocabulary}
        return make.finish("bert", graph, tokens, make.dense(h, classes), limits, (batch, length))


def gpt2(
    batch: Any = 1,
    length: int = 128,
    vocabulary: int = 50257,
    features: int = 768,
    heads: int = 12,
    layers: int = 12,
    *,
    weights: str = "variable",
    train: bool = False,
    seed: int = 0,
) -> Network:
    """A decoder of the size of GPT-2 small (Radford et al. 2019), norms before each part, causal, tied ends.

    `length=8, vocabulary=32, features=16, heads=2, layers=2` is a small one.
    """
    make = _Weights(weights, train, seed)
    with gf.Graph("gpt2") as graph:
        tokens = gf.placeholder("tokens", (batch, length), dtype=gf.int32)
        h, table = _embedded(make, tokens, vocabulary, features)
        for layer in range(layers):
            with gf.name_scope(f"layer{layer}"):
                h = h + _attention(make, make.layer_norm(h), heads, causal=True)
                h = h + _net(make, make.layer_norm(h), 4 * features)
        logits = gf.matmul(make.layer_norm(h), gf.permute_dims(table, (1, 0)))
        return make.finish("gpt2", graph, tokens, logits, {"tokens": vocabulary}, (batch, length))


def vit_block(
    batch: Any = 1,
    length: int = 197,
    features: int = 768,
    heads: int = 12,
    *,
    weights: str = "variable",
    train: bool = False,
    seed: int = 0,
) -> Network:
    """One of the twelve blocks of ViT-B/16 (Dosovitskiy et al. 2020) on 197 tokens: 2.9 GFLOP.

    `length=17, features=32, heads=2` is a small one.
    """
    if train:
        raise ValueError("vit_block is only run: it has no loss here")
    make = _Weights(weights, train, seed)
    with gf.Graph("vit_block") as graph:
        x = gf.placeholder("tokens", (batch, length, features))
        h = x + _attention(make, make.layer_norm(x), heads, causal=False)
        h = h + _net(make, make.layer_norm(h), 4 * features)
    return Network("vit_block", graph, [x], [h])


def lstm(
    batch: Any = 16,
    length: int = 64,
    vocabulary: int = 256,
    units: int = 256,
    layers: int = 2,
    *,
    weights: str = "variable",
    train: bool = False,
    seed: int = 0,
) -> Network:
    """A language model of stacked LSTMs over [batch, time]; the next token at each place.

    `length=4, vocabulary=8, units=8` is a small one.
    """
    make = _Weights(weights, train, seed)
    with gf.Graph("lstm") as graph:
        tokens = gf.placeholder("tokens", (batch, length), dtype=gf.int32)
        h = gf.take(make.normal("words", (vocabulary, units), 1.0), tokens, axis=0)
        for layer in range(layers):
            with gf.name_scope(f"layer{layer}"):
                w = make.normal("w", (4 * units, units), units**-0.5)
                r = make.normal("r", (4 * units, units), units**-0.5)
                h, _ = gf.nn.lstm(h, w, r, make.near("b", 4 * units, 0.0), batch_first=True)
        limits = {"tokens": vocabulary}
        return make.finish("lstm", graph, tokens, make.dense(h, vocabulary), limits, (batch, length))


_ALL = (resnet50, mobilenet_v2, unet, yolov5s, digits_cnn, bert, gpt2, vit_block, lstm)
NETWORKS = {net.__name__: net for net in _ALL}


def main() -> None:
    """Print a line for each network."""
    for name, network in NETWORKS.items():
        graph = network().graph
        weights = sum(math.prod(map(int, tensor.shape)) for tensor in graph.variables.values())
        print(f"{name:<14}{len(graph.nodes):>6} nodes{weights / 1e6:>8.1f} M weights")


if __name__ == "__main__":
    main()
