"""From groups of layers to the stages of a .bmodel: steps, schedule, places, commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.bmodel import CommandGroup, Stage, TensorInfo
from graphflow.runtime.bm1684.chip import COEFFICIENT_BASE
from graphflow.runtime.bm1684.compiler.costs import COSTS
from graphflow.runtime.bm1684.compiler.emit import commands
from graphflow.runtime.bm1684.compiler.placement import Constants, Ddr, place_in_ddr, place_locally
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
class Planned:
    """What a stage does and when, before anything has an address in DDR."""

    groups: tuple[Group, ...]
    inputs: tuple[Interface, ...]
    outputs: tuple[Interface, ...]
    steps: tuple[Step, ...]
    schedule: Schedule
    offsets: dict[Buffer, int]


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A stage, and how it came about.

    Attributes:
        plan: what is done, in which order, and where in local memory.
        ddr: where everything lies in DDR.
        streams: the numbered commands of each command group, with labels.
        stage: the stage of the file.
    """

    plan: Planned
    ddr: Ddr
    streams: tuple[Stream, ...]
    stage: Stage


def plan(groups: Sequence[Group], inputs: Sequence[Interface], outputs: Sequence[Interface]) -> Planned:
    """The steps of groups of layers, their schedule, and their places in local memory.

    Raises:
        TooLarge: if a piece of work does not fit into local memory.
    """
    steps = steps_of(groups)
    schedule, offsets = place_locally(steps, COSTS)
    return Planned(tuple(groups), tuple(inputs), tuple(outputs), tuple(steps), schedule, offsets)


def package(plans: Sequence[Planned]) -> list[Compiled]:
    """The stages of a file, one for each plan; they share the constants that are the same."""
    constants = Constants()
    for one in plans:
        constants.add(one.steps, [output.value for output in one.outputs])
    return [_packaged(one, constants) for one in plans]


def _packaged(one: Planned, constants: Constants) -> Compiled:
    inputs, outputs = ([each.value for each in side] for side in (one.inputs, one.outputs))
    ddr = place_in_ddr(one.steps, inputs, outputs, constants)
    streams = synchronize(commands(one.schedule, one.offsets, ddr))
    stage = Stage(
        inputs=tuple([_info(each, ddr) for each in one.inputs]),
        outputs=tuple([_info(each, ddr) for each in one.outputs]),
        groups=tuple([words(stream) for stream in streams]),
        coefficients=ddr.data,
        coefficient_address=COEFFICIENT_BASE,
        context_address=ddr.context,
        context_bytes=ddr.context_bytes,
    )
    return Compiled(one, ddr, tuple(streams), stage)


def words(stream: Stream) -> CommandGroup:
    """The words of a group of commands."""
    return CommandGroup(tiu=isa.encode_stream(stream.tiu), gdma=isa.encode_stream(stream.gdma))


def _info(one: Interface, ddr: Ddr) -> TensorInfo:
    return TensorInfo(one.name, "float32", one.shape, ddr.address(one.value))
