"""Import of normalizations, losses and dropout."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call
from graphflow.ir import dims, dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import (
    casting,
    comparison,
    creation,
    declare,
    elementwise,
    functions,
    rounding,
    shape,
    standard,
)
from graphflow.ops import reduction as reduction_ops


def _batch_norm(call: Call, x: Tensor, scale: Tensor, offset: Tensor, mean: Tensor, variance: Tensor) -> Any:
    epsilon = call.attr("epsilon", 1e-5)
    if not call.flag("spatial", True):
        raise FileFormatError("BatchNormalization with spatial=0 is not supported", hint="use a newer opset")
    trains = call.flag("training_mode") or (call.version < 7 and call.asks(1) and not call.flag("is_test"))
    if not trains:
        return nn.batch_norm(x, mean, variance, scale, offset, epsilon)
    return nn.batch_norm_training(x, mean, variance, scale, offset, call.attr("momentum", 0.9), epsilon)


def _instance_norm(call: Call, x: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    return nn.instance_norm(x, scale, offset, call.attr("epsilon", 1e-5))


def _stash(call: Call) -> Any:
    return call.dtype("stash_type", dtypes.float32)


def _group_norm(call: Call, x: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    groups = call.attr("num_groups")
    if call.version < 21:
        each = x.shape[1] // groups
        scale, offset = standard.repeat(scale, each, 0), standard.repeat(offset, each, 0)
    return nn.group_norm(x, groups, scale, offset, call.attr("epsilon", 1e-5), _stash(call))


def layer_norm(call: Call, x: Tensor, scale: Tensor, offset: Tensor | None = None) -> tuple[Tensor, ...]:
    """LayerNormalization, with the mean and the inverse of the deviation."""
    return nn.layer_norm_with_statistics(
        x, scale, offset, call.attr("axis", -1), call.attr("epsilon", 1e-5), _stash(call)
    )


def _rms_norm(call: Call, x: Tensor, scale: Tensor) -> Tensor:
    return nn.rms_norm(x, scale, call.attr("axis", -1), call.attr("epsilon", 1e-5), _stash(call))


def _mean_variance_norm(call: Call, x: Tensor) -> Tensor:
    if call.version < 9 and not call.has("axes"):
        return nn.mean_variance_norm(x, (0, 2, 3) if call.flag("across_channels") else (2, 3))
    return nn.mean_variance_norm(x, tuple(call.attr("axes", (0, 2, 3))))


def _lrn(call: Call, x: Tensor) -> Tensor:
    return nn.local_response_norm(
        x, call.attr("size"), call.attr("alpha", 1e-4), call.attr("beta", 0.75), call.attr("bias", 1.0)
    )


def _nll(call: Call, x: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    return nn.nll(x, labels, call.attr("reduction", "mean"), 1, weights, call.attr("ignore_index"))


def _cross_entropy(
    call: Call, x: Tensor, labels: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, ...]:
    reduction, ignored = call.attr("reduction", "mean"), call.attr("ignore_index")
    loss = nn.cross_entropy(x, labels, reduction, 1, weights, ignored)
    return (loss, nn.log_softmax(x, 1)) if call.asks(1) else (loss,)


def _dropout(
    call: Call, x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None
) -> tuple[Tensor, ...]:
    mask = dtypes.bool_ if call.version >= 10 else x.dtype
    flag = None if training is None else call.number(training)
    rate = float(call.number(ratio, 0.5)) if flag else 0.0
    if not rate:
        return rounding.identity(x), shape.broadcast_to(declare.constant(1, mask), x.shape)
    kept = comparison.greater(nn.dropout(creation.ones_like(x), rate, training=True), 0)
    scaled = casting.astype(x * (1.0 / (1.0 - rate)), x.dtype)
    return comparison.where(kept, scaled, creation.zeros_like(x)), kept


def _lp_norm(call: Call, x: Tensor) -> Tensor:
    return nn.lp_normalize(x, call.attr("p", 2), call.attr("axis", -1))


def simplified_layer_norm(call: Call, x: Tensor, scale: Tensor) -> tuple[Tensor, ...]:
    """SimplifiedLayerNormalization of onnxruntime, which is a root mean square normalization."""
    axis = call.attr("axis", -1)
    epsilon = call.attr("epsilon", 1e-5)
    made = nn.rms_norm(x, scale, axis, epsilon, _stash(call))
    if not call.asks(1):
        return (made,)
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = casting.astype(x, _stash(call))
    return made, functions.rsqrt(reduction_ops.mean(elementwise.square(wide), axes, keepdims=True) + epsilon)


def elements(x: Tensor) -> Any:
    """The number of elements."""
    return dims.product(x.shape)


TABLE: dict[str, Any] = {
    "BatchNormalization": _batch_norm,
    "Dropout": _dropout,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LRN": _lrn,
    "LayerNormalization": layer_norm,
    "LpNormalization": _lp_norm,
    "MeanVarianceNormalization": _mean_variance_norm,
    "NegativeLogLikelihoodLoss": _nll,
    "RMSNormalization": _rms_norm,
    "SimplifiedLayerNormalization": simplified_layer_norm,
    "SoftmaxCrossEntropyLoss": _cross_entropy,
}
