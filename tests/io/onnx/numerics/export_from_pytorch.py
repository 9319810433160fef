"""Writes the models in graphs/: small ones of the usual kinds, as PyTorch's two exporters write them.

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch onnx onnxscript numpy
    PYTHONPATH=. /tmp/torch/bin/python -m tests.io.onnx.numerics.export_from_pytorch

Each is written by the exporter over torch.export (NAME.dynamo.onnx) and by the one over TorchScript
(NAME.torchscript.onnx), without weights: tests draw them anew from their names. PyTorch is not needed there.
The committed files are of PyTorch 2.13.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.io.onnx.numerics.weights import stripped

FOLDER = Path(__file__).parent / "graphs"
OPSET = {"dynamo": 20, "torchscript": 17}


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.around: nn.Module = nn.Identity()
        if stride > 1 or inner != outer:
            self.around = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.around(x))


class ResNet18(nn.Module):
    """He et al., 2015, with an eighth of the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        widths = [(8, 8, 1), (8, 16, 2), (16, 32, 2), (32, 64, 2)]
        self.layers = nn.Sequential(*[nn.Sequential(Block(i, o, s), Block(o, o, 1)) for i, o, s in widths])
        self.fc = nn.Linear(64, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, 2, 1)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(self.layers(x), 1), 1))


