"""Arithmetic, element by element, with NumPy's broadcasting and promotion."""

from __future__ import annotations

import numpy as np

from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.complex import real_dtype
from graphflow.ops.inference import broadcast_type, only, same_type
from graphflow.ops.precision import wide
from graphflow.ops.shape import sum_to

_NUMBERS = "int uint float complex"
_REALS = "int uint float"
_BINARY = "elementwise broadcasting in_place"
_UNARY = "elementwise in_place"


@op("elementwise", infer=broadcast_type, promotion="same", traits=_BINARY + " commutative associative")
def add(x, y, /):
    """The sum, element by element: z = x + y; for booleans, x or y.

    Array API `add`; ONNX Add-14.

    >>> import graphflow as gf
    >>> gf.add(gf.constant([1.0, 2.0]), 10.0).type
    float32[2]
    """
    return np.add(x, y)


@add.gradient
def _(b, node, g):
    return [g, g]


@op("elementwise", infer=only(_NUMBERS, broadcast_type, "subtract"), promotion="same", traits=_BINARY)
def subtract(x, y, /):
    """The difference, element by element: z = x - y; unsigned integers wrap.

    Array API `subtract`; ONNX Sub-14.

    >>> import graphflow as gf
    >>> gf.subtract(gf.constant([1, 2]), gf.constant(0.5)).type
    float64[2]
    """
    return np.subtract(x, y)


@subtract.gradient
def _(b, node, g):
    return [g, lambda: b.negative(g)]


@op(
    "elementwise",
    infer=only(_NUMBERS, broadcast_type, "multiply"),
    promotion="same",
    traits=_BINARY + " commutative associative",
)
def multiply(x, y, /):
    """The product, element by element: z = x y.

    Array API `multiply`; ONNX Mul-14.

    >>> import graphflow as gf
    >>> gf.multiply(gf.constant([1.0, 2.0]), 10.0).type
    float32[2]
    """
    return np.multiply(x, y)


@multiply.gradient
def _(b, node, g):
    x, y = node.inputs
    return [lambda: b.multiply(g, y), lambda: b.multiply(g, x)]


@op("elementwise", infer=broadcast_type, promotion="float64", traits=_BINARY)
def divide(x, y, /):
    """The quotient, element by element: z = x / y; integers are divided as float64.

    x / 0 is inf with the sign of x, and 0 / 0 is NaN.
    Array API `divide`; ONNX Div-14, for floats.

    >>> import graphflow as gf
    >>> gf.divide(gf.constant([1, 2]), gf.constant([2, 4])).type
    float64[2]
    """
    return np.divide(x, y)


@divide.gradient
def _(b, node, g):
    y = node.inputs[1]
    return [
        lambda: b.divide(g, y),
        lambda: b.negative(b.divide(_total_for(b, b.multiply(g, node.output), y.shape), y)),
    ]


def _total_for(b, tensor, shape):
    """The sum over the axes along which `shape` was broadcast, before what is large is divided.

    Not if there may be nothing to add up, as 0 / 0 is NaN where the sum of no quotients is 0.
    """
    own = (1,) * (tensor.ndim - len(shape)) + tuple(shape)
    copied = [size for size, one in zip(tensor.shape, own) if size != one]
    full = all([isinstance(size, int) and size > 0 for size in copied])
    return sum_to(b, tensor, shape) if full else tensor


@op("elementwise", infer=only(_REALS, broadcast_type, "floor_divide"), promotion="same", traits=_BINARY)
@wide
def floor_divide(x, y, /):
    """The largest integer at most the quotient: z = floor(x / y); an integer divided by 0 gives 0.

    Array API `floor_divide`; NumPy's rules for zero and infinite floats.

    >>> import graphflow as gf
    >>> gf.floor_divide(gf.constant([-7, 7]), 2).type
    int32[2]
    """
    return np.floor_divide(x, y)


floor_divide.not_differentiable("it is constant between its jumps", zero=True)


