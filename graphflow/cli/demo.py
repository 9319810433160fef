"""`graphflow demo`: the tour on real data, see `graphflow.demo`."""

from __future__ import annotations

import argparse
from typing import Any

from graphflow.cli.options import command, whole


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "demo",
        "train, explain, draw, save and reload a classifier of handwritten digits",
        """
        graphflow demo --out demo_out
        graphflow demo --out quick --epochs 2
        """,
        _act,
    )
    made.add_argument("--out", default="demo_out", metavar="DIR", help="folder for the files (demo_out)")
    made.add_argument(
        "--seed", type=whole(0, 2**64 - 1), default=0, metavar="N", help="of initial weights and dropout (0)"
    )
    made.add_argument("--epochs", type=whole(1), metavar="N", help="passes over the training images (24)")


def _act(options: argparse.Namespace) -> None:
    from graphflow import demo

    demo.main(options.out, options.seed, demo.EPOCHS if options.epochs is None else options.epochs)
