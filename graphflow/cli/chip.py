"""What `graphflow show` tells of a .bmodel: its content, and the timeline of a stage as a picture."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from graphflow.cli.options import whole
from graphflow.errors import AttributeValueError

_OPTIONS = ("timeline", "local_memory", "from", "to", "stage")


def add_timeline(made: argparse.ArgumentParser) -> None:
    """The options of .bmodel files."""
    chip = made.add_argument_group("for a .bmodel file")
    chip.add_argument(
        "--timeline",
        metavar="FILE",
        help="draw what both engines do over time (.svg), or write it as trace events (.json)",
    )
    chip.add_argument("--local-memory", metavar="FILE", help="draw the use of local memory over time (.svg)")
    for name, said in (("from", "starts"), ("to", "ends")):
        chip.add_argument(
            f"--{name}", type=float, metavar="US", help=f"where a picture {said}, in microseconds"
        )
    chip.add_argument("--stage", type=whole(0), metavar="N", help="the stage of which the timeline is (0)")


def refuse_timeline(options: argparse.Namespace) -> None:
    """Raises AttributeValueError if an option of .bmodel files is given for something else."""
    for name in _OPTIONS:
        if getattr(options, name) is not None:
            what = f"{options.model!r} is none" if os.path.exists(options.model) else "there is nothing"
            what += "" if os.path.exists(options.model) else f" at {options.model!r}"
            raise AttributeValueError(
                f"--{name.replace('_', '-')} is for .bmodel files, and {what}",
                hint="give a .bmodel file, or leave the option out",
            )


def show_commands(options: argparse.Namespace) -> None:
    """Print what a .bmodel holds; draw the timeline of a stage, and print its sums, where that is asked for.

    Raises:
        FileFormatError: if the file cannot be read, or a picture not written.
        AttributeValueError: if there is no such stage, or the part of a picture is empty.
        ChipFault: if the commands of the stage can never run.
    """
    from graphflow.runtime.bm1684 import bmodel, cycles

    model = bmodel.load(options.model)
    print(model)
    if options.timeline is None and options.local_memory is None:
        return
    stages = [(net.name, stage) for net in model.nets for stage in net.stages]
    number = options.stage or 0
    if number >= len(stages):
        raise AttributeValueError(
            f"there is no stage {number}", hint=f"the file has {len(stages)}, counted from 0"
        )
    name, stage = stages[number]
    title = f"{name}, stage {number}"
    made = cycles.timeline(stage)
    print(f"{made}\n{made.by_kind()}")
    start, end = (None if us is None else us / 1e6 for us in (getattr(options, "from"), options.to))
    if options.timeline is not None and Path(options.timeline).suffix == ".json":
        print("wrote", cycles.write_trace(made, options.timeline))
    elif options.timeline is not None:
        print("wrote", cycles.draw_timeline(made, options.timeline, start=start, end=end, title=title))
    if options.local_memory is not None:
        title = f"local memory of {title}"
        print(
            "wrote", cycles.draw_local_memory(made, options.local_memory, start=start, end=end, title=title)
        )
