"""`graphflow simulate`: a .bmodel file on inputs from files, in the simulator of the chip."""

from __future__ import annotations

import argparse
from typing import Any

from graphflow.cli.options import command
from graphflow.cli.run import check_ending, read_feeds, write_answers
from graphflow.errors import FileFormatError


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "simulate",
        "run a .bmodel file on inputs from files, in the simulator of the BM1684",
        """
        graphflow simulate digits.bmodel --feed image=images.npy
        graphflow simulate digits.bmodel --feed inputs.npz -o answers.npz
        """,
        _act,
    )
    made.add_argument("model", metavar="FILE", help="a .bmodel file")
    made.add_argument(
        "--feed",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="the input NAME from a .npy file; FILE alone, a .npz, feeds all its arrays; may be repeated",
    )
    made.add_argument(
        "--order",
        choices=("together", "tiu first", "gdma first", "random"),
        default="together",
        help="how far one engine runs ahead of the other (together)",
    )
    made.add_argument("-o", "--output", metavar="FILE", help="write the outputs to a .npz or .npy file")


def _act(options: argparse.Namespace) -> None:
    from graphflow.runtime.bm1684 import bmodel
    from graphflow.runtime.bm1684.simulator import simulate

    check_ending(options.output)
    if not bmodel.is_bmodel(options.model):
        raise FileFormatError(
            f"{options.model!r} is no .bmodel file",
            hint=f"graphflow compile {options.model} -o net.bmodel makes one of a model",
        )
    model = bmodel.load(options.model)
    answers = simulate(model, read_feeds(options.feed), options.order)
    write_answers(answers, options.output)