class Inverted(nn.Module):
    """Wider, by channel, narrower again."""

    def __init__(self, inner: int, outer: int, stride: int, expand: int) -> None:
        super().__init__()
        width = inner * expand
        self.adds = stride == 1 and inner == outer
        parts: list[nn.Module] = []
        if expand > 1:
            parts = [nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()]
        self.conv = nn.Sequential(
            *parts,
            nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU6(),
            nn.Conv2d(width, outer, 1, bias=False),
            nn.BatchNorm2d(outer),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    """Sandler et al., 2018, with fewer channels and blocks."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [(8, 4, 1, 1), (4, 6, 2, 6), (6, 6, 1, 6), (6, 8, 2, 6), (8, 8, 1, 6), (8, 16, 2, 6)]
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.blocks = nn.Sequential(*[Inverted(*sizes) for sizes in blocks])
        self.last = nn.Sequential(nn.Conv2d(16, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU6())
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(64, 10))

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(self.last(self.blocks(self.first(image))).mean([2, 3]))


def _twice(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, padding=1), nn.GroupNorm(2, outer), nn.LeakyReLU(0.1),
        nn.Conv2d(outer, outer, 3, padding=1), nn.InstanceNorm2d(outer, affine=True), nn.SiLU(),
    )  # fmt: skip


class UNet(nn.Module):
    """Ronneberger et al., 2015: down, up again in both usual ways, and past on each level."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = _twice(1, 8), _twice(8, 16), _twice(16, 32)
        self.up2 = nn.ConvTranspose2d(32, 16, 2, 2)
        self.right2, self.right1 = _twice(32, 16), _twice(24, 8)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        one = self.down1(image)
        two = self.down2(F.max_pool2d(one, 2))
        low = self.up2(self.bottom(F.avg_pool2d(two, 2)))
        two = self.right2(torch.cat([two, F.pad(low, [0, two.shape[3] - low.shape[3], 0, 0])], 1))
        up = F.interpolate(two, size=one.shape[2:], mode="bilinear", align_corners=False)
        return torch.sigmoid(self.out(self.right1(torch.cat([one, up], 1))))


class Recurrent(nn.Module):
    """Tokens through two layers of LSTM in both directions, and one of GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 12)
        self.lstm = nn.LSTM(12, 10, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(20, 8, batch_first=True)
        self.out = nn.Linear(8, 5)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, (h, c) = self.lstm(self.table(tokens))
        return F.log_softmax(self.out(self.gru(y)[0]), -1), h, c


class Encoder(nn.Module):
    """Vaswani et al., 2017: PyTorch's own layers, with a mask of what is padding."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(24, 4, 48, activation="gelu", batch_first=True, norm_first=True)
        self.table = nn.Embedding(60, 24)
        self.places = nn.Parameter(torch.randn(16, 24))
        self.layers = nn.TransformerEncoder(layer, 2, nn.LayerNorm(24), enable_nested_tensor=False)
        self.out = nn.Linear(24, 7)

    def forward(self, tokens: Tensor, padding: Tensor) -> Tensor:
        x = self.table(tokens) + self.places[: tokens.shape[1]]
        return self.out(self.layers(x, src_key_padding_mask=padding))


class Cached(nn.Module):
    """Attention of new tokens to those before, whose keys and values are kept."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, width = x.shape
        split = self.into(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        keys, values = torch.cat([keys, split[1]], 2), torch.cat([values, split[2]], 2)
        where = torch.arange(length)[:, None] + keys.shape[2] - length
        mask = torch.arange(keys.shape[2])[None, :] <= where
        y = F.scaled_dot_product_attention(split[0], keys, values, attn_mask=mask)
        return self.out(y.transpose(1, 2).reshape(batch, length, width)), keys, values


class Decoder(nn.Module):
    """Radford et al., 2019 (GPT-2), with keys and values of earlier tokens as inputs and outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.places = nn.Embedding(60, 24), nn.Embedding(32, 24)
        self.attention = nn.ModuleList([Cached(24, 4) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(24) for _ in range(5)])
        self.wide = nn.ModuleList([nn.Linear(24, 96) for _ in range(2)])
        self.narrow = nn.ModuleList([nn.Linear(96, 24) for _ in range(2)])

    def forward(self, tokens: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.table(tokens) + self.places(torch.arange(tokens.shape[1]) + keys.shape[3])
        kept = []
        for place, attention in enumerate(self.attention):
            y, k, v = attention(self.norms[2 * place](x), keys[place], values[place])
            x = x + y
            y = F.gelu(self.wide[place](self.norms[2 * place + 1](x)), approximate="tanh")
            x = x + self.narrow[place](y)
            kept.append((k, v))
        logits = self.norms[-1](x) @ self.table.weight.T
        return logits, torch.stack([k for k, _ in kept]), torch.stack([v for _, v in kept])


Case = tuple[Callable[[], nn.Module], tuple[Any, ...], dict[str, dict[int, str]], list[str]]


def _cases() -> dict[str, Case]:
    """For each model its class, arguments, axes without a size, and names of outputs."""
    image = torch.randn(2, 3, 64, 64)
    tokens, cache = torch.randint(0, 50, (3, 9)), torch.randn(2, 3, 4, 5, 6)
    batch, length = {0: "batch"}, {0: "batch", 1: "length"}
    past = {1: "batch", 3: "past"}
    padding = torch.zeros(3, 9, dtype=torch.bool)
    return {
        "resnet18": (ResNet18, (image,), {"image": batch}, ["logits"]),
        "mobilenet_v2": (MobileNetV2, (image,), {"image": batch}, ["logits"]),
        "unet": (UNet, (torch.randn(1, 1, 44, 46),), {}, ["mask"]),
        "lstm": (Recurrent, (tokens,), {"tokens": batch}, ["scores", "h", "c"]),
        "encoder": (Encoder, (tokens, padding), {"tokens": length, "padding": length}, ["logits"]),
        "decoder": (
            Decoder,
            (tokens, cache, cache + 1),
            {"tokens": length, "keys": past, "values": past},
            ["logits", "new_keys", "new_values"],
        ),
    }


def exported(name: str, exporter: str) -> onnx.ModelProto:
    """A model as one of the exporters writes it."""
    build, given, axes, outputs = _cases()[name]
    torch.manual_seed(0)
    model = build().eval()
    inputs = list(build.forward.__code__.co_varnames[1 : 1 + len(given)])
    options: dict[str, Any] = {"input_names": inputs, "output_names": outputs}
    if exporter == "torchscript":
        file = io.BytesIO()
        torch.onnx.export(
            model, given, file, opset_version=OPSET[exporter], dynamo=False, dynamic_axes=axes, **options
        )
        return onnx.load_from_string(file.getvalue())
    sizes = [{axis: torch.export.Dim.DYNAMIC for axis in axes.get(one, {})} for one in inputs]
    program = torch.onnx.export(
        model, given, opset_version=OPSET[exporter], dynamo=True, dynamic_shapes=tuple(sizes), **options
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        program.save(path)
        return onnx.load(path)


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without what the exporter notes about the Python code."""
    parts: list[Any] = [model, model.graph, *model.functions]
    nodes = [node for part in (model.graph, *model.functions) for node in part.node]
    for part in [*parts, *nodes, *model.graph.value_info, *model.graph.input, *model.graph.output]:
        del part.metadata_props[:]
        part.doc_string = ""
    for node in nodes:
        for attribute in node.attribute:
            attribute.doc_string = ""
            if attribute.HasField("g"):
                nodes.extend(attribute.g.node)
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
        tensor.doc_string = ""
    del model.graph.value_info[:]
    return model


def main() -> None:
    """Write them all, or those that are named."""
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or _cases():
        for exporter in OPSET:
            path = FOLDER / f"{name}.{exporter}.onnx"
            onnx.save(stripped(without_traces(exported(name, exporter))), path)
            print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
