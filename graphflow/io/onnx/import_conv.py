"""Import of convolutions and poolings."""

from __future__ import annotations

from typing import Any

from graphflow import nn
from graphflow.io.onnx.call import Call
from graphflow.ir.node import Tensor
from graphflow.ops import padding as padding_ops
from graphflow.ops import standard

_AUTOMATIC = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}


def padding(call: Call) -> Any:
    """The padding of a window: a name, or pairs from ONNX's list of all beginnings and all ends."""
    named = _AUTOMATIC.get(call.attr("auto_pad", "NOTSET"))
    if named is not None:
        return named
    pads = call.attr("pads")
    return list(zip(pads[: len(pads) // 2], pads[len(pads) // 2 :])) if pads else 0


def window(call: Call, groups: bool = True) -> dict[str, Any]:
    """The options of a convolution."""
    options: dict[str, Any] = {
        "strides": tuple(call.attr("strides", ())) or 1,
        "dilation": tuple(call.attr("dilations", ())) or 1,
        "padding": padding(call),
    }
    return {**options, "groups": call.attr("group", 1)} if groups else options


def biased(y: Tensor, bias: Tensor | None) -> Tensor:
    """With a number added to each channel."""
    return y if bias is None else y + standard.reshape(bias, (-1, *(1,) * (y.ndim - 2)))


def _conv(call: Call, x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
    return biased(nn.conv(x, w, **window(call)), bias)


def _conv_transpose(call: Call, x: Tensor, w: Tensor, bias: Tensor | None = None) -> Tensor:
    options = window(call)
    if call.has("output_shape"):
        shape = call.attr("output_shape")
        options["output_shape"] = tuple(shape[-(x.ndim - 2) :])
        if options["padding"] == 0:  # the odd place is cut off at the beginning unless told otherwise
            options["padding"] = "same" if call.attr("auto_pad") == "SAME_UPPER" else "same_lower"
    options["output_padding"] = tuple(call.attr("output_padding", ())) or 0
    return biased(nn.conv_transpose(x, w, **options), bias)


def _deform_conv(
    call: Call, x: Tensor, w: Tensor, offset: Tensor, bias: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    made = nn.deform_conv(x, w, offset, mask, offset_groups=call.attr("offset_group", 1), **window(call))
    return biased(made, bias)


def _pool(call: Call) -> dict[str, Any]:
    return {
        **window(call, groups=False),
        "window": tuple(call.attr("kernel_shape")),
        "ceil_mode": call.flag("ceil_mode"),
    }


def _average_pool(call: Call, x: Tensor) -> Tensor:
    return nn.avg_pool(x, count_include_pad=call.flag("count_include_pad"), **_pool(call))


def _max_pool(call: Call, x: Tensor) -> Any:
    if not call.asks(1):
        return nn.max_pool(x, **_pool(call))
    return nn.max_pool_with_indices(x, column_major=call.flag("storage_order"), **_pool(call))


def _lp_pool(call: Call, x: Tensor) -> Tensor:
    return nn.lp_pool(x, p=call.attr("p", 2), **_pool(call))


def _max_unpool(call: Call, x: Tensor, indices: Tensor, shape: Tensor | None = None) -> Tensor:
    """Indices are places in the result without `output_shape`, which adds zeros at the ends."""
    options = window(call, groups=False)
    del options["dilation"]
    made = nn.max_unpool(x, indices, tuple(call.attr("kernel_shape")), **options)
    wanted = call.numbers(shape)
    if wanted is None:
        return made
    return padding_ops.pad(made, [(0, size - own) for size, own in zip(wanted, made.shape)])


def _global(say: Any) -> Any:
    return lambda call, x: say(x, keepdims=True)


def _col2im(call: Call, x: Tensor, shape: Tensor, block: Tensor) -> Tensor:
    return nn.col2im(x, call.numbers(shape), call.numbers(block), **window(call, groups=False))


def _causal_conv(
    call: Call, x: Tensor, w: Tensor, bias: Tensor | None = None, state: Tensor | None = None
) -> tuple[Tensor, ...]:
    named = call.attr("activation", "none")
    return nn.causal_conv_with_state(x, w, bias, state, None if named == "none" else named)


def _max_roi_pool(call: Call, x: Tensor, rois: Tensor) -> Tensor:
    return nn.max_roi_pool(x, rois, tuple(call.attr("pooled_shape")), call.attr("spatial_scale", 1.0))


TABLE: dict[str, Any] = {
    "AveragePool": _average_pool,
    "CausalConvWithState": _causal_conv,
    "Col2Im": _col2im,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DeformConv": _deform_conv,
    "GlobalAveragePool": _global(nn.global_avg_pool),
    "GlobalLpPool": lambda call, x: nn.global_lp_pool(x, call.attr("p", 2), keepdims=True),
    "GlobalMaxPool": _global(nn.global_max_pool),
    "LpPool": _lp_pool,
    "MaxPool": _max_pool,
    "MaxRoiPool": _max_roi_pool,
    "MaxUnpool": _max_unpool,
}
