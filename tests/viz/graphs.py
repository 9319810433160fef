"""Graphs that several tests of pictures draw."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphflow as gf
from graphflow.ir.node import Tensor


def dense(x: Tensor, units: int, name: str) -> Tensor:
    """A layer in a scope of its own."""
    with gf.name_scope(name):
        kernel = gf.variable("kernel", (x.shape[-1], units))
        bias = gf.variable("bias", (units,))
        return gf.tanh(gf.add(gf.matmul(x, kernel), bias))


def training(layers: int) -> list[Any]:
    """What a training step fetches: the loss, and the update of every variable."""
    x = gf.placeholder("image", ("batch", 8))
    hidden = x
    for layer in range(layers):
        hidden = dense(hidden, 8, f"layer_{layer}")
    with gf.name_scope("loss"):
        loss = gf.mean(gf.multiply(hidden, hidden))
    variables = list(loss.graph.variables.values())
    gradients = gf.gradients(loss, variables)
    with gf.name_scope("sgd"):
        updates = [
            gf.assign(variable, gf.subtract(variable, gf.multiply(gradient, 0.1)))
            for variable, gradient in zip(variables, gradients)
        ]
    return [loss, gf.group(*updates)]


def tangle(count: int, seed: int = 0) -> Tensor:
    """A flat graph without scopes in which everything made is read, far and near."""
    rng = np.random.default_rng(seed)
    made = [gf.placeholder("x", (4,))]
    for index in range(count):
        far = made[max(0, len(made) - int(rng.integers(1, 60)))]
        made.append(gf.add(made[-1], far) if index % 2 else gf.multiply(made[-1], far))
    return made[-1]
