"""`graphflow disassemble`: the commands in a .bmodel, one a line."""

from __future__ import annotations

import argparse
from typing import Any

from graphflow.cli.options import command


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "disassemble",
        "print the commands in a .bmodel file, one a line",
        """
        graphflow disassemble net.bmodel
        graphflow disassemble net.bmodel > net.txt
        graphflow disassemble net.bmodel --cycles
        """,
        _act,
    )
    made.add_argument("file", metavar="FILE", help="a .bmodel file")
    made.add_argument(
        "--cycles", action="store_true", help="print before each command how many cycles it takes"
    )


def _act(options: argparse.Namespace) -> None:
    from graphflow.runtime.bm1684 import bmodel
    from graphflow.runtime.bm1684.cycles import cycles

    note = (lambda one: f"{cycles(one):>12,}") if options.cycles else None
    for line in bmodel.disassembly(bmodel.load(options.file), note):
        print(line)
