"""The dropout layer: gf.nn.dropout in a scope of its own."""

from __future__ import annotations

from typing import Any

from graphflow.ir.node import Tensor
from graphflow.layers.scope import layer_input, layer_scope
from graphflow.nn.dropout import dropout as drop
from graphflow.ops.composite import composite


@composite
def dropout(x: Any, rate: float, training: Any = None, name: str | None = None) -> Tensor:
    """Set elements to 0 with probability `rate` and scale the others, while training.

    y = where(u >= rate, x / (1 - rate), 0) with u uniform in [0, 1), so the expected value of y is x.
    The scope gives the layer a random stream of its own.

    Arguments:
        x: floats.
        rate: the probability of a zero, from 0 up to, not including, 1.
        training: a bool, or a boolean scalar tensor; the graph's flag `gf.training` by default.
        name: the layer's scope; "dropout", with a suffix where that is taken, by default.

    Returns:
        a tensor of the type of x.

    Raises:
        AttributeValueError: for a rate outside of [0, 1).

    Source: Srivastava et al., "Dropout" (2014).

    >>> import graphflow as gf
    >>> gf.layers.dropout(gf.placeholder("x", ("batch", 16)), 0.5).type
    float32[batch, 16]
    """
    x = layer_input(x, "dropout")
    with layer_scope(x, name, "dropout"):
        return drop(x, rate, training)
