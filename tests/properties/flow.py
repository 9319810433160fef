"""Control flow in random programs: choices, loops and calls, around short bodies that read what is around."""

from __future__ import annotations

from typing import Any

from tests.properties.operators import UNARY, Draw, Slot, floats, of, operator

BODIES = ("sin", "tanh", "sigmoid", "scaled", "sqrt", "atan", "exp", "gelu")


def _two_bodies(draw: Draw, slots: list[Slot], symbolic: bool) -> dict[str, Any]:
    first, second = (tuple([draw.one(BODIES) for _ in range(draw.number(1, 2))]) for _ in range(2))
    return {"first": first, "second": second}


def _apply(m: Any, names: tuple[str, ...], x: Any, around: Any) -> Any:
    """Some functions of x, and of a tensor that the body captures."""
    for name in names:
        x = UNARY[name](m, x)
    return 0.8 * x + m.like(0.1 * m.sum(m.sin(around)), x)


@operator(floats, floats, params=_two_bodies, smooth=False)
def cond(m, x, around, first, second):
    predicate = m.sum(m.cos(x)) > 0.7123
    return m.cond(predicate, lambda a: _apply(m, first, a, around), lambda a: _apply(m, second, a, x), x)


@operator(floats, floats, params=_two_bodies, smooth=False)
def switch(m, x, around, first, second):
    kind = m.int32(m.floor(m.sum(m.sin(x)) + 0.7123))
    branches = [lambda a: _apply(m, first, a, around), lambda a: _apply(m, second, a, around), lambda a: a]
    return m.choice(kind, branches, x)


def _scanned(draw: Draw, slots: list[Slot], symbolic: bool) -> dict[str, Any]:
    return {**_two_bodies(draw, slots, symbolic), "reverse": draw.chance(0.5)}


@operator(of("f", 1), floats, params=_scanned)
def scan(m, x, around, first, second, reverse):
    def step(carry, row):
        carry = m.tanh(_apply(m, first, carry, around) + row)
        return carry, _apply(m, second, carry, around)

    start = m.sum(0.3 * x, axis=0)
    last, rows = m.scan(step, start, x, reverse)
    return rows + last


@operator(of("f", 1), floats, params=_two_bodies)
def map_(m, x, around, first, second):
    return m.map(lambda row: _apply(m, first, row, around), x)


@operator(floats, floats, params=_two_bodies, smooth=False)
def while_(m, x, around, first, second):
    def step(state):
        total, value = state
        return total + 1.0, _apply(m, first, value, around)

    start = m.sum(m.sin(x))
    return m.while_loop(lambda state: state[0] + m.sum(0.1 * m.sin(state[1])) < 1.3713, step, (start, x))[1]


@operator(floats, floats, params=_two_bodies)
def repeated(m, x, around, first, second):
    return m.repeated(3, lambda value: _apply(m, first, value, around), x)


@operator(floats, floats, params=_two_bodies)
def call(m, x, around, first, second):
    return m.call(lambda value: _apply(m, first, value, around), x)


@operator(floats, floats, params=_two_bodies)
def recompute(m, x, around, first, second):
    return m.recompute(lambda value: _apply(m, first, value, around), x)


@operator(of("f", 1), floats, params=_scanned, smooth=False)
def nested(m, x, around, first, second, reverse):
    """A choice in a loop in a loop."""

    def step(carry, row):
        chosen = m.cond(
            m.sum(row) > 0.0917,
            lambda a: _apply(m, first, a, around),
            lambda a: _apply(m, second, a, row),
            row,
        )
        return 0.5 * carry + m.repeated(2, lambda value: m.sin(value + carry), chosen), m.sum(carry)

    last, sums = m.scan(step, m.sum(0.3 * x, axis=0), x, reverse)
    return m.sum(sums) + last
