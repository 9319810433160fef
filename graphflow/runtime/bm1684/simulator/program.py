"""Runs a .bmodel in the simulator: chooses the stage, places coefficients and inputs, collects outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphflow.errors import FeedError
from graphflow.runtime.bm1684.bmodel import BModel, Stage, TensorInfo
from graphflow.runtime.bm1684.chip import DDR_BASE
from graphflow.runtime.bm1684.simulator.machine import Simulator

_PAGE = 4096


def simulate(
    model: BModel, inputs: Mapping[str, np.ndarray], order: str = "together", seed: int = 0
) -> dict[str, np.ndarray]:
    """The outputs of a model for inputs by name.

    Arguments:
        inputs: arrays of the dtypes and of the shapes of one of the model's stages.
        order: in which order the engines run; see `order.ordered`.
        seed: of the order "random".

    Raises:
        FeedError: if no stage has these inputs.
        ChipFault: if the chip must not be given a command of the model.
        FileFormatError: if a stream holds what is no command.
    """
    stage = choose_stage(model, inputs)
    ends = [stage.coefficient_address + len(stage.coefficients), stage.context_address + stage.context_bytes]
    ends += [info.address + info.bytes for info in (*stage.inputs, *stage.outputs)]
    chip = Simulator(-(-(max(ends) - DDR_BASE) // _PAGE) * _PAGE)
    if stage.coefficients:
        chip.memory.set(stage.coefficient_address, np.frombuffer(stage.coefficients, np.uint8))
    for info in stage.inputs:
        chip.memory.set(info.address, stored(inputs[info.name], info))
    for group in stage.groups:
        chip.run(group, order, seed)
    return {info.name: restored(chip.memory.get(info.address, info.bytes), info) for info in stage.outputs}


def choose_stage(model: BModel, inputs: Mapping[str, np.ndarray]) -> Stage:
    """The stage whose inputs have these names, shapes and dtypes.

    Raises:
        FeedError: if there is none.
    """
    stages = [stage for net in model.nets for stage in net.stages]
    given = {name: (np.asarray(array).dtype.name, np.shape(array)) for name, array in inputs.items()}
    for stage in stages:
        if given == {info.name: (info.dtype, tuple(info.shape)) for info in stage.inputs}:
            return stage
    known = [", ".join(f"{i.name} {i.dtype}{list(i.shape)}" for i in stage.inputs) for stage in stages]
    said = ", ".join(f"{name} {dtype}{list(shape)}" for name, (dtype, shape) in given.items())
    raise FeedError(
        f"the model has no stage for the inputs {said or 'none'}", hint=f"feed {' or '.join(known)}"
    )


def stored(values: np.ndarray, info: TensorInfo) -> np.ndarray:
    """The bytes of an array as it lies in DDR: pairs and fours of the batch side by side."""
    values = np.ascontiguousarray(values)
    items = 1 << info.storage
    if items == 1 or not values.size:
        return values
    batch = values.shape[0]
    groups = -(-batch // items)
    full = np.zeros((groups * items, values.size // batch), values.dtype)
    full[:batch] = values.reshape(batch, -1)
    return np.ascontiguousarray(full.reshape(groups, items, -1).transpose(0, 2, 1))


def restored(data: np.ndarray, info: TensorInfo) -> np.ndarray:
    """The array whose bytes lie in DDR as `stored` puts them."""
    values, items = data.view(info.dtype), 1 << info.storage
    if items > 1 and values.size:
        batch = info.shape[0]
        values = values.reshape(-(-batch // items), -1, items).transpose(0, 2, 1)
        values = values.reshape(values.shape[0] * items, -1)[:batch]
    return values.reshape(info.shape)
