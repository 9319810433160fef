"""`gf.compile`: a model as a file for a chip, with what it will take there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from graphflow.deploy.preflight import Preflight, report_of
from graphflow.deploy.program import Prepared, check_target, listed_sizes, prepare
from graphflow.errors import AttributeValueError, FeedError, needing_packages

if TYPE_CHECKING:
    from graphflow.model import Model
    from graphflow.runtime.bm1684.bmodel import BModel
    from graphflow.runtime.bm1684.compiler.package import Compiled as Stage
    from graphflow.runtime.bm1684.cycles import Timeline


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of DDR, and of local memory.

    Attributes:
        coefficients: weights and constants, which all stages share.
        context: of each stage, what holds inputs, outputs and what goes through DDR.
        context_bound: of each stage, the smallest that could be.
        moved: bytes of each stage that go from and to DDR in one run.
        compulsory: bytes of each stage that must: its constants as chosen, inputs and outputs.
    """

    coefficients: int
    context: tuple[int, ...]
    context_bound: tuple[int, ...]
    moved: tuple[int, ...]
    compulsory: tuple[int, ...]

    def __str__(self) -> str:
        lines = [f"coefficients {self.coefficients:,} bytes"]
        for number, size in enumerate(self.context):
            more = self.moved[number] / max(1, self.compulsory[number])
            lines.append(
                f"stage {number}: context {size:,} bytes (at least {self.context_bound[number]:,}), "
                f"DDR traffic {self.moved[number]:,} bytes, {more:.2f} times what must be moved"
            )
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Compiled:
    """A model compiled for the BM1684.

    Attributes:
        name: of the net in the file.
        report: what became of every node; prints as a table.
        stages: how each stage came about, one for each set of sizes.
        bmodel: the content of the file.
    """

    name: str
    report: Preflight
    stages: tuple[Stage, ...] = field(repr=False)
    bmodel: BModel = field(repr=False)

    def save(self, path: str | Path) -> None:
        """Write the .bmodel file.

        Raises:
            FileFormatError: if it cannot be written.
        """
        from graphflow.runtime.bm1684.bmodel import save

        save(self.bmodel, path)

    @property
    def cycles(self) -> Timeline:
        """When every command of the first stage runs on both engines, by the chip's cycle formulas."""
        return self.timeline()

    def timeline(self, stage: int = 0) -> Timeline:
        """When every command of a stage runs.

        Raises:
            AttributeValueError: if there is no such stage.
        """
        from graphflow.runtime.bm1684.cycles import timeline

        if not 0 <= stage < len(self.stages):
            raise AttributeValueError(
                f"there is no stage {stage}", hint=f"there are {len(self.stages)}, counted from 0"
            )
        return timeline(self.stages[stage].streams)

    @property
    def memory(self) -> Memory:
        """Bytes of DDR and what of them moves."""
        traffic = [_traffic(stage) for stage in self.stages]
        return Memory(
            len(self.stages[0].ddr.data),
            tuple([stage.ddr.context_bytes for stage in self.stages]),
            tuple([stage.ddr.lower_bound for stage in self.stages]),
            tuple([moved for moved, _ in traffic]),
            tuple([needed for _, needed in traffic]),
        )

    def simulate(self, feeds: Mapping[str, Any], order: str = "together") -> dict[str, np.ndarray]:
        """The outputs of the stage for these inputs, from the words in the file.

        Arguments:
            feeds: an array for each input by its name.
            order: how far one engine may run ahead; see `graphflow.runtime.bm1684.simulator`.

        Raises:
            FeedError: if no stage has these inputs.
            ChipFault: if the chip must not be given a command; a defect of the compiler.
        """
        from graphflow.runtime.bm1684.simulator import simulate

        if not isinstance(feeds, Mapping):
            raise FeedError(f"the feeds are {feeds!r:.80}", hint="pass a dict from input names to arrays")
        arrays = {name: _array(name, value) for name, value in feeds.items()}
        return simulate(self.bmodel, arrays, order)

    def __repr__(self) -> str:
        took = ", ".join(
            f"{1e3 * self.timeline(number).seconds:.3f} ms" for number in range(len(self.stages))
        )
        return f"<{self.name!r} for the BM1684: {took}; {self.memory.coefficients:,} bytes of coefficients>"


