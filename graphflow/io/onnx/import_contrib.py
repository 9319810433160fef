"""Import of the operators of onnxruntime that its tools and exporters write, domain com.microsoft."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.errors import FileFormatError
from graphflow.io.onnx import (
    import_contrib_attention,
    import_contrib_blocks,
    import_contrib_experts,
    import_contrib_group_query,
    import_contrib_normalization,
    import_contrib_quantized,
)
from graphflow.io.onnx.call import Call
from graphflow.io.onnx.import_attention import TABLE as ATTENTION
from graphflow.io.onnx.import_contrib_normalization import channels_first, channels_last
from graphflow.io.onnx.import_conv import TABLE as CONV
from graphflow.io.onnx.import_creation import TABLE as CREATION
from graphflow.io.onnx.import_elementwise import TABLE as ELEMENTWISE
from graphflow.io.onnx.import_images import TABLE as IMAGES
from graphflow.io.onnx.import_indexing import TABLE as INDEXING
from graphflow.io.onnx.import_normalization import layer_norm, simplified_layer_norm
from graphflow.io.onnx.import_quantization import TABLE as QUANTIZATION
from graphflow.io.onnx.import_shape import TABLE as SHAPE
from graphflow.ir.node import Tensor
from graphflow.ops import (
    arrange,
    casting,
    elementwise,
    functions,
    linalg,
    shape,
    solving,
    standard,
    unique,
)

DOMAIN = "com.microsoft"


# Products and convolutions


def _fused_matmul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    made = linalg.matmul(_turned(call, a, "A"), _turned(call, b, "B"))
    return casting.astype(made * call.attr("alpha", 1.0), a.dtype)


def _turned(call: Call, x: Tensor, which: str) -> Tensor:
    """An operand of FusedMatMul, whose first axis may be that of its rows, too."""
    if x.ndim < 2:
        return x
    if call.flag(f"transBatch{which}"):
        x = shape.permute_dims(x, (*range(1, x.ndim - 1), 0, x.ndim - 1))
    return linalg.matrix_transpose(x) if call.flag(f"trans{which}") else x


_BARE = ("HardSwish", "Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")
"""Activations without numbers."""

_NUMBERED: dict[str, tuple[Any, tuple[float, ...]]] = {
    "Elu": (nn.elu, (1.0,)),
    "HardSigmoid": (nn.hard_sigmoid, (0.2, 0.5)),
    "LeakyRelu": (nn.leaky_relu, (0.01,)),
    "ThresholdedRelu": (nn.thresholded_relu, (1.0,)),
}
"""Activations with numbers, and what these are if they are not given."""


def _activated(call: Call, y: Tensor) -> Tensor:
    """An activation with the numbers of FusedGemm, or those of FusedConv, which are in one list."""
    named, given = call.attr("activation", ""), tuple(call.attr("activation_params", ()))
    if not named:
        return y
    if named in _BARE and not given:
        return ELEMENTWISE[named](call, y)
    if named == "Clip" and len(given) == 2:
        return elementwise.minimum(elementwise.maximum(y, given[0]), given[1])
    say, standards = _NUMBERED.get(named, (None, ()))
    if say is None or len(given) not in (0, len(standards)):
        raise FileFormatError(
            f"the activation {named!r:.40} of {call.label} is not supported",
            hint="let onnxruntime write the model at a lower level of optimisation",
        )
    named_ones = zip(("activation_alpha", "activation_beta"), standards)
    return say(y, *(given or [call.attr(name, known) for name, known in named_ones]))


def _fused_conv(call: Call, x: Tensor, w: Tensor, bias: Any = None, add: Any = None) -> Tensor:
    made = CONV["Conv"](call, x, w, bias)
    return _activated(call, made if add is None else made + add)


def _nhwc_conv(call: Call, x: Tensor, w: Tensor, bias: Any = None, add: Any = None) -> Tensor:
    """With images [batch, height, width, channels]; kernels lie as those of Conv."""
    kernel = call.attr("kernel_shape")
    if kernel and tuple(w.shape[2:]) != tuple(kernel):
        raise FileFormatError(
            f"{call.label} has kernels of shape {list(w.shape)}, but kernel_shape {kernel}",
            hint="they have to be [outputs, channels / groups, *kernel_shape]",
        )
    first = channels_last(CONV["Conv"](call, channels_first(x), w, bias))
    return _activated(call, first if add is None else first + add)


# Activations


def _gelu(call: Call, x: Tensor, bias: Any = None) -> Tensor:
    return nn.gelu(x if bias is None else x + bias)


def _fast_gelu(call: Call, x: Tensor, bias: Any = None) -> Tensor:
    return nn.gelu(x if bias is None else x + bias, approximate=True)


def _quick_gelu(call: Call, x: Tensor) -> Tensor:
    return nn.swish(x, call.attr("alpha", 1.702))


def _bias_split_gelu(call: Call, x: Tensor, bias: Tensor) -> Tensor:
    """The first half of the features times GELU of the second."""
    first, second = arrange.split(x + bias, 2, -1)
    return first * nn.gelu(second)


def _gemm_fast_gelu(call: Call, x: Tensor, w: Tensor, bias: Any = None) -> Tensor:
    return _fast_gelu(call, linalg.matmul(x, w), bias)


def _scaled_silu(call: Call, x: Tensor, scale: Any = None) -> Tensor:
    scaled = x * (call.attr("alpha", 1.0) if scale is None else casting.astype(scale, x.dtype))
    return nn.swish(scaled)


def _bias_softmax(call: Call, x: Tensor, bias: Tensor) -> Tensor:
    """Over all axes from `axis` on, as softmax was before opset 13."""
    made: Tensor = ELEMENTWISE["Softmax"](call, x + bias)
    return made


# The rest


def _distances(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Between all rows of a and all rows of b."""
    apart = shape.expand_dims(a, 1) - shape.expand_dims(b, 0)
    squared = standard.sum(elementwise.square(apart), -1)
    return functions.sqrt(squared) if call.attr("metric", "sqeuclidean") == "euclidean" else squared


