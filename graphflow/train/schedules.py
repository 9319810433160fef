"""Learning-rate schedules: functions from the number of updates done, a scalar tensor, to a rate.

A schedule is an ordinary Python function that builds nodes, so any other function of a tensor will
do as well. It computes in the dtype it is given. `warm_up` and `join` combine schedules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from graphflow.errors import AttributeValueError
from graphflow.ir import provenance
from graphflow.ir.builder import builder_for
from graphflow.ir.node import Tensor
from graphflow.train import settings

Schedule: TypeAlias = Callable[[Tensor], Tensor]


def constant(rate: float) -> Schedule:
    """rate(t) = rate.

    >>> import graphflow as gf
    >>> gf.train.schedules.constant(0.1)(gf.constant(7.0)).type
    float32[]
    """
    fixed = settings.number("the rate", rate, 0)
    return lambda done: builder_for([done]).full_like(fixed, done)


def step(rate: float, boundaries: Sequence[int], factor: float = 0.1) -> Schedule:
    """rate(t) = rate * factor^(how many boundaries b have t >= b).

    >>> import graphflow as gf
    >>> gf.train.schedules.step(0.1, [1000, 2000])(gf.constant(7.0)).type
    float32[]
    """
    settings.number("the rate", rate, 0)
    settings.number("the factor", factor, 0)
    places = settings.rising("the boundaries", boundaries)

    def schedule(done: Tensor) -> Tensor:
        b = builder_for([done])
        result = b.full_like(rate, done)
        for index, place in enumerate(places, 1):
            result = b.where(b.greater_equal(done, place), rate * factor**index, result)
        return result

    return schedule


def exponential(rate: float, decay_steps: int, factor: float, staircase: bool = False) -> Schedule:
    """rate(t) = rate * factor^(t / decay_steps), the exponent rounded down if `staircase`.

    >>> import graphflow as gf
    >>> gf.train.schedules.exponential(0.1, 100, 0.9)(gf.constant(7.0)).type
    float32[]
    """
    settings.number("the rate", rate, 0)
    settings.whole("decay_steps", decay_steps)
    settings.number("the factor", factor, 0, open_ends="low")

    def schedule(done: Tensor) -> Tensor:
        b = builder_for([done])
        exponent = b.divide(done, decay_steps)
        result: Tensor = b.multiply(rate, b.pow(factor, b.floor(exponent) if staircase else exponent))
        return result

    return schedule


def cosine(rate: float, decay_steps: int, final: float = 0.0) -> Schedule:
    """rate(t) = final + (rate - final) * (1 + cos(pi * min(t / decay_steps, 1))) / 2.

    Source: Loshchilov and Hutter, SGDR, ICLR 2017.

    >>> import graphflow as gf
    >>> gf.train.schedules.cosine(0.1, 1000)(gf.constant(7.0)).type
    float32[]
    """
    settings.number("the rate", rate, 0)
    settings.whole("decay_steps", decay_steps)
    settings.number("the final rate", final, 0)

    def schedule(done: Tensor) -> Tensor:
        b = builder_for([done])
        part = b.minimum(b.divide(done, decay_steps), 1.0)
        wave = b.multiply(0.5, b.add(1.0, b.cos(b.multiply(math.pi, part))))
        result: Tensor = b.add(final, b.multiply(rate - final, wave))
        return result

    return schedule


def warm_up(steps: int, then: Schedule | float) -> Schedule:
    """A linear rise from 0 over `steps` updates, then the schedule `then`, starting from its own 0.

    rate(t) = then(0) * t / steps  for t < steps,  then(t - steps)  afterwards.

    >>> import graphflow as gf
    >>> rate = gf.train.schedules.warm_up(10, gf.train.schedules.cosine(0.1, 100))
    >>> rate(gf.constant(7.0)).type
    float32[]
    """
    settings.whole("steps", steps, 0)
    after = then if callable(then) else constant(then)

    def schedule(done: Tensor) -> Tensor:
        if steps == 0:
            return after(done)
        b = builder_for([done])
        past = b.maximum(b.subtract(done, steps), 0.0)
        result: Tensor = b.multiply(b.minimum(b.divide(done, steps), 1.0), after(past))
        return result

    return schedule


def join(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """One schedule after the other; each sees the updates since its own start.

    Raises:
        AttributeValueError: unless there is one boundary between each two schedules, ascending.

    >>> import graphflow as gf
    >>> s = gf.train.schedules
    >>> s.join([s.constant(0.1), s.cosine(0.1, 100)], [50])(gf.constant(7.0)).type
    float32[]
    """
    places = settings.rising("the boundaries", boundaries)
    if not isinstance(schedules, (list, tuple)) or not all(map(callable, schedules)):
        raise AttributeValueError(
            f"{schedules!r:.80} are no schedules", hint="pass a list of what gf.train.schedules gives"
        )
    if not schedules or len(places) != len(schedules) - 1:
        raise AttributeValueError(
            f"{len(schedules)} schedules and {len(places)} boundaries do not fit together",
            hint="give one boundary between each two schedules",
            origin=provenance.capture(),
        )

    def schedule(done: Tensor) -> Tensor:
        b = builder_for([done])
        result = schedules[0](done)
        for place, following in zip(places, schedules[1:]):
            past = b.maximum(b.subtract(done, place), 0.0)
            result = b.where(b.greater_equal(done, place), following(past), result)
        return result

    return schedule
