"""Dense layers: a weighted sum of all features, for each unit."""

from __future__ import annotations

from typing import Any

from graphflow.ir.node import Tensor
from graphflow.layers.scope import Activation, activated, layer_input, layer_scope, positive, static_size
from graphflow.layers.sharing import variable
from graphflow.ops.composite import composite
from graphflow.ops.inference import require


@composite
def dense(
    x: Any,
    units: int,
    activation: Activation = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = None,
    name: str | None = None,
) -> Tensor:
    """A dense layer over the last axis: y = activation(x kernel + bias).

    Variables: `kernel` of shape [features, units] and `bias` of shape [units], of the dtype of x.

    Arguments:
        x: floats of shape [..., features], rank 2 or more; the number of features must be known.
        units: the number of outputs.
        activation: a function of a tensor, such as gf.nn.relu.
        use_bias: whether there is a bias.
        kernel_initializer: glorot_uniform by default.
        bias_initializer: zeros by default.
        name: the scope of the variables; "dense", with a suffix where that is taken, by default.

    Returns:
        [..., units].

    Raises:
        ShapeError: if x has rank 0 or 1.
        GraphError: if the given name is that of another layer.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 64))
    >>> y = gf.layers.dense(gf.layers.dense(x, 32, activation=gf.nn.relu), 10)
    >>> y.type, list(y.graph.variables)
    (float32[batch, 10], ['dense/kernel', 'dense/bias', 'dense_1/kernel', 'dense_1/bias'])
    """
    x = layer_input(x, "dense")
    require(x.ndim >= 2, f"dense needs an input of shape [..., features], not of rank {x.ndim}")
    units = positive(units, "units", "dense")
    features = static_size(x, -1, "dense")
    with layer_scope(x, name, "dense") as b:
        kernel = variable("kernel", (features, units), kernel_initializer, x.dtype)
        y = b.matmul(x, kernel)
        if use_bias:
            y = b.add(y, variable("bias", (units,), bias_initializer, x.dtype))
        return activated(y, activation)