def _unique(call: Call, x: Tensor) -> tuple[Tensor, ...]:
    """In the order in which they come first."""
    values, _, inverse, counts = unique.unique(x, None, False)
    return values, standard.reshape(inverse, (-1,)), counts


def _causal_conv(call: Call, *given: Any) -> Any:
    plain = {"channels_last": 0, "dilation": 1, "ndim": 1, "state_window": 0}
    _require(call, **plain, input_channels=0, state_length=0, state_update_capacity=0)
    return CONV["CausalConvWithState"](call, *given)


def _linear_attention(
    call: Call, q: Tensor, k: Tensor, v: Tensor, state: Any = None, decay: Any = None, beta: Any = None
) -> Any:
    _require(call, state_window=0)
    rule = call.attr("update_rule", "gated_delta")
    decay, beta = decay if "gated" in rule else None, beta if "delta" in rule else None
    return ATTENTION["LinearAttention"](call, q, k, v, state, decay, beta)


def _require(call: Call, **wanted: int) -> None:
    for name, known in wanted.items():
        if call.attr(name, known) != known:
            raise FileFormatError(
                f"{call.label} with {name}={call.attr(name)!r:.40} is not supported",
                hint=f"export the model with {name}={known}",
            )


def _expand_dims(call: Call, x: Tensor, axis: Tensor) -> Tensor:
    return shape.expand_dims(x, call.number(axis))


NAMES: dict[str, Any] = {
    "BiasAdd": lambda call, x, bias, skip: x + bias + skip,
    "BiasGelu": _gelu,
    "BiasSoftmax": _bias_softmax,
    "BiasSplitGelu": _bias_split_gelu,
    "CDist": _distances,
    "CausalConvWithState": _causal_conv,
    "DequantizeLinear": QUANTIZATION["DequantizeLinear"],
    "ExpandDims": _expand_dims,
    "FastGelu": _fast_gelu,
    "FusedConv": _fused_conv,
    "FusedGemm": lambda call, *given: _activated(call, SHAPE["Gemm"](call, *given)),
    "FusedMatMul": _fused_matmul,
    "FusedMatMulActivation": lambda call, *given: _activated(call, _fused_matmul(call, *given)),
    "GemmFastGelu": _gemm_fast_gelu,
    "GatherND": INDEXING["GatherND"],
    "Gelu": _gelu,
    "GridSample": IMAGES["GridSample"],
    "Inverse": lambda call, x: solving.inv(x),
    "LinearAttention": _linear_attention,
    "NhwcConv": _nhwc_conv,
    "NhwcFusedConv": _nhwc_conv,
    "NhwcMaxPool": lambda call, x: channels_last(CONV["MaxPool"](call, channels_first(x))),
    "Pad": SHAPE["Pad"],
    "QuantizeLinear": QUANTIZATION["QuantizeLinear"],
    "QuickGelu": _quick_gelu,
    "Range": CREATION["Range"],
    "ScaledSiLU": _scaled_silu,
    "TransposeMatMul": _fused_matmul,
    "Trilu": SHAPE["Trilu"],
    "Unique": _unique,
    **import_contrib_attention.TABLE,
    **import_contrib_blocks.TABLE,
    **import_contrib_experts.TABLE,
    **import_contrib_group_query.TABLE,
    **import_contrib_normalization.TABLE,
    **import_contrib_quantized.TABLE,
}

TABLE: dict[tuple[str, str], Any] = {
    **{(DOMAIN, name): found for name, found in NAMES.items()},
    (DOMAIN, "LayerNormalization"): layer_norm,
    (DOMAIN, "SimplifiedLayerNormalization"): simplified_layer_norm,
}
