"""JAX lowerings of convolution: the gradients are the transposes that JAX itself derives.

So a training step compiles to the same XLA program as one written in JAX by hand.
"""

from __future__ import annotations

from typing import Any

import jax
from jax import lax

from graphflow.runtime.jax.lowering import lowering

_LAYOUTS = {
    1: ("NCH", "OIH", "NCH"),
    2: ("NCHW", "OIHW", "NCHW"),
    3: ("NCDHW", "OIDHW", "NCDHW"),
}


@lowering("conv")
def _conv(x: Any, w: Any, strides: Any, padding: Any, dilation: Any, groups: int) -> Any:
    return lax.conv_general_dilated(
        x,
        w,
        window_strides=strides,
        padding=padding,
        rhs_dilation=dilation,
        dimension_numbers=_LAYOUTS[len(strides)],
        feature_group_count=groups,
    )


@lowering("conv_input_gradient")
def _input_gradient(g: Any, w: Any, input_shape: Any, **geometry: Any) -> Any:
    x = jax.ShapeDtypeStruct(input_shape, g.dtype)
    return jax.linear_transpose(lambda x: _conv(x, w, **geometry), x)(g)[0]


@lowering("conv_weight_gradient")
def _weight_gradient(x: Any, g: Any, kernel_shape: Any, **geometry: Any) -> Any:
    w = jax.ShapeDtypeStruct(kernel_shape, g.dtype)
    return jax.linear_transpose(lambda w: _conv(x, w, **geometry), w)(g)[0]
