"""Recurrent nets as functions of tensors: rnn, lstm and gru, each a loop over the steps of its sequences."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.node import Tensor
from graphflow.nn.recurrence import Cell, Options, States, Step, Way, recurrent
from graphflow.ops.composite import composite


@composite
def rnn(
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    initial_state: Any = None,
    lengths: Any = None,
    *,
    direction: str = "forward",
    activations: Any = "tanh",
    clip: float | None = None,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor]:
    """A simple recurrent net: h_t = f(x_t W^T + h_{t-1} R^T + b), and y_t = h_t.

    Arguments:
        x: sequences, floats of shape [time, batch, features].
        w: W of each direction, [directions, units, features]. All weights may lack the axis of directions
            where there is one: states and outputs lack it, too.
        r: R of each direction, [directions, units, units].
        b: biases: [directions, 2 * units], the one of the product with W and then that of the product with
            R, or [directions, units], their sum; 0 by default.
        initial_state: h_0, [directions, batch, units]; 0 by default.
        lengths: integers of shape [batch]: the number of steps of each sequence. Behind it the state stays
            and the output is 0, whatever x holds there.
        direction: "forward", "reverse" (from the last step of each sequence to its first) or
            "bidirectional" (both, of which the second is reverse). Outputs stay at the index of their step.
        activations: f for all directions, or one for each: a function that keeps the type of a tensor; or a
            name: "relu", "tanh", "sigmoid", "softsign", "softplus"; or a name with its numbers, which may be
            left out: ("affine", alpha=1, beta=0), ("leaky_relu", alpha=0.01), ("thresholded_relu", alpha=1),
            ("scaled_tanh", alpha=1, beta=1), ("hard_sigmoid", alpha=0.2, beta=0.5), ("elu", alpha=1).
        clip: what goes into an activation is clipped to between -clip and clip.
        batch_first: x and the outputs have the batch as their first axis, and states have it before the
            directions.

    Returns:
        the pair (y, h): all outputs, [time, directions, batch, units], or with batch_first
        [batch, time, directions, units]; and the last h, of the shape of initial_state.

    Raises:
        ShapeError, DTypeError, AttributeValueError: if shapes, dtypes or options do not fit.

    Source: Elman, "Finding structure in time" (1990); ONNX RNN-22, whose layout 1 is batch_first.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("time", "batch", 8))
    >>> y, h = gf.nn.rnn(x, gf.ones((16, 8)), gf.ones((16, 16)), activations="relu")
    >>> y.type, h.type
    (float32[time, batch, 16], float32[batch, 16])
    """
    cell = Cell("rnn", 1, ("initial_state",), 1, _rnn_step)
    options = Options(direction, activations, clip, batch_first)
    y, (h,) = recurrent(cell, x, {"w": w, "r": r, "bias": b}, [initial_state], lengths, options)
    return y, h


def _rnn_step(b: Builder, way: Way) -> Step:
    def step(states: States, sums: Tensor) -> States:
        inner = builder_for([sums])
        return (way.apply(inner, 0, inner.add(sums, inner.matmul(states[0], way.r))),)

    return step


@composite
def lstm(
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    initial_state: Any = None,
    lengths: Any = None,
    peephole: Any = None,
    *,
    direction: str = "forward",
    activations: Any = ("sigmoid", "tanh", "tanh"),
    clip: float | None = None,
    input_forget: bool = False,
    batch_first: bool = False,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """A long short-term memory: gates decide what a cell takes in, keeps and shows.

    With the activations f, g, h and the product (.) of elements,

        i = f(x_t W_i^T + h_{t-1} R_i^T + P_i (.) c_{t-1} + b_i)        what it takes in
        f = f(x_t W_f^T + h_{t-1} R_f^T + P_f (.) c_{t-1} + b_f)        what it keeps
        c_t = f (.) c_{t-1} + i (.) g(x_t W_c^T + h_{t-1} R_c^T + b_c)
        o = f(x_t W_o^T + h_{t-1} R_o^T + P_o (.) c_t + b_o)            what it shows
        y_t = h_t = o (.) h(c_t)

    Arguments:
        x: sequences, floats of shape [time, batch, features].
        w: W of each direction, [directions, 4 * units, features], with the rows of the gates in the order
            i, o, f, c. All weights may lack the axis of directions where there is one: states and outputs
            lack it, too.
        r: R of each direction, [directions, 4 * units, units], in the same order.
        b: biases: [directions, 8 * units], those of the products with W and then those with R, or
            [directions, 4 * units], their sum; 0 by default.
        initial_state: the pair (h_0, c_0), each [directions, batch, units]; 0 by default.
        peephole: P of each direction, [directions, 3 * units] in the order i, o, f; 0 by default.
        lengths, direction, clip, batch_first: see `gf.nn.rnn`; clip does not change the cell that is kept.
        activations: (f, g, h) for all directions, or the three of each; see `gf.nn.rnn`.
        input_forget: keep what is not taken in, f = 1 - i.

    Returns:
        the pair (y, (h, c)): all outputs, [time, directions, batch, units], or with batch_first
        [batch, time, directions, units]; and the last h and c, of the shapes of initial_state.

    Raises:
        ShapeError, DTypeError, AttributeValueError: if shapes, dtypes or options do not fit.

    Source: Hochreiter and Schmidhuber, "Long short-term memory" (1997); Gers et al., "Learning precise
    timing with LSTM recurrent networks" (2002); ONNX LSTM-22, whose layout 1 is batch_first.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("time", "batch", 8))
    >>> w, r = gf.variable("w", (2, 64, 8)), gf.variable("r", (2, 64, 16))
    >>> y, (h, c) = gf.nn.lstm(x, w, r, direction="bidirectional")
    >>> y.type, c.type
    (float32[time, 2, batch, 16], float32[2, batch, 16])
    """
    cell = Cell("lstm", 4, ("initial_h", "initial_c"), 3, _coupled_step if input_forget else _lstm_step)
    options = Options(direction, activations, clip, batch_first)
    weights = {"w": w, "r": r, "bias": b, "peephole": peephole}
    y, (h, c) = recurrent(cell, x, weights, _pair(initial_state), lengths, options)
    return y, (h, c)


def _pair(state: Any) -> tuple[Any, Any]:
    """h_0 and c_0."""
    if state is None:
        return None, None
    if isinstance(state, (tuple, list)) and len(state) == 2:
        return state[0], state[1]
    raise AttributeValueError("the initial_state of lstm is no pair", hint="pass (h, c); one may be None")


def _coupled_step(b: Builder, way: Way) -> Step:
    return _lstm_step(b, way, coupled=True)


def _lstm_step(b: Builder, way: Way, coupled: bool = False) -> Step:
    peeps: list[Tensor | None] = [None] * 3
    if way.peephole is not None:
        peeps = list(b.split(way.peephole, sections=3, axis=0))

    def step(states: States, sums: Tensor) -> States:
        inner = builder_for([sums])

        def gate(total: Tensor, cell: Tensor, weight: Tensor | None) -> Tensor:
            return way.apply(
                inner, 0, total if weight is None else inner.add(total, inner.multiply(cell, weight))
            )

        hidden, cell = states
        totals = inner.split(inner.add(sums, inner.matmul(hidden, way.r)), sections=4, axis=1)
        take = gate(totals[0], cell, peeps[0])
        keep = inner.subtract(1, take) if coupled else gate(totals[2], cell, peeps[2])
        new = inner.add(inner.multiply(keep, cell), inner.multiply(take, way.apply(inner, 1, totals[3])))
        show = gate(totals[1], new, peeps[1])
        return inner.multiply(show, way.apply(inner, 2, new)), new

    return step


@composite
def gru(
    x: Any,
    w: Any,
    r: Any,
    b: Any = None,
    initial_state: Any = None,
    lengths: Any = None,
    *,
    direction: str = "forward",
    activations: Any = ("sigmoid", "tanh"),
    clip: float | None = None,
    linear_before_reset: bool = False,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor]:
    """A gated recurrent unit: a state, of which gates decide how much is renewed.

    With the activations f, g and the product (.) of elements,

        z = f(x_t W_z^T + h_{t-1} R_z^T + b_z)                          what stays
        r = f(x_t W_r^T + h_{t-1} R_r^T + b_r)                          what the new value sees of the old
        n = g(x_t W_h^T + (r (.) h_{t-1}) R_h^T + b_h)
        y_t = h_t = (1 - z) (.) n + z (.) h_{t-1}

    and with linear_before_reset n = g(x_t W_h^T + bW_h + r (.) (h_{t-1} R_h^T + bR_h)), which takes one
    product of matrices a step rather than two.

    Arguments:
        x: sequences, floats of shape [time, batch, features].
        w: W of each direction, [directions, 3 * units, features], with the rows of the gates in the order
            z, r, h. All weights may lack the axis of directions where there is one: states and outputs
            lack it, too.
        r: R of each direction, [directions, 3 * units, units], in the same order.
        b: biases: [directions, 6 * units], those of the products with W and then those with R; or, without
            linear_before_reset, [directions, 3 * units], their sum; 0 by default.
        initial_state: h_0, [directions, batch, units]; 0 by default.
        lengths, direction, clip, batch_first: see `gf.nn.rnn`.
        activations: (f, g) for all directions, or the two of each; see `gf.nn.rnn`.
        linear_before_reset: see above; as in cuDNN, PyTorch and Keras.

    Returns:
        the pair (y, h): all outputs, [time, directions, batch, units], or with batch_first
        [batch, time, directions, units]; and the last h, of the shape of initial_state.

    Raises:
        ShapeError, DTypeError, AttributeValueError: if shapes, dtypes or options do not fit.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014); ONNX GRU-22,
    whose layout 1 is batch_first.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("time", "batch", 8))
    >>> w, r = gf.variable("w", (48, 8)), gf.variable("r", (48, 16))
    >>> y, h = gf.nn.gru(x, w, r, direction="reverse")
    >>> y.type, h.type
    (float32[time, batch, 16], float32[batch, 16])
    """
    step = _linear_gru_step if linear_before_reset else _gru_step
    cell = Cell("gru", 3, ("initial_state",), 2, step, separate_bias=bool(linear_before_reset))
    options = Options(direction, activations, clip, batch_first)
    y, (h,) = recurrent(cell, x, {"w": w, "r": r, "bias": b}, [initial_state], lengths, options)
    return y, h


def _gru_step(b: Builder, way: Way) -> Step:
    units = way.r.shape[0]
    gates, renew = b.split(way.r, sections=(2 * units, units), axis=1)

    def step(states: States, sums: Tensor) -> States:
        inner, old = builder_for([sums]), states[0]
        known, fresh = inner.split(sums, sections=(2 * units, units), axis=1)
        totals = inner.split(inner.add(known, inner.matmul(old, gates)), sections=2, axis=1)
        stay, reset = (way.apply(inner, 0, total) for total in totals)
        total = inner.add(fresh, inner.matmul(inner.multiply(reset, old), renew))
        return (_between(inner, way.apply(inner, 1, total), old, stay),)

    return step


def _linear_gru_step(b: Builder, way: Way) -> Step:
    def step(states: States, sums: Tensor) -> States:
        inner, old = builder_for([sums]), states[0]
        product = inner.matmul(old, way.r)
        if way.inner_bias is not None:
            product = inner.add(product, way.inner_bias)
        known, seen = (inner.split(one, sections=3, axis=1) for one in (sums, product))
        stay, reset = (way.apply(inner, 0, inner.add(known[place], seen[place])) for place in (0, 1))
        total = inner.add(known[2], inner.multiply(reset, seen[2]))
        return (_between(inner, way.apply(inner, 1, total), old, stay),)

    return step


def _between(b: Builder, new: Tensor, old: Tensor, stay: Tensor) -> Tensor:
    """(1 - stay) new + stay old."""
    return b.add(new, b.multiply(stay, b.subtract(old, new)))
