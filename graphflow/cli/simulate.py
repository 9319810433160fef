"""`graphflow simulate`: a .bmodel file on inputs from files, in the simulator of the chip."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphflow.cli.compile import REFUSED
from graphflow.cli.options import command
from graphflow.cli.run import check_ending, read_feeds, write_answers
from graphflow.errors import FeedError, FileFormatError

if TYPE_CHECKING:
    from graphflow.runtime.bm1684.bmodel import BModel


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
        "--input",
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


def _act(options: argparse.Namespace) -> int:
    from graphflow.runtime.bm1684.simulator import ChipFault, simulate

    check_ending(options.output)
    feeds = read_feeds(options.feed)
    try:
        answers = simulate(_load(options.model), feeds, options.order)
    except (FileFormatError, FeedError, ChipFault) as error:
        print(error.at_no_line(), file=sys.stderr)
        return REFUSED
    write_answers(answers, options.output)
    return 0


def _load(path: str) -> BModel:
    """The content of a .bmodel file.

    Raises:
        FileFormatError: if it is another one, damaged, or for another chip.
    """
    from graphflow.runtime.bm1684 import bmodel

    if not Path(path).exists():
        raise FileFormatError(
            f"there is nothing at {path!r}", hint="graphflow compile MODEL -o net.bmodel writes such a file"
        )
    if not bmodel.is_bmodel(path):
        raise FileFormatError(
            f"{path!r} is no .bmodel file",
            hint=f"if it is a model, graphflow compile {path} -o net.bmodel makes one of it",
        )
    return bmodel.load(path)
