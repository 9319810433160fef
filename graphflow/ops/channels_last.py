"""Convolution with the channels in the last axis, as compilers for processors run it fastest.

Images are [batch, *spatial, channels] and kernels [*kernel, channels / groups, out channels]. Apart from
the order of axes the three operators are `conv` and its gradients, to the letter: each is defined by
permuting the axes of its operands and result. Users write `conv`; the pass `layout` puts these in its
place where the target gains by it, together with the `algorithm` that the target is to use.
"""

from __future__ import annotations

from graphflow.errors import AttributeValueError
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType, as_shape
from graphflow.ops import conv as plain
from graphflow.ops.inference import require

ALGORITHMS = {
    "direct": "what the target has for convolutions",
    "dot": "a product of matrices for each group, for kernels of one element without padding",
    "im2col": "a product of matrices with what the windows hold, group by group",
    "shifts": "a sum of shifted images times numbers, for as many groups as channels",
}
"""How a convolution may be computed. They differ in rounding alone."""


def image_last(rank):
    """The axes that bring [batch, channels, *spatial] to [batch, *spatial, channels].

    >>> image_last(4)
    (0, 2, 3, 1)
    """
    return (0, *range(2, rank), 1)


def image_first(rank):
    """The axes that bring [batch, *spatial, channels] to [batch, channels, *spatial]."""
    return (0, rank - 1, *range(1, rank - 1))


def kernel_last(rank):
    """The axes that bring [out, in, *kernel] to [*kernel, in, out].

    >>> kernel_last(4)
    (2, 3, 1, 0)
    """
    return (*range(2, rank), 1, 0)


def kernel_first(rank):
    """The axes that bring [*kernel, in, out] to [out, in, *kernel]."""
    return (rank - 1, rank - 2, *range(rank - 2))


_SHAPES = {"input_shape": (image_first, image_last), "kernel_shape": (kernel_first, kernel_last)}


class _Twin:
    """The facets of an operator that is another one with the axes of its operands and result permuted.

    Arguments:
        model: the operator that it is, with channels first.
        operands: for each operand the function that gives the axes which bring it to the model's order.
        result: the function for the axes that bring the model's result back.
    """

    def __init__(self, model, operands, result):
        self.model, self.operands, self.result = model, operands, result

    def types(self, types):
        """The operands' types as the model has them."""
        require(
            all([kind.rank >= 3 for kind in types]),
            f"{self.model.name} needs images of batch, spatial axes and channels, and kernels of that rank",
        )
        return tuple([_permuted(kind, order(kind.rank)) for kind, order in zip(types, self.operands)])

    def attrs(self, attrs, direction=0):
        """The attributes as the model has them, or with direction 1 those of the model as they are here."""
        made = {name: value for name, value in attrs.items() if name != "algorithm"}
        for name in _SHAPES.keys() & made.keys():
            shape = as_shape(made[name])
            made[name] = tuple([shape[axis] for axis in _SHAPES[name][direction](len(shape))])
        return made

    def normalize(self, types, attrs):
        """Attributes in canonical form."""
        algorithm = attrs["algorithm"]
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise AttributeValueError(
                f"a convolution has no algorithm {algorithm!r:.80}", hint="use " + ", ".join(ALGORITHMS)
            )
        made = self.attrs(self.model.normalize(self.types(types), self.attrs(attrs)), 1)
        _require_fit(algorithm, {**attrs, **made}, types, self.model)
        return {**made, "algorithm": algorithm}

    def infer(self, types, attrs):
        """The type of the result."""
        (made,) = self.model.infer(self.types(types), self.attrs(attrs))
        return (_permuted(made, self.result(made.rank)),)

    def compute(self, *arrays, **attrs):
        """The reference."""
        given = [array.transpose(order(array.ndim)) for array, order in zip(arrays, self.operands)]
        made = self.model.reference(*given, **self.attrs(attrs))
        return made.transpose(self.result(made.ndim)).copy()

    def decompose(self, b, node):
        """The same by the model between permutations."""
        given = [
            b.permute_dims(tensor, axes=order(tensor.ndim))
            for tensor, order in zip(node.inputs, self.operands)
        ]
        made = b.apply(self.model, given, self.attrs(node.attrs))
        return [b.permute_dims(made, axes=self.result(made.ndim))]


def _permuted(kind, axes):
    return TensorType(kind.dtype, tuple([kind.shape[axis] for axis in axes]))


def _require_fit(algorithm, attrs, types, model):
    """Refuse an algorithm for a convolution that it cannot compute."""
    kernel = attrs.get("kernel_shape", types[-1].shape)
    if algorithm == "dot":
        fits = set(kernel[:-2]) == {1} and not any(map(any, attrs["padding"]))
        require(fits, f"{model.name} is a product only for kernels of one element and no padding")
    if algorithm == "shifts":
        require(kernel[-2] == 1, f"{model.name} by shifts needs as many groups as channels")


_CONV = _Twin(plain.conv, (image_first, kernel_first), image_last)
_INPUT = _Twin(plain.conv_input_gradient, (image_first, kernel_first), image_last)
_WEIGHT = _Twin(plain.conv_weight_gradient, (image_first, image_first), kernel_last)


