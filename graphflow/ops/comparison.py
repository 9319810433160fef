"""Comparison, logic on booleans, logic on bits, and the choice between two tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import DTypeError
from graphflow.ir.dtypes import bool_
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.inference import broadcast_bool, broadcast_shapes, broadcast_type, only, same_type

_BOOLEAN = "its result is boolean"
_COMPARING = "elementwise broadcasting"
_ORDERED: dict[str, Any] = {
    "infer": only("bool int uint float", broadcast_bool, "an order"),
    "promotion": "same",
    "traits": _COMPARING,
}


@op("comparison", infer=broadcast_bool, promotion="same", traits=_COMPARING + " commutative any_dtype")
def equal(x, y, /):
    """Whether the elements are equal: z = (x = y); NaN equals nothing, and -0.0 equals 0.0.

    Array API `equal`; ONNX Equal-19.

    >>> import graphflow as gf
    >>> gf.equal(gf.constant([1, 2]), 2).type
    bool[2]
    """
    return np.equal(x, y)


equal.not_differentiable(_BOOLEAN, zero=True)


@op("comparison", infer=broadcast_bool, promotion="same", traits=_COMPARING + " commutative any_dtype")
def not_equal(x, y, /):
    """Whether the elements differ: z = not (x = y); NaN differs from everything.

    Array API `not_equal`.

    >>> import graphflow as gf
    >>> gf.not_equal(gf.constant([1, 2]), 2).type
    bool[2]
    """
    return np.not_equal(x, y)


not_equal.not_differentiable(_BOOLEAN, zero=True)


@op("comparison", **_ORDERED)
def less(x, y, /):
    """Whether the first is smaller: z = (x < y); false for NaN.

    Array API `less`; ONNX Less-13.

    >>> import graphflow as gf
    >>> gf.less(gf.constant([1, 2]), 2).type
    bool[2]
    """
    return np.less(x, y)


less.not_differentiable(_BOOLEAN, zero=True)


@op("comparison", **_ORDERED)
def less_equal(x, y, /):
    """Whether the first is smaller or equal: z = (x <= y); false for NaN.

    Array API `less_equal`; ONNX LessOrEqual-16.

    >>> import graphflow as gf
    >>> gf.less_equal(gf.constant([1, 2]), 2).type
    bool[2]
    """
    return np.less_equal(x, y)


less_equal.not_differentiable(_BOOLEAN, zero=True)


@op("comparison", **_ORDERED)
def greater(x, y, /):
    """Whether the first is larger: z = (x > y); false for NaN.

    Array API `greater`; ONNX Greater-13.

    >>> import graphflow as gf
    >>> gf.greater(gf.constant([1, 2]), 2).type
    bool[2]
    """
    return np.greater(x, y)


greater.not_differentiable(_BOOLEAN, zero=True)


@op("comparison", **_ORDERED)
def greater_equal(x, y, /):
    """Whether the first is larger or equal: z = (x >= y); false for NaN.

    Array API `greater_equal`; ONNX GreaterOrEqual-16.

    >>> import graphflow as gf
    >>> gf.greater_equal(gf.constant([1, 2]), 2).type
    bool[2]
    """
    return np.greater_equal(x, y)


greater_equal.not_differentiable(_BOOLEAN, zero=True)


def _logical(operation, infer=broadcast_type):
    def checked(types, attrs):
        for type in types:
            if type.dtype is not bool_:
                raise DTypeError(
                    f"{operation} takes booleans, not {type.dtype}",
                    hint="ask a question first, for example gf.not_equal(x, 0)",
                )
        return infer(types, attrs)

    return checked


_LOGIC = "elementwise broadcasting commutative associative in_place"


@op("comparison", infer=_logical("logical_and"), traits=_LOGIC)
def logical_and(x, y, /):
    """Whether both are true: z = x and y.

    Array API `logical_and`; ONNX And-7.

    >>> import graphflow as gf
    >>> gf.logical_and(gf.constant([True, False]), True).type
    bool[2]
    """
    return np.logical_and(x, y)


logical_and.not_differentiable(_BOOLEAN, zero=True)


@op("comparison", infer=_logical("logical_or"), traits=_LOGIC)
def logical_or(x, y, /):
    """Whether at least one is true: z = x or y.

    Array API `logical_or`; ONNX Or-7.

    >>> import graphflow as gf
    >>> gf.logical_or(gf.constant([True, False]), True).type
    bool[2]
    """
    return np.logical_or(x, y)


logical_or.not_differentiable(_BOOLEAN, zero=True)


@op("comparison", infer=_logical("logical_xor"), traits=_LOGIC)
def logical_xor(x, y, /):
    """Whether exactly one is true: z = (x != y).

    Array API `logical_xor`; ONNX Xor-7.

    >>> import graphflow as gf
    >>> gf.logical_xor(gf.constant([True, False]), True).type
    bool[2]
    """
    return np.logical_xor(x, y)


logical_xor.not_differentiable(_BOOLEAN, zero=True)


@op("comparison", infer=_logical("logical_not", same_type), traits="elementwise in_place")
def logical_not(x, /):
    """The opposite: y = not x.

    Array API `logical_not`; ONNX Not-1.

    >>> import graphflow as gf
    >>> gf.logical_not(gf.constant([True, False])).type
    bool[2]
    """
    return np.logical_not(x)


logical_not.not_differentiable(_BOOLEAN, zero=True)


def _chosen_type(types, attrs):
    condition, x, y = types
    if condition.dtype is not bool_:
        raise DTypeError(
            f"where needs a boolean condition, not {condition.dtype}",
            hint="ask a question first, for example gf.not_equal(condition, 0)",
        )
    return (TensorType(x.dtype, broadcast_shapes(condition.shape, x.shape, y.shape)),)


@op("comparison", infer=_chosen_type, promotion="same_but_first", traits="elementwise broadcasting any_dtype")
def where(condition, x, y, /):
    """The choice between two tensors, element by element: z = x if condition else y.

    The side that is not chosen gets the gradient 0, even where its value is NaN. That does not help
    an operator before it whose own derivative is infinite there: give that one a safe argument.

    Arguments:
        condition: booleans.
        x, y: of any dtype; they are promoted to a common one.

    Array API `where`; ONNX Where-16.

    >>> import graphflow as gf
    >>> gf.where(gf.constant([True, False]), 1.0, 0).type
    float32[2]
    """
    return np.where(condition, x, y)


@where.gradient
def _(b, node, g):
    condition = node.inputs[0]
    return [None, lambda: b.where(condition, g, 0), lambda: b.where(condition, 0, g)]


_WHOLE = "it works on integers and booleans"


def _bits(operation):
    return only("bool int uint", broadcast_type, operation)


@op("comparison", infer=_bits("bitwise_and"), promotion="same", traits=_LOGIC)
def bitwise_and(x, y, /):
    """The bits that are set in both: z = x & y.

    Array API `bitwise_and`; ONNX BitwiseAnd-18.

    >>> import graphflow as gf
    >>> gf.bitwise_and(gf.constant([12, 10]), 6).type
    int32[2]
    """
    return np.bitwise_and(x, y)


bitwise_and.not_differentiable(_WHOLE)


@op("comparison", infer=_bits("bitwise_or"), promotion="same", traits=_LOGIC)
def bitwise_or(x, y, /):
    """The bits that are set in either: z = x | y.

    Array API `bitwise_or`; ONNX BitwiseOr-18.

    >>> import graphflow as gf
    >>> gf.bitwise_or(gf.constant([12, 10]), 6).type
    int32[2]
    """
    return np.bitwise_or(x, y)


bitwise_or.not_differentiable(_WHOLE)


@op("comparison", infer=_bits("bitwise_xor"), promotion="same", traits=_LOGIC)
def bitwise_xor(x, y, /):
    """The bits that are set in exactly one: z = x ^ y.

    Array API `bitwise_xor`; ONNX BitwiseXor-18.

    >>> import graphflow as gf
    >>> gf.bitwise_xor(gf.constant([12, 10]), 6).type
    int32[2]
    """
    return np.bitwise_xor(x, y)


bitwise_xor.not_differentiable(_WHOLE)


@op("comparison", infer=only("bool int uint", same_type, "bitwise_invert"), traits="elementwise in_place")
def bitwise_invert(x, /):
    """The bits that are not set: y = ~x; for booleans, not x.

    Array API `bitwise_invert`; ONNX BitwiseNot-18.

    >>> import graphflow as gf
    >>> gf.bitwise_invert(gf.constant([12, 10])).type
    int32[2]
    """
    return np.invert(x)


bitwise_invert.not_differentiable(_WHOLE)

_SHIFTING = "elementwise broadcasting in_place"


@op("comparison", infer=only("int uint", broadcast_type, "a shift"), promotion="same", traits=_SHIFTING)
def bitwise_left_shift(x, y, /):
    """The bits moved up by y places, the lowest filled with zeros: z = x 2^y, wrapped.

    A shift by as many places as there are bits, or more, gives 0; so does a negative one.
    Array API `bitwise_left_shift`; ONNX BitShift-11.

    >>> import graphflow as gf
    >>> gf.bitwise_left_shift(gf.constant([12, 10]), 2).type
    int32[2]
    """
    return np.left_shift(x, y)


bitwise_left_shift.not_differentiable(_WHOLE)


@op("comparison", infer=only("int uint", broadcast_type, "a shift"), promotion="same", traits=_SHIFTING)
def bitwise_right_shift(x, y, /):
    """The bits moved down by y places, the highest filled with the sign: z = floor(x / 2^y).

    A shift by as many places as there are bits, or more, gives 0 or -1; so does a negative one.
    Array API `bitwise_right_shift`; ONNX BitShift-11.

    >>> import graphflow as gf
    >>> gf.bitwise_right_shift(gf.constant([12, 10]), 2).type
    int32[2]
    """
    return np.right_shift(x, y)


bitwise_right_shift.not_differentiable(_WHOLE)
