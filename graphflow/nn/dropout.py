"""Dropout: random zeros while training, nothing at inference."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensor
from graphflow.ops.declare import builtin
from graphflow.ops.streams import fresh_key


@composite
def dropout(
    x: Any, rate: float, training: Any = None, name: str | None = None, stream: str | None = None
) -> Tensor:
    """Set elements to 0 with probability `rate` and scale the others, while training.

    y = where(u >= rate, x / (1 - rate), 0) with u uniform in [0, 1), so the expected value of y is x.

    Arguments:
        x: floats.
        rate: the probability of a zero, from 0 up to, not including, 1.
        training: a bool, or a boolean scalar tensor; the graph's flag `gf.training` by default.
        name: names the random stream, see `gf.random`.
        stream: the full name of a stream to share, so that several calls leave out the same elements.

    Returns:
        a tensor of the type of x.

    Raises:
        AttributeValueError: for a rate outside of [0, 1).

    Source: Srivastava et al., "Dropout" (2014); ONNX Dropout-22.

    >>> import graphflow as gf
    >>> gf.nn.dropout(gf.placeholder("x", ("batch", 16)), 0.5).type
    float32[batch, 16]
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
        raise AttributeValueError(
            f"dropout got rate={rate!r}", hint="use a number from 0 up to, not including, 1"
        )
    b, x = with_tensor(x)
    if rate == 0 or training is False:
        return x
    drawn = b.random_uniform(fresh_key(b, name, stream), shape=x.shape)
    kept = b.where(b.greater_equal(drawn, rate), b.multiply(x, 1.0 / (1.0 - rate)), 0)
    if training is True:
        return kept
    flag = builtin(b.graph, "training_flag") if training is None else training
    return b.where(flag, kept, x)