@op("conv", infer=_CONV.infer, normalize=_CONV.normalize, promotion="same", traits="contraction")
def channels_last_conv(x, w, /, strides=1, padding=0, dilation=1, groups=1, algorithm="direct"):
    """Convolution with the channels last: y[n, p, o] = sum_(c,k) x[n, p + k, c] w[k, c, o].

    Arguments:
        x: numbers of shape [batch, *spatial, channels].
        w: kernels of shape [*kernel, channels / groups, out channels].
        strides, padding, dilation, groups: see `conv`.
        algorithm: how a compiler is to do it: "direct", "dot", "im2col" or "shifts", see `ALGORITHMS`. The
            reference always does the same; algorithms differ in the order in which products are added up.

    Returns:
        [batch, *positions, out channels] of the promoted dtype.

    Raises:
        ShapeError: if channels or sizes do not fit, or the algorithm cannot compute it.

    Source: XLA ConvGeneralDilated with the dimension numbers NHWC, HWIO -> NHWC.

    >>> import graphflow as gf
    >>> x, w = gf.placeholder("x", ("batch", 8, 8, 3)), gf.placeholder("w", (3, 3, 3, 16))
    >>> gf.ops.channels_last.channels_last_conv(x, w, padding="same").type
    float32[batch, 8, 8, 16]
    """
    attrs = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    return _CONV.compute(x, w, **attrs)


@channels_last_conv.gradient
def _(b, node, g):
    x, w = node.inputs
    return [
        lambda: b.channels_last_conv_input_gradient(g, w, input_shape=x.shape, **node.attrs),
        lambda: b.channels_last_conv_weight_gradient(x, g, kernel_shape=w.shape, **node.attrs),
    ]


channels_last_conv.decomposition(_CONV.decompose)


@op("conv", infer=_INPUT.infer, normalize=_INPUT.normalize, promotion="same", traits="contraction")
def channels_last_conv_input_gradient(
    g, w, /, input_shape, strides=1, padding=0, dilation=1, groups=1, algorithm="direct"
):
    """The gradient of `channels_last_conv` with respect to its input.

    Arguments:
        g: the cotangent of the result, [batch, *positions, out channels].
        w: the kernels, [*kernel, channels / groups, out channels].
        input_shape: the shape of the input, [batch, *spatial, channels].
        strides, padding, dilation, groups, algorithm: those of the convolution.

    Returns:
        a tensor of shape `input_shape`.

    >>> import graphflow as gf
    >>> g, w = gf.placeholder("g", (1, 4, 4, 8)), gf.placeholder("w", (3, 3, 3, 8))
    >>> gf.ops.channels_last.channels_last_conv_input_gradient(g, w, input_shape=(1, 6, 6, 3)).type
    float32[1, 6, 6, 3]
    """
    attrs = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    return _INPUT.compute(g, w, input_shape=input_shape, **attrs)


@channels_last_conv_input_gradient.gradient
def _(b, node, u):
    g, w = node.inputs
    geometry = {name: value for name, value in node.attrs.items() if name != "input_shape"}
    return [
        lambda: b.channels_last_conv(u, w, **geometry),
        lambda: b.channels_last_conv_weight_gradient(u, g, kernel_shape=w.shape, **geometry),
    ]


channels_last_conv_input_gradient.decomposition(_INPUT.decompose)


@op("conv", infer=_WEIGHT.infer, normalize=_WEIGHT.normalize, promotion="same", traits="contraction")
def channels_last_conv_weight_gradient(
    x, g, /, kernel_shape, strides=1, padding=0, dilation=1, groups=1, algorithm="direct"
):
    """The gradient of `channels_last_conv` with respect to its kernels.

    Arguments:
        x: the input of the convolution, [batch, *spatial, channels].
        g: the cotangent of its result, [batch, *positions, out channels].
        kernel_shape: the shape of the kernels, [*kernel, channels / groups, out channels].
        strides, padding, dilation, groups, algorithm: those of the convolution.

    Returns:
        a tensor of shape `kernel_shape`.

    >>> import graphflow as gf
    >>> x, g = gf.placeholder("x", (1, 6, 6, 3)), gf.placeholder("g", (1, 4, 4, 8))
    >>> gf.ops.channels_last.channels_last_conv_weight_gradient(x, g, kernel_shape=(3, 3, 3, 8)).type
    float32[3, 3, 3, 8]
    """
    attrs = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    return _WEIGHT.compute(x, g, kernel_shape=kernel_shape, **attrs)


@channels_last_conv_weight_gradient.gradient
def _(b, node, v):
    x, g = node.inputs
    geometry = {name: value for name, value in node.attrs.items() if name != "kernel_shape"}
    return [
        lambda: b.channels_last_conv_input_gradient(g, v, input_shape=x.shape, **geometry),
        lambda: b.channels_last_conv(x, v, **geometry),
    ]


channels_last_conv_weight_gradient.decomposition(_WEIGHT.decompose)
