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
        """,
        _act,
    )
    made.add_argument("file", metavar="FILE", help="a .bmodel file")


def _act(options: argparse.Namespace) -> None:
    from graphflow.runtime.bm1684 import bmodel

    for line in bmodel.disassembly(bmodel.load(options.file)):
        print(line)
