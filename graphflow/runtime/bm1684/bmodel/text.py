"""A .bmodel as text: a summary, a listing of its commands, and what differs between two."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphflow.runtime.bm1684.bmodel.records import BModel, CommandGroup, Stage, TensorInfo
from graphflow.runtime.bm1684.chip import COMMAND_BYTES, place
from graphflow.runtime.bm1684.isa import Command, decode, decode_stream, disassemble

_SHOWN = 20
"""Commands of a stream at most of which a difference is told."""


def summary(model: BModel) -> str:
    """The nets and stages, with their inputs, outputs, commands and memory."""
    lines = [f"bmodel for {model.chip}"]
    for net in model.nets:
        for number, stage in enumerate(net.stages):
            lines += [f"net {net.name}, stage {number}", *_stage_lines(stage)]
    return "\n".join(lines)


def _stage_lines(stage: Stage) -> Iterator[str]:
    for kind, infos in (("input", stage.inputs), ("output", stage.outputs)):
        yield from (f"  {kind} {_tensor(info)}" for info in infos)
    for number, group in enumerate(stage.groups):
        tiu, gdma = group.counts
        yield f"  group {number}: {tiu} tiu and {gdma} gdma commands"
    yield f"  {len(stage.coefficients)} coefficient bytes, {stage.context_bytes} context bytes"


def _tensor(info: TensorInfo) -> str:
    scale = "" if info.scale == 1 else f" scale {info.scale:g}"
    storage = "" if not info.storage else f" in {info.storage.name.lower()}"
    return f"{info.name} {info.dtype}{list(info.shape)} at {place(info.address)}{storage}{scale}"


def disassembly(model: BModel, note: Callable[[Command], str] | None = None) -> Iterator[str]:
    """All commands, one a line, under headings that name net, stage and group.

    Arguments:
        note: what is said of a command, before it.

    Raises:
        FileFormatError: if a command is none that is known.
    """
    for name, group in _groups(model):
        yield f"{name}"
        for engine in ("tiu", "gdma"):
            for command in decode_stream(engine, getattr(group, engine)):
                noted = "" if note is None else f"{note(command)}  "
                yield f"  {noted}{disassemble(command)}"


def _groups(model: BModel) -> Iterator[tuple[str, CommandGroup]]:
    for net in model.nets:
        for number, stage in enumerate(net.stages):
            for index, group in enumerate(stage.groups):
                yield f"net {net.name}, stage {number}, group {index}", group


def difference(left: BModel, right: BModel) -> list[str]:
    """What differs between two models, as lines; none if nothing does.

    Raises:
        FileFormatError: if a command that differs is none that is known.
    """
    old, new = summary(left).splitlines(), summary(right).splitlines()
    lines = [f"- {line}" for line in old if line not in new] + [
        f"+ {line}" for line in new if line not in old
    ]
    stages = [[stage for net in model.nets for stage in net.stages] for model in (left, right)]
    for number, (before, after) in enumerate(zip(*stages)):
        if before.coefficients != after.coefficients:
            lines.append(f"stage {number}: the coefficients differ")
    groups = dict(_groups(right))
    for name, group in _groups(left):
        if name in groups:
            lines += _streams(name, "tiu", group.tiu, groups[name].tiu)
            lines += _streams(name, "gdma", group.gdma, groups[name].gdma)
    return lines


def _streams(name: str, engine: str, left: bytes, right: bytes) -> Iterator[str]:
    """The commands, by their place in the stream, that differ."""
    shown = 0
    for start in range(0, max(len(left), len(right)), COMMAND_BYTES):
        old, new = left[start : start + COMMAND_BYTES], right[start : start + COMMAND_BYTES]
        if old == new:
            continue
        if not shown:
            yield f"{name}, {engine} stream:"
        shown += 1
        if shown > _SHOWN:
            yield "  and more"
            return
        yield from (f"  - {disassemble(decode(engine, data))}" for data in [old] if data)
        yield from (f"  + {disassemble(decode(engine, data))}" for data in [new] if data)
