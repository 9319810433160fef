"""The bits of the elements, read as another dtype (family elementwise)."""

from __future__ import annotations

import numpy as np

from graphflow.errors import DTypeError
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType


def _bitcast_attrs(types, attrs):
    return {"dtype": as_dtype(attrs["dtype"])}


def _bitcast_type(types, attrs):
    source, target = types[0].dtype, attrs["dtype"]
    for dtype in (source, target):
        if dtype.kind == "string":
            raise DTypeError(
                f"bitcast does not take {dtype}", hint="it takes numbers; gf.astype parses and prints them"
            )
    if source.bits != target.bits:
        raise DTypeError(
            f"bitcast cannot read the {source.bits} bits of {source} as {target}",
            hint=f"name a dtype of {source.bits} bits, or convert with gf.astype",
        )
    return (TensorType(target, types[0].shape),)


@op("elementwise", infer=_bitcast_type, normalize=_bitcast_attrs, traits="elementwise any_dtype")
def bitcast(x, /, dtype):
    """The same bits as another dtype of the same width: bits(y) = bits(x).

    The bits of a boolean are those of 0 or 1; to bool, all bits but those of 0 are true.

    Arguments:
        x: numbers or booleans, of narrow dtypes too.
        dtype: a GraphFlow dtype, its name, or a NumPy dtype.

    Raises:
        DTypeError: if the widths differ, or for strings.

    ONNX BitCast-26.

    >>> import graphflow as gf
    >>> gf.bitcast(gf.constant([1.0, -0.0]), gf.int32).type
    int32[2]
    """
    source, target = as_dtype(x.dtype), as_dtype(dtype)
    shape, x = np.shape(x), np.ascontiguousarray(x)
    if source.bits < 8:  # of the byte in which it lies, only the lowest bits mean anything
        x = x.view(np.uint8) & np.uint8(2**source.bits - 1)
        x = x.astype(target.numpy) if target.kind.endswith("int") else x.view(target.numpy)
    elif target.kind == "bool":
        x = x.view(np.uint8) != 0
    else:
        x = x.view(target.numpy)
    return x.reshape(shape)


bitcast.not_differentiable("bits have no derivative", zero=True)