@op("elementwise", infer=only(_REALS, broadcast_type, "remainder"), promotion="same", traits=_BINARY)
@wide
def remainder(x, y, /):
    """What floor division leaves, with the sign of y: z = x - y floor(x / y); for integers, 0 if y = 0.

    Array API `remainder`; ONNX Mod-28 whose `fmod` is 0.

    >>> import graphflow as gf
    >>> gf.remainder(gf.constant([-7, 7]), 2).type
    int32[2]
    """
    return np.remainder(x, y)


@remainder.gradient
def _(b, node, g):
    return [g, lambda: b.negative(b.multiply(g, b.floor_divide(*node.inputs)))]


@op("elementwise", infer=only(_REALS, broadcast_type, "fmod"), promotion="same", traits=_BINARY)
@wide
def fmod(x, y, /):
    """What division rounded towards 0 leaves, with the sign of x: z = x - y trunc(x / y).

    For integers it is 0 if y = 0.
    C and NumPy `fmod`; ONNX Mod-28 whose `fmod` is 1.

    >>> import graphflow as gf
    >>> gf.fmod(gf.constant([-7, 7]), 2).type
    int32[2]
    """
    return np.fmod(x, y)


@fmod.gradient
def _(b, node, g):
    x, y = node.inputs
    return [g, lambda: b.negative(b.multiply(g, b.round(b.divide(b.subtract(x, node.output), y))))]


@op("elementwise", infer=only(_NUMBERS, broadcast_type, "pow"), promotion="same", traits=_BINARY)
@wide
def pow(x, y, /):
    """The power, element by element: z = x^y, and 0^0 = 1.

    Integers wrap, and a negative power of an integer is rounded towards zero: 0 unless x is 1 or -1.
    A negative float to a fractional power is NaN.
    The derivative by x is 0 where y = 0; that by y is 0 where x = 0.
    Array API `pow`; ONNX Pow-15.

    >>> import graphflow as gf
    >>> gf.pow(gf.constant([1.0, 2.0]), 3).type
    float32[2]
    """
    if x.dtype.kind != "i":
        return np.power(x, y)
    inverse = np.where(np.abs(x) == 1, np.power(x, y & 1), 0)
    return np.where(y < 0, inverse, np.power(x, np.maximum(y, 0))).astype(x.dtype)


@pow.gradient
def _(b, node, g):
    x, y = node.inputs

    def to_base():
        constant = b.equal(y, 0)
        slope = b.where(constant, 0, b.multiply(y, b.pow(x, b.where(constant, 1, b.subtract(y, 1)))))
        return b.multiply(g, slope)

    def to_exponent():
        logarithm = b.log(b.where(b.equal(x, 0), 1, x))
        return b.multiply(g, b.multiply(logarithm, node.output))

    return [to_base, to_exponent]


def _greater_one_takes_all(b, node, g, first, second):
    """Cotangents of the larger (or smaller) of two: the winner's, and half each for a tie."""
    tie = b.where(b.equal(*node.inputs), b.multiply(g, 0.5), 0)
    return [lambda: b.where(first(*node.inputs), g, tie), lambda: b.where(second(*node.inputs), g, tie)]


@op(
    "elementwise",
    infer=only("bool int uint float", broadcast_type, "maximum"),
    promotion="same",
    traits=_BINARY + " commutative associative",
)
def maximum(x, y, /):
    """The larger one, element by element: z = max(x, y); NaN if either is NaN.

    The gradient of a tie goes half to each.
    Array API `maximum`; ONNX Max-13.

    >>> import graphflow as gf
    >>> gf.maximum(gf.constant([-1.0, 2.0]), 0).type
    float32[2]
    """
    return np.maximum(x, y)


@maximum.gradient
def _(b, node, g):
    return _greater_one_takes_all(b, node, g, b.greater, b.less)


@op(
    "elementwise",
    infer=only("bool int uint float", broadcast_type, "minimum"),
    promotion="same",
    traits=_BINARY + " commutative associative",
)
def minimum(x, y, /):
    """The smaller one, element by element: z = min(x, y); NaN if either is NaN.

    The gradient of a tie goes half to each.
    Array API `minimum`; ONNX Min-13.

    >>> import graphflow as gf
    >>> gf.minimum(gf.constant([-1.0, 2.0]), 0).type
    float32[2]
    """
    return np.minimum(x, y)


