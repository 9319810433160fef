"""Import of mixtures of experts: MoE and QMoE of com.microsoft.

Each token goes through the experts that the router finds best for it, and the results are weighted. All
experts compute for all tokens here, which keeps sizes fixed; those not chosen count for nothing, NaN or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphflow import nn
from graphflow.errors import FileFormatError
from graphflow.io.onnx.call import Call
from graphflow.io.onnx.import_contrib_blocks import of_blocks
from graphflow.ir import dtypes
from graphflow.ir.node import Tensor
from graphflow.ops import (
    casting,
    comparison,
    creation,
    elementwise,
    indexing,
    linalg,
    reduction,
    shape,
    sorting,
    standard,
)

ACTIVATIONS: dict[str, Any] = {
    "gelu": lambda x: nn.gelu(x, approximate=True),
    "identity": lambda x: x,
    "relu": nn.relu,
    "silu": nn.swish,
}


@dataclass(frozen=True)
class _Layer:
    """A dense layer of each expert: weights [experts, outputs, inputs], a bias [experts, outputs] or None."""

    weights: Tensor
    bias: Any

    def __call__(self, x: Tensor) -> Tensor:
        """[experts, tokens, outputs] of [1 or experts, tokens, inputs]."""
        made = linalg.matmul(x, linalg.matrix_transpose(self.weights))
        return made if self.bias is None else made + shape.expand_dims(self.bias, 1)


def _mixture(
    call: Call,
    x: Tensor,
    router: Tensor,
    w1: Tensor,
    b1: Any,
    w2: Tensor,
    b2: Any = None,
    w3: Any = None,
    b3: Any = None,
) -> Tensor:
    third = None if w3 is None else _Layer(w3, b3)
    return _mixed(call, x, router, None, _Layer(w1, b1), _Layer(w2, b2), third)


def _quantized_mixture(call: Call, x: Tensor, router: Tensor, *given: Any) -> Tensor:
    given += (None,) * (19 - len(given))
    layers, zeros, weights, unused = given[:9], given[9:12], given[12], given[13:]
    if (
        call.attr("quant_type", "int") != "int"
        or call.attr("weights_prepacked", 0) == 1
        or any(one is not None for one in unused)
    ):
        raise FileFormatError(
            f"{call.label} with floats of few bits, or weights laid out for a device, is not supported",
            hint="export the model with quant_type='int', for CPUs",
        )
    rows = [(*layers[3 * place : 3 * place + 3], zeros[place]) for place in range(3)]
    first, second, third = (
        None if row[0] is None else _quantized_layer(call, place, row) for place, row in enumerate(rows)
    )
    return _mixed(call, x, router, weights, first, second, third)


def _quantized_layer(call: Call, place: int, given: tuple[Any, ...]) -> _Layer:
    w, scales, bias, zeros = given
    width = call.attr(f"fc{place + 1}_expert_weight_bits", call.attr("expert_weight_bits", 4))
    if scales is None:
        raise FileFormatError(f"{call.label} has weights without scales", hint="get the model again")
    return _Layer(of_blocks(w, scales, zeros, width, call.attr("block_size", 0)), bias)


def _mixed(
    call: Call, x: Tensor, router: Tensor, weights: Any, first: Any, second: Any, third: Any
) -> Tensor:
    if call.flag("use_sparse_mixer") or call.flag("swiglu_limit_after_activation"):
        raise FileFormatError(
            f"{call.label} with a sparse mixer, or limits behind the activation, is not supported",
            hint="export the model without it",
        )
    tokens = standard.reshape(x, (1, -1, x.shape[-1]))
    each = second(_activated(call, first(tokens), None if third is None else third(tokens)))
    chosen, shares = _shares(call, router, weights)
    chosen, shares = (shape.expand_dims(linalg.matrix_transpose(one), 2) for one in (chosen, shares))
    counted = comparison.where(
        chosen, each * casting.astype(shares, each.dtype), creation.zeros((), each.dtype)
    )
    return standard.reshape(standard.sum(counted, 0), x.shape)


def _shares(call: Call, router: Tensor, weights: Any) -> tuple[Tensor, Tensor]:
    """Which experts a token has, and how much each counts: [tokens, experts]."""
    experts = router.shape[1]
    wide = casting.astype(router, dtypes.float32)
    _, best = sorting.top_k(wide, call.attr("k", 1), -1)
    chosen = reduction.any(indexing.one_hot(best, experts, dtype=dtypes.bool_), 1)
    shares = nn.softmax(wide, -1) if weights is None else casting.astype(weights, dtypes.float32)
    if call.flag("normalize_routing_weights"):
        kept = comparison.where(chosen, shares, creation.zeros((), dtypes.float32))
        shares = shares / standard.sum(kept, 1, keepdims=True)
    return chosen, shares


def _activated(call: Call, x: Tensor, gated: Any) -> Tensor:
    named = call.attr("activation_type", "relu")
    if named == "swiglu":
        return _swiglu(call, x, gated)
    if named not in ACTIVATIONS:
        raise FileFormatError(
            f"the activation {named!r:.40} of {call.label} is not supported",
            hint=f"{', '.join(ACTIVATIONS)} and swiglu are",
        )
    made: Tensor = ACTIVATIONS[named](x)
    return made if gated is None else made * gated


def _swiglu(call: Call, x: Tensor, gated: Any) -> Tensor:
    fusion = call.attr("swiglu_fusion", 0)
    if fusion == 1:
        pairs = standard.reshape(x, (*x.shape[:-1], x.shape[-1] // 2, 2))
        gate, linear = pairs[..., 0], pairs[..., 1]
    elif fusion == 2:
        half = x.shape[-1] // 2
        gate, linear = x[..., :half], x[..., half:]
    elif gated is not None:
        gate, linear = x, gated
    else:
        raise FileFormatError(f"{call.label} has no second half for its swiglu", hint="get the model again")
    if call.has("swiglu_limit"):
        limit = call.attr("swiglu_limit")
        gate = elementwise.minimum(gate, limit)
        linear = elementwise.maximum(elementwise.minimum(linear, limit), -limit)
    return nn.swish(gate, call.attr("activation_alpha", 1.0)) * (linear + call.attr("activation_beta", 0.0))


TABLE: dict[str, Any] = {"MoE": _mixture, "QMoE": _quantized_mixture}
