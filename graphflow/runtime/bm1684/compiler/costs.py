"""What steps, loads and stores take, in seconds, by the cycle formulas: by this the code generator plans."""

from __future__ import annotations

from collections.abc import Iterable

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.chip import DDR_BASE
from graphflow.runtime.bm1684.compiler.emit import moving, store_command
from graphflow.runtime.bm1684.compiler.layers.layer import TransferLayer
from graphflow.runtime.bm1684.compiler.schedule import Costs
from graphflow.runtime.bm1684.compiler.steps import Buffer, Step, Store
from graphflow.runtime.bm1684.compiler.tensors import Tile
from graphflow.runtime.bm1684.cycles import GDMA_HERTZ, TIU_HERTZ, cycles


def _moved(commands: Iterable[isa.Command]) -> float:
    return sum([cycles(command) for command in commands]) / GDMA_HERTZ


def _step(step: Step) -> float:
    if isinstance(step.layer, TransferLayer):
        return _moved(step.layer.moves([DDR_BASE] * len(step.layer.inputs), DDR_BASE))
    assert step.work is not None
    return step.work.cycles / TIU_HERTZ


def _within(step: Step) -> float:
    return step.work.moved / GDMA_HERTZ if step.work is not None else 0.0


def _load(buffer: Buffer) -> float:
    assert buffer.load is not None
    return _moved(moving(buffer.load, DDR_BASE, 0))


def _store(store: Store) -> float:
    return _moved([store_command(Tile(0, store.tile), store.box, store.value, DDR_BASE)])


COSTS = Costs(step=_step, load=_load, store=_store, within=_within)
"""The costs of one core of the chip."""
