"""From a schedule with addresses to the commands of both engines, in a sequential order, with labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphflow.runtime.bm1684 import isa
from graphflow.runtime.bm1684.compiler.layers.layer import Coefficient, Places, TransferLayer
from graphflow.runtime.bm1684.compiler.placement import Ddr
from graphflow.runtime.bm1684.compiler.schedule import Schedule
from graphflow.runtime.bm1684.compiler.steps import Buffer, Load, Step, Store
from graphflow.runtime.bm1684.compiler.tensors import WORD, Box, Tile, Value
from graphflow.runtime.bm1684.isa import Direction


def commands(made: Schedule, offsets: dict[Buffer, int], ddr: Ddr) -> Iterator[tuple[isa.Command, str]]:
    """All commands, each with the label of the layer it belongs to."""
    labels = _labels(made)
    for item in made.items:
        if isinstance(item, Buffer):
            found = load_commands(item, offsets[item], ddr)
        elif isinstance(item, Store):
            tile = Tile(offsets[item.buffer], item.tile)
            found = [store_command(tile, item.box, item.value, ddr.address(item.value))]
        else:
            found = step_commands(item, offsets, ddr)
        for command in found:
            yield command, labels[id(item)]


def _labels(made: Schedule) -> dict[int, str]:
    """The label of each item: loads and stores belong to the layer that needs or makes what is moved."""
    labels: dict[int, str] = {}
    for item in made.items:
        if isinstance(item, Step):
            labels[id(item)] = item.layer.label
            for part in (*item.buffers(), *item.stores):
                labels.setdefault(id(part), item.layer.label)
    return labels


def step_commands(step: Step, offsets: dict[Buffer, int], ddr: Ddr) -> Sequence[isa.Command]:
    """The commands of a step."""
    if isinstance(step.layer, TransferLayer):
        addresses = [ddr.address(value) for value in step.layer.inputs]
        return step.layer.moves(addresses, ddr.address(step.layer.output))
    assert step.work is not None and step.output is not None
    places = Places(
        inputs=tuple([Tile(offsets[buffer], box) for buffer, box in step.inputs]),
        output=Tile(offsets[step.output[0]], step.output[1]),
        coefficients=tuple([offsets[buffer] for buffer in step.coefficients]),
        scratch=tuple([offsets[buffer] for buffer in step.scratch]),
    )
    return step.work.build(places)


def load_commands(buffer: Buffer, offset: int, ddr: Ddr) -> Sequence[isa.Command]:
    """The commands that fill a buffer."""
    assert buffer.load is not None
    source = buffer.load.source
    address = ddr.coefficients[source] if isinstance(source, Coefficient) else ddr.address(source)
    return moving(buffer.load, address, offset)


def moving(load: Load, address: int, offset: int) -> Sequence[isa.GdmaCommand]:
    """The commands of a load from an address in DDR to an offset in the lanes."""
    if isinstance(load.source, Coefficient):
        return load.source.load(address, offset)
    if load.own is not None:
        return load.own.load(address, offset)
    assert load.box is not None
    return [load_command(Tile(offset, load.box), load.source, address)]


def load_command(tile: Tile, value: Value, address: int) -> isa.TensorTransfer:
    """Bring a box of a value into a tile."""
    return isa.TensorTransfer(
        direction=Direction.LOAD,
        source=address + _offset(tile.box, value),
        destination=tile.address(),
        source_shape=tile.box.shape,
        destination_shape=tile.box.shape,
        explicit_strides=True,
        source_strides=value.in_ddr,
        destination_strides=tile.strides,
    )


def store_command(tile: Tile, box: Box, value: Value, address: int) -> isa.TensorTransfer:
    """Bring a box of a tile to its value in DDR."""
    return isa.TensorTransfer(
        direction=Direction.STORE,
        source=tile.address(box),
        destination=address + _offset(box, value),
        source_shape=box.shape,
        destination_shape=box.shape,
        explicit_strides=True,
        source_strides=tile.strides,
        destination_strides=value.in_ddr,
    )


def _offset(box: Box, value: Value) -> int:
    return WORD * sum(at * stride for at, stride in zip(box.start, value.in_ddr))
