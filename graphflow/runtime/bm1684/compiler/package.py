"""From groups of layers to a stage of a .bmodel: steps, schedule, places, commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.bmodel import CommandGroup, Stage, TensorInfo
from graphflow.runtime.bm1684.chip import COEFFICIENT_BASE
from graphflow.runtime.bm1684.compiler.costs import COSTS
from graphflow.runtime.bm1684.compiler.emit import commands
from graphflow.runtime.bm1684.compiler.placement import Ddr, place_in_ddr, place_locally
from graphflow.runtime.bm1684.compiler.schedule import Schedule
from graphflow.runtime.bm1684.compiler.steps import Buffer, Group, Step, steps_of
from graphflow.runtime.bm1684.compiler.synchronize import synchronize
from graphflow.runtime.bm1684.compiler.tensors import Value
from graphflow.runtime.bm1684.cycles import Stream


@dataclass(frozen=True, slots=True)
class Interface:
    """An input or output of a stage: its name and sizes for the user, and the value it is."""

    name: str
    shape: tuple[int, ...]
    value: Value


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A stage, and how it came about.

    Attributes:
        groups: the groups of layers.
        steps, schedule, offsets: what is done, in which order, and where in local memory.
        ddr: where everything lies in DDR.
        streams: the numbered commands of each command group, with labels.
        stage: the stage of the file.
    """

    groups: tuple[Group, ...]
    steps: tuple[Step, ...]
    schedule: Schedule
    offsets: dict[Buffer, int]
    ddr: Ddr
    streams: tuple[Stream, ...]
    stage: Stage


def package(groups: Sequence[Group], inputs: Sequence[Interface], outputs: Sequence[Interface]) -> Compiled:
    """The stage that runs groups of layers.

    Raises:
        TooLarge: if a piece of work does not fit into local memory.
    """
    steps = steps_of(groups)
    schedule, offsets = place_locally(steps, COSTS)
    ddr = place_in_ddr(steps, [one.value for one in inputs], [one.value for one in outputs])
    streams = synchronize(commands(schedule, offsets, ddr))
    stage = Stage(
        inputs=tuple([_info(one, ddr) for one in inputs]),
        outputs=tuple([_info(one, ddr) for one in outputs]),
        groups=tuple([words(stream) for stream in streams]),
        coefficients=ddr.data,
        coefficient_address=COEFFICIENT_BASE,
        context_address=ddr.context,
        context_bytes=ddr.context_bytes,
    )
    return Compiled(tuple(groups), tuple(steps), schedule, offsets, ddr, tuple(streams), stage)


def words(stream: Stream) -> CommandGroup:
    """The words of a group of commands."""
    return CommandGroup(tiu=isa.encode_stream(stream.tiu), gdma=isa.encode_stream(stream.gdma))


def _info(one: Interface, ddr: Ddr) -> TensorInfo:
    return TensorInfo(one.name, "float32", one.shape, ddr.address(one.value))
