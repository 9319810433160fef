"""Control flow in random graphs: choices, loops and calls around short bodies that read what is around them.

Values cannot be watched inside of a body while it is built, so bodies are made of functions that keep
moderate values moderate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphflow.errors import GraphError
from graphflow.ir.node import Tensor
from graphflow.ops.branching import cond
from graphflow.ops.looping import fori_loop, map_, scan, while_loop
from graphflow.prove.fuzz.draw import Draw, call

STEPS = ("sin", "tanh", "sigmoid", "abs", "negative", "cos", "relu", "atan")


def control_flow(draw: Draw, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The results of one node of control flow.

    Arguments:
        tensors: all there are.

    Raises:
        GraphFlowError: where nothing fits.
    """
    floats = [one for one in tensors if one.dtype.name in ("float32", "float64")]
    if not floats:
        raise GraphError("there is no float to loop over")
    x, around = draw.one(floats[-6:]), draw.one(floats)
    made = draw.one(_KINDS)(draw, x, around)
    return [made] if isinstance(made, Tensor) else [one for one in made if isinstance(one, Tensor)]


def _body(draw: Draw, around: Tensor) -> Callable[[Tensor], Tensor]:
    """A function of the shape and dtype of its argument that reads a captured tensor."""
    names = [draw.one(STEPS) for _ in range(draw.number(1, 3))]
    scale = draw.one((1.0, 0.5, -1.0, 0.0))
    captures = draw.chance(0.6)

    def body(x: Tensor) -> Tensor:
        for name in names:
            x = call(name, x)
        x = call("multiply", x, scale)
        if not captures:
            return x
        total = call("astype", call("tanh", call("sum", around)), dtype=x.dtype)
        return call("add", x, total)

    return body


def _cond(draw: Draw, x: Tensor, around: Tensor) -> Any:
    predicate = draw.one((True, None, None))
    if predicate is None:
        predicate = call("greater", call("sum", call("cos", around)), 0.7123)
    return cond(predicate, _body(draw, around), _body(draw, around), x)


def _scan(draw: Draw, x: Tensor, around: Tensor) -> Any:
    first, second, spare = _body(draw, around), _body(draw, around), draw.chance(0.3)

    def step(carry: Tensor, row: Tensor) -> Any:
        new = carry if spare else first(call("add", carry, row))
        return new, second(new)

    start = call("multiply", call("sum", x, axis=0), 0.3)
    return list(scan(step, start, x, reverse=draw.chance(0.5)))


def _map(draw: Draw, x: Tensor, around: Tensor) -> Any:
    return map_(_body(draw, around), x)


def _repeated(draw: Draw, x: Tensor, around: Tensor) -> Any:
    body = _body(draw, around)
    return fori_loop(0, draw.number(0, 3), lambda i, value: body(value), x)


def _while(draw: Draw, x: Tensor, around: Tensor) -> Any:
    body, most = _body(draw, around), draw.number(1, 4)
    made = while_loop(
        lambda state: call("less", state[0], float(most)),
        lambda state: (call("add", state[0], 1.0), body(state[1])),
        (0.0, x),
    )
    return made[1]


_KINDS: tuple[Callable[[Draw, Tensor, Tensor], Any], ...] = (_cond, _scan, _map, _repeated, _while)
