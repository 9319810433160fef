"""What to change about a layer so that it takes less time on the chip, where the cycle formulas say so.

A layer's advice is for what holds up the tensor unit: weights or values that it waits for, or lanes that
have nothing to do. What is hidden behind other work gets none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from graphflow.optimizer.memory.units import show_bytes
from graphflow.runtime.bm1684.chip import LANES

if TYPE_CHECKING:
    from graphflow.runtime.bm1684.compiler.layers.layer import Layer
    from graphflow.runtime.bm1684.cycles import Layer as Cost

_WORTH = 0.01
"""Of the whole time: what could save less is not said."""

_FEW_IDLE = 0.2
"""The part of the lanes' time from which on idle ones are told."""


class Advice(NamedTuple):
    """What to do, and the microseconds that this could save at most."""

    text: str = ""
    microseconds: float = 0.0


def advice(layer: Layer, cost: Cost, weights: int, seconds: float) -> Advice:
    """What to change about a layer; an empty text if nothing is known that would help.

    Arguments:
        cost: what its commands take.
        weights: bytes of its coefficients.
        seconds: the time of the whole run.
    """
    found = _waiting(layer, cost, weights) if cost.stall_seconds > _idle(layer, cost) else _lanes(layer, cost)
    return found if found.microseconds > 1e6 * _WORTH * seconds else Advice()


def _waiting(layer: Layer, cost: Cost, weights: int) -> Advice:
    # It may wait longer, behind what other layers load.
    saved = 1e6 * min(cost.stall_seconds, cost.gdma_seconds)
    if 2 * weights > cost.ddr_bytes:
        size = show_bytes(weights)
        return Advice(
            f"the tensor unit waits for its {size} of weights: make them fewer, or run a larger batch, "
            "which loads them once",
            saved,
        )
    if cost.ddr_bytes:
        said = f"the tensor unit waits for {show_bytes(cost.ddr_bytes)} that go through DDR"
        return Advice(f"{said}: make its tensors smaller", saved)
    return Advice()


def _lanes(layer: Layer, cost: Cost) -> Advice:
    saved = 1e6 * _idle(layer, cost)
    if not saved:
        return Advice()
    rounds = _rounds(layer)
    turns = f"{rounds} rounds" if rounds > 1 else "one round"
    return Advice(
        f"it lays {layer.output.shape.c} channels or rows over the {LANES} lanes, which takes {turns} as "
        f"{rounds * LANES} would: use a multiple of {LANES}",
        saved,
    )


def _rounds(layer: Layer) -> int:
    return -(-layer.output.shape.c // LANES)


def _idle(layer: Layer, cost: Cost) -> float:
    """Seconds of the tensor unit that lanes without a channel come to."""
    idle = 1 - layer.output.shape.c / (_rounds(layer) * LANES)
    return idle * cost.tiu_seconds if idle >= _FEW_IDLE else 0.0