def compile(
    model: Model,
    target: str = "bm1684",
    quantization: None = None,
    *,
    sizes: Mapping[str, int] | Sequence[Mapping[str, int]] | None = None,
    level: str = "O2",
    signature: str | None = None,
) -> Compiled:
    """The model as commands of the BM1684, in fp32.

    The graph is optimised with its weights as constants; layers are kept in the chip's local memory as far
    as they fit, and both engines run at the same time. `save` writes the `.bmodel` file that the vendor's
    runtime loads. Nothing was run on silicon; `simulate` runs the words of the file.

    Arguments:
        model: a model with float32 inputs and outputs.
        target: "bm1684".
        quantization: None; all is computed in fp32, and nothing else is compiled.
        sizes: values of its symbolic sizes; a list of them gives a stage for each, which share coefficients.
        level: how much to optimise, "O0" to "O3".
        signature: which of several functions.

    Raises:
        BackendError: with every node that the chip cannot run and why, or the layer that is too large for it.
        AttributeValueError: if a size is missing or strange, or there is no such target or quantization.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 3, 8, 8))
    >>> w = gf.variable("w", (4, 3, 3, 3))
    >>> model = gf.Model(inputs=[x], outputs={"y": gf.nn.relu(gf.nn.conv(x, w, padding=1))})
    >>> made = gf.compile(model, sizes={"batch": 2})
    >>> made.simulate({"x": np.zeros((2, 3, 8, 8), np.float32)})["y"].shape
    (2, 4, 8, 8)
    """
    with needing_packages("gf.compile"):
        from graphflow.runtime.bm1684.bmodel import BModel, Net
    from graphflow.runtime.bm1684.compiler.driver import plan_program
    from graphflow.runtime.bm1684.compiler.package import package

    backend = check_target(target)
    if quantization is not None:
        raise AttributeValueError(
            f"the quantization is {quantization!r:.60}, and for the chip only fp32 is compiled",
            hint="leave quantization out, or pass None: the file then computes in float32",
        )
    prepared = [prepare(model, one, level, signature, backend) for one in listed_sizes(sizes)]
    plans = [plan_program(one.program, one.inputs, one.outputs) for one in prepared]
    stages = package(plans)
    name = model.graph.name or "net"
    bmodel = BModel((Net(name, tuple([stage.stage for stage in stages])),))
    return Compiled(name, _report(prepared, stages), tuple(stages), bmodel)


def _report(prepared: Sequence[Prepared], stages: Sequence[Stage]) -> Preflight:
    return report_of(prepared[0].program, stages[0])


def _traffic(stage: Stage) -> tuple[int, int]:
    """Bytes that a run of a stage moves from and to DDR, and those that it must."""
    from graphflow.runtime.bm1684.cycles import ddr_bytes

    moved = sum([ddr_bytes(command) for stream in stage.streams for command in stream.gdma])
    ends = sum([info.bytes for info in (*stage.stage.inputs, *stage.stage.outputs)])
    return moved, ends + _constant_bytes(stage)


def _constant_bytes(stage: Stage) -> int:
    """Bytes of the coefficients and constants that a stage reads, each counted once."""
    from graphflow.runtime.bm1684.compiler.schedule import buffers_of

    data = {}
    for buffer in buffers_of(stage.plan.steps):
        source = None if buffer.load is None else getattr(buffer.load.source, "root", buffer.load.source)
        if source is not None and source.data is not None:
            data[source] = 4 * source.data.size
    return sum(data.values())


def _array(name: str, value: Any) -> np.ndarray:
    """What is fed, doubles as float32; anything else as it is, so that a wrong dtype is named."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise FeedError(f"the feed {name!r} is no array: {error}", hint="feed an array of numbers") from error
    return array.astype(np.float32) if array.dtype == np.float64 else array
