"""The ONNX models that `onnx_inference.py` measures, each for a batch, with weights drawn from seeds.

The nine light models of the package onnx come with the weights that tests draw for them; the others are
networks of `networks.py`, exported. `model(name, batch)` gives bytes of an ONNX file and arrays to feed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import networks
import numpy as np
import onnx
from onnx import numpy_helper

import graphflow as gf
from graphflow.ir.node import Tensor
from tests.io.onnx.numerics import light
from tests.io.onnx.numerics.weights import filled

OPSET = 21
PAST = 127
"""Tokens whose keys and values the decoder has, one step before it holds 128."""

Made = tuple[onnx.ModelProto, dict[str, np.ndarray]]


def model(name: str, batch: int, small: bool = False) -> Made:
    """A model whose inputs have known sizes, and a feed for each."""
    return MODELS[name](batch, small)


def _light(name: str, batch: int, small: bool) -> Made:
    if small:
        made = light.light_model(name, 96)
    else:
        made = filled(onnx.load(light.FOLDER / f"light_{name}.onnx"))
    graph = made.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    # They list their weights as inputs, which would keep onnxruntime from preparing them.
    (entry,) = [entry for entry in graph.input if entry.name not in weights]
    made.ir_version = max(made.ir_version, 4)
    del graph.value_info[:], graph.input[:]
    graph.input.append(entry)
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    for node in graph.node:
        if node.op_type == "Reshape" and (shape := numpy_helper.to_array(weights[node.input[1]]))[0] == 1:
            shape = np.concatenate([[batch], shape[1:]])
            weights[node.input[1]].CopyFrom(numpy_helper.from_array(shape, node.input[1]))
    return made, light.image(made)


def _network(name: str, sizes: dict[str, Any], batch: int, small: bool) -> Made:
    less = SMALL[name] if small else {}
    net = networks.NETWORKS[name](batch=batch, weights="constant", **{**sizes, **less})
    return _exported(net)


def _exported(net: networks.Network) -> Made:
    exported = gf.Model(net.graph, net.inputs, {f"y{i}": y for i, y in enumerate(net.outputs)})
    feeds = {tensor.node.name: array for tensor, array in net.feeds().items()}
    return gf.onnx.to_proto(exported, OPSET), feeds


def decoder_step(
    batch: int,
    past: int = PAST,
    vocabulary: int = 50257,
    features: int = 768,
    heads: int = 12,
    layers: int = 12,
) -> networks.Network:
    """One token through a decoder of the size of GPT-2 small, with keys and values of those before it."""
    make = networks._Weights("constant", False, 0)
    width = features // heads
    with gf.Graph("gpt2_step") as graph:
        token = gf.placeholder("token", (batch, 1), dtype=gf.int32)
        table = make.normal("words", (vocabulary, features), 0.02)
        h = gf.take(table, token, axis=0) + make.normal("position", (features,), 0.02)
        inputs, outputs = [token], []

        def split(y: Tensor) -> Tensor:
            return gf.permute_dims(gf.reshape(y, (batch, 1, heads, width)), (0, 2, 1, 3))

        for layer in range(layers):
            x = make.layer_norm(h)
            q, k, v = [split(make.dense(x, features)) for _ in range(3)]
            for new, name in ((k, "keys"), (v, "values")):
                inputs.append(gf.placeholder(f"{name}{layer}", (batch, heads, past, width)))
                outputs.append(gf.concat([inputs[-1], new], axis=2))
            mixed = gf.permute_dims(gf.nn.attention(q, outputs[-2], outputs[-1]), (0, 2, 1, 3))
            h = h + make.dense(gf.reshape(mixed, (batch, 1, features)), features)
            h = h + make.dense(gf.nn.gelu(make.dense(make.layer_norm(h), 4 * features)), features)
        logits = gf.matmul(make.layer_norm(h), gf.permute_dims(table, (1, 0)))
        return networks.Network("gpt2_step", graph, inputs, [logits, *outputs], limits={"token": vocabulary})


def _decoder(batch: int, small: bool) -> Made:
    sizes: Any = {"past": 7, "vocabulary": 32, "features": 16, "heads": 2, "layers": 2} if small else {}
    return _exported(decoder_step(batch, **sizes))


SMALL: dict[str, dict[str, Any]] = {
    "mobilenet_v2": {"width": 0.25, "image": 32, "stages": ((1, 16, 1, 1), (6, 24, 2, 2))},
    "unet": {"image": 16, "width": 4, "depth": 2},
    "bert": {"length": 8, "vocabulary": 32, "features": 16, "heads": 2, "layers": 2},
    "lstm": {"length": 4, "vocabulary": 8, "units": 8},
}
"""Sizes with which a model runs in no time, to try a script."""

MODELS: dict[str, Callable[[int, bool], Made]] = {
    **{name: partial(_light, name) for name in light.NAMES},
    "mobilenet_v2": partial(_network, "mobilenet_v2", {}),
    "bert": partial(_network, "bert", {}),
    "gpt2_step": _decoder,
    "lstm": partial(_network, "lstm", {}),
    "unet": partial(_network, "unet", {"width": 32}),
}