@minimum.gradient
def _(b, node, g):
    return _greater_one_takes_all(b, node, g, b.less, b.greater)


@op("elementwise", infer=only(_NUMBERS, same_type, "negative"), traits=_UNARY)
def negative(x, /):
    """The opposite, element by element: y = -x; unsigned integers wrap.

    Array API `negative`; ONNX Neg-13.

    >>> import graphflow as gf
    >>> gf.negative(gf.constant([1.0, -2.0])).type
    float32[2]
    """
    return np.negative(x)


@negative.gradient
def _(b, node, g):
    return [b.negative(g)]


def _size_type(types, attrs):
    return (TensorType(real_dtype(types[0].dtype), types[0].shape),)


@op("elementwise", infer=only(_NUMBERS, _size_type, "abs"), traits=_UNARY + " idempotent")
def abs(x, /):
    """The absolute value, element by element: y = |x|; its derivative at 0 is taken to be 0.

    That of a complex number u + i v is (u^2 + v^2)^(1/2), a real one.
    Array API `abs`; ONNX Abs-13.

    >>> import graphflow as gf
    >>> gf.abs(gf.constant([1.0, -2.0])).type
    float32[2]
    """
    return np.abs(x)


@abs.gradient
def _(b, node, g):
    x, size = node.inputs[0], node.output
    if x.dtype.kind != "complex":
        return [b.multiply(g, b.sign(x))]
    return [b.multiply(b.divide(g, b.where(b.equal(size, 0), 1, size)), b.conj(x))]


@op("elementwise", infer=only(_NUMBERS, same_type, "square"), traits=_UNARY)
def square(x, /):
    """The square, element by element: y = x^2.

    Array API `square`.

    >>> import graphflow as gf
    >>> gf.square(gf.constant([1.0, -2.0])).type
    float32[2]
    """
    return np.multiply(x, x)


@square.gradient
def _(b, node, g):
    return [b.multiply(g, b.multiply(node.inputs[0], 2))]


@op("elementwise", infer=same_type, promotion="float64", traits=_UNARY)
def reciprocal(x, /):
    """The inverse, element by element: y = 1 / x; integers are inverted as float64.

    Array API `reciprocal`; ONNX Reciprocal-13.

    >>> import graphflow as gf
    >>> gf.reciprocal(gf.constant([1.0, -2.0])).type
    float32[2]
    """
    return np.divide(x.dtype.type(1), x)


@reciprocal.gradient
def _(b, node, g):
    return [b.negative(b.multiply(g, b.square(node.output)))]


@op("elementwise", infer=only(_REALS, same_type, "sign"), traits=_UNARY + " idempotent")
def sign(x, /):
    """The sign, element by element: y = -1, 0 or 1; NaN for NaN.

    Array API `sign`; ONNX Sign-13.

    >>> import graphflow as gf
    >>> gf.sign(gf.constant([1.0, -2.0])).type
    float32[2]
    """
    return np.sign(x)


sign.not_differentiable("it is constant but for its jump at 0", zero=True)


@op(
    "elementwise",
    infer=only("float", broadcast_type, "copysign"),
    promotion="float",
    traits=_BINARY,
)
@wide
def copysign(x, y, /):
    """The size of x with the sign of y, element by element: z = |x| if y is +0 or more, else -|x|.

    The sign bit decides, also that of zero and NaN. Array API `copysign`.

    >>> import graphflow as gf
    >>> gf.copysign(gf.constant([1.0, 2.0]), -0.0).type
    float32[2]
    """
    return np.copysign(x, y)


@copysign.gradient
def _(b, node, g):
    x, y = node.inputs
    one = b.like(1, x)
    return [b.multiply(g, b.multiply(b.copysign(one, x), b.copysign(one, y))), None]
