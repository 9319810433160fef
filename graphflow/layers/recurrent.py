"""Recurrent layers: rnn, lstm and gru with variables of their own, in one direction or both."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.ir.graph import default_graph, scoped
from graphflow.ir.node import Tensor
from graphflow.layers.scope import layer_input, layer_scope, positive, static_size
from graphflow.layers.sharing import variable
from graphflow.nn import recurrent
from graphflow.ops import initializers
from graphflow.ops.composite import composite
from graphflow.ops.inference import real_number, require, show


class _Settings(NamedTuple):
    """What all kinds of recurrent layers let the user choose."""

    units: Any
    return_sequences: Any
    bidirectional: Any
    reverse: Any
    initial_state: Any
    lengths: Any
    kernel_initializer: Any
    recurrent_initializer: Any
    name: str | None


@composite
def rnn(
    x: Any,
    units: int,
    return_sequences: bool = True,
    bidirectional: bool = False,
    initial_state: Any = None,
    lengths: Any = None,
    activation: Any = "tanh",
    use_bias: bool = True,
    kernel_initializer: Any = None,
    recurrent_initializer: Any = None,
    name: str | None = None,
    *,
    reverse: bool = False,
    clip: float | None = None,
) -> tuple[Tensor, Any]:
    """A simple recurrent layer over [batch, time, features]: h_t = f(x_t K^T + h_{t-1} R^T + bias).

    Variables: `kernel` K of shape [units, features], `recurrent_kernel` R of shape [units, units] and `bias`
    of shape [units]; in both directions those under `forward` and those under `reverse`.

    Arguments:
        x: floats of shape [batch, time, features]; the number of features must be known.
        units: the size of the state.
        return_sequences: give the outputs of all steps, not of the last one alone.
        bidirectional: go from the first step to the last and, with other weights, from the last to the
            first; the outputs of both stand side by side.
        initial_state: h_0, [batch, units]; in both directions the pair of theirs; 0 by default.
        lengths: integers of shape [batch], the number of steps of each sequence; what lies behind it is
            not read, outputs there are 0, and the last step is that before it.
        activation: f; see `gf.nn.rnn`.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer: glorot_uniform and orthogonal by default.
        name: the scope of the variables; "rnn", with a suffix where that is taken, by default.
        reverse: go from the last step to the first.
        clip: see `gf.nn.rnn`.

    Returns:
        the pair (y, h): the outputs, [batch, time, units], or the last one of each sequence, [batch, units];
        twice as many units in both directions. And the last state, in the form of initial_state.

    Raises:
        ShapeError, DTypeError, AttributeValueError: if shapes, dtypes or options do not fit.
        GraphError: if the given name is that of another layer.

    Source: see `gf.nn.rnn`.

    >>> import graphflow as gf
    >>> y, h = gf.layers.rnn(gf.placeholder("x", ("batch", "time", 8)), 16, bidirectional=True)
    >>> y.type, h[0].type
    (float32[batch, time, 32], float32[batch, 16])
    """
    settings = _Settings(
        units, return_sequences, bidirectional, reverse, initial_state, lengths, kernel_initializer,
        recurrent_initializer, name,
    )  # fmt: skip
    bias = (lambda units: np.zeros(units)) if use_bias else None
    return _layer(partial(recurrent.rnn, activations=activation, clip=clip), "rnn", 1, x, settings, bias)


@composite
def lstm(
    x: Any,
    units: int,
    return_sequences: bool = True,
    bidirectional: bool = False,
    initial_state: Any = None,
    lengths: Any = None,
    activations: Any = ("sigmoid", "tanh", "tanh"),
    use_bias: bool = True,
    kernel_initializer: Any = None,
    recurrent_initializer: Any = None,
    name: str | None = None,
    *,
    reverse: bool = False,
    peephole: bool = False,
    forget_bias: float = 1.0,
    clip: float | None = None,
) -> tuple[Tensor, Any]:
    """A long short-term memory over [batch, time, features], as `gf.nn.lstm`.

    Variables: `kernel` of shape [4 * units, features], `recurrent_kernel` of shape [4 * units, units] and
    `bias` of shape [4 * units], with the gates in the order i, o, f, c, and `peephole` of shape [3 * units]
    where asked for; in both directions those under `forward` and those under `reverse`.

    Arguments:
        x, units, return_sequences, bidirectional, lengths, use_bias, kernel_initializer,
        recurrent_initializer, reverse, clip: see `gf.layers.rnn`.
        initial_state: the pair (h_0, c_0), each [batch, units]; in both directions the pair of their pairs;
            0 by default.
        activations: see `gf.nn.lstm`.
        name: the scope of the variables; "lstm", with a suffix where that is taken, by default.
        peephole: let the gates see the cell, with weights that start at 0.
        forget_bias: what the bias of the gate f starts at, so that cells keep their values at first.

    Returns:
        the pair (y, (h, c)): the outputs, [batch, time, units], or the last one of each sequence,
        [batch, units]; twice as many units in both directions. And the last state, in the form of
        initial_state.

    Raises:
        ShapeError, DTypeError, AttributeValueError: if shapes, dtypes or options do not fit.
        GraphError: if the given name is that of another layer.

    Source: see `gf.nn.lstm`; Jozefowicz et al., "An empirical exploration of recurrent network
    architectures" (2015), on the bias of the forget gate.

    >>> import graphflow as gf
    >>> y, (h, c) = gf.layers.lstm(gf.placeholder("x", ("batch", "time", 8)), 16)
    >>> y.type, c.type
    (float32[batch, time, 16], float32[batch, 16])
    """
    settings = _Settings(
        units, return_sequences, bidirectional, reverse, initial_state, lengths, kernel_initializer,
        recurrent_initializer, name,
    )  # fmt: skip
    start = real_number(forget_bias, "the forget_bias of lstm")
    bias = (lambda units: np.repeat([0.0, 0.0, start, 0.0], units)) if use_bias else None
    net = partial(recurrent.lstm, activations=activations, clip=clip)
    return _layer(net, "lstm", 4, x, settings, bias, bool(peephole))


@composite
def gru(
    x: Any,
    units: int,
    return_sequences: bool = True,
    bidirectional: bool = False,
    initial_state: Any = None,
    lengths: Any = None,
    activations: Any = ("sigmoid", "tanh"),
    use_bias: bool = True,
    kernel_initializer: Any = None,
    recurrent_initializer: Any = None,
    name: str | None = None,
    *,
    reverse: bool = False,
    linear_before_reset: bool = True,
    clip: float | None = None,
) -> tuple[Tensor, Any]:
    """Gated recurrent units over [batch, time, features], as `gf.nn.gru`.

    Variables: `kernel` of shape [3 * units, features], `recurrent_kernel` of shape [3 * units, units] and
    `bias` of shape [6 * units] (those of the products with the one and then with the other), or [3 * units]
    without linear_before_reset, with the gates in the order z, r, h; in both directions those under
    `forward` and those under `reverse`.

    Arguments:
        x, units, return_sequences, bidirectional, initial_state, lengths, use_bias, kernel_initializer,
        recurrent_initializer, reverse, clip: see `gf.layers.rnn`.
        activations: see `gf.nn.gru`.
        name: the scope of the variables; "gru", with a suffix where that is taken, by default.
        linear_before_reset: see `gf.nn.gru`; here it is the default, which takes one product a step.

    Returns:
        the pair (y, h), as `gf.layers.rnn`.

    Raises:
        ShapeError, DTypeError, AttributeValueError: if shapes, dtypes or options do not fit.
        GraphError: if the given name is that of another layer.

    Source: see `gf.nn.gru`.

    >>> import graphflow as gf
    >>> y, h = gf.layers.gru(gf.placeholder("x", ("batch", "time", 8)), 16, return_sequences=False)
    >>> y.type, list(y.graph.variables)
    (float32[batch, 16], ['gru/kernel', 'gru/recurrent_kernel', 'gru/bias'])
    """
    settings = _Settings(
        units, return_sequences, bidirectional, reverse, initial_state, lengths, kernel_initializer,
        recurrent_initializer, name,
    )  # fmt: skip
    blocks = 6 if linear_before_reset else 3
    bias = (lambda units: np.zeros(blocks * units)) if use_bias else None
    net = partial(
        recurrent.gru, activations=activations, linear_before_reset=bool(linear_before_reset), clip=clip
    )
    return _layer(net, "gru", 3, x, settings, bias)


def _layer(
    net: Callable[..., Any],
    kind: str,
    gates: int,
    x: Any,
    settings: _Settings,
    bias: Callable[[int], np.ndarray] | None,
    peephole: bool = False,
) -> tuple[Tensor, Any]:
    """The outputs and the last state of a layer, with the variables it makes for each direction."""
    x, units = layer_input(x, kind), positive(settings.units, "units", kind)
    require(x.ndim == 3, f"{kind} needs x of shape [batch, time, features], not {show(x.shape)}")
    features = static_size(x, -1, kind)
    ways = _ways(settings, kind)
    with layer_scope(x, settings.name, kind) as b:

        def run(way: str, first: Any) -> tuple[Tensor, Any]:
            given = [
                variable("kernel", (gates * units, features), settings.kernel_initializer, x.dtype),
                variable("recurrent_kernel", (gates * units, units), _orthogonal(settings), x.dtype),
                _bias(bias, units, x),
            ]
            peeps = {"peephole": variable("peephole", (3 * units,), None, x.dtype)} if peephole else {}
            return net(x, *given, first, settings.lengths, direction=way, batch_first=True, **peeps)

        if len(ways) == 1:
            y, last = run(ways[0], settings.initial_state)
            return (y if settings.return_sequences else _shown(last)), last
        made = []
        for way, first in zip(ways, _pair(settings.initial_state, kind)):
            with scoped(default_graph(), way):
                made.append(run(way, first))
        parts = [y if settings.return_sequences else _shown(last) for y, last in made]
        return b.concat(*parts, axis=parts[0].ndim - 1), tuple(last for _, last in made)


def _ways(settings: _Settings, kind: str) -> tuple[str, ...]:
    if settings.bidirectional and settings.reverse:
        raise AttributeValueError(
            f"{kind} is to be bidirectional and reverse", hint="leave reverse out: both directions are there"
        )
    if settings.bidirectional:
        return "forward", "reverse"
    return ("reverse",) if settings.reverse else ("forward",)


def _orthogonal(settings: _Settings) -> Any:
    given = settings.recurrent_initializer
    return initializers.orthogonal() if given is None else given


def _bias(start: Callable[[int], np.ndarray] | None, units: int, x: Tensor) -> Tensor | None:
    if start is None:
        return None
    first = start(units)
    return variable("bias", first.shape, initializers.value(first) if first.any() else None, x.dtype)


def _shown(state: Any) -> Tensor:
    """The output of the last step, which is the first of what a state consists of."""
    return state[0] if isinstance(state, tuple) else state


def _pair(state: Any, kind: str) -> tuple[Any, Any]:
    """The first states of both directions."""
    if state is None:
        return None, None
    if isinstance(state, (tuple, list)) and len(state) == 2:
        return state[0], state[1]
    raise AttributeValueError(
        f"the initial_state of a bidirectional {kind} is no pair", hint="pass (forward, reverse), or None"
    )
